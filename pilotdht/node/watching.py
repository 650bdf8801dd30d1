"""What a node shows to those who watch it: its traffic, what it carries for others, lookups as they run."""

from __future__ import annotations

import asyncio

from pilotdht.dht.watch import LookupWatch
from pilotdht.node.facts import Traffic
from pilotdht.node.rooms import Rooms
from pilotdht.traversal.relay.use import RelayUse


class WatchVerbs:
    """The verbs of :class:`pilotdht.node.node.Node` that only look."""

    @property
    def rooms(self) -> Rooms:
        """The running node."""
        raise NotImplementedError

    def traffic(self) -> Traffic:
        """Return what went through the socket so far."""
        metrics = self.rooms.socket.metrics
        now = asyncio.get_running_loop().time()
        return Traffic(received_bytes=metrics.bytes_in, sent_bytes=metrics.bytes_out, at_s=now)

    def relay_use(self) -> RelayUse:
        """Return what this node carries for others, and what others carry for it."""
        return self.rooms.traversal.relay_use()

    def lookup_watch(self) -> LookupWatch:
        """Return what shows lookups as they run: ``with node.lookup_watch() as watch: … watch.lookups``."""
        return self.rooms.dht.lookup_watch
