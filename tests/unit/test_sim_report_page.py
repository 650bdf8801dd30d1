"""Pages need nothing but themselves, show whatever a result holds without obeying it, and say what is unfinished."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pilotdht.errors import ConfigError, InvalidArgument
from simulations.report.layout import layout_of
from simulations.report.network_picture import pictures_of
from simulations.report.page import page_of
from simulations.report.palette import DARK, LIGHT
from simulations.report.write import write_report
from simulations.results.files import write_result
from simulations.results.result import Snapshot
from tests.support.sim_results import made_result
from tests.support.source import ROOT

pytest.importorskip("matplotlib", reason="plots need the extra 'sim'")

VOID = {"meta", "input", "link", "br", "img", "hr"}


class Reader(HTMLParser):
    """Collects ids, addresses and texts of a page, and demands that its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.images: list[str | None] = []
        self.said = ""
        self.feed(text)
        self.close()
        assert [] == self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what is asked about."""
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values[name] or "" for name in ("href", "src", "srcset", "xlink:href") if name in values]
        if tag == "svg":
            self.images.append(values.get("aria-label") if values.get("role") == "img" else None)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Demand that the innermost element ends first."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Keep what a person reads."""
        if not self.open or self.open[-1] != "style":
            self.said += data + "\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Reader]:
    """Return the page of one made-up run with all of its plots, and what a reader finds in it."""
    folder = tmp_path_factory.mktemp("whole")
    page = write_report([made_result(nodes=40, lookups=300)], folder)[-1].read_text()
    return page, Reader(page)


def test_page_needs_nothing_but_itself(whole: tuple[str, Reader]) -> None:
    """No address leads out of the page, there is no script, and the policy forbids both."""
    page, reader = whole

    assert [] == [link for link in reader.links if not link.startswith("#")]
    assert {"script", "link", "iframe", "object", "img"} & set(reader.tags) == set()
    assert [] == [found for found in re.findall(r"url\(([^)]*)", page) if not found.startswith("#")]
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_every_id_is_there_once_and_every_reference_leads_somewhere(whole: tuple[str, Reader]) -> None:
    """Plots that stand on one page do not take each other's clip paths and markers."""
    page, reader = whole

    assert len(reader.ids) == len(dict.fromkeys(reader.ids))
    wanted = [link[1:] for link in reader.links] + re.findall(r"url\(#([^)]*)\)", page)
    assert [] == [one for one in wanted if one not in reader.ids]


def test_every_picture_has_words(whole: tuple[str, Reader]) -> None:
    """Whoever cannot see the plots is told what they show."""
    _, reader = whole

    assert len(reader.images) > 10
    assert all(label and len(label) > 20 for label in reader.images)


def test_page_has_colours_for_light_and_dark(whole: tuple[str, Reader]) -> None:
    """Plots and pictures take their colours from the style sheet, so that they follow the reader's preference."""
    page, _ = whole

    body = page.partition("</style>")[2]
    assert "prefers-color-scheme:dark" in page
    assert list(LIGHT) == list(DARK)
    assert [] == [colour for colour in LIGHT.values() if colour in body]


def test_whatever_a_file_holds_is_text(tmp_path: Path) -> None:
    """Markup in names, labels, options and regions is shown, not obeyed."""
    odd = '"><script>alert(1)</script><img src=http://x.example/>'
    result = made_result(scenario=odd, implementation=odd, nodes=20, lookups=100)
    result.options[odd] = odd
    result.version = result.commit = result.python = result.trace_digest = odd
    result.figures[odd] = 1.0
    result.snapshots = [Snapshot(time_s=1.0, label=odd, nodes=[(0, odd, odd, 0), (1, "b", "up", 1)], links=[(0, 7)])]

    paths = write_report([result, made_result(nodes=20, lookups=100)], tmp_path)

    for page in (path.read_text() for path in paths if path.suffix == ".html"):
        reader = Reader(page)
        assert "script" not in reader.tags
        assert "img" not in reader.tags
        assert [] == [link for link in reader.links if "//" in link]
    assert all(tmp_path in path.resolve().parents for path in paths)


def test_unfinished_run_is_said_on_the_page() -> None:
    """The header and a warning say that the run was interrupted."""
    reader = Reader(page_of([made_result(nodes=40, lookups=300, is_complete=False)], {}))

    assert "Unfinished." in reader.said
    assert "pilotdht: unfinished" in reader.said


def test_verdict_counts_bounds_and_shows_the_worst_run() -> None:
    """Bounds of several seeds are one line each, with the value of the run that was worst."""
    good, bad = made_result(seed=1, lookups=50), made_result(seed=2, lookups=50)
    bad.checks = [dataclasses.replace(check, value=0.25, is_kept=False) for check in good.checks]

    said = Reader(page_of([good, bad], {})).said

    assert "failed, 2 of 4 bounds broken" in said
    assert "kept in 1 of 2 runs" in said
    assert "25 %" in said


