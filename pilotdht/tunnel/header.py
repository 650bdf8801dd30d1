"""What a stream says first: which port it wants, and what the other side answers.

The opener sends a two-byte length and the msgpack list ``[port, options, traceparent]``; it may send data right behind
it. ``options`` is a list of ``[name, value]`` pairs. The acceptor answers one byte: accepted, or why not.

Pure; functions that read bytes from the network end in ``_untrusted`` and raise only :class:`BadMessage`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from types import MappingProxyType

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.values import dataclass
from pilotdht.wire import codec

MAX_PORT = 0xFFFF
MAX_HEADER_BYTES = 1024
"""Most bytes behind the length prefix."""
MAX_OPTIONS = 16
MAX_NAME_CHARS = 64
LENGTH_BYTES = 2
REMEMBERED_HEADERS = 256

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

OptionValue = bool | int | str | bytes
"""What an option may hold."""

_OPTION_TYPES = (bool, int, str, bytes)


class Answer(enum.IntEnum):
    """The acceptor's one-byte answer."""

    ACCEPTED = 0
    """The handler runs."""
    NOT_TRUSTED = 1
    """The gate does not let this peer open this port."""
    NOT_LISTENING = 2
    """Nobody listens on the port."""
    OVERLOADED = 3
    """Too many handlers run already."""
    MALFORMED = 4
    """The header does not obey the protocol, or came too slowly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeader:
    """What an opener asks for."""

    port: int
    """Virtual port, 1..65535."""

    options: Mapping[str, OptionValue] = field(default_factory=dict)
    """Few small values for the service behind the port."""

    traceparent: str | None = None
    """W3C trace context of the request, or ``None``."""


def check_port(port: int) -> int:
    """Return ``port``.

    Raises:
        InvalidArgument: not in 1..65535.
    """
    if isinstance(port, bool) or not 1 <= port <= MAX_PORT:
        raise InvalidArgument(f"{port!r} is not a port", hint=f"ports are 1..{MAX_PORT}")
    return int(port)


def encode_header(header: StreamHeader) -> bytes:
    """Return the bytes that open a stream.

    Raises:
        InvalidArgument: the port is out of range, or the options are too many, too large or of other types.
    """
    check_port(header.port)
    if len(header.options) > MAX_OPTIONS:
        raise InvalidArgument(f"a stream has at most {MAX_OPTIONS} options")
    for name, value in header.options.items():
        if len(name) > MAX_NAME_CHARS or type(value) not in _OPTION_TYPES:
            raise InvalidArgument(f"option {name!r} of a stream is malformed", hint="names are short texts")
    if header.traceparent is not None and _TRACEPARENT.fullmatch(header.traceparent) is None:
        raise InvalidArgument(f"{header.traceparent!r} is not a traceparent", hint="see W3C Trace Context, section 3.2")
    body = codec.encode([header.port, [[name, value] for name, value in header.options.items()], header.traceparent])
    if len(body) > MAX_HEADER_BYTES:
        raise InvalidArgument("the options of a stream are too large", hint=f"at most {MAX_HEADER_BYTES} bytes in all")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def header_size_untrusted(data: bytes | bytearray) -> int:
    """Return how many bytes the header takes with its length prefix, or 0 while the prefix is not complete.

    Raises:
        BadMessage: the length is out of range.
    """
    if len(data) < LENGTH_BYTES:
        return 0
    length = data[0] << 8 | data[1]
    if not 1 <= length <= MAX_HEADER_BYTES:
        raise BadMessage("header_length")
    return LENGTH_BYTES + length


def opening(port: int, options: Mapping[str, OptionValue] | None, traceparent: str | None) -> bytes:
    """Return the bytes that open a stream.

    Raises:
        InvalidArgument: as :func:`encode_header`.
    """
    if options or traceparent:
        return encode_header(StreamHeader(port=port, options=options or {}, traceparent=traceparent))
    return _plain_opening(port)


@lru_cache(maxsize=REMEMBERED_HEADERS)
def _plain_opening(port: int) -> bytes:
    return encode_header(StreamHeader(port=port))


@lru_cache(maxsize=REMEMBERED_HEADERS)
def header_untrusted(body: bytes) -> StreamHeader:
    """Read the list behind the length prefix.

    The last few different ones are remembered: most streams begin with one of a handful of headers.

    Raises:
        BadMessage: malformed, or a field is out of range.
    """
    fields = codec.decode_list_untrusted(body)
    if len(fields) != 3:
        raise BadMessage("header_shape")
    port, pairs, traceparent = fields
    if type(port) is not int or not 1 <= port <= MAX_PORT:
        raise BadMessage("header_port")
    options: dict[str, OptionValue] = {}
    for pair in codec.list_untrusted(pairs, most=MAX_OPTIONS):
        if type(pair) is not list or len(pair) != 2:
            raise BadMessage("header_options")
        name, value = pair
        if type(name) is not str or len(name) > MAX_NAME_CHARS or type(value) not in _OPTION_TYPES or name in options:
            raise BadMessage("header_options")
        options[name] = value
    if traceparent is not None and (type(traceparent) is not str or _TRACEPARENT.fullmatch(traceparent) is None):
        raise BadMessage("header_traceparent")
    return StreamHeader(port=port, options=MappingProxyType(options), traceparent=traceparent)


def answer_untrusted(byte: int) -> Answer:
    """Read the acceptor's answer.

    Raises:
        BadMessage: an answer this version does not know.
    """
    try:
        return Answer(byte)
    except ValueError as error:
        raise BadMessage("answer") from error
