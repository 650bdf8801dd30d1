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
        AnswerFailed,
        BadMessage,
        ConfigError,
        InternalError,
        InvalidArgument,
        KeyChanged,
        KeyFileError,
        LinkClosed,
        NoDaemon,
        NodeClosed,
        NoQuorum,
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
    from pilotdht.gossip.group import Group
    from pilotdht.gossip.values import (
        Event,
        GroupInfo,
        GroupKind,
        MemberChange,
        MemberEvent,
        MemberInfo,
        MemberStatus,
    )
    from pilotdht.identity.address import Address
    from pilotdht.identity.ids import PublicKey
    from pilotdht.identity.keys import KeyPair
    from pilotdht.names.peer import Peer
    from pilotdht.node.facts import Message
    from pilotdht.node.listener import Listener
    from pilotdht.node.node import Node
    from pilotdht.services.query.values import Answer, Explanation, Question, Reply
    from pilotdht.tunnel.stream import Stream
    from pilotdht.wire.certificates import Role
    from pilotdht.wire.endpoint import Endpoint, parse_endpoint

__all__ = [
    "Address",
    "AlreadyExists",
    "Ambiguous",
    "Answer",
    "AnswerFailed",
    "BadMessage",
    "Client",
    "Config",
    "ConfigError",
    "Endpoint",
    "Event",
    "Explanation",
    "Group",
    "GroupInfo",
    "GroupKind",
    "InternalError",
    "InvalidArgument",
    "KeyChanged",
    "KeyFileError",
    "KeyPair",
    "LinkClosed",
    "Listener",
    "MemberChange",
    "MemberEvent",
    "MemberInfo",
    "MemberStatus",
    "Message",
    "NoDaemon",
    "NoQuorum",
    "Node",
    "NodeClosed",
    "NotFound",
    "NotTrusted",
    "Overloaded",
    "Peer",
    "PilotError",
    "PublicKey",
    "Question",
    "Refused",
    "RemoteError",
    "Reply",
    "Role",
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
    "Answer": "services.query.values",
    "Client": "client",
    "Config": "config.config",
    "Endpoint": "wire.endpoint",
    "Event": "gossip.values",
    "Explanation": "services.query.values",
    "Group": "gossip.group",
    "GroupInfo": "gossip.values",
    "GroupKind": "gossip.values",
    "KeyPair": "identity.keys",
    "Listener": "node.listener",
    "MemberChange": "gossip.values",
    "MemberEvent": "gossip.values",
    "MemberInfo": "gossip.values",
    "MemberStatus": "gossip.values",
    "Message": "node.facts",
    "Node": "node.node",
    "Peer": "names.peer",
    "PublicKey": "identity.ids",
    "Question": "services.query.values",
    "Reply": "services.query.values",
    "Role": "wire.certificates",
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
