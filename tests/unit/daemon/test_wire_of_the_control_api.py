"""Envelopes, frames and error mapping: what daemon and client agree on."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.daemon.envelope import error_classes, error_envelope, http_status, parse_error
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.frames import EOF_EVENT, MAX_FRAME_BYTES, FrameReader, control_frame, data_frame
from pilotdht.errors import Ambiguous, BadMessage, InternalError, InvalidArgument, PilotError, UsageError


def make(kind: type[PilotError]) -> PilotError:
    """Return an error of a class."""
    return kind("what happened", hint="what to try")


@pytest.mark.parametrize("kind", list(error_classes()))
def test_error_survives_the_envelope(kind: type[PilotError]) -> None:
    """Every class of the tree comes back as itself, with message and hint."""
    error = parse_error(error_envelope(make(kind)))

    assert (kind, "what happened", "what to try") == (type(error), error.message, error.hint)


def test_codes_are_unique() -> None:
    """A code names one class."""
    codes = [kind.code for kind in error_classes()]

    assert len(set(codes)) == len(codes)


def test_claims_of_an_ambiguous_name_survive() -> None:
    """The caller sees who claims the name."""
    error = parse_error(error_envelope(Ambiguous("two", claims=("a", "b"))))

    assert isinstance(error, Ambiguous)
    assert ("a", "b") == error.claims


@pytest.mark.parametrize("envelope", [{}, {"code": "from-the-future", "message": "x" * 9999}, {"code": 5, "claims": 7}])
def test_envelope_that_is_not_understood_is_an_internal_error(envelope: dict[str, object]) -> None:
    """A daemon of another version cannot crash a client."""
    error = parse_error(envelope)

    assert InternalError is type(error)
    assert len(error.message) <= 2000


@pytest.mark.parametrize("kind", list(error_classes()))
def test_every_error_has_an_http_status_of_its_side(kind: type[PilotError]) -> None:
    """The caller's errors are 4xx or 503, others 4xx and 5xx, never a success."""
    status = http_status(make(kind))

    assert 400 <= status < 600
    if kind is UsageError:
        assert 400 == status


def test_frames_come_back_however_they_are_cut() -> None:
    """Data and control frames are found at any cut of the byte stream."""
    stream = data_frame(b"one") + data_frame(b"x" * 1000) + control_frame(EOF_EVENT)
    for size in (1, 2, 3, 5, 7, 1000, len(stream)):
        reader = FrameReader()
        frames = [
            frame
            for start in range(0, len(stream), size)
            for frame in reader.feed_untrusted(stream[start : start + size])
        ]
        assert [b"one", b"x" * 1000, dict(EOF_EVENT)] == frames


@pytest.mark.parametrize(
    "stream",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        (2 | 1 << 31).to_bytes(4, "big") + b"[]",
        (2 | 1 << 31).to_bytes(4, "big") + b"\xff\xff",
    ],
)
def test_frame_that_is_no_frame_is_a_bad_message(stream: bytes) -> None:
    """Too long, no JSON, no object."""
    with pytest.raises(BadMessage):
        list(FrameReader().feed_untrusted(stream))


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_frames_or_a_bad_message(pieces: list[bytes]) -> None:
    """Whatever comes is read or refused, nothing else happens."""
    reader = FrameReader()
    try:
        for piece in pieces:
            for frame in reader.feed_untrusted(piece):
                assert isinstance(frame, (bytes, dict))
    except BadMessage:
        pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["target", "port", "timeout_s", "message_base64", "tags", "x"]), _JSON))
def test_any_json_is_understood_or_an_invalid_argument(values: dict[str, object]) -> None:
    """A request is read field by field, or refused by name."""
    fields = Fields.parse(json.dumps(values).encode())
    with contextlib.suppress(InvalidArgument):
        assert fields.target()
        assert 1 <= fields.port(1000) <= 65535
        assert fields.seconds("timeout_s", 5.0) > 0
        assert isinstance(fields.data("message_base64"), bytes)
        assert all(isinstance(tag, str) for tag in fields.texts("tags", most=8))
        fields.finish()
