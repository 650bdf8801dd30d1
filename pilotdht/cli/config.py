"""``config``: which settings hold, where each comes from, and what is wrong with them. Works without a daemon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypedDict

import click

from pilotdht.cli.exits import DONE, USAGE
from pilotdht.cli.program import Family, option, output, verb
from pilotdht.daemon.paths import find_paths


class SettingShape(TypedDict):
    """One setting."""

    name: str
    value: object
    origin: str
    unit: str
    reason: str


class SettingsShape(TypedDict):
    """All settings."""

    settings: list[SettingShape]


class ProblemShape(TypedDict):
    """Something that is wrong with a setting."""

    name: str
    origin: str
    message: str
    hint: str


class ConfigCheckShape(TypedDict):
    """Everything that is wrong with the settings."""

    config_file: str
    exists: bool
    problems: list[ProblemShape]


class ConfigPathShape(TypedDict):
    """Where the files are."""

    config_file: str
    exists: bool
    data_dir: str
    socket: str


config = Family(name="config", help="Show and check settings, and where they come from.")


@verb("show", example="pilotdht config show --origin", returns=SettingsShape)
@click.argument("name", required=False)
@click.option("--origin", is_flag=True, help="Also tell where each value comes from.")
@click.pass_context
def show(context: click.Context, name: str | None, origin: bool) -> None:
    """Print all settings, or those whose name contains NAME; with -v also why each default is what it is."""
    from pilotdht.daemon.encode import plain
    from pilotdht.daemon.settings import list_settings, load_config
    from pilotdht.traversal.trunk.proxy import proxy_settings
    from pilotdht.wire.endpoint import Endpoint

    paths = find_paths(os.environ, config_file=option(context, "config"))
    loaded, origins = load_config(
        file=paths.config_file,
        environment=os.environ,
        defaults={"data_dir": str(paths.data_dir), **proxy_settings(os.environ)},
    )
    settings: list[SettingShape] = [
        {
            "name": setting.name,
            "value": str(setting.value) if isinstance(setting.value, Endpoint) else plain(setting.value),
            "origin": setting.origin,
            "unit": setting.unit,
            "reason": setting.reason,
        }
        for setting in list_settings(loaded, origins)
        if name is None or name in setting.name
    ]
    columns = ["NAME", "VALUE", *(["ORIGIN"] if origin else []), *(["REASON"] if option(context, "verbose") else [])]
    rows = [
        [
            setting["name"],
            _text(setting["value"], setting["unit"]),
            *([setting["origin"]] if origin else []),
            *([setting["reason"]] if option(context, "verbose") else []),
        ]
        for setting in settings
    ]
    out = output(context)
    out.result({"settings": settings}, lambda: out.table(columns, rows, empty="No such setting."))


@verb("check", example="pilotdht config check ./config.toml", returns=ConfigCheckShape)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, file: Path | None) -> int:
    """Tell everything that is wrong with the settings, or with those in FILE; exits with 2 when anything is."""
    from pilotdht.daemon.config_check import check_file, check_settings

    if file is None:
        file = find_paths(os.environ, config_file=option(context, "config")).config_file
        reading = check_settings(file=file, environment=os.environ)
    else:
        reading = check_file(file, environment=os.environ)
    data: ConfigCheckShape = {
        "config_file": str(file),
        "exists": file.exists(),
        "problems": [
            {"name": one.name, "origin": one.origin, "message": one.message, "hint": one.hint}
            for one in reading.problems
        ],
    }
    out = output(context)

    def show() -> None:
        for problem in data["problems"]:
            out.line(out.styled("✗", fg="red"), f" {problem['message']} ({problem['origin']})")
            out.line(f"    {problem['hint']}")
        if data["problems"]:
            count = len(data["problems"])
            out.note(f"{count} {'problem' if count == 1 else 'problems'}")
        else:
            where = str(file) if data["exists"] else f"{file} (not there)"
            out.line(out.styled("✓", fg="green"), f" {where} and the environment: nothing is wrong")

    out.result(data, show)
    return USAGE if data["problems"] else DONE


def _text(value: object, unit: str) -> str:
    """Return a value with its unit."""
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()  # as it is written in the file
    text = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    return f"{text} {unit}".rstrip()


@verb("path", example="pilotdht config path", returns=ConfigPathShape)
@click.pass_context
def path(context: click.Context) -> None:
    """Print where configuration, data and socket are."""
    paths = find_paths(os.environ, socket=option(context, "socket"), config_file=option(context, "config"))
    data: ConfigPathShape = {
        "config_file": str(paths.config_file),
        "exists": paths.config_file.exists(),
        "data_dir": str(paths.data_dir),
        "socket": str(paths.socket),
    }
    out = output(context)
    out.result(
        data,
        lambda: out.facts(
            [
                ("Configuration", data["config_file"] + ("" if data["exists"] else " (not there)")),
                ("Data", data["data_dir"]),
                ("Socket", data["socket"]),
            ]
        ),
    )


for _verb in (show, check, path):
    config.add_command(_verb)
