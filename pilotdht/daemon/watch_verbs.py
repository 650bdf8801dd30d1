"""What the status page needs of a node besides its other verbs: :class:`pilotdht.node.Node` and a fake have it."""

from __future__ import annotations

from typing import Protocol

from pilotdht.dht.watch import LookupWatch
from pilotdht.node.facts import Traffic
from pilotdht.traversal.relay.use import RelayUse


class WatchVerbs(Protocol):
    """The verbs of a node that only look."""

    def traffic(self) -> Traffic:
        """Return what went through the socket so far."""
        ...

    def relay_use(self) -> RelayUse:
        """Return what is carried for others, and by others."""
        ...

    def lookup_watch(self) -> LookupWatch:
        """Return what shows lookups as they run."""
        ...
