"""``daemon``: start, stop and look after the node that runs in the background."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict, cast

import click

from pilotdht.cli.arguments import SECONDS
from pilotdht.cli.exits import DONE, NO_DAEMON
from pilotdht.cli.install_service import install_service, uninstall_service
from pilotdht.cli.output import Output
from pilotdht.cli.program import Family, option, output, verb
from pilotdht.cli.start_options import settings_of, start_options
from pilotdht.daemon.launch import launch, terminate, wait_until_gone
from pilotdht.daemon.lock import holder
from pilotdht.daemon.paths import Paths, configured_data_dir, find_paths
from pilotdht.daemon.shapes import InfoShape, ReloadShape, StartedShape, StoppedShape
from pilotdht.errors import NoDaemon, TimedOut

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


class DaemonStatusShape(TypedDict):
    """Whether a daemon runs."""

    is_running: bool
    pid: int | None
    socket: str


class LogLineShape(TypedDict):
    """One line of the log."""

    line: str


daemon = Family(name="daemon", help="Start, stop and watch the node in the background.")


def started_lines(out: Output, started: StartedShape, settings: Mapping[str, str]) -> None:
    """Print what a daemon is, once it runs."""
    if settings.get("bootstrap") and not started["is_joined"]:
        out.note("note: no bootstrap node answers yet; joining goes on in the background")
    out.line(f"Daemon running (pid {started['pid']})")
    out.line(f"Address: {started['address']}")
    if started["hostname"]:
        out.line(f"Hostname: {started['hostname']}")
    if started["tags"]:
        out.line(f"Tags: {', '.join(started['tags'])}")


def run_in_foreground(context: click.Context, settings: dict[str, str], *, defaults: dict[str, str]) -> None:
    """Run a daemon in this process until it is told to stop; its log goes to standard error."""
    import asyncio

    from pilotdht.daemon.__main__ import make_status_page, open_real_node
    from pilotdht.daemon.service import DaemonOptions, run_daemon

    out = output(context)
    options = DaemonOptions(
        overrides=settings, defaults=defaults, socket=option(context, "socket"), config_file=option(context, "config")
    )

    def on_ready(started: StartedShape) -> None:
        out.result(started, lambda: started_lines(out, started, settings))
        sys.stdout.flush()

    asyncio.run(
        run_daemon(
            options, environment=os.environ, open_node=open_real_node, on_ready=on_ready, make_page=make_status_page
        )
    )


def _own_paths(context: click.Context, settings: Mapping[str, str] = MappingProxyType({})) -> Paths:
    """Return where this user's daemon has its files, as far as that can be told without asking it."""
    paths = find_paths(os.environ, socket=option(context, "socket"), config_file=option(context, "config"))
    return replace(paths, data_dir=configured_data_dir(paths, os.environ, settings))


def _launch(context: click.Context, settings: dict[str, str], timeout: float) -> None:
    """Start a daemon in the background and print what it is."""
    started = launch(
        settings,
        log_file=_own_paths(context, settings).log_file,
        socket=option(context, "socket"),
        config_file=option(context, "config"),
        timeout_s=timeout,
    )
    out = output(context)
    out.result(started, lambda: started_lines(out, started, settings))


@start_options
@verb("start", example="pilotdht daemon start --hostname my-mcp-server --tags mcp,finance", returns=StartedShape)
@click.option("--foreground", is_flag=True, help="Stay attached; log to standard error.")
@click.option("--timeout", type=SECONDS, default=START_TIMEOUT_S, help="How long to wait until it is ready.")
@click.pass_context
def start(
    context: click.Context,
    /,
    foreground: bool,
    timeout: float,
    assignments: tuple[str, ...],
    bootstrap: tuple[str, ...],
    **named: str | None,
) -> None:
    """Start the daemon in the background; returns when it is ready."""
    settings = settings_of(assignments=assignments, bootstrap=bootstrap, **named)
    if foreground:
        run_in_foreground(context, settings, defaults={})
    else:
        _launch(context, settings, timeout)


@start_options
@verb("run", example="pilotdht daemon run --hostname my-mcp-server", returns=StartedShape, streams=True)
@click.pass_context
def run(
    context: click.Context, /, assignments: tuple[str, ...], bootstrap: tuple[str, ...], **named: str | None
) -> None:
    """Run the daemon in the foreground until interrupted, for service managers and containers."""
    settings = settings_of(assignments=assignments, bootstrap=bootstrap, **named)
    run_in_foreground(context, settings, defaults={})


