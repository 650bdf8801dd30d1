"""The daemon's life: settings, lock, key, node, control socket, ready; then a clean stop within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field, replace
from functools import partial
from pathlib import Path

from prometheus_client import disable_created_metrics

from pilotdht.config.config import Config
from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.attending import Attendance
from pilotdht.daemon.config_check import load_checked
from pilotdht.daemon.control import Control
from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.host_limits import tell_shortages
from pilotdht.daemon.lag import lag_watched
from pilotdht.daemon.lock import claim
from pilotdht.daemon.logs import follow_settings, set_up_logging
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.notify import Notifier
from pilotdht.daemon.page import PageKeeper, StatusPageLike
from pilotdht.daemon.paths import Paths, find_paths, make_private_directory
from pilotdht.daemon.reload import Reloader
from pilotdht.daemon.settings import load_config
from pilotdht.daemon.shapes import StartedShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import InternalError, KeyFileError
from pilotdht.identity.keyfile import load_or_create_key_file
from pilotdht.identity.keys import KeyPair
from pilotdht.traversal.trunk.proxy import proxy_settings
from pilotdht.values import dataclass

STOP_MARGIN_S = 3.0
"""Time beyond the node's own bound that stopping may take before the process ends anyway."""

MAX_PASSPHRASE_BYTES = 1024

_logger = logging.getLogger(__name__)

OpenNode = Callable[[Config, KeyPair], AbstractAsyncContextManager[NodeVerbs]]
"""Opens the node that the daemon runs."""

MakePage = Callable[[NodeVerbs, Config, Surroundings, DaemonMetrics], StatusPageLike]
"""Makes the status page of a running node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonOptions:
    """What the command line says."""

    overrides: Mapping[str, str] = field(default_factory=dict)
    """Settings by name, as text."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Settings that hold when file and environment say nothing."""
    socket: str | None = None
    """Overrides the control socket's path."""
    config_file: str | None = None
    """Overrides the configuration file's path."""
    is_foreground: bool = True
    """Whether the log goes to standard error."""


def read_passphrase(environment: Mapping[str, str]) -> bytes | None:
    """Return the key file's passphrase, from the file that ``PILOTDHT_PASSPHRASE_FILE`` names, or ``None``.

    Raises:
        KeyFileError: the file cannot be read, or is empty.
    """
    name = environment.get("PILOTDHT_PASSPHRASE_FILE")
    if not name:
        return None
    return read_passphrase_file(Path(name))


def read_passphrase_file(path: Path) -> bytes:
    """Return the first line of a file.

    Raises:
        KeyFileError: the file cannot be read, or the line is empty or too long.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PASSPHRASE_BYTES + 2)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from error
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    if not line or len(line) > MAX_PASSPHRASE_BYTES:
        raise KeyFileError(f"{path} holds no passphrase", hint="write it on the first line")
    return line


async def run_daemon(
    options: DaemonOptions,
    *,
    environment: Mapping[str, str],
    open_node: OpenNode,
    on_ready: Callable[[StartedShape], None],
    make_page: MakePage | None = None,
) -> None:
    """Run a daemon until it is told to stop by a signal or a request.

    Args:
        options: from the command line.
        environment: usually ``os.environ``.
        open_node: opens the node.
        on_ready: called once, when the node is up and the control socket answers.
        make_page: makes the status page when it is asked for; absent: there is none.

    Raises:
        PilotError: the daemon cannot start.
    """
    paths = find_paths(environment, socket=options.socket, config_file=options.config_file)
    defaults = {"data_dir": str(paths.data_dir), **proxy_settings(environment), **options.defaults}
    file, overrides = paths.config_file, options.overrides
    config, _ = load_config(file=file, environment=environment, overrides=overrides, defaults=defaults)
    paths = replace(paths, data_dir=config.data_dir or paths.data_dir)
    make_private_directory(paths.data_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(claim(paths.lock_file))
        handler = set_up_logging(config.daemon, file=None if options.is_foreground else paths.log_file)
        stack.callback(handler.close)
        keys = load_or_create_key_file(paths.key_file, passphrase=read_passphrase(environment))
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they are a second series a counter, unread
        tell_shortages(config)
        frame = _Frame(
            attendance=Attendance(is_hangup_end=options.is_foreground and sys.stderr.isatty()),
            notifier=Notifier.of(environment, process_id=os.getpid()),
            load=partial(load_checked, file=file, environment=environment, overrides=overrides, defaults=defaults),
            relog=partial(follow_settings, handler),
        )
        with frame.attendance.signals():
            await _serve(
                config, keys, paths, options, frame, open_node=open_node, on_ready=on_ready, make_page=make_page
            )
        _logger.info("daemon stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What stands around one run of the node."""

    attendance: Attendance
    """Knows when it is over."""
    notifier: Notifier
    """The service manager."""
    load: Callable[[], Config]
    """Reads the configuration anew."""
    relog: Callable[[DaemonConfig], None]
    """Has the log follow its settings."""


async def _serve(
    config: Config,
    keys: KeyPair,
    paths: Paths,
    options: DaemonOptions,
    frame: _Frame,
    *,
    open_node: OpenNode,
    on_ready: Callable[[StartedShape], None],
    make_page: MakePage | None,
) -> None:
    """Hold node and control socket open until the daemon is told to stop."""
    opened = open_node(config, keys)
    node = await opened.__aenter__()
    try:
        info = node.info()
        metrics = DaemonMetrics(node.registry, version=info.version)
        page = PageKeeper(None if make_page is None else lambda: make_page(node, config, around, metrics))
        reloader = Reloader(node, config=config, load=frame.load, relog=frame.relog, notifier=frame.notifier)
        around = Surroundings(
            paths=paths,
            pid=os.getpid(),
            stop=frame.attendance.stop,
            settings=options.overrides,
            page=page,
            reload=reloader.reload,
        )
        control = Control(node, config=config.daemon, around=around, metrics=metrics)
        async with page, control.serve(paths.socket):
            if config.ui.port is not None:
                await page.open()
            gc.collect()
            gc.freeze()  # what is there now stays: later collections need not look at it
            _logger.info("daemon ready", extra={"address": str(info.address), "socket": str(paths.socket)})
            frame.notifier.ready(f"running as {info.address}")
            on_ready(
                {
                    "pid": os.getpid(),
                    "address": str(info.address),
                    "did": info.did,
                    "hostname": info.hostname,
                    "tags": list(info.tags),
                    "endpoints": [str(endpoint) for endpoint in info.endpoints],
                    "is_joined": info.is_joined,
                    "socket": str(paths.socket),
                    "data_dir": str(paths.data_dir),
                    "log": str(paths.log_file),
                }
            )
            with lag_watched(metrics.lag_seconds.observe):
                await frame.attendance.wait(reloader.reload, frame.notifier)
            _logger.info("daemon stopping")
            frame.notifier.stopping()
    finally:
        try:
            async with asyncio.timeout(config.stop_timeout_s + STOP_MARGIN_S):
                await opened.__aexit__(None, None, None)
        except TimeoutError as error:
            raise InternalError("the node did not close in time", hint="records expire on their own") from error
