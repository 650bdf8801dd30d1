"""Streams that report when they have something to say, so that nobody needs to ask them all.

aioquic walks over every open stream for every packet it builds. Here a stream puts itself into the connection's ready
list when data is written, when a part of it was lost, or when it is finished; a packet is filled from that list.
"""

from __future__ import annotations

from aioquic.quic.events import StreamDataReceived, StreamReset
from aioquic.quic.packet import QuicErrorCode, QuicStreamFrame
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.stream import QuicStream, QuicStreamReceiver, QuicStreamSender

ReadyStreams = dict[int, QuicStream]
"""Streams to be served, first in, first served, by stream id."""


class ReadySender(QuicStreamSender):
    """The sending half of a stream."""

    ready: ReadyStreams
    streams: dict[int, QuicStream]
    number: int

    def write(self, data: bytes, end_stream: bool = False) -> None:
        """Queue data, and the end of the stream."""
        super().write(data, end_stream)
        self._report()

    def reset(self, error_code: int) -> None:
        """Give up sending."""
        super().reset(error_code)
        self._report()

    def on_data_delivery(self, delivery: QuicDeliveryState, start: int, stop: int, fin: bool) -> None:
        """Note that data was acknowledged or lost."""
        super().on_data_delivery(delivery, start, stop, fin)
        if delivery is QuicDeliveryState.LOST or self.is_finished:
            self._report()

    def on_reset_delivery(self, delivery: QuicDeliveryState) -> None:
        """Note that the reset was acknowledged or lost."""
        super().on_reset_delivery(delivery)
        self._report()

    def _report(self) -> None:
        stream = self.streams.get(self.number)
        if stream is not None:
            self.ready[self.number] = stream


class ReadyReceiver(QuicStreamReceiver):
    """The receiving half of a stream."""

    ready: ReadyStreams
    streams: dict[int, QuicStream]
    number: int

    def handle_frame(self, frame: QuicStreamFrame) -> StreamDataReceived | None:
        """Take in data."""
        event = super().handle_frame(frame)
        if self.is_finished:
            self._report()
        return event

    def handle_reset(self, *, final_size: int, error_code: int = QuicErrorCode.NO_ERROR) -> StreamReset | None:
        """Take in that the peer gave up sending."""
        event = super().handle_reset(final_size=final_size, error_code=error_code)
        self._report()
        return event

    def stop(self, error_code: int = QuicErrorCode.NO_ERROR) -> None:
        """Ask the peer to give up sending."""
        super().stop(error_code)
        self._report()

    def on_stop_sending_delivery(self, delivery: QuicDeliveryState) -> None:
        """Note that the request was acknowledged or lost."""
        super().on_stop_sending_delivery(delivery)
        self._report()

    def _report(self) -> None:
        stream = self.streams.get(self.number)
        if stream is not None:
            self.ready[self.number] = stream


def adopt(stream: QuicStream, streams: dict[int, QuicStream], ready: ReadyStreams) -> None:
    """Make a stream that aioquic has created report to ``ready``.

    Its halves know it by number only: a reference would make every finished stream work for the garbage collector.
    """
    sender, receiver = stream.sender, stream.receiver
    sender.__class__ = ReadySender
    receiver.__class__ = ReadyReceiver
    assert isinstance(sender, ReadySender)
    assert isinstance(receiver, ReadyReceiver)
    assert stream.stream_id is not None
    sender.ready = receiver.ready = ready
    sender.streams = receiver.streams = streams
    sender.number = receiver.number = stream.stream_id
