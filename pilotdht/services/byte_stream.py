"""What services need of a stream: a Protocol that :class:`pilotdht.tunnel.stream.Stream` fulfils."""

from __future__ import annotations

from typing import Protocol

from pilotdht.identity.ids import PublicKey


class ByteStream(Protocol):
    """Bytes both ways, to a peer whose key is proven."""

    @property
    def peer(self) -> PublicKey:
        """Who is on the other side."""
        ...

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return some bytes, or ``b""`` at the end."""
        ...

    async def read_exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        ...

    async def write(self, data: bytes) -> None:
        """Queue bytes, waiting while the peer is behind."""
        ...

    async def write_eof(self) -> None:
        """Say that nothing more will be written."""
        ...
