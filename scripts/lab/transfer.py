"""A large transfer between two homes while their addresses change, their routers forget, or their relay dies.

Whole nodes of one process, each at a host of its own. What arrives is compared by hash with what was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random

from pilotdht.config.config import Config
from pilotdht.config.relay import RelayConfig
from pilotdht.net.switchboard import is_relayed
from pilotdht.node.node import Node
from pilotdht.services.ports import WellKnownPort
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from scripts.lab.doors import doors_at
from scripts.lab.laboratory import Lab

SERVER_PORT = 4433
SINK_PORT = 3000
CHUNK_BYTES = 262_144
ATTACHED_WITHIN_S = 40.0
ROOMY = RelayConfig(client_bytes_per_s=1e10, client_burst_bytes=1e9, total_bytes_per_s=1e10, total_burst_bytes=1e9)

EVENTS = ("roam-a", "roam-b", "reboot-a", "reboot-b", "kill-relay")
"""What can happen on the way: a home gets another address, a router forgets all mappings, the relay in use vanishes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a transfer."""

    size: int
    """Bytes sent."""
    is_intact: bool
    """Whether all of them arrived as they were sent, once and in order."""
    took_s: float
    """From the first byte to the receiver's word that it has the last."""
    pauses_s: tuple[float, ...]
    """After each event, the longest time without progress until the next one."""
    roads: tuple[str, ...]
    """``direct`` or ``relayed``, at the beginning and after each event's pause."""


async def transfer(lab: Lab, *, size: int, events: Sequence[str]) -> Outcome:
    """Send bytes from ``a`` to ``b``; the events happen at equal distances on the way.

    Raises:
        PilotError: the two could not reach each other, or the transfer broke.
    """
    async with _mesh(lab) as (servers, left, right):
        digest, seen = hashlib.sha256(), _Progress()

        async def sink(stream: Stream) -> None:
            async for chunk in stream:
                digest.update(chunk)
                seen.add(len(chunk))
            await stream.write(digest.digest())

        right.rooms.tunnels.listen(SINK_PORT, sink)
        data = Random(1).randbytes(CHUNK_BYTES)
        expected, count = hashlib.sha256(), -(-size // CHUNK_BYTES)
        due = {(number + 1) * count // (len(events) + 1): event for number, event in enumerate(events)}
        roads, pauses = [], []
        began = time.monotonic()
        async with await left.dial(right.did, SINK_PORT) as stream:
            roads.append(_road(left, right))
            for number in range(count):
                if number in due:
                    if number != min(due):
                        pauses.append(seen.longest_s())
                        roads.append(_road(left, right))
                    await _happen(due[number], lab, servers, left, right)
                    seen.begin()
                expected.update(data)
                await stream.write(data)
            await stream.write_eof()
            answer = await stream.read_exactly(len(digest.digest()))
            took_s = time.monotonic() - began
        if events:
            pauses.append(seen.longest_s())
            roads.append(_road(left, right))
        return Outcome(
            size=count * CHUNK_BYTES,
            is_intact=answer == expected.digest() == digest.digest(),
            took_s=took_s,
            pauses_s=tuple(pauses),
            roads=tuple(roads),
        )


class Conversation:
    """A stream from ``a`` to ``b`` on which each word is answered."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._count = 0

    async def ask(self) -> None:
        """Return when the next word was answered.

        Raises:
            LinkClosed: the stream was lost.
        """
        self._count += 1
        word = self._count.to_bytes(8, "big")
        await self._stream.write(word)
        if await self._stream.read_exactly(len(word)) != word:
            raise AssertionError("a stream has lost or doubled bytes")


@contextlib.asynccontextmanager
async def conversation(lab: Lab) -> AsyncIterator[Conversation]:
    """Yield a conversation between whole nodes at ``a`` and ``b``."""
    async with _mesh(lab) as (_, left, right), await left.dial(right.did, WellKnownPort.ECHO) as stream:
        yield Conversation(stream)


class _Progress:
    """When bytes arrived."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._longest_s = 0.0

    def begin(self) -> None:
        """Measure pauses from now on."""
        self._at, self._longest_s = time.monotonic(), 0.0

    def add(self, _size: int) -> None:
        """Take in that something arrived."""
        now = time.monotonic()
        self._longest_s = max(self._longest_s, now - self._at)
        self._at = now

    def longest_s(self) -> float:
        """Return the longest pause."""
        return max(self._longest_s, time.monotonic() - self._at)


@contextlib.asynccontextmanager
async def _mesh(lab: Lab) -> AsyncIterator[tuple[list[Node], Node, Node]]:
    async with contextlib.AsyncExitStack() as stack:
        servers: list[Node] = []
        for server in lab.servers:
            servers.append(await stack.enter_async_context(_node(lab, server.name, servers, port=SERVER_PORT)))
        left = await stack.enter_async_context(_node(lab, "a", servers))
        right = await stack.enter_async_context(_node(lab, "b", servers))
        async with asyncio.timeout(ATTACHED_WITHIN_S):
            while not all(_is_reachable(node) for node in (left, right)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
            await left.handshake(right.did, "transfer")
            while not right.pending():  # noqa: ASYNC110 - the word may come a little later
                await asyncio.sleep(0.1)
            await right.approve(left.did)
            while not left.trusted():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        yield servers, left, right


def _is_reachable(node: Node) -> bool:
    """Return whether others can dial a node: in public at once, behind a NAT through servers."""
    return bool(node.rooms.traversal.introducers) or not node.rooms.traversal.is_translated()


def _node(lab: Lab, host: str, servers: Sequence[Node], *, port: int = 0) -> Node:
    config = Config(
        hostname=f"node-{host}",
        listen=Endpoint("0.0.0.0", port),  # noqa: S104 - all addresses of a host that nobody outside can reach
        bootstrap=tuple(str(server.endpoints[0]) for server in servers[:3]),
        advertise=(Endpoint(lab.machine(host).host, port),) if port else (),
        relay=ROOMY,
    )
    return Node(config, doors=doors_at(lab, host))


async def _happen(event: str, lab: Lab, servers: Sequence[Node], left: Node, right: Node) -> None:
    """Do what an event is."""
    kind, _, place = event.partition("-")
    if kind == "roam":  # in a thread: nodes that stand still meanwhile would take that for a slow network
        await asyncio.to_thread(lab.roam, place)
    elif kind == "reboot":
        await asyncio.to_thread(lab.reboot_nat, place)
    else:
        endpoint = _link(left, right).endpoint
        relay = None if endpoint is None else left.rooms.traversal.relay_of(endpoint)
        for server in servers:
            if relay is not None and server.public_key == relay.public_key:
                await server.abort()


def _link(one: Node, other: Node) -> Link:
    link = one.rooms.tunnels.link_to(other.public_key)
    if link is None:
        raise RuntimeError("the tunnel has ended")
    return link


def _road(one: Node, other: Node) -> str:
    endpoint = _link(one, other).endpoint
    return "relayed" if endpoint is not None and is_relayed(endpoint) else "direct"
