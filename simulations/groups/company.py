"""The members of a group on a stage: what each noticed and when, beside what is true.

A scenario builds, kills and cuts by its stage, as any other does; the company watches. It is told of every change that
any member notices, in the instant in which it is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pilotdht.errors import InternalError
from pilotdht.gossip.members import Change
from pilotdht.gossip.values import MemberChange
from simulations.groups.kind import GroupKind
from simulations.groups.member import GroupMember
from simulations.groups.views import Agreement, agreement, mask_of
from simulations.population.population import Slot, State
from simulations.stage import Stage
from simulations.workload.statistics import mean, quantile

GRACE_S = 2.0
"""Who came or went within so many seconds counts neither as seen nor as missed: news travel."""

LEAST_INTERVAL_S = 5.0
"""Series are not sampled more often than this, but while a cut heals."""

SAMPLES = 60
"""Points of each series in one measured part."""

FINE_STEP_S = 0.5
"""Steps in which the healing of a cut is followed."""

_GONE = (MemberChange.FAILED, MemberChange.LEFT, MemberChange.EXPELLED)


@dataclass(slots=True)
class Departure:
    """Somebody went, and who noticed it when."""

    number: int
    """Who went."""
    at_s: float
    """When, loop time."""
    witnesses: int
    """Mask of the members that could notice it: honest, up, on the same side."""
    noticed_s: dict[int, float] = field(default_factory=dict)
    """Loop time at which each witness noticed it."""

    def first_s(self) -> float | None:
        """Return how long it took until anybody noticed; absent when nobody did."""
        return min(self.noticed_s.values()) - self.at_s if self.noticed_s else None

    def last_s(self) -> float | None:
        """Return how long it took until all noticed; absent when somebody did not."""
        if self.noticed_s and mask_of(self.noticed_s) & self.witnesses == self.witnesses:
            return max(self.noticed_s.values()) - self.at_s
        return None


@dataclass(slots=True)
class FalseAlarm:
    """A member that was there was held for dead."""

    observer: int
    """By whom."""
    number: int
    """Who."""
    at_s: float
    """Since when, loop time."""
    until_s: float | None = None
    """Until when; absent while it lasts."""


class Company:
    """Watches all members of a group."""

    def __init__(self, stage: Stage) -> None:
        """Begin to watch; nobody must have been started yet.

        Raises:
            InternalError: the stage's population are no members of a group.
        """
        kind = stage.population.kind
        if not isinstance(kind, GroupKind):
            raise InternalError("a company watches members of a group")
        self.kind = kind
        """What makes members."""
        self.views: dict[int, int] = {}
        """What each member that is up sees, itself included."""
        self.departures: list[Departure] = []
        """Who went since :meth:`reset`."""
        self.alarms: list[FalseAlarm] = []
        """False alarms among honest members since :meth:`reset`."""
        self.heard_s: dict[int, dict[int, float]] = {}
        """For each member that is followed, when others noticed that it came or changed: see :meth:`follow`."""
        self._stage = stage
        self._loop = asyncio.get_running_loop()
        self._sides: dict[int, int] | None = None
        self._moved_s: dict[int, float] = {}
        self._going: dict[int, Departure] = {}
        self._lasting: dict[tuple[int, int], FalseAlarm] = {}
        self._liars = 0
        kind.on_change.append(self._noticed)
        stage.population.on_joined.append(self._came)
        stage.population.on_ended.append(self._went)

    # What is true

    def cut(self, sides: int) -> None:
        """Cut the network into sides of equal size, who is where drawn at random."""
        order = list(self._stage.population.slots)
        self._stage.random.shuffle(order)
        self._sides = {slot.identity.number: place % sides for place, slot in enumerate(order)}
        by_host = {slot.identity.endpoint.host: self._sides[slot.identity.number] for slot in order}
        self._stage.world.network.cut(lambda host: by_host.get(host, 0))
        self._stage.mark(f"cut in {sides}")

    def heal(self) -> None:
        """Take the cut away."""
        self._sides = None
        self._stage.world.network.heal()
        self._stage.mark("healed")

    def agreement(self) -> Agreement:
        """Return how far honest members that are up see who is there now."""
        now = self._loop.time()
        up = [slot.identity.number for slot in self._stage.population.up]
        undecided = mask_of(number for number, at_s in self._moved_s.items() if now - at_s < GRACE_S)
        undecided |= mask_of(
            slot.identity.number for slot in self._stage.population.slots if slot.state is State.STARTING
        )
        undecided |= self._liars
        side = self._side_of
        masks = {one: mask_of(number for number in up if side(number) == one) for one in dict.fromkeys(map(side, up))}
        observers = [number for number in up if not undecided >> number & 1]
        return agreement(self.views, {number: masks[side(number)] for number in observers}, undecided)

    def is_there(self, number: int, *, incarnation: int = 0) -> bool:
        """Return whether a member is up, in the life in which it signed something."""
        slot = self._stage.population.slots[number]
        if slot.member is None:
            return False
        first_ms = int((self._stage.world.unix_time_of(number)() - self._loop.time() + slot.began_s) * 1000)
        return not incarnation or incarnation >= first_ms

    # What is measured

    def reset(self) -> None:
        """Forget departures and false alarms."""
        self.departures, self.alarms = [], []
        self._going.clear()
        self._lasting.clear()

    def follow(self, number: int) -> dict[int, float]:
        """Note from now on when each other member first notices that somebody came, or changed what it says."""
        self.heard_s[number] = {}
        return self.heard_s[number]

    async def watch(self, *, minutes: float, phase: str = "", also: Callable[[], None] | None = None) -> None:
        """Let time pass, sample series, and add the figures of this part.

        Figures: ``agreement`` (share of members that are seen rightly, mean over all observers and the part),
        ``agreement_least`` (the same at its worst sample), ``notice_first_s`` (median time from a crash until anybody
        holds the member for dead), ``notice_p50_s``, ``notice_p99_s`` (until each of the others does), ``unnoticed``
        (departures older than the slowest suspicion that somebody has not noticed), ``false_alarms`` (members held for
        dead that were there, counted for each that did), ``bytes_per_node_s`` (sent, UDP and IP headers included),
        ``messages_per_node_s``.

        Args:
            minutes: how long.
            phase: put before the names of figures.
            also: called with each sample.
        """
        self.reset()
        prefix = f"{phase}_" if phase else ""
        seconds = minutes * 60
        interval_s = max(LEAST_INTERVAL_S, seconds / SAMPLES)
        began = meter = self._meter()
        ends_s = self._loop.time() + seconds
        shares: list[float] = []
        up: list[float] = []
        while (left_s := ends_s - self._loop.time()) > 0:
            await asyncio.sleep(min(interval_s, left_s))
            now = self.sample()
            if now.pairs is not None:
                shares.append(now.pairs)
            meter = self._sample_traffic(meter)
            up.append(float(len(self._stage.population.up)))
            self._stage.series("up", up[-1])
            if also is not None:
                also()
            self._stage.tell("watching", seconds - max(0.0, ends_s - self._loop.time()), seconds)
        self._conclude(prefix, shares, began, mean(up) or 1.0)

    def sample(self) -> Agreement:
        """Add a point of agreement to its series, and return it."""
        now = self.agreement()
        self._stage.series("agreement", now.pairs, unit="share")
        self._stage.series("agreement_whole", now.observers, unit="share")
        return now

    async def until_whole(self, *, limit_s: float) -> float | None:
        """Wait until every member sees everybody rightly.

        Returns:
            Seconds that it took; absent when it took longer than ``limit_s``.
        """
        began_s = self._loop.time()
        while self._loop.time() - began_s < limit_s:
            await asyncio.sleep(FINE_STEP_S)
            if self.sample().observers == 1.0:
                return self._loop.time() - began_s
        return None

    def suspicions(self, numbers: Collection[int] | None = None) -> float:
        """Return how many suspicions members that are up began or agreed to."""
        total = 0.0
        for slot in self._stage.population.up:
            if isinstance(slot.member, GroupMember) and (numbers is None or slot.identity.number in numbers):
                total += slot.member.metrics.suspicions.value
        return total

    # Inside

    def _side_of(self, number: int) -> int:
        return 0 if self._sides is None else self._sides.get(number, 0)

    def _came(self, slot: Slot) -> None:
        self._moved_s[slot.identity.number] = self._loop.time()
        departure = self._going.pop(slot.identity.number, None)
        if departure is not None and departure.last_s() is None and departure in self.departures:
            self.departures.remove(departure)  # it is back before all could notice
        if not slot.is_honest:
            self._liars |= 1 << slot.identity.number

    def _went(self, slot: Slot) -> None:
        now, number = self._loop.time(), slot.identity.number
        self._moved_s[number] = now
        self.views.pop(number, None)
        for pair in [pair for pair in self._lasting if number in pair]:
            self._lasting.pop(pair).until_s = now
        for departure in self._going.values():
            departure.witnesses &= ~(1 << number)
            departure.noticed_s.pop(number, None)
        side = self._side_of(number)
        witnesses = mask_of(
            one.identity.number
            for one in self._stage.population.up
            if one.is_honest
            and self._side_of(one.identity.number) == side
            and self.views.get(one.identity.number, 0) >> number & 1
        )
        self._going[number] = Departure(number, now, witnesses & ~(1 << number))
        self.departures.append(self._going[number])

    def _noticed(self, observer: int, change: Change) -> None:
        if change.kind is None:
            return
        number = self.kind.number_of(change.member.node_id)
        if number is None:
            return
        now = self._loop.time()
        if change.kind in _GONE:
            self.views[observer] = self.views.get(observer, 0) & ~(1 << number)
            self._missed(observer, number, change, now)
            return
        self.views[observer] = self.views.get(observer, 0) | 1 << number
        alarm = self._lasting.pop((observer, number), None)
        if alarm is not None:
            alarm.until_s = now
        followed = self.heard_s.get(number)
        if followed is not None:
            followed.setdefault(observer, now)

    def _missed(self, observer: int, number: int, change: Change, now: float) -> None:
        """Take in that somebody sees another one no more: rightly, or as a false alarm."""
        if self._is_liar(observer):
            return
        if not self.is_there(number, incarnation=change.member.incarnation):
            departure = self._going.get(number)
            if departure is not None and departure.witnesses >> observer & 1:
                departure.noticed_s.setdefault(observer, now)
        elif (
            change.kind is MemberChange.FAILED
            and not self._is_liar(number)
            and self._side_of(observer) == self._side_of(number)
        ):
            alarm = self._lasting[observer, number] = FalseAlarm(observer, number, now)
            self.alarms.append(alarm)

    def _is_liar(self, number: int) -> bool:
        return bool(self._liars >> number & 1)

    def _meter(self) -> tuple[float, int, int]:
        network = self._stage.world.network
        return self._loop.time(), network.sent, network.wire_bytes

    def _sample_traffic(self, before: tuple[float, int, int]) -> tuple[float, int, int]:
        after, up = self._meter(), len(self._stage.population.up)
        seconds = after[0] - before[0]
        if seconds > 0 and up:
            self._stage.series("messages_per_node_s", (after[1] - before[1]) / seconds / up, unit="1/s")
            self._stage.series("bytes_per_node_s", (after[2] - before[2]) / seconds / up, unit="bytes/s")
        return after

    def _conclude(self, prefix: str, shares: list[float], began: tuple[float, int, int], up: float) -> None:
        stage, now = self._stage, self._meter()
        seconds = now[0] - began[0]
        stage.figure(f"{prefix}agreement", mean(shares))
        stage.figure(f"{prefix}agreement_least", min(shares, default=None))
        settled = [one for one in self.departures if now[0] - one.at_s > self.slowest_notice_s()]
        noticed = [at_s - one.at_s for one in self.departures for at_s in one.noticed_s.values()]
        if self.departures:
            first = [one_s for one in self.departures if (one_s := one.first_s()) is not None]
            stage.figure(f"{prefix}notice_first_s", quantile(first, 0.5))
            stage.figure(f"{prefix}notice_p50_s", quantile(noticed, 0.5))
            stage.figure(f"{prefix}notice_p99_s", quantile(noticed, 0.99))
            stage.figure(f"{prefix}unnoticed", float(sum(1 for one in settled if one.last_s() is None)))
        stage.figure(f"{prefix}false_alarms", float(len(self.alarms)))
        stage.figure(f"{prefix}bytes_per_node_s", (now[2] - began[2]) / seconds / up)
        stage.figure(f"{prefix}messages_per_node_s", (now[1] - began[1]) / seconds / up)

    def slowest_notice_s(self) -> float:
        """Return how long it may take until all notice a crash: the time of a suspicion that nobody confirms."""
        for slot in self._stage.population.up:
            if isinstance(slot.member, GroupMember):
                return slot.member.swim.members.times.longest_s + 30.0
        return 0.0
