"""Every plot can be drawn from any result, says when it is empty, and is explained in the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

from simulations.report import comparison, distributions, over_time
from simulations.report.canvas import DOTS_PER_INCH, WIDTH_IN, png_of, spread, svg_of
from simulations.report.group_plots import CLASSES, TIMES, VARIANTS
from simulations.report.groups import groups_of
from simulations.report.over_time import median_curve
from simulations.report.palette import LIGHT
from simulations.report.plots import GROUP_PLOTS, PLOTS, ROAD_PLOTS, Plot, plots_for
from simulations.results.result import Mark, Result, Series
from tests.support.sim_results import made_result
from tests.support.source import ROOT

pytest.importorskip("matplotlib", reason="plots need the extra 'sim'")

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN: dict[str, Callable[[Sequence[Result]], Figure]] = {plot.name: plot.draw for plot in PLOTS}
TEXT = (ROOT / "docs" / "simulation-plots.md").read_text(encoding="utf-8")


def texts_of(figure: Figure) -> str:
    """Return everything that stands in a plot, line by line."""
    return "\n".join(re.sub(r"<[^>]+>", "", one) for one in re.findall(r"<text.*?</text>", svg_of(figure), re.DOTALL))


def both(seeds: int = 1) -> list[Result]:
    """Return runs of ours and of the baseline."""
    return [
        made_result(implementation=name, seed=seed, nodes=50, lookups=400)
        for name in ("pilotdht", "kademlia")
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("name", DRAWN)
def test_plot_names_both_implementations_in_their_colours(name: str) -> None:
    """Lines are labelled at their ends, in the one colour of their implementation."""
    figure = DRAWN[name](both(2))

    svg = svg_of(figure)
    assert "pilotdht" in svg
    assert "kademlia" in svg
    assert LIGHT["ours"] in svg
    assert LIGHT["baseline"] in svg
    assert "2 seeds" in svg


@pytest.mark.parametrize("name", DRAWN)
def test_plot_without_data_says_so(name: str) -> None:
    """No runs, and a run that measured nothing, give a plot with words instead of lines."""
    nothing = Result(
        scenario="x", implementation="pilotdht", options={}, version="", commit="", python="", started_unix=0.0
    )
    absent = Result(
        scenario="x", implementation="pilotdht", options={}, version="", commit="", python="", started_unix=0.0
    )
    absent.series = {"up": Series(unit="", times_s=[1.0], values=[None])}

    for results in ([], [nothing], [absent]):
        said = texts_of(DRAWN[name](results))
        assert re.search(r"measured nothing|no figures", said), said


@pytest.mark.parametrize("name", DRAWN)
def test_plot_of_an_unfinished_run_says_so(name: str) -> None:
    """Whoever sees the plot alone learns that the run was interrupted."""
    assert "UNFINISHED" in texts_of(DRAWN[name]([made_result(is_complete=False, lookups=400)]))


@pytest.mark.parametrize("name", DRAWN)
def test_labels_from_files_cannot_harm(name: str) -> None:
    """Dollar signs, markup, controls, other scripts and long words are shown or cut, never interpreted."""
    odd = "$\\frac{1}{0}$ <b>&\n\x00日本 " + "w" * 500
    results = [made_result(scenario=odd, implementation=odd, lookups=100, is_complete=False)]
    results[0].marks = [Mark(time_s=100.0 * number, label=odd) for number in range(40)]
    results[0].samples["lookup"].errors = {odd: 3}

    assert png_of(DRAWN[name](results)).startswith(b"\x89PNG")


def test_png_is_1200_pixels_wide_and_equal_for_equal_data() -> None:
    """A report made twice is byte for byte the same."""
    one, two = (png_of(over_time.traffic(both())) for _ in range(2))

    assert one == two
    assert int(WIDTH_IN * DOTS_PER_INCH) == int.from_bytes(one[16:20]) == 1200


def test_latency_curve_ends_at_the_share_that_succeeded() -> None:
    """Failures count: a curve of all lookups does not reach 100 % when some failed."""
    result = made_result(lookups=100)
    samples = result.samples["lookup"]
    samples.are_ok = [number % 4 != 0 for number in range(100)]

    said = texts_of(distributions.lookup_latency([result]))

    assert "75 % ever" in said
    assert "95 % in" not in said


def test_median_curve_is_the_middle_run_and_its_band_the_outer_ones() -> None:
    """Runs are compared at the times of the first; a value that is absent does not count."""
    runs = [
        Series(unit="s", times_s=[0.0, 10.0, 20.0], values=[1.0, 2.0, 3.0]),
        Series(unit="s", times_s=[0.0, 20.0], values=[3.0, 5.0]),
        Series(unit="s", times_s=[0.0, 10.0, 20.0], values=[5.0, None, 4.0]),
    ]

    curve = median_curve(runs)

    assert ([0.0, 10.0, 20.0], [3.0, 3.0, 4.0]) == (curve.times_s, curve.middle)
    assert ([1.0, 2.0, 3.0], [5.0, 4.0, 5.0]) == (curve.low, curve.high)


def test_gap_between_measured_parts_is_a_gap() -> None:
    """Nothing is drawn across time in which nothing was measured."""
    curve = median_curve([Series(unit="s", times_s=[0.0, 1.0, 2.0, 60.0, 61.0], values=[1.0] * 5)])

    assert 6 == len(curve.times_s)
    assert curve.times_s[3] != curve.times_s[3]


def test_spread_keeps_order_and_distance() -> None:
    """Labels do not overlap, and stay as near to their lines as that allows."""
    places = spread([0.5, 0.5, 0.9, 0.51], [0.1] * 4)

    assert places[0] < places[1] < places[3] < places[2] == 0.9
    assert all(later - earlier > 0.0999 for earlier, later in zip(sorted(places), sorted(places)[1:], strict=False))


def test_confidence_interval_is_wilsons() -> None:
    """Known values of the interval, and its ends."""
    low, high = distributions.wilson(9, 10)

    assert (0.596, 0.982) == (round(low, 3), round(high, 3))
    assert 1.0 == distributions.wilson(5, 5)[1]


def test_runs_that_differ_in_seed_alone_are_one_group() -> None:
    """Ours comes first, other options make other groups, and each label tells them apart."""
    results = [*both(2), made_result(nodes=90, lookups=10)]

    groups = groups_of(results)

    assert [2, 1, 2] == [len(group.runs) for group in groups]
    assert ["pilotdht, nodes 50", "pilotdht, nodes 90", "kademlia, nodes 50"] == [group.label for group in groups]
    assert [0, 1, 0] == [group.rank for group in groups]


def test_sweep_draws_each_run_and_the_medians() -> None:
    """A figure against an option, and plots for it only where the option takes several values."""
    results = [made_result(nodes=nodes, seed=seed, lookups=50) for nodes in (10, 100) for seed in (1, 2)]

    assert "pilotdht" in texts_of(comparison.sweep(results, "lookup_p95_s", "nodes"))
    assert "measured nothing" in texts_of(comparison.sweep(results, "no_such", "nodes"))
    names = [plot.name for plot in plots_for(results)]
    assert "sweep-lookup-p95-s-by-nodes" in names
    assert not [name for name in (plot.name for plot in plots_for(results[:2])) if name.startswith("sweep")]


def test_series_of_a_scenario_gets_a_plot_of_its_own() -> None:
    """What a scenario measures beside the usual things is not hidden."""
    result = made_result(lookups=50)
    result.series["records_available"] = Series(unit="share", times_s=[1.0, 2.0], values=[1.0, 0.5])

    plots = {plot.name: plot for plot in plots_for([result])}

    assert "Records available" in texts_of(plots["series-records-available"].draw([result]))


def test_figures_of_phases_are_rows_of_their_own() -> None:
    """A scenario of several measured parts is compared part by part."""
    results = both()
    for run in results:
        run.figures = {"cut_lookup_success": 0.9, "healed_lookup_success": 1.0}

    said = texts_of(comparison.bars(results))

    assert "cut" in said.splitlines()
    assert "healed" in said.splitlines()


def test_documentation_has_one_section_a_plot() -> None:
    """Each plot is explained under the name of its file, and nothing else is."""
    families = ["series-NAME", "sweep-FIGURE-by-OPTION"]
    sections = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)

    assert [
        "What all plots share",
        *(plot.name for plot in PLOTS),
        *(plot.name for plot in GROUP_PLOTS),
        *(plot.name for plot in ROAD_PLOTS),
        *families,
        "The pictures of the network",
    ] == sections


def group_results() -> list[Result]:
    """Return runs as scenarios about groups leave them."""
    results = []
    for nodes in (10, 100):
        result = made_result(scenario="group", nodes=nodes, lookups=10)
        result.samples = {}
        times, shares = [1.0, 2.0, 3.0], [1.0, 0.5, 1.0]
        result.series = {
            name: Series(unit="share", times_s=[*times], values=[*shares])
            for name in ("agreement", "agreement_whole", "coverage")
        }
        for name in TIMES:
            result.figures |= {f"{name}_s": 1.0 + nodes / 100, f"{name}_formula_s": 2.0}
        for place, variant in enumerate(VARIANTS):
            result.figures |= {f"{variant}_{kind}": 1000.0 / 10**place for kind in CLASSES}
        results.append(result)
    return results


@pytest.mark.parametrize("plot", GROUP_PLOTS, ids=lambda plot: plot.name)
def test_plot_of_groups_is_wanted_by_them_alone(plot: Plot) -> None:
    """It is drawn where there is something to show, and says so where there is not."""
    results = group_results()

    assert plot.is_wanted(results)
    assert plot.name in [one.name for one in plots_for(results)]
    assert not plot.is_wanted(both())
    assert "measured nothing" not in texts_of(plot.draw(results))
    assert "measured nothing" in texts_of(plot.draw(both()))
    assert "measured nothing" in texts_of(plot.draw([]))


def test_plots_of_lookups_are_left_out_where_nobody_looks_up() -> None:
    """Members of groups look nothing up: empty plots would only say so."""
    names = [plot.name for plot in plots_for(group_results())]

    assert "lookups" not in names
    assert "traffic" in names


def test_false_positives_are_told_by_detector_and_class() -> None:
    """The numbers stand at the bars."""
    said = texts_of(next(plot for plot in GROUP_PLOTS if plot.name == "false-positives").draw(group_results()))

    for word in ("plain SWIM", "with Lifeguard", "1,000", "100", "10"):
        assert word in said.splitlines()
