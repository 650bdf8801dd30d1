"""Finds roads to peers and moves live links onto the best one.

A road is used only once the peer has answered there to a request of ours; nothing that comes unasked changes where we
send. Two peers that talk through a relay tell each other where they may be met, and both send there at once, which
opens the NATs on both sides. A link whose road falls silent takes another one that works, or is called anew through a
server that the peer is attached to; its streams do not notice.

Of two peers the one with the smaller key leads: it takes the road that it likes best, and the other follows to where
the newest packets come from. If both chose, they could pass each other for ever.

Source: RFC 8445 (connectivity checks, direct before relayed); libp2p, relay/DCUtR (both sides send at once).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import NodeClosed, Overloaded, PilotError, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answered, Outcome, Sender, Silent
from pilotdht.net.pending import Pending
from pilotdht.net.rpc import Rpc
from pilotdht.net.rtt import Waits
from pilotdht.net.switchboard import is_relayed, is_virtual
from pilotdht.tasks import TaskScope
from pilotdht.traversal.metrics import RoadMetrics
from pilotdht.traversal.random_punch import RandomPunch, opens_many, probes_many
from pilotdht.traversal.road_choice import RoadChoice, worth_trying
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import MAX_INTRODUCERS
from pilotdht.wire.traversal_messages import MAX_MEETING_ENDPOINTS, Meet, Met, NatMapping

_logger = logging.getLogger(__name__)

_RESULTS: dict[type[PilotError], str] = {TimedOut: "silent", Overloaded: "overloaded"}

PEERS_REMEMBERED = 1024
"""Peers without a link whose meetings are remembered; the oldest go."""


class MovableLink(Protocol):
    """What is needed of a link."""

    @property
    def peer_key(self) -> PublicKey:
        """Who is on the other side."""
        ...

    @property
    def endpoint(self) -> Endpoint | None:
        """Where its datagrams go."""
        ...

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time in seconds; absent before it was measured."""
        ...

    def move(self, endpoint: Endpoint) -> None:
        """Send along a road that is new, or has changed; at once, so that the peer sees where this node is."""
        ...


class Channels(Protocol):
    """What is needed of the client of servers that relay."""

    async def call(self, relay: Contact, target: PublicKey) -> Endpoint:
        """Call a node that is attached to a server; return the virtual endpoint where it can be reached now.

        Raises:
            PilotError: the server does not answer, does not serve us, or does not know the node.
        """
        ...

    def is_relayed(self, endpoint: Endpoint) -> bool:
        """Return whether a channel carries tunnels; others are good for a meeting alone."""
        ...

    def close(self, endpoint: Endpoint) -> None:
        """Give a channel up."""
        ...


class _Peer:
    """What is known of one peer."""

    __slots__ = (
        "choice",
        "has_road",
        "introducers",
        "is_improving",
        "is_rescuing",
        "links",
        "met_at",
        "probes",
        "rescued_at",
    )

    def __init__(self) -> None:
        self.choice = RoadChoice()
        self.has_road = asyncio.Event()
        self.links: list[MovableLink] = []
        self.introducers: tuple[Contact, ...] = ()
        self.probes: dict[Endpoint, Pending | None] = {}
        self.met_at = self.rescued_at = float("-inf")
        self.is_improving = self.is_rescuing = False


