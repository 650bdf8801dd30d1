"""Both ends prove their keys, and whoever cannot is refused, counted, and told why."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable

import pytest
from aioquic import tls
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pilotdht.errors import Unreachable
from pilotdht.identity.certificate import make_certificate
from pilotdht.tunnel.quic.connection import NodeConnection
from pilotdht.tunnel.quic.settings import ConnectionSettings
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_nodes import keys_of, virtual_node
from tests.support.tunnel_raw import RawPeer, settings_of
from tests.support.tunnel_virtual_time import Wire, run_virtually

STRANGER = Endpoint("10.9.9.9", 4433)


def test_dial_of_honest_node_proves_both_keys() -> None:
    """Each side knows the other's key when the link is up."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            link = await one.tunnels.dial(two.key, [two.endpoint])
            await link.ping()
            accepted = two.tunnels.link_to(one.key)

            assert two.key == link.peer_key
            assert accepted is not None
            assert not accepted.is_dialled
            assert 1 == one.count("handshakes_total", side="out", result="ok")
            assert 1 == two.count("handshakes_total", side="in", result="ok")
            assert 1 == one.count("handshake_seconds_count")

    run_virtually(scenario())


def test_dial_of_wrong_key_is_unreachable_and_counted() -> None:
    """Another node at the endpoint is noticed by its key, and told apart from silence."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            with pytest.raises(Unreachable, match="another node answers there"):
                await one.tunnels.dial(keys_of(3).public_key, [two.endpoint])

            assert 1 == one.count("handshakes_total", side="out", result="wrong_key")
            await asyncio.sleep(1)
            assert 1 == two.count("handshakes_total", side="in", result="wrong_key")
            assert 0 == two.tunnels.half_open_count

    run_virtually(scenario())


def _no_certificate(settings: ConnectionSettings) -> None:
    settings.client.certificate = settings.client.private_key = None


def _stolen_certificate(settings: ConnectionSettings) -> None:
    settings.client.certificate = make_certificate(keys_of(77))


def _two_certificates(settings: ConnectionSettings) -> None:
    settings.client.certificate_chain = [make_certificate(keys_of(77))]


def _weak_suite(settings: ConnectionSettings) -> None:
    settings.client.cipher_suites = [tls.CipherSuite.AES_128_GCM_SHA256]


def _other_protocol(settings: ConnectionSettings) -> None:
    settings.client.alpn_protocols = ["h3"]


def _other_key_type(settings: ConnectionSettings) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pilotdht")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=9999))
    settings.client.certificate = builder.sign(keys_of(5).private_key, None)


@pytest.mark.parametrize(
    ("spoil", "result"),
    [
        (_no_certificate, "no_certificate"),
        (_stolen_certificate, "bad_proof"),
        (_two_certificates, "bad_certificate"),
        (_weak_suite, "no_common_suite"),
        (_other_protocol, "wrong_protocol"),
        (_other_key_type, "unsupported_certificate"),
    ],
)
def test_accept_of_dishonest_client_is_refused_and_counted(
    spoil: Callable[[ConnectionSettings], None], result: str
) -> None:
    """No link comes up, the reason is counted, and the client is told."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2) as node:
            settings = settings_of(keys_of(5))
            spoil(settings)
            client = RawPeer(wire, STRANGER)
            connection = client.dial(settings, node.key, node.endpoint)
            await asyncio.sleep(1)

            assert 1 == node.count("handshakes_total", side="in", result=result)
            assert 0 == node.count("handshakes_total", side="in", result="ok")
            assert [] == list(node.tunnels.links())
            assert 0 == node.tunnels.half_open_count
            assert not connection.is_confirmed
            assert client.sink.closed is not None
            assert result == client.sink.closed.handshake_result
            client.close()

    run_virtually(scenario())


@pytest.mark.parametrize(("is_asking", "is_up"), [(True, True), (False, False)])
def test_dial_of_server_that_does_not_ask_for_a_key_fails(is_asking: bool, is_up: bool) -> None:
    """A link is never one-sided: a server must want to know who dials."""

    async def scenario() -> None:
        wire = Wire()
        server = RawPeer(wire, STRANGER)
        server.accept(settings_of(keys_of(5)))
        if not is_asking:
            server.before_first = _stop_asking
        client = RawPeer(wire, Endpoint("10.0.0.1", 4433))
        connection = client.dial(settings_of(keys_of(1)), keys_of(5).public_key, STRANGER)
        await asyncio.sleep(1)

        assert is_up == connection.is_confirmed
        client.close()
        server.close()

    run_virtually(scenario())


def _stop_asking(connection: NodeConnection) -> None:
    original = connection._initialize

    def initialize(peer_id: bytes) -> None:
        original(peer_id)
        connection.tls._request_client_certificate = False

    connection._initialize = initialize  # type: ignore[assignment,method-assign]  # a server that is not ours
