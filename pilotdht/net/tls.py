"""TLS 1.3 for connections whose ends prove themselves by their keys inside: no certificate is checked by TLS.

The library of the interpreter takes certificates from files alone. One that is made here touches a temporary file that
only this user can read, and that is deleted at once; a node's identity never does.
"""

from __future__ import annotations

import os
import ssl
import tempfile

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pilotdht.errors import ConfigError
from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.keys import KeyPair


def client_context() -> ssl.SSLContext:
    """Return what a client needs: TLS 1.3, whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the server signs the hash of its certificate with its node's key
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def server_context(*, certificate_file: str, key_file: str, seed: bytes) -> tuple[ssl.SSLContext, bytes]:
    """Return what a server needs, and the certificate that it presents (DER).

    Args:
        certificate_file: PEM file, or empty for a certificate that is made now.
        key_file: PEM file of its private key, or empty.
        seed: private key of the certificate that is made: 32 unpredictable bytes.

    Raises:
        ConfigError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nothing is resumed: each connection proves itself anew
    if not certificate_file:
        return context, _present_made(context, seed)
    try:
        context.load_cert_chain(certificate_file, key_file)
        with open(certificate_file, encoding="ascii", errors="replace") as file:
            text = file.read()
        begin, end = text.index(_BEGIN), text.index(_END) + len(_END)  # the first is the server's own
        return context, ssl.PEM_cert_to_DER_cert(text[begin:end])
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise ConfigError(
            f"the certificate {certificate_file} or its key cannot be used: {error}",
            hint="trunk.certificate_file and trunk.key_file are PEM files, the key without a passphrase",
        ) from error


def _present_made(context: ssl.SSLContext, seed: bytes) -> bytes:
    keys = KeyPair.from_seed(seed)
    certificate = make_certificate(keys)
    private = keys.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor, path = tempfile.mkstemp(prefix="pilotdht-")  # readable by this user alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(private + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return certificate.public_bytes(Encoding.DER)


_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"
