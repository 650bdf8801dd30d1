"""A daemon as a process: ready when it says so, alone on its data, gone when it is told, whole after a crash."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotdht.daemon.launch import wait_until_gone
from pilotdht.daemon.lock import holder
from tests.support.daemon_processes import Agent, agents

pytestmark = pytest.mark.integration

MEMORY_LIMIT_KB = 60_000


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return one agent's home."""
    with agents(tmp_path, 1) as made:
        yield made[0]


def test_start_prints_what_guides_show(agent: Agent) -> None:
    """Process, address, hostname and tags, in this order; the daemon holds none of the command's pipes."""
    done = agent.run(
        "daemon", "start", "--hostname", "my-mcp-server", "--tags", "mcp,finance", "--listen", "127.0.0.1:0"
    )
    lines = done.stdout.decode().splitlines()

    assert (0, b"") == (done.returncode, done.stderr)
    assert lines[0].startswith("Daemon running (pid ")
    assert lines[1].startswith("Address: 0:")
    assert ["Hostname: my-mcp-server", "Tags: mcp, finance"] == lines[2:]


def test_daemon_outlives_the_command_and_answers_at_once(agent: Agent) -> None:
    """When start returns the daemon is ready, in a session of its own."""
    started = agent.start()

    assert started["pid"] == agent.json("status")["pid"]
    assert os.getsid(started["pid"]) == started["pid"]
    assert 0 == agent.run("daemon", "status", "--check").returncode


def test_stop_returns_when_the_daemon_is_gone(agent: Agent) -> None:
    """Nobody uses the data any more, the socket is gone; a second stop has nothing to stop."""
    started = agent.start()
    done = agent.run("daemon", "stop")

    assert 0 == done.returncode
    assert not Path(started["socket"]).exists()
    assert holder(agent.home / "daemon.pid") is None
    assert 5 == agent.run("daemon", "stop").returncode
    assert 5 == agent.run("daemon", "status", "--check").returncode


def test_second_start_is_refused_and_changes_nothing(agent: Agent) -> None:
    """Two daemons never share one identity."""
    started = agent.start()
    done = agent.run("--json", "daemon", "start")
    envelope = json.loads(done.stdout)

    assert (1, "already_exists") == (done.returncode, envelope["code"])
    assert str(started["pid"]) in envelope["message"]
    assert started["pid"] == agent.json("status")["pid"]


def test_killed_daemon_starts_again_with_the_same_identity(agent: Agent) -> None:
    """What a crash leaves behind, socket and lock file included, is in nobody's way."""
    before = agent.start("--hostname", "alpha")
    os.kill(before["pid"], signal.SIGKILL)
    assert 5 == agent.run("status").returncode
    after = agent.start("--hostname", "alpha")

    assert (before["address"], before["did"]) == (after["address"], after["did"])


def test_restart_keeps_the_options_it_was_started_with(agent: Agent) -> None:
    """A restart needs no memory of the first command; what is given changes."""
    before = agent.start("--hostname", "alpha", "--tags", "a")
    after = agent.json("daemon", "restart", "--tags", "b")

    assert before["pid"] != after["pid"]
    assert ("alpha", ["b"], before["address"]) == (after["hostname"], after["tags"], after["address"])


def test_termination_is_a_clean_stop(agent: Agent) -> None:
    """A service manager's signal stops as the command does."""
    with agent.beside("--json", "daemon", "run", "--listen", "127.0.0.1:0") as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())["data"]
        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(timeout=15)
        assert not Path(started["socket"]).exists()
        assert process.stderr is not None
        assert b"daemon stopped" in process.stderr.read()


def test_bootstrap_is_a_daemon_in_the_foreground(agent: Agent) -> None:
    """It says where it is, and stops at an interrupt."""
    with agent.beside("bootstrap", "run", "--listen", "127.0.0.1:0", "--metrics", "") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Daemon running (pid ")
        process.send_signal(signal.SIGINT)

        assert 0 == process.wait(timeout=15)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--hostname", "Not Valid"], "config", "Not Valid"),
        (["--listen", "nowhere"], "config", "listen"),
        (["--bootstrap", "nonsense"], "invalid_argument", "nonsense"),
        (["--set", "tunel.keepalive_s=3"], "config", "tunel.keepalive_s"),
        (["--set", "oops"], "invalid_argument", "oops"),
        (["--config", "CONFIG"], "config", "hostnme"),
    ],
)
def test_start_that_cannot_work_tells_why(agent: Agent, words: list[str], code: str, told: str) -> None:
    """The daemon's own reason reaches the person who started it."""
    config = agent.home.with_suffix(".toml")
    config.write_text('hostnme = "typo"\n')
    done = agent.run("--json", "daemon", "start", *(str(config) if word == "CONFIG" else word for word in words))
    envelope = json.loads(done.stdout)

    assert (2, code) == (done.returncode, envelope["code"])
    assert told in envelope["message"]
    assert envelope["hint"]


