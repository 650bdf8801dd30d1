"""Sweeps: plans, what is done again and what is not, failures, summaries; nothing is simulated."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pilotdht.errors import AlreadyExists, ConfigError, InvalidArgument
from simulations.command.axes import axes_of, plan_of
from simulations.command.backstage import Backstage
from simulations.command.program import program
from simulations.results.files import read_result, write_result
from simulations.results.result import Result as RunResult
from simulations.sweep.conduct import FAILED_FOLDER, Standing, Told, alone_in, conduct, finished_runs
from simulations.sweep.executors import Work, executor_named
from simulations.sweep.plan import Plan, Run, combinations, numbers, read_plan, settled_plan, write_plan
from simulations.sweep.spread import settings_of
from simulations.sweep.work import Failure
from tests.support.sim_calm import CALM, InPlace, calm_result, calm_scenarios, calm_work


def plan(*settings: str, seeds: str = "1..2", nodes: str | None = None) -> Plan:
    """Return a plan of the calm scenario."""
    axes = axes_of(CALM, seeds=seeds, nodes=nodes, settings=settings, implementation=None, minutes=None, hours=None)
    return plan_of(CALM, axes, is_small=True)


class Counter:
    """Work that counts."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def __call__(self, run: Run) -> RunResult | Failure:
        """Do a run."""
        self.runs.append(run)
        return calm_work(run)


class Interrupter(Told):
    """Presses Ctrl-C when so many runs have ended."""

    def __init__(self, after: int, *, presses: int = 1) -> None:
        self.left = after
        self.presses = presses

    def ended(self, run: Run, end: RunResult | Failure, standing: Standing) -> None:
        """Count one."""
        self.left -= 1
        if self.left == 0:
            for _ in range(self.presses):
                signal.raise_signal(signal.SIGINT)


def test_numbers_are_ranges_and_lists_each_once_in_order() -> None:
    """As people write them."""
    assert [1, 2, 3, 9, 7, 8] == numbers("1..3,9,2, 7..8")


@pytest.mark.parametrize("text", ["", ",", "1,", "..", "1..", "..1", "1...3", "1-3", "0x1", "2..1", "a", "1..1e3"])
def test_numbers_of_anything_else_is_an_error_for_people(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidArgument):
        numbers(text)


def test_combinations_are_all_of_them_with_the_last_axis_fastest() -> None:
    """So that the seeds of one setting come together."""
    expected = [{"nodes": 5, "seed": 1}, {"nodes": 5, "seed": 2}, {"nodes": 6, "seed": 1}, {"nodes": 6, "seed": 2}]

    assert expected == combinations({"nodes": [5, 6], "seed": [1, 2]})


def test_plan_has_a_file_for_each_combination_and_titles_that_tell_them_apart() -> None:
    """Options that are the same everywhere are left out of titles."""
    made = plan("share=0.1,0.2", nodes="20,30")

    assert 8 == len({run.file for run in made.runs})
    assert "calm, nodes 20, seed 1, share 0.1" == made.titles()[made.runs[0].file]


def test_plan_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """Values keep their types."""
    made = plan("is-deep=yes,no", "bandwidth_bps=1000")
    write_plan(made, tmp_path)

    assert made == read_plan(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "other/1"}', '{"schema": "pilotdht-sweep/1", "runs": 3}'])
def test_plan_file_that_is_damaged_is_told(text: str, tmp_path: Path) -> None:
    """It is not taken for an empty folder."""
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(InvalidArgument, match="no plan of a sweep"):
        read_plan(tmp_path)


def test_another_plan_in_the_folder_is_refused_unless_added(tmp_path: Path) -> None:
    """The runs of both are one plan then."""
    settled_plan(plan(seeds="1..2"), tmp_path, is_adding=False)
    with pytest.raises(AlreadyExists, match=r"2 runs; asked for are 3, 1 of them new"):
        settled_plan(plan(seeds="1..3"), tmp_path, is_adding=False)

    both = settled_plan(plan(seeds="3..4"), tmp_path, is_adding=True)

    assert [1, 2, 3, 4] == [run.options["seed"] for run in both.runs]
    assert both == read_plan(tmp_path)


