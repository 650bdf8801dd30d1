"""The state file: what a node remembers over a restart besides its key and its trust book.

One msgpack list, written whole or not at all. A damaged file is set aside and reported, and the node starts as if there
were none: everything in it can be learnt again.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from pilotdht.errors import BadMessage, ConfigError
from pilotdht.wire.codec import decode_list_untrusted, encode, integer_untrusted, list_untrusted

STATE_VERSION = 1
MAX_STATE_BYTES = 128 * 2**20

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What is remembered."""

    port: int = 0
    """The UDP port used last: taken again when free, so that peers find the node where it was."""
    dht: tuple[object, ...] = ()
    """The DHT's own snapshot: table, records, own sequence numbers; it checks the content itself."""


def load_state(path: Path) -> NodeState:
    """Return the state in ``path``, or an empty one when there is none or it is damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return NodeState()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="check the owner of the data directory"
        ) from error
    try:
        if len(data) > MAX_STATE_BYTES:
            raise BadMessage("state_size")
        values = decode_list_untrusted(data)
        if len(values) != 3 or values[0] != STATE_VERSION:
            raise BadMessage("state_version")
        port = integer_untrusted(values[1], high=65535)
        return NodeState(port=port, dht=tuple(list_untrusted(values[2], most=2**20)))
    except BadMessage as error:
        damaged = path.with_suffix(".damaged")
        _logger.warning("state file is damaged and was set aside", extra={"reason": error.reason, "path": str(damaged)})
        os.replace(path, damaged)
        return NodeState()


def save_state(path: Path, state: NodeState) -> None:
    """Write the state, whole or not at all.

    Raises:
        ConfigError: the directory cannot be written.
    """
    temporary = path.with_suffix(".new")
    data = encode([STATE_VERSION, state.port, list(state.dht)])
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="check the data directory") from error
