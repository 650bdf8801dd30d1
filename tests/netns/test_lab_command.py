"""``scripts/natlab`` and who owns a laboratory: names, exit codes, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.lab import NEIGHBOUR, Lab, LabError
from scripts.lab.__main__ import main
from scripts.lab.namespaces import processes_in
from scripts.lab.owners import namespaces_of, sweep
from tests.netns.conftest import BuildLab
from tests.support.source import ROOT

pytestmark = pytest.mark.integration

FOREVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of one command line."""

    exit_code: int
    output: str
    errors: str

    @property
    def answer(self) -> dict[str, Any]:
        """What was printed as JSON."""
        read: dict[str, Any] = json.loads(self.output)
        return read


Natlab = Callable[..., Done]


@pytest.fixture
def natlab(capfd: pytest.CaptureFixture[str]) -> Natlab:
    """Run command lines in this process: a dozen interpreters less to start."""

    def run(*words: str) -> Done:
        try:
            exit_code = main(words)
        except SystemExit as error:
            exit_code = int(error.code or 0)
        told = capfd.readouterr()
        return Done(exit_code=exit_code, output=told.out, errors=told.err)

    return run


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command whose output is read while it runs; it does not outlive the block."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def own_name(suffix: str) -> str:
    """Return a name that no other worker uses."""
    return f"t{os.getpid()}{suffix}"


def test_command_without_the_tools_says_what_is_missing(tmp_path: Path) -> None:
    """A machine without iproute2 and nftables is told so, with an exit code of its own; the kinds are told anyway."""
    checked, listed = (
        subprocess.run(
            [sys.executable, "-m", "scripts.lab", verb, "--json"],
            cwd=ROOT,
            env=os.environ | {"PATH": str(tmp_path)},
            capture_output=True,
            timeout=40,
            check=False,
        )
        for verb in ("check", "kinds")
    )
    assert 77 == checked.returncode
    error = json.loads(checked.stdout)
    assert "error" == error["status"]
    assert "iproute2" in error["message"]
    assert "nftables" in error["message"]
    assert 0 == listed.returncode


@pytest.mark.parametrize("words", [(), ("fly",), ("check", "cone-ish"), ("run",), ("down",), ("nat", "x", "c", "open")])
def test_command_that_makes_no_sense_exits_with_2(words: tuple[str, ...], can_build_lab: None, natlab: Natlab) -> None:
    """Unknown verbs, kinds and hosts, and missing words, are the caller's mistake."""
    done = natlab(*words)
    assert 2 == done.exit_code
    assert done.errors


def test_check_of_one_kind_reports_it_as_named(can_build_lab: None, natlab: Natlab) -> None:
    """The table of one kind, as JSON."""
    done = natlab("check", "--json", "restricted")
    assert 0 == done.exit_code, done.errors
    (row,) = done.answer["data"]["kinds"]
    assert row["is_as_named"]
    assert "address-dependent" == row["found"]["b"]["filtering"]


def test_run_hands_on_output_and_exit_code_and_removes_everything(can_build_lab: None, natlab: Natlab) -> None:
    """The command runs at the host asked for, sees the laboratory's facts, and its exit code comes back."""
    done = natlab("run", "--right", "open", "--at", "b", "--", "sh", "-c", "echo $NATLAB_NAME $NATLAB_B; exit 7")
    assert 7 == done.exit_code, done.errors
    name, address = done.output.split()
    assert address.startswith("11.102.")
    assert [] == namespaces_of(name)