def stop_daemon(context: click.Context, *, timeout_s: float) -> StoppedShape:
    """Stop the daemon and wait until it is gone.

    Raises:
        NoDaemon: none runs.
        TimedOut: it did not end in time.
    """
    from pilotdht.cli.session import ask

    lock_file = _own_paths(context).lock_file
    try:
        info = cast("InfoShape", ask(context, "/v1/info"))
        lock_file = Path(info["data_dir"]) / lock_file.name
        stopped = cast("StoppedShape", ask(context, "/v1/stop", {}))
    except NoDaemon:
        process_id = None if option(context, "socket") else holder(lock_file)
        if process_id is None:
            raise
        terminate(process_id)  # it hangs, or is just starting: the socket does not answer
        stopped = {"pid": process_id}
    if not wait_until_gone(lock_file, stopped["pid"], timeout_s=timeout_s):
        raise TimedOut(f"the daemon (pid {stopped['pid']}) is still stopping", hint="see 'pilotdht daemon logs'")
    return stopped


@verb("stop", example="pilotdht daemon stop", returns=StoppedShape)
@click.option("--timeout", type=SECONDS, default=STOP_TIMEOUT_S, help="How long to wait until it is gone.")
@click.pass_context
def stop(context: click.Context, timeout: float) -> None:
    """Stop the daemon: its records are withdrawn, its tunnels closed."""
    stopped = stop_daemon(context, timeout_s=timeout)
    out = output(context)
    out.result(stopped, lambda: out.line(f"Daemon stopped (pid {stopped['pid']})"))


@start_options
@verb("restart", example="pilotdht daemon restart", returns=StartedShape)
@click.option("--timeout", type=SECONDS, default=START_TIMEOUT_S, help="How long each half may take.")
@click.pass_context
def restart(
    context: click.Context,
    /,
    timeout: float,
    assignments: tuple[str, ...],
    bootstrap: tuple[str, ...],
    **named: str | None,
) -> None:
    """Stop the daemon if it runs, and start it with the options it had, changed by those given now."""
    from pilotdht.cli.session import ask

    settings = settings_of(assignments=assignments, bootstrap=bootstrap, **named)
    try:
        settings = {**cast("InfoShape", ask(context, "/v1/info"))["settings"], **settings}
        stop_daemon(context, timeout_s=timeout)
    except NoDaemon:
        pass  # nothing to stop
    _launch(context, settings, timeout)


@verb("status", example="pilotdht daemon status --check && echo up", returns=DaemonStatusShape)
@click.option("--check", is_flag=True, help="Print nothing; exit with 0 when it runs and with 5 when not.")
@click.pass_context
def status(context: click.Context, check: bool) -> int:
    """Tell whether the daemon runs."""
    from pilotdht.cli.session import ask

    paths = find_paths(os.environ, socket=option(context, "socket"))
    try:
        process_id: int | None = cast("InfoShape", ask(context, "/v1/info"))["pid"]
    except NoDaemon:
        process_id = None
    code = NO_DAEMON if process_id is None else DONE
    if check:
        return code
    data: DaemonStatusShape = {
        "is_running": process_id is not None,
        "pid": process_id,
        "socket": str(paths.socket),
    }
    out = output(context)
    text = "Daemon not running" if process_id is None else f"Daemon running (pid {process_id})"
    out.result(data, lambda: out.line(text))
    return code


@verb("reload", example="pilotdht daemon reload", returns=ReloadShape)
@click.pass_context
def reload(context: click.Context) -> None:
    """Have the daemon read its configuration anew. A wrong one is refused, and changes nothing."""
    from pilotdht.cli.session import ask

    done = cast("ReloadShape", ask(context, "/v1/reload", {}))
    out = output(context)

    def show() -> None:
        out.line(f"Changed: {', '.join(done['changed'])}" if done["changed"] else "Nothing was changed.")
        if done["needs_restart"]:
            out.note(f"note: 'pilotdht daemon restart' is needed for {', '.join(done['needs_restart'])}")

    out.result(done, show)


@verb("logs", example="pilotdht daemon logs --follow", returns=LogLineShape, streams=True)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is logged.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="Lines to begin with."
)
@click.option("--raw", is_flag=True, help="Print lines as they are in the file, for programs.")
@click.pass_context
def logs(context: click.Context, follow: bool, lines: int, raw: bool) -> None:
    """Print the daemon's log, as text whichever form it is written in."""
    from pilotdht.cli.logs import follow_lines, last_lines
    from pilotdht.cli.session import ask
    from pilotdht.daemon.logs import readable_line

    try:
        path = Path(cast("InfoShape", ask(context, "/v1/info"))["log"])
    except NoDaemon:
        path = _own_paths(context).log_file
    out = output(context)
    show = str if raw else readable_line
    for line in last_lines(path, lines):
        out.message({"line": line}, text=show(line), indent="")
    if follow:
        for line in follow_lines(path):
            out.message({"line": line}, text=show(line), indent="")


for _verb in (start, stop, restart, reload, status, run, logs, install_service, uninstall_service):
    daemon.add_command(_verb)
