"""Servers that die and come back at random, while pairs of agents behind NATs go on talking.

Every agent and every server is a daemon of its own. A server is killed as by a power cut and started again a while
later, with the same key at the same address. So many of them are always up: one counts as up from the moment in which
its daemon says that it has joined. What is measured is the time from each answer to the next one.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from scripts.lab.agents import Agent, endpoints_of, introduce, launch_server, start_servers
from scripts.lab.laboratory import LETTERS, Lab
from scripts.lab.tables import as_table, yes_or_no
from scripts.lab.talk import Talk, Talked, talking

PAIRS = (("portrestricted", "portrestricted"), ("symmetric", "symmetric"), ("cgnat", "portrestricted"))
"""Homes that meet directly once they are introduced, homes that need a relay all the time, and one behind a carrier."""

LONGEST_APART_S = 10.0
"""Beyond it two agents are apart."""

SETTLE_S = 25.0
"""Nothing happens for so long once all pairs talk: agents learn that they stand behind NATs, and attach to servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done, and for how long."""

    pairs: Sequence[tuple[str, str]] = PAIRS
    """Kinds of the two homes of each pair."""
    duration_s: float = 600.0
    """How long servers die and come back."""
    servers: int = 6
    """Nodes in public, through which all join, and which relay."""
    least_up: int = 2
    """Nothing is killed while no more than these are up."""
    pause_s: tuple[float, float] = (2.0, 8.0)
    """Least and longest time between two kills."""
    down_s: tuple[float, float] = (1.0, 15.0)
    """Least and longest time until a killed server is started again."""
    settle_s: float = SETTLE_S
    """Between all pairs talking and the first kill."""
    delay_ms: float = 10.0
    """Of each home's line, each way."""
    seed: int = 1
    """Of what is killed, and when."""
    python: str = sys.executable
    """The interpreter that has the project."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of all nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    pairs: tuple[Talked, ...]
    """What each pair went through."""
    kills: int
    """How often a server was killed."""
    least_up: int
    """The fewest servers that were up at one time."""
    mean_up: float
    """How many were up on average."""
    took_s: float
    """How long servers died and came back."""

    @property
    def is_good(self) -> bool:
        """Whether no pair was apart for too long."""
        return all(pair.longest_s <= LONGEST_APART_S for pair in self.pairs)

    def data(self) -> dict[str, Any]:
        """Return it for programs."""
        told = asdict(self) | {"is_good": self.is_good}
        for pair, shape in zip(self.pairs, told["pairs"], strict=True):
            del shape["gaps_s"]
            shape |= {"p50_s": pair.share_s(0.5), "p99_s": pair.share_s(0.99), "longest_s": pair.longest_s}
        return told

    def text(self) -> str:
        """Return it for people."""
        rows = [
            [
                pair.name, str(pair.answers), f"{pair.share_s(0.5):.2f} s", f"{pair.share_s(0.99):.2f} s",
                f"{pair.longest_s:.2f} s", str(pair.relay_changes), str(pair.redials), pair.roads_told(),
            ]
            for pair in self.pairs
        ]  # fmt: skip
        header = ["pair", "answers", "apart p50", "p99", "longest", "relay changes", "redials", "answers by road"]
        up = f"servers up: {self.mean_up:.1f} on average, {self.least_up} at least"
        verdict = f"no pair was apart for more than {LONGEST_APART_S:.0f} s: {yes_or_no(self.is_good)}"
        return f"{as_table(header, rows)}\n{self.kills} kills in {self.took_s:.0f} s; {up}\n{verdict}"


class Reaper:
    """Kills servers at random and starts them again."""

    def __init__(self, plan: Plan, servers: Sequence[Agent], tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._servers = servers
        self._tell = tell
        self._random = Random(plan.seed)
        self._up = {server.host: True for server in servers}
        self._changed_at = time.monotonic()
        self._up_seconds = 0.0
        self.kills = 0
        """How often a server was killed."""
        self.least_up = len(servers)
        """The fewest servers that were up at one time."""

    async def run(self) -> None:
        """Kill and start again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(self._random.uniform(*self._plan.pause_s))
                up = [server for server in self._servers if self._up[server.host]]
                if len(up) > self._plan.least_up:
                    server = self._random.choice(up)
                    self._set_up(server, is_up=False)
                    server.kill()
                    self.kills += 1
                    group.create_task(self._revive(server, self._random.uniform(*self._plan.down_s)))

    def mean_up(self, since: float) -> float:
        """Return how many servers were up on average since ``since``."""
        self._account()
        return self._up_seconds / (time.monotonic() - since)

    async def _revive(self, server: Agent, after_s: float) -> None:
        await asyncio.sleep(after_s)
        launch_server(server, self._plan.settings)
        await asyncio.to_thread(server.wait_until_ready)
        self._set_up(server, is_up=True)

    def _set_up(self, server: Agent, *, is_up: bool) -> None:
        self._account()
        self._up[server.host] = is_up
        count = sum(self._up.values())
        self.least_up = min(self.least_up, count)
        self._tell(f"{server.host} {'is up' if is_up else 'killed'}; up: {count}")

    def _account(self) -> None:
        now = time.monotonic()
        self._up_seconds += (now - self._changed_at) * sum(self._up.values())
        self._changed_at = now


