"""The streaming verbs of the control API: byte pipes to peers, incoming streams, messages as they come.

A pipe is one HTTP request whose body is what the client writes and whose answer is what the peer writes, both at the
same time; :mod:`pilotdht.daemon.frames` says how ends and errors travel. A listener is one request that names each
incoming stream as a line of JSON and lasts as long as its body; each stream is claimed by opening ``/v1/streams/NAME``
as a pipe.
"""

from __future__ import annotations

import asyncio
import secrets

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.encode import message_shape
from pilotdht.daemon.envelope import error_envelope
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.frames import EOF_EVENT, control_frame, data_frame
from pilotdht.daemon.handlers import STDIO_PORT
from pilotdht.daemon.http import ClientGone, Exchange, as_pilot_error, first_error
from pilotdht.daemon.lines import Lines, query_fields
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.people import person_of
from pilotdht.daemon.shapes import IncomingShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import NotFound
from pilotdht.tunnel.byte_stream import ByteStream

MAX_MESSAGES = 1_000_000

PIPE_TYPE = "application/vnd.pilotdht.frames"


class Pipes:
    """Serves the streaming verbs, and holds incoming streams until they are claimed."""

    def __init__(self, node: NodeVerbs, *, config: DaemonConfig, metrics: DaemonMetrics) -> None:
        self._node = node
        self._config = config
        self._metrics = metrics
        self._unclaimed: dict[str, tuple[ByteStream, asyncio.TimerHandle]] = {}

    def close(self) -> None:
        """Abort the streams that nobody claimed."""
        for name in list(self._unclaimed):
            self._drop_unclaimed(name)

    async def dial(self, exchange: Exchange) -> None:
        """Open a stream to ``?target=…&port=…&timeout_s=…`` and be its pipe."""
        fields = query_fields(exchange.request.query)
        target, port = fields.target(), fields.port(STDIO_PORT)
        timeout_s = fields.seconds("timeout_s", 10.0)
        fields.finish()
        stream = await self._node.dial(target, port, timeout_s=timeout_s)
        await self._pump(stream, exchange)

    async def claim(self, exchange: Exchange, name: str) -> None:
        """Be the pipe of an incoming stream."""
        entry = self._unclaimed.pop(name, None)
        if entry is None:
            raise NotFound("no such incoming stream", hint="claim a stream as soon as the listener names it")
        stream, timer = entry
        timer.cancel()
        await self._pump(stream, exchange)

    async def listen(self, exchange: Exchange) -> None:
        """Tell ``?port=…`` once it is open, then name its incoming streams, line by line, until the body ends.

        The request's body is empty and stays open: ending it closes the port, and the answer ends when it is closed.
        """
        fields = query_fields(exchange.request.query)
        port = fields.port()
        fields.finish()
        lines = Lines(exchange)
        offered: list[str] = []

        async def work() -> None:
            async with self._node.listen(port) as streams:
                await lines.write({"port": port})
                async for stream in streams:
                    if len(self._unclaimed) >= self._config.max_unclaimed_streams:
                        self._metrics.refused_unclaimed.inc()
                        stream.abort()
                    else:
                        offer = self._offer(stream)
                        offered[:] = [name for name in offered if name in self._unclaimed] + [offer["stream"]]
                        await lines.write(offer)

        try:
            await lines.run(work, until=exchange.until_body_ends)
        finally:
            for name in offered:
                if name in self._unclaimed:
                    self._drop_unclaimed(name)

    async def receive(self, exchange: Exchange, fields: Fields) -> None:
        """Tell messages from the inbox, line by line, until as many came as were asked for."""
        port, count = fields.port(STDIO_PORT), fields.integer("count", MAX_MESSAGES, low=1, high=MAX_MESSAGES)
        timeout_s = fields.optional_seconds("timeout_s")
        fields.finish()
        lines = Lines(exchange)

        async def work() -> None:
            for _ in range(count):
                message = await self._node.receive(port, timeout_s=timeout_s)
                try:
                    await lines.write(message_shape(message))
                except BaseException:  # the client went away: the next one gets the message
                    await self._node.put_back(message)
                    raise

        await lines.run(work)

    def _offer(self, stream: ByteStream) -> IncomingShape:
        """Hold a stream until it is claimed, and tell what it is."""
        name = secrets.token_hex(8)
        timer = asyncio.get_running_loop().call_later(self._config.claim_timeout_s, self._drop_unclaimed, name)
        self._unclaimed[name] = (stream, timer)
        peer = person_of(self._node, stream.peer)
        return {
            "stream": name,
            "peer": peer["did"],
            "address": peer["address"],
            "hostname": peer["hostname"],
            "port": stream.port,
        }

    def _drop_unclaimed(self, name: str) -> None:
        """Abort a stream that its listener did not claim in time."""
        stream, timer = self._unclaimed.pop(name)
        timer.cancel()
        self._metrics.refused_unclaimed.inc()
        stream.abort()

    async def _pump(self, stream: ByteStream, exchange: Exchange) -> None:
        """Carry bytes both ways until both sides have ended; a client that vanishes aborts the stream."""
        peer = person_of(self._node, stream.peer)
        is_clean = False
        try:
            await exchange.start(PIPE_TYPE, [("pilotdht-address", peer["address"]), ("pilotdht-peer", peer["did"])])
            is_clean = await _carry(stream, exchange)
            if is_clean:
                await stream.close()
        finally:
            if not is_clean:
                stream.abort()
        if is_clean:
            await exchange.finish()  # told when the stream is closed: a client that waits for it knows


async def _carry(stream: ByteStream, exchange: Exchange) -> bool:
    """Return whether both directions ended well."""

    async def outgoing() -> None:
        while (chunk := await exchange.read_chunk()) is not None:
            await stream.write(chunk)
        await stream.write_eof()

    async def incoming() -> None:
        while data := await stream.read():
            await exchange.write(data_frame(data))
        await exchange.write(control_frame(EOF_EVENT))

    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(incoming())
            await outgoing()
            watching = group.create_task(exchange.until_gone())  # one reader at a time: outgoing has ended
            reading.add_done_callback(lambda _: watching.cancel())
    except BaseExceptionGroup as errors:
        error = first_error(errors)
        if isinstance(error, ClientGone) or not isinstance(error, Exception):
            raise error from errors
        await exchange.write(control_frame(dict(error_envelope(as_pilot_error(error)))))
        await exchange.finish()
        return False
    return True
