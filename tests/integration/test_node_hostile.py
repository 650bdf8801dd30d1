"""A whole node under fire: garbage, damaged copies of real datagrams, and replays, from strangers' sockets."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence

import pytest

from pilotdht.net.doors import Batch, DatagramSocket, Receive, real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from tests.support.nodes import befriend, mesh, node_of

pytestmark = [pytest.mark.asyncio, pytest.mark.integration]

SHOTS = 6_000
AT_ONCE = 50


class Tap:
    """A network that keeps a copy of what arrives, for replays."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._network = UdpNetwork()

    async def open(self, listen: Endpoint, receive: Receive) -> DatagramSocket:
        """Open a real socket whose datagrams are copied."""

        def copying(batch: Batch) -> None:
            self.seen.extend(datagram for datagram, _ in batch)
            receive(batch)

        return await self._network.open(listen, copying)


def damaged(datagram: bytes, generator: random.Random) -> bytes:
    """Return a copy of a datagram with one of the usual injuries."""
    injury = generator.randrange(5)
    if injury == 0:
        return datagram[: generator.randrange(len(datagram) + 1)]
    if injury == 1:
        return datagram + generator.randbytes(generator.randrange(1, 64))
    if injury == 2:
        at = generator.randrange(len(datagram))
        return datagram[:at] + bytes([datagram[at] ^ 1 << generator.randrange(8)]) + datagram[at + 1 :]
    if injury == 3:
        return datagram[:1] + generator.randbytes(len(datagram) - 1)
    return datagram


async def fire(shots: Sequence[bytes], target: Endpoint) -> None:
    """Send datagrams from a few strangers' sockets, no faster than the node can look at them."""
    guns = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    try:
        for number, shot in enumerate(shots):
            guns[number % len(guns)].sendto(shot, target)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
    finally:
        for gun in guns:
            gun.close()


HONEST_RECORDS = 7
"""Of three nodes a NODE record and a name each, and a tag."""


def records_of(node: Node) -> set[tuple[bytes, bytes]]:
    """Return where each record that a node keeps lies, and who signed it."""
    return {(held.key, held.signer) for held in node.rooms.dht.store}


async def test_node_under_fire_keeps_working_and_grows_no_further() -> None:
    """Thousands of hostile datagrams end no task, close no socket, evict nobody and lose no record."""
    tap = Tap()
    async with mesh("beta", "gamma") as (beta, gamma):
        alpha = Node(node_of("alpha", beta, tags=("target",)).config, doors=real_doors(tap))
        async with alpha:
            await befriend(beta, alpha)
            async with alpha.listen(80) as listener:
                stream = await beta.dial("alpha", 80)
                accepted = await listener.accept()
                await stream.write(b"before ")
                contacts, records = len(alpha.peers()), records_of(alpha)
                generator = random.Random(7)
                assert {datagram[0] >> 6 for datagram in tap.seen} >= {0, 1, 3}  # sealed, short and long QUIC headers
                shots = [
                    damaged(generator.choice(tap.seen), generator)
                    if generator.random() < 0.8
                    else generator.randbytes(generator.randrange(1500))
                    for _ in range(SHOTS)
                ]
                await fire(shots, alpha.endpoints[0])
                await stream.write(b"and after")
                await stream.write_eof()
                assert b"before and after" == b"".join([chunk async for chunk in accepted])
                await stream.close()
            assert await beta.ping("alpha") > 0
            assert alpha.public_key == (await gamma.find("alpha")).public_key
            assert contacts == len(alpha.peers())
            assert records <= records_of(alpha)  # honest ones may have been on their way still
            assert {signer for _, signer in records_of(alpha)} <= {one.public_key for one in (alpha, beta, gamma)}
            assert len(records_of(alpha)) == alpha.info().records <= HONEST_RECORDS
            assert 0 == alpha._running._scope.failures
            assert [beta.public_key] == [entry.public_key for entry in alpha.trusted()]
            assert alpha.rooms.tunnels.half_open_count <= alpha.config.tunnel.max_half_open
            dropped = sum(
                sample.value
                for metric in alpha.registry.collect()
                for sample in metric.samples
                if "dropped" in sample.name and sample.name.endswith("_total")
            )
            assert dropped > SHOTS / 4


async def test_flood_of_one_stranger_leaves_room_for_others() -> None:
    """While a stranger repeats one stolen datagram without end, a newcomer still joins and is found."""
    async with mesh("alpha", "beta") as (alpha, beta):
        flood = asyncio.create_task(fire([bytes([0x20]) + bytes(200)] * SHOTS, alpha.endpoints[0]))
        async with node_of("newcomer", alpha) as newcomer:
            assert newcomer.public_key == (await beta.find("newcomer")).public_key
        await flood
