"""Tables of plain text. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def as_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under a header, columns as wide as they must be."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    lines = (header, rule, *rows)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def yes_or_no(value: bool | None) -> str:
    """Return ``yes``, ``no``, or a dash for what makes no sense."""
    return "-" if value is None else "yes" if value else "no"


def milliseconds(value: float | None) -> str:
    """Return whole milliseconds, tenths below ten, or a dash for what never was."""
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
