"""Strangers and misbehaving peers: counted, dropped, and never the end of anything."""

from __future__ import annotations

import asyncio
import random

import pytest

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import BadMessage
from pilotdht.tunnel.endpoint import MIN_RESET_BYTES
from pilotdht.tunnel.metrics import DROP_REASONS
from pilotdht.tunnel.quic.initial import initial_untrusted
from pilotdht.tunnel.quic.retry import TOKEN_LIFETIME_S, RetryTokens
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_nodes import ECHO_PORT, TunnelNode, keys_of, read_all, serve_echo, virtual_node
from tests.support.tunnel_raw import RawPeer, settings_of
from tests.support.tunnel_virtual_time import Wire, run_virtually

STRANGER = Endpoint("10.9.9.9", 4433)


async def _works(one: TunnelNode, two: TunnelNode) -> bool:
    async with await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT) as stream:
        await stream.write(b"still here")
        await stream.write_eof()
        return await read_all(stream) == b"still here"


def _first_datagram(wire: Wire, number: int = 5) -> bytes:
    """Return the first datagram of an honest handshake with node 2."""
    wire.captured = []
    client = RawPeer(wire, Endpoint("10.6.6.6", number))
    client.dial(settings_of(keys_of(number)), keys_of(2).public_key, Endpoint("10.6.6.7", 1))
    client.close()
    captured, wire.captured = wire.captured, None
    assert captured
    return captured[0][0]


def test_datagrams_of_noise_are_dropped_and_counted() -> None:
    """Random bytes in all lengths, with either header form, change nothing but counters."""

    async def scenario() -> None:
        wire = Wire()
        source = random.Random(4)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            for size in [*range(1, 70), 1199, 1200, 1350, 1500, 9000]:
                for first in (0x40, 0x7F, 0xC0, 0xD0, 0xE0, 0xF0, 0xFF):
                    two.tunnels.datagrams_received([(bytes((first,)) + source.randbytes(size - 1), STRANGER)])
            assert sum(two.metrics.dropped.values()) == 74 * 7
            assert (0, 0) == two.tunnels.footprint
            assert await _works(one, two)

    run_virtually(scenario())


def test_first_datagram_truncated_anywhere_is_dropped() -> None:
    """Every length of a good Initial that is too short, and none of them makes a link."""

    async def scenario() -> None:
        wire = Wire()
        good = _first_datagram(wire)
        async with virtual_node(wire, 2) as node:
            for size in range(1200):  # beyond is padding
                node.tunnels.datagrams_received([(good[:size] if size else b"\xc0", STRANGER)])
            assert (0, 0) == node.tunnels.footprint

    run_virtually(scenario())


def test_first_datagram_with_any_byte_changed_makes_no_link() -> None:
    """What was not sealed by the sender's keys is dropped, whichever byte is wrong."""

    async def scenario() -> None:
        wire = Wire()
        good = _first_datagram(wire)
        config = TunnelConfig(accept_per_second=1e6, accept_burst=1_000_000)
        async with virtual_node(wire, 2, config=config) as node:
            for position in range(250):  # the packet; padding follows
                bad = bytearray(good)
                bad[position] ^= 0x20
                node.tunnels.datagrams_received([(bytes(bad), STRANGER)])
            await asyncio.sleep(0.01)
            assert 0 == node.tunnels.half_open_count
            assert all(node.metrics.dropped[reason] == 0 for reason in ("internal", "closed"))

    run_virtually(scenario())


