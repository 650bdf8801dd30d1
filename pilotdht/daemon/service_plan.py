"""What it takes to have the daemon run as a service of this machine: which file, what in it, which commands. Pure.

Nothing is done here: :mod:`pilotdht.daemon.service_files` does it, and a dry run only shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotdht.daemon.launchd_job import JOB_LABEL, launchd_job
from pilotdht.daemon.setting_values import known_settings
from pilotdht.daemon.systemd_unit import UNIT_NAME, system_unit, user_unit
from pilotdht.errors import UsageError
from pilotdht.values import dataclass

HIDDEN_FROM_SERVICES = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - to be refused
"""Folders that a system service does not see: a Python below them could not be started."""

SYSTEM_NOTES = (
    "its settings: /etc/pilotdht/config.toml; secrets: /etc/pilotdht/environment, mode 0600, as PILOTDHT_NETWORK_KEY=…",
    "its identity and state: /var/lib/pilotdht/node; they stay when the service is removed",
    "its log: 'journalctl -u pilotdht -f'; orders as root: 'sudo pilotdht status'",
)
"""What whoever installed a system service needs to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the service is to run."""

    platform: str
    """As ``sys.platform`` says."""
    home: str
    """The user's home directory."""
    user_id: int
    """Who asks."""
    executable: str
    """The Python interpreter that has pilotdht."""
    environment: Mapping[str, str]
    """Of whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """What is done to install the service, and to remove it."""

    manager: str
    """``systemd`` or ``launchd``."""
    path: str
    """The one file that is written."""
    content: bytes
    """What is in it."""
    install: tuple[tuple[str, ...], ...]
    """Commands that are run once it is written, in this order."""
    remove: tuple[tuple[str, ...], ...]
    """Commands that are run before it is removed."""
    settle: tuple[tuple[str, ...], ...]
    """Commands that are run after it was removed."""
    notes: tuple[str, ...]
    """What else whoever installs it needs to know."""


def plan_service(machine: Machine, *, is_system: bool, settings: Mapping[str, str]) -> ServicePlan:
    """Return how the daemon becomes a service.

    Args:
        machine: where.
        is_system: for the machine, from its start on; otherwise for the user who asks.
        settings: by name, as text: what the daemon is started with, on top of its configuration file.

    Raises:
        UsageError: this system has no services that we know, or the service could not work.
    """
    for name, known in known_settings():
        if name in settings and not known.field.repr:
            raise UsageError(
                f"{name} is a secret, and a service's file can be read by every user",
                hint="put it into the configuration file, mode 0600",
            )
    if machine.platform == "darwin":
        return _launchd(machine, is_system=is_system, settings=settings)
    if machine.platform.startswith("linux"):
        return _systemd(machine, is_system=is_system, settings=settings)
    raise UsageError(
        f"services of {machine.platform} are not known",
        hint="on Windows install pilotdht inside WSL 2 and run this there; elsewhere have the system's supervisor run "
        "'pilotdht daemon run', which stays in the foreground, stops at SIGTERM and reloads at SIGHUP",
    )


def _systemd(machine: Machine, *, is_system: bool, settings: Mapping[str, str]) -> ServicePlan:
    program = (machine.executable, "-m", "pilotdht")
    command = (*program, "daemon", "run", *_options(settings))
    reload = (*program, "daemon", "reload")
    home = machine.environment.get("PILOTDHT_HOME")
    if is_system:
        if machine.executable.startswith(HIDDEN_FROM_SERVICES):
            raise UsageError(
                f"a system service cannot run {machine.executable}: it does not see that folder",
                hint="install where all may read, as 'python3 -m venv /opt/pilotdht && /opt/pilotdht/bin/pip install "
                "pilotdht', and run '/opt/pilotdht/bin/pilotdht daemon install-service --system'",
            )
        path, content = (
            f"/etc/systemd/system/{UNIT_NAME}",
            system_unit(
                command, reload, has_low_ports=settings.get("preset") == "bootstrap" or "trunk.listen" in settings
            ),
        )
        control: tuple[str, ...] = ("systemctl",)
        notes: tuple[str, ...] = SYSTEM_NOTES
    else:
        folder = machine.environment.get("XDG_CONFIG_HOME") or f"{machine.home}/.config"
        path = f"{folder}/systemd/user/{UNIT_NAME}"
        content = user_unit(command, reload, environment={"PILOTDHT_HOME": home} if home else {})
        control = ("systemctl", "--user")
        notes = (
            "it ends when you log out, unless 'loginctl enable-linger' was run once",
            "its log: 'journalctl --user -u pilotdht -f'",
        )
    return ServicePlan(
        manager="systemd",
        path=path,
        content=content.encode(),
        install=((*control, "daemon-reload"), (*control, "enable", UNIT_NAME), (*control, "restart", UNIT_NAME)),
        remove=((*control, "disable", "--now", UNIT_NAME),),
        settle=((*control, "daemon-reload"),),
        notes=notes,
    )


def _launchd(machine: Machine, *, is_system: bool, settings: Mapping[str, str]) -> ServicePlan:
    # The module, not the command: it keeps a log of its own that is rotated, where launchd's would grow for ever.
    command = [machine.executable, "-m", "pilotdht.daemon", *(f"{name}={value}" for name, value in settings.items())]
    file = f"{JOB_LABEL}.plist"
    if is_system:
        path, domain = f"/Library/LaunchDaemons/{file}", "system"
        environment = {"PILOTDHT_HOME": "/var/db/pilotdht"}
        notes: tuple[str, ...] = ("its identity, settings and log: /var/db/pilotdht; it runs as root",)
    else:
        path, domain = f"{machine.home}/Library/LaunchAgents/{file}", f"gui/{machine.user_id}"
        home = machine.environment.get("PILOTDHT_HOME")
        environment = {"PILOTDHT_HOME": home} if home else {}
        notes = ("it runs while you are logged in", "its log: 'pilotdht daemon logs -f'")
    return ServicePlan(
        manager="launchd",
        path=path,
        content=launchd_job(command, environment=environment),
        install=(("launchctl", "bootstrap", domain, path),),
        remove=(("launchctl", "bootout", f"{domain}/{JOB_LABEL}"),),
        settle=(),
        notes=notes,
    )


def _options(settings: Mapping[str, str]) -> Sequence[str]:
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
