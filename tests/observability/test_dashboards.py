"""Dashboards, rules and the page about metrics agree with the code, with each other, and with what is committed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.observability.__main__ import generated
from scripts.observability.catalogue import Described, catalogue
from scripts.observability.dashboards import PAGES
from scripts.observability.panels import COLUMNS, Look, Panel
from scripts.observability.promql import filled, selectors
from scripts.observability.rules import ALERTS, RECORDINGS, alert_rules, recording_rules, scaled, shown
from tests.support.source import ROOT

FOREIGN = {"up": ("job", "instance"), "ALERTS": ("alertstate", "alertname", "job", "instance")}
"""Metrics that Prometheus makes itself."""

COMMON = ("job", "instance", "le")
"""Labels that Prometheus, or the form of a histogram, adds."""

FILES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
PANELS = [
    pytest.param(panel, id=f"{page.uid}-{panel.title}") for page in PAGES for row in page.rows for panel in row.panels
]
RECORDED = {rule.record for rule in RECORDINGS}


@pytest.fixture(scope="module")
def metrics() -> dict[str, Described]:
    """Return all series that a daemon has, by name."""
    return {series: one for one in catalogue().values() for series in one.series}


def faults(expr: str, metrics: dict[str, Described]) -> Iterator[str]:
    """Return what an expression names that there is not."""
    for name, labels in selectors(filled(expr)):
        if name in RECORDED:
            continue
        known = FOREIGN.get(name) or (metrics[name].labels if name in metrics else None)
        if known is None:
            yield f"no metric {name}"
        else:
            yield from (f"{name} has no label {label}" for label in labels if label not in (*known, *COMMON))


@pytest.mark.integration
def test_dashboards_and_rules_name_metrics_that_exist(metrics: dict[str, Described]) -> None:
    """A metric that is renamed is renamed everywhere."""
    queries = [query.expr for page in PAGES for row in page.rows for panel in row.panels for query in panel.queries]
    rules = [scaled(expr, 1.0) for expr in (*(one.expr for one in RECORDINGS), *(one.expr for one in ALERTS))]
    assert [] == [fault for expr in (*queries, *rules) for fault in faults(expr, metrics)]


@pytest.mark.integration
@pytest.mark.parametrize(
    "expr",
    ["rate(pilotdht_net_no_such_total[5m])", 'pilotdht_road_links{rode="direct"}', "pilotdht_net_rtt_seconds"],
)
def test_names_that_do_not_exist_are_found(expr: str, metrics: dict[str, Described]) -> None:
    """The check above can fail."""
    assert [] != list(faults(expr, metrics))


@pytest.mark.integration
def test_counters_are_asked_for_their_rate(metrics: dict[str, Described]) -> None:
    """A counter alone tells how long ago a process began, and no more; the one exception counts bugs since then."""
    wrong = []
    for page in PAGES:
        for row in page.rows:
            for panel in row.panels:
                for query in panel.queries:
                    for name, _ in selectors(filled(query.expr)):
                        kind = metrics[name].kind if name in metrics else "gauge"
                        is_counted = kind in ("counter", "histogram")
                        if is_counted != bool(re.search(rf"rate\({name}\b", query.expr)):
                            wrong.append(f"{page.uid}, {panel.title}: {query.expr}")
    assert ["Errors in handlers"] == [line.split(", ", 1)[1].split(":")[0] for line in wrong]


@pytest.mark.parametrize("panel", PANELS)
def test_panel_says_what_it_shows(panel: Panel) -> None:
    """Each has a title, a description that is a sentence, a unit, and series with names of their own."""
    assert panel.title
    assert panel.unit
    assert panel.tells.endswith(".")
    legends = [query.legend for query in panel.queries]
    assert all(legends)
    assert len(set(legends)) == len(legends)
    for query in panel.queries:
        assert "$job" in query.expr or "ALERTS" in query.expr
        assert "$instance" in query.expr or "ALERTS" in query.expr
        assert "[$__rate_interval]" in query.expr or "rate(" not in query.expr
        for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
            assert re.search(rf"\b{label}\b", query.expr) or label == "instance", f"{label} is not kept by {query.expr}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dashboard_keeps_the_rules_of_the_linter(file: Path) -> None:
    """Data source, job and instance are variables; every panel asks the chosen source, and none lies on another."""
    board = json.loads(file.read_text("utf-8"))
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert ["datasource", "job", "instance"] == list(variables)
    assert ("prometheus", "datasource") == (variables["datasource"]["query"], variables["datasource"]["type"])
    assert all(variables[name]["allValue"] == ".+" for name in ("job", "instance"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert all("${datasource}" == panel["datasource"]["uid"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    rows = {y for _, y in taken}
    assert len(taken) == COLUMNS * len(rows), "there are gaps"
    assert set(range(max(rows) + 1)) == rows


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dashboard_is_read_back_by_its_own_library(file: Path) -> None:
    """What was written is a dashboard of that version of Grafana."""
    content = json.loads(file.read_text("utf-8"))
    board = Dashboard.from_json(content)
    assert (content["uid"], content["title"]) == (board.uid, board.title)


def test_dashboards_link_to_each_other() -> None:
    """From each one gets to all others, with the chosen nodes and times."""
    uids = {page.uid for page in PAGES}
    for file in FILES:
        board = json.loads(file.read_text("utf-8"))
        links = {link["url"].removeprefix("/d/") for link in board["links"]}
        assert uids - {board["uid"]} == links
        assert all(link["includeVars"] and link["keepTime"] for link in board["links"])


def test_table_has_a_column_for_each_query_and_a_way_to_the_node() -> None:
    """The overview of nodes leads to each node's own dashboard."""
    (table,) = [panel for page in PAGES for row in page.rows for panel in row.panels if panel.look is Look.TABLE]
    board = json.loads((ROOT / "grafana/dashboards/mesh.json").read_text("utf-8"))
    (made,) = [panel for panel in board["panels"] if panel["type"] == "table"]
    names = made["transformations"][1]["options"]["renameByName"]
    assert ["Node", *(query.legend for query in table.queries)] == list(
        dict(sorted(names.items(), key=_order)).values()
    )
    assert "/d/pilotdht-node?var-instance=" in json.dumps(made["fieldConfig"]["overrides"])


