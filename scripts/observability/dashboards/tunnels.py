"""Tunnels and NATs: who is linked over which road, do handshakes work, what is lost, which NATs stand in between."""

from __future__ import annotations

from scripts.observability.expressions import events, quantile, rate, series, share, total
from scripts.observability.panels import RED, YELLOW, Page, Row, lines, stack

PAGE = Page(
    uid="pilotdht-tunnels",
    title="pilotdht / Tunnels and NAT",
    tells="QUIC links between nodes: roads, handshakes, losses, round trips, and the NATs that stand in between.",
    rows=(
        Row(
            question="Who is linked, and how?",
            panels=(
                stack(
                    "Links by road",
                    "loopback: this machine. lan: a private network. direct: over the Internet. relayed: through "
                    "another node.",
                    "none",
                    (total("road_links", "road"), "{{road}}"),
                ),
                stack(
                    "Links by who dialled",
                    "out: these nodes did.",
                    "none",
                    (total("tunnel_links", "direction"), "{{direction}}"),
                ),
                lines(
                    "Share that is relayed",
                    "Of all links. They cost others bandwidth; most become direct within seconds.",
                    "percentunit",
                    (share(total("road_links", where='road="relayed"'), total("road_links")), "relayed"),
                    limits=((0.3, YELLOW),),
                ),
                lines(
                    "Streams",
                    "Streams that are open, and opened a second.",
                    "none",
                    (total("tunnel_open_streams"), "open"),
                    (rate("tunnel_streams_total", "direction"), "opened a second, {{direction}}"),
                ),
                stack(
                    "Links that end",
                    "By cause. idle: nobody used it. failed: the peer fell silent. reset: the peer restarted.",
                    "ops",
                    (rate("tunnel_links_closed_total", "cause"), "{{cause}}"),
                ),
                stack(
                    "Streams refused",
                    "not_trusted: a peer tries what it may not. not_listening: no program there. overloaded: too many.",
                    "ops",
                    (rate("tunnel_streams_refused_total", "reason"), "{{reason}}"),
                ),
            ),
        ),
        Row(
            question="Do handshakes work?",
            panels=(
                stack(
                    "Handshakes",
                    "By result. timeout: nobody answers there. wrong_key: somebody else does.",
                    "ops",
                    (rate("tunnel_handshakes_total", "result"), "{{result}}"),
                ),
                lines(
                    "Time of a handshake",
                    "From the first datagram until both ends have proved their keys.",
                    "s",
                    (quantile(0.5, "tunnel_handshake_seconds"), "p50"),
                    (quantile(0.95, "tunnel_handshake_seconds"), "p95"),
                    (quantile(0.99, "tunnel_handshake_seconds"), "p99"),
                ),
                lines(
                    "Under suspicion",
                    "Handshakes of others under way, addresses asked to prove themselves, answers to unknown links.",
                    "none",
                    (total("tunnel_half_open_links"), "half open"),
                    (rate("tunnel_retries_total"), "asked to prove, a second"),
                    (rate("tunnel_stateless_resets_sent_total"), "resets, a second"),
                ),
            ),
        ),
        Row(
            question="What do the lines do?",
            panels=(
                lines(
                    "Bytes",
                    "QUIC datagrams of all links.",
                    "Bps",
                    (rate("tunnel_received_bytes_total"), "received"),
                    (rate("tunnel_sent_bytes_total"), "sent"),
                ),
                lines(
                    "Packets lost",
                    "Share of sent packets that were taken for lost; what was in them is sent again. Links keep their "
                    "speed up to some percent.",
                    "percentunit",
                    (share(rate("tunnel_lost_packets_total"), rate("tunnel_sent_datagrams_total")), "lost"),
                    limits=((0.02, YELLOW), (0.1, RED)),
                ),
                lines(
                    "Sent again",
                    "Bytes in lost packets.",
                    "Bps",
                    (rate("tunnel_lost_bytes_total"), "lost"),
                ),
                lines(
                    "Round trips",
                    "Smoothed round trips of the links, each link counted once a second.",
                    "s",
                    (quantile(0.5, "tunnel_rtt_seconds"), "p50"),
                    (quantile(0.95, "tunnel_rtt_seconds"), "p95"),
                    (quantile(0.99, "tunnel_rtt_seconds"), "p99"),
                ),
                stack(
                    "Datagrams dropped",
                    "unknown_link: a peer that has not noticed our restart. undecryptable: damaged or forged. rate, "
                    "half_open: somebody floods.",
                    "pps",
                    (rate("tunnel_dropped_datagrams_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Messages dropped",
                    "Unreliable messages, by reason.",
                    "ops",
                    (rate("tunnel_messages_dropped_total", "reason"), "{{reason}}"),
                ),
            ),
        ),
        Row(
            question="Which NATs stand in between?",
            panels=(
                stack(
                    "How ports are mapped (IPv4)",
                    "Nodes by the kind of NAT in front of them. none and endpoint_independent can be met directly; the "
                    "dependent ones need luck or a relay. unknown: too few have told.",
                    "none",
                    (total("nat_mapping", "mapping", 'family="ipv4"'), "{{mapping}}"),
                ),
                stack(
                    "Who is let in (IPv4)",
                    "Nodes by the filter in front of them.",
                    "none",
                    (total("nat_filtering", "filtering", 'family="ipv4"'), "{{filtering}}"),
                ),
                lines(
                    "Ports mapped by routers",
                    "Nodes whose router maps a port for them, and what came of asking.",
                    "none",
                    (total("portmap_mapped"), "mapped"),
                    (events("portmap_outcomes_total", "outcome"), "{{outcome}}, a second"),
                ),
            ),
        ),
        Row(
            question="What where UDP is blocked, and who is next door?",
            panels=(
                stack(
                    "Changes between UDP and trunk",
                    "A trunk carries datagrams over TLS to a server. udp_blocked and udp_lost: nodes had to; udp_back: "
                    "they went back.",
                    "ops",
                    (rate("trunk_switches_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Trunks opened",
                    "Attempts of these nodes to open one, by result.",
                    "ops",
                    (rate("trunk_opened_total", "result"), "{{result}}"),
                ),
                lines(
                    "Neighbours",
                    "Announcements remembered on local networks, and what came of greeting whoever made them.",
                    "none",
                    (total("lan_neighbours"), "remembered"),
                    (rate("lan_greetings_total", "result"), "{{result}}, a second"),
                ),
            ),
        ),
        Row(
            question="Do peers behind NATs meet?",
            panels=(
                stack(
                    "Calls",
                    "Peers called through servers that they are attached to, by result.",
                    "ops",
                    (rate("road_calls_total", "result"), "{{result}}"),
                ),
                stack(
                    "Meetings",
                    "Both sides send at once, which opens their NATs: met or silent for ours, asked and stranger for "
                    "those of peers.",
                    "ops",
                    (rate("road_meetings_total", "result"), "{{result}}"),
                ),
                lines(
                    "Endpoints tried",
                    "A silent one is normal where a NAT stands in between.",
                    "ops",
                    (rate("road_probes_total", "result"), "{{result}}"),
                ),
                lines(
                    "Links moved",
                    "To direct roads, which is what one wants; and to relays, when a direct road fell silent.",
                    "ops",
                    (rate("road_moves_total", "road"), "to {{road}}"),
                ),
                lines(
                    "Punches",
                    "Datagrams sent to meet by chance across NATs with random ports.",
                    "pps",
                    (rate("road_punches_sent_total"), "sent"),
                ),
                lines(
                    "Attached to",
                    "Servers that nodes without an open port are attached to, and servers given up.",
                    "none",
                    (f"avg({series('relay_servers')})", "servers a node"),
                    (rate("relay_servers_given_up_total"), "given up a second"),
                ),
            ),
        ),
    ),
)
"""Tunnels and NATs."""
