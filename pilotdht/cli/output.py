"""What a command prints: results on standard output, all else on standard error, JSON when asked for.

Tables and colours are for people at a terminal; anything else gets plain text. rich is imported only where a table is
drawn on a terminal.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import click

from pilotdht.cli.terminal_text import indented_lines, json_text, many_lines, one_line, short_line
from pilotdht.daemon.envelope import error_envelope, ok_envelope
from pilotdht.errors import PilotError

ABSENT = "-"
"""Stands for a value that is not known."""

_NEVER_FOLDED = ("ADDRESS", "RTT", "LOAD", "ROLE", "RANK", "SCORE")
"""Columns that keep their width: nobody can type half an address, and short words save nothing."""

_UNLIMITED = 100_000
"""Width of a terminal on which every table fits; the one that is there decides what of it is shown."""


class Styled(str):
    """A text with colours of our own; everything else is made harmless to look at."""

    __slots__ = ()


class Output:
    """Prints the results of one command."""

    def __init__(self, *, is_json: bool, color: str) -> None:
        self.is_json = is_json
        self.has_color = _wants_color(color)

    def result(self, data: object, show: Callable[[], None]) -> None:
        """Print a result: the envelope, or whatever ``show`` prints for people."""
        if self.is_json:
            self.json_line(ok_envelope(data))
        else:
            show()

    def item(self, data: object, *parts: str) -> None:
        """Print one result of a stream, at once."""
        if self.is_json:
            self.json_line(ok_envelope(data))
        else:
            self.line(*parts)
        sys.stdout.flush()

    def json_line(self, content: Mapping[str, object]) -> None:
        """Print one JSON object on one line."""
        click.echo(json_text(content))

    def line(self, *parts: str) -> None:
        """Print one line for people, of plain and styled parts; what a peer sent cannot drive the terminal."""
        text = "".join(part if isinstance(part, Styled) else one_line(part) for part in parts)
        click.echo(text, color=self.has_color)

    def text(self, text: str, *, nl: bool = True) -> None:
        """Print a text of many lines, of any length; what a peer sent cannot drive the terminal."""
        click.echo(many_lines(text), nl=nl)

    def piece(self, text: str) -> None:
        """Print a part of such a text at once, without a line end."""
        self.text(text, nl=False)
        sys.stdout.flush()

    def message(self, data: object, *head: str, text: str, indent: str = "    ") -> None:
        """Print one message of a stream, at once: its head, and its text, whose further lines are indented."""
        if self.is_json:
            self.json_line(ok_envelope(data))
        else:
            shown = "".join(part if isinstance(part, Styled) else one_line(part) for part in head)
            click.echo(shown + indented_lines(text, by=indent), color=self.has_color)
        sys.stdout.flush()

    def styled(self, text: str, **style: bool | str) -> str:
        """Return ``text`` as a part in a colour, when colours are wanted."""
        return Styled(click.style(one_line(text), **style)) if self.has_color else text  # type: ignore[arg-type]

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print ``Name: value`` lines; rows without a value are left out."""
        for name, value in rows:
            if value:
                self.line(self.styled(f"{name}:", bold=True), f" {value}")

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        empty: str,
        is_remark: bool = False,
        spare: Sequence[str] = (),
    ) -> None:
        """Print a table, or ``empty`` on standard error when it has no rows; a remark goes there as well.

        On a terminal that is too narrow the columns of ``spare`` are left out, the first one first, which is told on
        standard error. Anything but a terminal gets all of them.
        """
        if not rows:
            click.echo(empty, err=True)
        elif (sys.stderr if is_remark else sys.stdout).isatty():
            self._draw(columns, rows, is_remark=is_remark, spare=spare)
        else:
            self._print_plain(columns, rows, is_remark=is_remark)

    def note(self, text: str) -> None:
        """Print a remark on standard error."""
        click.echo(one_line(text), err=True)

    def _print_plain(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, is_remark: bool) -> None:
        lines = [[cell if isinstance(cell, Styled) else short_line(cell) for cell in row] for row in (columns, *rows)]
        widths = [max(len(click.unstyle(line[index])) for line in lines) for index in range(len(columns))]
        for line in lines:
            cells = (cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(cells).rstrip(), err=is_remark, color=self.has_color)

    def _draw(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        is_remark: bool,
        spare: Sequence[str],
    ) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Column, Table
        from rich.text import Text

        console = Console(no_color=not self.has_color, highlight=False, stderr=is_remark)
        unlimited = console.options.update(max_width=_UNLIMITED)

        def made(shown: Sequence[str]) -> Table:
            # What does not fit is folded, not cut. (A least width instead of no_wrap would push the last column out.)
            heads = [Column(name, overflow="fold", no_wrap=name in _NEVER_FOLDED) for name in shown]
            table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
            for row in rows:
                cells = (cell for name, cell in zip(columns, row, strict=True) if name in shown)
                table.add_row(
                    *(Text.from_ansi(cell) if isinstance(cell, Styled) else Text(short_line(cell)) for cell in cells)
                )
            return table

        shown = list(columns)
        table = made(shown)
        left_out: list[str] = []
        for name in spare:
            if console.measure(table, options=unlimited).maximum <= console.width:
                break
            shown.remove(name)
            left_out.append(name)
            table = made(shown)
        console.print(table)
        if left_out:
            self.note(f"{', '.join(left_out)} left out: {console.width} columns are too few; --json has everything")


def show_error(error: PilotError, *, is_json: bool, usage: str = "") -> None:
    """Print an error: message and hint on standard error, or the envelope on standard output."""
    if is_json:
        click.echo(json_text(error_envelope(error)))
        return
    if usage:
        click.echo(usage, err=True)
    has_color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    head = click.style("error:", fg="red", bold=True) if has_color else "error:"
    click.echo(f"{head} {short_line(error.message)}", err=True, color=has_color)
    for claim in getattr(error, "claims", ()):
        click.echo(f"  {short_line(str(claim))}", err=True)
    for answer, count in getattr(error, "split", ()):
        click.echo(f"  {count} answered: {short_line(str(answer))}", err=True)
    if error.hint:
        click.echo(f"hint: {short_line(error.hint)}", err=True)


def milliseconds(seconds: float | None) -> str:
    """Return a duration as ``38ms``, with more digits when it is short."""
    if seconds is None:
        return ABSENT
    value = seconds * 1000
    if value >= 10:
        return f"{value:.0f}ms"
    return f"{value:.1f}ms" if value >= 1 else f"{value:.2f}ms"


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``45s``, ``12m``, ``3h 5m``, ``2d 4h``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def size(count: int) -> str:
    """Return a number of bytes as ``512 B``, ``1.5 KB``, ``3.2 MB``."""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def moment(unix_s: float) -> str:
    """Return a time as people write it, in their own time zone: ``2026-11-21 16:09``."""
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _wants_color(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
