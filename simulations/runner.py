"""Runs one scenario: makes loop, world and population, plays, and returns the result."""

from __future__ import annotations

import asyncio
import gc
import logging
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from pilotdht import __version__
from pilotdht.errors import InvalidArgument
from pilotdht.wire.verified import record_signatures
from simulations.engine.checkout import commit
from simulations.engine.trace import TraceWriter
from simulations.engine.virtual_loop import VirtualLoop
from simulations.population.member import MemberKind
from simulations.population.pilot import PilotKind
from simulations.population.population import Population
from simulations.results.result import Result
from simulations.scenarios.scenario import IMPLEMENTATIONS, Options, Scenario
from simulations.stage import Progress, Stage
from simulations.world.world import World

STOP_CHECK_S = 1.0
"""Virtual seconds between two looks at whether somebody wants the run to end."""


SIGNATURES_REMEMBERED = 200_000
"""Every record is checked by each of its holders and readers, which are all in this process: about 50 MB at most."""


class _Ended(Exception):
    """The run is to end before its scenario does."""


def run(
    scenario: Scenario,
    options: Options,
    *,
    progress: Progress | None = None,
    trace: TraceWriter | None = None,
    stop: threading.Event | None = None,
    until_s: float | None = None,
) -> Result:
    """Play a scenario in the calling thread.

    Args:
        scenario: what to play.
        options: of the scenario's own type.
        progress: told how far it is.
        trace: keeps events; absent: only their digest is.
        stop: when set by another thread or a signal handler, the run ends early with what it has.
        until_s: end at this many virtual seconds after the beginning; absent: when the scenario ends.

    Returns:
        The result; ``is_complete`` is false when it was ended early, also by ``KeyboardInterrupt``.

    Raises:
        InvalidArgument: the implementation is unknown, or the options are of another scenario.
    """
    if type(options) is not scenario.options:
        raise InvalidArgument(f"{type(options).__name__} are not the options of {scenario.name}")
    if options.implementation not in IMPLEMENTATIONS:
        raise InvalidArgument(
            f"{options.implementation[:80]!r} is no implementation", hint=f"there are {' and '.join(IMPLEMENTATIONS)}"
        )
    if options.implementation not in scenario.implementations:
        raise InvalidArgument(
            f"{options.implementation} cannot play {scenario.name}",
            hint="it has no groups and no tunnels: leave the option out",
        )
    result = Result(
        scenario=scenario.name,
        implementation=options.implementation,
        options={field.name: getattr(options, field.name) for field in fields(options)},
        version=__version__,
        commit=commit(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        started_unix=round(time.time(), 3),
    )
    wall, cpu = time.perf_counter(), time.process_time()
    loop = VirtualLoop()
    began_s = loop.time()
    with _quiet(), asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            runner.run(_play(scenario, options, result, progress, trace, stop, until_s))
            result.is_complete = True
        except (_Ended, KeyboardInterrupt):
            pass
    result.virtual_s = round(loop.time() - began_s, 3)
    result.wall_s = round(time.perf_counter() - wall, 3)
    result.cpu_s = round(time.process_time() - cpu, 3)
    return result


async def _play(
    scenario: Scenario,
    options: Options,
    result: Result,
    progress: Progress | None,
    trace: TraceWriter | None,
    stop: threading.Event | None,
    until_s: float | None,
) -> None:
    world = World(seed=options.seed, conditions=options.network, trace=trace)
    try:
        with _kind(scenario, options.implementation, world) as kind, _figures_of(kind, result):
            async with Population(world=world, kind=kind) as population:
                stage = Stage(options=options, world=world, population=population, result=result, progress=progress)
                try:
                    async with asyncio.TaskGroup() as group:
                        playing = group.create_task(_to_the_end(scenario, stage, options))
                        if stop is not None or until_s is not None:
                            group.create_task(_watch(playing, stage, stop, until_s))
                except (
                    BaseExceptionGroup
                ) as ends:  # not "except*": early releases of Python 3.11 wrap what is raised in it
                    if ends.split(_Ended)[1] is not None:
                        raise
                    raise _Ended from ends
    finally:
        result.trace_digest = world.network.trace_digest()
        world.network.close()
        result.figures["messages"] = float(world.network.sent)
        result.figures["delivered"] = float(world.network.delivered)


async def _to_the_end(scenario: Scenario, stage: Stage, options: Options) -> None:
    await scenario.play(stage, options)


async def _watch(
    playing: asyncio.Task[None], stage: Stage, stop: threading.Event | None, until_s: float | None
) -> None:
    while not playing.done():
        left_s = STOP_CHECK_S if until_s is None else min(STOP_CHECK_S, until_s - stage.now_s)
        if left_s <= 0 or (stop is not None and stop.is_set()):
            raise _Ended
        await asyncio.wait([playing], timeout=left_s)


@contextmanager
def _kind(scenario: Scenario, name: str, world: World) -> Iterator[MemberKind]:
    if scenario.members is not None:
        yield scenario.members(world)
        return
    if name == PilotKind.name:
        record_signatures.set_capacity(SIGNATURES_REMEMBERED)
        yield PilotKind(world)
        return
    from simulations.baseline.stock import StockKind, stock_world

    with stock_world(asyncio.get_running_loop(), world.seed):
        yield StockKind(world)


@contextmanager
def _figures_of(kind: MemberKind, result: Result) -> Iterator[None]:
    try:
        yield
    finally:
        result.figures.update(kind.figures())


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing below errors, and collect garbage rarely: thousands of nodes live for the whole run."""
    level, thresholds = logging.root.manager.disable, gc.get_threshold()
    logging.disable(logging.WARNING)
    gc.set_threshold(200_000, 50, 1000)
    try:
        yield
    finally:
        logging.disable(level)
        gc.set_threshold(*thresholds)
