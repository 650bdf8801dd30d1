"""Whatever bytes come over a trunk, its ends neither fail nor are led astray."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.errors import BadMessage
from pilotdht.traversal.trunk.frames import MAX_CARRIED_BYTES, MAX_FRAME_BYTES, FrameReader, encode_frames
from pilotdht.traversal.trunk.proof import (
    ask_untrusted,
    client_proof_untrusted,
    encode_ask,
    encode_server_proof,
    server_proof_untrusted,
    welcome_untrusted,
)
from pilotdht.wire.endpoint import Endpoint
from tests.support.net_nodes import SALT, key_pair

pytestmark = pytest.mark.property

SERVER = key_pair(1)
NONCE = b"n" * 32
ENDPOINTS = st.sampled_from([Endpoint("203.0.113.7", 1), Endpoint("198.51.100.1", 65_535), Endpoint("2001:db8::1", 9)])
FRAMES = st.lists(st.tuples(st.binary(min_size=1, max_size=MAX_CARRIED_BYTES), ENDPOINTS), max_size=8)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """Return data in pieces."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[begin:end] for begin, end in pairwise(places)]


@given(FRAMES, st.lists(st.integers(0, 1 << 16), max_size=20))
def test_frames_survive_any_cut(frames: list[tuple[bytes, Endpoint]], at: list[int]) -> None:
    """All of them come out, in their order, and nothing else."""
    reader = FrameReader()
    found = [frame for piece in cut(encode_frames(frames), at) for frame in reader.take_untrusted(piece)[0]]
    assert frames == found
    assert not reader.is_torn


@given(st.lists(st.binary(max_size=4096), max_size=10))
def test_garbage_gives_valid_frames_or_a_bad_message(pieces: list[bytes]) -> None:
    """Nothing else is raised, nothing longer than one frame is kept, and what comes out may be sent."""
    reader = FrameReader()
    with contextlib.suppress(BadMessage):
        for piece in pieces:
            for datagram, endpoint in reader.take_untrusted(piece)[0]:
                assert 1 <= len(datagram) <= MAX_CARRIED_BYTES
                assert endpoint == Endpoint(endpoint.host, endpoint.port)
                assert len(endpoint.packed()) + 1 + len(datagram) <= MAX_FRAME_BYTES


@given(st.binary(max_size=300))
def test_garbage_proves_nothing(data: bytes) -> None:
    """Each step of the handshake refuses it."""
    with pytest.raises(BadMessage):
        ask_untrusted(data, SALT)
    with pytest.raises(BadMessage):
        server_proof_untrusted(data, salt=SALT, client_nonce=NONCE, certificate=b"c")
    with pytest.raises(BadMessage):
        client_proof_untrusted(
            data, salt=SALT, client_nonce=NONCE, server_nonce=NONCE, certificate=b"c", server=SERVER.public_key
        )
    with contextlib.suppress(BadMessage):
        result, keepalive_s = welcome_untrusted(data)
        assert len(data) == 3
        assert keepalive_s >= 1
        assert result in range(4)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_proof_with_one_byte_changed_is_none(place: int, change: int) -> None:
    """Every byte counts."""
    ask = encode_ask(SALT, NONCE)
    proof = encode_server_proof(SERVER, salt=SALT, client_nonce=NONCE, server_nonce=NONCE, certificate=b"c")
    with pytest.raises(BadMessage):
        ask_untrusted(changed(ask, place, change), SALT)
    with pytest.raises(BadMessage):
        server_proof_untrusted(changed(proof, place, change), salt=SALT, client_nonce=NONCE, certificate=b"c")


def changed(data: bytes, place: int, change: int) -> bytes:
    """Return data with one byte changed."""
    at = place % len(data)
    return data[:at] + bytes((data[at] ^ change,)) + data[at + 1 :]
