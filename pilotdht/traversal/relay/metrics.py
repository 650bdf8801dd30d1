"""What relaying counts: plain integers on the way of each frame, shown to prometheus when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pilotdht.wire.traversal_messages import CallResult

DROP_REASONS = (
    "unknown_channel",
    "wrong_source",
    "unproven",
    "client_rate",
    "total_rate",
    "introduction",
    "malformed",
)
"""Reasons for which a frame goes no further."""

RING_RESULTS = ("taken", "refused", "silent", "limited", "not_sent")
"""What becomes of a call that is passed on to the called node."""

END_REASONS = ("idle", "hung_up", "refused", "silent", "unproven", "replaced", "quota", "stopped")
"""Why a channel ended."""


class RelayMetrics:
    """All that relaying counts, for both roles of a node; registers itself as a collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.frames = 0
        """Frames sent on for others."""
        self.bytes = 0
        """Bytes of those frames."""
        self.trains = 0
        """Groups of frames that were sent on at once."""
        self.dropped = dict.fromkeys(DROP_REASONS, 0)
        """Frames thrown away, by reason."""
        self.attaches = dict.fromkeys(CallResult, 0)
        """Requests to attach that were answered, by result."""
        self.calls = dict.fromkeys(CallResult, 0)
        """Calls that were answered, by result."""
        self.rings = dict.fromkeys(RING_RESULTS, 0)
        """Calls passed on to whom they were for, by what became of it."""
        self.ended = dict.fromkeys(END_REASONS, 0)
        """Channels through this node that ended, by reason."""
        self.closed = dict.fromkeys(END_REASONS, 0)
        """Channels of this node through others that ended, by reason."""
        self.rings_ignored = 0
        """Calls that somebody passed on to us whom we are not attached to, or for whose channel there was no room."""
        self.gone = 0
        """Servers that were given up because they were silent or refused."""
        self._gauges: dict[str, tuple[str, Callable[[], int]]] = {}
        registry.register(self)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count frames thrown away."""
        self.dropped[reason] += count

    def show(self, name: str, text: str, read: Callable[[], int]) -> None:
        """Show a number that ``read`` returns, as ``pilotdht_relay_<name>``."""
        self._gauges[name] = (text, read)

    def collect(self) -> Iterable[Metric]:
        """Return all as prometheus takes it."""
        plain = (
            ("frames", "Frames sent on for others", self.frames),
            ("forwarded_bytes", "Bytes of frames sent on for others", self.bytes),
            ("trains", "Groups of frames sent on at once", self.trains),
            ("rings_ignored", "Calls passed on to us that we did not take", self.rings_ignored),
            ("servers_given_up", "Servers that were silent or refused", self.gone),
        )
        for name, text, value in plain:
            yield CounterMetricFamily(f"pilotdht_relay_{name}", text, value=value)
        for name, text, counts in (
            ("dropped", "Frames thrown away", self.dropped),
            ("rings", "Calls passed on, by what became of them", self.rings),
            ("ended", "Channels through this node that ended", self.ended),
            ("closed", "Channels of this node that ended", self.closed),
        ):
            yield _labelled(name, text, "reason", counts)
        for name, text, results in (
            ("attaches", "Requests to attach, by answer", self.attaches),
            ("calls", "Calls, by answer", self.calls),
        ):
            yield _labelled(name, text, "result", {result.name.lower(): value for result, value in results.items()})
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"pilotdht_relay_{name}", text, value=read())


def _labelled(name: str, text: str, label: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"pilotdht_relay_{name}", text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family
