"""The client has the verbs of a node, and its values are those that a node gives."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from pilotdht.client.client import Client
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import LinkClosed, NodeClosed, NotFound, TimedOut
from pilotdht.node.facts import NodeInfo
from pilotdht.node.node import Node
from pilotdht.trust.states import TrustState
from tests.support.fake_daemon import fake_daemon
from tests.support.fake_node import ALPHA, RTT_S, message, stream_pair

HOST = "agent-alpha"


@pytest.mark.asyncio
async def test_facts_are_those_of_the_node(tmp_path: Path) -> None:
    """What the node says about itself and others comes back equal."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        node = daemon.node

        assert node.info() == await client.info()
        assert await node.find(HOST) == await client.find(HOST)
        assert await node.lookup(tag="finance") == await client.lookup(tag="finance")
        assert list(node.peers()) == await client.peers()
        assert list(node.connections()) == await client.connections()
        assert await node.traceroute(HOST) == await client.traceroute(HOST)
        assert await node.connect(HOST) == await client.connect(HOST)
        assert await node.dht_lookup(HOST) == await client.dht_lookup(HOST)
        assert node.dht_stats() == await client.dht_stats()
        assert RTT_S == await client.ping(HOST)


@pytest.mark.asyncio
async def test_own_name_and_tags_can_be_changed(tmp_path: Path) -> None:
    """Changes arrive at the node."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        await client.set_hostname("other")
        await client.set_tags(["a", "b"])

        assert ("other", ("a", "b")) == (daemon.node.hostname, daemon.node.tags)


@pytest.mark.asyncio
async def test_trust_steps_return_where_trust_stands(tmp_path: Path) -> None:
    """Each step of a handshake tells its outcome, and lists show it."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.ask_for_trust("please")

        assert ["please"] == [entry.reason for entry in await client.pending()]
        assert TrustState.PENDING_OUT is (await client.handshake(HOST, "work")).state
        assert TrustState.TRUSTED is (await client.approve(HOST)).state
        assert [ALPHA.public_key] == [entry.public_key for entry in await client.trusted()]
        assert TrustState.REJECTED is (await client.reject(HOST)).state
        assert TrustState.NONE is (await client.untrust(HOST)).state


@pytest.mark.asyncio
async def test_messages_carry_any_bytes(tmp_path: Path) -> None:
    """Requests, sends and the inbox are binary-safe."""
    data = bytes(range(256))
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        await client.send(HOST, data, port=1001)
        daemon.node.inbox.put_nowait(message(data))

        assert data.upper() == await client.request(HOST, data)
        assert [(HOST, data, 1001)] == daemon.node.sent
        assert message(data) == await client.receive()


@pytest.mark.asyncio
async def test_receive_without_a_message_times_out(tmp_path: Path) -> None:
    """Waiting for a message is bounded."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        with pytest.raises(TimedOut):
            await client.receive(timeout_s=0.05)


@pytest.mark.asyncio
async def test_cancelled_receive_loses_no_message(tmp_path: Path) -> None:
    """A message that comes after its receiver went away is kept for the next one."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.receive()
        await client.info()
        daemon.node.inbox.put_nowait(message(b"kept"))

        assert b"kept" == (await client.receive(timeout_s=5)).data


