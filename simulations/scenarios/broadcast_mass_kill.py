"""Messages to all members of a very large group, while nothing happens, while many die, and after nearly all died."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pilotdht.config.fields import tunable
from pilotdht.gossip.values import Event
from pilotdht.identity.ids import PublicKey
from simulations.churn.calamities import kill_share
from simulations.groups.options import GroupOptions
from simulations.groups.talker import Talker, TalkerKind
from simulations.population.population import Slot
from simulations.results.result import Series
from simulations.scenarios.scenario import Subject, scenario
from simulations.stage import Stage
from simulations.workload.statistics import mean, quantile

REACHED_CALM = 1.0
"""Without failures everybody is reached."""

REACHED_DURING = 0.999
"""When a third dies while a message spreads: all others but one in a thousand, at once or by repair."""

REACHED_AFTER = 0.9
"""HyParView's own figure for 95 % killed at once; trees over other overlays reach less than half."""

REDUNDANT_CALM = 0.2
"""Copies beyond the one that each member needs, once the tree has settled."""

_KILL_AFTER_S = 0.15
"""A message is half-way then."""


@dataclass(slots=True)
class _Message:
    """One broadcast."""

    sender: int
    at_s: float
    heard_s: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastMassKillOptions(GroupOptions):
    """How many die, and how many messages are sent."""

    nodes: int = tunable(10_000, low=20, high=100_000, reason="the size at which HyParView and Plumtree were measured")
    """Members."""
    joins_per_s: float = tunable(100.0, unit="1/s", low=0.01, high=1000, reason="10,000 members in 100 s")
    """Rate at which the group is built up."""
    share_during: float = tunable(0.3, low=0.0, high=0.95, reason="a cloud region")
    """Share of members that die while a message is under way, 0..1."""
    share_at_once: float = tunable(0.95, low=0.0, high=0.99, reason="where HyParView held, and others failed")
    """Share of the remaining ones that die at once after that, 0..1."""
    messages: int = tunable(10, low=1, high=1000, reason="the first ones shape the tree")
    """Messages in each part."""
    gap_s: float = tunable(2.0, unit="s", low=0.1, high=600, reason="a message has arrived by then")
    """Time between two messages."""
    wait_s: float = tunable(10.0, unit="s", low=0.1, high=600, reason="lost ones are asked for within seconds")
    """Time after the last message of a part until it is counted."""


@scenario(
    "broadcast-mass-kill",
    options=BroadcastMassKillOptions,
    small=BroadcastMassKillOptions(nodes=150, joins_per_s=20, messages=5, share_at_once=0.8),
    expects="Everybody is reached; of those who survive, 99.9 % when 30 % die meanwhile, 90 % when 95 % die at once.",
    members=TalkerKind,
    subject=Subject.GROUPS,
)
async def broadcast_mass_kill(stage: Stage, options: BroadcastMassKillOptions) -> None:
    """Messages go to all members: in calm, while some of them are killed, and after nearly all were killed at once."""
    hall = _Hall(stage, options)
    await stage.populate()
    stage.snapshot("before")
    await hall.talk("warm_up")
    await hall.talk("calm")
    stage.mark(f"{options.share_during:.0%} killed")
    await hall.talk("during", kill=options.share_during)
    stage.snapshot("during")
    kill_share(stage.population, options.share_at_once, random=stage.random)
    stage.mark(f"{options.share_at_once:.0%} killed")
    await hall.talk("after")
    stage.snapshot("after")
    stage.expect("calm_reached_least", at_least=REACHED_CALM)
    stage.expect("calm_redundancy", at_most=REDUNDANT_CALM)
    stage.expect("during_first_reached", at_least=REACHED_DURING)
    stage.expect("after_first_reached", at_least=REACHED_AFTER)


class _Hall:
    """Where messages are sent and counted."""

    def __init__(self, stage: Stage, options: BroadcastMassKillOptions) -> None:
        self._stage = stage
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._messages: dict[tuple[PublicKey, int], _Message] = {}
        kind = stage.population.kind
        assert isinstance(kind, TalkerKind), "this scenario's population talks"
        kind.on_event.append(self._heard)

    async def talk(self, phase: str, *, kill: float = 0.0) -> None:
        """Send messages and add the figures of this part; kill a share of all while the first one is under way."""
        self._messages.clear()
        before = self._counts()
        meter = self._stage.world.network.wire_bytes
        began_s = self._loop.time()
        for number in range(self._options.messages):
            self._say(self._stage.population.pick(self._stage.random))
            if kill and number == 0:
                await asyncio.sleep(_KILL_AFTER_S)
                kill_share(self._stage.population, kill, random=self._stage.random)
            await asyncio.sleep(self._options.gap_s)
            self._stage.tell("watching", number + 1, self._options.messages)
        await asyncio.sleep(self._options.wait_s)
        self._conclude(phase, before, meter, began_s)

    def _say(self, slot: Slot) -> None:
        assert isinstance(slot.member, Talker), "who is picked is up"
        event = slot.member.say(b"x" * 200)
        message = _Message(slot.identity.number, self._loop.time())
        message.heard_s[message.sender] = message.at_s
        self._messages[event.sender, event.sequence] = message

    def _heard(self, number: int, event: Event) -> None:
        message = self._messages.get((event.sender, event.sequence))
        if message is not None:
            message.heard_s.setdefault(number, self._loop.time())

    def _counts(self) -> dict[int, tuple[float, float]]:
        """Return what each member received so far, new and known already."""
        return {
            slot.identity.number: (
                sum(slot.member.metrics.received[way].value for way in ("pushed", "grafted", "fetched")),
                slot.member.metrics.duplicates.value,
            )
            for slot in self._stage.population.up
            if isinstance(slot.member, Talker)
        }

    def _conclude(self, phase: str, before: dict[int, tuple[float, float]], meter: int, began_s: float) -> None:
        stage, alive = self._stage, [slot.identity.number for slot in self._stage.population.up]
        reached = [
            sum(1 for number in alive if number in message.heard_s) / len(alive) for message in self._messages.values()
        ]
        for message, share in zip(self._messages.values(), reached, strict=True):
            series = stage.result.series.setdefault("coverage", Series(unit="share"))
            series.times_s.append(round(message.at_s - self._loop.time() + stage.now_s, 3))
            series.values.append(round(share, 6))
        delays = [
            heard_s - message.at_s
            for message in self._messages.values()
            for number, heard_s in message.heard_s.items()
            if number != message.sender
        ]
        after = self._counts()
        new = sum(after[number][0] - before[number][0] for number in alive)
        copies = sum(after[number][1] - before[number][1] for number in alive)
        stage.figure(f"{phase}_reached", mean(reached))
        stage.figure(f"{phase}_first_reached", reached[0])
        stage.figure(f"{phase}_reached_least", min(reached))
        stage.figure(f"{phase}_spread_p50_s", quantile(delays, 0.5))
        stage.figure(f"{phase}_spread_p99_s", quantile(delays, 0.99))
        stage.figure(f"{phase}_redundancy", copies / new if new else None)
        seconds = self._loop.time() - began_s
        stage.figure(f"{phase}_bytes_per_node_s", (stage.world.network.wire_bytes - meter) / seconds / len(alive))
