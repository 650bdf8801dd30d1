"""Bulk data straight from a stream's buffer into full packets.

Applies when nothing is unusual: handshake confirmed, path validated, no key change pending, and a stream with several
full packets to send within the peer's flow control, the congestion window and the pace. Control frames and
acknowledgements go first, in a packet of their own; the last packet of a burst, the end of a stream and everything else
take aioquic's way.

A packet is one STREAM frame without a length: it reaches to the end of the packet. All packets of a burst have the same
size, so that the socket can send them in one call.

Source: RFC 9000, sections 17.3.1 and 19.8; RFC 9001, sections 5.3 and 5.4.
"""

from __future__ import annotations

import math
from typing import Any

from aioquic.buffer import encode_uint_var
from aioquic.quic.connection import QuicConnectionState, QuicNetworkPath
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from pilotdht.tunnel.quic.recovery import BulkPacket
from pilotdht.tunnel.quic.writer import ApplicationWriter
from pilotdht.wire.endpoint import Endpoint

Train = tuple[list[bytes], Endpoint]
"""Datagrams for one endpoint, in order."""

MIN_BULK_PACKETS = 2
"""Fewer are not worth the way."""
RESERVED_PACKETS = 2
"""Part of the window that bulk data leaves to control frames, so that they are never starved."""
TURN_PACKETS = 48
"""Packets of one stream before the next one has its turn."""

_STREAM_WITH_OFFSET = 0x0C
_TAG_BYTES = 16
_NUMBER_BYTES = 2
_SMALL_OFFSET = 1 << 30


