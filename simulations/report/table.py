"""The table of all scenarios as Markdown, ours beside the baseline, and the block of a document that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pilotdht.errors import InvalidArgument
from simulations.report.groups import BASELINE, Group, by_scenario, groups_of, in_phase
from simulations.report.quantities import KEY_FIGURES, NOT_THERE, quantity_of, ratio_in_words, with_unit
from simulations.results.result import Check, Result
from simulations.scenarios.scenario import Subject, all_scenarios

BEGIN, END = "<!-- simulations:begin -->", "<!-- simulations:end -->"
"""Marks around the block of a document that is made from results."""

GROUPS_BEGIN, GROUPS_END = "<!-- groups:begin -->", "<!-- groups:end -->"
"""Marks around the block for scenarios about groups, which have no baseline."""

ROADS_BEGIN, ROADS_END = "<!-- roads:begin -->", "<!-- roads:end -->"
"""Marks around the block for scenarios about tunnels, which have none either."""

BLOCKS = {
    Subject.NODES: (BEGIN, END),
    Subject.GROUPS: (GROUPS_BEGIN, GROUPS_END),
    Subject.ROADS: (ROADS_BEGIN, ROADS_END),
}
"""Where the table of each subject stands."""

PHASE_FIGURES = ("lookup_success", "lookup_p95_s", "bytes_per_node_s")
"""What is told of each phase of a scenario that has several."""

_ALONE_HEADS = ("figure", "value", "bound", "kept")
_HEADS = ("scenario", "nodes", "figure", "pilotdht", "kademlia", "pilotdht is", "bound", "kept")


def comparison_table(results: Sequence[Result], figures: Sequence[str] = KEY_FIGURES) -> str:
    """Return a Markdown table: a row a scenario, population and figure, medians over seeds.

    Args:
        results: of any scenarios; other implementations than ours and the baseline are left out.
        figures: names of figures; those that a scenario sets bounds for are added.
    """
    rows = ["| " + " | ".join(_HEADS) + " |", "|" + "---|" * len(_HEADS)]
    for scenario, runs in by_scenario(results).items():
        pairs: dict[str, dict[str, Group]] = {}
        for group in groups_of(runs):
            key = f"{_nodes(group)} {group.variant}".strip()
            pairs.setdefault(key, {})[group.implementation] = group
        for pair in pairs.values():
            rows += _rows(scenario, pair.get("pilotdht"), pair.get(BASELINE), figures)
    return "\n".join(rows) + "\n"


def group_table(results: Sequence[Result], *, who: str = "members") -> str:
    """Return a Markdown table of scenarios without a baseline: a row a figure that has a bound, and those of theory.

    Args:
        results: of any scenarios.
        who: what their populations consist of.
    """
    heads = ("scenario", who, *_ALONE_HEADS)
    rows = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for scenario, runs in by_scenario(results).items():
        for group in groups_of(runs):
            checks = [check for run in group.runs for check in run.checks]
            wanted = dict.fromkeys(check.figure for check in checks)
            for place, name in enumerate(_with_theory(wanted, group)):
                quantity = quantity_of(name)
                own = [check for check in checks if check.figure == name]
                head = (_cell(scenario), _nodes(group)) if place == 0 else ("", "")
                value = with_unit(group.figure(name), quantity.unit)
                rows.append(
                    f"| {' | '.join((*head, _cell(quantity.words), value, _bounds(own, quantity.unit), _kept(own)))} |"
                )
    return "\n".join(rows) + "\n"


def replace_block(text: str, table: str, *, begin: str = BEGIN, end: str = END) -> str:
    """Return a document with the block between its marks replaced by a table.

    Args:
        text: a document with one line ``begin`` and, after it, one line ``end``.
        table: Markdown.
        begin: first mark.
        end: last mark.

    Raises:
        InvalidArgument: the marks are missing, double or in the wrong order.
    """
    first, last = text.find(begin), text.find(end)
    if text.count(begin) != 1 or text.count(end) != 1 or last < first:
        raise InvalidArgument(
            "the document has no place for the table",
            hint=f"put one line {begin} and, below it, one line {end} into it",
        )
    return f"{text[: first + len(begin)]}\n\n{table.strip()}\n\n{text[last:]}"


def update_document(path: Path, results: Sequence[Result]) -> None:
    """Replace the blocks of a document by the tables of some results; one that no result belongs to stays.

    Args:
        path: the document; see :func:`replace_block`.
        results: what the tables are made from; those of each subject go into a block of their own.

    Raises:
        InvalidArgument: the document has no place for a table.
    """
    text = path.read_text(encoding="utf-8")
    for subject, (begin, end) in BLOCKS.items():
        own = [result for result in results if _subject_of(result.scenario) is subject]
        if own and subject is Subject.NODES:
            text = replace_block(text, comparison_table(own))
        elif own:
            who = "members" if subject is Subject.GROUPS else "nodes"
            text = replace_block(text, group_table(own, who=who), begin=begin, end=end)
    path.write_text(text, encoding="utf-8")


def _subject_of(scenario: str) -> Subject:
    known = all_scenarios().get(scenario)
    return Subject.NODES if known is None else known.subject


def _with_theory(names: Iterable[str], group: Group) -> list[str]:
    """Return names, and after each ratio what it is the ratio of."""
    found: list[str] = []
    for name in names:
        stem = name.removesuffix("_ratio")
        pair = [f"{stem}_s", f"{stem}_formula_s"] if stem != name else []
        found += [*(one for one in pair if group.figure(one) is not None), name]
    return found


def _rows(scenario: str, ours: Group | None, baseline: Group | None, figures: Sequence[str]) -> list[str]:
    one = ours or baseline
    if one is None:
        return []
    bounded = [check.figure for run in one.runs for check in run.checks]
    rows: list[str] = []
    phases = one.phases(figures)
    wanted = [*figures] if phases == [""] else [in_phase(phase, name) for phase in phases for name in PHASE_FIGURES]
    for name in dict.fromkeys([*wanted, *bounded]):
        quantity = quantity_of(name)
        values = [None if group is None else group.figure(name) for group in (ours, baseline)]
        if values == [None, None] and name not in bounded:
            continue
        checks = [check for run in (ours.runs if ours else []) for check in run.checks if check.figure == name]
        cells = (
            _cell(scenario) if not rows else "",
            _nodes(one) + (f", {_cell(one.variant)}" if one.variant and "nodes" not in one.variant else "")
            if not rows
            else "",
            _cell(quantity.words),
            *(with_unit(value, quantity.unit) for value in values),
            ratio_in_words(values[0], values[1], quantity),
            _bounds(checks, quantity.unit),
            _kept(checks),
        )
        rows.append("| " + " | ".join(cells) + " |")
    if any(not group.is_complete for group in (ours, baseline) if group is not None):
        rows[0:1] = (
            [rows[0].replace(f"| {_cell(scenario)} |", f"| {_cell(scenario)} (unfinished) |", 1)] if rows else []
        )
    return rows


def _bounds(checks: Sequence[Check], unit: str) -> str:
    signs = {">=": "≥", "<=": "≤"}
    words = dict.fromkeys(
        f"{signs.get(check.relation, _cell(check.relation))} {with_unit(check.bound, unit)}" for check in checks
    )
    return ", ".join(words) if words else ""


def _kept(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    kept = sum(1 for check in checks if check.is_kept)
    return "yes" if kept == len(checks) else "no" if kept == 0 else f"{kept} of {len(checks)}"


def _nodes(group: Group) -> str:
    nodes = group.runs[0].options.get("nodes")
    return f"{nodes:,}" if isinstance(nodes, int) else NOT_THERE


def _cell(text: str) -> str:
    """Return text that cannot break out of its cell."""
    clean = " ".join("".join(one if one.isprintable() else " " for one in text).split())[:120]
    for special, safe in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("`", "\\`"), ("[", "\\[")):
        clean = clean.replace(special, safe)
    return clean
