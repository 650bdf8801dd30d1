"""How far a run is: a live line on a terminal, a plain one every ten seconds elsewhere; on standard error."""

from __future__ import annotations

import asyncio
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from simulations.command.output import duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_EVERY_S = 10.0
"""Wall time between two plain lines."""

LIVE_EVERY_S = 0.2
"""Wall time between two changes of the live line."""

LEAST_BASIS_S = 2.0
"""No estimate before a part has gone on for so long."""


class RunProgress:
    """Told by a run how far it is; open it around the run."""

    def __init__(self, *, is_quiet: bool) -> None:
        """Make it.

        Args:
            is_quiet: whether nothing is printed.
        """
        self._is_quiet = is_quiet
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._began = self._part_began = self._told = 0.0
        self._part: str | None = None
        self._part_done = 0.0
        self._virtual_from: float | None = None
        self._callbacks = 0
        self._callbacks_at = 0.0

    def __enter__(self) -> Self:
        self._began = self._callbacks_at = time.monotonic()
        self._told = -PLAIN_EVERY_S  # the first is told at once
        if not self._is_quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("wall"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[facts]}"),
                console=Console(stderr=True, highlight=False),
                transient=True,
                refresh_per_second=4,
            )
            self._task = self._bars.add_task("starting", total=None, facts="")
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, what: str, done: float, total: float) -> None:
        """Take what a run tells.

        Args:
            what: what is being done, such as ``building``.
            done: how much of it.
            total: how much there is.
        """
        if self._is_quiet:
            return
        now = time.monotonic()
        is_new = what != self._part or done < self._part_done
        self._part_done = done
        if is_new:
            self._part, self._part_began = what, now
        if now - self._told < (LIVE_EVERY_S if self._bars is not None else PLAIN_EVERY_S):
            return
        self._told = now
        facts = self._facts(now, done, total)
        if self._bars is None:
            elapsed = duration(now - self._began)
            click.echo(f"{what} {_amount(done, total)}, wall {elapsed}, {facts}", err=True)
        else:
            assert self._task is not None, "the bar was added when it was opened"
            self._bars.update(
                self._task, description=f"{what} {_amount(done, total)}", completed=done, total=total, facts=facts
            )

    def _facts(self, now: float, done: float, total: float) -> str:
        loop = asyncio.get_running_loop()
        if self._virtual_from is None:
            self._virtual_from = loop.time()
        parts = [f"virtual {duration(loop.time() - self._virtual_from)}"]
        callbacks = getattr(loop, "callbacks", None)
        if callbacks is not None:
            since = now - self._callbacks_at
            if since > 0:
                parts.append(f"{(callbacks - self._callbacks) / since:,.0f} events/s")
            self._callbacks, self._callbacks_at = callbacks, now
        passed = now - self._part_began
        if passed >= LEAST_BASIS_S and 0 < done < total:
            parts.append(f"{duration(passed * (total - done) / done)} left of this part")
        return ", ".join(parts)


def _amount(done: float, total: float) -> str:
    return f"{done:,.0f}/{total:,.0f}"
