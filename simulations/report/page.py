"""One self-contained page about the runs of one scenario: verdict, figures, the network in pictures, plots, options.

Everything is inline, nothing is fetched and nothing is a script, so that a page can be mailed, archived and opened
anywhere. Whatever comes from a result file is escaped.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest

from simulations.report.canvas import shown
from simulations.report.groups import BASELINE, Group, groups_of, in_phase, runs_in_words
from simulations.report.network_picture import Picture, moment, pictures_of
from simulations.report.page_style import POLICY, style_sheet
from simulations.report.palette import role_of, with_css_variables
from simulations.report.plots import Plot
from simulations.report.quantities import duration, is_better, phase_of, quantity_of, ratio_in_words, with_unit
from simulations.results.result import Result

_SHAPES = {"up": "", "down": " ring"}

MOST_PICTURED = 6
"""Snapshots shown at most; a scenario that keeps more is shown by its first ones and its last one."""


def page_of(results: Sequence[Result], drawn: Mapping[Plot, str], *, about: str = "", expects: str = "") -> str:
    """Return the page about runs of one scenario.

    Args:
        results: at least one run, all of one scenario.
        drawn: plots and what :func:`simulations.report.canvas.svg_of` made of them, in the order of the page.
        about: the scenario in a sentence; empty when unknown.
        expects: what should come out, in a sentence; empty when unknown.
    """
    groups = groups_of(results)
    name = groups[0].scenario
    pictured = _pictured(groups)
    pictures = pictures_of(pictured) if pictured else []
    if len(pictures) > MOST_PICTURED:
        pictures = [*pictures[: MOST_PICTURED - 1], pictures[-1]]
    sections = [
        ("bounds", "Bounds", _bounds(groups)),
        ("network", "The network", _network(pictured, pictures) if pictured else ""),
        ("figures", "Figures", _figures(groups)),
        ("plots", "Plots", _plots(drawn)),
        ("options", "Options", _options(groups)),
        ("runs", "Runs", _runs(groups)),
    ]
    sections = [one for one in sections if one[2]]
    head = [
        f'<p class="kicker">Simulation · {escape(runs_in_words(groups))}</p><h1>{escape(name)}</h1>',
        f"<p>{escape(about)}</p>" if about else "",
        f'<p class="soft">Expected: {escape(expects)}</p>' if expects else "",
        *(_verdict(group) for group in groups[:8]),
        _warning(results),
    ]
    return document(f"{name}: simulation", "".join(head), sections, views=len(pictures))


def document(title: str, head: str, sections: Sequence[tuple[str, str, str]], *, views: int = 0) -> str:
    """Return a whole page.

    Args:
        title: plain text.
        head: HTML of its header.
        sections: anchor, plain heading and HTML of each.
        views: pictures of the network among which the reader chooses.
    """
    links = "".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in sections)
    body = "".join(
        f'<section id="{anchor}" aria-labelledby="h-{anchor}"><h2 id="h-{anchor}">{escape(heading)}</h2>'
        f"{content}</section>"
        for anchor, heading, content in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style_sheet(views)}</style></head><body>"
        '<a class="skip" href="#main">Skip to the content</a>'
        f'<header class="top">{head}<nav aria-label="Sections">{links}</nav></header><main id="main">{body}</main>'
        "<footer>Real pilotdht nodes under a virtual clock on a simulated network. Equal seeds give equal runs. "
        "How to read each plot: docs/simulation-plots.md.</footer></body></html>\n"
    )


def verdict_of(group: Group) -> tuple[str, bool | None]:
    """Return a group's verdict in words, and whether it is good; absent where no bounds were set."""
    checks = [check for run in group.runs for check in run.checks]
    kept = sum(1 for check in checks if check.is_kept)
    unfinished = sum(1 for run in group.runs if not run.is_complete)
    if unfinished:
        return ("unfinished" if len(group.runs) == 1 else f"{unfinished} of {len(group.runs)} runs unfinished"), False
    if not checks:
        return "complete, no bounds set", None
    if kept == len(checks):
        return f"passed, {_counted(kept, 'bound')} kept", True
    return f"failed, {len(checks) - kept} of {_counted(len(checks), 'bound')} broken", False


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 99) -> str:
    """Return a table; cells are HTML, the first of a row is its heading.

    Args:
        heads: plain headings.
        rows: HTML of the cells.
        numbers_from: index of the first column of numbers, which stand to the right.
    """
    kinds = ["" if index < numbers_from else ' class="n"' for index in range(len(heads))]
    top = "".join(f'<th scope="col"{kind}>{escape(head)}</th>' for head, kind in zip(heads, kinds, strict=True))
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=False))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def named(group: Group, *, text: str = "") -> str:
    """Return a group's label in the colour of its implementation."""
    return f'<span style="color:var(--{role_of(group.implementation)})">{escape(shown(text or group.label, 80))}</span>'


