"""``run``: one scenario, once."""

from __future__ import annotations

import contextlib
import signal
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from pilotdht.errors import InvalidArgument, PilotError
from simulations.command.backstage import backstage
from simulations.command.drawing import drawn
from simulations.command.fields import facts_of, made_options
from simulations.command.folders import DEFAULT, name_of, writable
from simulations.command.output import duration
from simulations.command.program import DONE, FAILED, INTERRUPTED, Family, Verb, nearest, output
from simulations.command.progress import RunProgress
from simulations.command.summary import result_data, show_result
from simulations.results.result import Result
from simulations.scenarios.scenario import Scenario

_OWN = ("hours", "is_small", "out", "is_traced", "has_report")


class ScenarioVerb(Verb):
    """Running one scenario; its options follow from the scenario's dataclass."""

    def __init__(self, scenario: Scenario) -> None:
        """Make it."""
        self.scenario = scenario
        """What it runs."""
        self.facts = facts_of(scenario)
        """Its options."""
        super().__init__(
            scenario.name,
            params=[*(facts.option() for facts in self.facts), *run_options()],
            callback=click.pass_context(self._play),
            help=f"{scenario.summary}\n\nExpected: {scenario.expects}",
            short_help=scenario.summary,
            examples=[
                f"run {scenario.name} --small",
                f"run {scenario.name} --nodes 500 --hours 2 --seed 7 --out results",
            ],
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups: the scenario's own, those of every scenario, the rest."""
        groups: dict[str, list[tuple[str, str]]] = {
            f"Options of {self.name}": [],
            "Options of every scenario": [],
            "Options of the run": [],
        }
        own, common, rest = groups.values()
        by_name = {facts.name: facts for facts in self.facts}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                facts = by_name.get(str(parameter.name))
                (rest if facts is None else common if facts.is_common else own).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _play(self, context: click.Context, /, **values: Any) -> int:  # noqa: ANN401 - one a field
        given = {name: value for name, value in values.items() if name not in _OWN and value is not None}
        if values["hours"] is not None:
            if "minutes" in given:
                raise InvalidArgument("--hours and --minutes are both given", hint="say one of them")
            given["minutes"] = values["hours"] * 60
        options = made_options(self.scenario, given, is_small=values["is_small"])
        out, folder = output(context), writable(values["out"])
        path = folder / name_of(self.scenario, options)
        out.note(
            f"{self.scenario.name}: {options.nodes:,} nodes of {options.implementation}, seed {options.seed}, "
            f"{duration(options.minutes * 60)} measured; Ctrl-C ends it and keeps what was measured"
        )
        more: dict[str, Any] = {}
        files = [path]
        with contextlib.ExitStack() as stack:
            if values["is_traced"]:
                from simulations.engine.trace import TraceWriter

                files.append(path.with_suffix(".trace"))
                more["trace"] = TraceWriter(files[-1])
            progress = stack.enter_context(RunProgress(is_quiet=out.is_quiet))
            result = backstage(context).run(self.scenario, options, progress=progress, **more)
        return concluded(context, result, files, has_report=values["has_report"])


def concluded(context: click.Context, result: Result, files: Sequence[Path], *, has_report: bool) -> int:
    """Write a result, tell it, and return the exit code.

    Args:
        context: the command's.
        result: what came out.
        files: the result's path, and what was written beside it already.
        has_report: whether plots and a page are made.
    """
    from simulations.results.files import write_result

    out = output(context)
    written = list(files)
    with without_interrupts():
        write_result(result, files[0])
    pages = drawn(out, [result], files[0].parent) if has_report else []
    written.extend(pages or [])
    if out.is_json:
        out.json({**result_data(result), "files": [str(file) for file in written]})
    else:
        show_result(out, result)
        shown = [*files, *(file for file in written if file.name == "index.html")]
        out.note(f"written: {', '.join(str(file) for file in shown)}")
    if not result.is_complete:
        out.note(f"interrupted at {duration(result.virtual_s)} of virtual time; what was measured until then is kept")
        return INTERRUPTED
    return DONE if result.is_passed and pages is not None else FAILED


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Put Ctrl-C off for the moment in which a result is written."""
    came: list[int] = []

    def remember(number: int, frame: types.FrameType | None) -> None:
        came.append(number)

    try:
        before = signal.signal(signal.SIGINT, remember)
    except ValueError:  # not the main thread: no signal comes here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def run_options() -> list[click.Parameter]:
    """Return the options that say how a run is made, not what happens in it."""
    return [
        click.Option(
            ["--hours", "hours"],
            type=click.FloatRange(0, min_open=True),
            metavar="X",
            help="Virtual duration of the measured part in hours, instead of --minutes.",
        ),
        click.Option(
            ["--small", "is_small"], is_flag=True, help="Begin with the sizes for continuous integration: minutes."
        ),
        click.Option(
            ["--out", "out"],
            type=click.Path(path_type=Path, file_okay=False),
            default=DEFAULT,
            help="Folder for the result, plots and page.",
        ),
        click.Option(
            ["--trace/--no-trace", "is_traced"],
            default=False,
            help="Keep every event in a file beside the result; large.",
        ),
        click.Option(["--report/--no-report", "has_report"], default=True, help="Make plots and a page."),
    ]


class Runs(Family):
    """``run``: one command a scenario."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the scenarios."""
        return list(backstage(ctx).scenarios())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a scenario."""
        found = backstage(ctx).scenarios().get(cmd_name)
        return None if found is None else ScenarioVerb(found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the scenarios with their summaries."""
        with formatter.section("Scenarios"):
            formatter.write_dl([(one.name, one.summary) for one in backstage(ctx).scenarios().values()])

    def unknown(self, name: str, known: Sequence[str]) -> PilotError:
        """Return the error for what is no scenario."""
        return InvalidArgument(f"{name[:80]!r} is no scenario", hint=nearest(name, known))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; options of a scenario stand after its name, which is said to who puts them before."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise InvalidArgument(
                f"{error.option_name} stands before the scenario's name or does not exist",
                hint="first the name, then its options: python -m simulations run SCENARIO --nodes 100",
            ) from error


run = Runs(
    name="run",
    help="Run one scenario; write its result, plots and a page.\n\n"
    "'run SCENARIO --help' shows what a scenario can be told.",
    examples=["run churn --small", "run churn --nodes 1000 --hours 2 --seed 7", "run churn --help"],
    subcommand_metavar="SCENARIO [OPTIONS]",
)
"""The verb."""
