"""The trace of a run: every event on the network, as digest, and kept in a file when somebody wants to look.

An event is 20 bytes: when, what, from where, to where, how large, and what the first byte says. Contents are left out:
tunnels draw their own entropy, so two runs with one seed agree on everything but the bytes. Endpoints have numbers; the
event that gives one its number precedes its first use.

The digest is over all events; what a :class:`TraceWriter` keeps does not change it.
"""

from __future__ import annotations

import enum
import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pilotdht.errors import InvalidArgument
from pilotdht.wire.endpoint import Endpoint, parse_endpoint

MICROSECONDS = 1_000_000

EVENT_VALUES = 6
"""Ticks, source, target, size, what, kind."""

_EVENT = struct.Struct("<QIIHBB")
_WHAT_AT = 18
_BLOCK_EVENTS = 65_536 // _EVENT.size
BLOCK_VALUES = _BLOCK_EVENTS * EVENT_VALUES
"""So many values that wait are settled at once."""
_BLOCK = struct.Struct("<" + "QIIHBB" * _BLOCK_EVENTS)

_MAGIC = b"pilotdht trace 1\n"
_BEGAN = struct.Struct("<Q")
_LENGTH = struct.Struct("<I")
_LARGEST_BLOCK = 1 << 24

EMPTY_KIND = 255
"""Kind of a datagram without bytes."""

_KINDS = {
    0x20: "sealed",
    0x21: "hello",
    0x22: "hello-reply",
    0x40: "quic",
    0x80: "quic?",
    0xC0: "quic-long",
    255: "empty",
}


class What(enum.IntEnum):
    """What happened."""

    ENDPOINT = 0
    """An endpoint got a number: no event for people."""
    NOTE = 1
    """Something that the scenario said."""
    SENT = 2
    """A datagram was handed in."""
    DELIVERED = 3
    """It was handed to the socket that it was for."""
    DUPLICATE = 4
    """A second copy of it is under way."""
    REORDERED = 5
    """It takes a detour."""
    LOST = 6
    """The path lost it."""
    CUT = 7
    """A partition or a rule lies between the two."""
    UNPLUGGED = 8
    """One of the two is cut off."""
    NOBODY = 9
    """No socket is bound there."""
    OVERFLOW = 10
    """A queue of the line was full."""
    OVERSIZE = 11
    """It is larger than the path carries."""
    FILTERED = 12
    """A NAT let it not through."""
    UNROUTABLE = 13
    """Its target is a private address of another place."""
    STARVED = 14
    """The buffer of a stalled host was full."""


class Event(NamedTuple):
    """One event as it is read back."""

    time_s: float
    """Virtual seconds since the run began."""
    what: str
    """Lower case: ``sent``, ``delivered``, ``lost``, …, ``note``."""
    source: Endpoint | None
    """Where it came from; absent for notes."""
    target: Endpoint | None
    """Where it went; absent for notes."""
    kind: str
    """What its first byte says: ``sealed``, ``quic``, …; empty for notes."""
    size_bytes: int
    """Bytes of the datagram."""
    text: str
    """What a note says; empty otherwise."""


class Trace:
    """Takes in events; :attr:`values` and :meth:`settle` are for the network, which has no time for calls."""

    def __init__(self, writer: TraceWriter | None = None) -> None:
        """Make an empty trace.

        Args:
            writer: keeps events; absent: only their digest is kept.
        """
        self.values: list[int] = []
        """Values of events that wait, :data:`EVENT_VALUES` each; :meth:`settle` takes them."""
        self._writer = writer
        self._digest = hashlib.sha256()

    def begin(self, ticks: int) -> None:
        """Say at which tick the run begins; times are shown from there."""
        if self._writer is not None:
            self._writer.begin(ticks)

    def settle(self) -> None:
        """Take in a whole block of what waits."""
        values = self.values
        self._take(_BLOCK.pack(*values[:BLOCK_VALUES]))
        del values[:BLOCK_VALUES]

    def name(self, number: int, endpoint: Endpoint, ticks: int) -> None:
        """Give an endpoint its number."""
        self._write_text(What.ENDPOINT, number, str(endpoint), ticks)

    def note(self, text: str, ticks: int) -> None:
        """Write what the scenario says."""
        self._write_text(What.NOTE, 0, text, ticks)

    def hexdigest(self) -> str:
        """Return the digest of every event so far."""
        self._flush()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Settle everything and end the writer's file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def _write_text(self, what: What, number: int, text: str, ticks: int) -> None:
        self._flush()
        encoded = text.encode()[:65_535]
        self._take(_EVENT.pack(ticks, number, 0, len(encoded), what, 0) + encoded)

    def _flush(self) -> None:
        values = self.values
        while len(values) >= BLOCK_VALUES:
            self.settle()
        step = EVENT_VALUES
        self._take(b"".join([_EVENT.pack(*values[at : at + step]) for at in range(0, len(values), step)]))
        values.clear()

    def _take(self, data: bytes) -> None:
        self._digest.update(data)
        if self._writer is not None:
            self._writer.take(data)


