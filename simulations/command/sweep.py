"""``sweep``: one scenario many times."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import click

from pilotdht.errors import InvalidArgument
from simulations.command.axes import axes_of, plan_of
from simulations.command.backstage import backstage
from simulations.command.drawing import drawn
from simulations.command.folders import writable
from simulations.command.output import Output, duration, quantity
from simulations.command.program import DONE, FAILED, INTERRUPTED, Verb, output
from simulations.command.scenario_names import ScenarioName
from simulations.command.settings_table import show_settings
from simulations.command.sweep_view import SweepView
from simulations.engine.checkout import commit
from simulations.results.result import Result
from simulations.scenarios.scenario import IMPLEMENTATIONS, Scenario
from simulations.sweep.conduct import Outcome, alone_in, conduct, finished_runs
from simulations.sweep.plan import Plan, settled_plan
from simulations.sweep.spread import settings_of

_SHOWN_FAILURES = 10


@click.command(
    "sweep",
    cls=Verb,
    examples=[
        "sweep churn --seeds 1..10 --nodes 100,300,1000 --out results/churn",
        "sweep churn --seeds 1,2 --set network=lan,wan --implementation both --small --out results/churn",
        "sweep churn --seeds 1..100 --executor dask://10.0.0.1:8786 --out results/churn",
    ],
)
@click.argument("scenario", type=ScenarioName())
@click.option("--seeds", metavar="LIST", help="Seeds, such as 1..10 or 1,2,5..7; the default seed without it.")
@click.option("--nodes", metavar="LIST", help="Sizes, such as 100,300,1000.")
@click.option(
    "--set",
    "settings",
    metavar="OPTION=LIST",
    multiple=True,
    help="Values of an option of the scenario, such as share=0.05,0.1; repeatable.",
)
@click.option(
    "--implementation", type=click.Choice([*IMPLEMENTATIONS, "both"]), help="Which implementation; both compares them."
)
@click.option("--minutes", type=float, metavar="X", help="Virtual duration of the measured part.")
@click.option("--hours", type=float, metavar="X", help="The same in hours.")
@click.option("--small", "is_small", is_flag=True, help="Begin with the sizes for continuous integration.")
@click.option(
    "--workers", type=click.IntRange(1, 1024), metavar="N", help="Simulations at a time; as many as there are cores."
)
@click.option(
    "--executor",
    default="processes",
    metavar="WHERE",
    help="processes of this machine, or dask://HOST:PORT for the workers of a cluster.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of this sweep: its plan, results, page.",
)
@click.option("--add", "is_adding", is_flag=True, help="Add these runs to the plan that the folder has.")
@click.option("--figure", "figures", metavar="NAME", multiple=True, help="Figure in the summary table; repeatable.")
@click.option("--report/--no-report", "has_report", default=True, help="Make plots and a page.")
@click.pass_context
def sweep(
    context: click.Context,
    scenario: Scenario,
    seeds: str | None,
    nodes: str | None,
    settings: Sequence[str],
    implementation: str | None,
    minutes: float | None,
    hours: float | None,
    is_small: bool,
    workers: int | None,
    executor: str,
    out: Path,
    is_adding: bool,
    figures: Sequence[str],
    has_report: bool,
) -> int:
    """Run a scenario for every combination of seeds, sizes and settings.

    Each finished run is a file at once. Run the same command again to go on after an interruption or a failure: what is
    finished is not run again.
    """
    if workers is not None and executor != "processes":
        raise InvalidArgument("--workers is for processes", hint="a cluster has as many workers as were started for it")
    stage_hands = backstage(context)
    axes = axes_of(
        scenario,
        seeds=seeds,
        nodes=nodes,
        settings=settings,
        implementation=implementation,
        minutes=minutes,
        hours=hours,
    )
    wanted = plan_of(scenario, axes, is_small=is_small)
    place = stage_hands.executor(executor, workers=workers or os.cpu_count() or 1)
    printer = output(context)
    with alone_in(writable(out)):
        plan = settled_plan(wanted, out, is_adding=is_adding)
        finished = finished_runs(plan, out)
        if finished:
            printer.note(f"{len(finished)} of {len(plan.runs)} runs are finished already")
        _warn_of_mixture(printer, list(finished.values()))
        with SweepView(plan, is_quiet=printer.is_quiet) as view:
            outcome = conduct(plan, out, place, work=stage_hands.work, told=view, finished=finished)
    return _concluded(printer, plan, outcome, out, figures=figures, has_report=has_report)


def _concluded(
    out: Output, plan: Plan, outcome: Outcome, folder: Path, *, figures: Sequence[str], has_report: bool
) -> int:
    results = list(outcome.finished.values())
    files: list[Path] | None = []
    if results and has_report and not outcome.is_interrupted:
        out.note("making plots")
        files = drawn(out, results, folder)
    if out.is_json:
        out.json(_data(plan, outcome, results, files or []))
    else:
        show_settings(out, results, figures)
        _show_end(out, plan, outcome)
        if files:
            out.note(f"written: {folder / 'index.html'}")
    if outcome.is_interrupted:
        out.note("interrupted; run the same command again to go on")
        return INTERRUPTED
    if outcome.trouble:
        out.note(f"ended early: {outcome.trouble}; run the same command again to go on")
        return FAILED
    is_bad = outcome.failures or files is None or not all(result.is_passed for result in results)
    return FAILED if is_bad else DONE


def _show_end(out: Output, plan: Plan, outcome: Outcome) -> None:
    results = list(outcome.finished.values())
    passed = sum(result.is_passed for result in results)
    missing = len(plan.runs) - len(results) - len(outcome.failures)
    parts = [f"{passed} of {len(plan.runs)} runs kept every bound"]
    if len(results) > passed:
        parts.append(f"{len(results) - passed} missed one")
    if outcome.failures:
        parts.append(f"{len(outcome.failures)} failed")
    if missing:
        parts.append(f"{missing} not run")
    out.line(", ".join(parts), fg="green" if passed == len(plan.runs) else "red")
    titles = plan.titles()
    for file, result in [one for one in outcome.finished.items() if not one[1].is_passed][:_SHOWN_FAILURES]:
        missed = ", ".join(
            f"{check.figure} {quantity(check.figure, check.value)} (must be {check.relation} {check.bound:g})"
            for check in result.checks
            if not check.is_kept
        )
        out.line(f"  {titles[file]}: {missed}")
    for file, failure in list(outcome.failures.items())[:_SHOWN_FAILURES]:
        out.line(f"  {titles[file]}: {failure.message}")
    wall_s = sum(result.wall_s for result in results)
    out.note(f"{len(results)} results took {duration(wall_s)} of one worker's time")


def _data(plan: Plan, outcome: Outcome, results: Sequence[Result], files: Sequence[Path]) -> dict[str, object]:
    return {
        "runs": len(plan.runs),
        "finished": list(outcome.finished),
        "passed": sum(result.is_passed for result in results),
        "failures": {file: failure.message for file, failure in outcome.failures.items()},
        "is_interrupted": outcome.is_interrupted,
        "trouble": outcome.trouble,
        "settings": [dataclasses.asdict(one) for one in settings_of(results)],
        "files": [str(file) for file in files],
    }


def _warn_of_mixture(out: Output, finished: Sequence[Result]) -> None:
    """Say it when what is finished was made by other code than what will run."""
    if not finished:
        return
    now = commit()
    others = sorted({result.commit or "an unknown commit" for result in finished if result.commit != now})
    if others:
        out.warn(f"finished runs are of {', '.join(others)}, this is {now or 'unknown'}: results will be a mixture")
