"""Runs the suites; prints a table, writes JSON. A suite is a module of this package with ``rows(quick: bool)``."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from scripts.benchmarks.report import Row, as_data, as_table, machine_facts


def suite_names() -> list[str]:
    """Return the names of the suites, sorted."""
    folder = str(Path(__file__).parent)
    names = sorted(module.name for module in pkgutil.iter_modules([folder]) if not module.name.startswith("_"))
    return [name for name in names if name != "report" and hasattr(_suite(name), "rows")]


def main() -> int:
    """Run what the command line asks for; the exit code is 1 when a suite fails."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure pilotdht beside its baselines.")
    parser.add_argument("--suite", action="append", choices=suite_names(), help="run this one only; may be repeated")
    parser.add_argument(
        "--quick", action="store_true", help="smaller loads: a check that it works, not a figure to quote"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the run as JSON")
    options = parser.parse_args()

    facts = machine_facts()
    suites: dict[str, Sequence[Row]] = {}
    failed: list[str] = []
    for name in options.suite or suite_names():
        _say(f"{name}: running")
        started = time.monotonic()
        try:
            suites[name] = _suite(name).rows(options.quick)
        except Exception as error:  # noqa: BLE001 - the other suites are still worth their time
            failed.append(name)
            traceback.print_exc()
            _say(f"{name}: FAILED with {type(error).__name__}")
        else:
            _say(f"{name}: {len(suites[name])} figures in {time.monotonic() - started:.1f} s")

    print(as_table(suites, facts))
    if options.json is not None:
        text = json.dumps(as_data(suites, facts, is_quick=options.quick) | {"failed": failed}, indent=2)
        options.json.write_text(text + "\n", "utf-8")
        _say(f"written to {options.json}")
    return 1 if failed else 0


def _suite(name: str) -> ModuleType:
    return importlib.import_module(f"scripts.benchmarks.{name}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