class RoadKeeper:
    """The roads of all links of a node."""

    def __init__(
        self,
        own_key: PublicKey,
        *,
        rpc: Rpc,
        channels: Channels,
        punch: RandomPunch,
        may_punch: Callable[[PublicKey], bool],
        own_endpoints: Callable[[], Sequence[Endpoint]],
        mapping: Callable[[], NatMapping],
        scope: TaskScope,
        config: RoadConfig,
        metrics: RoadMetrics,
    ) -> None:
        """Make it, and answer peers who ask where to meet.

        Args:
            own_key: who we are.
            rpc: sends requests.
            channels: calls peers through servers.
            punch: meets by chance across NATs with random ports.
            may_punch: whether a peer is trusted so far that many ports of the address that it names are tried.
            own_endpoints: returns where this node may be met.
            mapping: returns how this node's NAT maps ports.
            scope: owner of the tasks.
            config: what is tried, and how often.
            metrics: where everything is counted.
        """
        self._own_key = own_key
        self._rpc = rpc
        self._channels = channels
        self._punch = punch
        self._may_punch = may_punch
        self._own_endpoints = own_endpoints
        self._mapping = mapping
        self._scope = scope
        self._config = config
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._waits = Waits(config.probe_again_s, config.probe_silent_s)
        self._peers: dict[PublicKey, _Peer] = {}
        rpc.serve(Meet, self._on_meet)

    # What tunnels tell.

    def link_up(self, link: MovableLink) -> None:
        """Take in a link that came up, and look for a better road than a relay."""
        endpoint = link.endpoint
        if endpoint is None:
            return
        peer = self._peer(link.peer_key)
        peer.links.append(link)
        peer.choice.proven(endpoint, link.rtt_s or 0.0, self._loop.time())
        self._settle(link.peer_key, peer)

    def link_down(self, link: MovableLink) -> None:
        """Take in a link that ended."""
        peer = self._peers.get(link.peer_key)
        if peer is None:
            return
        peer.links = [one for one in peer.links if one is not link]
        if not peer.links:
            self._forget(link.peer_key, peer)

    def astray(self, link: MovableLink, endpoint: Endpoint) -> None:
        """The newest packet of a peer came from elsewhere: prove that it is there, and whether it is where it was."""
        peer = self._peers.get(link.peer_key)
        if peer is None:
            return
        self._probe(link.peer_key, peer, endpoint, rounds=1, is_followed=link.peer_key < self._own_key)
        if self._own_key < link.peer_key and link.endpoint is not None:
            self._probe(link.peer_key, peer, link.endpoint, rounds=1)

    def in_doubt(self, link: MovableLink) -> None:
        """A link's packets are not answered: look for another road."""
        peer = self._peers.get(link.peer_key)
        now = self._loop.time()
        if peer is not None and now - peer.rescued_at >= self._config.rescue_pause_s:
            self._begin_rescue(link.peer_key, peer)

    def channel_ended(self, endpoint: Endpoint) -> None:
        """A server has ended a channel: links that use it need another road now."""
        for key, peer in list(self._peers.items()):
            if endpoint in peer.choice:
                peer.choice.forget(endpoint)
                self._settle(key, peer)
                if endpoint in self._used(peer):
                    self._begin_rescue(key, peer)

    def moved(self) -> None:
        """This node may be seen at another endpoint now: peers are shown where, and roads are proven anew."""
        for key, peer in list(self._peers.items()):
            for link in peer.links:
                if link.endpoint is not None:
                    link.move(link.endpoint)
            if peer.links:
                self._begin_rescue(key, peer)

    # What dialling needs.

    async def call(self, key: PublicKey, introducers: Sequence[Contact]) -> Endpoint | None:
        """Return a virtual endpoint through the server that answered first; absent when none has a way to the peer.

        The peer is asked at the same time where it may be met. Where servers only introduce, the endpoint at which it
        was met is returned.
        """
        peer = self._peer(key)
        peer.introducers = tuple(introducers)
        asked = [one for one in introducers if one.public_key != self._own_key][: self._config.calls_at_once]
        found: asyncio.Queue[Endpoint | None] = asyncio.Queue()
        for relay in asked:
            self._scope.start(self._call(relay, key, found), name="call")
        try:
            async with asyncio.timeout(self._config.call_timeout_s):
                for _ in asked:
                    endpoint = await found.get()
                    if endpoint is not None:
                        self._scope.start(self._meet(key, peer, endpoint), name="meet")
                        if self._channels.is_relayed(endpoint):
                            return endpoint
                        peer.has_road.clear()
                if peer.choice.best(None) is None:
                    await peer.has_road.wait()
        except TimeoutError:
            pass
        return peer.choice.best(None)

    def rung(self, key: PublicKey, relay: Contact, endpoint: Endpoint) -> None:
        """Take in that a peer calls us through a server that we are attached to; it will speak first."""
        peer = self._peer(key)
        if relay not in peer.introducers:
            peer.introducers = (relay, *peer.introducers)[:MAX_INTRODUCERS]

    def roads_to(self, key: PublicKey) -> tuple[Endpoint, ...]:
        """Return the roads to a peer that are known to work, proven longest ago first."""
        peer = self._peers.get(key)
        return () if peer is None else tuple(road.endpoint for road in peer.choice)

    # Inside.

    async def _call(self, relay: Contact, key: PublicKey, found: asyncio.Queue[Endpoint | None]) -> None:
        """Call a peer through one server; a channel that comes too late stays as another road, until it is idle."""
        try:
            found.put_nowait(await self._channels.call(relay, key))
        except PilotError as error:
            _logger.debug("a peer was not called", extra={"reason": error.code, "endpoint": str(relay.endpoint)})
            self._metrics.calls[_RESULTS.get(type(error), "refused")].inc()
            found.put_nowait(None)
        else:
            self._metrics.calls["opened"].inc()

    async def _improve(self, key: PublicKey, peer: _Peer) -> None:
        """Look for a direct road as long as a link goes through a relay."""
        pause_s = self._config.improve_after_s
        try:
            while (relayed := self._relayed(peer)) is not None:
                await self._meet(key, peer, relayed)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._config.improve_most_s)
        finally:
            peer.is_improving = False

    def _relayed(self, peer: _Peer) -> Endpoint | None:
        """Return the endpoint of the relay's channel that a link of the peer uses; absent when all are direct."""
        return next((endpoint for endpoint in self._used(peer) if is_relayed(endpoint)), None)

    async def _meet(self, key: PublicKey, peer: _Peer, via: Endpoint) -> None:
        """Tell a peer where we may be met, learn the same of it, and try its endpoints."""
        message = Meet(tuple(self._own_endpoints())[:MAX_MEETING_ENDPOINTS], self._mapping())
        try:
            answer = await self._rpc.request(Contact(key, via), message, timeout_s=self._config.meet_timeout_s)
        except PilotError:
            self._metrics.meetings["silent"].inc()
            return
        met = answer.message
        if isinstance(met, Met):
            self._metrics.meetings["met"].inc()
            self._try_all(key, peer, met)

    def _on_meet(self, message: Meet, sender: Sender) -> Met | None:
        key, now = sender.contact.public_key, self._loop.time()
        peer = self._peers.get(key)
        if peer is None or not (peer.links or is_virtual(sender.contact.endpoint)):
            self._metrics.meetings["stranger"].inc()
            return None
        if now - peer.met_at >= self._config.meet_pause_s:
            peer.met_at = now
            self._metrics.meetings["asked"].inc()
            self._try_all(key, peer, message)
        return Met(tuple(self._own_endpoints())[:MAX_MEETING_ENDPOINTS], self._mapping())

    def _try_all(self, key: PublicKey, peer: _Peer, said: Meet | Met) -> None:
        """Send to everywhere where a peer says that it may be met."""
        for endpoint in worth_trying(said.endpoints, self._own_endpoints()):
            self._probe(key, peer, endpoint, rounds=self._config.probe_rounds)
        own = self._mapping()
        if opens_many(own, said.mapping) or probes_many(own, said.mapping):
            self._scope.start(self._meet_by_chance(key, peer, said), name="random-punch")

    async def _meet_by_chance(self, key: PublicKey, peer: _Peer, said: Meet | Met) -> None:
        """Try many ports where one side's NAT is random and nothing else has led to a direct road."""
        await asyncio.sleep(self._config.probe_silent_s)
        if self._relayed(peer) is None or not self._punch.is_free(self._loop.time()) or not self._may_punch(key):
            return
        if probes_many(self._mapping(), said.mapping):
            await self._punch.probe_many(key, said.endpoints, lambda: self._relayed(peer) is None)
            return
        endpoint = await self._punch.open_many(key, said.endpoints)
        if endpoint is not None and peer.links:
            self._probe(key, peer, endpoint, rounds=self._config.probe_rounds)
        elif endpoint is not None:
            await self._punch.close(endpoint)

    def _probe(
        self, key: PublicKey, peer: _Peer, endpoint: Endpoint, *, rounds: int, is_followed: bool = False
    ) -> None:
        """Ask a peer at an endpoint whether it is there."""
        if endpoint in peer.probes or len(peer.probes) >= self._config.max_probes:
            return
        peer.probes[endpoint] = None
        deliver = partial(self._probed, key, peer, endpoint, rounds, is_followed)
        try:
            pending = self._rpc.begin(Contact(key, endpoint), Ping(), deliver, waits=self._waits)
        except (Overloaded, NodeClosed):
            peer.probes.pop(endpoint, None)
            return
        if endpoint in peer.probes:
            peer.probes[endpoint] = pending

    def _probed(
        self,
        key: PublicKey,
        peer: _Peer,
        endpoint: Endpoint,
        rounds: int,
        is_followed: bool,
        outcome: Outcome | NodeClosed,
    ) -> None:
        if isinstance(outcome, Answered):
            peer.probes.pop(endpoint, None)
            self._metrics.probes["answered"].inc()
            peer.choice.proven(endpoint, outcome.answer.rtt_s, self._loop.time())
            peer.has_road.set()
            self._settle(key, peer, endpoint if is_followed else None)
        elif isinstance(outcome, Silent | NodeClosed):
            peer.probes.pop(endpoint, None)
            if rounds > 1 and isinstance(outcome, Silent):
                self._probe(key, peer, endpoint, rounds=rounds - 1, is_followed=is_followed)
                return
            self._metrics.probes["silent"].inc()
            peer.choice.forget(endpoint)
            self._settle(key, peer)
            if is_virtual(endpoint) and not is_relayed(endpoint) and endpoint not in self._used(peer):
                self._give_up(endpoint)

    def _settle(self, key: PublicKey, peer: _Peer, followed: Endpoint | None = None) -> None:
        """Move each link of a peer to the best road, or to where it was followed; look for better ones than a relay."""
        for link in peer.links:
            current = link.endpoint
            best = followed if followed is not None else peer.choice.best(current)
            if best is not None and current is not None and best != current:
                self._metrics.moves["relayed" if is_relayed(best) else "direct"].inc()
                link.move(best)
        if not peer.is_improving and self._relayed(peer) is not None:
            peer.is_improving = True
            self._scope.start(self._improve(key, peer), name="improve-road")

    def _begin_rescue(self, key: PublicKey, peer: _Peer) -> None:
        """Look for another road, one search at a time."""
        if not peer.is_rescuing:
            peer.is_rescuing = True
            peer.rescued_at = self._loop.time()
            self._scope.start(self._rescue(key, peer), name="rescue-road")

    async def _rescue(self, key: PublicKey, peer: _Peer) -> None:
        """Prove all roads; when none works call the peer anew."""
        try:
            for endpoint in dict.fromkeys([*self._used(peer), *(road.endpoint for road in peer.choice)]):
                self._probe(key, peer, endpoint, rounds=1)
            await asyncio.sleep(self._config.probe_again_s)
            if peer.links and peer.introducers and not any(self._is_proven_lately(peer)):
                called = await self.call(key, peer.introducers)
                if called is not None:
                    self._probe(key, peer, called, rounds=self._config.probe_rounds)
        finally:
            peer.is_rescuing = False

    def _used(self, peer: _Peer) -> list[Endpoint]:
        return [link.endpoint for link in peer.links if link.endpoint is not None]

    def _is_proven_lately(self, peer: _Peer) -> Iterable[bool]:
        since = self._loop.time() - self._config.rescue_pause_s
        return (road.proven_at >= since for road in peer.choice)

    def _peer(self, key: PublicKey) -> _Peer:
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = _Peer()
            if len(self._peers) > PEERS_REMEMBERED:
                idle = next((one for one, known in self._peers.items() if not known.links and one != key), None)
                if idle is not None:
                    self._forget(idle, self._peers[idle])
        return peer

    def _forget(self, key: PublicKey, peer: _Peer) -> None:
        del self._peers[key]
        for pending in peer.probes.values():
            if pending is not None:
                self._rpc.abandon(pending)
        peer.probes.clear()
        for road in peer.choice:
            self._give_up(road.endpoint)

    def _give_up(self, endpoint: Endpoint) -> None:
        """Free what a virtual endpoint holds."""
        if is_relayed(endpoint):
            self._channels.close(endpoint)
        elif is_virtual(endpoint):
            self._scope.start(self._punch.close(endpoint), name="close-road")
