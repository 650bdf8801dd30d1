"""``daemon install-service`` and ``uninstall-service``: the daemon as a service of systemd or launchd."""

from __future__ import annotations

import os
import shlex
from typing import TypedDict

import click

from pilotdht.cli.output import Output
from pilotdht.cli.program import output, verb
from pilotdht.cli.start_options import settings_of, start_options


class ServiceFileShape(TypedDict):
    """A service that was installed or removed, or would be."""

    manager: str
    path: str
    content: str
    commands: list[str]
    undo: list[str]
    notes: list[str]
    is_done: bool


def _place_options(command: click.Command) -> click.Command:
    """Give a verb the options that say where the service is, and whether anything is done."""
    command.params[:0] = [
        click.Option(
            ["--system/--user", "is_system"],
            default=None,
            help="For the machine, from its start on, or for you alone. Default: --system for root, else --user.",
        ),
        click.Option(["--dry-run", "is_dry_run"], is_flag=True, help="Only show what would be done."),
    ]
    return command


@verb(
    "install-service",
    example="pilotdht daemon install-service --user --hostname my-agent --bootstrap a.example:4433",
    returns=ServiceFileShape,
)
@click.option("--no-start", is_flag=True, help="Write the file; run nothing.")
@click.pass_context
def install_service(
    context: click.Context,
    /,
    is_system: bool | None,
    is_dry_run: bool,
    no_start: bool,
    assignments: tuple[str, ...],
    bootstrap: tuple[str, ...],
    **named: str | None,
) -> None:
    """Have systemd or launchd run the daemon, now and after each start of the machine.

    The options that describe the node become part of the service; all else is read from the configuration file.
    """
    from pilotdht.daemon.service_files import install_service as install
    from pilotdht.daemon.service_files import this_machine
    from pilotdht.daemon.service_plan import plan_service

    settings = settings_of(assignments=assignments, bootstrap=bootstrap, **named)
    is_for_all = _is_system(is_system)
    plan = plan_service(this_machine(), is_system=is_for_all, settings=settings)
    if not is_dry_run:
        install(plan, is_started=not no_start)
    place = "--system" if is_for_all else "--user"
    data: ServiceFileShape = {
        "manager": plan.manager,
        "path": plan.path,
        "content": plan.content.decode(),
        "commands": [] if no_start else [shlex.join(command) for command in plan.install],
        "undo": [f"pilotdht daemon uninstall-service {place}"],
        "notes": list(plan.notes),
        "is_done": not is_dry_run,
    }
    out = output(context)
    out.result(data, lambda: _show_installed(out, data))


@verb("uninstall-service", example="pilotdht daemon uninstall-service --user", returns=ServiceFileShape)
@click.pass_context
def uninstall_service(context: click.Context, /, is_system: bool | None, is_dry_run: bool) -> None:
    """Stop the service and remove it; identity, settings and state stay where they are."""
    from pilotdht.daemon.service_files import this_machine
    from pilotdht.daemon.service_files import uninstall_service as uninstall
    from pilotdht.daemon.service_plan import plan_service

    is_for_all = _is_system(is_system)
    plan = plan_service(this_machine(), is_system=is_for_all, settings={})
    if not is_dry_run:
        uninstall(plan)
    data: ServiceFileShape = {
        "manager": plan.manager,
        "path": plan.path,
        "content": "",
        "commands": [shlex.join(command) for command in (*plan.remove, ("rm", plan.path), *plan.settle)],
        "undo": [f"pilotdht daemon install-service {'--system' if is_for_all else '--user'}"],
        "notes": [],
        "is_done": not is_dry_run,
    }
    out = output(context)

    def show() -> None:
        out.line("Removed:" if data["is_done"] else "Would be done:")
        for command in data["commands"]:
            out.line(f"  {command}")
        out.line(f"To undo it: {data['undo'][0]}")

    out.result(data, show)


def _is_system(choice: bool | None) -> bool:
    return os.geteuid() == 0 if choice is None else choice


def _show_installed(out: Output, data: ServiceFileShape) -> None:
    if data["is_done"]:
        out.line(f"Written: {data['path']}")
    else:
        out.line(f"Would write {data['path']}:")
        out.line("")
        out.text(data["content"])
    if data["commands"]:
        out.line("Run:" if data["is_done"] else "Would run:")
    for command in data["commands"]:
        out.line(f"  {command}")
    for note in data["notes"]:
        out.line(f"Note: {note}")
    out.line(f"To undo it: {data['undo'][0]}")


start_options(install_service)
for _verb in (install_service, uninstall_service):
    _place_options(_verb)
