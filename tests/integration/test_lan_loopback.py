"""Real multicast DNS on loopback: nodes that nobody told of anybody find each other."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotdht.config.config import Config
from pilotdht.config.lan import LanConfig
from pilotdht.net.doors import LinkNotice, LinkPost
from pilotdht.net.mdns import SERVICE, mdns_board
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from tests.support.daemon_processes import Agent

pytest.importorskip("zeroconf", reason="zeroconf is not installed: pip install 'pilotdht[lan]'")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

HERE = "127.0.0.1"
WAIT_S = 20.0
"""Longest wait for what takes a tenth of a second; a busy machine may take longer."""

GROUP = ("224.0.0.251", 5353)


@pytest.fixture
def network(tmp_path: Path) -> int:
    """A mesh of this test's own: tests that run at the same time share the loopback interface."""
    return 1 + hash(str(tmp_path)) % 65_000


def config(name: str, network: int, mode: str = "on") -> Config:
    """Return the settings of a node that nobody told of anybody."""
    return Config(
        hostname=name,
        listen=Endpoint(HERE, 0),
        network=network,
        mdns=LanConfig(mode=mode, interfaces=(HERE,)),
    )


async def until(is_so: Callable[[], object]) -> None:
    """Wait for something."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < WAIT_S
        await asyncio.sleep(0.01)


def post(name: str, *, is_told: bool = True) -> LinkPost:
    """Return an announcement on loopback."""
    return LinkPost(
        name=name,
        port=4433,
        text={"v": "1", "id": name},
        is_told=is_told,
        interfaces=(HERE,),
        has_ipv4=True,
        has_ipv6=False,
    )


@pytest.mark.asyncio
async def test_nodes_find_each_other_join_and_part(network: int) -> None:
    """By name, without bootstrap; who leaves is forgotten at once."""
    async with Node(config("one", network)) as one:
        async with Node(config("two", network)) as two:
            await until(lambda: one.peers() and two.peers())
            await until(lambda: [node.netcheck().neighbours for node in (one, two)].count(()) == 0)
            assert (await two.connect("one")).is_lan
            assert ["on", "on"] == [node.netcheck().lan for node in (one, two)]
            (neighbour,) = one.netcheck().neighbours
            assert (two.address, "answered") == (neighbour.address, neighbour.standing)
        await until(lambda: not one.netcheck().neighbours)


@pytest.mark.asyncio
async def test_node_that_listens_hears_and_is_not_heard(network: int) -> None:
    """It joins through the other."""
    async with Node(config("one", network)) as one, Node(config("two", network, "listen")) as two:
        await until(lambda: one.peers() and two.peers())
        assert 1 == len(two.netcheck().neighbours)
        assert () == one.netcheck().neighbours


@pytest.mark.asyncio
async def test_starting_does_not_wait_for_neighbours(network: int) -> None:
    """The library is loaded and the interfaces are opened afterwards, in the background."""
    async with Node(config("one", network)) as one:
        assert "opening" == one.netcheck().lan
        await until(lambda: one.netcheck().lan == "on")


@pytest.mark.asyncio
async def test_board_outlives_garbage_and_tells_what_comes_after_it() -> None:
    """Datagrams that are no DNS, or say too much: none of them is an error, and the next announcement is heard."""
    heard: list[LinkNotice] = []
    board = mdns_board()
    assert board is not None
    link = await board.open(post("garbage", is_told=False))
    await link.begin(on_notice=heard.append, on_gone=lambda _name: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
        for datagram in garbage():
            sender.sendto(datagram, GROUP)
        other = await board.open(post("after-garbage"))
        await other.begin(on_notice=lambda _notice: None, on_gone=lambda _name: None)
        name = f"after-garbage.{SERVICE}"
        await until(lambda: name in [notice.name for notice in heard])
        (notice,) = [notice for notice in heard if notice.name == name][:1]
        assert (("127.0.0.1",), 4433, b"after-garbage") == (notice.addresses, notice.port, notice.text["id"])
    await other.close()
    await link.close()
    await link.close()
    assert ("127.0.0.0/8",) == link.networks


def garbage() -> list[bytes]:
    """Return datagrams that an mDNS listener should not stumble over."""
    header = struct.pack(">HHHHHH", 0, 0x8400, 0, 60_000, 0, 0)
    loop = header + b"\xc0\x0c" + struct.pack(">HHIH", 12, 1, 120, 2) + b"\xc0\x0c"
    name = b"\x01x\x09_pilotdht\x04_udp\x05local\x00"
    texts = header + name + struct.pack(">HHIH", 16, 0x8001, 4500, 3) + b"\xff\xff\xff"
    return [b"", b"\x00", b"\xff" * 1400, header, loop, texts, header + b"\x3f" * 500]


@pytest.mark.parametrize(("words", "state"), [((), "on"), (("--no-lan",), "off")])
def test_daemon_is_found_unless_it_was_told_not_to_be(tmp_path: Path, words: tuple[str, ...], state: str) -> None:
    """``netcheck`` tells, to people and to programs."""
    agent = Agent(home=tmp_path / "agent")
    agent.start("--network", "64999", "--set", f"mdns.interfaces={HERE}", *words)
    try:
        began = time.monotonic()
        while (check := agent.json("netcheck"))["lan"] == "opening":
            assert time.monotonic() - began < WAIT_S
        assert (state, []) == (check["lan"], check["neighbours"])
        assert b"Local network" in agent.run("netcheck").stdout
    finally:
        agent.stop()
