"""A congestion controller that measures what the path delivers instead of counting losses.

Random loss of 1 % holds cubic and reno to a fortieth of a 20 ms path (Mathis: 1.2 MSS / (RTT sqrt p)). This one follows
BBR: it estimates the bottleneck's bandwidth (largest delivery rate of the last ten round trips) and the path's delay
(smallest round trip of the last ten seconds), sends at that bandwidth, and lets about two bandwidth-delay products be
in flight. Loss counts only when it is heavy: beyond what a path loses at random the estimate is lowered, so that it
yields where a queue is full.

Pure: time comes with packets and calls.

Sources: BBR (2016); draft-ietf-ccwg-bbr; draft-cheng-iccrg-delivery-rate-estimation.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aioquic.quic.congestion.base import K_INITIAL_WINDOW, QuicCongestionControl

STARTUP_GAIN = 2.885
"""2 / ln 2: doubles the rate each round trip."""
CYCLE_GAINS = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""One round trip of asking for more, one of letting the queue run dry, six of cruising."""
WINDOW_GAIN = 2.0
BANDWIDTH_ROUNDS = 10
MIN_RTT_LIFETIME_S = 10.0
PROBE_RTT_S = 0.2
FULL_PIPE_GROWTH = 1.25
FULL_PIPE_ROUNDS = 3
MIN_WINDOW_PACKETS = 4
HEAVY_LOSS = 0.15
"""Part of a round trip's packets beyond which loss means a full queue and not a bad path."""
HEAVY_LOSS_PACKETS = 8
YIELD = 0.85
"""Factor on the bandwidth after a round trip of heavy loss."""
HEADROOM_S = 0.004
"""Sending time allowed in flight beyond the path: acknowledgements and timers come in steps of a millisecond."""
STARTUP_RTT_S = 0.001
"""Round trip assumed for the first rate, before one was measured."""


class Phase(enum.Enum):
    """What the controller is doing."""

    STARTUP = "startup"
    """Doubling until the bandwidth grows no more."""
    DRAIN = "drain"
    """Emptying the queue that doubling has filled."""
    CRUISE = "cruise"
    """Sending at the estimate, now and then asking for more."""
    PROBE_RTT = "probe_rtt"
    """Letting the path run dry to see its delay."""


class RateMark(NamedTuple):
    """What had been delivered when a packet was sent."""

    delivered: int
    """Bytes acknowledged until then."""

    delivered_at: float
    """When the last of them was."""

    first_sent_at: float
    """When the newest packet acknowledged until then had been sent."""

    is_app_limited: bool
    """Whether the application had less to send than the path could take."""

    path: int
    """Number of the path that it was sent on."""


