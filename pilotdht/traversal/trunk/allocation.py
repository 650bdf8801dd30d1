"""The UDP socket that a server lends to one client, and what passes between it and the client's trunk.

Endpoint-independent in mapping and in filtering (RFC 4787): peers see the client at one endpoint, and whoever sends
there reaches it. So nobody needs a relay to reach a client, not even from behind a random-port NAT; strangers gain no
more than with any node in public, and what they send is bounded by the client's rate. Only kinds of datagrams that
nodes send each other pass, either way.

Source: RFC 8656 (TURN), which lets in only whom the client has named, as its clients have no other protection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from pilotdht.config.net import NetConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import BadMessage, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.datagrams import HELLO, HELLO_REPLY
from pilotdht.net.doors import Batch, ByteStream, DatagramNetwork, DatagramSocket
from pilotdht.net.hello import HELLO_BYTES, Greeter
from pilotdht.net.metrics import NetMetrics
from pilotdht.tasks import TaskScope
from pilotdht.traversal.relay.channel import ByteBucket
from pilotdht.traversal.trunk.frames import MAX_CARRIED_BYTES, OVERHEAD_BYTES, encode_frames, is_ours
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.traversal.trunk.targets import Decision, Reach, Targets
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

GREETING_TRIES = 2
GREETING_WAIT_S = 0.5
"""Half a second a try: an endpoint has a second to answer in all, and two chances to have its NAT open."""

_HELD = (Decision.HOLD, Decision.HOLD_AND_GREET)
_GREETED = (Decision.SEND_AND_GREET, Decision.HOLD_AND_GREET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What may still pass in one direction."""

    own: ByteBucket
    """Of one client."""
    total: ByteBucket
    """Of all together."""

    def refusal(self, size_bytes: int, now: float) -> str:
        """Count a datagram; return the reason when it may not pass, else an empty text."""
        cost = size_bytes + OVERHEAD_BYTES
        if self.own.available(now) < cost:
            return "client_rate"
        if self.total.available(now) < cost:
            return "total_rate"
        self.own.spend(cost)
        self.total.spend(cost)
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """What all allocations of one server share."""

    keys: KeyPair
    """The server's."""
    salt: bytes
    """The mesh's."""
    token_bytes: Callable[[int], bytes]
    """Source of unpredictable bytes."""
    network: DatagramNetwork
    """Opens sockets."""
    config: TrunkConfig
    """Bounds."""
    net: NetConfig
    """Of greetings."""
    metrics: TrunkMetrics
    """Where all is counted."""
    net_metrics: NetMetrics
    """Where greetings are counted."""
    scope: TaskScope
    """Owner of the greetings under way."""
    up: ByteBucket
    """What all clients may still send."""
    down: ByteBucket
    """What all clients may still be sent."""
    reach: Callable[[Endpoint], Reach]
    """Whether the server sends to an endpoint at all."""


