"""A running daemon reads its configuration anew: what holds at once, what waits for a restart, what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pilotdht.config.config import Config
from pilotdht.config.daemon import DaemonConfig
from pilotdht.config.relay import RelayConfig
from pilotdht.config.trust import TrustConfig
from pilotdht.daemon.attending import Attendance
from pilotdht.daemon.logs import TextFormatter, follow_settings
from pilotdht.daemon.notify import WATCHDOG_SHARE, Notifier
from pilotdht.daemon.reload import LIVE, Reloader, changes_between, with_changes
from pilotdht.daemon.setting_values import known_settings
from pilotdht.errors import ConfigError, InvalidArgument, TimedOut
from pilotdht.node.node import Node
from pilotdht.traversal.relay.channel import ByteBucket
from tests.support.daemon_processes import Agent, agents
from tests.support.fake_node import FakeNode

BEFORE = Config(hostname="alpha", tags=("a",))
SILENT = Notifier(None)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return one agent's home."""
    with agents(tmp_path, 1) as made:
        yield made[0]


class Manager:
    """A service manager's socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)

    def next_word(self) -> dict[str, str]:
        """Return the next message as variables."""
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def until(self, name: str) -> dict[str, str]:
        """Return the next message that sets a variable."""
        while name not in (word := self.next_word()):
            pass
        return word


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Return a service manager that listens."""
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def reloader(
    node: FakeNode, after: Config | Exception, relog: Callable[[DaemonConfig], None] | None = None
) -> Reloader:
    """Return one whose configuration is to become ``after``."""

    def load() -> Config:
        if isinstance(after, Exception):
            raise after
        return after

    return Reloader(node, config=BEFORE, load=load, relog=relog or (lambda _config: None), notifier=SILENT)


def test_every_live_setting_exists() -> None:
    """What is said to hold at once is a setting."""
    assert set() == LIVE - {name for name, _ in known_settings()}


@pytest.mark.asyncio
async def test_changed_settings_hold_or_wait() -> None:
    """The node gets what can be changed; what cannot is named, now and the next time, and does not slip in."""
    node = FakeNode()
    after = replace(
        BEFORE,
        hostname="beta",
        tags=("b", "c"),
        bootstrap=("192.0.2.1:4433",),
        network=7,
        relay=RelayConfig(max_attached=5, attach_interval_s=9.0),
        trust=TrustConfig(is_auto_approving=True),
    )
    levels: list[DaemonConfig] = []
    made = reloader(node, after, levels.append)
    done = await made.reload()

    assert ["bootstrap", "hostname", "relay.max_attached", "tags", "trust.is_auto_approving"] == sorted(done["changed"])
    assert ["network", "relay.attach_interval_s"] == sorted(done["needs_restart"])
    assert ("beta", ("b", "c")) == (node.hostname, node.tags)
    assert 0 == node.configured[0].network
    assert RelayConfig(max_attached=5) == node.configured[0].relay
    assert {"changed": [], "needs_restart": done["needs_restart"]} == await made.reload()
    assert 2 == len(levels)


@pytest.mark.asyncio
async def test_name_given_while_running_outlives_a_reload() -> None:
    """Only what differs from the configuration read before is changed."""
    node = FakeNode()
    node.hostname = "given-since"
    await reloader(node, replace(BEFORE, tags=("b",))).reload()

    assert ("given-since", ("b",)) == (node.hostname, node.tags)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ConfigError("wrong"), InvalidArgument("wrong")])
