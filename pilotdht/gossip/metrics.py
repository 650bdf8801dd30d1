"""What membership counts, for all groups of a node together."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.gossip.values import MemberChange
from pilotdht.metrics import Counter, Gauge

PROBE_RESULTS = ("answered", "answered_for_us", "failed", "not_sent")
"""Ways a probe can end."""

DROP_REASONS = (
    "malformed",
    "rate",
    "stale",
    "future",
    "not_admitted",
    "not_member",
    "other_group",
    "unreliable",
    "other_successor",
    "full",
)
"""Reasons for which an item of gossip, or a request, is not taken."""


class GossipMetrics:
    """Counters of this room; created once a node, in the node's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        probes = Counter(
            "pilotdht_gossip_probes_total", "Probes of members, by how they ended.", ["result"], registry=registry
        )
        self.probes = {result: probes.labels(result) for result in PROBE_RESULTS}
        """Probes, by result."""
        self.suspicions = Counter(
            "pilotdht_gossip_suspicions_total", "Members that this node suspected itself.", registry=registry
        ).labels()
        """Suspicions that this node began or agreed to."""
        self.refuted = Counter(
            "pilotdht_gossip_refuted_suspicions_total", "Suspicions that proved wrong.", registry=registry
        ).labels()
        """Suspicions of others, whoever began them, that their suspects refuted in time."""
        self.objections = Counter(
            "pilotdht_gossip_objections_total", "Suspicions of this node that it refuted.", registry=registry
        ).labels()
        """Suspicions of this node that it objected to."""
        self.flaps = Counter(
            "pilotdht_gossip_flaps_total", "Members that were held for dead and were not.", registry=registry
        ).labels()
        """Members that were held for dead and objected afterwards."""
        changes = Counter(
            "pilotdht_gossip_member_changes_total", "Changes of membership, by kind.", ["change"], registry=registry
        )
        self.changes = {change: changes.labels(change.value) for change in MemberChange}
        """Changes, by kind."""
        dropped = Counter(
            "pilotdht_gossip_dropped_total", "Items and requests not taken, by reason.", ["reason"], registry=registry
        )
        self.dropped = {reason: dropped.labels(reason) for reason in DROP_REASONS}
        """What was not taken, by reason."""
        self.compared = Counter(
            "pilotdht_gossip_comparisons_total", "Comparisons with another member.", registry=registry
        ).labels()
        """Comparisons made."""
        self.repaired = Counter(
            "pilotdht_gossip_repaired_facts_total", "Facts that a comparison brought.", registry=registry
        ).labels()
        """Facts that gossip had missed."""
        self.groups = Gauge("pilotdht_gossip_groups", "Groups that this node is in.", registry=registry).labels()
        """Groups."""
        self.members = Gauge(
            "pilotdht_gossip_members", "Members that are there, of all groups together.", registry=registry
        ).labels()
        """Members that are there."""
        self.suspects = Gauge(
            "pilotdht_gossip_suspects", "Members under suspicion, of all groups together.", registry=registry
        ).labels()
        """Members under suspicion."""
        self.health = Gauge(
            "pilotdht_gossip_health", "Worst local health of all groups: 0 is well.", registry=registry
        ).labels()
        """How much this node doubts itself."""

    def drop(self, reason: str) -> None:
        """Count something that was not taken; a reason of a decoder counts as malformed."""
        self.dropped.get(reason, self.dropped["malformed"]).inc()
