"""Writes or checks what is made from code: dashboards, rules, and the page about metrics."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from scripts.observability.catalogue import catalogue
from scripts.observability.dashboards import PAGES
from scripts.observability.panels import built
from scripts.observability.reference import page
from scripts.observability.rules import alert_rules, recording_rules

ROOT = Path(__file__).resolve().parents[2]


def generated() -> dict[str, str]:
    """Return all files that are made from code, by path from the root of the checkout."""
    files = {
        f"grafana/dashboards/{one.uid.removeprefix('pilotdht-')}.json": json.dumps(
            built(one, PAGES), cls=JSONEncoder, indent=1, sort_keys=True
        )
        + "\n"
        for one in PAGES
    }
    files["grafana/prometheus/figures.yml"] = recording_rules()
    files["grafana/prometheus/alerts.yml"] = alert_rules()
    files["docs/metrics.md"] = page(catalogue())
    return files


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/dashboards", description=__doc__)
    parser.add_argument("verb", choices=("write", "check"), help="write the files, or fail when one is out of date")
    verb = parser.parse_args().verb
    stale = 0
    for path, text in generated().items():
        file = ROOT / path
        if file.is_file() and file.read_text("utf-8") == text:
            continue
        stale += 1
        if verb == "write":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(f"written  {path}")
        else:
            print(f"stale    {path}: run scripts/dashboards write", file=sys.stderr)
    return 1 if verb == "check" and stale else 0


if __name__ == "__main__":
    sys.exit(main())