def test_sweep_writes_each_result_and_goes_on_after_failures(tmp_path: Path) -> None:
    """A failure leaves a file of its own."""
    made = plan("share=0.1,0.25,0.75,0.9")
    outcome = conduct(made, tmp_path, InPlace(), work=calm_work, told=Told())

    assert [0.1, 0.1, 0.9, 0.9] == [result.options["share"] for result in outcome.finished.values()]
    assert ["a quarter cannot be"] * 2 + ["three quarters break"] * 2 == [
        failure.message for failure in outcome.failures.values()
    ]
    assert sorted(outcome.finished) == sorted(file.name for file in tmp_path.glob("*.json"))
    told = json.loads((tmp_path / FAILED_FOLDER / next(iter(outcome.failures))).read_text())
    assert ("a quarter cannot be", 0.25) == (told["message"], told["options"]["share"])


def test_sweep_that_is_run_again_does_what_is_missing(tmp_path: Path) -> None:
    """Finished runs stay; incomplete, damaged and failed ones are done again, and a failure's file goes."""
    made = plan(seeds="1..5")
    whole, incomplete, damaged, failed, missing = made.runs
    write_result(calm_result(whole.options), tmp_path / whole.file)
    write_result(calm_result(incomplete.options, is_complete=False), tmp_path / incomplete.file)
    (tmp_path / damaged.file).write_text('{"schema": "pilotdht-simulation/1", "scen')
    (tmp_path / FAILED_FOLDER).mkdir()
    (tmp_path / FAILED_FOLDER / failed.file).write_text("{}")
    count = Counter()

    outcome = conduct(made, tmp_path, InPlace(), work=count, told=Told(), finished=finished_runs(made, tmp_path))

    assert [incomplete, damaged, failed, missing] == count.runs
    assert [run.file for run in made.runs] == list(outcome.finished)
    assert all(read_result(tmp_path / run.file).is_complete for run in made.runs)
    assert not (tmp_path / FAILED_FOLDER).exists()


def test_sweep_that_is_interrupted_keeps_what_is_finished(tmp_path: Path) -> None:
    """The handler of before is back afterwards."""
    made, before = plan(seeds="1..9"), signal.getsignal(signal.SIGINT)
    outcome = conduct(made, tmp_path, InPlace(), work=calm_work, told=Interrupter(3))

    assert outcome.is_interrupted
    assert 3 <= len(outcome.finished) <= 4  # two are under way at a time
    assert sorted(outcome.finished) == sorted(finished_runs(made, tmp_path))
    assert before is signal.getsignal(signal.SIGINT)


def test_sweep_that_is_interrupted_twice_ends_at_once(tmp_path: Path) -> None:
    """Results that are written already stay."""
    made = plan(seeds="1..9")
    with pytest.raises(KeyboardInterrupt):
        conduct(made, tmp_path, InPlace(), work=calm_work, told=Interrupter(2, presses=2))

    assert 2 == len(finished_runs(made, tmp_path))


class Forgetful(InPlace):
    """A cluster that loses the first run it is given."""

    def __init__(self) -> None:
        self.has_lost = False

    def submit(self, work: Work, run: Run) -> Future[RunResult | Failure]:
        """Lose a run once."""
        if self.has_lost:
            return super().submit(work, run)
        self.has_lost = True
        lost: Future[RunResult | Failure] = Future()
        lost.cancel()
        lost.set_running_or_notify_cancel()
        return lost


def test_run_that_is_lost_with_its_cluster_is_done_again(tmp_path: Path) -> None:
    """It did not fail."""
    outcome = conduct(plan(seeds="1..3"), tmp_path, Forgetful(), work=calm_work, told=Told())

    assert {} == outcome.failures
    assert 3 == len(outcome.finished)