def inlined(plot: Plot, svg: str, *, number: int) -> str:
    """Return a plot as a ``<figure>`` whose colours follow the page; ``number`` keeps its ids apart."""
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{number}-", with_css_variables(svg))
    svg = re.sub(r'^<svg[^>]*?(viewBox="[^"]*")[^>]*>', _opening(plot), svg, count=1, flags=re.DOTALL)
    return f'<figure id="plot-{plot.name}">{svg}<figcaption>{escape(plot.caption)}</figcaption></figure>'


def _opening(plot: Plot) -> str:
    label = escape(f"{plot.title}. {plot.caption}").replace("\\", "")
    return rf'<svg xmlns:xlink="http://www.w3.org/1999/xlink" \1 role="img" aria-label="{label}">'


def _verdict(group: Group) -> str:
    words, is_good = verdict_of(group)
    colour = {True: "good", False: "bad", None: "soft"}[is_good]
    return f'<span class="verdict {colour}">{escape(shown(group.label, 60))}: {words}</span>'


def _warning(results: Sequence[Result]) -> str:
    unfinished = [run for run in results if not run.is_complete]
    if not unfinished:
        return ""
    latest = max(run.virtual_s for run in unfinished)
    return (
        '<p class="warning" role="note"><strong>Unfinished.</strong> '
        f"{len(unfinished)} of {_counted(len(results), 'run')} "
        f"did not come to the end; {duration(latest)} of virtual time passed. "
        "Figures and plots show what was measured until then."
        "</p>"
    )


def _bounds(groups: Sequence[Group]) -> str:
    rows = []
    for group in groups:
        by_bound: dict[tuple[str, str, float], list[tuple[float | None, bool]]] = {}
        for check in (check for run in group.runs for check in run.checks):
            by_bound.setdefault((check.figure, check.relation, check.bound), []).append((check.value, check.is_kept))
        for (figure, relation, bound), found in by_bound.items():
            quantity = quantity_of(figure)
            sign = {">=": "at least", "<=": "at most"}.get(relation, shown(relation, 12))
            values = [value for value, _ in found if value is not None]
            worst = (min if relation == ">=" else max)(values, default=None) if len(values) == len(found) else None
            kept = sum(1 for _, is_kept in found if is_kept)
            word = "kept" if len(found) == 1 else f"kept in {kept} of {len(found)} runs"
            is_good = kept == len(found)
            rows.append([
                escape(quantity.words), named(group), f"{escape(sign)} {with_unit(bound, quantity.unit)}",
                with_unit(worst, quantity.unit) if worst is not None else "not measured",
                f'<strong class="{"good" if is_good else "bad"}">{word if kept else "broken"}</strong>',
            ])  # fmt: skip
    several = any(len(group.runs) > 1 for group in groups)
    heads = ["Figure", "Run", "Demanded", "Worst run" if several else "Measured", "Verdict"]
    return table(heads, rows) if rows else "<p>This scenario sets no bounds.</p>"


def _figures(groups: Sequence[Group]) -> str:
    names = dict.fromkeys(name for group in groups for run in group.runs for name in run.figures)
    by_phase: dict[str, list[str]] = {}
    for name in names:
        by_phase.setdefault(phase_of(name)[0], []).append(name)
    if not names:
        return "<p>No figures were measured.</p>"
    if len(groups) == 1 and len(by_phase) > 1:
        return _figures_by_phase(groups[0], by_phase)
    parts = []
    for phase, found in sorted(by_phase.items(), key=lambda pair: not pair[0]):  # the whole run comes last
        title = phase.replace("_", " ") or "the whole run"
        parts.append(f"<h3>{escape(shown(title, 60))}</h3>" if len(by_phase) > 1 else "")
        parts.append(_figures_side_by_side(groups, found))
    return "".join(parts)


def _figures_by_phase(group: Group, by_phase: Mapping[str, Sequence[str]]) -> str:
    """Return one table with a column a phase."""
    phases = [phase for phase in by_phase if phase]
    own = dict.fromkeys(phase_of(name)[1] for names in by_phase.values() for name in names)
    columns = [*phases, *([""] if by_phase.get("") else [])]
    rows = [
        [escape(shown(quantity_of(name).words, 80)), *(_cell(group, in_phase(phase, name)) for phase in columns)]
        for name in own
    ]
    heads = ["Figure", *(shown(phase.replace("_", " ") or "whole run", 40) for phase in columns)]
    return table(heads, rows, numbers_from=1)


