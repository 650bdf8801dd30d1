"""For those who run bootstrap nodes and relays: how full are they, what do they carry, whom do they turn away."""

from __future__ import annotations

from scripts.observability.expressions import events, rate, series, summed, total
from scripts.observability.panels import RED, YELLOW, Page, Row, lines, number, stack

_FULL = ((0.7, YELLOW), (0.9, RED))
_CARRIED = summed(f"rate({series('relay_forwarded_bytes_total')}[$__rate_interval])", "instance")

PAGE = Page(
    uid="pilotdht-relays",
    title="pilotdht / Relays and bootstrap nodes",
    tells="For operators of nodes that others lean on: how full they are, what they carry, whom they turn away.",
    rows=(
        Row(
            question="How full are they?",
            panels=(
                number(
                    "Attached",
                    "Nodes behind NATs that can be called through these nodes.",
                    "none",
                    total("relay_attached"),
                ),
                number(
                    "Places taken",
                    "Of the fullest node.",
                    "percentunit",
                    f"max({series('relay_attached')} / clamp_min({series('relay_attached_limit')}, 1))",
                    limits=_FULL,
                ),
                number("Channels", "Pairs that talk through these nodes.", "none", total("relay_channels")),
                number(
                    "Channels taken",
                    "Of the fullest node.",
                    "percentunit",
                    f"max({series('relay_channels')} / clamp_min({series('relay_channels_limit')}, 1))",
                    limits=_FULL,
                ),
                number(
                    "Carried", "Bytes a second that are sent on for others.", "Bps", rate("relay_forwarded_bytes_total")
                ),
                number(
                    "Of the allowance",
                    "Share of the bytes a second that the fullest node may carry.",
                    "percentunit",
                    f"max({_CARRIED} / clamp_min({summed(series('relay_limit_bytes_per_second'), 'instance')}, 1))",
                    limits=_FULL,
                ),
            ),
        ),
        Row(
            question="What do they carry?",
            panels=(
                lines(
                    "Bytes sent on",
                    "By node, without what a frame costs besides.",
                    "Bps",
                    (_CARRIED, "{{instance}}"),
                ),
                lines(
                    "Frames, and trains of them",
                    "A train is sent with one call of the system: many frames a train are cheap.",
                    "pps",
                    (rate("relay_frames_total"), "frames"),
                    (rate("relay_trains_total"), "trains"),
                ),
                stack(
                    "Frames thrown away",
                    "client_rate and total_rate: over the allowance. unknown_channel: it ended. wrong_source: forged, "
                    "or a NAT that gave another port.",
                    "pps",
                    (rate("relay_dropped_total", "reason"), "{{reason}}"),
                ),
            ),
        ),
        Row(
            question="Whom do they serve, and turn away?",
            panels=(
                stack(
                    "Requests to attach",
                    "By answer. unproven is asked once of everybody new.",
                    "ops",
                    (rate("relay_attaches_total", "result"), "{{result}}"),
                ),
                stack("Calls", "By answer.", "ops", (rate("relay_calls_total", "result"), "{{result}}")),
                stack(
                    "Calls passed on",
                    "What became of telling the called node. limited: it is called too often.",
                    "ops",
                    (rate("relay_rings_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Channels that end",
                    "By reason. hung_up is what one wants: the pair found a direct road.",
                    "ops",
                    (rate("relay_ended_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Newcomers greeted",
                    "Greetings answered: each is a node that begins, or comes back.",
                    "ops",
                    (rate("net_hellos_answered_total"), "answered"),
                ),
                stack(
                    "Requests of the DHT",
                    "What bootstrap nodes are asked.",
                    "ops",
                    (rate("dht_served_total", "request"), "{{request}}"),
                ),
                stack(
                    "Thrown away before any cryptography",
                    "rate: a flood of one network.",
                    "pps",
                    (events("net_dropped_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Links held",
                    "Tunnels of these nodes themselves, and handshakes under way.",
                    "none",
                    (total("tunnel_links"), "links"),
                    (total("tunnel_half_open_links"), "half open"),
                ),
                lines(
                    "Processor",
                    "Share of one core.",
                    "percentunit",
                    (rate("process_cpu_seconds_total", "instance"), "{{instance}}"),
                    limits=((0.8, YELLOW),),
                ),
            ),
        ),
        Row(
            question="What else do they do for others?",
            panels=(
                lines(
                    "Carried over trunks",
                    "Datagrams carried over TLS for nodes whose UDP is blocked.",
                    "Bps",
                    (rate("trunk_carried_bytes_total", "direction"), "{{direction}}"),
                ),
                stack(
                    "Trunks refused",
                    "Connections that did not become trunks. Scanners of the web end as tls, mesh or proof.",
                    "ops",
                    (rate("trunk_refused_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Trunk datagrams thrown away",
                    "client_rate, total_rate, budget: over the allowance. no_node, silent: nobody there.",
                    "pps",
                    (rate("trunk_dropped_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Letters kept",
                    "Words left for nodes that are away.",
                    "none",
                    (total("letters_kept"), "letters"),
                ),
                stack(
                    "Letters left here",
                    "By answer. full and quota: no room.",
                    "ops",
                    (rate("letters_leaves_total", "result"), "{{result}}"),
                ),
                lines(
                    "Letters that go",
                    "handed over to whom they are for; expired: nobody came; evicted: no room.",
                    "ops",
                    (rate("letters_handed_over_total"), "handed over"),
                    (rate("letters_expired_total"), "expired"),
                    (rate("letters_evicted_total"), "evicted"),
                ),
            ),
        ),
        Row(
            question="And how do nodes use others?",
            panels=(
                lines(
                    "Channels through others",
                    "Open channels of the chosen nodes through servers, and servers they are attached to.",
                    "none",
                    (total("relay_open"), "channels"),
                    (total("relay_servers"), "attached to"),
                ),
                stack(
                    "Channels of these nodes that end",
                    "By reason.",
                    "ops",
                    (rate("relay_closed_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Calls not taken",
                    "Calls passed on by servers that this node does not know, or had no room for.",
                    "ops",
                    (rate("relay_rings_ignored_total"), "ignored"),
                ),
            ),
        ),
    ),
)
"""Relays and bootstrap nodes."""