def test_lab_that_was_kept_is_changed_and_removed_by_name(can_build_lab: None, natlab: Natlab) -> None:
    """``up`` leaves it, ``nat`` changes it, ``shell`` runs in it, ``down`` ends what runs there and removes it."""
    name = own_name("kept")
    try:
        up = natlab("up", name, "--left", "open", "--delay", "1", "--servers", "1", "--json")
        assert 0 == up.exit_code, up.errors
        assert ["a", "b", "s1"] == [machine["name"] for machine in up.answer["data"]["machines"]]
        assert 0 == natlab("nat", name, "a", "symmetric").exit_code
        listed = {row["name"]: row for row in natlab("list", "--json").answer["data"]["laboratories"]}
        assert "symmetric" == listed[name]["left"]
        command = [sys.executable, "-m", "scripts.lab", "shell", name, "a", "--"]
        with started([*command, "sh", "-c", "ip -4 -oneline address show e0; sleep 60"]) as inside:
            assert inside.stdout is not None
            assert b"192.168.1.2/24" in inside.stdout.readline()
            assert 0 == natlab("down", name).exit_code
            assert -signal.SIGKILL == inside.wait(20)
        assert [] == namespaces_of(name)
        assert 1 == natlab("down", name).exit_code
    finally:
        natlab("down", name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_that_is_interrupted_removes_everything(can_build_lab: None, number: signal.Signals) -> None:
    """Ctrl-C and a polite end leave nothing behind, neither namespaces nor programs."""
    command = [sys.executable, "-m", "scripts.lab", "run", "--delay", "1", "--servers", "1", "--"]
    script = "import os, signal; print(os.environ['NATLAB_NAME'], flush=True); signal.pause()"
    with started([*command, sys.executable, "-c", script]) as process:
        assert process.stdout is not None
        name = process.stdout.readline().decode().strip()
        inside = processes_in(namespaces_of(name))
        assert 1 == len(inside)
        process.send_signal(number)
        assert 128 + number == process.wait(20)
    assert [] == namespaces_of(name)
    assert not any(Path(f"/proc/{pid}").exists() for pid in inside)


def test_lab_whose_owner_was_killed_is_swept(can_build_lab: None) -> None:
    """Where nobody could clean up, the next one does: namespaces, programs and lines."""
    name = own_name("dead")
    script = (
        "from scripts.lab import Lab\n"
        "import os, signal, sys\n"
        f"with Lab({name!r}, delay_ms=1, servers=1) as lab:\n"
        f"    lab.popen('a', {FOREVER!r}, stdout=sys.stdout).pid\n"
        "    signal.pause()\n"
    )
    with started([sys.executable, "-c", script]) as owner:
        assert owner.stdout is not None
        assert b"up\n" == owner.stdout.readline()
        assert name not in sweep()  # its owner lives
        inside = processes_in(namespaces_of(name))
        owner.kill()
        owner.wait(20)
        swept = sweep()
        assert b"" == owner.stdout.read()  # the program inside had the other end
    assert len(inside) == 1
    assert name in swept or namespaces_of(name) == []  # another worker's laboratory may have swept first
    assert [] == namespaces_of(name)


def test_labs_side_by_side_do_not_meet(build_lab: BuildLab) -> None:
    """Two laboratories have the same addresses and nothing in common; a name cannot be taken twice."""
    name = own_name("one")
    first, second = build_lab(prefix=name, left="open", servers=1), build_lab(left="open", servers=1)
    assert first.machine("a").host == second.machine("a").host
    with first.socket("s1") as here, second.socket("s1") as there, second.socket("a") as sender:
        for receiver in (here, there):
            receiver.bind((first.servers[0].host, 9))
        sender.sendto(b"x", (first.servers[0].host, 9))
        there.settimeout(2)
        assert b"x" == there.recv(10)
        here.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.recv(10)
    with pytest.raises(LabError, match="a running process has"), Lab(name):
        pass


@pytest.mark.parametrize("name", ["Upper", "", "a-b", "../x", "x" * 25])
def test_lab_with_a_name_that_is_no_name_is_refused(build_lab: BuildLab, name: str) -> None:
    """A name becomes part of a path and of a namespace's name."""
    with pytest.raises(LabError, match="no name for a laboratory"):
        build_lab(prefix=name)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"left": "cone-ish"}, "no kind"),
        ({"left": "open", "right": NEIGHBOUR}, "no carrier"),
        ({"servers": 0}, "1 to 99 servers"),
        ({"loss": 2.0}, "no line is like this"),
    ],
)
def test_lab_that_makes_no_sense_is_refused_before_anything_is_built(wrong: dict[str, Any], reason: str) -> None:
    """Unknown kinds, neighbours without a carrier, and numbers out of range."""
    with pytest.raises(LabError, match=reason):
        Lab(**wrong)


def test_lab_that_fails_inside_is_removed(can_build_lab: None) -> None:
    """An exception in the block ends programs and removes namespaces all the same."""
    with pytest.raises(ZeroDivisionError), Lab(servers=1) as lab:  # noqa: PT012 - what happens inside is the test
        process = lab.popen("a", FOREVER, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        _ = 1 / 0
    assert [] == namespaces_of(lab.name)
    assert -signal.SIGTERM == process.returncode
