"""The strict subset of msgpack that goes over the wire: integers, bytes, texts, booleans, nil and lists.

No maps, floats or extension types: one value has one encoding, so signed bytes can be made again by anybody. Every size
is bounded by the datagram or stream frame it came in.

Source: msgpack specification (https://github.com/msgpack/msgpack/blob/master/spec.md).
"""

from __future__ import annotations

from typing import cast

import msgpack

from pilotdht.errors import BadMessage

_packer = msgpack.Packer(use_bin_type=True)  # making one costs more than packing a datagram


def encode(value: object) -> bytes:
    """Return the encoding of ``value``; the caller only passes the types named above."""
    return cast("bytes", _packer.pack(value))


def decode_list_untrusted(data: bytes | memoryview) -> list[object]:
    """Return the list that ``data`` encodes, whole.

    Raises:
        BadMessage: malformed, truncated, followed by other bytes, nested too deep, or not a list.
    """
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=True, max_map_len=0, max_ext_len=0)
    except (
        ValueError,
        TypeError,
        RecursionError,
        OverflowError,
    ) as error:  # all that msgpack raises derives from these
        raise BadMessage("codec") from error
    if type(value) is not list:
        raise BadMessage("codec_type")
    return value


def integer_untrusted(value: object, *, low: int = 0, high: int = 2**63 - 1) -> int:
    """Return ``value`` when it is an integer in ``low..high``.

    Raises:
        BadMessage: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise BadMessage("integer")
    return value


def flag_untrusted(value: object) -> bool:
    """Return whether ``value`` is 1 and not 0.

    Raises:
        BadMessage: it is neither.
    """
    return integer_untrusted(value, high=1) == 1


def bytes_untrusted(value: object, *, size: int | None = None, most: int | None = None) -> bytes:
    """Return ``value`` when it is a byte string of ``size`` bytes, or of at most ``most``.

    Raises:
        BadMessage: it is not.
    """
    if (
        type(value) is not bytes
        or (size is not None and len(value) != size)
        or (most is not None and len(value) > most)
    ):
        raise BadMessage("bytes")
    return value


def text_untrusted(value: object, *, most_chars: int) -> str:
    """Return ``value`` when it is a text of at most ``most_chars`` characters.

    Raises:
        BadMessage: it is not.
    """
    if type(value) is not str or len(value) > most_chars:
        raise BadMessage("text")
    return value


def list_untrusted(value: object, *, most: int) -> list[object]:
    """Return ``value`` when it is a list of at most ``most`` elements.

    Raises:
        BadMessage: it is not.
    """
    if type(value) is not list or len(value) > most:
        raise BadMessage("list")
    return value
