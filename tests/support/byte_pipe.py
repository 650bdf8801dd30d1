"""Two ends of a byte stream in memory, with the behaviour of a tunnel's streams: order, back-pressure, ends, aborts."""

from __future__ import annotations

import asyncio

from pilotdht.errors import LinkClosed
from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.header import OptionValue

DEFAULT_WINDOW_BYTES = 65536


class _Way:
    """One direction."""

    def __init__(self, window_bytes: int) -> None:
        self.window_bytes = window_bytes
        self.data = bytearray()
        self.is_ended = False
        self.is_broken = False
        self.is_deaf = False
        self.changed = asyncio.Condition()

    async def notify(self) -> None:
        """Wake whoever waits."""
        async with self.changed:
            self.changed.notify_all()


class BytePipe:
    """One end; made in pairs by :func:`byte_pipe`."""

    def __init__(
        self, incoming: _Way, outgoing: _Way, *, peer: PublicKey, port: int, options: dict[str, OptionValue]
    ) -> None:
        self._in = incoming
        self._out = outgoing
        self.peer = peer
        self.port = port
        self.options = options
        self.is_closed = False
        self.is_aborted = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived, ``b""`` at the end."""
        way = self._in
        async with way.changed:
            await way.changed.wait_for(lambda: way.data or way.is_ended or way.is_broken or self.is_aborted)
            if way.is_broken or self.is_aborted:
                raise LinkClosed("the stream was aborted")
            taken = bytes(way.data[:max_bytes])
            del way.data[: len(taken)]
            way.changed.notify_all()
        return taken

    async def read_exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        gathered = b""
        while len(gathered) < size:
            chunk = await self.read(size - len(gathered))
            if not chunk:
                raise LinkClosed("the stream ended early")
            gathered += chunk
        return gathered

    async def write(self, data: bytes) -> None:
        """Write all of ``data``; waits while the window is full."""
        way = self._out
        for start in range(0, len(data), 1024):
            async with way.changed:
                await way.changed.wait_for(
                    lambda: len(way.data) < way.window_bytes or way.is_broken or way.is_deaf or self.is_aborted
                )
                if way.is_broken or way.is_ended or self.is_aborted:
                    raise LinkClosed("the stream was aborted")
                if not way.is_deaf:
                    way.data += data[start : start + 1024]
                way.changed.notify_all()

    async def write_eof(self) -> None:
        """End the own direction."""
        self._out.is_ended = True
        await self._out.notify()

    async def close(self) -> None:
        """End both directions."""
        self.is_closed = True
        self._in.is_deaf = True
        await self.write_eof()
        await self._in.notify()

    def abort(self) -> None:
        """Break both directions at once."""
        if self.is_closed or self.is_aborted:
            return
        self.is_aborted = True
        self._in.is_broken = self._out.is_broken = True
        for way in (self._in, self._out):
            task = asyncio.get_running_loop().create_task(way.notify())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def byte_pipe(
    *,
    opener: PublicKey,
    acceptor: PublicKey,
    port: int,
    options: dict[str, OptionValue] | None = None,
    window_bytes: int = DEFAULT_WINDOW_BYTES,
) -> tuple[BytePipe, BytePipe]:
    """Return the opener's and the acceptor's end of a stream."""
    forth, back = _Way(window_bytes), _Way(window_bytes)
    chosen = options or {}
    return (
        BytePipe(back, forth, peer=acceptor, port=port, options=chosen),
        BytePipe(forth, back, peer=opener, port=port, options=chosen),
    )
