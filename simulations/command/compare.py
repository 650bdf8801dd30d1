"""``compare``: scenarios with our implementation and with the stock one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import click

from simulations.command.axes import axes_of, plan_of
from simulations.command.backstage import backstage
from simulations.command.drawing import drawn
from simulations.command.folders import DEFAULT, writable
from simulations.command.output import Output
from simulations.command.program import DONE, FAILED, INTERRUPTED, Verb, output
from simulations.command.scenario_names import ScenarioName
from simulations.command.sweep_view import SweepView
from simulations.engine.checkout import commit
from simulations.report.table import BLOCKS, comparison_table, replace_block, update_document
from simulations.results.result import Result
from simulations.scenarios.scenario import Scenario
from simulations.sweep.conduct import Outcome, alone_in, conduct
from simulations.sweep.plan import Plan


@click.command(
    "compare",
    cls=Verb,
    examples=[
        "compare churn partition --nodes 300 --out results",
        "compare --small --docs docs/simulations.md",
    ],
)
@click.argument("scenarios", nargs=-1, type=ScenarioName(), metavar="[SCENARIO]...")
@click.option("--nodes", metavar="N", help="Size.")
@click.option("--seed", "seed", metavar="N", help="Seed, the same for both.")
@click.option("--minutes", type=float, metavar="X", help="Virtual duration of the measured part.")
@click.option("--hours", type=float, metavar="X", help="The same in hours.")
@click.option("--small", "is_small", is_flag=True, help="Begin with the sizes for continuous integration.")
@click.option("--workers", type=click.IntRange(1, 1024), default=2, metavar="N", help="Simulations at a time.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT, help="Folder for results and pages."
)
@click.option(
    "--docs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, writable=True),
    metavar="FILE",
    help="Document whose block between the marks of the simulations is replaced by the table.",
)
@click.option("--report/--no-report", "has_report", default=True, help="Make plots and pages.")
@click.pass_context
def compare(
    context: click.Context,
    scenarios: Sequence[Scenario],
    nodes: str | None,
    seed: str | None,
    minutes: float | None,
    hours: float | None,
    is_small: bool,
    workers: int,
    out: Path,
    docs: Path | None,
    has_report: bool,
) -> int:
    """Run scenarios with pilotdht and with the stock kademlia, same seed, and show both side by side.

    Scenarios about groups and tunnels have no baseline: only ours is run. Without a name every scenario is run. The
    exit code judges pilotdht alone: what the stock implementation misses is what the comparison is for.
    """
    stage_hands, printer = backstage(context), output(context)
    wanted = scenarios or list(stage_hands.scenarios().values())
    if docs is not None:
        text = docs.read_text(encoding="utf-8")  # noticed before hours of work, not after them
        for subject in dict.fromkeys(one.subject for one in wanted):
            begin, end = BLOCKS[subject]
            replace_block(text, "", begin=begin, end=end)
    plan = Plan(runs=[], commit=commit())
    for scenario in wanted:
        axes = axes_of(
            scenario, seeds=seed, nodes=nodes, settings=[], implementation="both", minutes=minutes, hours=hours
        )
        plan = plan.joined(plan_of(scenario, axes, is_small=is_small))
    with alone_in(writable(out)), SweepView(plan, is_quiet=printer.is_quiet) as view:
        place = stage_hands.executor("processes", workers=workers)
        outcome = conduct(plan, out, place, work=stage_hands.work, told=view)
    return _concluded(printer, plan, outcome, out, docs, has_report=has_report)


def _concluded(out: Output, plan: Plan, outcome: Outcome, folder: Path, docs: Path | None, *, has_report: bool) -> int:
    results = list(outcome.finished.values())
    table = comparison_table(results) if results else ""
    files: list[Path] | None = []
    if results and has_report and not outcome.is_interrupted:
        out.note("making plots")
        files = drawn(out, results, folder)
    if docs is not None and not outcome.is_interrupted and results:
        update_document(docs, results)
        out.note(f"replaced the table in {docs}")
    titles = plan.titles()
    refused = {file: failure for file, failure in outcome.failures.items() if failure.is_refused}
    broken = {file: failure for file, failure in outcome.failures.items() if not failure.is_refused}
    if out.is_json:
        out.json(
            {
                "results": [_row(result) for result in results],
                "refused": {titles[file]: failure.message for file, failure in refused.items()},
                "failures": {titles[file]: failure.message for file, failure in broken.items()},
                "files": [str(file) for file in files or []],
            }
        )
    else:
        _show_table(out, table)
        for file, failure in refused.items():
            out.line(f"not run: {titles[file]}: {failure.message}")
        for file, failure in broken.items():
            out.line(f"FAILED: {titles[file]}: {failure.message}", fg="red")
        if files:
            out.note(f"written: {folder / 'index.html'}")
    if outcome.is_interrupted:
        out.note("interrupted; results of finished runs are kept")
        return INTERRUPTED
    missed = [result for result in results if result.implementation == "pilotdht" and not result.is_passed]
    ours_refused = [file for file in refused if "kademlia" not in file]
    return FAILED if missed or broken or ours_refused or files is None else DONE


def _show_table(out: Output, markdown: str) -> None:
    """Print a Markdown table as one for a terminal."""
    rows = [
        [cell.strip().replace("&lt;", "<") for cell in line.strip("|").split(" | ")] for line in markdown.splitlines()
    ]
    if len(rows) > 2:
        out.table([head.upper() for head in rows[0]], rows[2:], right=(3, 4))


def _row(result: Result) -> dict[str, object]:
    return {
        "scenario": result.scenario,
        "implementation": result.implementation,
        "options": result.options,
        "is_passed": result.is_passed,
        "figures": result.figures,
        "checks": [dataclasses.asdict(check) for check in result.checks],
    }
