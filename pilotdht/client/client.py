"""The verbs of a node, spoken to a running daemon.

>>> async with Client() as client:
...     peer = await client.find("agent-alpha")
...     answer = await client.request("agent-alpha", b"hello")

Values are those that a node gives; times, sizes and errors mean the same. Cancelling a call stops the daemon's work.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlencode

from pilotdht.client.channel import ControlChannel, ControlPipe
from pilotdht.client.decode import (
    connection,
    connection_info,
    lookup_info,
    message,
    netcheck,
    node_info,
    peer,
    peer_info,
    trace,
    trust_entry,
)
from pilotdht.client.group_verbs import GroupVerbs
from pilotdht.client.query_verbs import QueryVerbs
from pilotdht.daemon.shapes import (
    AliasesShape,
    AliasRemovedShape,
    AnswerShape,
    ConnectionsShape,
    ContactsShape,
    DisconnectedShape,
    IncomingShape,
    InfoShape,
    LookupShape,
    MessageShape,
    NetCheckShape,
    PeerShape,
    PeersShape,
    PendingShape,
    PingShape,
    RecordsShape,
    RelayUseShape,
    TraceShape,
    TrafficShape,
    TrustedShape,
    TrustShape,
    TunnelShape,
)
from pilotdht.errors import TimedOut
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import parse_did
from pilotdht.names.peer import Peer
from pilotdht.node.facts import (
    Connection,
    ConnectionInfo,
    LookupInfo,
    Message,
    NetCheck,
    NodeInfo,
    PeerInfo,
    Trace,
    Traffic,
)
from pilotdht.tasks import TaskScope
from pilotdht.traversal.relay.use import RelayUse
from pilotdht.trust.book import TrustEntry

STDIO_PORT = 1000


class ClientStream:
    """A byte stream to a peer, through the daemon."""

    def __init__(self, pipe: ControlPipe, *, peer: PublicKey, port: int) -> None:
        self._pipe = pipe
        self.peer = peer
        """The other end's public key."""
        self.port = port
        """The virtual port."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        else:
            self.abort()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over what arrives."""
        while data := await self.read():
            yield data

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived, at most ``max_bytes``; ``b""`` at the end.

        Raises:
            PilotError: the stream broke.
        """
        return await self._pipe.read(max_bytes)

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly ``count`` bytes.

        Raises:
            LinkClosed: the stream ended before.
        """
        return await self._pipe.read_exactly(count)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``; waits while the peer reads too slowly.

        Raises:
            LinkClosed: the stream is gone.
        """
        await self._pipe.write(data)

    async def write_eof(self) -> None:
        """End the own direction."""
        await self._pipe.write_eof()

    async def close(self) -> None:
        """Close both directions; safe to call twice."""
        await self._pipe.close()

    def abort(self) -> None:
        """Give both directions up at once."""
        self._pipe.abort()


class Client(GroupVerbs, QueryVerbs):
    """Talks to the daemon; ``async with Client() as client``."""

    def __init__(self, socket: Path | str | None = None) -> None:
        """Make a client; nothing is sent before the first verb.

        Args:
            socket: the daemon's control socket; by default that of this user's daemon.
        """
        QueryVerbs.__init__(self)
        self._channel = ControlChannel(socket)
        self._scope = TaskScope("client")

    async def __aenter__(self) -> Self:
        """Begin to answer questions, if there are handlers."""
        await self._scope.__aenter__()
        self._begin_serving()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer no more questions and close kept connections; safe to call twice."""
        await self._scope.close()
        await self._channel.close()

    async def info(self) -> NodeInfo:
        """Return what the node tells about itself."""
        return node_info(cast("InfoShape", await self._channel.get("/v1/info")))

    async def netcheck(self) -> NetCheck:
        """Return where the node stands in the network."""
        return netcheck(cast("NetCheckShape", await self._channel.get("/v1/netcheck")))

    async def traffic(self) -> Traffic:
        """Return what went through the node's socket so far."""
        return Traffic(**cast("TrafficShape", await self._channel.get("/v1/traffic")))

    async def relay_use(self) -> RelayUse:
        """Return what the node carries for others, and what others carry for it."""
        return RelayUse(**cast("RelayUseShape", await self._channel.get("/v1/relay")))

    async def set_hostname(self, hostname: str) -> None:
        """Change the node's hostname and publish it."""
        await self._channel.post("/v1/hostname", {"hostname": hostname})

    async def set_tags(self, tags: Sequence[str]) -> None:
        """Change the node's tags and publish them."""
        await self._channel.post("/v1/tags", {"tags": list(tags)})

    async def find(self, target: str, *, fresh: bool = True) -> Peer:
        """Resolve a name, address, did:key or alias; ``fresh``: ask the network even when it was found a moment ago.

        Raises:
            NotFound: nobody is known under it.
            Ambiguous: several keys claim the name.
        """
        return peer(cast("PeerShape", await self._channel.post("/v1/find", {"target": target, "fresh": fresh})))

    async def set_alias(self, alias: str, target: str) -> Peer:
        """Let a local name stand for a peer; returns the peer."""
        await self._channel.post("/v1/alias/set", {"alias": alias, "target": target})
        return await self.find(alias, fresh=False)

    async def remove_alias(self, alias: str) -> bool:
        """Forget a local name; return whether there was one."""
        done = cast("AliasRemovedShape", await self._channel.post("/v1/alias/remove", {"alias": alias}))
        return done["was_set"]

    async def aliases(self) -> dict[str, Address]:
        """Return the address of each local name's peer."""
        listed = cast("AliasesShape", await self._channel.get("/v1/aliases"))
        return {entry["alias"]: Address.parse(entry["address"]) for entry in listed["aliases"]}

    async def lookup(self, *, tag: str, limit: int = 256) -> list[Peer]:
        """Return up to ``limit`` peers that carry a tag."""
        found = cast("PeersShape", await self._channel.post("/v1/lookup", {"tag": tag, "limit": limit}))
        return [peer(shape) for shape in found["peers"]]

    async def ping(self, target: str, *, timeout_s: float = 5.0) -> float:
        """Return the round-trip time over the tunnel in seconds."""
        fields = {"target": target, "timeout_s": timeout_s}
        return cast("PingShape", await self._channel.post("/v1/ping", fields))["rtt_s"]

    async def traceroute(self, target: str, *, timeout_s: float = 10.0) -> Trace:
        """Return how a peer is reached, step by step."""
        fields = {"target": target, "timeout_s": timeout_s}
        return trace(cast("TraceShape", await self._channel.post("/v1/traceroute", fields)))

    async def connect(self, target: str, *, timeout_s: float = 10.0) -> Connection:
        """Establish the tunnel to a peer, and measure it."""
        fields = {"target": target, "timeout_s": timeout_s}
        return connection(cast("TunnelShape", await self._channel.post("/v1/connect", fields)))

    async def disconnect(self, target: str) -> bool:
        """Close the tunnel to a peer; return whether there was one. The next dial opens another."""
        done = cast("DisconnectedShape", await self._channel.post("/v1/disconnect", {"target": target}))
        return done["was_connected"]

    async def dial(self, target: str, port: int, *, timeout_s: float = 10.0) -> ClientStream:
        """Open a stream to a peer's port."""
        query = urlencode({"target": target, "port": port, "timeout_s": timeout_s})
        pipe = await self._channel.pipe(f"/v1/dial?{query}")
        return ClientStream(pipe, peer=parse_did(pipe.peer), port=port)

    @asynccontextmanager
    async def listen(self, port: int) -> AsyncIterator[AsyncIterator[ClientStream]]:
        """Accept streams to a port: yields an iterator of them; leaving the block stops listening."""
        lines = self._channel.listen(port)
        async with aclosing(lines):
            await anext(lines)  # the daemon says that it listens

            async def streams() -> AsyncIterator[ClientStream]:
                async for line in lines:
                    incoming = cast("IncomingShape", line)
                    pipe = await self._channel.pipe(f"/v1/streams/{incoming['stream']}")
                    yield ClientStream(pipe, peer=parse_did(incoming["peer"]), port=incoming["port"])

            yield streams()

    async def request(self, target: str, message: bytes, *, port: int = STDIO_PORT, timeout_s: float = 30.0) -> bytes:
        """Send a message and return the peer's answer."""
        fields = _message_fields(target, message, port, timeout_s)
        answer = cast("AnswerShape", await self._channel.post("/v1/request", fields))
        return base64.b64decode(answer["answer_base64"])

    async def send(self, target: str, message: bytes, *, port: int = STDIO_PORT, timeout_s: float = 30.0) -> None:
        """Send a message; returns when the peer has stored or handled it."""
        await self._channel.post("/v1/send", _message_fields(target, message, port, timeout_s))

    async def receive(self, port: int = STDIO_PORT, *, timeout_s: float | None = None) -> Message:
        """Take the oldest message from the inbox, or wait for one.

        Raises:
            TimedOut: none came in time.
        """
        fields: dict[str, object] = {"port": port, "count": 1}
        if timeout_s is not None:
            fields["timeout_s"] = timeout_s
        async with aclosing(self._channel.lines("/v1/receive", fields)) as lines:
            async for line in lines:
                return message(cast("MessageShape", line))
        raise TimedOut("no message came")

    async def handshake(self, target: str, reason: str = "") -> TrustEntry:
        """Ask a peer for trust; returns where it stands."""
        return await self._trust_step("handshake", {"target": target, "reason": reason})

    async def approve(self, target: str) -> TrustEntry:
        """Give trust to a peer that asked; returns where it stands."""
        return await self._trust_step("approve", {"target": target})

    async def reject(self, target: str, reason: str = "") -> TrustEntry:
        """Refuse trust to a peer that asked; returns where it stands."""
        return await self._trust_step("reject", {"target": target, "reason": reason})

    async def untrust(self, target: str) -> TrustEntry:
        """Take trust back and cut the peer's links; returns where it stands."""
        return await self._trust_step("untrust", {"target": target})

    async def trusted(self) -> list[TrustEntry]:
        """Return whom the node trusts."""
        listed = cast("TrustedShape", await self._channel.get("/v1/trust"))
        return [trust_entry(shape) for shape in listed["trusted"]]

    async def pending(self) -> list[TrustEntry]:
        """Return whose requests wait for an answer."""
        listed = cast("PendingShape", await self._channel.get("/v1/trust/pending"))
        return [trust_entry(shape) for shape in listed["pending"]]

    async def peers(self) -> list[PeerInfo]:
        """Return the routing table."""
        listed = cast("ContactsShape", await self._channel.get("/v1/peers"))
        return [peer_info(shape) for shape in listed["peers"]]

    async def connections(self) -> list[ConnectionInfo]:
        """Return the live links."""
        listed = cast("ConnectionsShape", await self._channel.get("/v1/connections"))
        return [connection_info(shape) for shape in listed["connections"]]

    async def dht_lookup(self, target: str) -> LookupInfo:
        """Walk the DHT towards a name, address or key."""
        return lookup_info(cast("LookupShape", await self._channel.post("/v1/dht/lookup", {"target": target})))

    async def dht_get(self, target: str) -> list[dict[str, object]]:
        """Return the records under a name, address or key."""
        return cast("RecordsShape", await self._channel.post("/v1/dht/get", {"target": target}))["records"]

    async def dht_stats(self) -> dict[str, object]:
        """Return figures of the DHT."""
        return dict(cast("Mapping[str, object]", await self._channel.get("/v1/dht/stats")))

    async def metrics(self) -> str:
        """Return all metrics as Prometheus text."""
        return await self._channel.text("/metrics")

    async def stop(self) -> int:
        """Have the daemon stop; returns its process id."""
        return int(cast("Mapping[str, int]", await self._channel.post("/v1/stop", {}))["pid"])

    async def _trust_step(self, step: str, fields: Mapping[str, object]) -> TrustEntry:
        return trust_entry(cast("TrustShape", await self._channel.post(f"/v1/trust/{step}", fields)))


def _message_fields(target: str, data: bytes, port: int, timeout_s: float) -> dict[str, object]:
    encoded = base64.b64encode(data).decode("ascii")
    return {"target": target, "port": port, "message_base64": encoded, "timeout_s": timeout_s}
