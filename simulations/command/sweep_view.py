"""How far a sweep is: a live line on a terminal, and a line for each run that ends; on standard error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from simulations.command.output import STYLES, duration, quantity
from simulations.results.result import Result
from simulations.sweep.conduct import Standing, Told
from simulations.sweep.plan import Plan, Run
from simulations.sweep.work import Failure

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class SweepView(Told):
    """Shows it; open it around the sweep."""

    def __init__(self, plan: Plan, *, is_quiet: bool) -> None:
        """Make it.

        Args:
            plan: what is done.
            is_quiet: whether nothing is printed.
        """
        self._titles = plan.titles()
        self._is_quiet = is_quiet
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if not self._is_quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bars = Progress(
                TextColumn("{task.completed:.0f}/{task.total:.0f} runs"),
                BarColumn(bar_width=24),
                TextColumn("wall"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[facts]}"),
                console=Console(stderr=True, highlight=False),
                transient=True,
                refresh_per_second=4,
            )
            self._task = self._bars.add_task("runs", total=len(self._titles), facts="")
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begun(self, standing: Standing) -> None:
        """Move the live line."""
        if self._bars is not None and self._task is not None:
            left = "" if standing.left_s is None else f", about {duration(standing.left_s)} left"
            self._bars.update(self._task, completed=standing.done, facts=f"{standing.running} under way{left}")

    def ended(self, run: Run, end: Result | Failure, standing: Standing) -> None:
        """Print a line."""
        if self._is_quiet:
            return
        word, more = _end_text(end)
        head = f"[{standing.done}/{standing.total}] {self._titles[run.file]}: "
        if self._bars is not None:
            from rich.text import Text

            self._bars.console.print(Text.assemble(head, (word, STYLES.get(word, "")), more), soft_wrap=True)
        else:
            click.echo(head + word + more, err=True)


def _end_text(end: Result | Failure) -> tuple[str, str]:
    if isinstance(end, Failure):
        return "FAILED", f", {end.message}"
    missed = [check for check in end.checks if not check.is_kept]
    took = f", {duration(end.wall_s)}"
    if missed:
        first = missed[0]
        return "MISSED", f" {first.figure} {quantity(first.figure, first.value)}{took}"
    return "kept", took