class FastSender(ApplicationWriter):
    """A connection with the short way for bulk data."""

    def __init__(self, *, has_fast_paths: bool, **arguments: Any) -> None:  # noqa: ANN401 - aioquic's own
        super().__init__(**arguments)
        self._has_fast_paths = has_fast_paths
        self._is_control_only = False
        self.bulk_packets_sent = 0
        """Packets that took the short way."""

    def trains(self, now: float) -> list[Train]:
        """Return what is to be sent now."""
        path = self._network_paths[0]
        if not self._has_work(path, now):
            return []
        out: list[Train] = []
        self._pacing_at = None
        is_done = False
        if self._ready and self._may_send_bulk(path):
            space = self._application_space
            if space.ack_at is not None or self._has_control_due(path):
                self._is_control_only = True
                try:
                    self._append_stock(out, now)
                finally:
                    self._is_control_only = False
            datagrams, is_done = self._pack_bulk(path, space, now)
            if datagrams:
                out.append((datagrams, path.addr))
        if not is_done:
            self._append_stock(out, now)
            control = self._recovery.control
            if control is not None and not self._ready and control.bytes_in_flight < control.congestion_window:
                control.on_app_limited()
        return out

    def _has_work(self, path: QuicNetworkPath, now: float) -> bool:
        """Return whether anything might be sent; False only when there is certainly nothing."""
        if not self._handshake_confirmed or self._close_event is not None or len(self._network_paths) > 1:
            return True
        ack_at = self._application_space.ack_at
        return bool(self._ready) or (ack_at is not None and ack_at <= now) or self._has_control_due(path)

    def _append_stock(self, out: list[Train], now: float) -> None:
        for datagram, endpoint in self.datagrams_to_send(now):
            if out and out[-1][1] == endpoint:
                out[-1][0].append(datagram)
            else:
                out.append(([datagram], endpoint))

    def _may_send_bulk(self, path: QuicNetworkPath) -> bool:
        if not (
            self._has_fast_paths
            and self._handshake_confirmed
            and path.is_validated
            and self._state is QuicConnectionState.CONNECTED
            and self._close_event is None
            and not self._application_keys._update_key_requested
        ):
            return False
        stream = next(iter(self._ready.values()))
        sender = stream.sender
        return sender._buffer_stop - sender.next_offset > MIN_BULK_PACKETS * self._max_datagram_size

    def _pack_bulk(self, path: QuicNetworkPath, space: QuicPacketSpace, now: float) -> tuple[list[bytes], bool]:
        """Pack full packets of ready streams.

        Returns:
            The datagrams, and whether window or pace allow nothing more for now.
        """
        size = self._max_datagram_size
        recovery = self._recovery
        room = recovery.congestion_window - recovery.bytes_in_flight
        window_count = room // size - RESERVED_PACKETS
        allowance = recovery.pacer.allowance(now)
        pace_count = window_count if allowance is math.inf else math.ceil(allowance / size)
        count = min(window_count, pace_count)
        out: list[bytes] = []
        while count >= 1 and self._ready:
            stream_id, stream = next(iter(self._ready.items()))
            packed = self._pack_stream(stream, min(count, TURN_PACKETS), path, space, now, out)
            count -= packed
            if packed < MIN_BULK_PACKETS:
                break
            del self._ready[stream_id]
            self._ready[stream_id] = stream  # to the end of the queue
        if count >= 1:
            return out, False
        if pace_count <= window_count:
            self._pacing_at = recovery.pacer.time_of_next(now)
        return out, room < size or pace_count <= window_count

    def _pack_stream(
        self, stream: QuicStream, most: int, path: QuicNetworkPath, space: QuicPacketSpace, now: float, out: list[bytes]
    ) -> int:
        """Append full packets of one stream to ``out``; return how many."""
        sender = stream.sender
        if (
            stream.is_blocked
            or stream.receiver.stop_pending
            or sender._reset_error_code is not None
            or not len(sender._pending)
        ):
            return 0
        pending = sender._pending[0]
        start: int = pending.start
        highest = sender.highest_offset
        limit = min(
            pending.stop, highest + self._remote_max_data - self._remote_max_data_used, stream.max_stream_data_remote
        )
        assert stream.stream_id is not None
        head = bytes((_STREAM_WITH_OFFSET,)) + encode_uint_var(stream.stream_id)
        offset_bits, offset_bytes = (0x80 << 24, 4) if limit < _SMALL_OFFSET else (0xC0 << 56, 8)
        head_bytes = len(head) + offset_bytes
        chunk = self._max_datagram_size - 1 - len(self._peer_cid.cid) - _NUMBER_BYTES - _TAG_BYTES - head_bytes
        count = min((limit - start) // chunk, most)
        if count > 0 and start + count * chunk == sender._buffer_fin:
            count -= 1  # the end of the stream is said the stock way
        if count < 1:
            return 0
        packets = self._seal(
            sender_buffer=sender._buffer,
            position=start - sender._buffer_start,
            chunk=chunk,
            count=count,
            head_base=(int.from_bytes(head, "big") << (8 * offset_bytes)) | offset_bits | start,
            head_bytes=head_bytes,
        )
        out += packets
        stop = start + count * chunk
        sender._pending.subtract(start, stop)
        if stop > highest:
            sender.highest_offset = stop
            self._remote_max_data_used += stop - highest
        if not len(sender._pending) and not sender._pending_eof:
            sender.buffer_is_empty = True
        number, size = self._packet_number, self._max_datagram_size
        self._packet_number = number + count
        self._recovery.on_bulk_sent(
            [
                BulkPacket(number + i, now, size, sender, start + i * chunk, start + (i + 1) * chunk, None)
                for i in range(count)
            ],
            count * size,
            space,
            now,
        )
        path.bytes_sent += count * size
        if not self._ack_eliciting_sent_since_receipt:
            self._ack_eliciting_sent_since_receipt = True
            self._close_at = now + self._idle_timeout()
        self.bulk_packets_sent += count
        return count

    def _seal(
        self, *, sender_buffer: bytearray, position: int, chunk: int, count: int, head_base: int, head_bytes: int
    ) -> list[bytes]:
        """Return ``count`` protected packets with consecutive chunks of the buffer.

        The header is handled as one number: first byte, connection id and packet number, so that adding the packet
        number and the header protection are one operation each.
        """
        pair = self._application_keys
        context = pair.send
        assert context.aead is not None
        assert context.hp is not None
        aead: Any = context.aead
        encrypt, vector = aead._aead.encrypt, aead._iv
        protect = context.hp._encryptor.update
        peer_id = self._peer_cid.cid
        header_bytes = 1 + len(peer_id) + _NUMBER_BYTES
        shift = 8 * (header_bytes - 1)
        first = 0x40 | (self._spin_bit << 5) | (pair.key_phase << 2) | (_NUMBER_BYTES - 1)
        header_base = first << shift | int.from_bytes(peer_id, "big") << 16
        number = self._packet_number
        out: list[bytes] = []
        for _ in range(count):
            header = header_base | number & 0xFFFF
            sealed = encrypt(
                (vector ^ number).to_bytes(12, "big"),
                head_base.to_bytes(head_bytes, "big") + sender_buffer[position : position + chunk],
                header.to_bytes(header_bytes, "big"),
            )
            mask = protect(sealed[2:18])
            header ^= (mask[0] & 0x1F) << shift | mask[1] << 8 | mask[2]
            out.append(header.to_bytes(header_bytes, "big") + sealed)
            number += 1
            position += chunk
            head_base += chunk
        return out

    # What follows overrides ApplicationWriter.

    def _write_streams(self, builder: QuicPacketBuilder) -> None:
        if not self._is_control_only:
            super()._write_streams(builder)

    def _has_streams_due(self) -> bool:
        return bool(self._ready) and not self._is_control_only