def test_datagrams_replayed_by_a_stranger_change_nothing() -> None:
    """Everything that was sent, sent again from elsewhere: streams hold, and no handler runs twice."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            runs: list[int] = []

            async def count(stream: object) -> None:
                runs.append(1)

            two.tunnels.listen(9, count)
            serve_echo(two)
            wire.captured = []
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], 9)
            assert b"" == await stream.read()
            await stream.close()
            captured, wire.captured = wire.captured, None
            for datagram, source, destination in captured * 3:
                wire.send(datagram, source, destination)
            await asyncio.sleep(1)

            assert [1] == runs
            assert await _works(one, two)

    run_virtually(scenario())


def test_datagrams_changed_on_the_way_are_dropped() -> None:
    """One byte in ten datagrams is flipped: everything arrives, and arrives right."""

    async def scenario() -> None:
        wire = Wire()
        flips = random.Random(9)

        def flip(datagram: bytes, source: Endpoint, destination: Endpoint) -> bytes:
            if flips.random() > 0.1:
                return datagram
            changed = bytearray(datagram)
            changed[flips.randrange(len(changed))] ^= 1 << flips.randrange(8)
            return bytes(changed)

        wire.tap = flip
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            sent = flips.randbytes(200_000)
            async with await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT) as stream:
                await stream.write(sent)
                await stream.write_eof()
                assert sent == await read_all(stream)
            assert 0 == one.metrics.dropped["internal"] + two.metrics.dropped["internal"]

    run_virtually(scenario())


@pytest.mark.parametrize("size", [1, 3, 11, 17, 400])
def test_stream_with_hostile_header_is_refused_as_malformed(size: int) -> None:
    """Noise instead of a header ends the stream, not the link."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2) as node:
            serve_echo(node)
            client = RawPeer(wire, STRANGER)
            connection = client.dial(settings_of(keys_of(5)), node.key, node.endpoint)
            await asyncio.sleep(1)
            for number in range(20):
                noise = random.Random(number).randbytes(size)
                connection.send_stream_data(4 * number, noise, end_stream=True)
            client.flush()
            await asyncio.sleep(1)

            assert 20 == node.count("streams_refused_total", reason="malformed")
            assert {b"\x04"} == {bytes(data) for data in client.sink.data.values()}
            [link] = node.tunnels.links()
            assert 0 == link.stream_count
            client.close()

    run_virtually(scenario())


def test_stream_whose_header_never_ends_is_refused_in_time() -> None:
    """Half a header holds a stream for the configured time only."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2) as node:
            client = RawPeer(wire, STRANGER)
            connection = client.dial(settings_of(keys_of(5)), node.key, node.endpoint)
            await asyncio.sleep(1)
            connection.send_stream_data(0, b"\x00")
            client.flush()
            await asyncio.sleep(9)
            assert 0 == node.count("streams_refused_total", reason="malformed")
            await asyncio.sleep(3)
            assert 1 == node.count("streams_refused_total", reason="malformed")
            client.close()

    run_virtually(scenario())


def test_peer_that_opens_more_streams_than_allowed_loses_its_link() -> None:
    """The bound on streams is enforced, not only announced."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2, config=TunnelConfig(max_streams_per_link=4)) as node:
            client = RawPeer(wire, STRANGER)
            connection = client.dial(settings_of(keys_of(5)), node.key, node.endpoint)
            await asyncio.sleep(1)
            connection._remote_max_streams_bidi = 1000
            for number in range(6):
                connection.send_stream_data(4 * number, b"\x00")
            client.flush()
            await asyncio.sleep(1)

            assert [] == list(node.tunnels.links())
            assert 1 == node.count("links_closed_total", cause="failed")
            client.close()

    run_virtually(scenario())


def test_peer_that_opens_a_one_way_stream_loses_its_link() -> None:
    """The protocol has none."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2) as node:
            client = RawPeer(wire, STRANGER)
            connection = client.dial(settings_of(keys_of(5)), node.key, node.endpoint)
            await asyncio.sleep(1)
            connection._remote_max_streams_uni = 1000
            connection._remote_max_stream_data_uni = 1000
            connection.send_stream_data(2, b"x")
            client.flush()
            await asyncio.sleep(1)

            assert [] == list(node.tunnels.links())
            client.close()

    run_virtually(scenario())


def test_message_without_a_port_is_dropped_as_malformed() -> None:
    """Too short, or port 0."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2) as node:
            client = RawPeer(wire, STRANGER)
            connection = client.dial(settings_of(keys_of(5)), node.key, node.endpoint)
            await asyncio.sleep(1)
            for message in (b"", b"\x01", b"\x00\x00hello"):
                connection.send_message(message)
            client.flush()
            await asyncio.sleep(1)
            assert 3 == node.count("messages_dropped_total", reason="malformed")
            client.close()

    run_virtually(scenario())


