"""How a byte pipe answers: frames with a four-byte length, so that an end and an error can be told apart.

The request body of a pipe is the raw bytes, and its end is the writer's end. The response body is a row of frames: a
length whose highest bit is clear is followed by that many bytes of data; one whose highest bit is set by a JSON object,
``{"event": "eof"}`` when the peer has written all it will, or an error envelope, after which nothing follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pilotdht.errors import BadMessage

MAX_FRAME_BYTES = 1 << 20
"""Most bytes of one frame; a reader holds no more than that."""

LENGTH_BYTES = 4
_CONTROL_BIT = 1 << 31

EOF_EVENT: Mapping[str, object] = {"event": "eof"}


def data_frame(data: bytes) -> bytes:
    """Return one frame of data."""
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def control_frame(content: Mapping[str, object]) -> bytes:
    """Return one control frame."""
    body = json.dumps(content).encode()
    return (len(body) | _CONTROL_BIT).to_bytes(LENGTH_BYTES, "big") + body


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed_untrusted(self, data: bytes) -> Iterator[bytes | dict[str, object]]:
        """Yield the frames that ``data`` completes: bytes for data, a dictionary for control.

        Raises:
            BadMessage: a frame is too long, or its control object is malformed.
        """
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
            is_control, length = bool(length & _CONTROL_BIT), length & ~_CONTROL_BIT
            if length > MAX_FRAME_BYTES:
                raise BadMessage("frame_size")
            end = LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[LENGTH_BYTES:end])
            del self._buffer[:end]
            yield _control_untrusted(body) if is_control else body


def _control_untrusted(body: bytes) -> dict[str, object]:
    """Read a control object."""
    try:
        content = json.loads(body)
    except ValueError as error:
        raise BadMessage("frame_control") from error
    if not isinstance(content, dict):
        raise BadMessage("frame_control")
    return content
