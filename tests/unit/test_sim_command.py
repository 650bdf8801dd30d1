"""The command line of the simulations: options from dataclasses, wrong usage, exit codes, output, cheap starts."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pilotdht.errors import InvalidArgument
from simulations.command.backstage import Backstage
from simulations.command.fields import facts_of
from simulations.command.output import duration
from simulations.command.program import COMMANDS, program
from simulations.engine.trace import Trace, TraceWriter, What
from simulations.results.files import read_result
from simulations.scenarios.scenario import Options, Scenario, all_scenarios
from simulations.world.places import endpoint_of
from tests.support.sim_calm import CalmOptions, CalmRunner, InPlace, calm_result, calm_scenarios, calm_work

HEAVY = ("asyncio", "matplotlib", "distributed", "rich", "cryptography", "pilotdht.node", "multiprocessing")


def typed(*words: str | Path, runner: CalmRunner | None = None) -> Result:
    """Return what a command prints and how it ends, with everything behind the command line replaced."""
    behind = Backstage(
        scenarios=calm_scenarios,
        run=runner or CalmRunner(),
        work=calm_work,
        executor=lambda name, *, workers: InPlace(),
    )
    return CliRunner().invoke(program, [str(word) for word in words], obj=behind, prog_name="python -m simulations")


def data_of(result: Result) -> object:
    """Return the data of a JSON answer."""
    answer = json.loads(result.stdout)
    assert "ok" == answer["status"]
    return answer["data"]


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_help_of_a_verb_has_examples_that_name_it(verb: str) -> None:
    """Each tells lines that can be typed."""
    result = typed(verb, "--help")

    assert 0 == result.exit_code
    assert f"  python -m simulations {verb}" in result.stdout


def test_every_option_of_every_verb_and_scenario_has_help() -> None:
    """Nobody has to guess."""
    context = click.Context(program, info_name="x")
    verbs = [program.get_command(context, name) for name in COMMANDS]
    runs = next(verb for verb in verbs if isinstance(verb, click.Group))
    verbs += [runs.get_command(context, name) for name in all_scenarios()]

    for verb in verbs:
        assert verb is not None
        for parameter in verb.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{verb.name}: {parameter.name} has no help"


def test_list_shows_each_scenario_and_its_expectation() -> None:
    """As table and as JSON."""
    table, as_json = typed("list"), typed("list", "--json")

    assert "calm      Nothing happens.  Everything is found." in table.stdout
    both = ["pilotdht", "kademlia"]
    expected = {"name": "calm", "summary": "Nothing happens.", "expects": "Everything is found."}
    assert [{**expected, "implementations": both}] == data_of(as_json)


@pytest.mark.parametrize("verb", ["list", "show"])
def test_list_of_a_scenario_shows_default_unit_range_and_reason(verb: str) -> None:
    """All that stands in the dataclass, the meaning below a field included, without markup."""
    lines = typed(verb, "calm").stdout.splitlines()

    share = next(line for line in lines if line.startswith("--share")).split()
    assert ["--share", "0.1", "0.1", "0..1"] == share[:4]
    assert "Share of nodes that rest. Default: one in ten." == " ".join(share[4:])
    assert any("--bandwidth-bps" in line and "bit/s" in line and ">= 1000" in line for line in lines)


def test_options_of_every_scenario_can_be_typed_and_are_explained() -> None:
    """A field of a type that no command line knows, or without meaning or reason, fails here."""
    for scenario in all_scenarios().values():
        for facts in facts_of(scenario):
            assert facts.meaning, f"{scenario.name}: {facts.name}"
            assert facts.reason, f"{scenario.name}: {facts.name}"


def test_run_options_reach_the_scenario(tmp_path: Path) -> None:
    """Numbers, booleans and texts, and hours as minutes."""
    runner = CalmRunner()
    words = "--nodes 50 --hours 2 --seed 9 --implementation kademlia --share 0.5 --is-deep --bandwidth-bps 2000"
    result = typed("run", "calm", *words.split(), "--no-report", "--out", tmp_path, runner=runner)

    assert 0 == result.exit_code, result.output
    expected = CalmOptions(
        nodes=50, minutes=120.0, seed=9, implementation="kademlia", share=0.5, is_deep=True, bandwidth_bps=2000.0
    )
    assert [expected] == runner.asked


def test_run_small_begins_with_the_small_options(tmp_path: Path) -> None:
    """What is typed counts more."""
    runner = CalmRunner()
    typed("run", "calm", "--small", "--seed", "4", "--no-report", "--out", tmp_path, runner=runner)

    assert [CalmOptions(nodes=20, minutes=3.0, seed=4)] == runner.asked


def test_run_with_bounds_kept_ends_with_0_and_writes_the_result(tmp_path: Path) -> None:
    """The table says what was demanded and what came out."""
    result = typed("run", "calm", "--no-report", "--out", tmp_path)
    [file] = tmp_path.iterdir()

    assert 0 == result.exit_code
    assert "lookup_success >= 95 %   99 %  kept" in result.stdout
    assert "calm" == read_result(file).scenario
    assert str(file) in result.stderr


def test_run_with_a_bound_missed_ends_with_1(tmp_path: Path) -> None:
    """The result is kept nevertheless."""
    result = typed("run", "calm", "--share", "0.9", "--no-report", "--out", tmp_path)

    assert 1 == result.exit_code
    assert "MISSED" in result.stdout
    assert 1 == len(list(tmp_path.iterdir()))


def test_run_that_was_interrupted_ends_with_130_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The file says that it is not complete."""
    result = typed("run", "calm", "--no-report", "--out", tmp_path, runner=CalmRunner(is_interrupted=True))
    [file] = tmp_path.iterdir()

    assert 130 == result.exit_code
    assert not read_result(file).is_complete
    assert "interrupted" in result.stderr