def _order(item: tuple[str, str]) -> tuple[bool, str]:
    return item[0] != "instance", item[0]


@pytest.mark.integration
def test_committed_files_are_what_the_code_makes() -> None:
    """Nobody edits by hand what ``scripts/dashboards write`` makes."""
    stale = [path for path, text in generated().items() if (ROOT / path).read_text("utf-8") != text]
    assert [] == stale, "run scripts/dashboards write"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    """Whoever is woken finds what to do."""
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text("utf-8"), re.MULTILINE)
    assert [alert.name for alert in ALERTS] == headings
    links = re.findall(r"\]\(#(\w+)\)", (ROOT / "docs/runbooks.md").read_text("utf-8"))
    assert {heading.lower() for heading in headings} >= set(links)


@pytest.mark.parametrize(
    ("expr", "scale", "expected"),
    [
        ("rate(a[<5m>]) > 0", 1, "rate(a[5m]) > 0"),
        ("rate(a[<5m>]) < 3", 1 / 60, "rate(a[5s]) < 3"),
        ("rate(a[<1m>])", 1 / 60, "rate(a[4s])"),
        ("increase(a[<30m>]) > increase(b[<1h>])", 1 / 60, "increase(a[30s]) > increase(b[1m])"),
        ("a < 5 and b > 3", 1 / 60, "a < 5 and b > 3"),
        ("rate(a[<5m>])", 1 / 600, "rate(a[4s])"),
        ("rate(a[<5m>])", 0.02, "rate(a[6s])"),
    ],
)
def test_windows_of_rules_scale_down_to_the_shortest(expr: str, scale: float, expected: str) -> None:
    """The same rule, quicker; comparisons are left alone."""
    assert expected == scaled(expr, scale)


def test_durations_are_shown_as_prometheus_reads_them() -> None:
    """Whole units where they fit, milliseconds otherwise."""
    assert ["0s", "250ms", "90s", "2m", "1h"] == [shown(seconds) for seconds in (0, 0.25, 90, 120, 3600)]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.integration
@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "figures.yml", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(words: tuple[str, ...]) -> None:
    """Configuration and rules are valid, and alerts fire and clear when they should."""
    done = subprocess.run(
        ["promtool", *words], cwd=ROOT / "grafana/prometheus", capture_output=True, timeout=50, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("scale", [1.0, 1 / 60, 1 / 3600])
def test_rules_are_valid_at_every_scale(scale: float) -> None:
    """What is tried out is valid PromQL with the same names."""
    groups = [yaml.safe_load(text)["groups"][0] for text in (recording_rules(scale=scale), alert_rules(scale=scale))]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(RECORDINGS) + len(ALERTS) == len(rules)
    assert all(list(selectors(rule["expr"])) for rule in rules)


def test_provisioned_files_name_what_there_is() -> None:
    """The data source and folders of Grafana's configuration fit the dashboards and the compose file."""
    compose = yaml.safe_load((ROOT / "grafana/compose.yaml").read_text("utf-8"))
    mounted = [one.split(":")[:2] for one in compose["services"]["grafana"]["volumes"] if one.startswith("./")]
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/pilotdht.yaml").read_text("utf-8"))
    source = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    assert all((ROOT / "grafana" / here).is_dir() for here, _ in mounted)
    assert provider["providers"][0]["options"]["path"] in [there for _, there in mounted]
    assert "prometheus" == source["datasources"][0]["type"]
    assert "--web.listen-address=127.0.0.1:9090" in compose["services"]["prometheus"]["command"]
    assert source["datasources"][0]["url"].endswith("127.0.0.1:9090")
