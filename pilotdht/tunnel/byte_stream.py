"""What users of a stream need of it: a Protocol that :class:`pilotdht.tunnel.stream.Stream` fulfils.

Services, handshakes and the daemon take this, so that their tests need no link.
"""

from __future__ import annotations

from typing import Protocol

from pilotdht.identity.ids import PublicKey


class ByteStream(Protocol):
    """Bytes both ways, to a peer whose key is proven."""

    @property
    def peer(self) -> PublicKey:
        """Who is on the other side."""
        ...

    @property
    def port(self) -> int:
        """The virtual port."""
        ...

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived, or ``b""`` at the end."""
        ...

    async def read_exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        ...

    async def write(self, data: bytes) -> None:
        """Write all of ``data``, waiting while the peer is behind."""
        ...

    async def write_eof(self) -> None:
        """Say that nothing more will be written."""
        ...

    async def close(self) -> None:
        """End both directions: what was written is still delivered."""
        ...

    def abort(self) -> None:
        """Give both directions up at once."""
        ...
