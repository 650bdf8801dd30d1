"""Which peers may be scraped, and where: what they told, for how long that holds, and whom to ask next. Pure.

Trusted peers and members of one's orgs are asked, never strangers. A peer says a port and nothing else; the host is the
one at which its key was proven, so that nobody can send a scraper to somebody else's address. A peer that falls silent
stays on the list: the scraper has to notice that it is gone. It goes when it is not trusted any more, says that it
tells nothing, or was silent for :attr:`DaemonConfig.target_keep_s`.

Source: Prometheus, "Writing HTTP service discovery" (the JSON of the answer).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from pilotdht.config.daemon import DaemonConfig
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.values import dataclass
from pilotdht.visible import masked
from pilotdht.wire.endpoint import Endpoint

OFFER_BYTES = 64
"""Longest answer of a peer."""

MAX_LABEL_CHARS = 128
"""Longest value of a label; hostnames with the name of their org are shorter."""

DECLINED_FACTOR = 10
"""Times the usual interval until somebody is asked again who tells nothing."""

MAX_DOUBLINGS = 5
"""How often the interval doubles for somebody who is silent, at most: half an hour by default."""


def encode_offer(port: int) -> bytes:
    """Return what a node answers that may be scraped at a TCP port."""
    return json.dumps({"port": port}).encode("ascii")


def parse_offer_untrusted(data: bytes) -> int:
    """Return the port that a peer names.

    Raises:
        BadMessage: it is no such answer.
    """
    if len(data) > OFFER_BYTES:
        raise BadMessage("metrics_offer_size")
    try:
        offer = json.loads(data)
    except (ValueError, RecursionError):
        raise BadMessage("metrics_offer") from None
    port = offer.get("port") if isinstance(offer, dict) else None
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:
        raise BadMessage("metrics_offer_port")
    return port


def safe_label(text: str) -> str:
    """Return a text of somebody else as the value of a label: short, printable, without controls and directions."""
    return masked(text[:MAX_LABEL_CHARS]).replace(" ", "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody who may be asked."""

    public_key: PublicKey
    """Who it is."""
    address: str
    """Its virtual address."""
    hostname: str
    """What it is called, as it says; or empty."""
    relation: str
    """``trusted``, ``org`` or, for this node, ``self``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Somebody who may be scraped."""

    candidate: Candidate
    """Who."""
    endpoint: Endpoint
    """TCP endpoint that serves ``/metrics``."""

    def described(self) -> dict[str, object]:
        """Return it as HTTP service discovery has it."""
        return {
            "targets": [str(self.endpoint)],
            "labels": {
                "__meta_pilotdht_address": safe_label(self.candidate.address),
                "__meta_pilotdht_hostname": safe_label(self.candidate.hostname),
                "__meta_pilotdht_relation": self.candidate.relation,
            },
        }


class _Known:
    """What is known of one peer."""

    __slots__ = ("ask_at", "candidate", "endpoint", "failures", "told_at")

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.ask_at = float("-inf")
        self.endpoint: Endpoint | None = None
        self.failures = 0
        self.told_at = 0.0


class TargetBook:
    """All peers that may be asked, at most :attr:`DaemonConfig.max_targets`."""

    def __init__(self, config: DaemonConfig) -> None:
        self._config = config
        self._known: dict[PublicKey, _Known] = {}

    def __len__(self) -> int:
        """Return how many may be scraped."""
        return sum(1 for known in self._known.values() if known.endpoint is not None)

    def update(self, candidates: Iterable[Candidate]) -> int:
        """Forget who may not be asked any more, take in who may; return how many found no room."""
        wanted: dict[PublicKey, Candidate] = {}
        for candidate in candidates:
            wanted.setdefault(candidate.public_key, candidate)
        for public_key in [one for one in self._known if one not in wanted]:
            del self._known[public_key]
        left_out = 0
        for public_key, candidate in wanted.items():
            known = self._known.get(public_key)
            if known is not None:
                known.candidate = candidate
            elif len(self._known) < self._config.max_targets:
                self._known[public_key] = _Known(candidate)
            else:
                left_out += 1
        return left_out

    def due(self, now: float) -> list[Candidate]:
        """Return whom to ask now."""
        return [known.candidate for known in self._known.values() if known.ask_at <= now]

    def told(self, public_key: PublicKey, endpoint: Endpoint, now: float) -> None:
        """Take in where somebody may be scraped."""
        known = self._known.get(public_key)
        if known is not None:
            known.endpoint, known.told_at, known.failures = endpoint, now, 0
            known.ask_at = now + self._config.target_refresh_s

    def declined(self, public_key: PublicKey, now: float) -> None:
        """Take in that somebody may not be scraped, or not from here."""
        known = self._known.get(public_key)
        if known is not None:
            known.endpoint, known.failures = None, 0
            known.ask_at = now + self._config.target_refresh_s * DECLINED_FACTOR

    def silent(self, public_key: PublicKey, now: float) -> None:
        """Take in that somebody did not answer: it stays for a while where it was."""
        known = self._known.get(public_key)
        if known is not None:
            known.ask_at = now + self._config.target_refresh_s * 2.0 ** min(known.failures, MAX_DOUBLINGS)
            known.failures += 1
            if now - known.told_at > self._config.target_keep_s:
                known.endpoint = None

    def targets(self) -> list[Target]:
        """Return who may be scraped, in the order in which they were first heard of."""
        return [
            Target(candidate=known.candidate, endpoint=known.endpoint)
            for known in self._known.values()
            if known.endpoint is not None
        ]


def described(targets: Sequence[Target]) -> bytes:
    """Return an answer of HTTP service discovery; ASCII, so that no character of anybody's name can do harm."""
    return json.dumps([target.described() for target in targets], indent=1).encode("ascii") + b"\n"
