"""One QUIC connection between two nodes: what the link above it uses.

``now`` is the time of the running loop in seconds and never goes back. A timer is fired only *after* its deadline: at
exactly the deadline aioquic's sums may round so that nothing is due and the same deadline comes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic import events
from aioquic.quic.connection import QuicConnectionState

from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.quic.events import CloseCause, ConnectionClosed, ConnectionSink
from pilotdht.tunnel.quic.fast_receive import FastReceiver, StreamBytes
from pilotdht.tunnel.quic.fast_send import Train
from pilotdht.tunnel.quic.pinned import PinnedContext
from pilotdht.tunnel.quic.settings import ConnectionSettings
from pilotdht.tunnel.quic.writer import StreamDiscarded
from pilotdht.wire.endpoint import Endpoint

SHORT_OVERHEAD_BYTES: Final = 1 + 8 + 2 + 16
"""First byte, connection id, packet number and tag of a 1-RTT packet."""
MESSAGE_OVERHEAD_BYTES: Final = SHORT_OVERHEAD_BYTES + 3
"""The same with the type and length of a DATAGRAM frame."""


_SPENT_BUFFER_BYTES = 512
# aioquic warns about each peer that misbehaves: strangers would fill the log. It is counted here by result instead.
logging.getLogger("quic").setLevel(logging.CRITICAL)
_EPOCHS: dict[frozenset[tls.Epoch], frozenset[tls.Epoch]] = {}


class NodeConnection(FastReceiver):
    """A connection in which both ends prove who they are."""

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        expected_key: PublicKey | None,
        original_id: bytes | None = None,
        retry_id: bytes | None = None,
    ) -> None:
        self._settings = settings
        self._expected_key = expected_key
        config = settings.config
        super().__init__(
            max_streams=config.max_streams_per_link,
            has_fast_paths=config.has_fast_paths,
            is_loss_tolerant=config.congestion_control == "bbr",
            configuration=settings.client if original_id is None else settings.server,
            original_destination_connection_id=original_id,
            retry_source_connection_id=retry_id,
        )
        if original_id is not None:
            self._host_cids[0].stateless_reset_token = settings.reset_token(self.host_cid)
        self._keys_changed_at_packet = 0
        self.key_changes = 0
        """How often the keys were changed, by either side."""
        self._key_update_packets = config.key_update_packets
        self._max_messages_queued = config.max_messages_queued
        self._is_closed_here = False
        self._is_lost = False
        self._is_close_reported = False
        # Thirty sets of epochs a connection, of which four differ.
        handlers: dict[int, Any] = self._QuicConnection__frame_handlers  # type: ignore[attr-defined]  # name is mangled
        for frame_type, (handler, epochs) in handlers.items():
            handlers[frame_type] = (handler, _EPOCHS.setdefault(epochs, epochs))

    @classmethod
    def dial(
        cls, settings: ConnectionSettings, *, expected_key: PublicKey, endpoint: Endpoint, now: float
    ) -> NodeConnection:
        """Begin a handshake with the node that must own ``expected_key``."""
        connection = cls(settings, expected_key=expected_key)
        connection.connect(endpoint, now=now)
        return connection

    @classmethod
    def accept(
        cls, settings: ConnectionSettings, *, original_id: bytes, retry_id: bytes | None = None
    ) -> NodeConnection:
        """Make the server's side of a connection whose first datagram is about to be received.

        Args:
            settings: what all connections have in common.
            original_id: the destination id of the client's very first datagram.
            retry_id: the id that our Retry asked the client to use, if there was one.
        """
        return cls(settings, expected_key=None, original_id=original_id, retry_id=retry_id)

    @property
    def peer_key(self) -> PublicKey | None:
        """The key that the peer has proved, or ``None`` as long as it has not."""
        context = self.tls
        assert isinstance(context, PinnedContext)
        return context.peer_key

    @property
    def losses(self) -> tuple[int, int]:
        """How many packets, and bytes in them, were taken for lost so far."""
        return self._recovery.lost_packets, self._recovery.lost_bytes

    @property
    def lost_share(self) -> float:
        """Which share of the packets sent so far was taken for lost, 0..1."""
        return min(1.0, self._recovery.lost_packets / max(1, self._packet_number))

    @property
    def is_confirmed(self) -> bool:
        """Whether both sides have proved their keys, and know it of each other."""
        return self._handshake_confirmed

    @property
    def is_proof_sent(self) -> bool:
        """Whether this side has proved its key, so that the peer may take the connection for complete."""
        return self._handshake_complete

    @property
    def is_unborn(self) -> bool:
        """Whether nothing that was received could be understood so far."""
        return self._state is QuicConnectionState.FIRSTFLIGHT

    @property
    def is_closing(self) -> bool:
        """Whether no more data can be sent."""
        return self._close_event is not None

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time, or ``None`` before the first sample."""
        return self._loss._rtt_smoothed if self._loss._rtt_initialized else None

    @property
    def newest_received(self) -> int:
        """Number of the newest packet that the peer sent on the confirmed connection; only its owner makes it grow."""
        return self._application_space.largest_received_packet

    @property
    def unanswered_probes(self) -> int:
        """How often in a row what was sent had to be asked after, in vain."""
        return self._loss._pto_count

    def begin_path(self) -> None:
        """Measure round trips and bandwidth anew: datagrams go another way from now on."""
        self._recovery.begin_path()

    @property
    def peer_reset_token(self) -> bytes | None:
        """The token that a stateless reset from the peer would end with, or ``None`` when it gave none."""
        return self._peer_cid.stateless_reset_token or None

    @property
    def max_message_bytes(self) -> int:
        """Largest unreliable message that fits into a datagram."""
        allowed = self._remote_max_datagram_frame_size or 0
        return max(0, min(self._max_datagram_size - MESSAGE_OVERHEAD_BYTES, allowed - 4))

    def write(self, stream_id: int, data: bytes, is_last: bool) -> bool:
        """Queue bytes of a stream, and its end.

        Returns:
            False when the stream can take no more: the peer stopped reading, or it was ended before.
        """
        stream = self._streams.get(stream_id)
        if stream is None or self._close_event is not None:
            return False
        sender = stream.sender
        if sender._reset_error_code is not None or sender._buffer_fin is not None:
            return False
        sender.write(data, is_last)
        return True

    def give_up_sending(self, stream_id: int, code: int) -> None:
        """Tell the peer that nothing more will come on a stream."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.sender.reset(code)

    def give_up_receiving(self, stream_id: int, code: int) -> None:
        """Ask the peer to send nothing more on a stream."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            stream.receiver.stop(code)

    def send_message(self, data: bytes) -> bool:
        """Queue an unreliable message of at most :attr:`max_message_bytes`.

        Returns:
            False when an older one was dropped for it.
        """
        is_room = len(self._datagrams_pending) < self._max_messages_queued
        if not is_room:
            self._datagrams_pending.popleft()
        self.send_datagram_frame(data)
        return is_room

    def close_with(self, code: int, text: str = "") -> None:
        """Tell the peer, and end the connection."""
        if self._close_event is None:
            self._is_closed_here = True
            self.close(error_code=code, reason_phrase=text)

    def lose(self) -> None:
        """End the connection without a word: the peer has proved that it does not know it any more."""
        if self._close_event is None:
            self._is_lost = True
            self._close_event = events.ConnectionTerminated(error_code=0, frame_type=0, reason_phrase="stateless reset")
            self._close_end()

    def trains(self, now: float) -> list[Train]:
        """Return what is to be sent now."""
        if self._handshake_confirmed:
            if self._packet_number - self._keys_changed_at_packet >= self._key_update_packets:
                self._keys_changed_at_packet = self._packet_number
                self.request_key_update()
            # The id that a client chose first has no reset token: use one that has, or its restart would go unnoticed.
            if self._peer_cid_available and not self._peer_cid.stateless_reset_token:
                self.change_connection_id()
        return super().trains(now)

    def deadline(self) -> float | None:
        """Return when :meth:`fire` is to be called, or ``None``; call it strictly later than this."""
        if self._close_at is None:
            return None
        return self.get_timer()

    def fire(self, now: float) -> None:
        """Do what is due by time."""
        if self._close_at is not None:
            self.handle_timer(now)

    def deliver(self, sink: ConnectionSink) -> None:
        """Tell the link what happened since the last call."""
        queue = self._events
        while queue:
            event = queue.popleft()
            deliver = _DELIVER.get(event.__class__)
            if deliver is not None:
                deliver(sink, event)
        if self._close_event is not None and not self._is_close_reported:
            self._is_close_reported = True
            sink.on_closed(self._closed())
        if self._state is QuicConnectionState.TERMINATED:
            sink.on_terminated()

    def _closed(self) -> ConnectionClosed:
        event = self._close_event
        assert event is not None
        if self._is_lost:
            cause = CloseCause.RESET
        elif self._is_closed_here:
            cause = CloseCause.LOCAL
        elif self._state is QuicConnectionState.DRAINING:
            cause = CloseCause.REMOTE
        elif self._state is QuicConnectionState.TERMINATED:
            cause = CloseCause.IDLE
        else:
            cause = CloseCause.FAILED
        return ConnectionClosed(
            cause=cause,
            code=int(event.error_code),
            is_application=event.frame_type is None,
            text=event.reason_phrase,
        )

    # What follows overrides aioquic.

    def _update_traffic_key(
        self, direction: tls.Direction, epoch: tls.Epoch, cipher_suite: tls.CipherSuite, secret: bytes
    ) -> None:
        super()._update_traffic_key(direction, epoch, cipher_suite, secret)
        if epoch is tls.Epoch.ONE_RTT and direction is tls.Direction.ENCRYPT:
            self._cryptos[epoch].send._setup_cb = self._note_key_change

    def _note_key_change(self, trigger: str) -> None:
        self.key_changes += 1

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        context = self.tls
        context.__class__ = PinnedContext
        assert isinstance(context, PinnedContext)
        context.pin(self._expected_key)

    def _confirm_handshake(self) -> None:
        super()._confirm_handshake()
        # 48 KiB that only a handshake needs; what TLS may still say on a link that is up fits into less.
        self._crypto_buffers = {epoch: Buffer(capacity=_SPENT_BUFFER_BYTES) for epoch in self._crypto_buffers}

    def _replenish_connection_ids(self) -> None:
        known = len(self._host_cids)
        super()._replenish_connection_ids()
        for connection_id in self._host_cids[known:]:
            connection_id.stateless_reset_token = self._settings.reset_token(connection_id.cid)


_DELIVER: dict[type[events.QuicEvent], Callable[[ConnectionSink, Any], None]] = {
    events.StreamDataReceived: lambda sink, event: sink.on_stream_data(event.stream_id, event.data, event.end_stream),
    StreamBytes: lambda sink, event: sink.on_stream_data(event.stream_id, event.data, event.end_stream),
    events.StreamReset: lambda sink, event: sink.on_stream_reset(event.stream_id, event.error_code),
    events.StopSendingReceived: lambda sink, event: sink.on_stop_sending(event.stream_id, event.error_code),
    events.DatagramFrameReceived: lambda sink, event: sink.on_message(event.data),
    events.PingAcknowledged: lambda sink, event: sink.on_ping_acknowledged(event.uid),
    events.ConnectionIdIssued: lambda sink, event: sink.on_id_issued(event.connection_id),
    events.ConnectionIdRetired: lambda sink, event: sink.on_id_retired(event.connection_id),
    StreamDiscarded: lambda sink, event: sink.on_stream_gone(event.stream_id),
    events.HandshakeCompleted: lambda sink, event: sink.on_proved(),
}