def test_page_about_10000_nodes_is_small(tmp_path: Path) -> None:
    """Three pictures of a large network, adversaries and links included, stay far below 1.5 MB with all plots."""
    page = write_report([made_result(nodes=10_000, adversaries=0.2)], tmp_path)[-1]

    assert page.stat().st_size < 1_500_000


def test_picture_draws_every_node_in_its_state() -> None:
    """Few nodes are an element each and tell who they are; counts by state stand beside the picture."""
    result = made_result(nodes=60, adversaries=0.3, lookups=10)

    before, during, after = pictures_of(result)

    states = [state for _, _, state, _ in result.snapshots[1].nodes]
    assert sorted((state, states.count(state)) for state in dict.fromkeys(states)) == sorted(
        (state, count) for state, _, count in during.counts
    )
    assert 60 == during.svg.count("<title>node ")
    assert "cut into 2 sides" in during.svg
    assert 'class="cut"' in during.svg
    assert 'class="cut"' not in before.svg + after.svg


def test_layout_keeps_nodes_inside_and_apart() -> None:
    """Every node has a place inside the picture, no two the same, and sides do not mix."""
    snapshot = made_result(nodes=500, lookups=10).snapshots[1]

    layout = layout_of(snapshot, width=1000.0, height=600.0, margin=20.0)

    assert 500 == len(layout.places) == len(dict.fromkeys(layout.places.values()))
    assert all(0 < x < 1000 and 0 < y < 600 for x, y in layout.places.values())
    left, right = layout.columns
    sides = {number: side for number, _, _, side in snapshot.nodes}
    for number, (x, _) in layout.places.items():
        column = left if sides[number] == left.side else right
        assert column.x < x < column.x + column.width


def test_empty_snapshots_and_unknown_links_do_no_harm() -> None:
    """A snapshot of nobody is left out, and links to nobody are not drawn."""
    result = made_result(nodes=3, lookups=10)
    result.snapshots = [
        Snapshot(time_s=0.0, label="nobody", nodes=[], links=[(1, 2)]),
        Snapshot(time_s=0.0, label="one", nodes=[(5, "", "up", 0)], links=[(5, 6), (5, 5)]),
    ]

    assert ["one"] == [picture.label for picture in pictures_of(result)]


def test_report_of_one_scenario_stands_in_the_folder(tmp_path: Path) -> None:
    """Plots and the page are written, results beside them stay untouched, and no drafts are left."""
    result = made_result(nodes=20, lookups=100)
    write_result(result, tmp_path / "one.json")
    before = (tmp_path / "one.json").read_bytes()

    paths = write_report([result], tmp_path)

    assert "index.html" == paths[-1].name
    assert {"lookups.png", "lookup-latency.png", "heal.png", "traffic.png"} <= {path.name for path in paths}
    assert before == (tmp_path / "one.json").read_bytes()
    assert sorted([*paths, tmp_path / "one.json"]) == sorted(tmp_path.iterdir())


def test_report_of_several_scenarios_has_an_overview(tmp_path: Path) -> None:
    """Each scenario has a folder of its own, and the overview links to every page."""
    results = [made_result(scenario=name, nodes=20, lookups=60) for name in ("lossy", "a/b", "a b")]

    paths = write_report(results, tmp_path)

    reader = Reader(paths[-1].read_text())
    linked = [link for link in reader.links if not link.startswith("#")]
    assert ["a-b-2/index.html", "a-b/index.html", "lossy/index.html"] == sorted(dict.fromkeys(linked))
    assert all((tmp_path / link).is_file() for link in linked)


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The error names the folder and what to try; no results at all is told as well."""
    (tmp_path / "taken").write_text("")

    with pytest.raises(ConfigError, match="taken") as caught:
        write_report([made_result(nodes=20, lookups=10)], tmp_path / "taken")

    assert "choose a folder" in caught.value.hint
    with pytest.raises(InvalidArgument):
        write_report([], tmp_path)


def test_matplotlib_is_imported_late_and_its_absence_told() -> None:
    """Nothing but drawing imports it, and without it the error says how to install it."""
    code = """
import json, sys
import simulations.report.write, simulations.report.table
early = "matplotlib" in sys.modules
sys.modules["matplotlib"] = None
from pilotdht.errors import ConfigError
from simulations.report.over_time import traffic
try:
    traffic([])
except ConfigError as error:
    print(json.dumps([early, error.message, error.hint]))
"""

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=50)

    early, message, hint = json.loads(ran.stdout)
    assert early is False
    assert "matplotlib" in message
    assert "pilotdht[sim]" in hint