class Allocation:
    """One client's socket; it outlives the client's connection when the client comes back by another one."""

    def __init__(self, client: PublicKey, stream: ByteStream, lender: Lender) -> None:
        """Make it; :meth:`open` opens the socket.

        Args:
            client: whose it is.
            stream: where frames go.
            lender: what it shares with others.
        """
        self.client = client
        """Who it is lent to."""
        self.stream = stream
        """The client's newest connection."""
        self.on_replaced: Callable[[], None] = lambda: None
        """Called when another connection takes the place of :attr:`stream`."""
        config = lender.config
        self._loop = asyncio.get_running_loop()
        self._lender = lender
        self._metrics = lender.metrics
        now = self._loop.time()
        self.targets = Targets(config, now=now)
        """Where it may send to."""
        self._up = Meter(own=_bucket(config, now), total=lender.up)
        self._down = Meter(own=_bucket(config, now), total=lender.down)
        self._socket: DatagramSocket | None = None
        net = replace(
            lender.net,
            hello_tries=GREETING_TRIES,
            hello_timeout_s=GREETING_WAIT_S,
            hellos_pending=config.greetings_pending,
        )
        self._greeter = Greeter(
            lender.keys,
            net,
            lender.net_metrics,
            salt=lender.salt,
            token_bytes=lender.token_bytes,
            observed=_ignore,
        )

    def move(self, stream: ByteStream) -> None:
        """Go on over another connection of the same client."""
        self.on_replaced()
        self.stream.abort()
        self.stream = stream

    async def open(self, host: str) -> None:
        """Open the socket at a host's address, at any port.

        Raises:
            ConfigError: no address can be bound.
        """
        self._socket = await self._lender.network.open(Endpoint(host, 0), self._received)
        self._greeter.open(self._socket.send)

    async def close(self) -> None:
        """Close the socket; safe to call twice."""
        self._greeter.close()
        opened, self._socket = self._socket, None
        if opened is not None:
            await opened.close()

    @property
    def port(self) -> int:
        """The UDP port that is lent; 0 when none is open."""
        return 0 if self._socket is None else self._socket.local_endpoints[0].port

    def send(self, frames: Sequence[tuple[bytes, Endpoint]]) -> None:
        """Send what the client wants sent, as far as it may: neighbours to one endpoint in one train."""
        train: list[bytes] = []
        towards: Endpoint | None = None
        now = self._loop.time()
        for datagram, endpoint in frames:
            if not self._passes(datagram, endpoint, now):
                continue
            if endpoint != towards:
                self._send(train, towards)
                train, towards = [], endpoint
            train.append(datagram)
        self._send(train, towards)

    def _passes(self, datagram: bytes, endpoint: Endpoint, now: float) -> bool:
        """Return whether a datagram is to be sent now; greet, keep or count it otherwise."""
        if not is_ours(datagram):
            return self._drop("kind")
        if self.targets.is_new(endpoint, now):
            reach = self._lender.reach(endpoint)
            if reach is Reach.NOWHERE:
                return self._drop("reach")
            if reach is Reach.OWN:
                self.targets.own(endpoint, now)
        refusal = self._up.refusal(len(datagram), now)
        if refusal:
            return self._drop(refusal)
        if datagram[0] == HELLO_REPLY and len(datagram) == HELLO_BYTES and self.targets.owes_answer(endpoint, now):
            return True
        decision = self.targets.decide(endpoint, datagram, now)
        if decision in _GREETED:
            self._metrics.greetings += 1
            self._lender.scope.start(self._greet(endpoint), name="trunk-greeting")
        if decision is Decision.SEND or decision is Decision.SEND_AND_GREET:
            return True
        return False if decision in _HELD else self._drop(decision.value)

    async def _greet(self, endpoint: Endpoint) -> None:
        """Find out whether a node of this mesh is at an endpoint, and decide about what waits for it."""
        try:
            await self._greeter.hello(endpoint)
        except PilotError:
            self._metrics.dropped["silent"] += self.targets.silent(endpoint, self._loop.time())
        else:
            self._send(self.targets.answered(endpoint, self._loop.time()), endpoint)

    def _send(self, train: Sequence[bytes], endpoint: Endpoint | None) -> None:
        if train and endpoint is not None and self._socket is not None:
            self._metrics.datagrams["out"] += len(train)
            self._metrics.bytes["out"] += sum(map(len, train))
            self._socket.send_train(train, endpoint)

    def _received(self, batch: Batch) -> None:
        """Hand what came to the socket to the client, as far as its connection takes it."""
        now, stream = self._loop.time(), self.stream
        room = self._lender.config.backlog_bytes - stream.backlog_bytes
        carried = []
        for item in batch:
            datagram, endpoint = item
            if not is_ours(datagram):
                self._drop("kind")
            elif datagram[0] == HELLO_REPLY and self._is_for_us(datagram, endpoint):
                continue
            elif len(datagram) > MAX_CARRIED_BYTES:
                self._drop("oversized")
            elif len(datagram) > room:
                self._drop("backlog")
            elif refusal := self._down.refusal(len(datagram), now):
                self._drop(refusal)
            else:
                if datagram[0] == HELLO:
                    self.targets.greeted(endpoint, now)
                room -= len(datagram)
                carried.append(item)
                self._metrics.bytes["in"] += len(datagram)
        if carried:
            self._metrics.datagrams["in"] += len(carried)
            stream.write(encode_frames(carried))

    def _is_for_us(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Return whether it answers a greeting of ours; all others answer the client's."""
        try:
            self._greeter.receive_reply_untrusted(datagram, endpoint)
        except BadMessage as error:
            return error.reason != "hello_unasked"
        return True

    def _drop(self, reason: str) -> bool:
        self._metrics.dropped[reason] += 1
        return False


def _bucket(config: TrunkConfig, now: float) -> ByteBucket:
    return ByteBucket(rate_per_s=config.client_bytes_per_s, burst=config.client_burst_bytes, now=now)


def _ignore(_contact: Contact, _seen: Endpoint) -> None:
    pass
