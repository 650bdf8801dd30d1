"""What a node remembers over a restart besides its key and its trust book: the state file, and that of its groups.

Each is one msgpack list, written whole or not at all. A damaged file is set aside and reported, and the node starts as
if there were none: what the state file has can be learnt again; a group can be joined again. A file of a later format
is not damaged: the node does not start with it, and leaves it as it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from pilotdht.errors import BadMessage, ConfigError
from pilotdht.values import dataclass
from pilotdht.wire.codec import decode_list_untrusted, encode, integer_untrusted, list_untrusted

STATE_VERSION = 1
MAX_STATE_BYTES = 128 * 2**20
MAX_GROUPS_KEPT = 10_000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What is remembered."""

    port: int = 0
    """The UDP port used last: taken again when free, so that peers find the node where it was."""
    dht: tuple[object, ...] = ()
    """The DHT's own snapshot: table, records, own sequence numbers; it checks the content itself."""
    groups: tuple[object, ...] = field(default=(), repr=False)
    """The groups' own words: what makes this node a member of each; they hold secrets, and are checked when read."""


def load_state(path: Path) -> NodeState:
    """Return the state in ``path``, or an empty one when there is none or it is damaged.

    Raises:
        ConfigError: it cannot be read, or a later version wrote it.
    """
    values = _load(path, 3)
    if values is None:
        return NodeState()
    try:
        port = integer_untrusted(values[1], high=65535)
        return NodeState(port=port, dht=tuple(list_untrusted(values[2], most=2**20)))
    except BadMessage as error:
        _set_aside(path, error)
        return NodeState()


def save_state(path: Path, state: NodeState) -> None:
    """Write the state but for its groups, whole or not at all.

    Raises:
        ConfigError: the directory cannot be written.
    """
    _save(path, [STATE_VERSION, state.port, list(state.dht)])


def load_groups(path: Path) -> tuple[object, ...]:
    """Return the memberships in ``path``, unchecked, or none when there are none or the file is damaged.

    Raises:
        ConfigError: it cannot be read, or a later version wrote it.
    """
    values = _load(path, 2)
    if values is None:
        return ()
    try:
        return tuple(list_untrusted(values[1], most=MAX_GROUPS_KEPT))
    except BadMessage as error:
        _set_aside(path, error)
        return ()


def save_groups(path: Path, groups: Sequence[object]) -> None:
    """Write the memberships, whole or not at all: a file of their own, as nobody else can tell them again.

    Raises:
        ConfigError: the directory cannot be written.
    """
    _save(path, [STATE_VERSION, list(groups)])


def _load(path: Path, fields: int) -> list[object] | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="check the owner of the data directory"
        ) from error
    try:
        if len(data) > MAX_STATE_BYTES:
            raise BadMessage("state_size")
        values = decode_list_untrusted(data)
        version = values[0] if values else None
        if type(version) is int and version > STATE_VERSION:  # not damaged: whoever wrote it can read it
            raise ConfigError(
                f"{path} has format {version}, and this version knows {STATE_VERSION}",
                hint="a later version wrote it: start that one, or restore the copy that was made before the upgrade",
            )
        if len(values) != fields or values[0] != STATE_VERSION:
            raise BadMessage("state_version")
    except BadMessage as error:
        _set_aside(path, error)
        return None
    return values


def _set_aside(path: Path, error: BadMessage) -> None:
    damaged = path.with_suffix(".damaged")
    _logger.warning("a file is damaged and was set aside", extra={"reason": error.reason, "path": str(damaged)})
    os.replace(path, damaged)


def _save(path: Path, values: list[object]) -> None:
    temporary = path.with_suffix(".new")
    data = encode(values)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="check the data directory") from error
