"""Groups: is everybody there, are alarms true, do messages arrive, what does it cost."""

from __future__ import annotations

from scripts.observability.expressions import quantile, rate, series, share, total
from scripts.observability.panels import RED, YELLOW, Page, Row, lines, number, stack

_RECEIVED = rate("broadcast_received_total")
_COPIES = rate("broadcast_duplicates_total")

PAGE = Page(
    uid="pilotdht-groups",
    title="pilotdht / Groups",
    tells="Membership and messages of groups: who is there, whether alarms are true, whether messages arrive.",
    rows=(
        Row(
            question="Is everybody there?",
            panels=(
                number(
                    "Groups",
                    "Memberships of the chosen nodes: a group counts at each of them.",
                    "none",
                    total("gossip_groups"),
                ),
                number(
                    "Members, on average",
                    "Members that a node sees in all its groups together.",
                    "none",
                    f"avg({series('gossip_members')})",
                ),
                number(
                    "Under suspicion",
                    "Members that did not answer and may still object.",
                    "none",
                    total("gossip_suspects"),
                    limits=((1, YELLOW),),
                ),
                number(
                    "Worst local health",
                    "How much the worst node doubts itself. 0 is well; more: it is late itself, and waits longer "
                    "before it suspects others.",
                    "none",
                    f"max({series('gossip_health')})",
                    limits=((1, YELLOW), (4, RED)),
                ),
                lines(
                    "Members that nodes see",
                    "Least, mean and most. They differ for seconds after a change; for longer the group is cut.",
                    "none",
                    (f"min({series('gossip_members')})", "least"),
                    (f"avg({series('gossip_members')})", "mean"),
                    (f"max({series('gossip_members')})", "most"),
                ),
                stack(
                    "Changes",
                    "Changes of membership that nodes noticed.",
                    "ops",
                    (rate("gossip_member_changes_total", "change"), "{{change}}"),
                ),
                stack(
                    "Probes",
                    "answered_for_us: not by the member, but others reach it. failed: nobody does.",
                    "ops",
                    (rate("gossip_probes_total", "result"), "{{result}}"),
                ),
            ),
        ),
        Row(
            question="Are alarms true?",
            panels=(
                lines(
                    "Suspicions",
                    "Begun here, refuted by their suspects, and those of the node itself that it objected to.",
                    "ops",
                    (rate("gossip_suspicions_total"), "begun"),
                    (rate("gossip_refuted_suspicions_total"), "refuted"),
                    (rate("gossip_objections_total"), "objected to"),
                ),
                lines(
                    "False alarms",
                    "Members held for dead that were not. Each is a program told wrongly that a peer is gone.",
                    "ops",
                    (rate("gossip_flaps_total"), "false alarms"),
                ),
                stack(
                    "Not taken",
                    "Items of gossip thrown away, by reason. stale is normal: news that is old by now.",
                    "ops",
                    (rate("gossip_dropped_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Repairs",
                    "Comparisons with another member, and what they brought that gossip had missed.",
                    "ops",
                    (rate("gossip_comparisons_total"), "comparisons"),
                    (rate("gossip_repaired_facts_total"), "facts repaired"),
                ),
            ),
        ),
        Row(
            question="Do messages arrive?",
            panels=(
                lines(
                    "Time on the way",
                    "From publishing to having it, by both clocks: a clock that is wrong shifts it.",
                    "s",
                    (quantile(0.5, "broadcast_delay_seconds"), "p50"),
                    (quantile(0.95, "broadcast_delay_seconds"), "p95"),
                    (quantile(0.99, "broadcast_delay_seconds"), "p99"),
                ),
                lines(
                    "Messages",
                    "Published by these nodes, and made ready for readers.",
                    "ops",
                    (rate("broadcast_published_total"), "published"),
                    (rate("broadcast_delivered_total"), "delivered"),
                ),
                stack(
                    "How they came",
                    "pushed: along the tree. grafted: the tree was mended. fetched: found missing by comparing.",
                    "ops",
                    (rate("broadcast_received_total", "way"), "{{way}}"),
                ),
                lines(
                    "Given up",
                    "skipped: never came. missed: a reader was too slow. Both are losses.",
                    "ops",
                    (rate("broadcast_skipped_total"), "skipped"),
                    (rate("broadcast_missed_total"), "missed"),
                ),
                stack(
                    "Not taken",
                    "By reason.",
                    "ops",
                    (rate("broadcast_dropped_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Long messages",
                    "Contents fetched by stream, by result.",
                    "ops",
                    (rate("broadcast_bodies_total", "result"), "{{result}}"),
                ),
            ),
        ),
        Row(
            question="What does it cost?",
            panels=(
                lines(
                    "Redundancy",
                    "Copies that a member did not need, for each message. A settled tree has nearly none; a new one, "
                    "or one that was torn, has up to the number of neighbours.",
                    "none",
                    (share(_COPIES, _RECEIVED), "copies a message"),
                    limits=((1, YELLOW),),
                ),
                lines(
                    "Bytes of messages",
                    "Copies and contents included.",
                    "Bps",
                    (rate("broadcast_received_bytes_total"), "received"),
                    (rate("broadcast_sent_bytes_total"), "sent"),
                ),
                lines(
                    "Neighbours",
                    "In the overlay, on average, and those that were lost.",
                    "none",
                    (f"avg({series('broadcast_neighbours')})", "neighbours"),
                    (rate("broadcast_lost_neighbours_total"), "lost a second"),
                ),
                lines(
                    "The tree's own work",
                    "Announcements, requests for what was announced, links taken out of the tree.",
                    "ops",
                    (rate("broadcast_announced_total"), "announced"),
                    (rate("broadcast_grafts_total"), "grafts"),
                    (rate("broadcast_prunes_total"), "prunes"),
                ),
            ),
        ),
    ),
)
"""Groups."""
