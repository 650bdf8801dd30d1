"""Two hosts on one link reach each other there: behind a router that does not hairpin, and without any server."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from pilotdht.config.config import Config
from pilotdht.errors import PilotError
from pilotdht.net.prefixes import is_local
from pilotdht.net.switchboard import is_virtual
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from scripts.lab import Lab
from scripts.lab.agents import Agent, introduce
from scripts.lab.doors import doors_at
from tests.netns.conftest import BuildLab
from tests.support.nodes import befriend

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PORT = 4433
SERVERS = 4
WAIT_S = 30.0
"""Longest wait for what takes about a second; a busy machine may take longer."""

needs_zeroconf = pytest.mark.skipif(
    importlib.util.find_spec("zeroconf") is None, reason="zeroconf is not installed: pip install 'pilotdht[lan]'"
)


def node_at(lab: Lab, host: str, *, is_server: bool = False) -> Node:
    """Return a node that is not started yet, named after its host; it joins through the servers."""
    config = Config(
        hostname=f"node-{host}",
        listen=Endpoint("0.0.0.0", PORT if is_server else 0),  # noqa: S104 - inside a laboratory
        bootstrap=tuple(f"{server.host}:{PORT}" for server in lab.servers if server.name != host),
        start_timeout_s=1.0 if is_server else 5.0,
    )
    return Node(config, doors=doors_at(lab, host))


async def until(is_so: Any) -> float:
    """Wait for something; return how long it took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < WAIT_S
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def hosts_of(endpoints: Any) -> list[str]:
    """Return the addresses of endpoints."""
    return [endpoint.host for endpoint in endpoints]


@pytest.mark.asyncio
async def test_two_hosts_behind_one_router_without_hairpin_talk_over_their_lan(build_lab: BuildLab) -> None:
    """They trust each other, so each tells the other its private address when they meet; the record tells nobody."""
    lab = build_lab(left="portrestricted", right="same", servers=SERVERS)
    async with AsyncExitStack() as stack:
        for server in lab.servers:
            await stack.enter_async_context(node_at(lab, server.name, is_server=True))
        left = await stack.enter_async_context(node_at(lab, "a"))
        right = await stack.enter_async_context(node_at(lab, "b"))
        await until(lambda: all(node.rooms.traversal.introducers for node in (left, right)))
        await until(lambda: all(node.rooms.traversal.meeting_points() for node in (left, right)))
        for node in (left, right):
            assert not [host for host in hosts_of(node.endpoints) if is_local(host)]
        await befriend(left, right)
        await left.connect("node-b")

        def place() -> Endpoint:
            link = left.rooms.tunnels.link_to(right.public_key)
            assert link is not None
            assert link.endpoint is not None
            return link.endpoint

        took_s = await until(lambda: not is_virtual(place()))
        assert lab.machine("b").host == place().host
        assert took_s < 10.0
        (link,) = [link for link in left.connections() if link.address == right.address]
        assert link.is_lan


async def pinged(agent: Agent, target: str) -> dict[str, Any]:
    """Ping until there is an answer."""
    began = time.monotonic()
    async with agent.channel() as channel:
        while True:
            try:
                answer = cast("dict[str, Any]", await channel.post("/v1/ping", {"target": target, "timeout_s": 2.0}))
            except PilotError as error:
                if time.monotonic() - began > WAIT_S:
                    raise AssertionError(f"{target} was not reached") from error
                await asyncio.sleep(0.02)
            else:
                return answer


@needs_zeroconf
@pytest.mark.parametrize("kind", ["portrestricted", "ipv6only"])
@pytest.mark.asyncio
async def test_two_daemons_on_one_link_find_each_other_without_bootstrap(
    build_lab: BuildLab, tmp_path: Path, kind: str
) -> None:
    """Nobody told them of anybody: they hear each other, join, and ping by name within seconds."""
    lab = build_lab(left=kind, right="same", servers=1)
    agents = [Agent(lab=lab, host=host, home=tmp_path / host, python=sys.executable) for host in ("a", "b")]
    introduce(*[agent.home for agent in agents])
    with ExitStack() as stack:
        for agent in agents:
            stack.callback(agent.stop)
            agent.launch(hostname=f"agent-{agent.host}", settings={})
        for agent in agents:
            agent.wait_until_ready()
        began = time.monotonic()
        answer = await pinged(agents[0], "agent-b")
        took_s = time.monotonic() - began
        assert "lan" == answer["road"]
        assert took_s < 10.0
        async with agents[0].channel() as channel:
            check = cast("dict[str, Any]", await channel.get("/v1/netcheck"))
            while not check["neighbours"]:  # the other one may have heard this one before it was heard itself
                assert time.monotonic() - began < WAIT_S, "the other one was never heard"
                await asyncio.sleep(0.1)
                check = cast("dict[str, Any]", await channel.get("/v1/netcheck"))
        (neighbour,) = check["neighbours"]
        assert ("on", answer["address"]) == (check["lan"], neighbour["address"])
        assert neighbour["standing"] in ("answered", "heard")  # heard alone: the other one has asked first


@needs_zeroconf
@pytest.mark.asyncio
async def test_daemon_that_only_listens_is_not_found_and_finds(build_lab: BuildLab, tmp_path: Path) -> None:
    """It hears the one that announces itself, and joins through it; nobody hears it."""
    lab = build_lab(left="portrestricted", right="same", servers=1)
    quiet, told = (Agent(lab=lab, host=host, home=tmp_path / host, python=sys.executable) for host in ("a", "b"))
    with ExitStack() as stack:
        for agent, mode in ((told, "on"), (quiet, "listen")):
            stack.callback(agent.stop)
            agent.launch(hostname=f"agent-{agent.host}", settings={"mdns.mode": mode})
            agent.wait_until_ready()
        checks: list[dict[str, Any]] = []
        began = time.monotonic()
        async with quiet.channel() as quiet_channel, told.channel() as told_channel:
            while not checks or "answered" not in str(checks[0]["neighbours"]):
                assert time.monotonic() - began < WAIT_S
                await asyncio.sleep(0.05)
                checks = [
                    cast("dict[str, Any]", await one.get("/v1/netcheck")) for one in (quiet_channel, told_channel)
                ]
        assert ["listen", "on"] == [check["lan"] for check in checks]
        assert [] == checks[1]["neighbours"]
