"""What questions and answers count."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge, Histogram

TARGETS = ("peer", "group", "tag")
"""What a question can be put to."""

RESULTS = ("answered", "failed", "timeout", "overloaded", "no_quorum", "not_found", "abandoned")
"""Ways a question of this node can end."""

SERVED = ("answered", "failed", "unserved", "not_allowed", "overloaded", "too_late", "too_large", "malformed", "gone")
"""Ways a question of somebody else can end here."""

HEDGES = ("started", "no_budget", "won")
"""What becomes of hedges."""

SHARED = ("own", "home", "none", "rejected", "failed")
"""Where a shared answer was found, or why not."""

OFFERS = ("kept", "not_kept", "rejected", "not_allowed", "sent", "failed", "dropped")
"""What becomes of offers, taken (the first four) and made (the last three)."""

_BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class QueryMetrics:
    """Counters of questions and answers; created once a node, in the node's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        asked = Counter(
            "pilotdht_query_questions_total",
            "Questions of this node, by target and result.",
            ["target", "result"],
            registry=registry,
        )
        self.asked = {(target, result): asked.labels(target, result) for target in TARGETS for result in RESULTS}
        """Questions of this node that ended."""
        self.duration = Histogram(
            "pilotdht_query_answer_seconds",
            "Time from a question of this node to its whole answer.",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        """Time to the answer."""
        self.attempts = Counter(
            "pilotdht_query_attempts_total", "Members asked for questions of this node.", registry=registry
        )
        """Members asked; more than questions when some fail, are hedged or vote."""
        hedges = Counter(
            "pilotdht_query_hedges_total", "Second members, as the first was slow.", ["result"], registry=registry
        )
        self.hedges = {result: hedges.labels(result) for result in HEDGES}
        """Hedges, by what became of them."""
        self.tripped = Counter(
            "pilotdht_query_circuits_opened_total", "Times a peer was left alone for a while.", registry=registry
        )
        """Times a circuit opened."""
        self.open_circuits = Gauge("pilotdht_query_open_circuits", "Peers left alone at present.", registry=registry)
        """Peers left alone."""
        self.peers = Gauge("pilotdht_query_known_peers", "Peers whose outcomes are remembered.", registry=registry)
        """Peers remembered."""
        self.forgotten = Counter(
            "pilotdht_query_forgotten_peers_total", "Peers forgotten for want of room.", registry=registry
        )
        """Peers forgotten for want of room."""
        served = Counter(
            "pilotdht_query_served_total", "Questions of others, by what became of them.", ["result"], registry=registry
        )
        self.served = {result: served.labels(result) for result in SERVED}
        """Questions of others that ended."""
        self.serving = Gauge("pilotdht_query_serving_questions", "Questions being answered here.", registry=registry)
        """Questions worked on."""
        shared = Counter(
            "pilotdht_query_shared_lookups_total",
            "Looks for a shared answer, by result.",
            ["result"],
            registry=registry,
        )
        self.shared = {result: shared.labels(result) for result in SHARED}
        """Looks for shared answers."""
        offers = Counter(
            "pilotdht_query_offers_total",
            "Shared answers offered, by what became of them.",
            ["result"],
            registry=registry,
        )
        self.offers = {result: offers.labels(result) for result in OFFERS}
        """Offers taken and made."""
        self.cached = Gauge("pilotdht_query_cached_answers", "Shared answers kept.", registry=registry)
        """Shared answers kept."""
        self.cached_bytes = Gauge("pilotdht_query_cached_bytes", "Memory of shared answers.", registry=registry)
        """Memory of shared answers."""
        self.evicted = Counter(
            "pilotdht_query_evicted_answers_total", "Shared answers dropped for want of room.", registry=registry
        )
        """Shared answers dropped for want of room."""
