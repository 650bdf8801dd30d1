"""What the tunnels count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from pilotdht.metrics import Counter, Gauge, Histogram

HANDSHAKE_RESULTS = (
    "ok",
    "wrong_key",
    "no_certificate",
    "bad_certificate",
    "unsupported_certificate",
    "bad_proof",
    "no_common_suite",
    "wrong_protocol",
    "tls",
    "protocol",
    "timeout",
    "cancelled",
    "closed",
)
"""Ways a handshake can end."""

DROP_REASONS = (
    "short",
    "unknown_link",
    "moved",
    "version",
    "initial_size",
    "initial_form",
    "rate",
    "half_open",
    "links_full",
    "token",
    "undecryptable",
    "internal",
    "closed",
)
"""Reasons for which a QUIC datagram is dropped."""

MESSAGE_DROP_REASONS = ("queue_full", "not_trusted", "not_listening", "malformed")
"""Reasons for which an unreliable message is dropped."""

_HANDSHAKE_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RTT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LiveLinks(NamedTuple):
    """What the live links of a node come to."""

    streams: int = 0
    """Streams that are not finished."""
    lost_packets: int = 0
    """Packets taken for lost so far."""
    lost_bytes: int = 0
    """Bytes of those packets."""


class TunnelMetrics:
    """Counters of this room; created once a node, in the node's registry.

    The hot counters (`bytes_in`, `bytes_out`, `datagrams_in`, `datagrams_out`, `dropped`) are plain integers that the
    registry reads when it is scraped.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        links = Gauge("pilotdht_tunnel_links", "Live links by who dialled.", ["direction"], registry=registry)
        self.links_dialled = links.labels("out")
        """Live links that this node dialled."""
        self.links_accepted = links.labels("in")
        """Live links that peers dialled."""
        self.half_open = Gauge("pilotdht_tunnel_half_open_links", "Incoming handshakes under way.", registry=registry)
        """Incoming handshakes under way."""
        handshakes = Counter(
            "pilotdht_tunnel_handshakes_total", "Handshakes by side and result.", ["side", "result"], registry=registry
        )
        self.handshakes_dialled = {name: handshakes.labels("out", name) for name in HANDSHAKE_RESULTS}
        """Outgoing handshakes by result."""
        self.handshakes_accepted = {name: handshakes.labels("in", name) for name in HANDSHAKE_RESULTS}
        """Incoming handshakes by result."""
        self.handshake_seconds = Histogram(
            "pilotdht_tunnel_handshake_seconds",
            "Time from the first datagram to a link that is up.",
            buckets=_HANDSHAKE_BUCKETS_S,
            registry=registry,
        )
        """Time of handshakes that succeeded."""
        refusals = Counter(
            "pilotdht_tunnel_streams_refused_total", "Incoming streams refused.", ["reason"], registry=registry
        )
        self.refused = {
            name: refusals.labels(name) for name in ("not_trusted", "not_listening", "overloaded", "malformed")
        }
        """Incoming streams refused, by reason."""
        streams = Counter("pilotdht_tunnel_streams_total", "Streams by who opened.", ["direction"], registry=registry)
        self.streams_opened = streams.labels("out")
        """Streams that this node opened."""
        self.streams_accepted = streams.labels("in")
        """Streams of peers that were accepted."""
        self.retries = Counter(
            "pilotdht_tunnel_retries_total", "Addresses asked to prove themselves first.", registry=registry
        )
        """Retry packets sent."""
        self.resets_sent = Counter(
            "pilotdht_tunnel_stateless_resets_sent_total", "Answers to links we do not know.", registry=registry
        )
        """Stateless resets sent."""
        closed = Counter("pilotdht_tunnel_links_closed_total", "Links ended, by cause.", ["cause"], registry=registry)
        self.links_closed = {name: closed.labels(name) for name in ("local", "remote", "idle", "reset", "failed")}
        """Links that ended after they were up, by cause."""
        messages = Counter(
            "pilotdht_tunnel_messages_dropped_total", "Unreliable messages dropped.", ["reason"], registry=registry
        )
        self.messages_dropped = {name: messages.labels(name) for name in MESSAGE_DROP_REASONS}
        """Unreliable messages dropped, by reason."""
        self.rtt_seconds = Histogram(
            "pilotdht_tunnel_rtt_seconds",
            "Smoothed round trips of the live links, looked at with each housekeeping.",
            buckets=_RTT_BUCKETS_S,
            registry=registry,
        )
        """Round trips: each live link counts once a housekeeping, so that long links weigh more than short ones."""
        self.lost_packets = 0
        """Packets taken for lost on links that have ended."""
        self.lost_bytes = 0
        """Bytes of those packets."""
        self.live: Callable[[], LiveLinks] = LiveLinks
        """Returns what the live links come to; set by the node's tunnels."""
        self.bytes_in = 0
        """Bytes of QUIC datagrams received."""
        self.bytes_out = 0
        """Bytes of QUIC datagrams sent."""
        self.datagrams_in = 0
        """QUIC datagrams received."""
        self.datagrams_out = 0
        """QUIC datagrams sent."""
        self.dropped = dict.fromkeys(DROP_REASONS, 0)
        """QUIC datagrams dropped, by reason."""
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Hand the plain integers to the registry."""
        yield CounterMetricFamily("pilotdht_tunnel_received_bytes", "Bytes of QUIC received.", value=self.bytes_in)
        yield CounterMetricFamily("pilotdht_tunnel_sent_bytes", "Bytes of QUIC sent.", value=self.bytes_out)
        yield CounterMetricFamily("pilotdht_tunnel_received_datagrams", "Datagrams in.", value=self.datagrams_in)
        yield CounterMetricFamily("pilotdht_tunnel_sent_datagrams", "Datagrams out.", value=self.datagrams_out)
        live = self.live()
        yield GaugeMetricFamily("pilotdht_tunnel_open_streams", "Streams that are not finished.", value=live.streams)
        yield CounterMetricFamily(
            "pilotdht_tunnel_lost_packets", "QUIC packets taken for lost.", value=self.lost_packets + live.lost_packets
        )
        yield CounterMetricFamily(
            "pilotdht_tunnel_lost_bytes",
            "Bytes of QUIC packets taken for lost; nearly all are sent again.",
            value=self.lost_bytes + live.lost_bytes,
        )
        dropped = CounterMetricFamily(
            "pilotdht_tunnel_dropped_datagrams", "QUIC datagrams dropped, by reason.", labels=["reason"]
        )
        for reason, count in self.dropped.items():
            dropped.add_metric([reason], count)
        yield dropped
