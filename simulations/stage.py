"""The stage that a scenario plays on: a world, a population, probes, and the result that grows.

A scenario says what happens; the stage knows how to build a population, let time pass while it measures, draw the
network, and hold figures against bounds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from pilotdht.errors import InternalError
from pilotdht.tasks import TaskScope
from simulations.engine.streams import stream
from simulations.population.population import Population, Slot
from simulations.results.result import Check, Mark, Result, Samples, Series, Snapshot
from simulations.scenarios.scenario import Options
from simulations.workload.probes import Choose, Probes, anybody_settled
from simulations.workload.statistics import mean, quantile, share
from simulations.world.world import World

SAMPLE_INTERVALS = 60
"""Points of each series in one measured part."""

LEAST_INTERVAL_S = 5.0
"""Series are not sampled more often than this."""

PICTURED_LINKS = 4000
"""Links of a snapshot at most."""

SETTLE_S = 60.0
"""Time between the last join and the first measurement."""

Progress = Callable[[str, float, float], None]
"""Told what is done, how much of it, and how much there is: ``building`` counts nodes, ``watching`` seconds."""


class Stage:
    """Everything a scenario uses."""

    def __init__(
        self,
        *,
        options: Options,
        world: World,
        population: Population,
        result: Result,
        progress: Progress | None = None,
    ) -> None:
        """Make it, inside the running loop.

        Args:
            options: the scenario's.
            world: where it plays.
            population: who plays.
            result: what grows.
            progress: told how far it is.
        """
        self.options = options
        """The scenario's options, as common ones."""
        self.world = world
        """Network, clocks, places."""
        self.population = population
        """Everybody."""
        self.result = result
        """What this run leaves behind."""
        self.random = stream(options.seed, "scenario")
        """For the scenario's own draws."""
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._progress = progress
        self._probes = Probes(population, random=stream(options.seed, "probes"), began_s=self._began_s)
        self._joins = Samples()
        population.on_joined.append(self._note_join)
        self._scope = TaskScope("stage")

    @property
    def now_s(self) -> float:
        """Virtual seconds since the run began."""
        return self._loop.time() - self._began_s

    # Building

    async def populate(self, count: int | None = None, *, behaviours: dict[str, float] | None = None) -> list[Slot]:
        """Add participants at ``options.joins_per_s``, each joining through some that are up; wait until they settled.

        Args:
            count: how many; absent: ``options.nodes``.
            behaviours: share of participants (0..1) by behaviour; the rest is honest. Who is what is drawn at random,
                but the first ones, that others may join through, are honest.
        """
        wanted = self.options.nodes if count is None else count
        slots = [self.population.add(behaviour=name) for name in self._drawn_behaviours(wanted, behaviours or {})]
        await self.join(slots)
        return slots

    async def join(self, slots: list[Slot]) -> None:
        """Start participants at ``options.joins_per_s`` and wait until they settled."""
        gap_s = 1.0 / self.options.joins_per_s
        for number, slot in enumerate(slots):
            self.population.start_soon(slot)
            # the first ones one after another: a network of one cannot be joined by a thousand at once
            await asyncio.sleep(max(gap_s, 2.0) if len(self.population.up) < 4 else gap_s)
            self.tell("building", number + 1, len(slots))
        await asyncio.sleep(SETTLE_S)

    # Measuring

    async def watch(
        self,
        *,
        minutes: float,
        phase: str = "",
        choose: Choose | None = None,
        publishes_per_s: float | None = None,
    ) -> None:
        """Let time pass, look up and publish at random, sample series, and add the figures of this part.

        Figures: ``lookup_success``, ``lookup_wrong``, ``lookup_p50_s``, ``lookup_p95_s``, ``lookup_p99_s``,
        ``lookup_hops``, ``publish_success``, ``publish_p50_s``, ``publish_p95_s``, ``bytes_per_node_s`` (sent, UDP and
        IP headers included), ``messages_per_node_s``, ``contacts``, ``dead_contacts`` (share of routing table entries
        that are not up), ``up``.

        Args:
            minutes: how long.
            phase: put before the names of figures and series: ``partition`` makes ``partition_lookup_success``.
            choose: who asks for whom; absent: any two honest ones that are up and settled.
            publishes_per_s: measured writes of the whole population; absent: a tenth of the lookups.

        Raises:
            InternalError: a lookup or write failed in another way than its implementation may.
        """
        prefix = f"{phase}_" if phase else ""
        self._probes.reset()
        rate = self.options.lookups_per_s
        chooser = anybody_settled(self.population, self._loop.time) if choose is None else choose
        meter = _Meter(self)
        async with self._scope:
            writes = rate / 10 if publishes_per_s is None else publishes_per_s
            self._scope.start(
                self._probes.run(lookups_per_s=rate, publishes_per_s=writes, choose=chooser), name="probes"
            )
            await self._sample(prefix, minutes * 60, meter)
        if self._scope.failures or self._probes.failures:
            raise InternalError("a measured operation broke off; its traceback was logged")
        lookups, publishes = self._probes.reset()
        self._conclude(prefix, lookups, publishes, meter)

    async def lookup(self, asker: Slot, other: Slot) -> bool | None:
        """Have one look up another now; whether it was found true, absent when either died meanwhile."""
        answer = await self._probes.lookup(asker, other)
        return None if answer is None else answer.is_ok

    def figure(self, name: str, value: float | None) -> None:
        """Add a single number to the result."""
        self.result.figures[name] = None if value is None else round(value, 6)

    def expect(self, figure: str, *, at_least: float | None = None, at_most: float | None = None) -> None:
        """Hold a figure against a bound; a figure that is missing fails it."""
        value = self.result.figures.get(figure)
        for relation, bound in ((">=", at_least), ("<=", at_most)):
            if bound is not None:
                is_kept = value is not None and (value >= bound if relation == ">=" else value <= bound)
                self.result.checks.append(
                    Check(figure=figure, relation=relation, bound=bound, value=value, is_kept=is_kept)
                )

    def mark(self, label: str) -> None:
        """Note that something happened now."""
        self.result.marks.append(Mark(time_s=round(self.now_s, 3), label=label))
        self.world.network.note(label)

    def series(self, name: str, value: float | None, *, unit: str = "") -> None:
        """Add a point to a series, at the present moment."""
        series = self.result.series.setdefault(name, Series(unit=unit))
        series.times_s.append(round(self.now_s, 3))
        series.values.append(None if value is None else round(value, 6))

    def snapshot(self, label: str) -> None:
        """Keep a picture of the network: who is up, and who knows whom."""
        numbers = {slot.identity.endpoint: slot.identity.number for slot in self.population.slots}
        random = stream(self.options.seed, "snapshot", label)
        nodes = []
        links: list[tuple[int, int]] = []
        for slot in self.population.slots:
            host = slot.identity.endpoint.host
            state = "down" if not slot.is_up else "up" if slot.is_honest else slot.behaviour
            nodes.append((slot.identity.number, self.world.region_of(host), state, self.world.network.side_of(host)))
            if slot.member is not None:
                known = [numbers[one] for one in slot.member.contacts() if one in numbers]
                links.extend((slot.identity.number, other) for other in random.sample(known, min(4, len(known))))
        if len(links) > PICTURED_LINKS:
            links = sorted(random.sample(links, PICTURED_LINKS))
        self.result.snapshots.append(Snapshot(time_s=round(self.now_s, 3), label=label, nodes=nodes, links=links))

    # Inside

    def dead_contacts(self, *, sample: int = 200) -> tuple[float | None, float | None]:
        """Return contacts a node, and the share of them that is not up, over a sample of nodes."""
        up = self.population.up
        chosen = up if len(up) <= sample else stream(self.options.seed, "tables", self.now_s).sample(up, sample)
        there = {slot.identity.endpoint for slot in up}
        tables = [slot.member.contacts() for slot in chosen if slot.member is not None]
        total = sum(len(table) for table in tables)
        dead = sum(1 for table in tables for contact in table if contact not in there)
        return (total / len(tables) if tables else None), (dead / total if total else None)

    async def _sample(self, prefix: str, seconds: float, meter: _Meter) -> None:
        interval_s = max(LEAST_INTERVAL_S, seconds / SAMPLE_INTERVALS)
        ends = self._loop.time() + seconds
        before = _Meter(self)
        seen = 0
        while (left := ends - self._loop.time()) > 0:
            await asyncio.sleep(min(interval_s, left))
            self.tell("watching", seconds - max(0.0, ends - self._loop.time()), seconds)
            lookups = self._probes.lookups
            new_ok, new_s = lookups.are_ok[seen:], lookups.durations_s[seen:]
            found_s = [one for one, is_ok in zip(new_s, new_ok, strict=True) if is_ok]
            seen = len(lookups.are_ok)
            contacts, dead = self.dead_contacts()
            after = _Meter(self)
            messages, size = after.since(before)
            before = after
            meter.observe(len(self.population.up), contacts, dead)
            self.series("lookup_success", share(new_ok), unit="share")
            self.series("lookup_p50_s", quantile(found_s, 0.5), unit="s")
            self.series("lookup_p95_s", quantile(found_s, 0.95), unit="s")
            self.series("messages_per_node_s", messages, unit="1/s")
            self.series("bytes_per_node_s", size, unit="bytes/s")
            self.series("contacts", contacts)
            self.series("dead_contacts", dead, unit="share")
            self.series("up", float(len(self.population.up)))

    def _conclude(self, prefix: str, lookups: Samples, publishes: Samples, meter: _Meter) -> None:
        found_s = [one for one, is_ok in zip(lookups.durations_s, lookups.are_ok, strict=True) if is_ok]
        written_s = [one for one, is_ok in zip(publishes.durations_s, publishes.are_ok, strict=True) if is_ok]
        messages, size = _Meter(self).since(meter)
        hops = [
            float(one) for one, is_ok in zip(lookups.hops, lookups.are_ok, strict=True) if is_ok and one is not None
        ]
        figures = {
            "lookups": float(len(lookups.are_ok)),
            "lookup_success": share(lookups.are_ok),
            "lookup_wrong": float(lookups.wrong),
            "lookup_p50_s": quantile(found_s, 0.5),
            "lookup_p95_s": quantile(found_s, 0.95),
            "lookup_p99_s": quantile(found_s, 0.99),
            "lookup_hops": mean(hops),
            "publish_success": share(publishes.are_ok),
            "publish_p50_s": quantile(written_s, 0.5),
            "publish_p95_s": quantile(written_s, 0.95),
            "bytes_per_node_s": size,
            "messages_per_node_s": messages,
            "contacts": mean(meter.contacts),
            "dead_contacts": mean(meter.dead),
            "up": mean(meter.up),
        }
        for name, value in figures.items():
            self.figure(prefix + name, value)
        for name, more in (("lookup", lookups), ("publish", publishes), ("join", self._joins)):
            kept = self.result.samples.setdefault(name, Samples())
            if more is not kept:
                _append(kept, more)
        self._joins = Samples()

    def _note_join(self, slot: Slot) -> None:
        self._joins.times_s.append(round(self.now_s - slot.join_s, 6))
        self._joins.durations_s.append(round(slot.join_s, 6))
        self._joins.are_ok.append(slot.published > 0)
        self._joins.hops.append(None)

    def _drawn_behaviours(self, count: int, shares: dict[str, float]) -> list[str]:
        names: list[str] = []
        for name, part in shares.items():
            names.extend([name] * round(count * part))
        names = names[: max(0, count - 3)]
        rest = ["honest"] * (count - len(names) - min(3, count))
        drawn = names + rest
        self.random.shuffle(drawn)
        return ["honest"] * min(3, count) + drawn

    def tell(self, what: str, done: float, total: float) -> None:
        """Tell whoever watches how far the run is."""
        if self._progress is not None:
            with contextlib.suppress(Exception):  # a broken terminal must not end a run
                self._progress(what, done, total)


