"""Token buckets: how much of something one source may ask for. Pure.

They stand before any cryptography, so that a flood costs its victim a dictionary look-up a datagram and nothing more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class TokenBucket:
    """Lets ``burst`` through at once and ``rate_per_s`` on average."""

    __slots__ = ("_burst", "_level", "_rate_per_s", "_updated_at")

    def __init__(self, *, rate_per_s: float, burst: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = float(burst)
        self._updated_at = now

    def take(self, now: float) -> bool:
        """Return whether one more may pass, and count it when it may."""
        level = self._level + (now - self._updated_at) * self._rate_per_s
        if level > self._burst:
            level = self._burst
        self._updated_at = now
        if level < 1.0:
            self._level = level
            return False
        self._level = level - 1.0
        return True

    def is_full(self, now: float) -> bool:
        """Return whether it has been idle for so long that forgetting it changes nothing."""
        return self._level + (now - self._updated_at) * self._rate_per_s >= self._burst


class PrefixLimiter:
    """One bucket for each of a bounded number of sources.

    A bucket is forgotten only once it is full again. Sources that find no room share one bucket: a sender with many
    addresses can neither wash out the memory of what it used nor get a fresh allowance for each of them.
    """

    def __init__(self, *, rate_per_s: float, burst: float, capacity: int) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._capacity = capacity
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()
        self._shared: TokenBucket | None = None

    def take(self, source: Hashable, now: float) -> bool:
        """Return whether one more from ``source`` may pass, and count it when it may."""
        bucket = self._buckets.get(source)
        if bucket is not None:
            self._buckets.move_to_end(source)
            return bucket.take(now)
        if len(self._buckets) >= self._capacity:
            if not next(iter(self._buckets.values())).is_full(now):
                return self._take_shared(now)
            self._buckets.popitem(last=False)
        self._buckets[source] = bucket = self._new(now)
        return bucket.take(now)

    def __len__(self) -> int:
        """Return how many sources have a bucket of their own."""
        return len(self._buckets)

    def _take_shared(self, now: float) -> bool:
        if self._shared is None:
            self._shared = self._new(now)
        return self._shared.take(now)

    def _new(self, now: float) -> TokenBucket:
        return TokenBucket(rate_per_s=self._rate_per_s, burst=self._burst, now=now)
