"""Every alert has a test in which it is quiet, fires and clears, of series that nodes have; promtool runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.observability.catalogue import catalogue
from scripts.observability.promql import selectors
from scripts.observability.rules import ALERTS
from tests.support.source import ROOT

RULES = ROOT / "grafana" / "prometheus"
FOREIGN = {"up"}
"""Series that Prometheus makes itself."""

PLACED = {"job", "instance"}
"""Labels that Prometheus adds."""


def cases() -> list[dict[str, Any]]:
    """Return the tests as they are committed."""
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load((RULES / "alerts_test.yml").read_text("utf-8"))
    return content["tests"]


def minutes(moment: str) -> int:
    """Return a time of a test."""
    assert moment.endswith("m")
    return int(moment[:-1])


def phases(case: dict[str, Any], alert: str) -> list[bool]:
    """Return whether an alert fires, at each time at which a case looks, in order."""
    looks = [look for look in case.get("alert_rule_test", []) if look["alertname"] == alert]
    return [bool(look.get("exp_alerts")) for look in sorted(looks, key=lambda look: minutes(look["eval_time"]))]


@pytest.mark.parametrize("alert", [alert.name for alert in ALERTS])
def test_alert_has_a_case_in_which_it_fires_and_clears(alert: str) -> None:
    """Quiet before, firing when it should, quiet again after: in one and the same story."""
    assert [False, True, False] in [phases(case, alert) for case in cases()]


def test_cases_speak_of_alerts_that_exist() -> None:
    """An expectation that nothing fires holds for any name."""
    named = {look["alertname"] for case in cases() for look in case.get("alert_rule_test", [])}
    assert set() == named - {alert.name for alert in ALERTS}


@pytest.mark.integration
def test_cases_are_made_of_series_that_nodes_have() -> None:
    """An alert that fires on a series nobody has proves nothing; nor does one on a label that nobody sets."""
    known = {series: one for one in catalogue().values() for series in one.series}
    wrong: list[str] = []
    for case in cases():
        for series in case["input_series"]:
            ((name, labels),) = selectors(series["series"])
            if name in FOREIGN:
                continue
            if name not in known:
                wrong.append(name)
            else:
                extra = {"le"} if name.endswith("_bucket") else set()
                wrong += [f"{name} {label}" for label in labels if label not in {*known[name].labels, *PLACED, *extra}]
    assert [] == wrong


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: prometheus)")
@pytest.mark.integration
def test_alerts_that_cannot_fire_are_noticed(tmp_path: Path) -> None:
    """Were a condition never true, the alert's case would fail: the cases prove what they seem to."""
    rules = yaml.safe_load((RULES / "alerts.yml").read_text("utf-8"))
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = "vector(1) > 2"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules), "utf-8")
    for name in ("figures.yml", "alerts_test.yml"):
        shutil.copy(RULES / name, tmp_path)
    command = ["promtool", "test", "rules", "alerts_test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    failed = set(re.findall(r"alertname: (\w+)", done.stdout + done.stderr))
    assert (1, {alert.name for alert in ALERTS}) == (done.returncode, failed)
