"""Counters of the room ``net``: plain integers on the way of each datagram, shown to prometheus when it asks.

An increment of a prometheus counter takes a lock and costs as much as opening a sealed datagram, so this is a collector
that reads the integers instead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

RTT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the buckets of the histogram of round-trip times."""


class RequestCounts:
    """What became of the requests of one type."""

    __slots__ = ("answered", "sent", "served", "silent", "slow")

    def __init__(self) -> None:
        self.sent = 0
        """Begun by us."""
        self.answered = 0
        """Answered by the peer."""
        self.slow = 0
        """Sent a second time."""
        self.silent = 0
        """Given up."""
        self.served = 0
        """Answered by us."""


@runtime_checkable
class CountsLosses(Protocol):
    """A socket that counts what it could not send."""

    lost: dict[str, int]
    """Datagrams, by reason."""


class NetMetrics:
    """All that ``net`` counts; registers itself as a collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.datagrams_in = 0
        """Datagrams received, of all kinds."""
        self.bytes_in = 0
        """Bytes received."""
        self.datagrams_out = 0
        """Datagrams handed to the socket."""
        self.bytes_out = 0
        """Bytes handed to the socket."""
        self.dropped: dict[str, int] = {}
        """Datagrams received and thrown away, by reason; reasons are constants of the code."""
        self.lost: dict[str, int] = {}
        """Datagrams that the socket could not send, by reason; filled from the open socket."""
        self.requests: dict[str, RequestCounts] = {}
        """What became of requests, by type of message."""
        self.hellos_sent = 0
        """Greetings sent, repetitions included."""
        self.hellos_answered = 0
        """Greetings answered."""
        self.handler_failures = 0
        """Errors out of handlers and callbacks: each is a bug, logged."""
        self.rejected = 0
        """Requests refused because too many waited."""
        self.pending = 0
        """Requests that wait for an answer now."""
        self._rtt_counts = [0] * (len(RTT_BOUNDS_S) + 1)
        self._rtt_sum_s = 0.0
        registry.register(self)

    def drop(self, reason: str) -> None:
        """Count one datagram thrown away."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def watch(self, socket: object) -> None:
        """Show the losses of a socket, when it counts them, as the real one does."""
        if isinstance(socket, CountsLosses):
            self.lost = socket.lost

    def of_request(self, kind: type[object]) -> RequestCounts:
        """Return the counts of a type of request."""
        counts = self.requests.get(kind.__name__)
        if counts is None:
            counts = self.requests[kind.__name__] = RequestCounts()
        return counts

    def measured(self, rtt_s: float) -> None:
        """Take in one round trip."""
        self._rtt_counts[bisect_left(RTT_BOUNDS_S, rtt_s)] += 1
        self._rtt_sum_s += rtt_s

    def collect(self) -> Iterable[Metric]:
        """Return all as prometheus takes it."""
        plain = (
            ("datagrams_received", "Datagrams received, of all kinds", self.datagrams_in),
            ("datagrams_sent", "Datagrams handed to the socket", self.datagrams_out),
            ("received_bytes", "Bytes received", self.bytes_in),
            ("sent_bytes", "Bytes handed to the socket", self.bytes_out),
            ("hellos_sent", "Greetings sent, repetitions included", self.hellos_sent),
            ("hellos_answered", "Greetings answered", self.hellos_answered),
            ("handler_failures", "Errors out of handlers and callbacks", self.handler_failures),
            ("requests_rejected", "Requests refused because too many waited", self.rejected),
        )
        for name, text, value in plain:
            yield CounterMetricFamily(f"pilotdht_net_{name}", text, value=value)
        yield GaugeMetricFamily("pilotdht_net_requests_pending", "Requests waiting for an answer", value=self.pending)
        yield _by_reason("dropped", "Datagrams received and thrown away", self.dropped)
        yield _by_reason("lost", "Datagrams that the socket could not send", self.lost)
        requests = CounterMetricFamily(
            "pilotdht_net_requests", "Requests by type and what became of them", labels=("type", "result")
        )
        for kind, counts in self.requests.items():
            for result in RequestCounts.__slots__:
                requests.add_metric((kind, result), getattr(counts, result))
        yield requests
        yield self._histogram()

    def _histogram(self) -> HistogramMetricFamily:
        buckets, total = [], 0
        for bound, count in zip((*map(str, RTT_BOUNDS_S), "+Inf"), self._rtt_counts, strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(
            "pilotdht_net_rtt_seconds",
            "Round-trip times of answered requests",
            buckets=buckets,
            sum_value=self._rtt_sum_s,
        )


def _by_reason(name: str, text: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"pilotdht_net_{name}", text, labels=("reason",))
    for reason, count in counts.items():
        family.add_metric((reason,), count)
    return family
