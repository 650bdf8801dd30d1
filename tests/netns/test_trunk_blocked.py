"""Real daemons behind firewalls that let no UDP through: they reach everybody, and everybody reaches them."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from pilotdht.client.client import Client, ClientStream
from pilotdht.errors import PilotError
from scripts.lab.agents import Agent, endpoints_of, introduce, start_servers
from scripts.lab.laboratory import Lab
from scripts.lab.matrix import Outcome, Plan, measure
from tests.netns.conftest import BuildLab

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # several daemons start on a machine that may be busy

SERVED = {"trunk.listen": ":443"}
PORT = 3000
SIZE = 10_000_000
PUBLISHED_S = 3.0
"""After attaching to servers a record that names them is published."""
CHUNK_BYTES = 262_144


def plan(*pairs: tuple[str, str]) -> Plan:
    """Return what is measured."""
    return Plan(
        pairs=pairs,
        python=sys.executable,
        servers=3,
        settle_s=2.0,
        direct_wait_s=0.0,
        delay_ms=10.0,
        settings={},
        server_settings=SERVED,
    )


def test_blocked_hosts_reach_all_kinds_and_are_reached(can_build_lab: None) -> None:
    """In public, behind the NAT of a home, behind one with random ports, blocked as well; where only the web passes."""
    told: list[Outcome] = []
    pairs = [
        ("udpblocked", "open"),
        ("udpblocked", "portrestricted"),
        ("symmetric", "udpblocked"),
        ("udpblocked", "udpblocked"),
        ("webonly", "udpblocked"),
    ]
    outcomes = measure(plan(*pairs), told.append)
    assert [(left, right, True, "") for left, right in pairs] == [
        (one.left, one.right, one.is_connected, one.error) for one in outcomes
    ]


def test_blocked_host_is_in_the_mesh_within_seconds_of_its_start(build_lab: BuildLab, tmp_path: Path) -> None:
    """Its daemon tells by which server; ten megabytes go to another one intact while that server is killed."""
    lab = build_lab(left="udpblocked", right="udpblocked", servers=4, delay_ms=10.0)
    servers = start_servers(lab, tmp_path, python=sys.executable, settings=SERVED)
    agents = {host: Agent(lab=lab, host=host, home=tmp_path / host, python=sys.executable) for host in ("a", "b")}
    try:
        introduce(agents["a"].home, agents["b"].home)
        bootstrap = [endpoint for server in lab.servers for endpoint in endpoints_of(server)]
        begun = time.monotonic()
        for host, agent in agents.items():
            agent.launch(hostname=f"blocked-{host}", bootstrap=bootstrap, settings={})
        for agent in agents.values():
            agent.wait_until_ready()
        asyncio.run(_transfer(lab, servers, agents, begun))
    finally:
        for agent in (*agents.values(), *servers):
            agent.stop()


async def _transfer(lab: Lab, servers: list[Agent], agents: dict[str, Agent], begun: float) -> None:
    async with Client(agents["a"].facts["socket"]) as left, Client(agents["b"].facts["socket"]) as right:
        async with asyncio.timeout(30):
            while not all([(await _info(agent))["is_joined"] for agent in agents.values()]):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        joined_s = time.monotonic() - begun
        async with asyncio.timeout(30):
            while not (await _can_be_called(left) and await _can_be_called(right) and await _is_found(left)):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await asyncio.sleep(PUBLISHED_S)
        async with right.listen(PORT) as streams:
            receiving = asyncio.ensure_future(_receive(anext(streams)))
            data, digest = Random(1).randbytes(CHUNK_BYTES), hashlib.sha256()
            async with await left.dial("blocked-b", PORT, timeout_s=20.0) as stream:
                for number in range(SIZE // CHUNK_BYTES):
                    if number == SIZE // CHUNK_BYTES // 2:
                        await _kill_server_of(agents["a"], servers)
                    digest.update(data)
                    await stream.write(data)
                await stream.write_eof()
                answer = await stream.read_exactly(32)
            pause_s, received = await receiving
        assert digest.digest() == answer == received
        assert pause_s < 5.0
        assert joined_s < 30.0


async def _receive(first: Awaitable[ClientStream]) -> tuple[float, bytes]:
    """Take one stream to its end; return the longest pause in seconds, and the hash."""
    digest, longest_s, at = hashlib.sha256(), 0.0, time.monotonic()
    async with await first as stream:
        while data := await stream.read(65_536):
            longest_s = max(longest_s, time.monotonic() - at)
            at = time.monotonic()
            digest.update(data)
        await stream.write(digest.digest())
        await stream.write_eof()
    return longest_s, digest.digest()


async def _info(agent: Agent) -> dict[str, Any]:
    async with agent.channel() as channel:
        return cast("dict[str, Any]", await channel.get("/v1/info"))


async def _can_be_called(client: Client) -> bool:
    """Return whether servers hold a way to an agent: it is found through them when both sides move at once."""
    return len((await client.netcheck()).servers) > 1


async def _is_found(client: Client) -> bool:
    try:
        await client.find("blocked-b")
    except PilotError:
        return False
    return True


async def _kill_server_of(agent: Agent, servers: list[Agent]) -> None:
    """Kill the server whose trunk an agent is on."""
    address = (await _info(agent))["trunk"]
    (server,) = [one for one in servers if one.facts["address"] == address]
    server.kill()
