"""A node without a network: answers as a node answers, remembers what it was asked, fails as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry

from pilotdht.config.config import Config
from pilotdht.dht.watch import LookupWatch
from pilotdht.errors import NotFound, PilotError, TimedOut
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey, node_id_of
from pilotdht.identity.keys import KeyPair, did_of
from pilotdht.names.peer import Peer, Source
from pilotdht.node.facts import (
    Connection,
    ConnectionInfo,
    LookupInfo,
    Message,
    NeighbourInfo,
    NetCheck,
    NodeInfo,
    PeerInfo,
    Trace,
    Traffic,
)
from pilotdht.traversal.advice import Finding, Severity
from pilotdht.traversal.behaviour import Filtering, NatBehaviour
from pilotdht.traversal.relay.use import RelayUse
from pilotdht.trust.book import TrustEntry
from pilotdht.trust.standing import Standing
from pilotdht.trust.states import TrustState
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping
from tests.support.fake_groups import FakeGroups

OWN = KeyPair.from_seed(b"\1" * 32)
ALPHA = KeyPair.from_seed(b"\2" * 32)
HERE = Endpoint("127.0.0.1", 4001)
THERE = Endpoint("127.0.0.1", 4002)
RTT_S = 0.038


class FakeStream:
    """One end of a pair of byte streams."""

    def __init__(self, peer: PublicKey, port: int) -> None:
        self.peer = peer
        self.port = port
        self.incoming: asyncio.Queue[bytes | PilotError] = asyncio.Queue()
        self.other: FakeStream | None = None
        self.is_aborted = False
        self.closed = asyncio.Event()
        self._is_ended = False
        self._is_written = False

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived."""
        if self._is_ended:
            return b""
        item = await self.incoming.get()
        if isinstance(item, PilotError):
            raise item
        self._is_ended = not item
        return item

    async def read_exactly(self, size: int) -> bytes:
        """Return what the other end wrote in pieces that make exactly this size."""
        data = b""
        while len(data) < size and (piece := await self.read()):
            data += piece
        assert len(data) == size
        return data

    async def write(self, data: bytes) -> None:
        """Hand data to the other end."""
        assert self.other is not None
        if data:
            self.other.incoming.put_nowait(data)

    async def write_eof(self) -> None:
        """End the own direction."""
        assert self.other is not None
        if not self._is_written:
            self._is_written = True
            self.other.incoming.put_nowait(b"")

    async def close(self) -> None:
        """Close both directions."""
        await self.write_eof()
        self.closed.set()

    def abort(self) -> None:
        """Give up."""
        self.is_aborted = True
        self.closed.set()


def stream_pair(port: int) -> tuple[FakeStream, FakeStream]:
    """Return this node's end and the peer's."""
    here, there = FakeStream(ALPHA.public_key, port), FakeStream(OWN.public_key, port)
    here.other, there.other = there, here
    return here, there


