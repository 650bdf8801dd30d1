"""The client's side: channels that this node has through servers, each as a virtual endpoint.

What is sent to such an endpoint gets the channel's header and goes to the server; what comes back from exactly that
server in that channel is unwrapped and taken in as if it had come from the virtual endpoint. Nothing is opened or read
here: what travels is sealed by the two ends.

A caller calls again now and then: that keeps its NAT's mapping, tells the server when the mapping changed, and finds a
new channel when the server lost the old one. The virtual endpoint stays the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import InternalError, NodeClosed, Overloaded, Refused, RemoteError, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.net.datagrams import QUIC_BIT, RELAYED
from pilotdht.net.doors import Batch
from pilotdht.net.limits import TokenBucket
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.outcomes import Answered, Outcome, Sender, Slow
from pilotdht.net.switchboard import is_virtual
from pilotdht.traversal.relay.channel import HEADER_BYTES
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import SEALED
from pilotdht.wire.traversal_messages import Call, Called, CallResult, HangUp

SWEEPS_AN_INTERVAL = 4
"""How often channels are looked at within the interval in which callers call again."""

MISSES = 2
"""Calls in a row without an answer, each sent twice, after which a server counts as gone."""

STRAYS_PER_S = 1.0
STRAY_BURST = 8
"""How often servers are told of channels that we do not know: whoever forges frames makes us send no more than that."""


class OpenChannel:
    """One channel of this node."""

    __slots__ = (
        "channel_id",
        "endpoint",
        "header",
        "is_calling",
        "is_relay",
        "is_standing",
        "misses",
        "relay",
        "renewed_at",
        "target",
        "used_at",
    )

    def __init__(self, relay: Contact, channel_id: bytes, target: PublicKey | None) -> None:
        self.relay = relay
        """Whose channel it is, and where it is heard."""
        self.target = target
        """Whom this node called; absent when it was called itself."""
        self.channel_id = channel_id
        """8 bytes."""
        self.header = bytes((RELAYED,)) + channel_id
        """What each frame begins with."""
        self.endpoint: Endpoint
        """What it is called above the socket."""
        self.used_at = 0.0
        """When something was sent or received last."""
        self.renewed_at = 0.0
        """When it was called last."""
        self.misses = 0
        """Calls in a row that were not answered."""
        self.is_calling = False
        """A call is under way."""
        self.is_relay = True
        """It carries whatever is sent, as far as its server says; not only what it takes to meet."""
        self.is_standing = False
        """Its endpoint outlives it: see :mod:`pilotdht.traversal.relay.standing`."""

    def rename(self, channel_id: bytes) -> None:
        """Go on through another channel of the same server."""
        self.channel_id = channel_id
        self.header = bytes((RELAYED,)) + channel_id


class RelayClient:
    """The channels of one node through servers; :meth:`start` and :meth:`stop` bound its life."""

    def __init__(self, *, socket: NodeSocket, config: RelayConfig, metrics: RelayMetrics) -> None:
        """Make one without any channel.

        Args:
            socket: where requests and frames go out, and whose switchboard makes endpoints.
            config: bounds and intervals.
            metrics: where everything is counted.
        """
        self.on_closed: Callable[[Endpoint], None] = _ignore
        """Called with the virtual endpoint of each channel that ended without this side having closed it."""
        self._socket = socket
        self._rpc = socket.rpc
        self._config = config
        self._metrics = metrics
        self._channels: dict[bytes, OpenChannel] = {}
        self._endpoints: dict[Endpoint, OpenChannel] = {}
        self._called: dict[tuple[Contact, PublicKey], OpenChannel] = {}
        self._servers: dict[Endpoint, Contact] = {}
        self._strays: TokenBucket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many channels are open."""
        return len(self._channels)

    def start(self) -> None:
        """Work from now on, with the timers of the running loop; the socket is open."""
        self._loop = asyncio.get_running_loop()
        self._metrics.show("open", "Channels of this node through others", self.__len__)

    def stop(self) -> None:
        """Close all channels, tell their servers, and open none any more; safe to call twice."""
        for endpoint in list(self._endpoints):
            self.close(endpoint)
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Opening and closing

    async def call(self, relay: Contact, target: PublicKey) -> Endpoint:
        """Call a node that is attached to a server; return the virtual endpoint where it can be reached now.

        Calling again while the channel is open returns the same endpoint.

        Raises:
            Unreachable: the node is not attached there.
            Refused: the server serves nobody, or not us.
            Overloaded: no room there, or on this side.
            TimedOut: the server does not answer.
            NodeClosed: this node is closed.
        """
        called = await self._ask(relay, target)
        if called.result is CallResult.UNPROVEN:  # its answer brought the token that proves where we are
            called = await self._ask(relay, target)
        if called.result is not CallResult.OK:
            raise _refusal(called.result, relay)
        endpoint = self.open(relay, called.channel_id, target=target)
        self._endpoints[endpoint].is_relay = called.is_relay
        return endpoint

    def open_standing(self, relay: Contact, called: Called, target: PublicKey, endpoint: Endpoint) -> None:
        """Use a channel that a server gave for a standing endpoint; one that was opened meanwhile stays.

        Raises:
            Overloaded: as many channels are open as may, and all are in use.
            Refused: as :meth:`open`.
            NodeClosed: as :meth:`open`.
        """
        if len(self._channels) >= self._config.max_open:
            self._make_room()
        opened = self.open(relay, called.channel_id, target=target, endpoint=endpoint)
        self._endpoints[opened].is_relay = called.is_relay

    def channel_to(self, relay: Contact, target: PublicKey) -> OpenChannel | None:
        """Return the channel by which this node has called another one through a server; absent when none is open."""
        return self._called.get((relay, target))

    def open(
        self, relay: Contact, channel_id: bytes, *, target: PublicKey | None = None, endpoint: Endpoint | None = None
    ) -> Endpoint:
        """Use a channel of a server; return its virtual endpoint, the same one when it is open already.

        Args:
            relay: key and endpoint of the server.
            channel_id: 8 bytes, from the server.
            target: whom this node called; absent when it was called itself.
            endpoint: a standing one; absent: a new one is made.

        Raises:
            Overloaded: as many channels are open as may.
            Refused: another server uses the same id, or the server itself is reached through a channel.
            NodeClosed: not started, or stopped.
        """
        if self._loop is None:
            raise NodeClosed("the node is not open")
        known = self._channels.get(channel_id)
        if known is not None and known.relay == relay and known.target == target:
            return known.endpoint
        if known is not None or is_virtual(relay.endpoint):
            raise Refused(f"the relay at {relay.endpoint} offers a channel that cannot be", hint="use another relay")
        called = None if target is None else self._called.get((relay, target))
        if called is not None:  # the server has lost the old one
            self._rename(called, channel_id)
            return called.endpoint
        if len(self._channels) >= self._config.max_open:
            raise Overloaded(
                f"{len(self._channels)} channels through relays are open", hint="raise 'relay.max_open', or close links"
            )
        channel = OpenChannel(relay, channel_id, target)
        channel.used_at = channel.renewed_at = self._loop.time()
        if endpoint is None:
            channel.endpoint = self._socket.switchboard.connect(partial(self.carry, channel))
        else:
            channel.endpoint, channel.is_standing = endpoint, True
        if target is not None:
            self._called[relay, target] = channel
        self._channels[channel_id] = self._endpoints[channel.endpoint] = channel
        self._arm()
        return channel.endpoint

    def find(self, relay: Contact, channel_id: bytes) -> Endpoint | None:
        """Return the virtual endpoint of a channel by which others called us; absent when it is not open."""
        channel = self._channels.get(channel_id)
        return None if channel is None or channel.relay != relay or channel.target is not None else channel.endpoint

    def rung_through(self, relay: Contact) -> int:
        """Return how many channels are open by which others called this node through a server, as that one says."""
        return sum(one.relay == relay and one.target is None for one in self._channels.values())

    def close(self, endpoint: Endpoint) -> None:
        """Close the channel behind a virtual endpoint, and tell its server; safe to call twice."""
        channel = self._endpoints.get(endpoint)
        if channel is not None:
            self._rpc.tell(channel.relay, HangUp(channel.channel_id))
            self._forget(channel, "hung_up")

    def relay_of(self, endpoint: Endpoint) -> Contact | None:
        """Return the server behind a virtual endpoint; absent when it is not one of an open channel."""
        channel = self._endpoints.get(endpoint)
        return None if channel is None else channel.relay

    def is_relayed(self, endpoint: Endpoint) -> bool:
        """Return whether the channel behind a virtual endpoint carries tunnels; false when it is for meeting only."""
        channel = self._endpoints.get(endpoint)
        return channel is not None and channel.is_relay

    def renew(self, endpoint: Endpoint) -> None:
        """Call again at once, if this node called: for whoever doubts that the channel still carries."""
        channel = self._endpoints.get(endpoint)
        if channel is not None:
            self._call_again(channel)

    def renew_all(self) -> None:
        """Call again at once wherever this node called: for whoever knows that our address has changed."""
        for channel in list(self._channels.values()):
            self._call_again(channel)

    def attached_to(self, servers: Iterable[Contact]) -> None:
        """Take in which servers may ring us: they are told of channels that we do not know."""
        self._servers = {contact.endpoint: contact for contact in servers}

    # Frames

    def receive(self, batch: Batch) -> None:
        """Take in frames: those of our channels, from the right servers; all others are counted and thrown away."""
        if self._loop is None:
            self._metrics.drop("unknown_channel", len(batch))
            return
        channels, drop, now = self._channels, self._metrics.drop, self._loop.time()
        stray: tuple[bytes, Endpoint] | None = None
        taken: list[tuple[bytes, Endpoint]] = []
        for frame, source in batch:
            channel = channels.get(frame[1:HEADER_BYTES])
            if channel is None:
                drop("unknown_channel")
                stray = frame, source
            elif source != channel.relay.endpoint:
                drop("wrong_source")
            elif not _has_content(frame):
                drop("malformed")
            else:
                channel.used_at = now
                taken.append((frame[HEADER_BYTES:], channel.endpoint))
        if stray is not None:
            self._tell_of_stray(*stray, now)
        if taken:
            self._socket.switchboard.deliver(taken)

    def hung_up(self, message: HangUp, sender: Sender) -> None:
        """Take in that a server has ended a channel; anybody else's word counts nothing."""
        channel = self._channels.get(message.channel_id)
        if channel is not None and channel.relay == sender.contact:
            self._lose(channel, "hung_up")

    def carry(self, channel: OpenChannel, datagrams: Sequence[bytes]) -> None:
        """Send datagrams through a channel that is open."""
        if self._loop is not None:
            channel.used_at = self._loop.time()
            header = channel.header
            self._socket.send_train([header + datagram for datagram in datagrams], channel.relay.endpoint)

    def _tell_of_stray(self, frame: bytes, source: Endpoint, now: float) -> None:
        """Tell a server of ours that we know nothing of a channel: we were restarted, its caller shall call again."""
        server = self._servers.get(source)
        if server is None or len(frame) <= HEADER_BYTES:
            return
        if self._strays is None:
            self._strays = TokenBucket(rate_per_s=STRAYS_PER_S, burst=STRAY_BURST, now=now)
        if self._strays.take(now):
            self._rpc.tell(server, HangUp(frame[1:HEADER_BYTES]))

    # Calling again

    async def _ask(self, relay: Contact, target: PublicKey) -> Called:
        answer = await self._rpc.request(relay, Call(target))
        if not isinstance(answer.message, Called):
            raise InternalError("a call is answered by CALLED")
        return answer.message

    def _call_again(self, channel: OpenChannel) -> None:
        if channel.target is None or channel.is_calling or self._loop is None:
            return
        channel.is_calling = True
        channel.renewed_at = self._loop.time()
        try:
            self._rpc.begin(channel.relay, Call(channel.target), partial(self._called_again, channel))
        except (Overloaded, NodeClosed):
            channel.is_calling = False

    def _called_again(self, channel: OpenChannel, outcome: Outcome | NodeClosed) -> None:
        if isinstance(outcome, Slow):
            return
        channel.is_calling = False
        if self._endpoints.get(channel.endpoint) is not channel or isinstance(outcome, NodeClosed):
            return
        called = outcome.answer.message if isinstance(outcome, Answered) else None
        if not isinstance(called, Called) or called.result is CallResult.UNPROVEN:
            channel.misses += 1
            if channel.misses >= MISSES:
                self._lose(channel, "silent")
            elif called is not None:  # our address has changed; now we have a token for the new one
                self._call_again(channel)
            return
        if called.result is CallResult.OK:
            channel.misses = 0
            if called.channel_id != channel.channel_id and called.channel_id not in self._channels:
                self._rename(channel, called.channel_id)
        else:
            self._lose(channel, "refused")

    def _rename(self, channel: OpenChannel, channel_id: bytes) -> None:
        self._metrics.closed["replaced"] += 1
        del self._channels[channel.channel_id]
        channel.rename(channel_id)
        self._channels[channel_id] = channel

    def _lose(self, channel: OpenChannel, reason: str) -> None:
        self._forget(channel, reason)
        self.on_closed(channel.endpoint)

    def _forget(self, channel: OpenChannel, reason: str) -> None:
        self._metrics.closed[reason] += 1
        del self._channels[channel.channel_id]
        del self._endpoints[channel.endpoint]
        if channel.target is not None:
            del self._called[channel.relay, channel.target]
        if not channel.is_standing:
            self._socket.switchboard.disconnect(channel.endpoint)

    def _make_room(self) -> None:
        """Close the standing endpoint's channel that was not used for longest: it is called again when it is needed."""
        oldest = min((one for one in self._channels.values() if one.is_standing), key=_used_at, default=None)
        if oldest is not None:
            self.close(oldest.endpoint)

    # Time

    def _arm(self) -> None:
        if self._timer is None and self._loop is not None and self._channels:
            wait_s = min(self._config.attach_interval_s, self._config.channel_idle_s) / SWEEPS_AN_INTERVAL
            self._timer = self._loop.call_later(wait_s, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        if self._loop is None:
            return
        now = self._loop.time()
        for channel in list(self._channels.values()):
            if now - channel.used_at >= self._config.channel_idle_s:
                self._rpc.tell(channel.relay, HangUp(channel.channel_id))
                self._lose(channel, "idle")
            elif now - channel.renewed_at >= self._config.attach_interval_s:
                self._call_again(channel)
        self._arm()


def _has_content(frame: bytes) -> bool:
    """Return whether a frame carries a tunnel's or a sealed datagram; anything else is not for travelling.

    A frame inside a frame would be unwrapped again, and a greeting answered to whoever is behind the relay.
    """
    return len(frame) > HEADER_BYTES and (frame[HEADER_BYTES] & QUIC_BIT != 0 or frame[HEADER_BYTES] == SEALED)


def _refusal(result: CallResult, relay: Contact) -> RemoteError:
    where = f"the relay at {relay.endpoint}"
    if result is CallResult.NOT_ATTACHED:
        return Unreachable(f"the peer is not attached to {where}", hint="it may have moved: look its record up again")
    if result in (CallResult.FULL, CallResult.QUOTA):
        return Overloaded(f"{where} has no room for another channel", hint="try another relay, or later")
    return Refused(f"{where} does not serve this node", hint="try another relay")


def _used_at(channel: OpenChannel) -> float:
    return channel.used_at


def _ignore(_endpoint: Endpoint) -> None:
    pass
