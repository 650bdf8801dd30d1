"""What a command prints: results on standard output, all else on standard error, JSON when asked for.

Tables and colours are for people at a terminal; anything else gets plain text. rich is imported only where a table is
drawn on a terminal.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import click

from pilotdht.daemon.envelope import error_envelope, ok_envelope
from pilotdht.errors import PilotError

ABSENT = "-"
"""Stands for a value that is not known."""

_NEVER_FOLDED = ("ADDRESS", "RTT", "LOAD", "ROLE", "RANK", "SCORE")
"""Columns that keep their width: nobody can type half an address, and short words save nothing."""


class Styled(str):
    """A text with colours of our own; everything else is stripped of control characters."""

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
        click.echo(json.dumps(content, ensure_ascii=False))

    def line(self, *parts: str) -> None:
        """Print one line for people, of plain and styled parts; what a peer sent cannot drive the terminal."""
        text = "".join(part if isinstance(part, Styled) else printable(part) for part in parts)
        click.echo(text, color=self.has_color)

    def piece(self, text: str) -> None:
        """Print a part of a text at once, without a line end; what a peer sent cannot drive the terminal."""
        click.echo(printable(text), nl=False)
        sys.stdout.flush()

    def styled(self, text: str, **style: bool | str) -> str:
        """Return ``text`` as a part in a colour, when colours are wanted."""
        return Styled(click.style(printable(text), **style)) if self.has_color else text  # type: ignore[arg-type]

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print ``Name: value`` lines; rows without a value are left out."""
        for name, value in rows:
            if value:
                self.line(self.styled(f"{name}:", bold=True), f" {value}")

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, is_remark: bool = False
    ) -> None:
        """Print a table, or ``empty`` on standard error when it has no rows; a remark goes there as well."""
        if not rows:
            click.echo(empty, err=True)
        elif (sys.stderr if is_remark else sys.stdout).isatty():
            self._draw(columns, rows, is_remark=is_remark)
        else:
            self._print_plain(columns, rows, is_remark=is_remark)

    def note(self, text: str) -> None:
        """Print a remark on standard error."""
        click.echo(printable(text), err=True)

    def _print_plain(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, is_remark: bool) -> None:
        lines = [[cell if isinstance(cell, Styled) else printable(cell) for cell in row] for row in (columns, *rows)]
        widths = [max(len(click.unstyle(line[index])) for line in lines) for index in range(len(columns))]
        for line in lines:
            cells = (cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(cells).rstrip(), err=is_remark, color=self.has_color)

    def _draw(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, is_remark: bool) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Column, Table
        from rich.text import Text

        # What does not fit is folded, not cut. (A least width instead of no_wrap would push the last column out.)
        heads = [Column(name, overflow="fold", no_wrap=name in _NEVER_FOLDED) for name in columns]
        table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for row in rows:
            cells = (Text.from_ansi(cell) if isinstance(cell, Styled) else Text(printable(cell)) for cell in row)
            table.add_row(*cells)
        Console(no_color=not self.has_color, highlight=False, stderr=is_remark).print(table)


def show_error(error: PilotError, *, is_json: bool, usage: str = "") -> None:
    """Print an error: message and hint on standard error, or the envelope on standard output."""
    if is_json:
        click.echo(json.dumps(error_envelope(error), ensure_ascii=False))
        return
    if usage:
        click.echo(usage, err=True)
    has_color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    head = click.style("error:", fg="red", bold=True) if has_color else "error:"
    click.echo(f"{head} {printable(error.message)}", err=True, color=has_color)
    for claim in getattr(error, "claims", ()):
        click.echo(f"  {printable(str(claim))}", err=True)
    for answer, count in getattr(error, "split", ()):
        click.echo(f"  {count} answered: {printable(str(answer))}", err=True)
    if error.hint:
        click.echo(f"hint: {printable(error.hint)}", err=True)


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


def printable(text: str) -> str:
    """Return ``text`` without control characters: what a peer sends must not drive the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else f"\\x{ord(character):02x}"
        for character in text
    )


def _wants_color(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
