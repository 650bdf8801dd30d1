"""TLS 1.3 in which each side proves an Ed25519 key, and the dialling side a particular one.

Certificates only carry keys: no authority, no names, no dates. What aioquic's server lets pass and is refused here: an
empty client certificate, several certificates, keys of other types. A client also refuses a server that does not ask
for its certificate, so that no link is ever one-sided.

Source: RFC 8446, sections 4.4.2 and 4.4.3.
"""

from __future__ import annotations

import hmac

from aioquic import tls
from aioquic._buffer import Buffer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pilotdht.identity.ids import PublicKey

MAX_CERTIFICATE_BYTES = 1024
"""Ours have 320 bytes; parsing time of a hostile one is bounded by this."""


class AlertWrongKey(tls.Alert):
    """The certificate is sound, but belongs to another node than the one dialled."""

    description = tls.AlertDescription.certificate_unknown


class AlertCertificateRequired(tls.Alert):
    """The peer presented no certificate."""

    description = tls.AlertDescription.certificate_required


class PinnedContext(tls.Context):
    """A TLS context that knows which key must be on the other side."""

    expected_key: PublicKey | None = None
    """The key to insist on, or ``None`` to accept any and note it in :attr:`peer_key`."""

    peer_key: PublicKey | None = None
    """The key that the peer has proved, once it has."""

    def pin(self, expected_key: PublicKey | None) -> None:
        """Insist on ``expected_key`` and offer nothing but Ed25519 and X25519."""
        self.expected_key = expected_key
        self._request_client_certificate = True
        self._signature_algorithms = [tls.SignatureAlgorithm.ED25519]
        self._supported_groups = [tls.Group.X25519]

    def _set_peer_certificate(self, certificate: tls.Certificate) -> None:
        if len(certificate.certificates) != 1:
            raise tls.AlertBadCertificate("exactly one certificate is expected")
        if len(certificate.certificates[0][0]) > MAX_CERTIFICATE_BYTES:
            raise tls.AlertBadCertificate("the certificate is too large")
        super()._set_peer_certificate(certificate)
        assert self._peer_certificate is not None
        try:
            key = self._peer_certificate.public_key()
        except (UnsupportedAlgorithm, ValueError) as error:
            raise tls.AlertUnsupportedCertificate("the key cannot be read") from error
        if not isinstance(key, Ed25519PublicKey):
            raise tls.AlertUnsupportedCertificate("the key is not Ed25519")

    def _check_certificate_verify_signature(self, verify: tls.CertificateVerify) -> None:
        super()._check_certificate_verify_signature(verify)  # proof of possession
        assert self._peer_certificate is not None
        key = self._peer_certificate.public_key()
        assert isinstance(key, Ed25519PublicKey)
        raw = key.public_bytes_raw()
        if self.expected_key is not None and not hmac.compare_digest(raw, self.expected_key):
            raise AlertWrongKey("another node answers here")
        self.peer_key = PublicKey(raw)

    def _server_handle_certificate(self, input_buf: Buffer) -> None:
        super()._server_handle_certificate(input_buf)
        if self._peer_certificate is None:
            raise AlertCertificateRequired("no client certificate")

    def _client_handle_finished(self, input_buf: Buffer, output_buf: Buffer) -> None:
        if self._certificate_request is None:
            raise tls.AlertHandshakeFailure("the server did not ask who we are")
        super()._client_handle_finished(input_buf, output_buf)
