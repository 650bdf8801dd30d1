"""A configuration is checked whole before a daemon meets it; the system's limits are told; a log is followed."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pilotdht.cli.logs import follow_lines
from pilotdht.cli.program import program
from pilotdht.config.config import Config
from pilotdht.config.daemon import DaemonConfig
from pilotdht.config.net import NetConfig
from pilotdht.daemon.config_check import check_settings
from pilotdht.daemon.host_limits import host_limits, tell_shortages
from pilotdht.daemon.paths import check_socket_directory
from pilotdht.daemon.settings import load_config, read_settings
from pilotdht.errors import ConfigError

WRONG = """\
hostnme = "alpha"
hostname = "Not Valid"
tags = ["a", "a"]
bootstrap = ["a.example:4433"]

[net]
first_timeout_s = 900
receive_buffer_bytes = "many"

[trust]
max_pending = 100
max_peers = 50

[daemon]
log_level = "loud"
"""
Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Return what checks the configuration of a home, or a file."""

    def invoke(*words: str, **environment: str) -> Result:
        variables = {"PILOTDHT_HOME": str(tmp_path), **environment}
        return CliRunner().invoke(program, ["config", "check", *words], env=variables, prog_name="pilotdht")

    return invoke


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path, check: Check) -> None:
    """Names, types, ranges, pairs that do not fit and malformed texts, each with its place; the exit code says so."""
    path = tmp_path / "config.toml"
    path.write_text(WRONG)
    done = check("--json", PILOTDHT_TUNEL_KEEPALIVE_S="3")
    problems = {one["name"]: one for one in json.loads(done.stdout)["data"]["problems"]}

    assert 2 == done.exit_code
    assert problems.keys() == {
        "PILOTDHT_TUNEL_KEEPALIVE_S", "hostnme", "hostname", "tags", "net.first_timeout_s",
        "net.receive_buffer_bytes", "trust.max_peers", "daemon.log_level",
    }  # fmt: skip
    assert "did you mean 'hostname'?" == problems["hostnme"]["hint"]
    assert f"file {path}" == problems["net.first_timeout_s"]["origin"]
    assert "did you mean 'PILOTDHT_TUNNEL_KEEPALIVE_S'?" == problems["PILOTDHT_TUNEL_KEEPALIVE_S"]["hint"]
    assert b"8 problems" in check(PILOTDHT_TUNEL_KEEPALIVE_S="3").stderr_bytes


def test_file_that_is_named_is_checked_in_place_of_the_own(tmp_path: Path, check: Check) -> None:
    """A wrong one before it is moved into place; a right one; one that is not there."""
    (tmp_path / "config.toml").write_text("wrong = 1\n")
    candidate = tmp_path / "candidate.toml"
    candidate.write_text('hostname = "alpha"\n')

    assert (2, 0) == (check().exit_code, check(str(candidate)).exit_code)
    assert "nothing is wrong" in check(str(candidate)).stdout
    candidate.write_text("not toml")
    assert "not TOML" in check(str(candidate)).stdout
    assert 2 == check(str(tmp_path / "none.toml")).exit_code
    (tmp_path / "config.toml").unlink()
    assert "(not there)" in check().stdout


def test_bootstrap_nodes_are_looked_at(tmp_path: Path) -> None:
    """A node would refuse to start with them; the check says so before."""
    path = tmp_path / "config.toml"
    path.write_text('bootstrap = ["a.example:4433", "nonsense", "did:key:zz@b.example:1"]\n')
    reading = check_settings(file=path, environment={})

    assert ["bootstrap", "bootstrap"] == [problem.name for problem in reading.problems]
    assert reading.config is None


def test_pair_that_fits_is_no_problem_although_each_alone_would_be(tmp_path: Path) -> None:
    """Values are judged together: a key needs a mesh of its own."""
    path = tmp_path / "config.toml"
    path.write_text(f'network = 7\nnetwork_key = "{"ab" * 32}"\n')

    assert () == read_settings(file=path, environment={}).problems
    path.write_text(f'network_key = "{"ab" * 32}"\n')
    assert ["network_key"] == [problem.name for problem in read_settings(file=path, environment={}).problems]


