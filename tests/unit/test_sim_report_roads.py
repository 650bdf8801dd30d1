"""Results of scenarios about tunnels: their file, their plots and their table."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from pilotdht.errors import InvalidArgument
from simulations.report.plots import ROAD_PLOTS, Plot, plots_for
from simulations.report.quantities import quantity_of
from simulations.report.table import GROUPS_BEGIN, GROUPS_END, ROADS_BEGIN, ROADS_END, update_document
from simulations.results.files import read_result, write_result
from simulations.results.result import Check, Links, Result
from tests.support.sim_results import made_result
from tests.support.source import ROOT

ROWS = (
    ("public", "public", False, 0.2, 0.1, 2.0, "direct", 0.1, "direct", ""),
    ("port_restricted", "cgnat", True, 0.3, 0.4, 2.5, "relayed", 0.9, "punched", ""),
    ("symmetric", "port_restricted", True, 0.3, 0.5, 2.5, "relayed", 4.0, "chance", ""),
    ("shared", "shared", True, 0.2, 0.0001, 9.0, "local", 0.0001, "local", ""),
    ("symmetric", "symmetric", False, 0.4, 0.6, 2.6, "relayed", None, "relayed", ""),
    ("public", "symmetric", False, None, None, None, "", None, "", "not_found"),
)
"""Callers, called, trust, times, roads and errors of a few tunnels."""


def made_links(rows: tuple[tuple[object, ...], ...] = ROWS) -> Links:
    """Return some tunnels, a second apart."""
    names = [field.name for field in dataclasses.fields(Links)][1:]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return Links(times_s=[float(number) for number in range(len(rows))], **columns)  # type: ignore[arg-type]


def road_result(*, links: Links | None = None, is_complete: bool = True) -> Result:
    """Return a result as a scenario about tunnels leaves it."""
    result = made_result(scenario="nat-mix", nodes=100, lookups=10, is_complete=is_complete)
    result.samples, result.series = {}, {}
    result.links = made_links() if links is None else links
    result.figures = {"connect_success": 0.75, "closed_round_trips_p50": 2.5}
    result.checks = [Check(figure="connect_success", relation=">=", bound=0.995, value=0.75, is_kept=False)]
    return result


def svg_text(plot: Plot, results: list[Result]) -> str:
    """Return every word in a plot."""
    pytest.importorskip("matplotlib", reason="plots need the extra 'sim'")
    from simulations.report.canvas import svg_of

    found = re.findall(r"<text.*?</text>", svg_of(plot.draw(results)), re.DOTALL)
    return "\n".join(re.sub(r"<[^>]+>", "", one) for one in found)


def test_tunnels_survive_their_file(tmp_path: Path) -> None:
    """Read again they are equal; a result without any is, too."""
    for links in (made_links(), Links(), None):
        result = road_result(links=links) if links is not None else made_result(lookups=10)
        write_result(result, tmp_path / "one.json")
        assert result == read_result(tmp_path / "one.json")


def test_file_whose_columns_differ_in_length_is_refused(tmp_path: Path) -> None:
    """Item n of each list belongs to tunnel n."""
    path = tmp_path / "one.json"
    write_result(road_result(), path)
    loaded = json.loads(path.read_text(encoding="utf-8"))
    loaded["links"]["roads"].pop()
    path.write_text(json.dumps(loaded), encoding="utf-8")

    with pytest.raises(InvalidArgument, match="links: lists of different lengths"):
        read_result(path)


@pytest.mark.parametrize("plot", ROAD_PLOTS, ids=lambda plot: plot.name)
def test_plot_of_tunnels_is_wanted_by_them_alone(plot: Plot) -> None:
    """It is drawn where something was dialled, says so where not, and that a run was interrupted."""
    assert plot in plots_for([road_result()])
    assert not plot.is_wanted([made_result(lookups=10)])
    assert not plot.is_wanted([road_result(links=Links())])
    assert "measured nothing" not in svg_text(plot, [road_result()])
    for nothing in ([], [made_result(lookups=10)], [road_result(links=Links())]):
        assert "measured nothing" in svg_text(plot, nothing)
    assert "UNFINISHED" in svg_text(plot, [road_result(is_complete=False)])


def test_plots_of_lookups_are_left_out_where_only_tunnels_are_measured() -> None:
    """Empty plots would only say so."""
    names = [plot.name for plot in plots_for([road_result()])]

    assert ["roads", "road-times"] == names[:2]
    assert "lookups" not in names


def test_matrix_tells_roads_and_times_of_each_pair() -> None:
    """Shares of all beside it; the number of tunnels and the median in the cells; runs are pooled."""
    said = svg_text(ROAD_PLOTS[0], [road_result(), road_result()]).splitlines()

    for words in ("direct", "punched", "by chance", "in one network", "through a server", "failed", "16.7 %"):
        assert words in said, words
    assert 12 == sum(int(word) for word in said if word.isdigit())
    for words in ("100 ms", "400 ms", "500 ms", "600 ms", "100 µs"):
        assert words in said, words


def test_surroundings_and_roads_that_are_unknown_here_are_left_out() -> None:
    """A file from elsewhere may name any."""
    odd = (
        ("moon", "public", False, 0.2, 0.1, 2.0, "direct", 0.1, "direct", ""),
        ("public", "public", False, 0.2, 0.1, 2.0, "direct", 0.1, "$\\frac{1}{0}$", ""),
    )

    for plot in ROAD_PLOTS:
        assert "measured nothing" in svg_text(plot, [road_result(links=made_links(odd))])


def test_curves_end_at_the_share_that_came() -> None:
    """Each says how soon half of its tunnels were there."""
    said = svg_text(ROAD_PLOTS[1], [road_result()])

    assert "strangers reach it" in said
    assert "strangers do not" in said
    assert "half of them in 4 s" in said


def test_table_of_tunnels_has_a_block_of_its_own(tmp_path: Path) -> None:
    """The one of groups stays as it is."""
    path = tmp_path / "page.md"
    path.write_text(f"{GROUPS_BEGIN}\nold\n{GROUPS_END}\n{ROADS_BEGIN}\nold\n{ROADS_END}\n", encoding="utf-8")

    update_document(path, [road_result()])

    text = path.read_text(encoding="utf-8")
    assert f"{GROUPS_BEGIN}\nold\n{GROUPS_END}" in text
    assert "| scenario | nodes | figure | value | bound | kept |" in text
    assert "| nat-mix | 100 | tunnels that connected | 75 % | ≥ 99.5 % | no |" in text


def test_figures_of_tunnels_are_documented_and_have_words() -> None:
    """Those that the scenario adds, and no others."""
    sources = [ROOT / "simulations" / "roads" / name for name in ("figures.py", "endurance.py")]
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    plain = set(re.findall(r'stage\.figure\(\s*"(\w+)"', text))
    made = {
        f"{stem}_{rank}{end}"
        for stem, end in (("first_byte", "_s"), ("open_round_trips", ""), ("closed_round_trips", ""), ("direct", "_s"))
        for rank in ("p50", "p95")
    }
    made |= {f"{road}_share" for road in ("local", "direct", "punched", "chance", "relayed")}
    page = (ROOT / "docs" / "simulation-results.md").read_text(encoding="utf-8")
    section = page.partition("## Figures of tunnels")[2].partition("## Figures of groups")[0]
    table = section.partition("| name")[2]
    documented = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:] if "|" in row)))

    assert plain | made == documented
    assert [name for name in sorted(documented) if not quantity_of(name).words] == []
