"""An agent that sleeps and wakes up, as a laptop does, while a stream to its peer is open.

The process stands still (SIGSTOP) for a while and then goes on; its home may have moved to another provider meanwhile.
Measured is from waking up to the next answer of the peer, on the same stream or on one opened after it had failed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.agents import Agent, start_servers
from scripts.lab.churn import SETTLE_S, hostname_at, start_pairs
from scripts.lab.laboratory import Lab
from scripts.lab.talk import Talk, talking

AWAKE_WITHIN_S = 2.0
"""A pair is to be together again so soon after waking up."""

GIVEN_UP_S = 60.0
"""How long is waited for an answer after waking up."""

BETWEEN_S = 8.0
"""Between an answer and the next sleep: what was looked for again has been found."""

POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who sleeps, how long, and what happens meanwhile."""

    left: str = "portrestricted"
    """Access of the one that dials."""
    right: str = "portrestricted"
    """Access of its peer."""
    asleep_s: tuple[float, ...] = (5.0, 20.0, 60.0)
    """How long it sleeps, one time after another."""
    is_moving: bool = False
    """Its home has moved to another provider when it wakes up."""
    is_far_side: bool = False
    """The one that was dialled sleeps."""
    servers: int = 4
    """Nodes in public."""
    settle_s: float = SETTLE_S
    """Between the first answer and the first sleep."""
    delay_ms: float = 10.0
    """Of each home's line, each way."""
    python: str = sys.executable
    """The interpreter that has the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slept:
    """What came of one sleep."""

    asleep_s: float
    """How long."""
    answer_after_s: float
    """From waking up to the next answer; :data:`GIVEN_UP_S` when there was none."""
    stream: str
    """``went on``, or ``failed`` and was opened again."""
    road: str
    """The road of the next answers: ``direct``, or ``relayed``."""


def suspend(plan: Plan, tell: Callable[[str], None]) -> list[Slept]:
    """Build all of it, have an agent sleep as often as planned, and return what came of it.

    Raises:
        LabError: the laboratory could not be built, a daemon did not start, or the pair never talked.
    """
    with (
        tempfile.TemporaryDirectory(prefix="natlab-") as name,
        Lab(left=plan.left, right=plan.right, servers=plan.servers, delay_ms=plan.delay_ms) as lab,
    ):
        folder = Path(name)
        servers = start_servers(lab, folder, python=plan.python, settings={})
        pair = (plan.left, plan.right)
        agents = start_pairs(lab, folder, python=plan.python, pairs=[pair], settings={})
        talk = Talk(
            " - ".join(pair),
            asker=agents[0].facts["socket"],
            answerer=agents[1].facts["socket"],
            target=hostname_at(agents[1].host),
            tell=tell,
        )
        try:
            return asyncio.run(_run(plan, lab, agents[plan.is_far_side], talk))
        finally:
            for agent in (*agents, *servers):
                agent.kill()


async def _run(plan: Plan, lab: Lab, sleeper: Agent, talk: Talk) -> list[Slept]:
    async with talking([talk]):
        await asyncio.sleep(plan.settle_s)
        slept = []
        for asleep_s in plan.asleep_s:
            slept.append(await _sleep_once(plan, lab, sleeper, talk, asleep_s))
            await asyncio.sleep(BETWEEN_S)
        return slept


async def _sleep_once(plan: Plan, lab: Lab, sleeper: Agent, talk: Talk, asleep_s: float) -> Slept:
    """Have it sleep and wake up, and wait for the next answer."""
    talk.begin()
    sleeper.suspend()
    try:
        await asyncio.sleep(asleep_s)
        if plan.is_moving:
            lab.roam(sleeper.host)
    finally:
        sleeper.resume()
    woken_at = time.monotonic()
    before = talk.talked.answers  # those that were under way when it fell asleep
    while talk.talked.answers == before and time.monotonic() - woken_at < GIVEN_UP_S:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(POLL_S)
    answer_after_s = time.monotonic() - woken_at
    roads = talk.talked.roads
    while not roads and time.monotonic() - woken_at < GIVEN_UP_S:  # noqa: ASYNC110 - it is asked for after the answer
        await asyncio.sleep(POLL_S)
    return Slept(
        asleep_s=asleep_s,
        answer_after_s=answer_after_s,
        stream="failed" if talk.talked.redials else "went on",
        road="direct" if roads and next(reversed(roads)) == "direct" else "relayed" if roads else "-",
    )
