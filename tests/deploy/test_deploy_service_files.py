"""The daemon as a service: units and jobs that managers accept; installed and removed, with nothing else touched."""

from __future__ import annotations

import json
import plistlib
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.cli.program import program
from pilotdht.daemon.service_files import install_service, run_command, uninstall_service
from pilotdht.daemon.service_plan import Machine, ServicePlan, plan_service
from pilotdht.daemon.systemd_unit import MARK, UNIT_NAME, quoted_word
from pilotdht.errors import AlreadyExists, InternalError, InvalidArgument, NotFound, UsageError

MOST_EXPOSURE = 2.0
"""Highest figure of systemd-analyze security that the system's unit may have; an unhardened one has 9.6."""

LINUX = Machine(
    platform="linux",
    home="/people/ada",
    user_id=1000,
    executable="/usr/bin/python3",
    environment={"PILOTDHT_HOME": "/people/ada/a node"},
)
MAC = replace(LINUX, platform="darwin", environment={})
SETTINGS = {"hostname": "agent-ada", "bootstrap": "a.example:4433,b.example:4433", "tunnel.keepalive_s": "10"}


def words_of(unit: str, name: str) -> list[str]:
    """Return a command of a unit, read as systemd reads it."""
    (line,) = re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)
    return [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)]


def analyze(verb: str, unit: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Have systemd judge a unit."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, verb, *options, str(unit)], capture_output=True, text=True, timeout=30, check=False)


def unit_file(directory: Path, *, is_system: bool, preset: str = "wan") -> Path:
    """Return a unit as a file; its program is one that exists."""
    machine = replace(LINUX, executable="/bin/sh")
    path = directory / UNIT_NAME
    path.write_bytes(plan_service(machine, is_system=is_system, settings={**SETTINGS, "preset": preset}).content)
    return path


@pytest.mark.parametrize(("is_system", "preset"), [(True, "wan"), (True, "bootstrap"), (False, "wan")])
def test_unit_is_one_that_systemd_accepts(tmp_path: Path, is_system: bool, preset: str) -> None:
    """No unknown name, no malformed value."""
    options = [] if is_system else ["--user"]
    done = analyze("verify", unit_file(tmp_path, is_system=is_system, preset=preset), *options)
    said = [line for line in (done.stdout + done.stderr).splitlines() if UNIT_NAME in line]

    assert [] == said
    if is_system:
        assert 0 == done.returncode


def test_systemd_complains_about_a_wrong_unit(tmp_path: Path) -> None:
    """The check above can fail."""
    path = unit_file(tmp_path, is_system=True)
    path.write_text(path.read_text().replace("Type=notify", "Type=notfy"))
    done = analyze("verify", path)

    assert UNIT_NAME in done.stdout + done.stderr


@pytest.mark.parametrize("preset", ["wan", "bootstrap"])
def test_exposure_of_the_system_unit_is_low(tmp_path: Path, preset: str) -> None:
    """What a daemon that was taken over could do to its machine, as systemd counts it."""
    done = analyze("security", unit_file(tmp_path, is_system=True, preset=preset), "--offline=yes", "--no-pager")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)

    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSURE


def test_system_unit_has_folders_of_its_own_and_a_watchdog() -> None:
    """It says when it is ready, is watched, may open files, and finds its state where the manager put it."""
    unit = plan_service(LINUX, is_system=True, settings=SETTINGS).content.decode()

    for line in (
        "Type=notify",
        "WatchdogSec=60",
        "LimitNOFILE=65536",
        "DynamicUser=yes",
        "StateDirectory=pilotdht",
        "Environment=PILOTDHT_DATA_DIR=%S/pilotdht/node",
        "Environment=PILOTDHT_SOCKET=%t/pilotdht/control.sock",
        "WantedBy=multi-user.target",
    ):
        assert line in unit.splitlines()
    assert ["/usr/bin/python3", "-m", "pilotdht", "daemon", "reload"] == words_of(unit, "ExecReload")


def test_only_a_server_of_low_ports_may_open_them() -> None:
    """Port 443 takes a right that other nodes do not get; no node gets another one."""
    for settings, right in (({}, ""), ({"preset": "bootstrap"}, "CAP_NET_BIND_SERVICE")):
        unit = plan_service(LINUX, is_system=True, settings=settings).content.decode().splitlines()
        assert f"AmbientCapabilities={right}" in unit
        assert f"CapabilityBoundingSet={right}" in unit
        assert ("PrivateUsers=yes" in unit) is not bool(right)


