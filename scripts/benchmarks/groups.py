"""Groups of real members in one process, over real sockets: what an idle one costs, and how fast a message reaches all.

A member is what a node runs for one group: a socket, membership and messages, with real keys. The rest of the node (its
DHT, its tunnels) is left out: five hundred of those keep a processor busy without any group.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator
from random import Random

from pilotdht.config.gossip import GossipConfig
from pilotdht.config.net import NetConfig
from pilotdht.gossip.values import Event
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better
from simulations.groups.speaker import SpeakingMember
from simulations.population.member import Identity

LOOPBACK = Endpoint("127.0.0.1", 0)
AT_ONCE = 8
"""Members that start and join at the same time."""

SETTLED_WITHIN_S = 240.0
QUIET_S = 60.0
"""What joining leaves to do in the background is done by then."""

MESSAGE = b"x" * 200
FANS_OUT = 20


def rows(quick: bool) -> list[Row]:
    """Return the figures of groups."""
    if quick:
        return asyncio.run(_group(50, quiet_s=5.0, idle_s=5.0, messages=10))
    return asyncio.run(_group(500, quiet_s=QUIET_S, idle_s=30.0, messages=60))


async def _group(members: int, *, quiet_s: float, idle_s: float, messages: int) -> list[Row]:
    town = _Town(members)
    async with contextlib.AsyncExitStack() as stack:
        began = time.process_time()
        await town.start(stack)
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while any(one.swim.alive_count() < members for one in town.members):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.5)
        joined_s = (time.process_time() - began) / members
        await asyncio.sleep(quiet_s)
        idle_cpu_s, idle_bytes = await town.idle(idle_s)
        taken = await town.publish(messages)
    fanned = await _fan_out(members)
    p50, p99 = (1e3 * _quantile(taken, share) for share in (0.5, 0.99))
    base_p50, base_p99 = (1e3 * _quantile(fanned, share) for share in (0.5, 0.99))
    base = "bare UDP: the sender itself tells everybody"
    return [
        Row(name=f"joining, processor time a member of {members}", value=1e3 * joined_s, unit="ms"),
        Row(
            name=f"idle member of {members}, processor time",
            value=100 * idle_cpu_s / idle_s / members,
            unit="% of a core",
            note="both ends of all probes included",
        ),
        Row(name=f"idle member of {members}, sent", value=idle_bytes / idle_s / members, unit="bytes/s"),
        Row(
            name=f"message to {members}, p50",
            value=p50,
            unit="ms",
            baseline_name=base,
            baseline_value=base_p50,
            ratio=better(p50, base_p50, lower_is_better=True),
        ),
        Row(
            name=f"message to {members}, p99",
            value=p99,
            unit="ms",
            baseline_name=base,
            baseline_value=base_p99,
            ratio=better(p99, base_p99, lower_is_better=True),
            note=f"{messages} messages one after another, each at every member",
        ),
    ]


class _Member(SpeakingMember):
    """A member whose keys agree as a node's do."""

    net_config = NetConfig()

    def __init__(self, identity: Identity, town: _Town) -> None:
        super().__init__(
            identity,
            doors=real_doors(UdpNetwork(NetConfig())),
            config=GossipConfig(),
            contact_of=town.contact_of,
            on_change=lambda _number, _change: None,
        )
        self.keys = KeyPair.from_seed(identity.seed)
        self.on_event = town.heard

    @property
    def sent_bytes(self) -> int:
        """Bytes of datagrams sent so far."""
        return self._net_metrics.bytes_out


class _Town:
    """All members, and what they hear."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._random = Random(1)
        self._contacts: dict[Endpoint, Contact] = {}
        self._arrivals: list[float] = []
        self._all_heard = asyncio.Event()
        self.members: list[_Member] = []

    def contact_of(self, endpoint: Endpoint) -> Contact:
        """Return who is at an endpoint."""
        return self._contacts[endpoint]

    def heard(self, _number: int, _event: Event) -> None:
        """Note when a message was read."""
        self._arrivals.append(time.perf_counter())
        if len(self._arrivals) == self._count:
            self._all_heard.set()

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start all members; each joins through three that are there."""
        endpoints = await _free_endpoints(self._count)
        made = [
            _Member(Identity(number=number, seed=number.to_bytes(32, "big"), endpoint=endpoint), self)
            for number, endpoint in enumerate(endpoints)
        ]
        self._contacts = {one.identity.endpoint: one.contact for one in made}
        await self._start_one(made[0], stack)

        async def start(waiting: Iterator[_Member]) -> None:
            for member in waiting:
                await self._start_one(member, stack)

        waiting = iter(made[1:])
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(start(waiting))

    async def _start_one(self, member: _Member, stack: contextlib.AsyncExitStack) -> None:
        there = self._random.sample(self.members, min(3, len(self.members)))
        stack.push_async_callback(member.crash)
        await member.start([one.identity.endpoint for one in there])
        self.members.append(member)

    async def idle(self, duration_s: float) -> tuple[float, float]:
        """Return processor seconds and bytes sent by all while nothing happens."""
        before = sum(one.sent_bytes for one in self.members)
        began = time.process_time()
        await asyncio.sleep(duration_s)
        return time.process_time() - began, sum(one.sent_bytes for one in self.members) - before

    async def publish(self, count: int) -> list[float]:
        """Return the seconds from publishing to each arrival at a member, the sender's own included."""
        taken: list[float] = []
        for _ in range(count):
            self._arrivals.clear()
            self._all_heard.clear()
            began = time.perf_counter()
            self._random.choice(self.members).say(MESSAGE)
            async with asyncio.timeout(30):
                await self._all_heard.wait()
            taken += [arrival - began for arrival in self._arrivals]
            await asyncio.sleep(0.05)
        return taken


async def _free_endpoints(count: int) -> list[Endpoint]:
    """Return loopback endpoints that nobody uses now."""
    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=LOOPBACK))[0] for _ in range(count)
    ]
    ports = [transport.get_extra_info("sockname")[1] for transport in transports]
    for transport in transports:
        transport.close()
    await asyncio.sleep(0)
    return [Endpoint(LOOPBACK.host, port) for port in ports]


async def _fan_out(members: int) -> list[float]:
    """Return the seconds to each arrival when one socket sends the message to every other one itself."""
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    began = 0.0

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            taken.append(time.perf_counter() - began)

    transports = [(await loop.create_datagram_endpoint(Receiver, local_addr=LOOPBACK))[0] for _ in range(members)]
    addresses = [transport.get_extra_info("sockname") for transport in transports]
    for number in range(FANS_OUT):
        wanted = (number + 1) * (members - 1)
        began = time.perf_counter()
        for address in addresses[1:]:
            transports[0].sendto(MESSAGE, address)
        async with asyncio.timeout(10):
            while len(taken) < wanted:  # noqa: ASYNC110 - each turn of the loop brings some
                await asyncio.sleep(0)
    for transport in transports:
        transport.close()
    return taken


def _quantile(samples: list[float], share: float) -> float:
    return statistics.quantiles(samples, n=1000, method="inclusive")[max(0, round(1000 * share) - 1)]
