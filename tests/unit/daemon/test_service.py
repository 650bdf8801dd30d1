"""The daemon's life in one process, around a fake node: order of starting, reasons not to start, clean stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pilotdht.client.client import Client
from pilotdht.config.config import Config
from pilotdht.daemon.lock import holder
from pilotdht.daemon.service import DaemonOptions, read_passphrase, run_daemon
from pilotdht.daemon.shapes import StartedShape
from pilotdht.errors import ConfigError, InternalError, KeyFileError
from pilotdht.identity.keyfile import load_key_file
from pilotdht.identity.keys import KeyPair
from tests.support.fake_node import FakeNode


class Opener:
    """Opens fake nodes and remembers how."""

    def __init__(self, *, failure: Exception | None = None, close_takes: float = 0.0) -> None:
        self.config = Config()
        self.did = ""
        self.closed = 0
        self._failure = failure
        self._close_takes = close_takes

    @asynccontextmanager
    async def __call__(self, config: Config, keys: KeyPair) -> AsyncIterator[FakeNode]:
        """Open one."""
        self.config, self.did = config, keys.did
        if self._failure is not None:
            raise self._failure
        yield FakeNode()
        await asyncio.sleep(self._close_takes)
        self.closed += 1


async def run(
    home: Path, opener: Opener, *, overrides: Mapping[str, str] | None = None, use: object = None
) -> list[StartedShape]:
    """Run a daemon until it is ready, then stop it as a client does; returns what it reported."""
    reports: list[StartedShape] = []
    ready = asyncio.Event()

    def on_ready(started: StartedShape) -> None:
        reports.append(started)
        ready.set()

    async def stop() -> None:
        await ready.wait()
        async with Client(reports[0]["socket"]) as client:
            await client.stop()

    options = DaemonOptions(overrides={} if overrides is None else overrides, is_foreground=False)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        stopper = group.create_task(stop())
        try:
            await run_daemon(options, environment={"PILOTDHT_HOME": str(home)}, open_node=opener, on_ready=on_ready)
        finally:
            if not ready.is_set():
                stopper.cancel()
    return reports


@pytest.mark.asyncio
async def test_daemon_reports_once_when_it_is_ready_and_closes_the_node(tmp_path: Path) -> None:
    """Identity made, settings handed on, node closed, lock and socket gone."""
    opener = Opener()
    (started,) = await run(tmp_path, opener, overrides={"hostname": "alpha"})

    assert ("alpha", tmp_path) == (opener.config.hostname, opener.config.data_dir)
    assert load_key_file(tmp_path / "identity").did == opener.did
    assert 1 == opener.closed
    assert holder(tmp_path / "daemon.pid") is None
    assert not (tmp_path / "run" / "control.sock").exists()
    assert str(tmp_path / "run" / "control.sock") == started["socket"]
    assert "daemon ready" in (tmp_path / "daemon.log").read_text()


@pytest.mark.asyncio
async def test_data_directory_of_the_settings_is_used_throughout(tmp_path: Path) -> None:
    """Key, lock and log go where the settings say."""
    elsewhere = tmp_path / "elsewhere"
    (started,) = await run(tmp_path / "home", Opener(), overrides={"data_dir": str(elsewhere)})

    assert str(elsewhere / "daemon.log") == started["log"]
    assert (elsewhere / "identity").exists()
    assert not (tmp_path / "home" / "identity").exists()


@pytest.mark.asyncio
async def test_node_that_does_not_open_leaves_nothing_behind(tmp_path: Path) -> None:
    """The reason is raised; lock and socket are free."""
    with pytest.raises(ExceptionGroup) as caught:
        await run(tmp_path, Opener(failure=ConfigError("no such address")))

    assert caught.group_contains(ConfigError, match="no such address")
    assert holder(tmp_path / "daemon.pid") is None
    assert not (tmp_path / "run" / "control.sock").exists()


@pytest.mark.asyncio
async def test_node_that_does_not_close_is_left_after_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that hangs in closing does not keep the process for ever."""
    monkeypatch.setattr("pilotdht.daemon.service.STOP_MARGIN_S", 0.05)
    with pytest.raises(ExceptionGroup) as caught:
        await run(tmp_path, Opener(close_takes=3600), overrides={"stop_timeout_s": "0.05"})

    assert caught.group_contains(InternalError, match="did not close in time")
    assert holder(tmp_path / "daemon.pid") is None


@pytest.mark.asyncio
async def test_wrong_setting_keeps_it_from_starting(tmp_path: Path) -> None:
    """Nothing is opened with a configuration that is wrong."""
    opener = Opener()
    with pytest.raises(ExceptionGroup) as caught:
        await run(tmp_path, opener, overrides={"hostname": "Not Valid"})

    assert caught.group_contains(ConfigError)
    assert "" == opener.did


def test_passphrase_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    """No variable, no passphrase; a missing file is told."""
    path = tmp_path / "secret"
    path.write_bytes(b"correct horse\r\nbattery\n")

    assert read_passphrase({}) is None
    assert b"correct horse" == read_passphrase({"PILOTDHT_PASSPHRASE_FILE": str(path)})
    with pytest.raises(KeyFileError):
        read_passphrase({"PILOTDHT_PASSPHRASE_FILE": str(tmp_path / "none")})
