"""What a group needs of its node, the same for all groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.broadcast.bodies import Bodies
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.post import Post
from pilotdht.gossip.rendezvous import Entries
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class Surroundings:
    """The node, as its groups see it."""

    def __init__(
        self,
        *,
        keys: KeyPair,
        network: int,
        version: str,
        post: Post,
        entries: Entries,
        locate: Callable[[PublicKey], Awaitable[Contact | None]],
        endpoints: Callable[[], tuple[Endpoint, ...]],
        introducers: Callable[[], tuple[Contact, ...]],
        hostname: Callable[[], str],
        tags: Callable[[], tuple[str, ...]],
        capabilities: Callable[[str], tuple[str, ...]],
        bodies: Bodies | None,
        doors: Doors,
        config: GossipConfig,
        broadcast: BroadcastConfig,
        metrics: GossipMetrics,
        broadcast_metrics: BroadcastMetrics,
        entry_ttl_s: int,
    ) -> None:
        self.keys = keys
        """Who this node is."""
        self.network = network
        """Its mesh."""
        self.version = version
        """Its software, as told to members."""
        self.post = post
        """The way to members."""
        self.entries = entries
        """Where groups meet: the DHT."""
        self.locate = locate
        """Finds where the owner of a key answers."""
        self.endpoints = endpoints
        """Where this node answers now."""
        self.introducers = introducers
        """Through whom it is called now; none when it is reachable."""
        self.hostname = hostname
        """What it calls itself now."""
        self.tags = tags
        """The tags it carries now."""
        self.capabilities = capabilities
        """What programs on it answer in the group of a name."""
        self.bodies = bodies
        """Fetches contents that are too long for a datagram."""
        self.doors = doors
        """Clock of other nodes, randomness."""
        self.config = config
        """Tunables of membership."""
        self.broadcast = broadcast
        """Tunables of messages."""
        self.metrics = metrics
        """Counters of membership."""
        self.broadcast_metrics = broadcast_metrics
        """Counters of messages."""
        self.entry_ttl_s = entry_ttl_s
        """Lifetime of entries in the DHT."""
