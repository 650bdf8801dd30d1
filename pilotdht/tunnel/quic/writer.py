"""Fills 1-RTT packets from what is due: acknowledgements, control frames, and the streams that reported themselves.

The same frames in the same order as aioquic, with two differences: a packet costs the same whether ten streams are open
or ten thousand, and an acknowledgement that is not due yet rides along when something else is sent anyway (RFC 9000,
section 13.2.1), which spares the peer a packet and gives it an earlier round-trip sample.
"""

from __future__ import annotations

import enum
from typing import Any

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.buffer import size_uint_var
from aioquic.quic.connection import (
    QuicNetworkPath,
    QuicReceiveContext,
    stream_is_client_initiated,
)
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.events import QuicEvent
from aioquic.quic.packet import QuicFrameType, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder, QuicPacketBuilderStop
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from pilotdht.tunnel.quic.credit import CreditFlowControl
from pilotdht.tunnel.quic.recovery import NodeRecovery
from pilotdht.tunnel.quic.streams import ReadyStreams, adopt


class StreamDiscarded(QuicEvent):
    """Both directions of a stream are finished and acknowledged."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        """Which."""


class _Served(enum.Enum):
    """How a stream fared when it was its turn."""

    WROTE = 1
    FULL = 2
    BLOCKED = 3
    IDLE = 4


class ApplicationWriter(CreditFlowControl):
    """A connection that writes from ready streams only."""

    def __init__(self, *, is_loss_tolerant: bool, **arguments: Any) -> None:  # noqa: ANN401 - aioquic's own
        super().__init__(**arguments)
        self._recovery = NodeRecovery(
            is_loss_tolerant=is_loss_tolerant,
            congestion_control_algorithm=self._configuration.congestion_control_algorithm,
            initial_rtt=self._configuration.initial_rtt,
            max_datagram_size=self._max_datagram_size,
            peer_completed_address_validation=not self._is_client,
            send_probe=self._send_probe,
            logger=self._logger,
        )
        self._loss = self._recovery
        self._ready: ReadyStreams = {}
        self._held: ReadyStreams = {}  # streams that wait for the peer's flow control

    def unacknowledged_bytes(self, stream_id: int) -> int:
        """Return how many bytes of a stream were written and not acknowledged."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.sender._buffer_stop - stream.sender._buffer_start

    def is_delivered(self, stream_id: int) -> bool:
        """Return whether all that was written, and the end if it was, has been acknowledged."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.sender.is_finished:
            return True
        sender = stream.sender
        return sender._buffer_fin is None and sender._buffer_start == sender._buffer_stop

    def _on_stream_discarded(self, stream: QuicStream) -> None:
        super()._on_stream_discarded(stream)
        stream_id = stream.stream_id
        assert stream_id is not None
        del self._streams[stream_id]
        self._held.pop(stream_id, None)
        if stream_is_client_initiated(stream_id) != self._is_client:
            self._stream_limit(stream_id).value += 1
        self._events.append(StreamDiscarded(stream_id))

    # What follows overrides aioquic.

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        # Looked up once: aioquic's dictionaries are keyed by an enumeration, whose hash is slow.
        self._application_keys: CryptoPair = self._cryptos[tls.Epoch.ONE_RTT]
        self._application_space: QuicPacketSpace = self._spaces[tls.Epoch.ONE_RTT]
        self._application_crypto: QuicStream = self._crypto_streams[tls.Epoch.ONE_RTT]

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        stream = super()._get_or_create_stream(frame_type, stream_id)
        if self._streams_queue:
            self._adopt_new_streams()
        return stream

    def _get_or_create_stream_for_send(self, stream_id: int) -> QuicStream:
        stream = super()._get_or_create_stream_for_send(stream_id)
        if self._streams_queue:
            self._adopt_new_streams()
        return stream

    def _adopt_new_streams(self) -> None:
        for stream in self._streams_queue:
            adopt(stream, self._streams, self._ready)
        self._streams_queue.clear()

    def _handle_max_data_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        super()._handle_max_data_frame(context, frame_type, buf)
        self._release_held()

    def _handle_max_stream_data_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        super()._handle_max_stream_data_frame(context, frame_type, buf)
        self._release_held()

    def _release_held(self) -> None:
        self._ready.update(self._held)
        self._held.clear()

    def _unblock_streams(self, is_unidirectional: bool) -> None:
        waiting = list(self._streams_blocked_bidi)
        super()._unblock_streams(is_unidirectional)
        for stream in waiting:
            if stream.is_blocked:
                break
            assert stream.stream_id is not None
            self._ready[stream.stream_id] = stream

    def _has_streams_due(self) -> bool:
        return bool(self._ready)

    def _has_control_due(self, network_path: QuicNetworkPath) -> bool:
        """Return whether a frame other than STREAM and ACK waits to be written."""
        return bool(
            self._handshake_done_pending
            or self._ping_pending
            or self._probe_pending
            or self._datagrams_pending
            or self._retire_connection_ids
            or self._streams_blocked_pending
            or network_path.remote_challenges
            or not network_path.is_validated
            or self._has_limits_due()
            or not self._application_crypto.sender.buffer_is_empty
            or not all(connection_id.was_sent for connection_id in self._host_cids)
        )

    def _write_application(self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float) -> None:
        crypto, space = self._application_keys, self._application_space
        if not crypto.send.is_valid():
            return
        pacer = self._recovery.pacer
        has_more = self._has_streams_due() or self._has_control_due(network_path)
        while True:
            is_ack_due = space.ack_at is not None and (space.ack_at <= now or has_more)
            if not is_ack_due:  # acknowledgements are not paced
                if not has_more:
                    break
                self._pacing_at = pacer.next_send_time(now=now)
                if self._pacing_at is not None:
                    break
            builder.start_packet(QuicPacketType.ONE_RTT, crypto)
            if is_ack_due:
                self._write_ack_frame(builder=builder, space=space, now=now)
            if has_more:
                self._write_control(builder, space, network_path, now)
                self._write_streams(builder)
            if builder.packet_is_empty and not (self._handshake_complete and self._has_limits_due()):
                break  # else streams were discarded, which lets the peer open new ones
            packet = builder._packet
            if packet is not None and packet.in_flight:  # acknowledgements alone cost no credit
                pacer.spend(builder._buffer.tell() - builder._packet_start)
            has_more = self._has_streams_due() or self._has_control_due(network_path)

    def _write_control(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, network_path: QuicNetworkPath, now: float
    ) -> None:
        if self._handshake_complete:
            if not (network_path.is_validated or network_path.local_challenge_sent):
                self._write_path_challenge_frame(builder=builder, network_path=network_path)
                if network_path.validation_deadline is None:  # RFC 9000, section 8.2.4
                    network_path.validation_deadline = now + 3 * max(
                        self._loss.get_probe_timeout(), 2 * self._configuration.initial_rtt
                    )
            if self._handshake_done_pending:
                self._write_handshake_done_frame(builder=builder)
                self._handshake_done_pending = False
            while network_path.remote_challenges:
                self._write_path_response_frame(builder=builder, challenge=network_path.remote_challenges[0])
                network_path.remote_challenges.popleft()
            for connection_id in self._host_cids:
                if not connection_id.was_sent:
                    self._write_new_connection_id_frame(builder=builder, connection_id=connection_id)
            while self._retire_connection_ids:
                self._write_retire_connection_id_frame(builder=builder, sequence_number=self._retire_connection_ids[0])
                self._retire_connection_ids.pop(0)
            if self._streams_blocked_pending:
                self._write_streams_blocked_frame(
                    builder=builder,
                    frame_type=QuicFrameType.STREAMS_BLOCKED_BIDI,
                    limit=self._remote_max_streams_bidi,
                )
                self._streams_blocked_pending = False
            self._write_connection_limits(builder=builder, space=space)
        self._write_due_stream_limits(builder, space)
        if self._ping_pending:
            self._write_ping_frame(builder, self._ping_pending)
            self._ping_pending.clear()
        if self._probe_pending:
            self._write_ping_frame(builder)
            self._probe_pending = False
        crypto_stream = self._application_crypto
        if not crypto_stream.sender.buffer_is_empty:
            self._write_crypto_frame(builder=builder, space=space, stream=crypto_stream)
        while self._datagrams_pending:
            try:
                self._write_datagram_frame(
                    builder=builder, data=self._datagrams_pending[0], frame_type=QuicFrameType.DATAGRAM_WITH_LENGTH
                )
            except QuicPacketBuilderStop:
                break  # it has the next packet to itself
            self._datagrams_pending.popleft()

    def _write_streams(self, builder: QuicPacketBuilder) -> None:
        ready, held = self._ready, self._held
        while ready:
            stream_id, stream = next(iter(ready.items()))
            if stream.is_finished:
                del ready[stream_id]
                if stream_id in self._streams:
                    self._on_stream_discarded(stream)
                continue
            if stream.is_blocked:  # over the peer's limit of streams: not even a reset may mention it
                del ready[stream_id]
                continue
            if stream.receiver.stop_pending:
                self._write_stop_sending_frame(builder=builder, stream=stream)
            served = _Served.IDLE
            if stream.sender.reset_pending:
                self._write_reset_stream_frame(builder=builder, stream=stream)
            elif not stream.sender.buffer_is_empty:
                served = self._serve(builder, stream)
            if served is _Served.FULL:
                return
            del ready[stream_id]
            if served is _Served.WROTE:
                ready[stream_id] = stream  # to the end of the queue
            elif served is _Served.BLOCKED:
                held[stream_id] = stream

    def _serve(self, builder: QuicPacketBuilder, stream: QuicStream) -> _Served:
        """Write one STREAM frame."""
        sender = stream.sender
        offset = sender.next_offset
        assert stream.stream_id is not None
        overhead = 3 + size_uint_var(stream.stream_id) + (size_uint_var(offset) if offset else 0)
        room = builder.remaining_flight_space - overhead
        if room <= 0:
            return _Served.FULL
        highest = sender.highest_offset
        frame = sender.get_frame(
            room, min(highest + self._remote_max_data - self._remote_max_data_used, stream.max_stream_data_remote)
        )
        if frame is None:
            return _Served.IDLE if sender.buffer_is_empty else _Served.BLOCKED
        size = len(frame.data)
        buffer = builder.start_frame(
            QuicFrameType.STREAM_BASE | 2 | (4 if frame.offset else 0) | frame.fin,
            capacity=overhead,
            handler=sender.on_data_delivery,
            handler_args=(frame.offset, frame.offset + size, frame.fin),
        )
        buffer.push_uint_var(stream.stream_id)
        if frame.offset:
            buffer.push_uint_var(frame.offset)
        buffer.push_uint16(size | 0x4000)
        buffer.push_bytes(frame.data)
        self._remote_max_data_used += sender.highest_offset - highest
        if not len(sender._pending) and not sender._pending_eof:
            sender.buffer_is_empty = True
            return _Served.IDLE
        return _Served.WROTE
