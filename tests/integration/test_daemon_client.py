"""The Python client against real daemons: the same verbs as a node inside the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotdht.client.client import Client
from pilotdht.errors import NotFound, Refused
from tests.support.daemon_processes import agents

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Return the control sockets of two agents that trust each other."""
    with agents(tmp_path_factory.mktemp("client"), 2) as (alpha, beta):
        first = alpha.start("--hostname", "alpha", "--tags", "finance")
        second = beta.start("--hostname", "beta", "--bootstrap", first["endpoints"][0])
        beta.json("handshake", "alpha")
        alpha.json("approve", "beta")
        yield Path(first["socket"]), Path(second["socket"])


@pytest.mark.asyncio
async def test_client_finds_and_measures(sockets: tuple[Path, Path]) -> None:
    """Facts have the types that a node gives."""
    async with Client(sockets[0]) as alpha, Client(sockets[1]) as beta:
        own = await alpha.info()
        peer = await beta.find("alpha")

        assert own.address == peer.address
        assert ["alpha"] == [found.hostname for found in await beta.lookup(tag="finance")]
        assert 0 < await beta.ping("alpha") < 5
        assert own.address == (await beta.connect("alpha")).address
        assert own.address in [connection.address for connection in await beta.connections()]
        assert [peer.public_key] == [entry.public_key for entry in await beta.trusted()]
        with pytest.raises(NotFound):
            await beta.find("nobody-at-all")


@pytest.mark.asyncio
async def test_streams_go_from_client_to_client(sockets: tuple[Path, Path]) -> None:
    """Two programs talk through their daemons; each sees the other's proven key."""
    data = os.urandom(300_000)
    async with Client(sockets[0]) as alpha, Client(sockets[1]) as beta:
        async with alpha.listen(3000) as streams:
            there = await beta.dial("alpha", 3000)
            async with asyncio.TaskGroup() as group:
                group.create_task(there.write(data))
                here = await anext(streams)
                received = await here.read_exactly(len(data))
            await here.write(b"thanks")
            await here.write_eof()
            answer = [chunk async for chunk in there]
            await there.close()
            await here.close()
        with pytest.raises(Refused):
            await beta.dial("alpha", 3000)
        keys = ((await beta.find("alpha")).public_key, (await alpha.find("beta")).public_key)

    assert data == received
    assert [b"thanks"] == answer
    assert keys == (there.peer, here.peer)


@pytest.mark.asyncio
async def test_messages_are_kept_and_taken(sockets: tuple[Path, Path]) -> None:
    """Sent while nobody listens, received later; a receiver that was cancelled takes nothing."""
    async with Client(sockets[0]) as alpha, Client(sockets[1]) as beta:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await alpha.receive()
        await alpha.info()
        await beta.send("alpha", b"\x00kept\xff")
        message = await alpha.receive(timeout_s=10)

    assert (b"\x00kept\xff", 1000, "beta") == (message.data, message.port, message.hostname)


@pytest.mark.asyncio
async def test_metrics_of_a_real_node_are_served(sockets: tuple[Path, Path]) -> None:
    """Every room's counters are in the text."""
    async with Client(sockets[0]) as alpha:
        text = await alpha.metrics()

    for room in ("net", "dht", "tunnel", "trust", "daemon"):
        assert f"\npilotdht_{room}_" in text, room
