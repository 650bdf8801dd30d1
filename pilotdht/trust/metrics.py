"""What the room ``trust`` counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import WordKind

DELIVERY_RESULTS = ("answered", "busy", "unreachable", "failed", "answered_by_letter")
"""Ways the delivery of a word can end."""

DROP_REASONS = ("rate", "full", "malformed", "timeout", "closed", "not_kept")
"""Reasons for which a peer's word is not taken."""


LETTER_RESULTS = (
    "word_left",
    "answer_left",
    "not_left",
    "answer_limited",
    "word_heard",
    "answer_heard",
    "stale_answer",
)
"""What was done about letters: left with others or not, kept back, heard, or an answer to what is not owed any more."""


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
        letters = Counter(
            "pilotdht_trust_letters_total", "Letters about trust, by what was done.", ["result"], registry=registry
        )
        self.letters = {result: letters.labels(result) for result in LETTER_RESULTS}
        """Letters about trust, written and read."""
        self.changes = {state: changes.labels(state.value) for state in TrustState}
        """Changes of state, by where they led."""
        self.trusted = Gauge("pilotdht_trust_trusted_peers", "Peers trusted.", registry=registry)
        """Peers trusted."""
        self.pending = Gauge("pilotdht_trust_pending_requests", "Requests that wait for our answer.", registry=registry)
        """Requests of others that wait."""
        self.owed = Gauge("pilotdht_trust_owed_words", "Words that peers have not acknowledged.", registry=registry)
        """Words not acknowledged yet."""
