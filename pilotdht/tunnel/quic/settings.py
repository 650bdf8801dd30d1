"""What all connections of a node have in common."""

from __future__ import annotations

import hashlib
import hmac
import ssl

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.keys import KeyPair

ALPN = "pilotdht/1"
CONNECTION_ID_BYTES = 8
RESET_TOKEN_BYTES = 16
MAX_MESSAGE_FRAME_BYTES = 65535

_RESET_DOMAIN = b"pilotdht/1 stateless reset"


class ConnectionSettings:
    """Configuration objects shared by the connections of a node."""

    def __init__(self, keys: KeyPair, config: TunnelConfig) -> None:
        self.config = config
        """The node's tunables."""
        self._certificate = make_certificate(keys)
        self._private_key = keys.private_key
        self._reset_key = hmac.digest(keys.private_key.private_bytes_raw(), _RESET_DOMAIN, "sha256")
        self.client = self._configuration(is_client=True)
        """For connections that this node dials."""
        self.server = self._configuration(is_client=False)
        """For connections that this node accepts."""

    def reset_token(self, connection_id: bytes) -> bytes:
        """Return the 16-byte token that proves, even after a restart, that ``connection_id`` was issued by this node.

        Source: RFC 9000, section 10.3.2.
        """
        return hmac.digest(self._reset_key, connection_id, hashlib.sha256)[:RESET_TOKEN_BYTES]

    def _configuration(self, *, is_client: bool) -> QuicConfiguration:
        config = self.config
        return QuicConfiguration(
            is_client=is_client,
            alpn_protocols=[ALPN],
            certificate=self._certificate,
            private_key=self._private_key,
            verify_mode=ssl.CERT_NONE,  # no authorities: keys are compared in PinnedContext
            cipher_suites=[tls.CipherSuite.AES_256_GCM_SHA384],
            supported_versions=[QuicProtocolVersion.VERSION_1],
            connection_id_length=CONNECTION_ID_BYTES,
            congestion_control_algorithm="cubic" if config.congestion_control == "bbr" else config.congestion_control,
            max_datagram_size=config.max_datagram_bytes,
            max_data=config.link_window_bytes,
            max_stream_data=config.stream_window_bytes,
            idle_timeout=config.dead_peer_s,
            initial_rtt=config.initial_rtt_s,
            max_datagram_frame_size=MAX_MESSAGE_FRAME_BYTES,
        )
