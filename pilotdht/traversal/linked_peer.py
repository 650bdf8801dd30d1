"""What the keeper of roads knows of one peer."""

from __future__ import annotations

import asyncio

from pilotdht.net.pending import Pending
from pilotdht.traversal.movable import MovableLink
from pilotdht.traversal.road_choice import RoadChoice
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping


class LinkedPeer:
    """A peer that this node has a link to, or calls, or met a while ago."""

    __slots__ = (
        "choice",
        "has_road",
        "introducers",
        "is_improving",
        "is_rescuing",
        "links",
        "mapping",
        "met_at",
        "probes",
        "rescued_at",
        "said_hosts",
    )

    def __init__(self) -> None:
        self.choice = RoadChoice()
        """The roads that are known to work."""
        self.has_road = asyncio.Event()
        """Set when a road was proven."""
        self.links: list[MovableLink] = []
        """Live links."""
        self.introducers: tuple[Contact, ...] = ()
        """Servers through which it can be called, as it said last."""
        self.said_hosts: tuple[str, ...] = ()
        """Hosts at which it said that it may be met."""
        self.mapping = NatMapping.UNKNOWN
        """How it said that its NAT chooses ports."""
        self.probes: dict[Endpoint, Pending | None] = {}
        """Endpoints that are tried now."""
        self.met_at = self.rescued_at = float("-inf")
        """When it asked to meet last, and when another road was looked for last: loop time."""
        self.is_improving = False
        """A better road than a relay is looked for."""
        self.is_rescuing = False
        """Another road is looked for, as its own is silent."""
