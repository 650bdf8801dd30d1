"""Flow control that gives credit for bytes the application has consumed.

aioquic doubles its windows whenever half of one has *arrived*, read or not: any stranger could fill the memory of a
slow reader, and nine one-byte packets at the top of ever larger windows made it allocate 255 MiB. Here a limit is
always "consumed so far plus one window", for the link and for each stream, and is announced when it has moved by half
a window.

What a peer sent and nobody will ever read (a stream that was reset, or finished with gaps) is given back to the link's
window, so that abandoned streams do not wear it away.

Source: RFC 9000, section 4.
"""

from __future__ import annotations

from typing import Any

from aioquic._buffer import Buffer
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    Limit,
    QuicConnection,
    QuicReceiveContext,
)
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream


class CreditFlowControl(QuicConnection):
    """A connection whose peer may send one window beyond what was consumed."""

    def __init__(self, *, max_streams: int, **arguments: Any) -> None:  # noqa: ANN401 - aioquic's own
        super().__init__(**arguments)
        self._link_window = self._configuration.max_data
        self._stream_window = self._configuration.max_stream_data
        self._link_consumed = 0
        self._stream_consumed: dict[int, int] = {}
        self._limits_due: dict[int, QuicStream] = {}
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = max_streams
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 0  # the protocol has none

    def consumed(self, stream_id: int, size: int) -> bool:
        """Give credit for ``size`` bytes of a stream that the application is done with.

        Returns:
            Whether there is now something worth telling the peer.
        """
        is_due = self._give_link_credit(size)
        stream = self._streams.get(stream_id)
        if stream is None or stream.receiver.is_finished:
            return is_due
        taken = self._stream_consumed[stream_id] = self._stream_consumed.get(stream_id, 0) + size
        if taken + self._stream_window - stream.max_stream_data_local >= self._stream_window // 2:
            stream.max_stream_data_local = taken + self._stream_window
            self._limits_due[stream_id] = stream
            return True
        return is_due

    @property
    def received_unconsumed_bytes(self) -> int:
        """Bytes the peer has used of the link's window and that were not consumed yet."""
        return self._local_max_data.used - self._link_consumed

    def _give_link_credit(self, size: int) -> bool:
        self._link_consumed += size
        limit = self._local_max_data
        if self._link_consumed + self._link_window - limit.value >= self._link_window // 2:
            limit.value = self._link_consumed + self._link_window
            return True
        return False

    def _forget_undelivered(self, stream: QuicStream) -> None:
        """Give back the credit of bytes behind a gap that nobody will fill, and free them."""
        receiver = stream.receiver
        missing = receiver.highest_offset - receiver._buffer_start
        if missing > 0:
            receiver._buffer_start = receiver.highest_offset
            receiver._buffer = bytearray()
            receiver._ranges = RangeSet()
            self._give_link_credit(missing)

    def _on_stream_discarded(self, stream: QuicStream) -> None:
        assert stream.stream_id is not None
        self._forget_undelivered(stream)
        self._stream_consumed.pop(stream.stream_id, None)
        self._limits_due.pop(stream.stream_id, None)

    def _has_limits_due(self) -> bool:
        max_data, max_streams = self._local_max_data, self._local_max_streams_bidi
        return bool(
            self._limits_due
            or max_data.value != max_data.sent
            or max_streams.sent - max_streams.used < max_streams.value - max_streams.sent
        )

    # What follows overrides aioquic.

    def _handle_reset_stream_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        buf.seek(start)
        super()._handle_reset_stream_frame(context, frame_type, buf)
        stream = self._streams.get(stream_id)
        if stream is not None and stream.receiver.is_finished:
            self._forget_undelivered(stream)

    def _on_max_stream_data_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        super()._on_max_stream_data_delivery(delivery, stream)
        if delivery is QuicDeliveryState.LOST and stream.stream_id in self._streams:
            self._limits_due[stream.stream_id] = stream

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        max_data, max_streams = self._local_max_data, self._local_max_streams_bidi
        if max_data.value != max_data.sent:
            self._write_limit(builder, max_data)
        # Batched: announced when fewer streams are left to open than the announcement would grant.
        if max_streams.sent - max_streams.used < max_streams.value - max_streams.sent:
            self._write_limit(builder, max_streams)

    def _write_limit(self, builder: QuicPacketBuilder, limit: Limit) -> None:
        buffer = builder.start_frame(
            limit.frame_type,
            capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
            handler=self._on_connection_limit_delivery,
            handler_args=(limit,),
        )
        buffer.push_uint_var(limit.value)
        limit.sent = limit.value

    def _write_due_stream_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        due = self._limits_due
        while due:
            stream_id, stream = next(iter(due.items()))
            if not stream.receiver.is_finished:
                self._write_stream_limits(builder, space, stream)
            del due[stream_id]

    def _write_stream_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream) -> None:
        receiver = stream.receiver
        highest, receiver.highest_offset = receiver.highest_offset, 0  # so that the original does not double the limit
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            receiver.highest_offset = highest