def _figures_side_by_side(groups: Sequence[Group], names: Sequence[str]) -> str:
    """Return one table with a column a group, and how ours compares with the baseline when there are just these two."""
    pair = (groups[0], groups[1]) if len(groups) == 2 and groups[1].implementation == BASELINE else None
    rows = []
    for name in names:
        quantity = quantity_of(phase_of(name)[1])
        cells = [escape(shown(quantity.words, 80)), *(_cell(group, name) for group in groups)]
        if pair is not None:
            values = pair[0].figure(name), pair[1].figure(name)
            colour = {True: "good", False: "bad", None: ""}[is_better(*values, quantity)]
            cells.append(f'<span class="{colour}">{ratio_in_words(*values, quantity)}</span>')
        rows.append(cells)
    heads = ["Figure", *(shown(group.label, 60) for group in groups)]
    heads += [] if pair is None else [f"{pair[0].implementation}, against {pair[1].implementation}"]
    return table(heads, rows, numbers_from=1)


def _cell(group: Group, name: str) -> str:
    values, unit = group.figures(name), quantity_of(name).unit
    spread = ""
    if len(values) > 1 and min(values) != max(values):
        spread = f"<small>{with_unit(min(values), unit)} to {with_unit(max(values), unit)}</small>"
    return with_unit(group.figure(name), unit) + spread


def _plots(drawn: Mapping[Plot, str]) -> str:
    figures = (inlined(plot, svg, number=number) for number, (plot, svg) in enumerate(drawn.items()))
    return f'<div class="plots">{"".join(figures)}</div>'


def _options(groups: Sequence[Group]) -> str:
    runs = [run for group in groups for run in group.runs]
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run.options):
        values = dict.fromkeys(shown(str(run.options[name]), 200) for run in runs if name in run.options)
        rows.append([f"<code>{escape(shown(name, 60))}</code>", escape(", ".join(values))])
    return table(["Option", "Value"], rows) if rows else ""


def _runs(groups: Sequence[Group]) -> str:
    rows = [
        [
            named(group), escape(shown(str(run.options.get("seed", "")), 20)), _date(run.started_unix),
            duration(run.virtual_s), duration(run.wall_s), duration(run.cpu_s), escape(shown(run.version, 30)),
            f"<code>{escape(shown(run.commit[:12], 12))}</code>", escape(shown(run.python, 40)),
            f'<code title="{escape(shown(run.trace_digest, 80))}">{escape(shown(run.trace_digest[:12], 12))}</code>',
        ]
        for group in groups
        for run in group.runs
    ]  # fmt: skip
    heads = ["Run", "Seed", "Started", "Virtual time", "Wall time", "CPU time", "Version", "Commit", "Python", "Trace"]
    return table(heads, rows)


def _pictured(groups: Sequence[Group]) -> Result | None:
    """Return the first run that kept pictures of anybody, ours before the baseline's."""
    return next((run for group in groups for run in group.runs if any(one.nodes for one in run.snapshots)), None)


def _network(result: Result, pictures: Sequence[Picture]) -> str:
    seed = escape(shown(str(result.options.get("seed", "?")), 20))
    several = len(pictures) > 1
    names = [escape(shown(picture.label, 30)) for picture in pictures]
    views = '<input type="radio" name="view" id="view-0" checked><label for="view-0">all</label>' if several else ""
    if several:
        views += "".join(
            f'<input type="radio" name="view" id="view-{number}"><label for="view-{number}">{name}</label>'
            for number, name in enumerate(names, start=1)
        )
    figures = "".join(
        f"<figure><h3>{name}</h3>{picture.svg}{_legend(picture)}<figcaption>{moment(picture)}</figcaption></figure>"
        for name, picture in zip_longest(names, pictures)
    )
    return (
        f"<p>A dot is a node of {escape(result.implementation)}, seed {seed}; discs are regions, "
        "squares are adversaries. "
        "Lines are a sample of who has whom in its routing table; red ones lead to nodes that are gone.</p>"
        f'<div class="views">{views}<div class="pictures">{figures}</div></div>'
    )


def _legend(picture: Picture) -> str:
    items = "".join(
        f'<li><span class="dot{_SHAPES.get(state, " square")}" style="color:var(--{role})">'
        f"</span>{escape(shown(state, 40))} {count:,}</li>"
        for state, role, count in picture.counts
    )
    return f'<ul class="legend">{items}</ul>'


def _date(unix_s: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
