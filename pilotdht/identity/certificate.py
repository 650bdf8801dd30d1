"""The self-signed X.509 certificate that carries a node's key inside TLS.

Names, dates and serial number mean nothing and are constants, so that the certificate of every node has the same size
(a simulation can repeat a handshake byte for byte) and tells no more than the key itself.
"""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from pilotdht.identity.keys import KeyPair

_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pilotdht")])
_NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)


def make_certificate(keys: KeyPair) -> x509.Certificate:
    """Return the certificate of ``keys``; equal keys give equal bytes (Ed25519 signatures are deterministic)."""
    return (
        x509.CertificateBuilder()
        .subject_name(_SUBJECT)
        .issuer_name(_SUBJECT)
        .public_key(keys.private_key.public_key())
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(keys.private_key, None)
    )
