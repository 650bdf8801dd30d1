"""A line that carries so many bits a second, with a queue in front of it.

Pure: rules that are told the time.
"""

from __future__ import annotations

TICKS_PER_S = 1_000_000


class Line:
    """Store and forward: one packet after the other; what finds the queue full is dropped (tail drop)."""

    __slots__ = ("_free_at", "_queue_bytes", "_ticks_per_byte")

    def __init__(self, *, bits_per_s: float, queue_bytes: int) -> None:
        """Make an idle line.

        Args:
            bits_per_s: greater than 0.
            queue_bytes: what waits or is being sent, at most.
        """
        self._ticks_per_byte = 8 * TICKS_PER_S / bits_per_s
        self._queue_bytes = queue_bytes
        self._free_at = 0.0

    def waiting_bytes(self, now: int) -> float:
        """Return what waits or is being sent at a tick."""
        return max(0.0, self._free_at - now) / self._ticks_per_byte

    def take(self, size_bytes: int, now: int) -> int | None:
        """Take one packet in.

        Returns:
            The tick at which all of it has left; ``None`` when the queue is full.
        """
        if self.waiting_bytes(now) + size_bytes > self._queue_bytes:
            return None
        self._free_at = max(self._free_at, float(now)) + size_bytes * self._ticks_per_byte
        return int(self._free_at)
