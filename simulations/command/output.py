"""What a command prints: results on standard output, all else on standard error, JSON when asked for.

Tables and colours are for people at a terminal; anything else gets plain text. rich is imported only where a table is
drawn on a terminal; it heeds ``NO_COLOR``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from pilotdht.errors import PilotError
from simulations.report.quantities import quantity_of, with_unit

ABSENT = "-"
"""Stands for a value that is not known."""

STYLES = {
    "yes": "green",
    "kept": "green",
    "done": "green",
    "MISSED": "bold red",
    "FAILED": "bold red",
    "incomplete": "yellow",
}
"""Colour of a cell that says nothing but how something ended."""


class Output:
    """Prints the results of one command."""

    def __init__(self, *, is_json: bool, is_quiet: bool = False) -> None:
        """Make it.

        Args:
            is_json: whether results are JSON.
            is_quiet: whether remarks are left out.
        """
        self.is_json = is_json
        self.is_quiet = is_quiet

    def json(self, data: object) -> None:
        """Print a result as one JSON object on one line."""
        click.echo(json.dumps({"status": "ok", "data": data}, ensure_ascii=False))

    def line(self, text: str = "", **style: bool | str) -> None:
        """Print one line for people, in a colour when standard output is a terminal."""
        click.secho(text, **style)  # type: ignore[arg-type]  # click types each keyword apart

    def note(self, text: str) -> None:
        """Print a remark on standard error."""
        if not self.is_quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print on standard error what must be known, also to who wants no remarks."""
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {text}", err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
        """Print a table.

        Args:
            columns: its heads.
            rows: as many cells each.
            right: indices of columns whose cells are numbers.
        """
        if sys.stdout.isatty():
            _draw(columns, rows, right)
            return
        widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
        for row in (columns, *rows):
            cells = (
                cell.rjust(width) if index in right else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            click.echo("  ".join(cells).rstrip())


def show_error(error: PilotError, *, is_json: bool) -> None:
    """Print an error: message and hint on standard error, or as JSON on standard output."""
    if is_json:
        content = {"status": "error", "code": error.code, "message": error.message, "hint": error.hint}
        click.echo(json.dumps(content, ensure_ascii=False))
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def quantity(figure: str, value: float | None) -> str:
    """Return a figure's value with the unit that its name tells."""
    return ABSENT if value is None else with_unit(value, quantity_of(figure).unit)


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``0.4s``, ``45s``, ``12m 5s``, ``3h``, ``2d 4h``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for (large, size), (small, unit) in (
        (("d", 86400), ("h", 3600)),
        (("h", 3600), ("m", 60)),
        (("m", 60), ("s", 1)),
    ):
        if whole >= size:
            rest = whole % size // unit
            return f"{whole // size}{large}" + (f" {rest}{small}" if rest else "")
    return f"{whole}s"


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    heads = [
        Column(name, overflow="fold", justify="right" if index in right else "left", no_wrap=index == 0)
        for index, name in enumerate(columns)
    ]
    table = Table(*heads, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)
