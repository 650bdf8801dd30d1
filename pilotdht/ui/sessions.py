"""Who may see the page: links that open it once, and browsers that are logged in. Pure.

A browser shows two secrets with each request. The cookie is out of reach of scripts; but cookies know no ports, so
whatever else is served on 127.0.0.1 is sent it as well. The page's key is kept for exactly this origin and travels in a
header, which no other page can set; but scripts can read it. Neither of the two is worth anything alone.

Only hashes of secrets are kept. A link is void once it was used, or another four were asked for.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from pilotdht.config.ui import UiConfig
from pilotdht.values import dataclass

SECRET_BYTES = 32
"""256 bits: nobody guesses one, so guesses need not be slowed down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a browser is given when it logs in."""

    cookie: str
    """For its cookie."""
    page_key: str
    """For the header that the page sets."""


class Session:
    """One browser that is logged in."""

    __slots__ = ("expires_at", "key_hash")

    def __init__(self, key_hash: bytes, expires_at: float) -> None:
        self.key_hash = key_hash
        """Of the page's key."""
        self.expires_at = expires_at
        """Forgotten then, on the loop's clock, unless it is used before."""


class Sessions:
    """All links and logged-in browsers; bounded."""

    def __init__(self, config: UiConfig, token_bytes: Callable[[int], bytes]) -> None:
        """Make it, with nobody logged in.

        Args:
            config: bounds and times.
            token_bytes: source of unpredictable bytes.
        """
        self._config = config
        self._token_bytes = token_bytes
        self._links: OrderedDict[bytes, float] = OrderedDict()
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()  # the one unused longest comes first

    def __len__(self) -> int:
        """Return how many browsers are logged in."""
        return len(self._sessions)

    def new_link(self, now: float) -> str:
        """Return the token of a login link that can be used once."""
        token = self._secret()
        self._links[_hash(token)] = now + self._config.link_s
        while len(self._links) > self._config.max_links:
            self._links.popitem(last=False)
        return token

    def enter(self, token: str, now: float) -> Entry | None:
        """Log a browser in; absent when the token is unknown, used or too old."""
        expires_at = self._links.pop(_hash(token), None)
        if expires_at is None or now >= expires_at:
            return None
        entry = Entry(cookie=self._secret(), page_key=self._secret())
        self._sessions[_hash(entry.cookie)] = Session(_hash(entry.page_key), now + self._config.session_s)
        while len(self._sessions) > self._config.max_sessions:
            self._sessions.popitem(last=False)
        return entry

    def is_valid(self, cookie: str, page_key: str, now: float) -> bool:
        """Return whether a browser is logged in, and keep it so for another while."""
        name = _hash(cookie)
        session = self._sessions.get(name)
        if session is None or not hmac.compare_digest(session.key_hash, _hash(page_key)):
            return False
        if now >= session.expires_at:
            del self._sessions[name]
            return False
        session.expires_at = now + self._config.session_s
        self._sessions.move_to_end(name)
        return True

    def leave(self, cookie: str) -> None:
        """Log a browser out."""
        self._sessions.pop(_hash(cookie), None)

    def expire(self, now: float) -> float | None:
        """Forget what is too old; return when something will be next, absent when nothing is left."""
        for name in [name for name, expires_at in self._links.items() if now >= expires_at]:
            del self._links[name]
        for name in [name for name, session in self._sessions.items() if now >= session.expires_at]:
            del self._sessions[name]
        times = [*self._links.values(), *(session.expires_at for session in self._sessions.values())]
        return min(times, default=None)

    def _secret(self) -> str:
        return urlsafe_b64encode(self._token_bytes(SECRET_BYTES)).decode("ascii").rstrip("=")


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogateescape")).digest()
