"""Who is attached to this server, and where each of them is heard. Pure.

Invariant: a node is listed under an endpoint only after it has shown, from there, that it receives there; whoever calls
this sees to that. Nobody pushes another out: where there is no room, newcomers are refused.
"""

from __future__ import annotations

from collections import OrderedDict

from pilotdht.config.relay import RelayConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.limits import TokenBucket
from pilotdht.net.prefixes import group_of
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CallResult


class AttachedNode:
    """One node that can be called here."""

    __slots__ = ("endpoint", "expires_at", "group", "public_key", "rings")

    def __init__(self, public_key: PublicKey, endpoint: Endpoint, rings: TokenBucket) -> None:
        self.public_key = public_key
        """Who it is."""
        self.endpoint = endpoint
        """Where it is heard."""
        self.group: str | bytes = group_of(endpoint.host, public_key)
        """The prefix it counts for."""
        self.expires_at = 0.0
        """Forgotten then, on the loop's clock."""
        self.rings = rings
        """How many calls it may still be told of."""


class AttachedNodes:
    """All nodes that can be called here; bounded, and forgotten when they do not say again that they are there."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._nodes: OrderedDict[PublicKey, AttachedNode] = OrderedDict()  # the one that expires first comes first
        self._groups: dict[str | bytes, int] = {}

    def __len__(self) -> int:
        """Return how many are listed, those included whose time is over and who were not looked at since."""
        return len(self._nodes)

    def reconfigure(self, config: RelayConfig) -> None:
        """Hold to other bounds from now on; nobody who is attached is sent away."""
        self._config = config

    def attach(self, public_key: PublicKey, endpoint: Endpoint, *, now: float) -> CallResult:
        """Take in that a node is heard at ``endpoint``; ``FULL`` or ``QUOTA`` when there is no room for it.

        A node that comes from a network without room stays where it was heard before, until its time is over.
        """
        self.expire(now)
        config, node = self._config, self._nodes.get(public_key)
        group = group_of(endpoint.host, public_key)
        if node is None and len(self._nodes) >= config.max_attached:
            return CallResult.FULL
        if (node is None or node.group != group) and self._groups.get(group, 0) >= config.attached_per_prefix:
            return CallResult.QUOTA
        if node is None:
            rings = TokenBucket(rate_per_s=config.rings_per_s, burst=config.ring_burst, now=now)
            node = self._nodes[public_key] = AttachedNode(public_key, endpoint, rings)
            self._count(group, 1)
        elif node.endpoint != endpoint:
            self._count(node.group, -1)
            self._count(group, 1)
            node.endpoint, node.group = endpoint, group
        node.expires_at = now + config.lifetime_s
        self._nodes.move_to_end(public_key)
        return CallResult.OK

    def find(self, public_key: PublicKey, *, now: float) -> AttachedNode | None:
        """Return the node with this key; absent when it is not attached, or its time is over."""
        node = self._nodes.get(public_key)
        return node if node is not None and now < node.expires_at else None

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        while self._nodes:
            node = next(iter(self._nodes.values()))
            if now < node.expires_at:
                return
            del self._nodes[node.public_key]
            self._count(node.group, -1)

    def _count(self, group: str | bytes, change: int) -> None:
        count = self._groups.get(group, 0) + change
        if count:
            self._groups[group] = count
        else:
            del self._groups[group]
