"""Reaching a peer by whatever the caller calls it: resolve, dial, open a stream.

A resolved peer is remembered for a while, so that talking again does not walk the DHT; when it does not answer where
it was, it is resolved anew, once: agents move and restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from pilotdht.errors import LinkClosed, PilotError, RemoteError, TimedOut, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of
from pilotdht.names.peer import Peer, Source
from pilotdht.node.metrics import NodeMetrics
from pilotdht.tracing.spans import OFF, Kind, Tracer
from pilotdht.tunnel.header import OptionValue
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

MAX_SHOWN_CHARS = 80
"""Of a target in a trace: a did:key has 56."""

MAX_REMEMBERED = 4096
"""Peers remembered; the one resolved longest ago goes first."""

DOUBT_S = 0.5
"""A peer that has not answered by then may have moved: it is resolved anew while the dial goes on."""

Target = str | Peer | PublicKey
"""A hostname, alias, address or did:key; a peer as found before; or its public key."""


class Resolves(Protocol):
    """What reaching needs of the resolver."""

    async def find(self, target: str) -> Peer:
        """Return the peer that a name, alias, address or did:key means now."""
        ...


@dataclass(frozen=True, slots=True)
class _Remembered:
    peer: Peer
    until: float


class Reach:
    """Turns targets into peers, links and streams."""

    def __init__(
        self,
        *,
        resolver: Resolves,
        tunnels: Tunnels,
        verified: Callable[[PublicKey], Endpoint | None],
        metrics: NodeMetrics,
        remember_s: float,
        key_named: Callable[[str], PublicKey | None] = lambda name: None,
        endpoints: Callable[[Peer], Awaitable[tuple[Endpoint, ...]]] | None = None,
        tracer: Tracer = OFF,
    ) -> None:
        """Make it.

        Args:
            resolver: finds peers.
            tunnels: dials them.
            verified: returns where a key has answered this node, when it has; tried after what the peer published.
            metrics: counters.
            remember_s: how long a resolved peer is used without resolving it again.
            key_named: returns whom ``host.org`` means now: who was expelled has lost the name at once.
            endpoints: returns where to dial a peer, which may be through others; absent: where it says it answers.
            tracer: records what takes how long.
        """
        self._tracer = tracer
        self._endpoints = _published if endpoints is None else endpoints
        self._key_named = key_named
        self._verified = verified
        self._counts = metrics.resolutions
        self._resolver = resolver
        self._tunnels = tunnels
        self._remember_s = remember_s
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._loop = asyncio.get_running_loop()

    async def peer(self, target: Target, *, fresh: bool = False) -> Peer:
        """Return who ``target`` is.

        Args:
            target: what the caller calls it.
            fresh: do not use what is remembered.

        Raises:
            PilotError: as the resolver.
        """
        if isinstance(target, Peer) and not fresh:
            return target
        text = _text(target)
        known = self._remembered.get(text)
        if known is not None and not fresh and known.until > self._loop.time() and self._still_means(text, known.peer):
            self._counts["remembered"].inc()
            return known.peer
        self.forget(text)
        try:
            with self._tracer.span("resolve", target=_shown(target)) as span:
                peer = await self._resolver.find(text)
                span.set("source", peer.source.value)
        except PilotError as error:
            self._counts[error.code if error.code in self._counts else "failed"].inc()
            raise
        self._counts["found"].inc()
        verified = self._verified(peer.public_key)
        if verified is not None and verified not in peer.endpoints:
            peer = replace(peer, endpoints=(*peer.endpoints, verified))
        if self._remember_s > 0:
            self._remembered[text] = _Remembered(peer, self._loop.time() + self._remember_s)
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return peer

    def _still_means(self, text: str, peer: Peer) -> bool:
        """Return whether a name that an org gave is its bearer's still; other names hold as long as remembered."""
        if peer.source is not Source.ORG:
            return True
        try:
            return self._key_named(text) == peer.public_key
        except RemoteError:
            return False

    def forget(self, text: str) -> None:
        """Resolve ``text`` anew the next time."""
        self._remembered.pop(text, None)

    def forget_peer(self, public_key: PublicKey) -> None:
        """Resolve every spelling of a peer anew the next time."""
        for text in [text for text, known in self._remembered.items() if known.peer.public_key == public_key]:
            self.forget(text)

    def hostname_of(self, public_key: PublicKey) -> str:
        """Return the hostname that a peer was last resolved with, or an empty text."""
        for known in reversed(self._remembered.values()):
            if known.peer.public_key == public_key:
                return known.peer.hostname
        return ""

    async def link(self, target: Target, *, timeout_s: float) -> tuple[Peer, Link]:
        """Return a live link to a peer, dialling when there is none.

        Raises:
            PilotError: as the resolver; Unreachable or TimedOut when it does not answer where it says.
        """
        with self._tracer.span("dial", target=_shown(target)):
            return await self._link(target, timeout_s)

    async def _link(self, target: Target, timeout_s: float) -> tuple[Peer, Link]:
        async with _deadline(timeout_s, target):
            begun = self._loop.time()
            peer = await self.peer(target)
            try:
                return peer, await self._tunnels.dial(peer.public_key, await self._endpoints(peer), timeout_s=DOUBT_S)
            except (Unreachable, TimedOut) as error:
                peer = await self._doubted(peer, error, begun)
                return peer, await self._tunnels.dial(peer.public_key, await self._endpoints(peer))

    async def stream(
        self,
        target: Target,
        port: int,
        *,
        timeout_s: float,
        options: Mapping[str, OptionValue] | None = None,
        traceparent: str | None = None,
    ) -> tuple[Peer, Stream]:
        """Open a stream to a port of a peer.

        Raises:
            PilotError: as :meth:`link`; NotTrusted, Refused or Overloaded when the peer does not accept it.
        """
        with self._tracer.span("stream", traceparent=traceparent, kind=Kind.ASKS, target=_shown(target), port=port):
            return await self._stream(target, port, timeout_s, options, self._tracer.traceparent() or traceparent)

    async def _stream(
        self,
        target: Target,
        port: int,
        timeout_s: float,
        options: Mapping[str, OptionValue] | None,
        traceparent: str | None,
    ) -> tuple[Peer, Stream]:
        async with _deadline(timeout_s, target):
            begun = self._loop.time()
            peer = await self.peer(target)

            async def attempt(within_s: float | None) -> Stream:
                return await self._tunnels.open_stream(
                    peer.public_key,
                    await self._endpoints(peer),
                    port,
                    options=options,
                    traceparent=traceparent,
                    timeout_s=within_s,
                )

            try:
                return peer, await attempt(DOUBT_S)
            except (Unreachable, TimedOut, LinkClosed) as error:
                peer = await self._doubted(peer, error, begun)
                return peer, await attempt(None)

    async def _doubted(self, before: Peer, error: RemoteError, begun: float) -> Peer:
        """Resolve a peer that does not answer where it was; a dial under way is joined, not begun again."""
        peer = await self.peer(before, fresh=True)
        if peer.endpoints != before.endpoints:
            self._tunnels.drop_silent(peer.public_key, since=begun)
        is_same = (peer.endpoints, peer.introducers) == (before.endpoints, before.introducers)
        if isinstance(error, Unreachable) and is_same:
            where = ", ".join(map(str, peer.endpoints)) or "any endpoint"
            raise Unreachable(f"{peer.address} does not answer at {where}") from error
        self.forget_peer(peer.public_key)
        return peer


async def _published(peer: Peer) -> tuple[Endpoint, ...]:
    return peer.endpoints


def _text(target: Target) -> str:
    if isinstance(target, Peer):
        return did_of(target.public_key)
    return target if isinstance(target, str) else did_of(target)


def _shown(target: Target) -> str:
    """Return a target for traces: bounded, as whoever asked wrote it."""
    return _text(target)[:MAX_SHOWN_CHARS]


@contextlib.asynccontextmanager
async def _deadline(timeout_s: float, target: Target) -> AsyncIterator[None]:
    """As ``asyncio.timeout``, with this package's error."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise TimedOut(f"{_text(target)} could not be reached within {timeout_s:g} s") from error
