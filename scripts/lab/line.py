"""One direction of a line: what delay, jitter, loss, a rate and a queue do to Ethernet frames. Pure."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

MAX_UNDER_WAY = 100_000
"""Frames kept at one time: 150 MB, one second of a gigabit."""

FULL_FRAME_BYTES = 1514
"""What the queue counts in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How good a line is, each direction by itself."""

    delay_ms: float = 0.0
    """From end to end."""
    jitter_ms: float = 0.0
    """Up to so much is added to the delay, evenly drawn; frames are never reordered."""
    loss: float = 0.0
    """Share of the frames that get lost, 0 to 1, each by itself."""
    rate_mbit: float = 0.0
    """Bits a microsecond; 0 is as fast as the machine can."""
    queue: int = 100
    """Full frames that wait when the rate is reached; what comes later is dropped."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: something is out of range.
        """
        if min(self.delay_ms, self.jitter_ms, self.rate_mbit) < 0 or not 0 <= self.loss <= 1 or self.queue < 1:
            raise ValueError(f"no line is like this: {self}")

    @property
    def is_perfect(self) -> bool:
        """Whether a plain cable does."""
        return not (self.delay_ms or self.jitter_ms or self.loss or self.rate_mbit)


class Line:
    """Frames on their way in one direction, in order."""

    def __init__(self, quality: Quality, random_source: random.Random) -> None:
        self.quality = quality
        """May be replaced at any time; what is under way keeps its time."""
        self.carried = 0
        """Frames that arrived at the other end."""
        self.lost = 0
        """Frames that were drawn to be lost."""
        self.overflowed = 0
        """Frames that found the queue full."""
        self._random = random_source
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self._last_due = 0.0

    def push(self, frame: bytes, now: float) -> None:
        """Take a frame at one end."""
        quality = self.quality
        if quality.loss and self._random.random() < quality.loss:
            self.lost += 1
            return
        if len(self._under_way) >= MAX_UNDER_WAY:
            self.overflowed += 1
            return
        due = now
        if quality.rate_mbit:
            bytes_a_second = quality.rate_mbit * 125_000
            begins = max(self._free_at, now)
            if (begins - now) * bytes_a_second >= quality.queue * FULL_FRAME_BYTES:
                self.overflowed += 1
                return
            self._free_at = due = begins + len(frame) / bytes_a_second
        due += quality.delay_ms / 1000
        if quality.jitter_ms:
            due += self._random.random() * quality.jitter_ms / 1000
        self._last_due = max(due, self._last_due)
        self._under_way.append((self._last_due, frame))

    def pull(self, now: float) -> Iterator[bytes]:
        """Yield the frames that are due at the other end."""
        under_way = self._under_way
        while under_way and under_way[0][0] <= now:
            self.carried += 1
            yield under_way.popleft()[1]

    @property
    def next_due(self) -> float | None:
        """When the next frame is due; absent when none is under way."""
        return self._under_way[0][0] if self._under_way else None
