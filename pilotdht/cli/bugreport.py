"""``bugreport``: what helps to find an error, redacted, in one archive that a person can read before sending it."""

from __future__ import annotations

import getpass
import os
import platform
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

import click

from pilotdht.cli.output import size
from pilotdht.cli.program import option, output, verb
from pilotdht.cli.session import TELL_TIMEOUT_S, with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.errors import PilotError


class ReportFileShape(TypedDict):
    """One file of a report."""

    name: str
    size_bytes: int


class ReportShape(TypedDict):
    """A report about an error."""

    path: str
    files: list[ReportFileShape]


@verb("bugreport", example="pilotdht bugreport --output report.tar.gz", returns=ReportShape)
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), help="Where to write it; not overwritten.")
@click.option("--show", is_flag=True, help="Print all that is in it, and write nothing.")
@click.pass_context
def bugreport(context: click.Context, path: Path | None, show: bool) -> None:
    """Write a report for those who develop pilotdht. Names, addresses and keys are replaced."""
    from pilotdht.daemon.bugreport import write_report

    files = _collect(context)
    out = output(context)
    if show:
        out.result(files, lambda: out.text("\n".join(f"==> {name} <==\n{text}" for name, text in files.items())))
        return
    made_at = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(made_at))
    target = path or Path(f"pilotdht-report-{stamp}.tar.gz")
    sizes = write_report(target, files, made_at=made_at)
    data: ReportShape = {
        "path": str(target.absolute()),
        "files": [{"name": name, "size_bytes": count} for name, count in sizes.items()],
    }

    def tell() -> None:
        out.line(f"Written: {target}")
        for file in data["files"]:
            out.line(f"  {file['name']:<18} {size(file['size_bytes'])}")
        out.line(f"Read it before you send it: tar -xzOf {target} | less")

    out.result(data, tell)


def _collect(context: click.Context) -> dict[str, str]:
    """Return the texts of a report by name."""
    from pilotdht.config.config import Config
    from pilotdht.daemon import bugreport as report
    from pilotdht.daemon.config_check import check_settings
    from pilotdht.daemon.paths import configured_data_dir, find_paths
    from pilotdht.daemon.redact import Redactor
    from pilotdht.daemon.settings import list_settings

    paths = find_paths(os.environ, socket=option(context, "socket"), config_file=option(context, "config"))
    reading = check_settings(file=paths.config_file, environment=os.environ, defaults={"data_dir": str(paths.data_dir)})
    config = reading.config or Config()
    log_file = configured_data_dir(paths, os.environ, {}) / paths.log_file.name
    told, failure = _ask_daemon(context)
    info = cast("Mapping[str, object]", told.get("info", {}))
    names = [config.hostname, *config.tags, getpass.getuser(), platform.node(), str(info.get("hostname", ""))]
    names += [str(tag) for tag in cast("Sequence[object]", info.get("tags", []))]
    names += [str(group["name"]) for group in cast("Sequence[Mapping[str, object]]", info.get("groups", []))]
    names += [str(name) for name in cast("Sequence[object]", told.get("hostnames", []))]
    redactor = Redactor(secrets.token_bytes(32), known=names, folders=report.known_folders(os.environ))
    files = {
        "about.json": report.as_json(report.about(os.environ)),
        "settings.json": report.as_json(
            {
                "settings": report.settings_shown(list_settings(config, reading.origins), redactor),
                "problems": report.problems_shown(reading.problems, redactor),
            }
        ),
        "limits.json": report.as_json(report.limits_shown(config)),
        "log.txt": report.log_shown(Path(str(info.get("log", log_file))), redactor),
    }
    if failure is not None:
        files["daemon.json"] = report.as_json({"code": failure.code, "message": redactor.words(failure.message)})
        return files
    connections = cast("Sequence[Mapping[str, object]]", told["connections"])
    files["daemon.json"] = report.as_json(
        {"info": report.info_shown(info, redactor), "connections": report.connections_shown(connections)}
    )
    files["netcheck.json"] = report.as_json(redactor.data(told["netcheck"]))
    files["dht.json"] = report.as_json(report.numbers_shown(cast("Mapping[str, object]", told["dht"])))
    files["metrics.txt"] = redactor.metrics(str(told["metrics"]))
    return files


def _ask_daemon(context: click.Context) -> tuple[dict[str, object], PilotError | None]:
    """Return what the daemon tells, or why it does not."""
    import asyncio

    async def work(channel: ControlChannel) -> dict[str, object]:
        async with asyncio.timeout(TELL_TIMEOUT_S):
            listed = cast("Mapping[str, object]", await channel.get("/v1/connections"))
            names = cast("Mapping[str, object]", await channel.get("/v1/hostnames"))
            return {
                "info": await channel.get("/v1/info"),
                "netcheck": await channel.get("/v1/netcheck"),
                "connections": listed["connections"],
                "hostnames": names["hostnames"],
                "dht": await channel.get("/v1/dht/stats"),
                "metrics": await channel.text("/metrics"),
            }

    try:
        return with_daemon(context, work), None
    except PilotError as error:
        return {}, error
    except TimeoutError:
        from pilotdht.errors import TimedOut

        return {}, TimedOut("the daemon does not answer")