@pytest.mark.asyncio
async def test_stream_carries_megabytes_both_ways(tmp_path: Path) -> None:
    """A pipe is full-duplex and ends each direction on its own."""
    data = bytes(range(256)) * 8192
    async with (
        fake_daemon(tmp_path) as daemon,
        Client(daemon.socket) as client,
        await client.dial(HOST, 7) as stream,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(stream.write(data))
        echoed = await stream.read_exactly(len(data))
        await stream.write_eof()
        rest = [chunk async for chunk in stream]

    assert (ALPHA.public_key, 7) == (stream.peer, stream.port)
    assert data == echoed
    assert [] == rest
    assert 1 == len(daemon.node.dialled)


@pytest.mark.asyncio
async def test_peer_s_end_is_seen_while_writing_goes_on(tmp_path: Path) -> None:
    """The peer may end first; the own direction stays open."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        stream = await client.dial(HOST, 80)
        there = daemon.node.dialled[0]
        await there.write(b"banner")
        await there.write_eof()

        assert [b"banner"] == [chunk async for chunk in stream]

        await stream.write(b"still here")
        assert b"still here" == await there.read()
        await stream.close()
        assert b"" == await there.read()


@pytest.mark.asyncio
async def test_error_in_the_middle_of_a_stream_keeps_its_class(tmp_path: Path) -> None:
    """A stream that breaks raises what broke it."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        stream = await client.dial(HOST, 80)
        there = daemon.node.dialled[0]
        assert there.other is not None
        there.other.incoming.put_nowait(LinkClosed("the peer is gone", hint="dial again"))

        with pytest.raises(LinkClosed, match="the peer is gone") as caught:
            await stream.read()
        stream.abort()

    assert "dial again" == caught.value.hint
    assert there.other.is_aborted


@pytest.mark.asyncio
async def test_dial_that_fails_raises_what_the_node_raised(tmp_path: Path) -> None:
    """Errors before the pipe stands are plain answers."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        with pytest.raises(NotFound):
            await client.dial("nobody", 80)
        assert daemon.node.info() == await client.info()


@pytest.mark.asyncio
async def test_aborted_stream_is_aborted_at_the_node(tmp_path: Path) -> None:
    """A client that vanishes does not end its stream as if it had said all."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        stream = await client.dial(HOST, 80)
        await stream.write(b"half")
        here = daemon.node.dialled[0].other
        assert here is not None
        stream.abort()
        async with asyncio.timeout(5):
            await here.closed.wait()

    assert here.is_aborted


@pytest.mark.asyncio
async def test_listener_gets_streams_and_answers_them(tmp_path: Path) -> None:
    """An incoming stream is claimed by the listener and carries bytes both ways."""
    here, there = stream_pair(8080)
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        async with client.listen(8080) as streams:
            daemon.node.incoming.put_nowait(here)
            stream = await anext(streams)
            await there.write(b"question")
            await there.write_eof()
            question = b"".join([chunk async for chunk in stream])
            await stream.write(b"answer to " + question)
            await stream.close()

        assert b"answer to question" == await there.read()
        assert (ALPHA.public_key, 8080) == (stream.peer, stream.port)
        assert not here.is_aborted


@pytest.mark.asyncio
async def test_closed_client_is_told_as_such(tmp_path: Path) -> None:
    """A client that was closed says so, twice closed or not."""
    async with fake_daemon(tmp_path) as daemon:
        client = Client(daemon.socket)
        await client.info()
        await client.close()
        await client.close()

        with pytest.raises(NodeClosed):
            await client.info()


@pytest.mark.asyncio
async def test_many_calls_at_once_share_a_bounded_pool(tmp_path: Path) -> None:
    """Calls in parallel all succeed, and few connections are kept afterwards."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(client.ping(HOST)) for _ in range(50)]
        text = await client.metrics()

    assert [RTT_S] * 50 == [call.result() for call in calls]
    kept = float(text.split("\npilotdht_daemon_connections ")[1].split()[0])
    assert kept <= 9


@pytest.mark.asyncio
async def test_client_survives_a_restart_of_the_daemon(tmp_path: Path) -> None:
    """A kept connection that the daemon has closed is not used again."""
    client = Client(tmp_path / "run" / "control.sock")
    for _ in range(2):
        async with fake_daemon(tmp_path) as daemon:
            assert daemon.node.info() == await client.info()
    await client.close()


ONLY_INSIDE = {"address", "did", "endpoints", "hostname", "public_key", "tags"}
"""What ``info`` tells a client; a node has them as properties."""

ONLY_IN_PROCESS = {"put_back", "abort", "state", "reconfigure", "lookup_watch"}
"""Verbs that a client does not need: the daemon puts back what it could not hand on, keeps the state on disk, reads
its configuration itself, and shows lookups on its page."""

NOT_OVER_HTTP = {"options", "traceparent"}
"""Parameters of ``dial`` that only a node inside the process takes."""


def public_methods(kind: type) -> dict[str, list[str]]:
    """Return the public methods of a class with their parameters."""
    return {
        name: [parameter for parameter in inspect.signature(method).parameters if parameter not in NOT_OVER_HTTP]
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_client_has_every_verb_of_a_node() -> None:
    """Whoever can use a node can use a daemon."""
    ours = public_methods(Client)
    for name, parameters in public_methods(Node).items():
        assert name in ONLY_IN_PROCESS or parameters == ours.get(name), name


@pytest.mark.parametrize("name", sorted(ONLY_INSIDE))
def test_what_a_node_has_as_a_property_is_in_its_info(name: str) -> None:
    """The public key is told as did:key."""
    assert isinstance(getattr(Node, name), property)
    assert name in NodeInfo.__dataclass_fields__ or name == "public_key"


def test_protocol_of_the_daemon_is_what_a_node_has() -> None:
    """The control API asks nothing that a node cannot do."""
    verbs = public_methods(NodeVerbs)
    methods = public_methods(Node)
    for name, parameters in verbs.items():
        assert set(parameters) <= set(methods[name]), name
