"""What is relied upon inside aioquic is still there, and still the same.

When this fails after an update: read the difference of each file named, adapt the overriding code in ``tunnel/quic/``,
run the integrity tests with and without fast paths, then renew the list.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import aioquic
import pytest
from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketRecovery
from aioquic.quic.stream import QuicStream

from pilotdht.tunnel.quic import private


def test_aioquic_has_the_version_whose_source_was_read() -> None:
    """The pinned version is the installed one."""
    assert private.AIOQUIC_VERSION == version("aioquic")


@pytest.mark.parametrize(("path", "digest"), sorted(private.SOURCES.items()))
def test_aioquic_source_is_the_one_that_was_read(path: str, digest: str) -> None:
    """A patched or repackaged aioquic does not pass for the one that was read."""
    root = Path(str(aioquic.__file__)).parent

    assert digest == hashlib.sha256((root / path).read_bytes()).hexdigest()


def test_private_names_of_a_connection_exist() -> None:
    """Fields and methods that are overridden or read are there."""
    connection = QuicConnection(configuration=QuicConfiguration(is_client=True))
    names = private.CONNECTION_FIELDS + private.CONNECTION_METHODS

    assert [] == [name for name in names if not hasattr(connection, name)]


def test_private_names_of_streams_exist() -> None:
    """Senders and receivers have the fields that the fast paths touch."""
    stream = QuicStream(stream_id=0)

    assert [] == [name for name in private.SENDER_FIELDS if not hasattr(stream.sender, name)]
    assert [] == [name for name in private.RECEIVER_FIELDS if not hasattr(stream.receiver, name)]


def test_private_names_of_recovery_exist() -> None:
    """Recovery has the fields and methods that are overridden."""
    recovery = QuicPacketRecovery(
        congestion_control_algorithm="cubic",
        initial_rtt=0.1,
        max_datagram_size=1350,
        peer_completed_address_validation=True,
        send_probe=lambda: None,
    )
    names = private.RECOVERY_FIELDS + private.RECOVERY_METHODS

    assert [] == [name for name in names if not hasattr(recovery, name)]


def test_private_names_of_tls_and_builder_exist() -> None:
    """The TLS context and the packet builder have the names that are used."""
    context = tls.Context(is_client=True)
    builder = QuicPacketBuilder(host_cid=b"1", peer_cid=b"2", version=1, is_client=True, max_datagram_size=1350)

    names = private.CONTEXT_FIELDS + private.CONTEXT_METHODS
    assert [] == [name for name in names if not hasattr(context, name)]
    assert [] == [name for name in private.BUILDER_FIELDS if not hasattr(builder, name)]
