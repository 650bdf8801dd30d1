"""A scenario that nobody plays, and what stands in for the engine: results without a simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pilotdht.config.fields import tunable
from pilotdht.errors import InvalidArgument
from simulations.results.result import Check, Result
from simulations.scenarios.scenario import Options, Scenario
from simulations.stage import Progress, Stage
from simulations.sweep.executors import Work
from simulations.sweep.plan import Run
from simulations.sweep.work import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class CalmOptions(Options):
    """Options of every kind."""

    share: float = tunable(0.1, low=0, high=1, reason="one in ten")
    """Share of nodes that ``rest``."""
    is_deep: bool = tunable(False, reason="most sleep lightly")
    """Whether they rest deeply."""
    bandwidth_bps: float | None = tunable(None, unit="bit/s", low=1000, reason="lines are wide")
    """Bandwidth of a node; absent: no bound."""


async def _play(stage: Stage, options: CalmOptions) -> None:
    raise AssertionError("nobody plays it")


CALM = Scenario(
    name="calm",
    summary="Nothing happens.",
    expects="Everything is found.",
    options=CalmOptions,
    small=CalmOptions(nodes=20, minutes=3),
    play=_play,
)
"""The scenario."""


def calm_scenarios() -> Mapping[str, Scenario]:
    """Return the scenario by name."""
    return {"calm": CALM}


def calm_result(options: Mapping[str, object], *, is_complete: bool = True) -> Result:
    """Return what a run would leave: it misses its bound with a share above one half."""
    share, seed = options["share"], options["seed"]
    assert isinstance(share, float)
    assert isinstance(seed, int)
    success = 1.0 - share / 10
    return Result(
        scenario="calm",
        implementation=str(options["implementation"]),
        options=dict(options),
        version="0",
        commit="c0ffee",
        python="none",
        started_unix=0.0,
        wall_s=1.0,
        virtual_s=60.0,
        is_complete=is_complete,
        figures={"lookup_success": success, "lookup_p50_s": seed / 100},
        checks=[Check(figure="lookup_success", relation=">=", bound=0.95, value=success, is_kept=success >= 0.95)],
    )


@dataclass
class CalmRunner:
    """Stands in for the runner; remembers what it was asked."""

    is_interrupted: bool = False
    error: BaseException | None = None
    asked: list[Options] = dataclasses.field(default_factory=list)

    def __call__(self, scenario: Scenario, options: Options, *, progress: Progress | None = None) -> Result:
        """Return a result, or raise what it was told to."""
        self.asked.append(options)
        if self.error is not None:
            raise self.error
        values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
        return calm_result(values, is_complete=not self.is_interrupted)


class InPlace:
    """An executor that does each run at once, in this thread."""

    capacity = 2

    def submit(self, work: Work, run: Run) -> Future[Result | Failure]:
        """Do a run."""
        future: Future[Result | Failure] = Future()
        try:
            future.set_result(work(run))
        except Exception as error:  # noqa: BLE001 - as a real executor does
            future.set_exception(error)
        return future

    def trouble(self) -> str:
        """Return nothing."""
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def calm_work(run: Run) -> Result | Failure:
    """Do a run of a sweep: share 0.25 is refused, 0.75 breaks."""
    if run.options["share"] == 0.25:
        return Failure(message="a quarter cannot be", is_refused=True)
    if run.options["share"] == 0.75:
        raise InvalidArgument("three quarters break")
    return calm_result(run.options)
