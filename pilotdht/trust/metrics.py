"""What the room ``trust`` counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import WordKind

DELIVERY_RESULTS = ("answered", "busy", "unreachable", "failed")
"""Ways the delivery of a word can end."""

DROP_REASONS = ("rate", "full", "malformed", "timeout", "closed", "not_kept")
"""Reasons for which a peer's word is not taken."""


class TrustMetrics:
    """Counters of this room; created once a node, in the node's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        words = Counter(
            "pilotdht_trust_words_total", "Words of handshakes taken from peers.", ["kind"], registry=registry
        )
        self.heard = {kind: words.labels(kind.name.lower()) for kind in WordKind}
        """Words taken, by what they say."""
        dropped = Counter(
            "pilotdht_trust_words_dropped_total", "Words of peers not taken, by reason.", ["reason"], registry=registry
        )
        self.dropped = {reason: dropped.labels(reason) for reason in DROP_REASONS}
        """Words not taken, by reason."""
        deliveries = Counter(
            "pilotdht_trust_deliveries_total", "Tries to deliver a word of ours.", ["result"], registry=registry
        )
        self.deliveries = {result: deliveries.labels(result) for result in DELIVERY_RESULTS}
        """Tries to deliver a word, by how they ended."""
        changes = Counter(
            "pilotdht_trust_changes_total", "Changes of trust, by the state they led to.", ["state"], registry=registry
        )
        self.changes = {state: changes.labels(state.value) for state in TrustState}
        """Changes of state, by where they led."""
        self.trusted = Gauge("pilotdht_trust_trusted_peers", "Peers trusted.", registry=registry)
        """Peers trusted."""
        self.pending = Gauge("pilotdht_trust_pending_requests", "Requests that wait for our answer.", registry=registry)
        """Requests of others that wait."""
        self.owed = Gauge("pilotdht_trust_owed_words", "Words that peers have not acknowledged.", registry=registry)
        """Words not acknowledged yet."""