class _Meter:
    """Counts of the network at one moment, to be compared with a later one."""

    def __init__(self, stage: Stage) -> None:
        network = stage.world.network
        self.at_s = stage.now_s
        self.messages = network.sent
        self.bytes = network.wire_bytes
        self.up: list[float] = []
        self.contacts: list[float] = []
        self.dead: list[float] = []
        self._nodes = len(stage.population.up)

    def observe(self, up: int, contacts: float | None, dead: float | None) -> None:
        """Keep one sample of the population."""
        self.up.append(float(up))
        if contacts is not None:
            self.contacts.append(contacts)
        if dead is not None:
            self.dead.append(dead)

    def since(self, earlier: _Meter) -> tuple[float | None, float | None]:
        """Return messages and bytes a node and second between two moments."""
        duration_s = self.at_s - earlier.at_s
        nodes = mean(earlier.up) or (self._nodes + earlier._nodes) / 2
        if duration_s <= 0 or not nodes:
            return None, None
        return (self.messages - earlier.messages) / duration_s / nodes, (
            self.bytes - earlier.bytes
        ) / duration_s / nodes


def _append(kept: Samples, more: Samples) -> None:
    kept.times_s.extend(more.times_s)
    kept.durations_s.extend(more.durations_s)
    kept.are_ok.extend(more.are_ok)
    kept.hops.extend(more.hops)
    kept.wrong += more.wrong
    for code, count in more.errors.items():
        kept.errors[code] = kept.errors.get(code, 0) + count