class FakeNode(FakeGroups):
    """Knows one peer, ``agent-alpha``; everybody else is not found."""

    def __init__(self) -> None:
        FakeGroups.__init__(self)
        self.registry = CollectorRegistry()
        self.hostname = "agent-own"
        self.tags: tuple[str, ...] = ("mcp",)
        self.watch = LookupWatch()
        """Lookups as they run."""
        self.failure: PilotError | None = None
        """Raised by every verb that asks the network."""
        self.is_stuck = False
        """Whether every verb that asks the network waits for ever."""
        self.was_cancelled = asyncio.Event()
        """Set when a stuck verb was cancelled."""
        self.sent: list[tuple[str, bytes, int]] = []
        self.configured: list[Config] = []
        """Configurations that were to hold, oldest first."""
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.names: dict[str, Address] = {}
        self.listening = 0
        """Open listeners."""
        self.incoming: asyncio.Queue[FakeStream] = asyncio.Queue()
        self.dialled: list[FakeStream] = []
        """The peer's ends of dialled streams."""
        self.entries: dict[str, TrustEntry] = {}
        self.relay: Address | None = None
        """Who relays to the one peer; absent: nobody."""

    def reconfigure(self, config: Config) -> None:
        """Remember what was to hold."""
        if self.failure is not None:
            raise self.failure
        self.configured.append(config)

    async def _ask(self, target: str) -> None:
        if self.is_stuck:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.was_cancelled.set()
                raise
        if self.failure is not None:
            raise self.failure
        if target not in ("agent-alpha", str(ALPHA.address), ALPHA.did):
            raise NotFound(f"nobody is known as {target}")

    def info(self) -> NodeInfo:
        """Return fixed facts."""
        return NodeInfo(
            address=OWN.address,
            did=OWN.did,
            hostname=self.hostname,
            tags=self.tags,
            listen=(HERE,),
            endpoints=(HERE,),
            is_joined=True,
            is_server=True,
            uptime_s=61.0,
            peers=1,
            connections=1,
            records=3,
            version="0.1.0",
        )

    def netcheck(self) -> NetCheck:
        """Return fixed facts."""
        return NetCheck(
            own_addresses=("192.168.1.2",),
            ipv4=NatBehaviour(
                mapping=NatMapping.ENDPOINT_INDEPENDENT,
                filtering=Filtering.DEPENDENT,
                are_ports_kept=True,
                public=THERE,
                public_host=THERE.host,
                samples=9,
                prefixes=4,
                confidence=0.8,
            ),
            ipv6=NatBehaviour(),
            is_server=False,
            port_mapping="silent",
            mapped=None,
            servers=((ALPHA.address, THERE),),
            lan="on",
            lan_reason="",
            neighbours=(NeighbourInfo(address=ALPHA.address, endpoint=THERE, standing="answered"),),
            findings=(
                Finding(code="cone", severity=Severity.GOOD, sentence="Peers can be met directly."),
                Finding(
                    code="no_mapping", severity=Severity.WARNING, sentence="No router answers.", advice="Allow PCP."
                ),
            ),
        )

    def peers(self) -> Sequence[PeerInfo]:
        """Return one contact."""
        return (PeerInfo(address=ALPHA.address, endpoint=THERE, rtt_s=RTT_S, last_seen_s=2.0),)

    def connections(self) -> Sequence[ConnectionInfo]:
        """Return one link."""
        return (
            ConnectionInfo(
                address=ALPHA.address,
                hostname="agent-alpha",
                endpoint=THERE,
                relay=self.relay,
                is_outgoing=True,
                is_trusted=True,
                rtt_s=RTT_S,
                lost_share=0.0125,
                received_bytes=1500,
                sent_bytes=900,
                streams=1,
                age_s=5.0,
            ),
        )

    def trusted(self) -> Sequence[TrustEntry]:
        """Return whom the fake trusts."""
        return [entry for entry in self.entries.values() if entry.state is TrustState.TRUSTED]

    def pending(self) -> Sequence[TrustEntry]:
        """Return who asked."""
        return [entry for entry in self.entries.values() if entry.state is TrustState.PENDING_IN]

    def traffic(self) -> Traffic:
        """Return a fixed amount."""
        return Traffic(received_bytes=1500, sent_bytes=900, at_s=61.0)

    def relay_use(self) -> RelayUse:
        """Return fixed facts."""
        return RelayUse(
            is_serving=True,
            is_relay=True,
            attached=2,
            max_attached=4096,
            channels=1,
            max_channels=4096,
            forwarded_frames=12,
            forwarded_bytes=14_000,
            dropped_frames=3,
            total_bytes_per_s=25e6,
            own_channels=0,
        )

    def lookup_watch(self) -> LookupWatch:
        """Return the watch that a test puts lookups in."""
        return self.watch

    def dht_stats(self) -> Mapping[str, object]:
        """Return a figure."""
        return {"peers": 1, "records": 3}

    async def set_hostname(self, hostname: str) -> None:
        """Change the name."""
        self.hostname = hostname

    async def set_tags(self, tags: Sequence[str]) -> None:
        """Change the tags."""
        self.tags = tuple(tags)

    async def set_alias(self, alias: str, target: str) -> Peer:
        """Remember a name."""
        peer = await self.find(target)
        self.names[alias] = peer.address
        return peer

    async def remove_alias(self, alias: str) -> bool:
        """Forget a name."""
        return self.names.pop(alias, None) is not None

    def aliases(self) -> Mapping[str, Address]:
        """Return the names."""
        return self.names

    async def find(self, target: str, *, fresh: bool = True) -> Peer:
        """Find the one peer."""
        await self._ask(target)
        return Peer(
            public_key=ALPHA.public_key,
            network=0,
            hostname="agent-alpha",
            tags=("finance",),
            endpoints=(THERE,),
            services=(),
            issued_s=1_700_000_000.0,
            is_trusted=False,
            source=Source.CLAIM,
        )

    async def lookup(self, *, tag: str, limit: int = 256) -> Sequence[Peer]:
        """Find the one peer by its tag."""
        await self._ask("agent-alpha")
        return [await self.find("agent-alpha")] if tag == "finance" else []

    async def ping(self, target: str, *, timeout_s: float = 5.0) -> float:
        """Return a fixed time."""
        await self._ask(target)
        return RTT_S

    async def traceroute(self, target: str, *, timeout_s: float = 10.0) -> Trace:
        """Return fixed facts."""
        await self._ask(target)
        return Trace(
            address=ALPHA.address,
            hostname="agent-alpha",
            source="name claim",
            resolve_s=0.002,
            endpoints=(THERE,),
            endpoint=THERE,
            relay=None,
            dial_s=0.004,
            rtt_s=RTT_S,
            peer_nat=NatMapping.ENDPOINT_INDEPENDENT,
        )

    async def connect(self, target: str, *, timeout_s: float = 10.0) -> Connection:
        """Return fixed facts."""
        await self._ask(target)
        return Connection(address=ALPHA.address, endpoint=THERE, relay=None, setup_s=0.005, rtt_s=0.022)

    async def disconnect(self, target: str) -> bool:
        """Say that there was a tunnel."""
        await self._ask(target)
        return True

    async def dial(self, target: str, port: int, *, timeout_s: float = 10.0) -> FakeStream:
        """Open a stream whose other end is in ``dialled``; port 7 echoes."""
        await self._ask(target)
        here, there = stream_pair(port)
        self.dialled.append(there)
        if port == 7:
            here.other = here
        return here

    @asynccontextmanager
    async def listen(self, port: int) -> AsyncIterator[AsyncIterator[FakeStream]]:
        """Yield the streams that are put into ``incoming``."""

        async def streams() -> AsyncIterator[FakeStream]:
            while True:
                yield await self.incoming.get()

        self.listening += 1
        try:
            yield streams()
        finally:
            self.listening -= 1

    async def request(self, target: str, message: bytes, *, port: int = 1000, timeout_s: float = 30.0) -> bytes:
        """Answer with the message in capitals."""
        await self._ask(target)
        return message.upper()

    async def send(self, target: str, message: bytes, *, port: int = 1000, timeout_s: float = 30.0) -> None:
        """Remember the message."""
        await self._ask(target)
        self.sent.append((target, message, port))

    async def receive(self, port: int = 1000, *, timeout_s: float | None = None) -> Message:
        """Return what was put into ``inbox``."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.inbox.get()
        except TimeoutError as error:
            raise TimedOut("no message came") from error

    async def put_back(self, message: Message) -> None:
        """Put a message in front of the others."""
        self.inbox._queue.appendleft(message)  # type: ignore[attr-defined]  # asyncio.Queue has no such method

    async def handshake(self, target: str, reason: str = "") -> TrustEntry:
        """Ask."""
        await self._ask(target)
        return self._remember(TrustState.PENDING_OUT, reason)

    async def approve(self, target: str) -> TrustEntry:
        """Approve."""
        await self._ask(target)
        return self._remember(TrustState.TRUSTED, "")

    async def reject(self, target: str, reason: str = "") -> TrustEntry:
        """Reject."""
        await self._ask(target)
        return self._remember(TrustState.REJECTED, reason)

    async def untrust(self, target: str) -> TrustEntry:
        """Take trust back."""
        await self._ask(target)
        return self._remember(TrustState.NONE, "")

    def ask_for_trust(self, reason: str) -> None:
        """Have the peer ask."""
        self._remember(TrustState.PENDING_IN, reason)

    def _remember(self, state: TrustState, reason: str) -> TrustEntry:
        entry = TrustEntry(public_key=ALPHA.public_key, hostname="agent-alpha", reason=reason, since=1_700_000_000.0)
        self.entries["agent-alpha"] = replace(entry, standing=Standing(state=state))
        return self.entries["agent-alpha"]

    async def dht_lookup(self, target: str) -> LookupInfo:
        """Return one contact."""
        await self._ask(target)
        contact = Contact(ALPHA.public_key, THERE)
        return LookupInfo(
            target=node_id_of(ALPHA.public_key), contacts=(contact,), requests=3, hops=2, duration_s=0.004
        )

    async def dht_get(self, target: str) -> Sequence[Mapping[str, object]]:
        """Return one record."""
        await self._ask(target)
        return [{"type": "node", "key": node_id_of(ALPHA.public_key), "hostname": "agent-alpha", "tags": ("finance",)}]


def message(data: bytes) -> Message:
    """Return a message from the peer."""
    return Message(
        peer=ALPHA.public_key,
        address=Address.of_public_key(ALPHA.public_key),
        hostname="agent-alpha",
        port=1000,
        data=data,
    )


ALPHA_DID = did_of(ALPHA.public_key)