def test_run_as_json_is_one_document(tmp_path: Path) -> None:
    """With figures, bounds and files, and nothing else on standard output."""
    data = data_of(typed("run", "calm", "--json", "--no-report", "--out", tmp_path))

    assert isinstance(data, dict)
    assert data["is_passed"] is True
    assert {"lookup_success": 0.99, "lookup_p50_s": 0.01} == data["figures"]
    assert [str(file) for file in tmp_path.iterdir()] == data["files"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("odd"), 1, "ValueError: odd"),
        (ExceptionGroup("many", [InvalidArgument("no such thing", hint="another")]), 2, "no such thing"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_run_that_fails_tells_one_line_without_a_traceback(
    error: BaseException, code: int, message: str, tmp_path: Path
) -> None:
    """Where it happened is for --debug."""
    words = ("run", "calm", "--quiet", "--out", tmp_path)
    result = typed(*words, runner=CalmRunner(error=error))

    assert code == result.exit_code
    assert "Traceback" not in result.output
    assert message in result.stderr
    if message:
        assert "Traceback" in typed(*words, "--debug", runner=CalmRunner(error=error)).output


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("frobnicate", "'frobnicate' is no command", "there are: list"),
        ("swep", "'swep' is no command", "did you mean 'sweep'?"),
        ("run clam", "'clam' is no scenario", "did you mean 'calm'?"),
        ("list clam", "'clam' is no scenario", "did you mean 'calm'?"),
        ("run --nodes 7 calm", "--nodes stands before the scenario's name", "run SCENARIO --nodes"),
        ("run calm --nodes abc", "'abc' is not a valid whole number", "run calm --help"),
        ("run calm --nodes 1", "1 is not in the range 2<=x<=100000", "run calm --help"),
        ("run calm --share 2", "2.0 is not in the range 0<=x<=1", "run calm --help"),
        ("run calm --minutes nan", "minutes = nan is not in", "list calm"),
        ("run calm --hours 999", "minutes = 59940.0 is not in", "list calm"),
        ("run calm --hours 1 --minutes 9", "--hours and --minutes are both given", "one of them"),
        ("run calm --implementation other", "'other' is not one of 'pilotdht', 'kademlia'", "run calm --help"),
        ("run calm --network moon", "'moon' is not one of", "run calm --help"),
        ("run calm --shar 0.1", "No such option '--shar'", "run calm --help"),
        ("run calm extra", "unexpected extra argument", "run calm --help"),
        ("sweep calm", "Missing option '--out'", "sweep --help"),
        ("sweep calm --out OUT --seeds 5..1", "the range '5..1' is empty", "1..5"),
        ("sweep calm --out OUT --seeds x", "'x' is no whole number", "1..10"),
        ("sweep calm --out OUT --seeds 1..99999999", "more than 10,000", ""),
        ("sweep calm --out OUT --seeds 1..200 --nodes 2..200", "39,800 runs are more than", "fewer"),
        ("sweep calm --out OUT --nodes 1", "nodes = 1 is not in", "list calm"),
        ("sweep calm --out OUT --set shares=1", "'shares' is no option of calm", "did you mean 'share'?"),
        ("sweep calm --out OUT --set share", "has no value", "OPTION=VALUE"),
        ("sweep calm --out OUT --set share=7", "7.0 is not in the range", "list calm"),
        ("sweep calm --out OUT --set nodes=5 --nodes 6", "nodes is set twice", "commas"),
        ("sweep calm --out OUT --set seed=5 --seeds 6", "seed is set twice", "commas"),
        ("sweep calm --out OUT --hours 1 --minutes 9", "--hours and --minutes are both given", "one of them"),
        ("sweep calm --out OUT --workers 2 --executor dask://a:1", "--workers is for processes", "cluster"),
        ("report OUT", "there are no results in", "run SCENARIO --out"),
        ("report missing.json", "does not exist", "report --help"),
        ("replay missing.json --at 3", "does not exist", "replay --help"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line_with_a_hint(words: str, message: str, hint: str, tmp_path: Path) -> None:
    """It says what is wrong and what to try; nothing is run."""
    runner = CalmRunner()
    result = typed(*words.replace("OUT", str(tmp_path)).split(), runner=runner)
    lines = result.stderr.splitlines()

    assert 2 == result.exit_code, result.output
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert lines[1].startswith("hint: ") if hint else True
    assert hint in result.stderr
    assert len(lines) <= 2
    assert [] == runner.asked
    assert [] == list(tmp_path.glob("*.json"))


def test_wrong_usage_as_json_is_one_document() -> None:
    """A program reads it from standard output."""
    answer = json.loads(typed("run", "calm", "--nodes", "abc", "--json").stdout)

    assert ("error", "invalid_argument") == (answer["status"], answer["code"])


@pytest.mark.parametrize("words", ["run calm", "sweep calm", "compare calm"])
def test_folder_that_cannot_be_written_is_noticed_before_anything_runs(words: str, tmp_path: Path) -> None:
    """Not after hours of work."""
    runner = CalmRunner()
    (tmp_path / "file").write_text("in the way")
    result = typed(*words.split(), "--out", tmp_path / "file" / "below", runner=runner)

    assert 2 == result.exit_code
    assert "cannot write to the folder" in result.stderr
    assert [] == runner.asked


def test_compare_runs_both_and_replaces_the_table_in_a_document(tmp_path: Path) -> None:
    """The document keeps what stands around the block."""
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- simulations:begin -->\nold\n<!-- simulations:end -->\nafter\n")
    result = typed("compare", "--small", "--no-report", "--out", tmp_path / "out", "--docs", document)
    text = document.read_text()

    assert 0 == result.exit_code, result.output
    assert ["kademlia", "pilotdht"] == sorted(
        read_result(file).implementation for file in (tmp_path / "out").glob("calm-*.json")
    )
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| calm |" in text
    assert "old" not in text


def test_compare_with_a_document_without_marks_runs_nothing(tmp_path: Path) -> None:
    """It is noticed before the work."""
    document = tmp_path / "page.md"
    document.write_text("nothing")
    result = typed("compare", "--out", tmp_path / "out", "--docs", document)

    assert 2 == result.exit_code
    assert not (tmp_path / "out").exists()


def test_report_replaces_the_table_in_a_document(tmp_path: Path) -> None:
    """Results of several runs become one table."""
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- simulations:begin -->\nold\n<!-- simulations:end -->\nafter\n")
    typed("run", "calm", "--no-report", "--out", tmp_path / "out")
    result = typed("report", tmp_path / "out", "--docs", document)

    assert 0 == result.exit_code, result.output
    assert "| calm |" in document.read_text()
    assert "old" not in document.read_text()


def traced(tmp_path: Path) -> Path:
    """Write a result with a trace beside it, of two datagrams and a note, and return the result's path."""
    typed("run", "calm", "--no-report", "--out", tmp_path)
    [path] = tmp_path.glob("*.json")
    trace = Trace(TraceWriter(path.with_suffix(".trace")))
    trace.begin(1_000_000)
    for number in (1, 2):
        trace.name(number, endpoint_of(number), 1_000_000)
    trace.values.extend((11_000_000, 1, 2, 100, What.SENT, 0x20))
    trace.note("all is calm", 12_000_000)
    trace.values.extend((31_000_000, 2, 1, 200, What.DELIVERED, 0x40))
    trace.close()
    return path


def test_replay_reads_the_trace_that_was_kept(tmp_path: Path) -> None:
    """The events around the moment, a line each."""
    result = typed("replay", traced(tmp_path), "--at", "10", "--span", "4")
    one, two = endpoint_of(1), endpoint_of(2)

    assert 0 == result.exit_code
    assert [f"10.000000 sent {one} > {two} sealed 100", "11.000000 note all is calm"] == result.stdout.splitlines()


def test_replay_of_one_node_leaves_the_others_out(tmp_path: Path) -> None:
    """Notes stay: they are about everybody."""
    result = typed("replay", traced(tmp_path), "--at", "10", "--span", "4", "--node", "7")

    assert ["11.000000 note all is calm"] == result.stdout.splitlines()


def test_replay_as_json_is_an_object_a_line(tmp_path: Path) -> None:
    """Programs read it as it comes."""
    result = typed("replay", traced(tmp_path), "--at", "30", "--json")
    [event] = [json.loads(line)["data"] for line in result.stdout.splitlines()]

    assert ("delivered", 200, "quic") == (event["what"], event["size_bytes"], event["kind"])


def test_replay_after_the_end_of_the_run_is_wrong_usage(tmp_path: Path) -> None:
    """The run had a minute."""
    result = typed("replay", traced(tmp_path), "--at", "3000")

    assert 2 == result.exit_code
    assert "after the end of the run at 60 s" in result.stderr


def test_replay_without_a_trace_runs_the_same_again(tmp_path: Path) -> None:
    """Same options, up to the end of the window; it says that the code is other."""
    typed("run", "calm", "--seed", "5", "--share", "0.2", "--no-report", "--out", tmp_path)
    [path] = tmp_path.glob("*.json")
    asked: dict[str, object] = {}

    def run(scenario: Scenario, options: Options, *, progress: object, trace: TraceWriter, until_s: float) -> object:
        asked.update(options=options, until_s=until_s)
        kept = Trace(trace)
        kept.begin(0)
        kept.note("again", 9_500_000)
        kept.note("too late", 13_000_000)
        kept.close()
        return calm_result({"implementation": "pilotdht", "share": 0.2, "seed": 5})

    behind = Backstage(scenarios=calm_scenarios, run=run)  # type: ignore[arg-type]  # a result is all it needs
    result = CliRunner().invoke(program, ["replay", str(path), "--at", "10", "--span", "2"], obj=behind)

    assert 0 == result.exit_code
    assert "9.500000 note again\n" == result.stdout
    assert {"options": CalmOptions(seed=5, share=0.2), "until_s": 11.0} == asked
    assert "the run may differ" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4s"), (45, "45s"), (725, "12m 5s"), (10800, "3h"), (187200, "2d 4h")]
)
def test_duration_is_said_as_people_say_it(seconds: float, text: str) -> None:
    """Two units at most."""
    assert text == duration(seconds)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list"]])
def test_help_and_list_load_nothing_heavy(words: list[str]) -> None:
    """They must feel instant."""
    code = (
        "import sys\n"
        "from simulations.command.program import program\n"
        f"program.main({words!r}, standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)

    allowed = set() if words == ["--help"] else set(HEAVY) - {"matplotlib", "distributed", "rich"}
    assert set() == set(ast.literal_eval(done.stderr.splitlines()[-1])) - allowed
