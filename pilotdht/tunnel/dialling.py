"""One dial: several endpoints of a peer raced, whoever asks for the peer meanwhile joined.

Endpoints are tried in the order given, each a little after the one before or as soon as that failed; the first link
that comes up wins, also one that the peer dialled meanwhile.

Source: RFC 8305, section 5.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pilotdht.errors import PilotError, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.quic.events import CloseCode
from pilotdht.wire.endpoint import Endpoint

_MEANINGS = {
    "wrong_key": "another node answers there",
    "timeout": "no answer",
    "no_common_suite": "it offers no common cipher",
    "wrong_protocol": "it speaks another protocol",
    "closed": "it closed the link",
}


class Dial:
    """A dial under way.

    Args:
        public_key: who must answer.
        endpoints: where, best first.
        start: begins a handshake.
        stagger_s: delay between two endpoints.
        timeout_s: time for the whole.
        loop: whose time is used.
    """

    def __init__(
        self,
        public_key: PublicKey,
        endpoints: Iterable[Endpoint],
        *,
        start: Callable[[PublicKey, Endpoint], Link],
        stagger_s: float,
        timeout_s: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.public_key = public_key
        """Who must answer."""
        self.outcome: asyncio.Future[Link] = loop.create_future()
        """The link, or why there is none."""
        self.outcome.add_done_callback(_note_exception)
        self._start = start
        self._stagger_s = stagger_s
        self._timeout_s = timeout_s
        self._endpoints: dict[Endpoint, None] = {}  # tried ones stay, so that none is tried twice
        self._untried: deque[Endpoint] = deque()
        self._attempts: list[tuple[Endpoint, Link]] = []
        self._failures: list[str] = []
        self._more: asyncio.Future[None] | None = None
        self.add(endpoints)

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        """Try these as well, before others that were not tried yet: what was found out last is the best guess."""
        new = [endpoint for endpoint in dict.fromkeys(endpoints) if endpoint not in self._endpoints]
        self._endpoints.update(dict.fromkeys(new))
        self._untried.extendleft(reversed(new))
        if new and self._more is not None and not self._more.done():
            self._more.set_result(None)

    def on_link_up(self, link: Link) -> None:
        """Take a link to the peer that came up, whoever dialled it."""
        if not self.outcome.done():
            self.outcome.set_result(link)

    async def run(self) -> None:
        """Race the endpoints until :attr:`outcome` is known."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._race()
        except TimeoutError:
            self._failures.append(f"no answer within {self._timeout_s:g} s")
        except PilotError as error:
            if not self.outcome.done():
                self.outcome.set_exception(error)
        finally:
            self._end_losers()
            if not self.outcome.done():
                where = ", ".join(map(str, self._endpoints))
                self.outcome.set_exception(
                    Unreachable(f"the peer does not answer at {where}: {'; '.join(dict.fromkeys(self._failures))}")
                )

    async def _race(self) -> None:
        while not self.outcome.done():
            if self._untried:
                endpoint = self._untried.popleft()
                self._attempts.append((endpoint, self._start(self.public_key, endpoint)))
            if not self._attempts and not self._untried:
                return
            waiting: list[asyncio.Future[Any]] = [link.settled for _, link in self._attempts]
            self._more = asyncio.get_running_loop().create_future()
            waiting += [self.outcome, self._more]
            await asyncio.wait(
                waiting,
                timeout=self._stagger_s if self._untried else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._note_failures()

    def _note_failures(self) -> None:
        alive: list[tuple[Endpoint, Link]] = []
        for endpoint, link in self._attempts:
            closed = link.closed
            if closed is None:
                alive.append((endpoint, link))
                continue
            meaning = _MEANINGS.get(closed.handshake_result, closed.handshake_result.replace("_", " "))
            self._failures.append(f"{endpoint}: {meaning}")
        self._attempts = alive

    def _end_losers(self) -> None:
        for _, link in self._attempts:
            # A handshake that is done on this side may be up at the peer, with a stream on it already: let it come up
            # and drain as surplus.
            if link.up_at is None and not link.connection.is_proof_sent:
                link.close_now(CloseCode.SURPLUS)


def _note_exception(outcome: asyncio.Future[Link]) -> None:
    if not outcome.cancelled():
        outcome.exception()  # that nobody waited any more is no reason for a warning
