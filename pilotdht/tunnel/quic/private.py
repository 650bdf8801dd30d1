"""The names inside aioquic that are not its public API and that this package touches.

They are why the version is pinned. A test fails when the version changes or when one of these names is gone, so that an
update is a decision; ``tests/unit/tunnel/test_quic_contract.py`` says what to look at then.
"""

from __future__ import annotations

AIOQUIC_VERSION = "1.7.2"
"""The version whose source these names were read in."""

CONNECTION_FIELDS = (
    "_ack_eliciting_sent_since_receipt",
    "_ack_delay",
    "_close_at",
    "_close_event",
    "_configuration",
    "_cryptos",
    "_crypto_buffers",
    "_crypto_streams",
    "_QuicConnection__frame_handlers",
    "_datagrams_pending",
    "_events",
    "_handshake_complete",
    "_handshake_confirmed",
    "_handshake_done_pending",
    "_host_cids",
    "_is_client",
    "_local_max_data",
    "_local_max_streams_bidi",
    "_local_max_streams_uni",
    "_loss",
    "_max_datagram_size",
    "_network_paths",
    "_pacing_at",
    "_packet_number",
    "_peer_cid",
    "_peer_cid_available",
    "_ping_pending",
    "_probe_pending",
    "_remote_ack_delay_exponent",
    "_remote_max_data",
    "_remote_max_data_used",
    "_remote_max_datagram_frame_size",
    "_remote_max_streams_bidi",
    "_retire_connection_ids",
    "_spaces",
    "_spin_bit",
    "_state",
    "_streams",
    "_streams_blocked_bidi",
    "_streams_blocked_pending",
    "_streams_queue",
)
"""Fields of ``QuicConnection`` that are read or written."""

CONNECTION_METHODS = (
    "_close_end",
    "_confirm_handshake",
    "_get_or_create_stream",
    "_get_or_create_stream_for_send",
    "_handle_max_data_frame",
    "_handle_max_stream_data_frame",
    "_handle_ping_frame",
    "_handle_reset_stream_frame",
    "_idle_timeout",
    "_initialize",
    "_on_connection_limit_delivery",
    "_on_max_stream_data_delivery",
    "_payload_received",
    "_replenish_connection_ids",
    "_send_probe",
    "_stream_limit",
    "_unblock_streams",
    "_update_traffic_key",
    "_write_ack_frame",
    "_write_application",
    "_write_connection_limits",
    "_write_crypto_frame",
    "_write_datagram_frame",
    "_write_handshake_done_frame",
    "_write_new_connection_id_frame",
    "_write_path_challenge_frame",
    "_write_path_response_frame",
    "_write_ping_frame",
    "_write_reset_stream_frame",
    "_write_retire_connection_id_frame",
    "_write_stop_sending_frame",
    "_write_stream_limits",
    "_write_streams_blocked_frame",
)
"""Methods of ``QuicConnection`` that are called or overridden."""

CONTEXT_FIELDS = (
    "_certificate_request",
    "_peer_certificate",
    "_request_client_certificate",
    "_signature_algorithms",
    "_supported_groups",
)
"""Fields of ``tls.Context``."""

CONTEXT_METHODS = (
    "_check_certificate_verify_signature",
    "_client_handle_finished",
    "_server_handle_certificate",
    "_set_peer_certificate",
)
"""Methods of ``tls.Context`` that are overridden."""

SENDER_FIELDS = (
    "_buffer",
    "_buffer_fin",
    "_buffer_start",
    "_buffer_stop",
    "_pending",
    "_pending_eof",
    "_reset_error_code",
)
"""Fields of ``QuicStreamSender``."""

RECEIVER_FIELDS = ("_buffer", "_buffer_start", "_final_size", "_ranges")
"""Fields of ``QuicStreamReceiver``."""

RECOVERY_FIELDS = (
    "_cc",
    "_pacer",
    "_pto_count",
    "_rtt_first_sample_time",
    "_rtt_initial",
    "_rtt_initialized",
    "_rtt_latest",
    "_rtt_min",
    "_rtt_smoothed",
    "_rtt_variance",
    "_time_of_last_sent_ack_eliciting_packet",
)
"""Fields of ``QuicPacketRecovery``."""

RECOVERY_METHODS = ("_detect_loss", "_in_persistent_congestion", "_on_packets_lost")
"""Methods of ``QuicPacketRecovery`` that are called or overridden."""

BUILDER_FIELDS = ("_buffer", "_packet", "_packet_start")
"""Fields of ``QuicPacketBuilder``."""

SOURCES = {
    "quic/connection.py": "6bad39a59cd772d8a6545d4b9356fa3bc9897cf5269619266310286b307cdf97",
    "quic/packet_builder.py": "ca12616de245b8afa5a1a00c1d42fd803be34f10a85c837a0ab1c322d811fc5e",
    "quic/recovery.py": "b3c86760919184420e85bba0853747b3f849234018a8f48cd79709e1ba033cbc",
    "quic/stream.py": "d55a14b50a7684daac6b261271e3949c786a242297229c6084b105eb09f93d15",
    "quic/crypto.py": "9bedbee21476d1b5cf7417fd03b8a94f4711948027da0f8a224127bdb51c863d",
    "quic/rangeset.py": "d00b29c91cffa95d42c254739ec3a4be06caa9212057390d50c2b3200b71c876",
    "_crypto.py": "511671a7c481c1f4be2838863f9c3d58b4fa3f7524098bf19a616a40964c93fe",
    "tls.py": "1686d883e8782b91f78c26584a73aa68ec7a613025f2111db8846a4191b36128",
}
"""SHA-256 of the files whose behaviour is relied upon."""
