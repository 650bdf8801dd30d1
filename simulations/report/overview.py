"""The page above the pages: all scenarios of a report with verdicts and first figures, and links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from simulations.report import comparison
from simulations.report.canvas import shown, svg_of
from simulations.report.groups import by_scenario, groups_of, in_phase
from simulations.report.page import document, inlined, named, table, verdict_of
from simulations.report.plots import Plot
from simulations.report.quantities import KEY_FIGURES, quantity_of, with_unit
from simulations.results.result import Result


def overview_of(results: Sequence[Result], pages: Mapping[str, str]) -> str:
    """Return the overview page.

    Args:
        results: of several scenarios.
        pages: relative address of each scenario's page.
    """
    groups = groups_of(results)
    figures = [name for name in KEY_FIGURES if any(group.phases((name,)) for group in groups)]
    rows: list[list[str]] = []
    bad = kinds = 0
    for scenario, runs in by_scenario(results).items():
        for group in groups_of(runs):
            words, is_good = verdict_of(group)
            bad, kinds = bad + (is_good is False), kinds + 1
            colour = {True: "good", False: "bad", None: "soft"}[is_good]
            cells = [
                f'<a href="{escape(pages[scenario])}">{escape(shown(scenario, 60))}</a>',
                named(group),
                f'<strong class="{colour}">{words}</strong>',
            ]
            for phase in group.phases(KEY_FIGURES) or [""]:
                numbers = [with_unit(group.figure(in_phase(phase, name)), quantity_of(name).unit) for name in figures]
                rows.append([*cells, escape(shown(phase.replace("_", " "), 30)), *numbers])
    heads = ["Scenario", "Run", "Verdict", "Phase", *(quantity_of(name).words for name in figures)]
    count = len(pages)
    state = f"{bad} of {kinds} kinds of runs failed or are unfinished" if bad else "every bound was kept"
    head = (
        f'<p class="kicker">Simulations · {count} scenarios · {len(results)} runs</p><h1>All scenarios</h1>'
        f'<span class="verdict {"bad" if bad else "good"}">{state}</span>'
    )
    bars = Plot("comparison", "Side by side", "Thin lines span from the lowest to the highest seed.", comparison.bars)
    sections = [
        ("scenarios", "Scenarios", table(heads, rows, numbers_from=4)),
        ("comparison", "Side by side", inlined(bars, svg_of(bars.draw(results)), number=0)),
    ]
    return document("Simulations", head, sections)
