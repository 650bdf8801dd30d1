"""Groups of whole nodes in one process: what an idle member costs, and how fast a message reaches all."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from random import Random

from pilotdht.config.config import Config
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.group import Group
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better

LOOPBACK = Endpoint("127.0.0.1", 0)
GROUP = "bench"
AT_ONCE = 8
"""Nodes that start and join at the same time."""

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
    async with contextlib.AsyncExitStack() as stack:
        began = time.process_time()
        nodes = await _nodes(members, stack)
        groups = [node.group(GROUP) for node in nodes]
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while any(group.info().alive < members for group in groups):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.5)
        joined_s = (time.process_time() - began) / members
        await asyncio.sleep(quiet_s)
        without_s, without_bytes = await _idle(nodes, idle_s)
        subscriptions = [stack.enter_context(contextlib.closing(group.subscribe("bench.*"))) for group in groups]
        taken = await _publish(groups, subscriptions, messages)
    fanned = await _fan_out(members)
    p50, p99 = (1e3 * _quantile(taken, share) for share in (0.5, 0.99))
    base_p50, base_p99 = (1e3 * _quantile(fanned, share) for share in (0.5, 0.99))
    base = "bare UDP: the sender itself tells everybody"
    return [
        Row(name=f"joining, processor time a member of {members}", value=1e3 * joined_s, unit="ms"),
        Row(
            name=f"idle member of {members}, processor time",
            value=100 * without_s / idle_s / members,
            unit="% of a core",
            note="whole nodes, their DHT included",
        ),
        Row(name=f"idle member of {members}, sent", value=without_bytes / idle_s / members, unit="bytes/s"),
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


async def _nodes(count: int, stack: contextlib.AsyncExitStack) -> list[Node]:
    first = await stack.enter_async_context(Node(Config(hostname="agent-0", listen=LOOPBACK)))
    await first.create_group(GROUP)
    nodes = [first]
    numbers = iter(range(1, count))

    async def start() -> None:
        for number in numbers:
            bootstrap = tuple(str(node.endpoints[0]) for node in nodes[:3])
            node = Node(Config(hostname=f"agent-{number}", listen=LOOPBACK, bootstrap=bootstrap))
            nodes.append(await stack.enter_async_context(node))
            await node.join_group(GROUP)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(start())
    return nodes


async def _idle(nodes: list[Node], duration_s: float) -> tuple[float, float]:
    """Return processor seconds and bytes sent by all nodes while nothing happens."""
    before = sum(_sent_bytes(node) for node in nodes)
    began = time.process_time()
    await asyncio.sleep(duration_s)
    return time.process_time() - began, sum(_sent_bytes(node) for node in nodes) - before


def _sent_bytes(node: Node) -> float:
    return node.registry.get_sample_value("pilotdht_net_sent_bytes_total") or 0.0


async def _publish(groups: list[Group], subscriptions: list[Subscription], count: int) -> list[float]:
    """Return the seconds from publishing to each arrival at another member."""
    random = Random(1)
    taken: list[float] = []
    for number in range(count):
        sender = random.randrange(len(groups))
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            arrivals = [tasks.create_task(_arrival(subscription)) for subscription in subscriptions]
            await asyncio.sleep(0)  # all are reading from here on
            began = time.perf_counter()
            await groups[sender].publish(f"bench.{number}", MESSAGE)
        taken += [arrival.result() - began for place, arrival in enumerate(arrivals) if place != sender]
        await asyncio.sleep(0.05)
    return taken


async def _arrival(subscription: Subscription) -> float:
    await subscription.next()
    return time.perf_counter()


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
