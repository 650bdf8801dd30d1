"""Who reaches whom, how quickly, and by which road: real daemons behind each pair of kinds.

The servers run through all pairs. Each pair has two new daemons with new keys, which trust one another; the left one,
``a``, dials the right one by its hostname. *First byte* is from asking to the answer of a ping through the tunnel, with
the name resolved and the tunnel opened on the way. *Direct after* is from asking to the first moment at which the
dialler's list of connections calls the road direct; it is absent while that list names no roads.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pilotdht.client.channel import ControlChannel
from pilotdht.errors import PilotError
from scripts.lab.agents import Agent, endpoints_of, introduce, start_servers
from scripts.lab.laboratory import Lab

POLL_S = 0.02
"""How often the dialler is asked for its road."""

JOIN_WAIT_S = 5.0
"""How long both may take to be part of the mesh after they said that they are ready: where UDP is blocked, for ever."""

HANG_S = 1.0
"""A daemon that keeps no time-out for so long hangs."""

DIRECT = ("direct", "lan")
"""How the names of roads begin that no relay is part of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and with what."""

    pairs: Sequence[tuple[str, str]]
    """Left and right kinds."""
    python: str
    """The interpreter that has the project."""
    timeout_s: float = 10.0
    """How long a dial may take."""
    direct_wait_s: float = 5.0
    """How long a direct road is waited for after the first byte."""
    settle_s: float = 1.0
    """Between both being part of the mesh and the dial: real agents have been up for a while."""
    servers: int = 4
    """Nodes with public addresses, through which all others join."""
    delay_ms: float = 0.0
    """Of each home's line, each way."""
    loss: float = 0.0
    """Share lost on each home's line, each way."""
    settings: Mapping[str, str]
    """Of all nodes."""
    server_settings: Mapping[str, str]
    """Of the servers' nodes, besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one pair."""

    left: str
    """Kind of the dialler."""
    right: str
    """Kind of the dialled."""
    is_connected: bool
    """Whether the ping was answered."""
    first_byte_ms: float | None
    """Until then; absent when it was not."""
    direct_ms: float | None
    """Until the road was direct; absent when it never was, or roads are not told."""
    road: str | None
    """The road at the end; absent when not connected, or roads are not told."""
    rtt_ms: float | None
    """Round trip over the road at the end."""
    error: str
    """Code of the error, or empty."""
    failed_after_ms: float | None
    """Until the error; absent when there was none."""


def measure(plan: Plan, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Measure all pairs, one after another; ``tell`` hears of each as it is done.

    Raises:
        LabError: the laboratory could not be built, or a daemon did not start.
    """
    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="natlab-") as name,
        Lab(left="open", right="open", servers=plan.servers, delay_ms=plan.delay_ms, loss=plan.loss) as lab,
    ):
        folder = Path(name)
        server, *_ = start_servers(lab, folder, python=plan.python, settings={**plan.settings, **plan.server_settings})
        for number, (left, right) in enumerate(plan.pairs):
            outcome = _measure_pair(plan, lab, server, folder / str(number), left, right)
            outcomes.append(outcome)
            tell(outcome)
    return outcomes


def _measure_pair(plan: Plan, lab: Lab, server: Agent, folder: Path, left: str, right: str) -> Outcome:
    """Measure one pair."""
    lab.set_nat("a", left)
    lab.set_nat("b", right)
    agents = {host: Agent(lab=lab, host=host, home=folder / host, python=plan.python) for host in ("a", "b")}
    target = f"right-{folder.name}"
    introduce(agents["a"].home, agents["b"].home)
    try:
        for host, agent in agents.items():
            kind = lab.kind(host)
            bootstrap = [
                endpoint
                for public in lab.servers
                for endpoint in endpoints_of(public, has_ipv4=kind.has_ipv4, has_ipv6=kind.has_ipv6)
            ]
            hostname = target if host == "b" else f"left-{folder.name}"
            agent.launch(hostname=hostname, bootstrap=bootstrap, settings=plan.settings)
        for agent in agents.values():
            agent.wait_until_ready()
        return asyncio.run(_wait_and_dial(plan, server, agents["a"], target, left, right))
    finally:
        for agent in agents.values():
            agent.stop()


async def _wait_and_dial(plan: Plan, server: Agent, dialler: Agent, target: str, left: str, right: str) -> Outcome:
    """Dial once both agents are part of the mesh, or seem never to be."""
    async with server.channel() as asked, dialler.channel() as channel:
        deadline = time.monotonic() + JOIN_WAIT_S
        while not await _are_known(asked, channel, target):
            if time.monotonic() >= deadline:
                break  # the dial tells what is wrong
            await asyncio.sleep(POLL_S)
        await asyncio.sleep(plan.settle_s)
        return await _dial(plan, channel, target, left, right)


async def _are_known(server: ControlChannel, dialler: ControlChannel, target: str) -> bool:
    """Return whether the dialler has joined and a server finds the target; the dialler itself learns nothing by it."""
    try:
        await server.post("/v1/find", {"target": target})
        return bool(cast("dict[str, Any]", await dialler.get("/v1/info"))["is_joined"])
    except PilotError:
        return False


async def _dial(plan: Plan, channel: ControlChannel, target: str, left: str, right: str) -> Outcome:
    """Dial, and watch the road."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(plan.timeout_s + HANG_S):
            reply = await channel.post("/v1/ping", {"target": target, "timeout_s": plan.timeout_s})
    except (PilotError, TimeoutError) as error:
        return Outcome(
            left=left, right=right, is_connected=False, first_byte_ms=None, direct_ms=None, road=None, rtt_ms=None,
            error=error.code if isinstance(error, PilotError) else "hung", failed_after_ms=_since(begun),
        )  # fmt: skip
    first_byte_ms = _since(begun)
    address = str(cast("dict[str, Any]", reply)["address"])
    direct_ms, road = await _watch_road(plan, channel, address, begun)
    rtt_ms = None
    try:
        again = await channel.post("/v1/ping", {"target": target, "timeout_s": plan.timeout_s})
        rtt_ms = float(cast("dict[str, Any]", again)["rtt_s"]) * 1000
    except PilotError as error:
        return Outcome(
            left=left, right=right, is_connected=False, first_byte_ms=first_byte_ms, direct_ms=direct_ms, road=road,
            rtt_ms=None, error=f"lost again: {error.code}", failed_after_ms=_since(begun),
        )  # fmt: skip
    return Outcome(
        left=left, right=right, is_connected=True, first_byte_ms=first_byte_ms, direct_ms=direct_ms, road=road,
        rtt_ms=rtt_ms, error="", failed_after_ms=None,
    )  # fmt: skip


async def _watch_road(
    plan: Plan, channel: ControlChannel, address: str, begun: float
) -> tuple[float | None, str | None]:
    """Return when the road became direct, and the last one seen."""
    deadline = time.monotonic() + plan.direct_wait_s
    while True:
        road = await _road(channel, address)
        if road is None or road.startswith(DIRECT):
            return (None if road is None else _since(begun)), road
        if time.monotonic() >= deadline:
            return None, road
        await asyncio.sleep(POLL_S)


async def _road(channel: ControlChannel, address: str) -> str | None:
    """Return what the dialler calls its road to a peer; absent when it names none."""
    listed = cast("dict[str, Any]", await channel.get("/v1/connections"))
    for connection in listed["connections"]:
        if connection["address"] == address:
            road = connection.get("road")
            return None if road is None else str(road)
    return None


def _since(begun: float) -> float:
    """Return the milliseconds since then."""
    return (time.monotonic() - begun) * 1000