class TraceWriter:
    """Keeps events of a run, all or those of a window of time, in a file or in memory."""

    def __init__(self, path: Path | None = None, *, window: tuple[float, float] | None = None) -> None:
        """Make it.

        Args:
            path: a new file; absent: kept in memory, see :meth:`events`.
            window: keep what happens from the first to the second, virtual seconds since the run began; absent: all.

        Raises:
            InvalidArgument: the window ends before it begins.
        """
        if window is not None and window[1] < window[0]:
            raise InvalidArgument("the window of time ends before it begins", hint="the earlier time comes first")
        self._path = path
        self._window = window
        self._first, self._last = 0, 2**64 - 1
        self._file: BinaryIO | None = None
        self._kept: bytes = b""
        self._waiting = bytearray()

    def begin(self, ticks: int) -> None:
        """Open the file; the run begins at this tick."""
        self._file = io.BytesIO() if self._path is None else self._path.open("wb")
        self._file.write(_MAGIC + _BEGAN.pack(ticks))
        if self._window is not None:
            self._first, self._last = (ticks + round(edge * MICROSECONDS) for edge in self._window)

    def take(self, data: bytes) -> None:
        """Keep events, or what of them is in the window; they come in the order of time."""
        self._waiting += data if self._window is None or not data else self._chosen(data)
        if len(self._waiting) >= _BLOCK.size:
            self._write_block()

    def close(self) -> None:
        """Write what waits, and the mark of the end; safe to call twice."""
        if self._file is None:
            return
        self._write_block()
        self._file.write(_LENGTH.pack(0))
        if isinstance(self._file, io.BytesIO):
            self._kept = self._file.getvalue()
        self._file.close()
        self._file = None

    def events(self) -> Iterator[Event]:
        """Return what was kept in memory; after :meth:`close`."""
        return _read(io.BytesIO(self._kept), "the trace in memory")

    def _write_block(self) -> None:
        if self._waiting and self._file is not None:
            packed = zlib.compress(self._waiting, 3)
            self._file.write(_LENGTH.pack(len(packed)) + packed)
        self._waiting.clear()

    def _chosen(self, data: bytes) -> bytes:
        """Return the events of the window, and every endpoint's number."""
        if data[_WHAT_AT] > What.NOTE:  # texts come alone: these are events of one size, and two looks tell most
            last = _EVENT.unpack_from(data, len(data) - _EVENT.size)[0]
            if last < self._first or _EVENT.unpack_from(data)[0] > self._last:
                return b""
        chosen = []
        at = 0
        while at < len(data):
            ticks, _, _, size, what, _ = _EVENT.unpack_from(data, at)
            end = at + _EVENT.size + (size if what <= What.NOTE else 0)
            if self._first <= ticks <= self._last or what == What.ENDPOINT:
                chosen.append(data[at:end])
            at = end
        return b"".join(chosen)


def read_trace(path: Path) -> Iterator[Event]:
    """Yield the events of a file in the order in which they happened.

    Raises:
        InvalidArgument: no such file, no trace, or one that ends in the middle (after all that can be read).
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {error.strerror}", hint="name a file that a run wrote") from error
    with file:
        yield from _read(file, str(path))


def format_event(event: Event) -> str:
    """Return one line: ``1003.417224 sent 20.0.3.1:4433 > 20.0.9.1:4433 sealed 412``."""
    if event.source is None:
        return f"{event.time_s:.6f} {event.what} {event.text}"
    return f"{event.time_s:.6f} {event.what} {event.source} > {event.target} {event.kind} {event.size_bytes}"


def _read(file: BinaryIO, name: str) -> Iterator[Event]:
    head = file.read(len(_MAGIC) + _BEGAN.size)
    if not head.startswith(_MAGIC) or len(head) != len(_MAGIC) + _BEGAN.size:
        raise InvalidArgument(f"{name} is no trace of a run", hint="name a file that a run wrote")
    (began,) = _BEGAN.unpack_from(head, len(_MAGIC))
    endpoints: dict[int, Endpoint] = {}
    while True:
        data = _read_block(file, name)
        if not data:
            return
        yield from _events(data, began, endpoints)


def _read_block(file: BinaryIO, name: str) -> bytes:
    """Return one block of events; empty at the end."""
    length_bytes = file.read(_LENGTH.size)
    length = _LENGTH.unpack(length_bytes)[0] if len(length_bytes) == _LENGTH.size else _LARGEST_BLOCK + 1
    if length == 0:
        return b""
    packed = file.read(length) if length <= _LARGEST_BLOCK else b""
    try:
        data = zlib.decompress(packed)
    except zlib.error as error:
        raise InvalidArgument(
            f"{name} ends in the middle", hint="its run was killed, or the copy is not complete; run it again"
        ) from error
    return data


def _events(data: bytes, began: int, endpoints: dict[int, Endpoint]) -> Iterator[Event]:
    at = 0
    while at < len(data):
        ticks, source, target, size, what, kind = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        time_s = (ticks - began) / MICROSECONDS
        if what <= What.NOTE:
            text = data[at : at + size].decode(errors="replace")
            at += size
            if what == What.ENDPOINT:
                endpoints[source] = parse_endpoint(text, allow_port_zero=True)
            else:
                yield Event(time_s, "note", None, None, "", 0, text)
            continue
        shown = _KINDS.get(kind) or f"0x{kind:02x}"
        yield Event(time_s, What(what).name.lower(), endpoints[source], endpoints[target], shown, size, "")
