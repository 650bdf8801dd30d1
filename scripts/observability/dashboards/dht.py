"""The DHT: does finding work, is the routing table sound, is there room, what is done for others."""

from __future__ import annotations

from scripts.observability.expressions import events, mean, quantile, rate, series, share, total
from scripts.observability.panels import RED, YELLOW, Page, Row, lines, stack

_BY = "operation"

PAGE = Page(
    uid="pilotdht-dht",
    title="pilotdht / DHT",
    tells="Lookups and records: whether finding works and how fast, and the health of routing tables and stores.",
    rows=(
        Row(
            question="Does finding work?",
            panels=(
                stack(
                    "Operations",
                    "find_node walks towards a key; get_record and get_entries read; put writes; refresh keeps the "
                    "table fresh.",
                    "ops",
                    (rate("dht_operations_total", _BY), "{{operation}}"),
                ),
                stack(
                    "Results",
                    "not_found is an answer; failed is an error: nobody answered, or too few took a write.",
                    "ops",
                    (rate("dht_operations_total", "result"), "{{result}}"),
                ),
                lines(
                    "Share that fails",
                    "By operation. Normal: none.",
                    "percentunit",
                    (
                        share(rate("dht_operations_total", _BY, 'result="failed"'), rate("dht_operations_total", _BY)),
                        "{{operation}}",
                    ),
                    limits=((0.05, YELLOW), (0.2, RED)),
                ),
                lines(
                    "Time, median",
                    "By operation.",
                    "s",
                    (quantile(0.5, "dht_operation_duration_seconds", _BY), "{{operation}}"),
                ),
                lines(
                    "Time, 95th percentile",
                    "By operation. It is made of silent contacts: each costs a waiting time.",
                    "s",
                    (quantile(0.95, "dht_operation_duration_seconds", _BY), "{{operation}}"),
                ),
                lines(
                    "Hops",
                    "Longest chain of contacts of a lookup. It grows with the logarithm of the size of the mesh.",
                    "none",
                    (mean("dht_lookup_hops"), "mean"),
                    (quantile(0.5, "dht_lookup_hops"), "p50"),
                    (quantile(0.99, "dht_lookup_hops"), "p99"),
                ),
            ),
        ),
        Row(
            question="Do nodes know enough others?",
            panels=(
                lines(
                    "Contacts",
                    "Least, mean and most contacts in the routing tables of the chosen nodes. One below 8 in a mesh of "
                    "more is cut off.",
                    "none",
                    (f"min({series('dht_contacts')})", "least"),
                    (f"avg({series('dht_contacts')})", "mean"),
                    (f"max({series('dht_contacts')})", "most"),
                ),
                lines(
                    "Contacts that do not answer",
                    "Share of contacts that failed so often that they go as soon as others are known.",
                    "percentunit",
                    (share(f"{total('dht_contacts')} - {total('dht_live_contacts')}", total("dht_contacts")), "silent"),
                    limits=((0.3, YELLOW),),
                ),
                lines(
                    "Size of the mesh",
                    "What nodes estimate. Two groups of lines far apart are a mesh in two parts.",
                    "none",
                    (series("dht_mesh_size"), "{{instance}}"),
                ),
                lines(
                    "Parts told apart",
                    "Buckets of the routing table, on average.",
                    "none",
                    (f"avg({series('dht_buckets')})", "buckets"),
                ),
                lines(
                    "Newcomers",
                    "Contacts heard of that wait for a ping, and those dropped because too many waited.",
                    "none",
                    (total("dht_candidates"), "wait"),
                    (rate("dht_candidates_dropped_total"), "dropped, a second"),
                ),
                lines(
                    "Refused for their network",
                    "Verified contacts not taken because one network has its share of the table already: somebody "
                    "tries to fill it.",
                    "ops",
                    (rate("dht_contacts_refused_total"), "refused"),
                ),
            ),
        ),
        Row(
            question="Is there room for records?",
            panels=(
                lines(
                    "Records",
                    "Kept for others, and copies left by lookups.",
                    "none",
                    (total("dht_records"), "records and entries"),
                    (total("dht_cached_copies"), "copies"),
                ),
                lines(
                    "Store, how full",
                    "Memory of records as a share of what they may take, of the fullest node. Full stores keep what is "
                    "closest to them.",
                    "percentunit",
                    (f"max({series('dht_record_bytes')} / {series('dht_store_limit_bytes')})", "fullest"),
                    limits=((0.8, YELLOW), (0.95, RED)),
                    most=1.0,
                ),
                lines(
                    "Records that go",
                    "expired: their owners ended. evicted: no room.",
                    "ops",
                    (rate("dht_store_expired_total"), "expired"),
                    (rate("dht_store_evicted_total"), "evicted"),
                ),
                stack(
                    "Writes refused",
                    "full: a quota. older: somebody republishes what is out of date. invalid and bad_token: somebody "
                    "forges.",
                    "ops",
                    (rate("dht_store_refused_total", "reason"), "{{reason}}"),
                ),
            ),
        ),
        Row(
            question="What is done for others?",
            panels=(
                stack(
                    "Requests answered",
                    "By what was asked.",
                    "ops",
                    (rate("dht_served_total", "request"), "{{request}}"),
                ),
                stack(
                    "Writes in the background",
                    "repair: a holder lacked a record. handover: a closer node came. dropped: too many at once.",
                    "ops",
                    (rate("dht_background_writes_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Not believed",
                    "What others sent and was not used, by reason.",
                    "ops",
                    (events("dht_rejected_total", "reason"), "{{reason}}"),
                ),
            ),
        ),
    ),
)
"""The DHT."""
