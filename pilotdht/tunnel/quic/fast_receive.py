"""Packets on the known path, opened and read without intermediate objects.

Applies to 1-RTT packets that come to the connection id and from the address in use, in the current key phase; STREAM
frames that continue a stream in order are taken in directly, whatever else a packet carries is given to aioquic's frame
handlers. Anything unusual falls back to aioquic *before* any state is touched.

Source: RFC 9000, section 17.3.1 and appendix A.3; RFC 9001, sections 5.3 and 5.4.
"""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.connection import (
    NetworkAddress,
    QuicConnectionError,
    QuicConnectionState,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.events import QuicEvent
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace
from cryptography.exceptions import InvalidTag

from pilotdht.tunnel.quic.fast_send import FastSender
from pilotdht.tunnel.quic.streams import ReadyReceiver

MIN_PACKET_BYTES = 1 + 8 + 4 + 16

_HEADER_BYTES = 11  # first byte, connection id, two bytes of packet number
_NUMBER_WINDOW = 1 << 16
_ACK = 0x02


class StreamBytes(QuicEvent):
    """Bytes of a stream that arrived in order."""

    __slots__ = ("data", "end_stream", "stream_id")

    def __init__(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        self.stream_id = stream_id
        """Which stream."""
        self.data = data
        """What came."""
        self.end_stream = end_stream
        """Whether nothing follows."""


class FastReceiver(FastSender):
    """A connection with the short way for packets that are nothing special."""

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - aioquic's own
        super().__init__(**arguments)
        self._known_id = b""  # the connection id that the peer used last, and that is ours
        self._is_ping_seen = False
        self._idle_renewed_at = -1.0
        self.fast_packets_received = 0
        """Packets that took the short way."""

    def receive_datagram(self, data: bytes, addr: NetworkAddress, now: float) -> None:
        """Take in a datagram."""
        path = self._network_paths[0] if self._network_paths else None
        if (
            path is None
            or data[0] & 0xC0 != 0x40
            or not self._handshake_confirmed
            or not self._has_fast_paths
            or path.addr != addr
            or not path.is_validated
            or self._state is not QuicConnectionState.CONNECTED
            or self._close_event is not None
            or len(data) < MIN_PACKET_BYTES
            or not (data[1:9] == self._known_id or self._learn_id(data[1:9]))
            or not self._open(data, path, now)
        ):
            super().receive_datagram(data, addr, now)
            if self._is_ping_seen:
                self._acknowledge_ping(now)

    def _learn_id(self, connection_id: bytes) -> bool:
        """Return whether the id is ours, and not one that a client just changed to."""
        if self._is_client:
            is_known = any(connection_id == ours.cid for ours in self._host_cids)
        else:
            is_known = connection_id == self.host_cid
        if is_known:
            self._known_id = connection_id
        return is_known

    def _open(self, data: bytes, path: QuicNetworkPath, now: float) -> bool:
        """Open a packet and take in its frames; False, with nothing touched, when it is unusual."""
        context = self._application_keys.recv
        space = self._application_space
        assert context.hp is not None
        mask = context.hp._encryptor.update(data[13:29])
        first = data[0] ^ (mask[0] & 0x1F)
        # Reserved bits, another key phase, or another length of the packet number.
        if first & 0x1B != 1 or (first >> 2) & 1 != context.key_phase:
            return False
        truncated = (data[9] ^ mask[1]) << 8 | data[10] ^ mask[2]
        expected = space.expected_packet_number
        number = (expected & ~0xFFFF) | truncated
        if number <= expected - (_NUMBER_WINDOW >> 1):
            number += _NUMBER_WINDOW
        elif number > expected + (_NUMBER_WINDOW >> 1) and number >= _NUMBER_WINDOW:
            number -= _NUMBER_WINDOW
        aead: Any = context.aead
        try:
            plain: bytes = aead._aead.decrypt(
                (aead._iv ^ number).to_bytes(12, "big"),
                data[_HEADER_BYTES:],
                (first << 80 | int.from_bytes(data[1:9], "big") << 16 | truncated).to_bytes(_HEADER_BYTES, "big"),
            )
        except InvalidTag:
            return True  # forged, or from before a key change: dropped
        received = space.received_packets
        if not plain:
            return False  # a violation of the protocol, which aioquic answers
        if number < received._lower or number in received._received:
            return True  # a duplicate
        self._take_in(plain, number, path, space, now)
        return True

    def _take_in(self, plain: bytes, number: int, path: QuicNetworkPath, space: QuicPacketSpace, now: float) -> None:
        if number > space.expected_packet_number:
            space.expected_packet_number = number + 1
        self.fast_packets_received += 1
        start = self._take_in_simple_ack(plain, space, now)
        rest = self._take_in_streams(plain, start)
        is_ack_eliciting = rest > start
        if rest < len(plain):
            context = QuicReceiveContext(
                epoch=tls.Epoch.ONE_RTT,
                host_cid=self._known_id,
                network_path=path,
                quic_logger_frames=None,
                time=now,
                version=None,
            )
            try:
                is_eliciting, _ = self._payload_received(context, plain[rest:] if rest else plain)
            except QuicConnectionError as error:
                self.close(error_code=error.error_code, frame_type=error.frame_type, reason_phrase=error.reason_phrase)
                return
            if self._close_event is not None:
                return
            is_ack_eliciting = is_eliciting or is_ack_eliciting
        if now != self._idle_renewed_at:
            self._idle_renewed_at = now
            self._close_at = now + self._idle_timeout()
        self._ack_eliciting_sent_since_receipt = False
        self._note_received(space, number, is_ack_eliciting, now)

    def _note_received(self, space: QuicPacketSpace, number: int, is_ack_eliciting: bool, now: float) -> None:
        if number > space.largest_received_packet:
            space.largest_received_packet = number
            space.largest_received_time = now
        queue = space.ack_queue
        ranges: list[range] = queue._RangeSet__ranges  # type: ignore[attr-defined]  # its name is mangled
        if ranges and ranges[-1].stop == number:
            ranges[-1] = range(ranges[-1].start, number + 1)
        else:
            queue.add(number)
            if len(ranges) > MAX_ACK_RANGES:
                queue.shift()
        space.received_packets.add(number)
        if is_ack_eliciting and space.ack_at is None:
            space.ack_at = now + self._ack_delay
        if self._is_ping_seen:
            self._acknowledge_ping(now)

    def _acknowledge_ping(self, now: float) -> None:
        """Answer a ping at once: somebody measures."""
        self._is_ping_seen = False
        space = self._application_space
        if space.ack_at is not None:
            space.ack_at = min(space.ack_at, now)

    def _take_in_simple_ack(self, plain: bytes, space: QuicPacketSpace, now: float) -> int:
        """Take in an ACK frame of one range at the beginning; return where it ends, or 0."""
        if plain[0] != _ACK:
            return 0
        try:
            largest, at = _uint_var(plain, 1)
            delay, at = _uint_var(plain, at)
            more_ranges, at = _uint_var(plain, at)
            length, at = _uint_var(plain, at)
        except IndexError:
            return 0
        if more_ranges or length > largest:
            return 0
        self._recovery.on_ack_received(
            ack_rangeset=RangeSet((range(largest - length, largest + 1),)),
            ack_delay=(delay << self._remote_ack_delay_exponent) / 1e6,
            now=now,
            space=space,
        )
        return at

    def _take_in_streams(self, plain: bytes, position: int) -> int:
        """Take in STREAM frames that continue their streams; return where the first other frame begins."""
        size = len(plain)
        while position < size:
            frame_type = plain[position]
            if frame_type & 0xF8 != 0x08:
                return position
            try:
                stream_id, at = _uint_var(plain, position + 1)
                offset, at = _uint_var(plain, at) if frame_type & 4 else (0, at)
                length, at = _uint_var(plain, at) if frame_type & 2 else (size - at, at)
            except IndexError:
                return position
            stop = at + length
            stream = self._streams.get(stream_id)
            if stream is None or stop > size:
                return position
            receiver = stream.receiver
            end = offset + length
            limit = self._local_max_data
            grown = end - receiver.highest_offset
            if (
                offset != receiver._buffer_start
                or receiver._buffer
                or receiver.is_finished
                or receiver._final_size is not None
                or end > stream.max_stream_data_local
                or grown < 0
                or limit.used + grown > limit.value
                or not (length or frame_type & 1)
            ):
                return position
            receiver._buffer_start = receiver.highest_offset = end
            limit.used += grown
            is_last = bool(frame_type & 1)
            if is_last:
                receiver._final_size = end
                receiver.is_finished = True
                assert isinstance(receiver, ReadyReceiver)
                receiver.ready[stream_id] = stream
            self._events.append(StreamBytes(stream_id, plain[at:stop], is_last))
            position = stop
        return position

    # What follows overrides aioquic.

    def _handle_ping_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        super()._handle_ping_frame(context, frame_type, buf)
        if context.epoch is tls.Epoch.ONE_RTT:
            self._is_ping_seen = True


def _uint_var(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer and where it ends; IndexError when it is cut off.

    Source: RFC 9000, section 16.
    """
    first = data[at]
    if first < 0x40:
        return first, at + 1
    size = 1 << (first >> 6)
    stop = at + size
    data[stop - 1]
    return int.from_bytes(data[at:stop], "big") & ((1 << (8 * size - 2)) - 1), stop