def test_two_sweeps_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second is told; what a killed one was writing is cleared away."""
    (tmp_path / ".half.json.abc.part").write_text("half")
    with alone_in(tmp_path), pytest.raises(AlreadyExists, match="another sweep"), alone_in(tmp_path):
        pass
    with alone_in(tmp_path):
        pass

    assert [] == list(tmp_path.iterdir())


def test_settings_have_median_and_spread_over_seeds() -> None:
    """Runs that differ in more than the seed are settings of their own."""
    results = [calm_result(run.options) for run in plan("share=0.1,0.9", seeds="1,2,6").runs]
    low, high = settings_of(results)

    assert ({"share": 0.1}, {"share": 0.9}) == (low.varied, high.varied)
    assert ([1, 2, 6], 3, 0) == (low.seeds, low.passed, high.passed)
    spread = low.figures["lookup_p50_s"]
    assert (0.02, 0.01, 0.06, 3) == (spread.median, spread.low, spread.high, spread.count)


@pytest.mark.parametrize("name", ["", "process", "dask://", "dask://host", "dask://host:x", "dask://:1", "ssh://a:1"])
def test_executor_of_another_name_is_refused(name: str) -> None:
    """There are two kinds."""
    with pytest.raises(InvalidArgument, match="is no executor"):
        executor_named(name, workers=1)


def test_cluster_without_the_package_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs it who has no cluster."""
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ConfigError, match="Dask is not installed") as caught:
        executor_named("dask://127.0.0.1:8786", workers=1)
    assert "pip install 'distributed" in caught.value.hint


def swept(*words: str | Path) -> Result:
    """Return how ``sweep`` ends when runs are done in place."""
    behind = Backstage(scenarios=calm_scenarios, work=calm_work, executor=lambda name, *, workers: InPlace())
    return CliRunner().invoke(program, ["sweep", "calm", "--no-report", *(str(word) for word in words)], obj=behind)


def test_sweep_command_shows_a_row_for_each_setting(tmp_path: Path) -> None:
    """Median, spread, and how many kept every bound."""
    result = swept("--seeds", "1..3", "--set", "share=0.1,0.9", "--out", tmp_path)
    rows = [line.split() for line in result.stdout.splitlines()]

    assert 1 == result.exit_code
    assert ["SHARE", "LOOKUP_SUCCESS", "LOOKUP_P50_S", "PASSED"] == rows[0]
    assert ["0.1", "99", "%", "20", "ms", "(10", "ms", "..", "30", "ms)", "3/3"] == rows[1]
    assert "0/3" == rows[2][-1]
    assert "3 of 6 runs kept every bound, 3 missed one" in result.stdout


def test_sweep_command_with_every_bound_kept_ends_with_0_and_is_not_done_twice(tmp_path: Path) -> None:
    """The second time it only tells."""
    first, second = (swept("--seeds", "1..3", "--out", tmp_path, "--json") for _ in range(2))

    assert (0, 0) == (first.exit_code, second.exit_code)
    assert first.stdout == second.stdout
    assert "[3/3] calm, seed 3: kept" in first.stderr
    assert "3 of 3 runs are finished already" in second.stderr
    assert "[3/3]" not in second.stderr


def test_sweep_command_with_a_failure_ends_with_1_and_names_it(tmp_path: Path) -> None:
    """By what makes it different."""
    result = swept("--set", "share=0.1,0.75", "--out", tmp_path)

    assert 1 == result.exit_code
    assert "calm, share 0.75: three quarters break" in result.stdout


def test_sweep_command_with_another_plan_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing is run."""
    swept("--seeds", "1..3", "--out", tmp_path)
    refused, added = swept("--seeds", "4", "--out", tmp_path), swept("--seeds", "4", "--out", tmp_path, "--add")

    assert 2 == refused.exit_code
    assert "with --add" in refused.stderr
    assert 0 == added.exit_code
    assert "[4/4] calm, seed 4: kept" in added.stderr