class BottleneckControl(QuicCongestionControl):
    """Congestion control by measured bandwidth and delay."""

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self._packet_bytes = max_datagram_size
        self._bandwidths: deque[tuple[int, float]] = deque()  # (round, rate), rates falling
        self._extras: deque[tuple[int, int]] = deque()
        self._path = 0
        self._delivered = 0
        self._delivered_at = 0.0
        self._first_sent_at = 0.0
        self._round = 0
        self._cycle_index = 0
        self._cycle_at = 0.0
        self._probe_rtt_until = 0.0
        self._window_before = 0
        self._epoch_at = 0.0
        self.begin_path()

    def begin_path(self) -> None:
        """Know nothing of the path: this is another one (RFC 9000, section 9.4).

        What is in flight is on the old one: it takes no room here, and neither its arrival nor its loss tells anything.
        """
        self._path += 1
        self.bytes_in_flight = 0
        self._round_ends_at = self._delivered
        self._round_lost = self._round_delivered = self._epoch_acked = self._app_limited_until = 0
        self._round_bandwidth = 0.0
        self.phase = Phase.STARTUP
        """What it is doing."""
        self.congestion_window = K_INITIAL_WINDOW * self._packet_bytes
        self.pacing_rate = STARTUP_GAIN * self.congestion_window / STARTUP_RTT_S
        """Bytes per second."""
        self.min_rtt_s = math.inf
        """Smallest round trip of the last ten seconds."""
        self._min_rtt_at = 0.0
        self._bandwidths.clear()
        self._extras.clear()
        self._bandwidth_cap = math.inf
        self._pacing_gain = self._window_gain = STARTUP_GAIN
        self._full_bandwidth = 0.0
        self._full_rounds = 0
        self._is_pipe_full = False

    @property
    def bandwidth(self) -> float:
        """Estimated bytes per second of the path, 0 before the first measurement."""
        best = self._bandwidths[0][1] if self._bandwidths else 0.0
        return min(best, self._bandwidth_cap)

    def mark(self, now: float, size: int) -> RateMark:
        """Note that ``size`` bytes are sent, and return what their packets must remember."""
        if self.bytes_in_flight == 0:
            self._first_sent_at = self._delivered_at = now
        mark = RateMark(
            self._delivered, self._delivered_at, self._first_sent_at, self._app_limited_until > 0, self._path
        )
        self.bytes_in_flight += size
        return mark

    def on_acked(self, now: float, packets: Sequence[Any], rtt_s: float | None) -> None:
        """Take in the packets that one ACK frame acknowledged, in the order they were sent."""
        if packets[0].mark.path != self._path:
            packets = self._of_this_path(packets)
            if not packets:
                return
        size = 0
        for packet in packets:
            size += packet.sent_bytes
        self.bytes_in_flight -= size
        self._delivered += size
        self._round_delivered += size
        self._delivered_at = now
        if self._app_limited_until and self._delivered > self._app_limited_until:
            self._app_limited_until = 0
        newest = packets[-1]
        mark: RateMark = newest.mark
        is_new_round = mark.delivered >= self._round_ends_at
        if is_new_round:
            self._round += 1
            self._round_ends_at = self._delivered
        interval = max(newest.sent_time - mark.first_sent_at, now - mark.delivered_at)
        self._first_sent_at = newest.sent_time
        if rtt_s is not None:
            self._see_rtt(now, rtt_s)
        if interval > 0 and (self.min_rtt_s is math.inf or interval >= self.min_rtt_s):
            self._see_bandwidth((self._delivered - mark.delivered) / interval, mark.is_app_limited)
        self._see_aggregation(now, size)
        if is_new_round:
            self._end_round(mark.is_app_limited)
        self._change_phase(now)
        self._set_window(size)

    def on_app_limited(self) -> None:
        """Note that there was nothing more to send although the path could have taken it."""
        self._app_limited_until = max(1, self._delivered + self.bytes_in_flight)

    def _see_rtt(self, now: float, rtt_s: float) -> None:
        is_stale = now - self._min_rtt_at > MIN_RTT_LIFETIME_S
        if rtt_s <= self.min_rtt_s or (is_stale and self.phase is Phase.PROBE_RTT):
            self.min_rtt_s = rtt_s
            self._min_rtt_at = now

    def _see_bandwidth(self, rate: float, is_app_limited: bool) -> None:
        rates = self._bandwidths
        self._round_bandwidth = max(self._round_bandwidth, rate)
        if is_app_limited and rates and rate < rates[0][1]:
            return
        while rates and rates[-1][1] <= rate:
            rates.pop()
        rates.append((self._round, rate))
        while rates[0][0] <= self._round - BANDWIDTH_ROUNDS:
            rates.popleft()

    def _see_aggregation(self, now: float, size: int) -> None:
        """Measure by how much acknowledgements come in heaps, so that the window covers the pauses between them."""
        expected = self.bandwidth * (now - self._epoch_at)
        if self._epoch_acked <= expected:
            self._epoch_at, self._epoch_acked, expected = now, 0, 0.0
        self._epoch_acked += size
        extra = min(int(self._epoch_acked - expected), self.congestion_window)
        extras = self._extras
        while extras and extras[-1][1] <= extra:
            extras.pop()
        extras.append((self._round, extra))
        while extras[0][0] <= self._round - BANDWIDTH_ROUNDS:
            extras.popleft()

    def _end_round(self, is_app_limited: bool) -> None:
        lost, total = self._round_lost, self._round_lost + self._round_delivered
        self._round_lost = self._round_delivered = 0
        round_bandwidth, self._round_bandwidth = self._round_bandwidth, 0.0
        is_heavy = lost > HEAVY_LOSS_PACKETS * self._packet_bytes and lost > HEAVY_LOSS * total
        if is_heavy:
            self._is_pipe_full = True
            self._bandwidth_cap = max(round_bandwidth, YIELD * self.bandwidth)  # what did come through stays
        elif self._bandwidth_cap is not math.inf:
            self._bandwidth_cap *= 1.05  # asks again, gently
            if self._bandwidths and self._bandwidth_cap > self._bandwidths[0][1]:
                self._bandwidth_cap = math.inf
        if self._is_pipe_full or is_app_limited:
            return
        if self.bandwidth >= FULL_PIPE_GROWTH * self._full_bandwidth:
            self._full_bandwidth = self.bandwidth
            self._full_rounds = 0
            return
        self._full_rounds += 1
        self._is_pipe_full = self._full_rounds >= FULL_PIPE_ROUNDS

    def _change_phase(self, now: float) -> None:
        if self.phase is Phase.STARTUP and self._is_pipe_full:
            self._enter(Phase.DRAIN, 1 / STARTUP_GAIN, STARTUP_GAIN)
        if self.phase is Phase.DRAIN and self.bytes_in_flight <= self._target(1.0):
            self._cruise(now)
        if self.phase is Phase.CRUISE:
            self._cycle(now)
            if now - self._min_rtt_at > MIN_RTT_LIFETIME_S:
                self._window_before = self.congestion_window
                self._probe_rtt_until = now + PROBE_RTT_S
                self._enter(Phase.PROBE_RTT, 1.0, 0.5)
        elif self.phase is Phase.PROBE_RTT and now >= self._probe_rtt_until:
            self._min_rtt_at = now
            self.congestion_window = max(self.congestion_window, self._window_before)
            self._cruise(now)
        bandwidth = self.bandwidth
        if bandwidth > 0:
            rate = self._pacing_gain * bandwidth
            if self._is_pipe_full or rate > self.pacing_rate or self.min_rtt_s is math.inf:
                self.pacing_rate = rate
            elif self._round <= 2:
                self.pacing_rate = max(rate, STARTUP_GAIN * self.congestion_window / self.min_rtt_s)

    def _enter(self, phase: Phase, pacing_gain: float, window_gain: float) -> None:
        self.phase, self._pacing_gain, self._window_gain = phase, pacing_gain, window_gain

    def _cruise(self, now: float) -> None:
        self._cycle_index = 2
        self._cycle_at = now
        self._enter(Phase.CRUISE, CYCLE_GAINS[2], WINDOW_GAIN)

    def _cycle(self, now: float) -> None:
        elapsed = now - self._cycle_at
        is_over = elapsed > max(self.min_rtt_s, HEADROOM_S)
        if self._pacing_gain < 1.0 and self.bytes_in_flight <= self._target(1.0):
            is_over = True  # the queue is dry
        if is_over:
            self._cycle_index = (self._cycle_index + 1) % len(CYCLE_GAINS)
            self._cycle_at = now
            self._pacing_gain = CYCLE_GAINS[self._cycle_index]

    def _target(self, gain: float) -> int:
        if self.min_rtt_s is math.inf:
            return K_INITIAL_WINDOW * self._packet_bytes
        bandwidth = self.bandwidth
        return int(gain * bandwidth * self.min_rtt_s + bandwidth * HEADROOM_S)

    def _set_window(self, acked: int) -> None:
        target = self._target(self._window_gain)
        if self.phase is not Phase.PROBE_RTT and self._extras:
            target += self._extras[0][1]
        window = self.congestion_window
        if self.phase is Phase.PROBE_RTT:
            window = min(window, target)
        elif self._is_pipe_full:
            window = min(window + acked, target)
        elif window < target or self._delivered < K_INITIAL_WINDOW * self._packet_bytes:
            window += acked
        self.congestion_window = max(window, MIN_WINDOW_PACKETS * self._packet_bytes)

    def _of_this_path(self, packets: Iterable[Any]) -> list[Any]:
        return [packet for packet in packets if packet.mark.path == self._path]

    # aioquic's interface, for packets built one by one.

    def on_packet_acked(self, *, now: float, packet: Any) -> None:  # noqa: ANN401 - any kind of packet
        """Take in one acknowledged packet."""
        self.on_acked(now, (packet,), None)

    def on_packet_sent(self, *, packet: Any) -> None:  # noqa: ANN401 - any kind of packet
        """Note that a packet is sent."""
        packet.mark = self.mark(packet.sent_time, packet.sent_bytes)

    def on_packets_expired(self, *, packets: Iterable[Any]) -> None:
        """Forget packets whose keys were dropped, or that were sent again early."""
        for packet in self._of_this_path(packets):
            self.bytes_in_flight -= packet.sent_bytes

    def on_packets_lost(self, *, now: float, packets: Iterable[Any]) -> None:
        """Count lost packets; the end of the round trip draws the conclusion."""
        for packet in self._of_this_path(packets):
            self.bytes_in_flight -= packet.sent_bytes
            self._round_lost += packet.sent_bytes

    def on_persistent_congestion(self) -> None:
        """Begin from a small window: nothing came through for long."""
        self.congestion_window = MIN_WINDOW_PACKETS * self._packet_bytes

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        """Not used: round trips come with the packets they belong to."""
