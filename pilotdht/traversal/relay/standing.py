"""Endpoints that lead through a server to a node at any time: the channel is called when something is sent there.

A tunnel needs its channel all the time; those who say a word to many nodes now and then (gossip) need it for a moment.
A standing endpoint costs nothing while nobody uses it, and stays the same over all channels that come and go behind it.
What is sent while the server is asked is held, a few datagrams of it; what then cannot be sent is lost, as with UDP.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from pilotdht.errors import NodeClosed, Overloaded, Refused
from pilotdht.identity.ids import PublicKey
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.outcomes import Answered, Outcome, Slow
from pilotdht.traversal.relay.client import RelayClient
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import Call, Called, CallResult

KEPT = 1024
"""Standing endpoints; the one that was asked for longest ago goes first. About 500 bytes each."""

HELD = 4
"""Datagrams that wait for a server's answer; a word and its repetition are two."""

TRIES = 2
"""Calls for what is held: the first answer may bring no more than the token that proves where we are."""


class _Standing:
    """One server and one node behind it."""

    __slots__ = ("endpoint", "held", "is_calling", "relay", "target")

    def __init__(self, relay: Contact, target: PublicKey) -> None:
        self.relay = relay
        self.target = target
        self.endpoint: Endpoint
        self.held: list[bytes] = []
        self.is_calling = False


class StandingRoads:
    """The standing endpoints of one node."""

    def __init__(self, *, socket: NodeSocket, client: RelayClient) -> None:
        """Make it without any.

        Args:
            socket: asks servers, and makes endpoints.
            client: has the channels.
        """
        self._rpc = socket.rpc
        self._switchboard = socket.switchboard
        self._client = client
        self._standing: OrderedDict[tuple[Contact, PublicKey], _Standing] = OrderedDict()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._standing)

    def endpoint(self, relay: Contact, target: PublicKey) -> Endpoint:
        """Return the virtual endpoint that leads to a node through a server; nothing is sent yet."""
        channel = self._client.channel_to(relay, target)
        if channel is not None:
            return channel.endpoint
        known = self._standing.get((relay, target))
        if known is not None:
            self._standing.move_to_end((relay, target))
            return known.endpoint
        standing = self._standing[relay, target] = _Standing(relay, target)
        standing.endpoint = self._switchboard.connect(partial(self._carry, standing))
        if len(self._standing) > KEPT:
            _, oldest = self._standing.popitem(last=False)
            self._client.close(oldest.endpoint)
            self._switchboard.disconnect(oldest.endpoint)
        return standing.endpoint

    def _carry(self, standing: _Standing, datagrams: Sequence[bytes]) -> None:
        channel = self._client.channel_to(standing.relay, standing.target)
        if channel is not None:
            self._client.carry(channel, datagrams)
            return
        standing.held += datagrams[: HELD - len(standing.held)]
        if not standing.is_calling:
            self._call(standing, TRIES)

    def _call(self, standing: _Standing, tries: int) -> None:
        standing.is_calling = True
        try:
            self._rpc.begin(standing.relay, Call(standing.target), partial(self._called, standing, tries))
        except (Overloaded, NodeClosed):
            self._settle(standing)

    def _called(self, standing: _Standing, tries: int, outcome: Outcome | NodeClosed) -> None:
        if isinstance(outcome, Slow):
            return
        called = outcome.answer.message if isinstance(outcome, Answered) else None
        if isinstance(called, Called) and called.result is CallResult.UNPROVEN and tries > 1:
            self._call(standing, tries - 1)
            return
        if isinstance(called, Called) and called.result is CallResult.OK:
            try:
                self._client.open_standing(standing.relay, called, standing.target, standing.endpoint)
            except (Overloaded, Refused, NodeClosed):
                self._settle(standing)
                return
            held, standing.held = standing.held, []
            self._settle(standing)
            self._carry(standing, held)
            return
        self._settle(standing)

    def _settle(self, standing: _Standing) -> None:
        """Go back to waiting for something to be sent; what was held is lost."""
        standing.is_calling = False
        standing.held.clear()
