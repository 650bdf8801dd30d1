"""Collects what helps to find an error, redacted, into one archive that a person can read before sending it.

Nothing goes in that was not chosen here: of settings and of what the node tells, numbers and words from a short list as
they are, everything else as a stand-in. The identity, the trust book, the groups and the state are not even opened.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import sys
import tarfile
from collections import deque
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from pilotdht import __version__
from pilotdht.config.config import Config
from pilotdht.daemon.host_limits import host_limits
from pilotdht.daemon.redact import Redactor
from pilotdht.daemon.settings import Problem, Setting
from pilotdht.errors import AlreadyExists, ConfigError
from pilotdht.wire.endpoint import Endpoint

LOG_LINES = 1000
"""Last lines of the log that go in."""

MAX_LOG_BYTES = 1 << 20
"""Most bytes of the log that are read."""

OPEN_WORDS = frozenset({"preset", "dht.mode", "daemon.log_level", "daemon.log_format"})
"""Settings whose texts are from a short list of ours; all other texts become stand-ins."""

OPEN_FACTS = ("is_joined", "is_server", "uptime_s", "peers", "connections", "records", "version")
"""What the node tells of itself that goes in as it is."""

OPEN_LINK_FACTS = ("road", "is_outgoing", "is_trusted", "rtt_s", "received_bytes", "sent_bytes", "streams", "age_s")
"""What the node tells of a tunnel that goes in."""

LIBRARIES = (
    "aioquic", "base58", "click", "cryptography", "h11", "kademlia", "msgpack", "platformdirs", "prometheus-client",
    "rich",
)  # fmt: skip
"""Packages whose versions go in."""

README = """\
This is a report about pilotdht, made to be sent to those who develop it. Read it before you send it.

Names, addresses, keys and whatever was typed or sent were replaced by stand-ins such as name-1a2b3c4d. The same thing
has the same stand-in throughout this report, and another one in every other report; nobody can compute it back. The
identity, the trust book, the groups and the state of the node were not read.
"""


def about(environment: Mapping[str, str]) -> dict[str, object]:
    """Return which program runs on what; of variables their names."""
    return {
        "pilotdht": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "is_container": os.path.exists("/.dockerenv") or "KUBERNETES_SERVICE_HOST" in environment,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "variables": sorted(name for name in environment if name.startswith("PILOTDHT_")),
    }


def settings_shown(settings: Sequence[Setting], redactor: Redactor) -> list[dict[str, object]]:
    """Return the settings that are not the default, with values that tell nothing about anybody."""
    return [
        {
            "name": setting.name,
            "value": _value_shown(setting, setting.value, redactor),
            "origin": setting.origin.split(" ", 1)[0],
        }
        for setting in settings
        if setting.origin != "default"
    ]


def problems_shown(problems: Sequence[Problem], redactor: Redactor) -> list[dict[str, object]]:
    """Return what is wrong with the settings."""
    return [
        {"name": redactor.text(one.name), "message": redactor.words(one.message), "origin": one.origin.split(" ", 1)[0]}
        for one in problems
    ]


def limits_shown(config: Config) -> list[dict[str, object]]:
    """Return what the system grants, and what is wanted of it."""
    return [{"name": one.name, "granted": one.granted, "wanted": one.wanted} for one in host_limits(config)]


def info_shown(info: Mapping[str, object], redactor: Redactor) -> dict[str, object]:
    """Return what the node tells of itself, without its name and place."""
    places = {name: redactor.data(info.get(name, [])) for name in ("listen", "endpoints")}
    groups = info.get("groups")
    return {
        **{name: info.get(name) for name in OPEN_FACTS},
        **places,
        "tags": _count(info.get("tags")),
        "groups": _count(groups),
        "settings": sorted(settings) if isinstance(settings := info.get("settings"), dict) else [],
    }


def connections_shown(connections: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return the tunnels, without who is at their other ends."""
    return [{name: one.get(name) for name in OPEN_LINK_FACTS} for one in connections]


def numbers_shown(figures: Mapping[str, object]) -> dict[str, object]:
    """Return those figures that are numbers."""
    return {name: value for name, value in figures.items() if isinstance(value, bool | int | float)}


def log_shown(path: Path, redactor: Redactor) -> str:
    """Return the last lines of a log; a remark when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            start = max(0, file.tell() - MAX_LOG_BYTES)
            file.seek(start)
            data = file.read(MAX_LOG_BYTES)
    except OSError as error:
        return f"there is no log to read: {error.strerror}\n"
    lines = deque(data.decode("utf-8", "replace").splitlines(), maxlen=LOG_LINES)
    if start and len(lines) < LOG_LINES:
        lines.popleft()  # the reading began in its middle: half a secret would not be known for one
    return "".join(f"{line}\n" for line in map(redactor.log_line, lines))


def as_json(value: object) -> str:
    """Return a value as JSON for people."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def write_report(path: Path, files: Mapping[str, str], *, made_at: float) -> dict[str, int]:
    """Write the archive, readable by its owner alone; returns the size of each file in it, in bytes.

    Args:
        path: where; nothing may be there yet.
        files: texts by name.
        made_at: Unix seconds.

    Raises:
        AlreadyExists: something is there.
        ConfigError: it cannot be written.
    """
    content = {"README.txt": README, **files}
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=int(made_at)) as zipped,
        tarfile.open(  # no name, no user inside
            fileobj=zipped, mode="w"
        ) as archive,
    ):
        for name, text in content.items():
            data = text.encode("utf-8", "replace")
            member = tarfile.TarInfo(f"pilotdht-report/{name}")
            member.size, member.mtime, member.mode = len(data), int(made_at), 0o600
            archive.addfile(member, io.BytesIO(data))
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(packed.getvalue())
    except FileExistsError as error:
        raise AlreadyExists(f"{path} exists", hint="choose another --output") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="choose another --output") from error
    return {name: len(text.encode("utf-8", "replace")) for name, text in content.items()}


def _value_shown(setting: Setting, value: object, redactor: Redactor) -> object:
    """Return a setting's value, or what stands for it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Endpoint):
        return redactor.text(str(value))
    if isinstance(value, tuple):
        return [_value_shown(setting, one, redactor) for one in value]
    if setting.name in OPEN_WORDS or value in ("", b""):
        return str(value) if value else ""
    return "set" if isinstance(value, bytes) or setting.name == "network_key" else redactor.stand_in("set", str(value))


def _count(items: object) -> int:
    return len(items) if isinstance(items, list) else 0


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not there"


def known_folders(environment: Mapping[str, str]) -> dict[str, str]:
    """Return paths that tell who somebody is, and what stands for them."""
    folders = {str(Path.home()): "~", sys.prefix: "<python>"}
    home = environment.get("PILOTDHT_HOME")
    return {path: name for path, name in {**folders, **({home: "<home>"} if home else {})}.items() if len(path) > 1}
