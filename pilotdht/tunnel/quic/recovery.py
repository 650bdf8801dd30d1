"""Loss recovery that takes in acknowledgements in batches.

The rules are aioquic's (RFC 9002), but for reordering: when a packet that was taken for lost is acknowledged after all,
later ones are given more time (section 6.1.1 leaves that open). Packets of bulk data are acknowledged by runs of one
stream instead of one by one, and a controller of our own is told once an ACK frame instead of once a packet.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, ClassVar

from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import K_PACKET_THRESHOLD, K_TIME_THRESHOLD, QuicPacketRecovery, QuicPacketSpace
from aioquic.quic.stream import QuicStreamSender
from aioquic.tls import Epoch

from pilotdht.tunnel.quic.congestion import BottleneckControl, RateMark
from pilotdht.tunnel.quic.pacer import Pacer

MAX_REORDERING = 256
"""Packets by which one may be overtaken before it is taken for lost, at most."""
MAX_TIME_THRESHOLD = 2.0
"""Round trips after which a packet that was overtaken is taken for lost, at most."""
REMEMBERED_PACKETS = 512
"""How far back an acknowledgement of a packet that was taken for lost is recognised."""


class BulkPacket:
    """A packet with one STREAM frame and nothing else; stands where aioquic expects a ``QuicSentPacket``."""

    __slots__ = ("mark", "packet_number", "sender", "sent_bytes", "sent_time", "start", "stop")

    epoch: ClassVar[Epoch] = Epoch.ONE_RTT
    in_flight: ClassVar[bool] = True
    is_ack_eliciting: ClassVar[bool] = True
    is_crypto_packet: ClassVar[bool] = False
    packet_type: ClassVar[QuicPacketType] = QuicPacketType.ONE_RTT

    def __init__(
        self,
        packet_number: int,
        sent_time: float,
        sent_bytes: int,
        sender: QuicStreamSender,
        start: int,
        stop: int,
        mark: RateMark | None,
    ) -> None:
        self.packet_number = packet_number
        self.sent_time = sent_time
        self.sent_bytes = sent_bytes
        self.sender = sender
        self.start = start
        self.stop = stop
        self.mark = mark

    @property
    def delivery_handlers(self) -> list[tuple[Callable[..., None], Any]]:
        """What aioquic calls when the packet was acknowledged or lost."""
        return [(self.sender.on_data_delivery, (self.start, self.stop, False))]


class NodeRecovery(QuicPacketRecovery):
    """Recovery with our pacer, and with our controller when asked for."""

    def __init__(self, *, is_loss_tolerant: bool, max_datagram_size: int, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(max_datagram_size=max_datagram_size, **arguments)
        self.control: BottleneckControl | None = None
        """Our controller, or ``None`` when one of aioquic's is used."""
        if is_loss_tolerant:
            self._cc = self.control = BottleneckControl(max_datagram_size=max_datagram_size)
        self.pacer = Pacer(max_datagram_size=max_datagram_size, control=self.control)
        """Spreads packets over time."""
        self._pacer = self.pacer
        self._packet_threshold = K_PACKET_THRESHOLD
        self._time_threshold = K_TIME_THRESHOLD
        self._taken_for_lost: dict[int, None] = {}
        self.lost_packets = 0
        """Packets taken for lost; what was in them was sent again where it still mattered."""
        self.lost_bytes = 0
        """Bytes of those packets."""
        self._path_begins_at = 0

    def begin_path(self) -> None:
        """Measure anew: packets go another way from now on (RFC 9002, appendix B.1; RFC 9000, section 9.4)."""
        self._rtt_initialized = False
        self._rtt_latest = self._rtt_smoothed = self._rtt_variance = 0.0
        self._rtt_min = math.inf
        self._pto_count = 0
        last = (next(reversed(space.sent_packets), -1) for space in self.spaces if space.is_application_data)
        self._path_begins_at = max(last, default=-1) + 1
        if self.control is not None:
            self.control.begin_path()

    def on_bulk_sent(self, packets: list[BulkPacket], size: int, space: QuicPacketSpace, now: float) -> None:
        """Register packets of equal size that were sent together.

        Args:
            packets: in the order of their numbers.
            size: of all together.
            space: their packet number space.
            now: when.
        """
        sent = space.sent_packets
        if self.control is not None:
            mark = self.control.mark(now, size)
            for packet in packets:
                packet.mark = mark
                sent[packet.packet_number] = packet  # type: ignore[assignment]  # see BulkPacket
        else:
            for packet in packets:
                sent[packet.packet_number] = packet  # type: ignore[assignment]  # see BulkPacket
                self._cc.on_packet_sent(packet=packet)  # type: ignore[arg-type]  # see BulkPacket
        space.ack_eliciting_in_flight += len(packets)
        self._time_of_last_sent_ack_eliciting_packet = now
        self.pacer.spend(size)

    # What follows overrides aioquic.

    def on_ack_received(self, *, ack_rangeset: RangeSet, ack_delay: float, now: float, space: QuicPacketSpace) -> None:
        """Take in an ACK frame."""
        largest_acked = ack_rangeset.bounds().stop - 1
        if largest_acked > space.largest_acked_packet:
            space.largest_acked_packet = largest_acked
        if self._taken_for_lost and space.is_application_data:
            self._learn_reordering(ack_rangeset, largest_acked)
        acked = self._take_acknowledged(ack_rangeset, space)
        if not acked:
            return
        newest = acked[-1]
        rtt_s: float | None = None
        is_timed = newest.packet_number == largest_acked and newest.packet_number >= self._path_begins_at
        if is_timed and any(packet.is_ack_eliciting for packet in acked):
            rtt_s = now - newest.sent_time
            self._see_rtt(rtt_s, min(ack_delay, self.max_ack_delay), now)
        in_flight = [packet for packet in acked if packet.in_flight]
        if in_flight:
            if self.control is not None:
                self.control.on_acked(now, in_flight, rtt_s)
            else:
                for packet in in_flight:
                    self._cc.on_packet_acked(packet=packet, now=now)
        if rtt_s is not None:
            self._cc.on_rtt_measurement(now=now, rtt=rtt_s)
            self.pacer.update_rate(congestion_window=self._cc.congestion_window, smoothed_rtt=self._rtt_smoothed)
        self._detect_loss(now=now, space=space)
        if self.peer_completed_address_validation:
            self._pto_count = 0

    def _take_acknowledged(self, ack_rangeset: RangeSet, space: QuicPacketSpace) -> list[Any]:
        """Remove acknowledged packets from the space and tell whoever sent their frames; oldest first."""
        sent = space.sent_packets
        numbers = list(sent)  # ascending: packets are stored in the order they are sent
        acked: list[Any] = []
        sender: QuicStreamSender | None = None
        run_start = run_stop = 0
        for acked_range in ack_rangeset:
            first = bisect_left(numbers, acked_range.start)
            for number in numbers[first : bisect_left(numbers, acked_range.stop, first)]:
                packet: Any = sent.pop(number)
                acked.append(packet)
                if packet.__class__ is BulkPacket:
                    if packet.sender is sender and packet.start == run_stop:
                        run_stop = packet.stop
                        continue
                    if sender is not None:
                        sender.on_data_delivery(QuicDeliveryState.ACKED, run_start, run_stop, False)
                    sender, run_start, run_stop = packet.sender, packet.start, packet.stop
                    continue
                for handler, arguments in packet.delivery_handlers:
                    handler(QuicDeliveryState.ACKED, *arguments)
        if sender is not None:
            sender.on_data_delivery(QuicDeliveryState.ACKED, run_start, run_stop, False)
        space.ack_eliciting_in_flight -= sum(1 for packet in acked if packet.is_ack_eliciting)
        return acked

    def _learn_reordering(self, ack_rangeset: RangeSet, largest_acked: int) -> None:
        for number in list(self._taken_for_lost):
            if number in ack_rangeset:
                del self._taken_for_lost[number]
                self._packet_threshold = min(max(self._packet_threshold, largest_acked - number + 1), MAX_REORDERING)
                self._time_threshold = min(self._time_threshold + 0.125, MAX_TIME_THRESHOLD)
            elif number < largest_acked - REMEMBERED_PACKETS:
                del self._taken_for_lost[number]

    def _detect_loss(self, *, now: float, space: QuicPacketSpace) -> None:
        delay = self._time_threshold * (
            max(self._rtt_latest, self._rtt_smoothed) if self._rtt_initialized else self._rtt_initial
        )
        space.loss_time = None
        largest_acked = space.largest_acked_packet
        lost_number, lost_time = largest_acked - self._packet_threshold, now - delay
        lost = []
        for number, packet in space.sent_packets.items():
            if number > largest_acked:
                break
            assert packet.sent_time is not None
            if number <= lost_number or packet.sent_time <= lost_time:
                lost.append(packet)
            elif space.loss_time is None:
                space.loss_time = packet.sent_time + delay
        if not lost:
            return
        self.lost_packets += len(lost)
        self.lost_bytes += sum(packet.sent_bytes for packet in lost)
        if space.is_application_data:
            self._taken_for_lost.update((packet.packet_number, None) for packet in lost)
        of_this_path = [packet for packet in lost if packet.packet_number >= self._path_begins_at]
        is_persistent = self._in_persistent_congestion(packets=of_this_path)
        self._on_packets_lost(now=now, packets=lost, persistent_congestion=is_persistent, space=space)

    def _see_rtt(self, rtt_s: float, ack_delay_s: float, now: float) -> None:
        """Update the estimate (RFC 9002, section 5.3); a sample is not taken for less than a millisecond."""
        self._rtt_latest = max(rtt_s, 0.001)
        self._rtt_min = min(self._rtt_min, self._rtt_latest)
        if self._rtt_latest > self._rtt_min + ack_delay_s:
            self._rtt_latest -= ack_delay_s
        if not self._rtt_initialized:
            self._rtt_first_sample_time = now
            self._rtt_initialized = True
            self._rtt_variance = rtt_s / 2
            self._rtt_smoothed = rtt_s
        else:
            self._rtt_variance = 0.75 * self._rtt_variance + 0.25 * abs(self._rtt_smoothed - self._rtt_latest)
            self._rtt_smoothed = 0.875 * self._rtt_smoothed + 0.125 * self._rtt_latest
