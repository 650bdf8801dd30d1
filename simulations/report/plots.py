"""All plots by name: what each is for in one sentence, when it is wanted, and how it is drawn.

docs/simulation-plots.md explains each at length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from simulations.report import comparison, distributions, group_plots, over_time, road_plots
from simulations.report.groups import differing_numbers, groups_of, in_phase
from simulations.report.over_time import Draw, series_names
from simulations.report.quantities import KEY_FIGURES, quantity_of
from simulations.results.result import Result

Wants = Callable[[Sequence[Result]], bool]
"""Whether a plot has something to say about some results."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot."""

    name: str
    """Name of its file, without ending."""
    title: str
    """A few words."""
    caption: str
    """How to read it, a sentence or two."""
    draw: Draw
    """Draws it."""
    is_wanted: Wants = lambda _results: True
    """Whether a report has it; those that are always there say so when they are empty."""


def _has_samples(name: str) -> Wants:
    return lambda results: any(name in run.samples and run.samples[name].times_s for run in results)


def _has_series(*names: str) -> Wants:
    return lambda results: any(one in names for one in series_names(results))


def _is_about_nodes(results: Sequence[Result]) -> bool:
    """Return whether anything was looked up, or might have been: members of groups and callers look nothing up."""
    names = series_names(results)
    return "agreement" not in names and "coverage" not in names and not _has_links(results)


def _has_links(results: Sequence[Result]) -> bool:
    return any(run.links is not None and run.links.times_s for run in results)


def _has_figures(*names: str) -> Wants:
    return lambda results: any(name in run.figures for run in results for name in names)


def _has_heal(results: Sequence[Result]) -> bool:
    return any(name == "heal" or name.startswith("heal_") for name in series_names(results))


PLOTS = (
    Plot(
        "lookups",
        "Lookups over time",
        "The upper line should return to 100 % soon after each mark; the lower ones should stay low and flat.",
        over_time.success_and_latency,
        _is_about_nodes,
    ),
    Plot(
        "lookup-latency",
        "Lookup latency",
        "Further left is faster. A curve that ends below 100 % lost the rest: those lookups failed.",
        distributions.lookup_latency,
        _is_about_nodes,
    ),
    Plot(
        "availability",
        "Availability over time",
        "What an operator's users notice: of the operations begun in each window, the share that succeeded.",
        distributions.availability,
        _is_about_nodes,
    ),
    Plot(
        "heal",
        "Healing after the cut",
        "How soon both sides find each other again. Steep and early is good.",
        over_time.heal,
        _has_heal,
    ),
    Plot(
        "hops",
        "Hops of a lookup",
        "Fewer rounds are faster and depend on fewer nodes. The number grows with the logarithm of the population.",
        distributions.hops,
        _has_samples("lookup"),
    ),
    Plot(
        "errors",
        "Why lookups failed",
        "Time-outs point at dead contacts or lost datagrams, not_found at lost records, outdated at wrong answers.",
        distributions.errors,
        _has_samples("lookup"),
    ),
    Plot(
        "publish-latency",
        "Write latency",
        "Further left is faster. A write counts when enough holders acknowledged it.",
        distributions.publish_latency,
        _has_samples("publish"),
    ),
    Plot(
        "join-latency",
        "Join latency",
        "How long newcomers, and those that come back, take until they are part of the network.",
        distributions.join_latency,
        _has_samples("join"),
    ),
    Plot(
        "traffic",
        "Traffic over time",
        "What taking part costs each node. Flat is good; a storm after a mark must fade.",
        over_time.traffic,
    ),
    Plot(
        "tables",
        "Routing tables over time",
        "Dead contacts cost time-outs. Their share should fall back soon after nodes disappear.",
        over_time.tables,
        _has_series("contacts", "dead_contacts"),
    ),
    Plot(
        "population",
        "Nodes up over time",
        "What the scenario did to the population: the ground on which all other plots stand.",
        over_time.population,
        _has_series("up"),
    ),
    Plot(
        "comparison",
        "Side by side",
        "The first figures of every kind of run; thin lines span from the lowest to the highest seed.",
        comparison.bars,
        lambda results: len(groups_of(results)) > 1,
    ),
)
"""Plots that every scenario may have, in the order of a page."""

GROUP_PLOTS = (
    Plot(
        "agreement",
        "Membership over time",
        "Who sees whom: each line falls when something happens, and should return to 100 % within seconds.",
        group_plots.agreement,
        _has_series("agreement"),
    ),
    Plot(
        "detection",
        "How soon it is known",
        "Full lines should stay below the dashed ones, which theory draws, and rise as slowly.",
        group_plots.detection,
        _has_figures("notice_all_formula_s"),
    ),
    Plot(
        "false-positives",
        "Members held for dead that were there",
        "The shorter the bars the better; what healthy members wrongly say of healthy ones does most harm.",
        group_plots.false_positives,
        _has_figures("default_false_about_healthy"),
    ),
    Plot(
        "coverage",
        "Whom messages reached",
        "A point a message. It should be at 100 %, or return there with the next message after a mark.",
        group_plots.coverage,
        _has_series("coverage"),
    ),
)
"""Plots of scenarios about groups, in the order of a page: before the others."""

ROAD_PLOTS = (
    Plot(
        "roads",
        "Roads between NATs",
        "A cell a pair: the colours are its roads, with the number of tunnels. Below, paler is faster.",
        road_plots.roads,
        _has_links,
    ),
    Plot(
        "road-times",
        "Times to the first byte and to a direct road",
        "Further left is faster. What never came is not reached: a curve ends at the share that did.",
        road_plots.road_times,
        _has_links,
    ),
)
"""Plots of scenarios about tunnels, in the order of a page: before the others."""

_DRAWN = (
    "lookup_success", "lookup_p50_s", "lookup_p95_s", "messages_per_node_s", "bytes_per_node_s", "contacts",
    "dead_contacts", "up", "agreement", "agreement_whole", "coverage",
)  # fmt: skip


def plots_for(results: Sequence[Result]) -> list[Plot]:
    """Return the plots that a report on these runs of one scenario has, in the order of a page."""
    return [
        *_sweeps(results),
        *(plot for plot in (*GROUP_PLOTS, *ROAD_PLOTS) if plot.is_wanted(results)),
        *(plot for plot in PLOTS if plot.is_wanted(results)),
        *_own_series(results),
    ]


def _sweeps(results: Sequence[Result]) -> list[Plot]:
    phases = dict.fromkeys(phase for group in groups_of(results) for phase in group.phases(KEY_FIGURES))
    names = [in_phase(phase, name) for phase in phases for name in KEY_FIGURES]
    measured = [name for name in names if any(run.figures.get(name) is not None for run in results)]
    return [
        Plot(
            f"sweep-{_file_name(figure)}-by-{_file_name(option)}",
            f"{_titled(figure)} against {option.replace('_', ' ')}",
            "A dot a run, a line through the medians. A line that stays flat scales.",
            partial(comparison.sweep, figure=figure, over=option),
        )
        for option in differing_numbers(results)
        for figure in measured
    ]


def _own_series(results: Sequence[Result]) -> list[Plot]:
    names = [name for name in series_names(results) if name not in _DRAWN and name.partition("_")[0] != "heal"]
    return [
        Plot(
            f"series-{_file_name(name)}",
            f"{_titled(name)} over time",
            "A quantity that this scenario keeps of its own.",
            partial(over_time.one_series, name=name),
        )
        for name in names
    ]


def _titled(name: str) -> str:
    words = quantity_of(name).words
    return words[:1].upper() + words[1:]


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "unnamed"
