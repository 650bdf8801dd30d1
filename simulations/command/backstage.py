"""What the verbs work with; a test hands in another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simulations.results.result import Result
    from simulations.scenarios.scenario import Scenario
    from simulations.sweep.executors import Executor
    from simulations.sweep.plan import Run
    from simulations.sweep.work import Failure


def _scenarios() -> Mapping[str, Scenario]:
    from simulations.scenarios.scenario import all_scenarios

    return all_scenarios()


def _run(*args: object, **kwargs: object) -> Result:
    from simulations.runner import run

    return run(*args, **kwargs)  # type: ignore[arg-type]  # its own signature, called late


def _work(run: Run) -> Result | Failure:
    from simulations.sweep.work import play

    return play(run)


def _executor(name: str, *, workers: int) -> Executor:
    from simulations.sweep.executors import executor_named

    return executor_named(name, workers=workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backstage:
    """Where scenarios come from and what runs them; loaded when used."""

    scenarios: Callable[[], Mapping[str, Scenario]] = _scenarios
    """Every scenario by name."""
    run: Callable[..., Result] = _run
    """Runs one: see :func:`simulations.runner.run`."""
    work: Callable[[Run], Result | Failure] = _work
    """What processes do with a run: see :func:`simulations.sweep.work.play`."""
    executor: Callable[..., Executor] = _executor
    """Where runs go: see :func:`simulations.sweep.executors.executor_named`."""


def backstage(context: click.Context) -> Backstage:
    """Return what this command works with."""
    found = context.find_object(Backstage)
    return Backstage() if found is None else found