def churn(plan: Plan, tell: Callable[[str], None]) -> Outcome:
    """Build all of it, let it run, and return what each pair went through; ``tell`` hears of each event.

    Raises:
        LabError: the laboratory could not be built, a daemon did not start, or a pair never talked.
    """
    kinds = [kind for pair in plan.pairs for kind in pair]
    with (
        tempfile.TemporaryDirectory(prefix="natlab-") as name,
        Lab(left=kinds[0], right=kinds[1], more=kinds[2:], servers=plan.servers, delay_ms=plan.delay_ms) as lab,
    ):
        folder = Path(name)
        servers = start_servers(lab, folder, python=plan.python, settings=plan.settings)
        agents = start_pairs(lab, folder, python=plan.python, pairs=plan.pairs, settings=plan.settings)
        talks = [
            Talk(
                f"{left} - {right}",
                asker=agents[2 * number].facts["socket"],
                answerer=agents[2 * number + 1].facts["socket"],
                target=hostname_at(agents[2 * number + 1].host),
                tell=tell,
            )
            for number, (left, right) in enumerate(plan.pairs)
        ]
        try:
            return asyncio.run(_run(plan, servers, talks, tell))
        finally:
            for agent in (*agents, *servers):
                agent.kill()


def start_pairs(
    lab: Lab, folder: Path, *, python: str, pairs: Sequence[tuple[str, str]], settings: Mapping[str, str]
) -> list[Agent]:
    """Start an agent at each home; the two of each pair trust one another.

    Raises:
        LabError: one did not start.
    """
    agents = [Agent(lab=lab, host=letter, home=folder / letter, python=python) for letter in LETTERS[: 2 * len(pairs)]]
    for left, right in zip(agents[::2], agents[1::2], strict=True):
        introduce(left.home, right.home)
    for agent in agents:
        kind = lab.kind(agent.host)
        bootstrap = [
            endpoint
            for server in lab.servers
            for endpoint in endpoints_of(server, has_ipv4=kind.has_ipv4, has_ipv6=kind.has_ipv6)
        ]
        agent.launch(hostname=hostname_at(agent.host), bootstrap=bootstrap, settings=settings)
    for agent in agents:
        agent.wait_until_ready()
    return agents


def hostname_at(host: str) -> str:
    """Return what the agent at a host is called."""
    return f"agent-{host}"


async def _run(plan: Plan, servers: Sequence[Agent], talks: Sequence[Talk], tell: Callable[[str], None]) -> Outcome:
    """Let the pairs talk, then let servers die."""
    async with talking(talks), asyncio.TaskGroup() as group:
        tell("all pairs talk")
        await asyncio.sleep(plan.settle_s)
        for talk in talks:
            talk.begin()
        began, reaper = time.monotonic(), Reaper(plan, servers, tell)
        reaping = group.create_task(reaper.run())
        await asyncio.sleep(plan.duration_s)
        outcome = Outcome(
            pairs=tuple(talk.end() for talk in talks),
            kills=reaper.kills,
            least_up=reaper.least_up,
            mean_up=reaper.mean_up(began),
            took_s=time.monotonic() - began,
        )
        reaping.cancel()
    return outcome
