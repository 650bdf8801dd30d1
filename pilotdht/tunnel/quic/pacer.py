"""Spreads packets over time, in portions that fit the timers of an event loop.

aioquic releases at most 16 packets and then waits for the time of one, which an event loop with 1 ms timers turns into
a fixed 21 MB/s with a wake-up for each portion. This bucket holds a few milliseconds' worth of the current rate.

Source: RFC 9002, section 7.7.
"""

from __future__ import annotations

import math

from aioquic.quic.recovery import QuicPacketPacer

from pilotdht.tunnel.quic.congestion import BottleneckControl

BURST_S = 0.004
"""Time of sending at the full rate that may be made up for: an event loop wakes up 1 ms late, and is busy besides."""
PORTION_S = 0.001
"""Time's worth of sending to wait for, so that a wake-up is worth its cost."""
MIN_BURST_PACKETS = 16
MAX_BURST_BYTES = 1 << 20
WINDOW_GAIN = 1.25
"""Rate over window per round trip, for controllers that know a window only (RFC 9002, section 7.7)."""


class Pacer(QuicPacketPacer):
    """A token bucket that counts bytes.

    Args:
        max_datagram_size: size of a full packet.
        control: the controller that sets the rate, or ``None`` to take the rate from window and round-trip time.
    """

    def __init__(self, *, max_datagram_size: int, control: BottleneckControl | None = None) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self._control = control
        self.rate: float | None = None
        """Bytes per second, or ``None`` while nothing is known and nothing is held back."""
        self._credit = 0.0
        self._capacity = float(MIN_BURST_PACKETS * max_datagram_size)
        self._at = 0.0

    def set_rate(self, rate: float) -> None:
        """Send ``rate`` bytes per second from now on."""
        if self.rate is None:
            self._credit = self._capacity
        self.rate = max(rate, 1.0)
        self._capacity = min(max(self.rate * BURST_S, MIN_BURST_PACKETS * self._max_datagram_size), MAX_BURST_BYTES)

    def allowance(self, now: float) -> float:
        """Return how many bytes may be sent now; the last packet may exceed it."""
        if self.rate is None:
            return math.inf
        if now > self._at:
            self._credit = min(self._credit + (now - self._at) * self.rate, self._capacity)
            self._at = now
        return self._credit

    def spend(self, size: int) -> None:
        """Note that ``size`` bytes were sent."""
        if self.rate is not None:
            self._credit = max(self._credit - size, -self._capacity)

    def time_of_next(self, now: float) -> float:
        """Return when enough credit for a portion will be there."""
        assert self.rate is not None
        portion = max(self._max_datagram_size, min(self.rate * PORTION_S, self._capacity / 2))
        return now + max(portion - self._credit, 1.0) / self.rate

    # What follows overrides aioquic.

    def next_send_time(self, now: float) -> float | None:  # type: ignore[override]  # it returns None as well
        """Return when to try again, or ``None`` to send now."""
        return None if self.allowance(now) > 0 else self.time_of_next(now)

    def update_after_send(self, now: float) -> None:
        """Note that a packet was sent."""
        self.spend(self._max_datagram_size)

    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        """Take the rate from the controller, or from a window per round trip."""
        if self._control is not None:
            self.set_rate(self._control.pacing_rate)
            return
        self.set_rate(WINDOW_GAIN * congestion_window / max(smoothed_rtt, 1e-6))