def test_start_tells_the_first_problem_and_how_many_there_are(tmp_path: Path) -> None:
    """One line for who starts it, and where to see the others; a wrong key is shown to nobody."""
    path = tmp_path / "config.toml"
    path.write_text('network_key = "nothex"\nhostnme = "x"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(file=path, environment={})

    assert "network_key is not a key in hexadecimal digits (and 1 more)" == caught.value.message
    assert "config check" in caught.value.hint


def test_preset_of_bootstrap_nodes_is_within_its_own_bounds() -> None:
    """It serves from its first second, on the known port, and no client gets more than a tenth."""
    config = Config.for_bootstrap()

    assert ("server", 4433, 9464) == (
        config.dht.mode,
        config.listen.port,
        config.daemon.metrics and config.daemon.metrics.port,
    )
    assert config.relay.client_bytes_per_s * 10 <= config.relay.total_bytes_per_s
    assert config.relay.max_attached > Config().relay.max_attached
    assert not config.traversal.is_port_mapping


def test_limits_of_the_system_are_what_the_system_says() -> None:
    """Nobody grants a gigabyte, everybody grants little; wanting more files than there may be is told."""
    little = replace(Config(), net=NetConfig(receive_buffer_bytes=4096, send_buffer_bytes=8192))
    much = replace(Config(), net=NetConfig(receive_buffer_bytes=1 << 30), daemon=DaemonConfig(max_connections=10_000))
    by_name = {limit.name: limit for limit in host_limits(much)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 30)
        granted = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    assert not any(limit.is_short for limit in host_limits(little) if limit.name != "open_files")
    assert by_name["receive_buffer"].granted in (granted, granted // 2)
    assert by_name["receive_buffer"].is_short
    assert "net.core.rmem_max=1073741824" in by_name["receive_buffer"].advice
    assert 20_128 == by_name["open_files"].wanted


def test_shortage_is_written_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """With what there is, what is wanted, and what to do."""
    with caplog.at_level(logging.WARNING):
        tell_shortages(replace(Config(), net=NetConfig(receive_buffer_bytes=1 << 30)))
    told = [vars(record) for record in caplog.records if vars(record)["operation"] == "receive_buffer"]

    assert [(1 << 30, "WARNING")] == [(one["wanted"], one["levelname"]) for one in told]
    assert "sysctl" in told[0]["reason"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
def test_root_gives_orders_to_a_service_that_runs_as_another_user(tmp_path: Path) -> None:
    """The service's directory is fine for root; one that everybody can write, or that is none, is not."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    os.chown(folder, 10_001, 10_001)
    check_socket_directory(folder / "control.sock")
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="written by others"):
        check_socket_directory(folder / "control.sock")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigError, match="not a directory"):
        check_socket_directory(tmp_path / "link" / "control.sock")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.handlers.RotatingFileHandler]:
    """Return a log that is rotated at every second line."""
    handler = logging.handlers.RotatingFileHandler(tmp_path / "log", maxBytes=30, backupCount=9)
    yield handler
    handler.close()


def say(handler: logging.Handler, number: int) -> None:
    """Write one line of ten characters and its end."""
    handler.emit(logging.makeLogRecord({"msg": f"line {number:05d}"}))


def test_log_is_followed_across_rotations_without_losing_a_line(
    log: logging.handlers.RotatingFileHandler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that are written between the last look at the old file and its rotation are read as well."""
    written = iter(range(1, 100))

    def write_more(_pause: float) -> None:
        for number in islice(written, 3):  # more than fits: the file is rotated in between
            say(log, number)

    monkeypatch.setattr("pilotdht.cli.logs.time.sleep", write_more)
    say(log, 0)
    lines = follow_lines(tmp_path / "log")

    assert [f"line {number:05d}" for number in range(1, 13)] == list(islice(lines, 12))


def test_log_that_is_cut_short_in_place_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As programs do that copy a log away and empty it."""
    path = tmp_path / "log"
    path.write_text("old line that is long\n")
    lines = follow_lines(path)
    monkeypatch.setattr("pilotdht.cli.logs.time.sleep", lambda _pause: path.write_text("new\n"))

    assert "new" == next(lines)


def test_log_is_shown_as_text_or_raw(tmp_path: Path) -> None:
    """People see lines of text, programs what is in the file."""
    line = json.dumps({"ts": "T", "level": "INFO", "logger": "pilotdht.x", "msg": "heard", "port": 7})
    (tmp_path / "daemon.log").write_text(f"{line}\n")

    def logs(*words: str) -> str:
        variables = {"PILOTDHT_HOME": str(tmp_path)}
        return CliRunner().invoke(program, ["daemon", "logs", *words], env=variables, prog_name="pilotdht").stdout

    assert "T INFO pilotdht.x: heard port=7\n" == logs()
    assert f"{line}\n" == logs("--raw")
    assert line == json.loads(logs("--json"))["data"]["line"]