def test_handshakes_above_the_bound_must_prove_their_address() -> None:
    """Retry keeps no state; an honest client comes through it, a forger does not."""

    async def scenario() -> None:
        wire = Wire()
        config = TunnelConfig(retry_above_half_open=0)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            assert await _works(one, two)
            assert 1 == two.count("retries_total")
            first = _first_datagram(wire)
            for number in range(20):
                two.tunnels.datagrams_received([(first, Endpoint("10.1.1.1", 1 + number))])
            assert 21 == two.count("retries_total")
            assert 0 == two.tunnels.half_open_count
            assert 1 == len(list(two.tunnels.links()))

    run_virtually(scenario())


def test_half_open_handshakes_are_bounded_and_end_in_time() -> None:
    """Clients that never finish hold a bounded number of places for a bounded time."""

    async def scenario() -> None:
        wire = Wire()
        config = TunnelConfig(max_half_open=3, retry_above_half_open=100)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            for number in range(6):
                first = _first_datagram(wire, 10 + number)
                two.tunnels.datagrams_received([(first, Endpoint(f"10.1.{number}.1", 5))])
            assert 3 == two.tunnels.half_open_count
            assert 3 == two.metrics.dropped["half_open"]
            await asyncio.sleep(11)
            assert 0 == two.tunnels.half_open_count
            assert 3 == two.count("handshakes_total", side="in", result="closed")
            assert await _works(one, two)

    run_virtually(scenario())


def test_first_datagrams_of_one_prefix_are_limited_before_any_crypto() -> None:
    """A prefix pays a token for each; others are not affected."""

    async def scenario() -> None:
        wire = Wire()
        config = TunnelConfig(accept_per_second=1, accept_burst=5)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            firsts = [_first_datagram(wire, 10 + number) for number in range(8)]
            for number, first in enumerate(firsts):
                two.tunnels.datagrams_received([(first, Endpoint(f"192.0.2.{number}", 5))])
            assert 5 == two.tunnels.half_open_count
            assert 3 == two.metrics.dropped["rate"]
            assert await _works(one, two)

    run_virtually(scenario())


def test_links_above_the_bound_are_dropped() -> None:
    """A full node takes no more links, and keeps those it has."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2, config=TunnelConfig(max_links=1)) as two:
            serve_echo(two)
            assert await _works(one, two)
            two.tunnels.datagrams_received([(_first_datagram(wire), STRANGER)])
            assert 1 == two.metrics.dropped["links_full"]
            assert await _works(one, two)

    run_virtually(scenario())


def test_stateless_resets_are_smaller_than_what_they_answer_and_limited() -> None:
    """Two nodes cannot keep each other busy, and a forger gains nothing."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 2) as node:
            wire.captured = []
            for number in range(100):
                node.tunnels.datagrams_received([(b"\x41" + bytes(19 + number), STRANGER)])
            sizes = [len(datagram) for datagram, _, _ in wire.captured]
            assert all(size >= MIN_RESET_BYTES for size in sizes)
            assert 40 == len(sizes)
            assert all(size < 20 + 2 + index for index, size in enumerate(sizes))
            assert all(datagram[0] & 0xC0 == 0x40 for datagram, _, _ in wire.captured)

    run_virtually(scenario())