def test_unit_of_a_user_keeps_the_home_and_needs_no_namespaces() -> None:
    """Options that need rights would keep it from starting where user namespaces are switched off."""
    plan = plan_service(LINUX, is_system=False, settings=SETTINGS)
    unit = plan.content.decode()

    assert "/people/ada/.config/systemd/user/pilotdht.service" == plan.path
    assert 'Environment="PILOTDHT_HOME=/people/ada/a node"' in unit
    assert not re.search(r"^(Private|Protect|Dynamic|Capability|StateDir)", unit, re.MULTILINE)
    assert [
        "/usr/bin/python3", "-m", "pilotdht", "daemon", "run", "--set", "hostname=agent-ada", "--set",
        "bootstrap=a.example:4433,b.example:4433", "--set", "tunnel.keepalive_s=10",
    ] == words_of(unit, "ExecStart")  # fmt: skip


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(" $%\\\"';#{}@"), max_size=30)
)
def test_word_of_a_command_stays_one_word(word: str) -> None:
    """Whatever a setting holds, systemd reads it as it was."""
    written = quoted_word(word, is_command=True)
    bare = written.replace("$$", "").replace("%%", "")

    assert "$" not in bare
    assert "%" not in bare
    assert [word] == shlex.split(written.replace("$$", "$").replace("%%", "%"))


@pytest.mark.parametrize("word", ["a\nExecStartPre=/bin/sh", "a\0", "a\x1b"])
def test_word_with_control_characters_is_refused(word: str) -> None:
    """A line end would begin a line of its own."""
    with pytest.raises(InvalidArgument):
        quoted_word(word)


def test_job_is_one_that_launchd_reads() -> None:
    """The property list parses, and runs the program that keeps a log of its own."""
    plan = plan_service(MAC, is_system=False, settings=SETTINGS)
    job = plistlib.loads(plan.content)

    assert "/people/ada/Library/LaunchAgents/pilotdht.daemon.plist" == plan.path
    assert Path(plan.path).stem == job["Label"]
    assert [
        "/usr/bin/python3", "-m", "pilotdht.daemon", "hostname=agent-ada",
        "bootstrap=a.example:4433,b.example:4433", "tunnel.keepalive_s=10",
    ] == job["ProgramArguments"]  # fmt: skip
    assert (True, {"SuccessfulExit": False}) == (job["RunAtLoad"], job["KeepAlive"])
    assert (("launchctl", "bootstrap", "gui/1000", plan.path),) == plan.install
    assert "/Library/LaunchDaemons/pilotdht.daemon.plist" == plan_service(MAC, is_system=True, settings={}).path


def test_system_without_services_of_ours_is_told_what_to_use() -> None:
    """Windows, and whatever else there is."""
    with pytest.raises(UsageError) as caught:
        plan_service(replace(LINUX, platform="win32"), is_system=False, settings={})
    assert "WSL 2" in caught.value.hint


def test_secret_does_not_get_into_a_file_that_all_can_read() -> None:
    """Keys belong into the configuration."""
    with pytest.raises(UsageError, match="secret"):
        plan_service(LINUX, is_system=False, settings={"network_key": "00" * 32})


@pytest.mark.parametrize("folder", ["home", "root", "tmp"])
def test_python_that_a_system_service_cannot_see_is_refused(folder: str) -> None:
    """The unit would fail at each start; as a service of the user it works."""
    machine = replace(LINUX, executable=f"/{folder}/venv/bin/python")
    with pytest.raises(UsageError) as caught:
        plan_service(machine, is_system=True, settings={})
    assert "/opt/pilotdht" in caught.value.hint
    assert plan_service(machine, is_system=False, settings={}).content


class Ran:
    """Remembers commands; fails at one."""

    def __init__(self, *, failing: str = "") -> None:
        self.commands: list[str] = []
        self._failing = failing

    def __call__(self, command: Sequence[str]) -> None:
        """Take one."""
        self.commands.append(shlex.join(command))
        if self._failing and self._failing in command:
            raise InternalError("no")


def plan_in(directory: Path) -> ServicePlan:
    """Return a plan whose file is below a directory."""
    machine = replace(LINUX, home=str(directory))
    return plan_service(machine, is_system=False, settings={})


