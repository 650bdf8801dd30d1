"""Bytes of a stream between their arrival and their reading. Pure."""

from __future__ import annotations

from collections import deque


class ReceiveBuffer:
    """Chunks in the order they came; taken in pieces of any size without copying what fits."""

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self.size = 0
        """Bytes held."""

    def put(self, chunk: bytes) -> None:
        """Append a chunk that is not empty."""
        self._chunks.append(chunk)
        self.size += len(chunk)

    def take(self, most: int) -> bytes:
        """Remove and return up to ``most`` bytes."""
        chunks = self._chunks
        if self.size <= most:
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self.clear()
            return data
        parts: list[bytes] = []
        room = most
        while room > 0:
            part = chunks.popleft()
            if len(part) > room:
                chunks.appendleft(part[room:])
                part = part[:room]
            parts.append(part)
            room -= len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.size -= len(data)
        return data

    def clear(self) -> int:
        """Throw everything away; return how many bytes that were."""
        size, self.size = self.size, 0
        self._chunks.clear()
        return size
