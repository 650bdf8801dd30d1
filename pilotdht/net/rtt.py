"""How long to wait for an answer: estimates of round-trip times, and the two waits that follow from them. Pure.

A request has two moments. At ``slow_s`` it counts as slow: whoever waits may ask somebody else, and it is sent again.
At ``silent_s`` its contact is given up. With ``raw`` the estimate for the contact and ``m`` the median of the node's
last round trips to anybody::

    raw      = srtt + 4 rttvar                                             contact measured
             = 3 * (95th percentile of the node's last round trips)        only others measured
             = max(3 * longest, min_timeout_s)                             fewer than 8 of them
             = first_timeout_s                                             nothing measured
    slow_s   = clamp(max(raw, 2 m), slow_floor_s, max_timeout_s)           raw halved when only others measured
    silent_s = slow_s + clamp(raw, min_timeout_s or, while fewer than 8 are measured, 350 ms, max_timeout_s)

Why two clamps: being slow is cheap to get wrong (one datagram sent twice), being silent is not (a live contact nears
its eviction), so the first follows the network down to milliseconds and the second never goes below what a peer's busy
scheduler needs. Why halved: a stranger may not exist, as hearsay goes, and every lookup that meets one would stand
still for three times what nineteen of twenty answers take. Why the others' round trips: a lookup mostly meets contacts
that it never asked before, and a node's own past is the best guess for them; 800 ms a dead one would be 100 times the
round trip of a local network. Why at least ``2 m``: what delays everybody (our own busy loop, our access link) delays
the next answer as well, and an estimate made while all was quiet does not know of it.

Each transmission carries a request id of its own, so every answer tells which one it is to. Hence nothing is ambiguous
(what Karn's rule is for), also answers that come after the contact was given up are measured, and a node whose network
became slower than its waits finds out with the first of them.

Source: RFC 6298, section 2; Karn and Partridge (1987); RFC 9002, section 5 (unambiguous samples).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from pilotdht.config.net import NetConfig

_SAMPLES_KEPT = 128
_SAMPLES_NEEDED = 8
_SORT_EVERY = 16
_STRANGER_FACTOR = 3.0
_STRANGER_SLOW_SHARE = 0.5
_MEDIAN_FACTOR = 2.0
_FEW_SAMPLES_PATIENCE_S = 0.35
"""With less than 8 round trips known, all may have been to one neighbour: the far side of the world is not given up."""


class Waits(NamedTuple):
    """When a request counts as slow and when its contact counts as silent, in seconds after the first transmission."""

    slow_s: float
    """Sent again then."""
    silent_s: float
    """Given up then."""


class RoundTripEstimate:
    """Smoothed round-trip time of one contact."""

    __slots__ = ("rttvar_s", "srtt_s")

    def __init__(self) -> None:
        self.srtt_s: float | None = None
        """Smoothed round-trip time; absent until the first measurement."""
        self.rttvar_s = 0.0
        """Smoothed deviation."""

    def measured(self, rtt_s: float) -> None:
        """Take in one round trip (RFC 6298, sections 2.2 and 2.3)."""
        if self.srtt_s is None:
            self.srtt_s, self.rttvar_s = rtt_s, rtt_s / 2
            return
        self.rttvar_s += (abs(self.srtt_s - rtt_s) - self.rttvar_s) / 4
        self.srtt_s += (rtt_s - self.srtt_s) / 8

    def timeout_s(self) -> float | None:
        """Return ``srtt + 4 rttvar``; absent until the first measurement."""
        return None if self.srtt_s is None else self.srtt_s + 4 * self.rttvar_s


class RecentRoundTrips:
    """The last round trips to anybody, and two percentiles of them."""

    __slots__ = ("_samples", "_until_sort", "longest_s", "median_s", "p95_s")

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_SAMPLES_KEPT)
        self._until_sort = _SAMPLES_NEEDED
        self.longest_s: float | None = None
        """The longest until 8 were measured; absent before the first."""
        self.median_s: float | None = None
        """Median; absent until 8 were measured."""
        self.p95_s: float | None = None
        """95th percentile; absent until 8 were measured."""

    def measured(self, rtt_s: float) -> None:
        """Take in one round trip; the percentiles follow every 16 of them."""
        self._samples.append(rtt_s)
        if self.p95_s is None:
            self.longest_s = max(rtt_s, self.longest_s or 0.0)
        self._until_sort -= 1
        if self._until_sort <= 0:
            self._until_sort = _SORT_EVERY
            ordered = sorted(self._samples)
            self.median_s = ordered[len(ordered) // 2]
            self.p95_s = ordered[len(ordered) * 95 // 100]


def waits_for(estimate: RoundTripEstimate | None, recent: RecentRoundTrips, config: NetConfig) -> Waits:
    """Return how long to wait for a contact; ``estimate`` is absent when it was never asked. See the module's head."""
    raw = least = estimate.timeout_s() if estimate is not None else None
    if raw is None or least is None:
        raw = _raw_of_stranger(recent, config)
        least = raw if recent.p95_s is None else raw * _STRANGER_SLOW_SHARE
    if recent.median_s is not None:
        least = max(least, _MEDIAN_FACTOR * recent.median_s)
    slow_s = min(max(least, config.slow_floor_s), config.max_timeout_s)
    patience_s = config.min_timeout_s if recent.p95_s is not None else _FEW_SAMPLES_PATIENCE_S
    return Waits(slow_s, slow_s + min(max(raw, patience_s), config.max_timeout_s))


def _raw_of_stranger(recent: RecentRoundTrips, config: NetConfig) -> float:
    if recent.p95_s is not None:
        return recent.p95_s * _STRANGER_FACTOR
    if recent.longest_s is not None:
        return max(recent.longest_s * _STRANGER_FACTOR, config.min_timeout_s)
    return config.first_timeout_s
