"""Finds out which peers may be scraped, when somebody wants to know; and tells peers where this node may be.

Nothing is asked in the background: a scraper that looks once a minute causes one short stream to each peer, and nobody
who looks causes none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.targets import (
    OFFER_BYTES,
    Candidate,
    Target,
    TargetBook,
    encode_offer,
    parse_offer_untrusted,
)
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import BadMessage, NotTrusted, PilotError, Refused
from pilotdht.gossip.values import GroupKind, MemberStatus
from pilotdht.identity.address import Address
from pilotdht.identity.keys import did_of, parse_did
from pilotdht.net.prefixes import is_loopback
from pilotdht.node.facts import NodeInfo
from pilotdht.services.ports import WellKnownPort
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.endpoint import Endpoint

ASKED_AT_ONCE = 8
"""Peers asked at the same time: a list of hundreds is through in seconds, and nobody else's streams notice."""

_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

_logger = logging.getLogger(__name__)


class TargetKeeper:
    """Asks peers, and keeps what they said."""

    def __init__(self, node: NodeVerbs, *, config: DaemonConfig, metrics: DaemonMetrics) -> None:
        self._node = node
        self._config = config
        self._metrics = metrics
        self._book = TargetBook(config)
        self._asking = asyncio.Lock()
        metrics.targets.set_function(lambda: float(len(self._book)))
        self.own: Endpoint | None = None
        """Where this node itself may be scraped; absent: nowhere but on the control socket."""

    async def targets(self) -> list[Target]:
        """Return who may be scraped, this node first; who is due is asked before, as long as time allows."""
        try:
            async with asyncio.timeout(self._config.targets_wait_s), self._asking:
                await self._ask_all()
        except TimeoutError:
            _logger.debug("peers did not tell in time where they may be scraped")
        info = self._node.info()
        own = []
        if self.own is not None:
            candidate = Candidate(
                public_key=parse_did(info.did), address=str(info.address), hostname=info.hostname, relation="self"
            )
            own.append(Target(candidate=candidate, endpoint=_reachable(self.own, info)))
        return own + self._book.targets()

    async def _ask_all(self) -> None:
        left_out = self._book.update(self._candidates())
        self._metrics.targets_left_out.inc(left_out)
        due = iter(self._book.due(asyncio.get_running_loop().time()))

        async def ask_on() -> None:
            for candidate in due:
                await self._ask(candidate)

        async with asyncio.TaskGroup() as group:
            for _ in range(ASKED_AT_ONCE):
                group.create_task(ask_on())

    def _candidates(self) -> Iterable[Candidate]:
        for entry in self._node.trusted():
            yield Candidate(
                public_key=entry.public_key, address=str(entry.address), hostname=entry.hostname, relation="trusted"
            )
        for info in self._node.groups():
            if info.kind is GroupKind.ORG:
                for member in self._node.group(info.name).members():
                    if not member.is_self and member.status in (MemberStatus.ALIVE, MemberStatus.SUSPECT):
                        yield Candidate(
                            public_key=member.public_key,
                            address=str(member.address),
                            hostname=f"{member.hostname}.{info.name}" if member.hostname else "",
                            relation="org",
                        )

    async def _ask(self, candidate: Candidate) -> None:
        """Ask one peer, and note what comes of it."""
        loop, book, key = asyncio.get_running_loop(), self._book, candidate.public_key
        counts = self._metrics.targets_asked
        try:
            async with asyncio.timeout(self._config.target_timeout_s):
                endpoint = await self._endpoint_of(did_of(key))
        except (Refused, NotTrusted):
            counts["declined"].inc()
            book.declined(key, loop.time())
        except BadMessage:
            counts["malformed"].inc()
            book.declined(key, loop.time())
        except (PilotError, TimeoutError):
            counts["silent"].inc()
            book.silent(key, loop.time())
        else:
            counts["relayed" if endpoint is None else "told"].inc()
            if endpoint is None:
                book.declined(key, loop.time())
            else:
                book.told(key, endpoint, loop.time())

    async def _endpoint_of(self, did: str) -> Endpoint | None:
        """Return where a peer may be scraped; absent when it is reached through others only.

        Raises:
            PilotError: it does not answer, or does not tell.
        """
        timeout_s = self._config.target_timeout_s
        road = await self._node.connect(did, timeout_s=timeout_s)
        stream = await self._node.dial(did, WellKnownPort.METRICS, timeout_s=timeout_s)
        try:
            offer = b""
            while len(offer) <= OFFER_BYTES and (piece := await stream.read(OFFER_BYTES + 1)):
                offer += piece
        finally:
            stream.abort()
        if not offer:
            raise Refused("the peer tells nothing to this node")
        port = parse_offer_untrusted(offer)
        return None if road.relay is not None else Endpoint(road.endpoint.host, port)


def _reachable(bound: Endpoint, info: NodeInfo) -> Endpoint:
    """Return where a port is reached that may be bound to all addresses: where others find the node."""
    if bound.host not in _UNSPECIFIED:
        return bound
    hosts = [endpoint.host for endpoint in info.endpoints] or ["::1" if bound.is_ipv6 else "127.0.0.1"]
    return Endpoint(hosts[0], bound.port)


async def announce_metrics(
    node: NodeVerbs, metrics: Endpoint, *, timeout_s: float, is_up: Callable[[], None] = lambda: None
) -> None:
    """Tell trusted peers and members of our orgs who ask where this node may be scraped, until cancelled.

    Who could not reach the port is told nothing: one on loopback serves this machine alone.

    Args:
        node: whose gate lets those in who may ask.
        metrics: where its metrics are served.
        timeout_s: time for one peer to take the answer.
        is_up: called once peers can ask.
    """
    async with node.listen(WellKnownPort.METRICS) as streams, asyncio.TaskGroup() as group:
        is_up()
        async for stream in streams:
            group.create_task(_tell(node, metrics, stream, timeout_s=timeout_s))


async def _tell(node: NodeVerbs, metrics: Endpoint, stream: ByteStream, *, timeout_s: float) -> None:
    """Answer one who asks; a peer that gives no credit for the few bytes keeps nobody else waiting."""
    try:
        async with asyncio.timeout(timeout_s):
            if not is_loopback(metrics.host) or _is_here(node, stream):
                await stream.write(encode_offer(metrics.port))
            await stream.write_eof()
            await stream.close()
    except (PilotError, TimeoutError):
        stream.abort()


def _is_here(node: NodeVerbs, stream: ByteStream) -> bool:
    address = Address.of_public_key(stream.peer, network=node.info().address.network)
    return any(
        link.address == address and link.relay is None and is_loopback(link.endpoint.host)
        for link in node.connections()
    )