async def test_wrong_configuration_changes_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asked is told, and so is the log."""
    node = FakeNode()
    with pytest.raises(type(error), match="wrong"):
        await reloader(node, error).reload()

    assert [] == node.configured
    assert "the configuration was not reloaded" in caplog.messages


@pytest.mark.asyncio
async def test_name_that_cannot_be_published_yet_is_changed_all_the_same() -> None:
    """An unreachable mesh is no reason to go back."""

    class Lonely(FakeNode):
        async def set_hostname(self, hostname: str) -> None:
            await super().set_hostname(hostname)
            raise TimedOut("nobody answers")

    node = Lonely()
    done = await reloader(node, replace(BEFORE, hostname="beta")).reload()

    assert (["hostname"], "beta") == (done["changed"], node.hostname)


def test_changes_that_do_not_fit_what_stays_are_refused() -> None:
    """A live half of a pair of settings is not put beside the old other half when they contradict."""
    before = replace(BEFORE, trust=TrustConfig(max_pending=10, max_peers=20))
    after = replace(BEFORE, trust=TrustConfig(max_pending=100, max_peers=200))
    with pytest.raises(ConfigError, match="max_pending"):
        with_changes(before, changes_between(before, after))


def test_bucket_takes_another_rate() -> None:
    """What was used stays used; a smaller burst holds at once."""
    bucket = ByteBucket(rate_per_s=10.0, burst=100.0, now=0.0)
    bucket.spend(90.0)
    bucket.set_rate(20.0, 50.0)

    assert 10.0 == bucket.available(0.0)
    assert 30.0 == bucket.available(1.0)
    assert 50.0 == bucket.available(100.0)


@pytest.mark.asyncio
@pytest.mark.integration
async def test_running_node_is_changed() -> None:
    """Quotas, seeds, trust and what is advertised of a whole node; a wrong seed leaves all of it as it was."""
    async with Node(replace(Config.local(), hostname="alpha")) as node:
        relay = RelayConfig(max_attached=0, total_bytes_per_s=2e6, client_bytes_per_s=1e6)
        before = node.config
        with pytest.raises(InvalidArgument):
            node.reconfigure(replace(before, bootstrap=("nonsense",), relay=relay))
        assert before == node.config
        node.reconfigure(replace(before, hostname="other", relay=relay, trust=TrustConfig(is_auto_approving=True)))
        limits = {
            name: node.registry.get_sample_value(f"pilotdht_relay_{name}")
            for name in ("attached_limit", "limit_bytes_per_second")
        }

        assert ("alpha", relay) == (node.config.hostname, node.config.relay)
        assert {"attached_limit": 0.0, "limit_bytes_per_second": 2e6} == limits


@pytest.mark.asyncio
async def test_signals_are_obeyed_in_order() -> None:
    """A reload is done before the end that was asked for after it; two that came together are one."""
    attendance = Attendance(is_hangup_end=False)
    done: list[str] = []
    reloaded = asyncio.Event()

    async def reload() -> None:
        done.append("reload")
        reloaded.set()
        if len(done) == 1:
            raise ConfigError("wrong")  # what is wrong ends nothing

    with attendance.signals():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            waiting = group.create_task(attendance.wait(reload, SILENT))
            await reloaded.wait()
            assert not waiting.done()
            signal.raise_signal(signal.SIGTERM)
    assert ["reload"] == done


@pytest.mark.asyncio
async def test_terminal_that_is_gone_ends_its_daemon() -> None:
    """In the foreground of a terminal a hang-up is an end."""
    attendance = Attendance(is_hangup_end=True)

    async def reload() -> None:
        raise AssertionError("nobody asked for it")

    with attendance.signals():
        signal.raise_signal(signal.SIGHUP)
        async with asyncio.timeout(5):
            await attendance.wait(reload, SILENT)


def test_log_follows_its_settings() -> None:
    """Level and form can be changed while the log is open."""
    handler, root = logging.StreamHandler(), logging.getLogger()
    level = root.level
    try:
        follow_settings(handler, DaemonConfig(log_level="debug", log_format="text"))
        assert (logging.DEBUG, TextFormatter) == (root.level, type(handler.formatter))
        follow_settings(handler, DaemonConfig(log_level="error", log_format="json"))
        assert (logging.ERROR, False) == (root.level, isinstance(handler.formatter, TextFormatter))
    finally:
        root.setLevel(level)


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, None),
        ({"NOTIFY_SOCKET": "/run/x"}, None),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "10000000"}, 10 * WATCHDOG_SHARE),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "5"}, 10 * WATCHDOG_SHARE),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "6"}, None),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "10000000"}, None),
    ],
)
def test_signs_of_life_are_given_when_the_manager_waits_for_them(
    environment: dict[str, str], interval_s: float | None
) -> None:
    """Only when it listens, and means this process."""
    assert interval_s == Notifier.of(environment, process_id=5).interval_s


def test_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """A socket that is not there, and an abstract one that nobody has."""
    Notifier(str(tmp_path / "none")).ready("running")
    Notifier(f"@{tmp_path}/none").alive()


def test_status_cannot_say_anything_else(manager: Manager, tmp_path: Path) -> None:
    """A line end in a status does not become a word of its own."""
    Notifier(str(tmp_path / "notify")).ready("a\nSTOPPING=1")

    assert {"READY", "MAINPID", "STATUS"} == manager.next_word().keys()


@pytest.mark.integration
def test_daemon_tells_its_manager_and_reloads_at_a_hangup(agent: Agent, manager: Manager, tmp_path: Path) -> None:
    """Ready, alive, reloading and ready again, stopping; a wrong file is refused and the daemon lives on."""
    agent.home.mkdir(parents=True)
    config = agent.home / "config.toml"
    config.write_text('hostname = "alpha"\n[relay]\nmax_attached = 7\n')
    notify = str(tmp_path / "notify")
    with agent.beside(
        "--json", "daemon", "run", "--listen", "127.0.0.1:0", NOTIFY_SOCKET=notify, WATCHDOG_USEC="500000"
    ) as process:
        assert manager.until("READY")["MAINPID"] == str(process.pid)
        assert {"WATCHDOG": "1"} == manager.next_word()
        assert {"WATCHDOG": "1"} == manager.next_word()
        config.write_text('hostname = "beta"\nlisten = "127.0.0.1:1"\n[relay]\nmax_attached = 8\n')
        process.send_signal(signal.SIGHUP)
        assert manager.until("RELOADING")["MONOTONIC_USEC"].isdigit()
        manager.until("READY")
        assert "beta" == agent.json("status")["hostname"]
        assert {"changed": [], "needs_restart": []} == agent.json("daemon", "reload")
        config.write_text('hostname = "gamma"\nhostnme = "x"\nbootstrap = ["nonsense"]\n')
        refused = agent.run("--json", "daemon", "reload")
        assert (2, "config") == (refused.returncode, json.loads(refused.stdout)["code"])
        assert "hostnme" in json.loads(refused.stdout)["message"]
        process.send_signal(signal.SIGHUP)
        manager.until("RELOADING")
        manager.until("READY")
        assert "beta" == agent.json("status")["hostname"]
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING")
        assert 0 == process.wait(timeout=15)


@pytest.mark.integration
def test_settings_of_the_command_line_stay_through_a_reload(agent: Agent) -> None:
    """What was given at the start is given again; what needs a restart is told."""
    agent.home.mkdir(parents=True)
    config = agent.home / "config.toml"
    config.write_text("")
    agent.start("--hostname", "alpha")
    config.write_text('hostname = "beta"\nnetwork = 7\ntags = ["b"]\n')
    done = agent.run("daemon", "reload")

    assert b"Changed: tags\n" == done.stdout
    assert b"'pilotdht daemon restart' is needed for network" in done.stderr
    assert ("alpha", ["b"]) == (agent.json("status")["hostname"], agent.json("status")["tags"])