def test_open_key_file_is_refused(agent: Agent) -> None:
    """An identity that others can read is not used."""
    agent.start()
    agent.stop()
    (agent.home / "identity").chmod(0o644)
    done = agent.run("--json", "daemon", "start")

    assert (1, "key_file") == (done.returncode, json.loads(done.stdout)["code"])


def test_key_with_a_passphrase_is_opened_from_a_file(agent: Agent) -> None:
    """The passphrase comes from a file, and without it the daemon says so."""
    secret = agent.home.with_suffix(".secret")
    secret.write_text("correct horse\n")
    before = agent.start()
    agent.stop()

    assert 0 == agent.run("key", "passwd", "--passphrase-file", str(secret)).returncode
    refused = agent.run("--json", "daemon", "start")
    assert "key_file" == json.loads(refused.stdout)["code"]
    opened = agent.run("--json", "daemon", "start", PILOTDHT_PASSPHRASE_FILE=str(secret))
    assert before["address"] == json.loads(opened.stdout)["data"]["address"]


def test_log_is_written_and_can_be_followed(agent: Agent) -> None:
    """The log tells the life of the daemon, to the end."""
    agent.start()
    assert "daemon ready" in agent.run("daemon", "logs").stdout.decode()
    with agent.beside("daemon", "logs", "--follow", "--json", "-n", "1") as process:
        assert process.stdout is not None
        assert "daemon ready" in json.loads(process.stdout.readline())["data"]["line"]
        agent.stop()
        assert "daemon stopping" in json.loads(process.stdout.readline())["data"]["line"]


def test_metrics_are_served_on_a_port_when_asked(agent: Agent, unused_tcp_port: int) -> None:
    """Prometheus can read them without the control socket."""
    agent.start("--metrics", f"127.0.0.1:{unused_tcp_port}")
    with urllib.request.urlopen(f"http://127.0.0.1:{unused_tcp_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()

    assert "pilotdht_build_info" in text
    assert "process_resident_memory_bytes" in text


def test_home_with_a_very_long_path_works(tmp_path: Path) -> None:
    """The limit of socket paths does not limit data directories."""
    with agents(tmp_path / ("d" * 100) / ("e" * 100), 1) as made:
        made[0].start()

        assert 0 == made[0].run("status").returncode


def test_daemon_that_hangs_is_told_and_can_be_signalled(agent: Agent) -> None:
    """A process that does not answer is no daemon to ask; stopping it reaches it all the same."""
    started = agent.start()
    os.kill(started["pid"], signal.SIGSTOP)
    try:
        stopping = agent.run("--json", "daemon", "stop", "--timeout", "200ms")
        assert "timeout" == json.loads(stopping.stdout)["code"]
    finally:
        os.kill(started["pid"], signal.SIGCONT)
    assert wait_until_gone(agent.home / "daemon.pid", started["pid"], timeout_s=15)


def test_two_starts_at_once_make_one_daemon(agent: Agent) -> None:
    """One of them is told that the other was faster."""
    words = ("--json", "daemon", "start", "--listen", "127.0.0.1:0")
    with agent.beside(*words) as one, agent.beside(*words) as other:
        codes = sorted(process.wait(timeout=30) for process in (one, other))

    assert [0, 1] == codes


def test_start_without_an_answer_from_the_bootstrap_says_so(agent: Agent) -> None:
    """The daemon runs, alone for now, and the person knows."""
    words = ["--listen", "127.0.0.1:0", "--bootstrap", "127.0.0.1:9", "--set", "start_timeout_s=0.2"]
    done = agent.run("daemon", "start", *words)

    assert 0 == done.returncode
    assert b"no bootstrap node answers yet" in done.stderr
    assert not agent.json("status")["is_joined"]


def test_idle_daemon_is_small(agent: Agent) -> None:
    """Resident memory stays below its bound."""
    started = agent.start()
    status = Path(f"/proc/{started['pid']}/status")
    if not status.exists():
        pytest.skip("/proc is missing")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]

    assert int(line.split()[1]) < MEMORY_LIMIT_KB
