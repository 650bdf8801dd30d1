"""The client of a running daemon: :class:`~pilotdht.client.client.Client` has the verbs of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotdht.client.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    """Import the client when it is asked for: the command line needs only the channel, and must start fast."""
    if name == "Client":
        from pilotdht.client.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