def test_stateless_reset_with_a_guessed_token_is_ignored() -> None:
    """Only the peer can have made the token."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            assert await _works(one, two)
            for _ in range(50):
                one.tunnels.datagrams_received([(b"\x41" + random.Random(1).randbytes(42), two.endpoint)])
            assert 1 == len(list(one.tunnels.links()))
            assert await _works(one, two)

    run_virtually(scenario())


def test_retry_token_is_bound_to_address_id_and_time() -> None:
    """A token is good for one address, one id, and a few seconds."""
    tokens = RetryTokens(random.Random(1).randbytes)
    datagram = b"\xc0\0\0\0\1\x08" + b"original" + b"\x04abcd" + b"\0" + bytes(1200)
    first = initial_untrusted(datagram)
    retry = tokens.answer(first, STRANGER, 100.0)
    new_id, token = retry[11:19], retry[19:-16]

    def come_again(destination_id: bytes, endpoint: Endpoint, now: float, proof: bytes) -> bytes:
        size = len(proof).to_bytes(2, "big")
        head = b"\xc0\0\0\0\1\x08" + destination_id + b"\x04abcd" + bytes((0x40 | size[0],)) + size[1:]
        return tokens.original_id_untrusted(initial_untrusted(head + proof + bytes(1200)), endpoint, now)

    assert b"original" == come_again(new_id, STRANGER, 101.0, token)
    for destination_id, endpoint, now, proof in (
        (b"another!", STRANGER, 101.0, token),
        (new_id, Endpoint("10.9.9.9", 4434), 101.0, token),
        (new_id, STRANGER, 101.0 + TOKEN_LIFETIME_S, token),
        (new_id, STRANGER, 101.0, token[:-1] + b"!"),
        (new_id, STRANGER, 101.0, b"short"),
    ):
        with pytest.raises(BadMessage, match="token"):
            come_again(destination_id, endpoint, now, proof)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"\xd0\0\0\0\1" + bytes(1300), "unknown_link"),
        (b"\x40" + bytes(1300), "unknown_link"),
        (b"\xd0\0\0\0\2" + bytes(1300), "version"),
        (b"\xc0\x6b\x33\x43\xcf" + bytes(1300), "version"),
        (b"\xc0\0\0\0\1" + bytes(1100), "initial_size"),
        (b"\xc0\0\0\0\1\x07" + bytes(1300), "initial_form"),
        (b"\xc0\0\0\0\1\x15" + bytes(1300), "initial_form"),
        (b"\xc0\0\0\0\1\x08" + bytes(8) + b"\xff" + bytes(1300), "initial_form"),
        (b"\xc0\0\0\0\1\x08" + bytes(8) + b"\0" + b"\x7f\xff" + bytes(1300), "initial_form"),
        (b"\xc0\0\0\0\1\x08" + bytes(8) + b"\0" + b"\x44\x00" + bytes(1300), "token"),
    ],
)
def test_first_datagram_that_is_no_initial_is_dropped_by_reason(datagram: bytes, reason: str) -> None:
    """Each reason is one that is counted."""
    with pytest.raises(BadMessage) as caught:
        initial_untrusted(datagram)

    assert reason == caught.value.reason
    assert reason in DROP_REASONS


@pytest.mark.parametrize("seed", range(8))
def test_peer_that_sends_arbitrary_frames_harms_only_its_own_link(seed: int) -> None:
    """Well sealed packets full of noise: the worst is the end of that link."""

    async def scenario() -> None:
        wire = Wire()
        noise = random.Random(seed)
        config = TunnelConfig(accept_per_second=1e6, accept_burst=1_000_000)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            for number in range(40):
                client = RawPeer(wire, Endpoint("10.9.9.9", 1000 + number))
                connection = client.dial(settings_of(keys_of(5 + number)), two.key, two.endpoint)
                await asyncio.sleep(0.1)
                assert connection.is_confirmed
                keys = connection._application_keys
                for _ in range(10):
                    frames = bytes((noise.randrange(0x20),)) + noise.randbytes(noise.choice((3, 5, 20, 200)))
                    number_sent = connection._packet_number
                    connection._packet_number += 1
                    header = bytes((0x41 | keys.key_phase << 2,)) + connection._peer_cid.cid
                    header += (number_sent & 0xFFFF).to_bytes(2, "big")
                    wire.send(keys.encrypt_packet(header, frames, number_sent), client.endpoint, two.endpoint)
                await asyncio.sleep(0.1)
                client.close()
            assert await _works(one, two)
            assert all(
                link.connection.received_unconsumed_bytes <= config.link_window_bytes for link in two.tunnels.links()
            )

    run_virtually(scenario())