def test_install_and_uninstall_leave_nothing(tmp_path: Path) -> None:
    """The file is written first and removed last; the manager is told each time; doing it again is an update."""
    plan, ran = plan_in(tmp_path), Ran()
    install_service(plan, is_started=True, run=ran)
    install_service(plan, is_started=True, run=ran)
    path = Path(plan.path)
    mode = stat.S_IMODE(path.stat().st_mode)
    content = path.read_bytes()
    uninstall_service(plan, run=ran)
    once = [f"systemctl --user {words}" for words in ("daemon-reload", f"enable {UNIT_NAME}", f"restart {UNIT_NAME}")]

    assert (plan.content, 0o644) == (content, mode)
    assert [] == list(path.parent.iterdir())
    assert [
        *once,
        *once,
        f"systemctl --user disable --now {UNIT_NAME}",
        "systemctl --user daemon-reload",
    ] == ran.commands
    with pytest.raises(NotFound):
        uninstall_service(plan, run=ran)


def test_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A unit that a person wrote is neither overwritten nor removed."""
    plan = plan_in(tmp_path)
    Path(plan.path).parent.mkdir(parents=True)
    Path(plan.path).write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(AlreadyExists):
        install_service(plan, is_started=False)
    with pytest.raises(AlreadyExists):
        uninstall_service(plan, run=Ran())
    assert "/bin/true" in Path(plan.path).read_text()


def test_service_that_cannot_be_stopped_is_not_forgotten(tmp_path: Path) -> None:
    """The file stays until the manager has let go."""
    plan = plan_in(tmp_path)
    install_service(plan, is_started=False)
    with pytest.raises(InternalError):
        uninstall_service(plan, run=Ran(failing="disable"))
    assert Path(plan.path).exists()


def test_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The hint says who may."""
    (tmp_path / ".config").write_text("no folder")
    with pytest.raises(UsageError) as caught:
        install_service(plan_in(tmp_path), is_started=False)
    assert "sudo" in caught.value.hint


def test_manager_that_fails_or_is_not_there_is_told() -> None:
    """Its own words, or that there is none."""
    with pytest.raises(InternalError, match="failed with 3: no bus"):
        run_command(["sh", "-c", "echo no bus >&2; exit 3"])
    with pytest.raises(UsageError, match="another service manager"):
        run_command(["no-such-manager", "start"])


def typed(home: Path, *words: str) -> Result:
    """Run a command line in a home."""
    variables = {"HOME": str(home), "XDG_CONFIG_HOME": None, "PILOTDHT_HOME": None}
    return CliRunner().invoke(program, ["daemon", *words], env=variables, prog_name="pilotdht")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the commands are those of systemd")
def test_command_shows_and_does_and_tells_how_to_undo(tmp_path: Path) -> None:
    """A dry run changes nothing and shows all; --no-start writes alone; what undoes it is printed."""
    shown = typed(tmp_path, "install-service", "--user", "--dry-run", "--hostname", "agent-ada", "--preset", "wan")
    assert 0 == shown.exit_code, shown.output
    assert [] == list(tmp_path.iterdir())
    assert MARK in shown.stdout
    assert "systemctl --user enable pilotdht.service" in shown.stdout
    assert "To undo it: pilotdht daemon uninstall-service --user" in shown.stdout

    done = typed(tmp_path, "install-service", "--user", "--no-start", "--hostname", "agent-ada", "--json")
    data = json.loads(done.stdout)["data"]
    assert ([], True) == (data["commands"], data["is_done"])
    assert data["content"] == (tmp_path / ".config/systemd/user" / UNIT_NAME).read_text()
    would = json.loads(typed(tmp_path, "uninstall-service", "--user", "--dry-run", "--json").stdout)["data"]
    assert f"rm {data['path']}" in would["commands"]
    assert Path(data["path"]).exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the commands are those of systemd")
def test_command_speaks_to_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemctl on the path is called as a person would call it."""
    told = tmp_path / "told"
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")

    assert 0 == typed(tmp_path, "install-service", "--user").exit_code
    assert 0 == typed(tmp_path, "uninstall-service", "--user").exit_code
    assert [
        "--user daemon-reload", "--user enable pilotdht.service", "--user restart pilotdht.service",
        "--user disable --now pilotdht.service", "--user daemon-reload",
    ] == told.read_text().splitlines()  # fmt: skip
