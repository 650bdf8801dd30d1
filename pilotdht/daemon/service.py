"""The daemon's life: settings, lock, key, node, control socket, ready; then a clean stop within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from prometheus_client import disable_created_metrics

from pilotdht.config.config import Config
from pilotdht.daemon.control import Control
from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.lock import claim
from pilotdht.daemon.logs import set_up_logging
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.paths import Paths, find_paths, make_private_directory
from pilotdht.daemon.settings import load_config
from pilotdht.daemon.shapes import StartedShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import InternalError, KeyFileError
from pilotdht.identity.keyfile import load_or_create_key_file
from pilotdht.identity.keys import KeyPair

STOP_MARGIN_S = 3.0
"""Time beyond the node's own bound that stopping may take before the process ends anyway."""

MAX_PASSPHRASE_BYTES = 1024

_logger = logging.getLogger(__name__)

OpenNode = Callable[[Config, KeyPair], AbstractAsyncContextManager[NodeVerbs]]
"""Opens the node that the daemon runs."""


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
) -> None:
    """Run a daemon until it is told to stop by a signal or a request.

    Args:
        options: from the command line.
        environment: usually ``os.environ``.
        open_node: opens the node.
        on_ready: called once, when the node is up and the control socket answers.

    Raises:
        PilotError: the daemon cannot start.
    """
    paths = find_paths(environment, socket=options.socket, config_file=options.config_file)
    defaults = {"data_dir": str(paths.data_dir), **options.defaults}
    config, _ = load_config(
        file=paths.config_file, environment=environment, overrides=options.overrides, defaults=defaults
    )
    paths = replace(paths, data_dir=config.data_dir or paths.data_dir)
    make_private_directory(paths.data_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(claim(paths.lock_file))
        handler = set_up_logging(config.daemon, file=None if options.is_foreground else paths.log_file)
        stack.callback(handler.close)
        keys = load_or_create_key_file(paths.key_file, passphrase=read_passphrase(environment))
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they are a second series a counter, unread
        stopping = asyncio.Event()
        with _signals(stopping):
            await _serve(config, keys, paths, options, stopping, open_node=open_node, on_ready=on_ready)
        _logger.info("daemon stopped")


async def _serve(
    config: Config,
    keys: KeyPair,
    paths: Paths,
    options: DaemonOptions,
    stopping: asyncio.Event,
    *,
    open_node: OpenNode,
    on_ready: Callable[[StartedShape], None],
) -> None:
    """Hold node and control socket open until ``stopping`` is set."""
    opened = open_node(config, keys)
    node = await opened.__aenter__()
    try:
        info = node.info()
        metrics = DaemonMetrics(node.registry, version=info.version)
        around = Surroundings(paths=paths, pid=os.getpid(), stop=stopping.set, settings=options.overrides)
        control = Control(node, config=config.daemon, around=around, metrics=metrics)
        async with control.serve(paths.socket):
            gc.collect()
            gc.freeze()  # what is there now stays: later collections need not look at it
            _logger.info("daemon ready", extra={"address": str(info.address), "socket": str(paths.socket)})
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
            await stopping.wait()
            _logger.info("daemon stopping")
    finally:
        try:
            async with asyncio.timeout(config.stop_timeout_s + STOP_MARGIN_S):
                await opened.__aexit__(None, None, None)
        except TimeoutError as error:
            raise InternalError("the node did not close in time", hint="records expire on their own") from error


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    """Stop cleanly at the first interrupt, termination or hang-up; end at once at the second."""
    loop = asyncio.get_running_loop()
    watched = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    try:
        for number in watched:
            loop.add_signal_handler(number, stop)
    except (ValueError, RuntimeError):  # not the main thread: whoever runs us there handles signals
        watched = []
    try:
        yield
    finally:
        for number in watched:
            loop.remove_signal_handler(number)
