"""A network for AI agents without a registry, broker or any other centre.

>>> from pilotdht import Config, Node
>>> async with Node(Config(hostname="agent-alpha", bootstrap=("192.0.2.7:4433",))) as node:
...     peers = await node.lookup(tag="finance")

Names are loaded when they are used: importing the package costs nothing until then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotdht.client import Client
    from pilotdht.config.config import Config
    from pilotdht.errors import (
        AlreadyExists,
        Ambiguous,
        BadMessage,
        ConfigError,
        InternalError,
        InvalidArgument,
        KeyChanged,
        KeyFileError,
        LinkClosed,
        NoDaemon,
        NodeClosed,
        NotFound,
        NotTrusted,
        Overloaded,
        PilotError,
        Refused,
        RemoteError,
        TimedOut,
        Unreachable,
        UsageError,
    )
    from pilotdht.identity.address import Address
    from pilotdht.identity.ids import PublicKey
    from pilotdht.identity.keys import KeyPair
    from pilotdht.names.peer import Peer
    from pilotdht.node.facts import Message
    from pilotdht.node.listener import Listener
    from pilotdht.node.node import Node
    from pilotdht.tunnel.stream import Stream
    from pilotdht.wire.endpoint import Endpoint, parse_endpoint

__all__ = [
    "Address",
    "AlreadyExists",
    "Ambiguous",
    "BadMessage",
    "Client",
    "Config",
    "ConfigError",
    "Endpoint",
    "InternalError",
    "InvalidArgument",
    "KeyChanged",
    "KeyFileError",
    "KeyPair",
    "LinkClosed",
    "Listener",
    "Message",
    "NoDaemon",
    "Node",
    "NodeClosed",
    "NotFound",
    "NotTrusted",
    "Overloaded",
    "Peer",
    "PilotError",
    "PublicKey",
    "Refused",
    "RemoteError",
    "Stream",
    "TimedOut",
    "Unreachable",
    "UsageError",
    "__version__",
    "parse_endpoint",
]

__version__ = "0.1.0"
"""Version of the package, the same as in ``pyproject.toml``."""

_HOMES = {
    "Address": "identity.address",
    "Client": "client",
    "Config": "config.config",
    "Endpoint": "wire.endpoint",
    "KeyPair": "identity.keys",
    "Listener": "node.listener",
    "Message": "node.facts",
    "Node": "node.node",
    "Peer": "names.peer",
    "PublicKey": "identity.ids",
    "Stream": "tunnel.stream",
    "parse_endpoint": "wire.endpoint",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name not in __all__:
        raise AttributeError(f"module 'pilotdht' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pilotdht.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*globals(), *__all__])
