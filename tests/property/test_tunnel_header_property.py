"""Stream headers under arbitrary input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.errors import BadMessage
from pilotdht.tunnel.header import (
    StreamHeader,
    answer_untrusted,
    encode_header,
    header_size_untrusted,
    header_untrusted,
)
from pilotdht.wire import codec

pytestmark = pytest.mark.property

options = st.dictionaries(
    st.text(max_size=8),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20) | st.binary(max_size=20),
    max_size=8,
)
headers = st.builds(StreamHeader, port=st.integers(1, 65535), options=options)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=70) | st.binary(max_size=9),
    lambda children: st.lists(children, max_size=5),
    max_leaves=20,
)


@given(headers)
def test_header_round_trip_gives_the_same_header(header: StreamHeader) -> None:
    """Encoding and reading are inverse."""
    encoded = encode_header(header)

    assert len(encoded) == header_size_untrusted(encoded)
    assert header == header_untrusted(encoded[2:])


@given(st.binary(max_size=1100) | values.map(codec.encode))
def test_header_of_arbitrary_bytes_raises_only_bad_message(data: bytes) -> None:
    """What is accepted is in range; all else is BadMessage."""
    try:
        header_size_untrusted(data)
        header = header_untrusted(data)
    except BadMessage:
        return
    assert 1 <= header.port <= 65535


@given(st.integers(0, 255))
def test_answer_of_arbitrary_byte_raises_only_bad_message(byte: int) -> None:
    """Only known answers are taken."""
    try:
        assert byte == answer_untrusted(byte)
    except BadMessage:
        assert byte > 4
