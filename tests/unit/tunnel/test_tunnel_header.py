"""Headers of streams: what is written can be read, and nothing else can."""

from __future__ import annotations

import pytest

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.tunnel.header import (
    MAX_HEADER_BYTES,
    Answer,
    StreamHeader,
    answer_untrusted,
    encode_header,
    header_size_untrusted,
    header_untrusted,
)
from pilotdht.wire import codec


def test_header_that_was_encoded_is_read_back() -> None:
    """Port, options and trace context survive."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    header = StreamHeader(port=7, options={"a": 1, "b": b"x", "c": "y", "d": True}, traceparent=trace)

    encoded = encode_header(header)

    assert len(encoded) == header_size_untrusted(encoded)
    assert header == header_untrusted(encoded[2:])


def test_header_encoding_is_the_documented_one() -> None:
    """Golden bytes: another implementation can be built against them."""
    assert "0004930790c0" == encode_header(StreamHeader(port=7)).hex()


@pytest.mark.parametrize("port", [0, -1, 65536, True])
def test_header_of_port_out_of_range_is_refused(port: int) -> None:
    """Ports are 1..65535."""
    with pytest.raises(InvalidArgument):
        encode_header(StreamHeader(port=port))


def test_header_of_too_many_or_too_large_options_is_refused() -> None:
    """Bounds hold on the sending side already."""
    with pytest.raises(InvalidArgument):
        encode_header(StreamHeader(port=1, options={str(i): i for i in range(17)}))
    with pytest.raises(InvalidArgument):
        encode_header(StreamHeader(port=1, options={"a": bytes(MAX_HEADER_BYTES)}))
    with pytest.raises(InvalidArgument):
        encode_header(StreamHeader(port=1, options={"n" * 65: 1}))
    with pytest.raises(InvalidArgument):
        encode_header(StreamHeader(port=1, traceparent="nonsense"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "codec"),
        (b"\xc1", "codec"),
        (codec.encode(7), "codec_type"),
        (codec.encode([7]), "header_shape"),
        (codec.encode([0, [], None]), "header_port"),
        (codec.encode([65536, [], None]), "header_port"),
        (codec.encode([True, [], None]), "header_port"),
        (codec.encode(["7", [], None]), "header_port"),
        (codec.encode([7, 1, None]), "list"),
        (codec.encode([7, [[1, 1]], None]), "header_options"),
        (codec.encode([7, [["a"]], None]), "header_options"),
        (codec.encode([7, [["a", 1], ["a", 2]], None]), "header_options"),
        (codec.encode([7, [["a", []]], None]), "header_options"),
        (codec.encode([7, [["a", 1]] * 17, None]), "list"),
        (codec.encode([7, [], "nonsense"]), "header_traceparent"),
        (codec.encode([7, [], 5]), "header_traceparent"),
        (codec.encode([7, [], None]) + b"x", "codec"),
    ],
)
def test_header_that_is_malformed_is_refused_with_reason(body: bytes, reason: str) -> None:
    """Whatever the peer sends, only BadMessage comes out."""
    with pytest.raises(BadMessage) as caught:
        header_untrusted(body)

    assert reason == caught.value.reason


@pytest.mark.parametrize(("prefix", "size"), [(b"", 0), (b"\x00", 0), (b"\x00\x01", 3), (b"\x04\x00", 1026)])
def test_header_size_of_incomplete_prefix_is_zero(prefix: bytes, size: int) -> None:
    """The size is known as soon as two bytes are there."""
    assert size == header_size_untrusted(prefix)


@pytest.mark.parametrize("prefix", [b"\x00\x00", b"\x04\x01", b"\xff\xff"])
def test_header_size_out_of_range_is_refused(prefix: bytes) -> None:
    """No header is empty, none is larger than 1,024 bytes."""
    with pytest.raises(BadMessage):
        header_size_untrusted(prefix)


def test_answer_that_is_unknown_is_refused() -> None:
    """Answers are 0 to 4."""
    assert Answer.OVERLOADED == answer_untrusted(3)
    with pytest.raises(BadMessage):
        answer_untrusted(5)
