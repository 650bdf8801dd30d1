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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import NodeClosed, Overloaded, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answered, Outcome, Sender, Silent
from pilotdht.net.rpc import Rpc
from pilotdht.net.rtt import Waits
from pilotdht.net.switchboard import is_relayed, is_virtual
from pilotdht.tasks import TaskScope
from pilotdht.traversal.calling import Channels, channels_to
from pilotdht.traversal.lan.near import Near
from pilotdht.traversal.linked_peer import LinkedPeer
from pilotdht.traversal.metrics import RoadMetrics
from pilotdht.traversal.movable import MovableLink
from pilotdht.traversal.random_punch import RandomPunch, opens_many, probes_many
from pilotdht.traversal.road_choice import worth_trying
from pilotdht.traversal.tries import Tries
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import MAX_INTRODUCERS
from pilotdht.wire.traversal_messages import Meet, Met, NatMapping

_logger = logging.getLogger(__name__)

PEERS_REMEMBERED = 1024
"""Peers without a link whose meetings are remembered; the oldest go."""

LONGEST_RESCUE_PAUSE = 4.0
"""Longest pause between two rounds of one rescue, in shortest ones."""


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
        near: Near,
        mapping: Callable[[], NatMapping],
        own_introducers: Callable[[], Sequence[Contact]],
        look_up: Callable[[PublicKey], Awaitable[Sequence[Contact]]],
        on_silence: Callable[[], None],
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
            may_punch: whether a peer is trusted: many ports of the address that it names may be tried, and often.
            own_endpoints: returns where anybody may meet this node.
            near: knows peers on the same link, and who may be told private addresses.
            mapping: returns how this node's NAT maps ports.
            own_introducers: returns the servers through which this node can be called now.
            look_up: returns those of a peer, as it has published them; may raise what a lookup raises.
            on_silence: told when a link has fallen silent: the servers may be gone.
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
        self._near = near
        self._mapping = mapping
        self._own_introducers = own_introducers
        self._look_up = look_up
        self._on_silence = on_silence
        self._scope = scope
        self._config = config
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._tries = Tries(config)
        self._waits = Waits(config.probe_again_s, config.probe_silent_s)
        self._peers: dict[PublicKey, LinkedPeer] = {}
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
        self.neighbour_found(link.peer_key)

    def neighbour_found(self, key: PublicKey) -> None:
        """Look for a peer where it is announced on our link, when its link goes elsewhere."""
        peer = self._peers.get(key)
        near = self._near.endpoints_of(key)
        if near and peer is not None and any(used not in near for used in self._used(peer)):
            for endpoint in near:
                self._probe(key, peer, endpoint, rounds=1)

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

    def server_silent(self, server: Contact) -> None:
        """A server does not answer this node any more: links through it need another road now."""
        for key, peer in list(self._peers.items()):
            if any(self._channels.relay_of(endpoint) == server for endpoint in self._used(peer)):
                self._begin_rescue(key, peer)

    def introducers_changed(self) -> None:
        """This node has other servers now: peers that reach it through a relay learn which, before that one is gone."""
        for key, peer in list(self._peers.items()):
            relayed = self._relayed(peer)
            if relayed is not None:
                self._scope.start(self._meet(key, peer, relayed), name="meet")

    def is_relayed(self) -> bool:
        """Return whether any link goes through a relay."""
        return any(self._relayed(peer) is not None for peer in self._peers.values())

    def moved(self) -> None:
        """This node may be seen at another endpoint now: peers are shown where, and roads are proven anew."""
        for key, peer in list(self._peers.items()):
            for link in peer.links:
                if link.endpoint is not None:
                    link.move(link.endpoint)
            if peer.links:
                self._begin_rescue(key, peer)

    # What dialling needs.

    async def call(
        self, key: PublicKey, introducers: Sequence[Contact], *, more: Callable[[Endpoint], None] | None = None
    ) -> Endpoint | None:
        """Return a virtual endpoint through the server that answered first; absent when none has a way to the peer.

        The peer is asked at the same time where it may be met. Where servers only introduce, the endpoint at which it
        was met is returned. A server may lie: while the peer is not heard ``more`` takes the channels of the others.
        """
        peer = self._peer(key)
        peer.introducers = tuple(introducers)
        asked = [one for one in introducers if one.public_key != self._own_key]
        called = channels_to(
            key, asked, channels=self._channels, scope=self._scope, config=self._config, metrics=self._metrics
        )
        is_meeting = False
        try:
            async with asyncio.timeout(self._config.call_timeout_s):
                async for endpoint in called:
                    self._scope.start(self._meet(key, peer, endpoint), name="meet")
                    if self._channels.is_relayed(endpoint):
                        if more is not None:
                            self._scope.start(self._go_on(peer, called, more), name="call")
                        return endpoint
                    peer.has_road.clear()
                    is_meeting = True
                if is_meeting and peer.choice.best(None) is None:
                    await peer.has_road.wait()
        except TimeoutError:
            pass
        return peer.choice.best(None)

    def rung(self, key: PublicKey, relay: Contact, endpoint: Endpoint) -> None:
        """Take in that a peer calls us through a server that we are attached to; it will speak first."""
        peer = self._peer(key)
        if not peer.introducers:
            peer.introducers = (relay,)  # it may be attached there as well; it says where it is when the two meet

    def roads_to(self, key: PublicKey) -> tuple[Endpoint, ...]:
        """Return the roads to a peer that are known to work, proven longest ago first."""
        peer = self._peers.get(key)
        return () if peer is None else tuple(road.endpoint for road in peer.choice)

    def used_to(self, key: PublicKey) -> Endpoint | None:
        """Return the road that a live link to a peer takes; absent when there is no link."""
        peer = self._peers.get(key)
        return None if peer is None else next(iter(self._used(peer)), None)

    async def mapping_of(self, key: PublicKey) -> NatMapping:
        """Return how the NAT of a peer with a link maps ports, as it says; it is asked when it has not said so yet."""
        peer, used = self._peers.get(key), self.used_to(key)
        if peer is None or used is None:
            return NatMapping.UNKNOWN
        if peer.mapping is NatMapping.UNKNOWN:
            await self._meet(key, peer, used)
        return peer.mapping

    # Inside.

    async def _go_on(self, peer: LinkedPeer, called: AsyncIterator[Endpoint], more: Callable[[Endpoint], None]) -> None:
        """Hand on the channels of further servers, as long as the first one has led nowhere."""
        await asyncio.sleep(self._config.call_stagger_s)
        while peer.is_rescuing or not peer.links:
            endpoint = await anext(called, None)
            if endpoint is None:
                return
            more(endpoint)

    def _prove_channel(self, key: PublicKey, peer: LinkedPeer, endpoint: Endpoint) -> None:
        self._probe(key, peer, endpoint, rounds=self._config.probe_rounds)

    async def _improve(self, key: PublicKey, peer: LinkedPeer) -> None:
        """Look for a direct road as long as a link goes through a relay."""
        pause_s = self._config.improve_after_s
        try:
            while (relayed := self._relayed(peer)) is not None:
                await self._meet(key, peer, relayed)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._config.improve_most_s)
        finally:
            peer.is_improving = False

    def _relayed(self, peer: LinkedPeer) -> Endpoint | None:
        """Return the endpoint of the relay's channel that a link of the peer uses; absent when all are direct."""
        return next((endpoint for endpoint in self._used(peer) if is_relayed(endpoint)), None)

    async def _meet(self, key: PublicKey, peer: LinkedPeer, via: Endpoint) -> None:
        """Tell a peer where we may be met, learn the same of it, and try its endpoints."""
        message = Meet(*self._meeting_place(key, peer, via))
        try:
            answer = await self._rpc.request(Contact(key, via), message, timeout_s=self._config.meet_timeout_s)
        except PilotError:
            self._metrics.meetings["silent"].inc()
            return
        met = answer.message
        if isinstance(met, Met):
            self._metrics.meetings["met"].inc()
            self._heed(peer, met)
            self._try_all(key, peer, met)

    def _on_meet(self, message: Meet, sender: Sender) -> Met | None:
        key, now = sender.contact.public_key, self._loop.time()
        peer = self._peers.get(key)
        if peer is None or not (peer.links or is_virtual(sender.contact.endpoint)):
            self._metrics.meetings["stranger"].inc()
            return None
        self._heed(peer, message)
        if now - peer.met_at >= self._config.meet_pause_s:
            peer.met_at = now
            self._metrics.meetings["asked"].inc()
            self._try_all(key, peer, message)
        return Met(*self._meeting_place(key, peer, sender.contact.endpoint))

    def _meeting_place(
        self, key: PublicKey, peer: LinkedPeer, via: Endpoint
    ) -> tuple[tuple[Endpoint, ...], NatMapping, tuple[Contact, ...]]:
        """Return where a peer may meet this node, and through whom it can be called."""
        endpoints = self._near.points_for(key, seen=[via, *self._used(peer)], said=peer.said_hosts)
        return endpoints, self._mapping(), tuple(self._own_introducers())[:MAX_INTRODUCERS]

    def _heed(self, peer: LinkedPeer, said: Meet | Met) -> None:
        """Note where a peer says it is, and through whom it can be called when its road falls silent."""
        peer.said_hosts = tuple(one.host for one in said.endpoints)
        peer.mapping = said.mapping
        named = tuple([one for one in said.introducers if not is_virtual(one.endpoint)])
        if named:
            peer.introducers = named

    def _try_all(self, key: PublicKey, peer: LinkedPeer, said: Meet | Met) -> None:
        """Send to everywhere where a peer says that it may be met."""
        for endpoint in worth_trying(said.endpoints, self._own_endpoints()):
            self._probe(key, peer, endpoint, rounds=self._config.probe_rounds)
        own = self._mapping()
        if opens_many(own, said.mapping) or probes_many(own, said.mapping):
            self._scope.start(self._meet_by_chance(key, peer, said), name="random-punch")

    async def _meet_by_chance(self, key: PublicKey, peer: LinkedPeer, said: Meet | Met) -> None:
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
        self, key: PublicKey, peer: LinkedPeer, endpoint: Endpoint, *, rounds: int, is_followed: bool = False
    ) -> None:
        """Ask a peer at an endpoint whether it is there."""
        if endpoint in peer.probes or len(peer.probes) >= self._config.max_probes:
            return
        is_known = is_virtual(endpoint) or endpoint in peer.choice or endpoint in self._used(peer)
        if not (is_known or self._may_punch(key) or self._tries.take(endpoint.host, self._loop.time())):
            self._metrics.probes["limited"].inc()
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
        peer: LinkedPeer,
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

    def _settle(self, key: PublicKey, peer: LinkedPeer, followed: Endpoint | None = None) -> None:
        """Move each link of a peer to the best road, or to where it was followed; look for better ones than a relay."""
        for link in peer.links:
            current = link.endpoint
            best = followed if followed is not None else peer.choice.best(current)
            if best is not None and current is not None and best != current:
                self._metrics.moves["relayed" if is_relayed(best) else "direct"].inc()
                link.move(best)
                if is_relayed(best):
                    self._scope.start(self._meet(key, peer, best), name="meet")
        if not peer.is_improving and self._relayed(peer) is not None:
            peer.is_improving = True
            self._scope.start(self._improve(key, peer), name="improve-road")

    def _begin_rescue(self, key: PublicKey, peer: LinkedPeer) -> None:
        """Look for another road, one search at a time."""
        if not peer.is_rescuing:
            peer.is_rescuing = True
            peer.rescued_at = self._loop.time()
            self._scope.start(self._rescue(key, peer), name="rescue-road")

    async def _rescue(self, key: PublicKey, peer: LinkedPeer) -> None:
        """Prove all roads; as long as none works call the peer anew, at last through servers that it has published."""
        began, pause_s = self._loop.time(), self._config.rescue_pause_s
        since = began + self._config.probe_again_s - pause_s
        self._on_silence()
        try:
            while peer.links and self._loop.time() - began < self._config.rescue_most_s:
                for endpoint in dict.fromkeys([*self._used(peer), *(road.endpoint for road in peer.choice)]):
                    self._probe(key, peer, endpoint, rounds=1)
                await asyncio.sleep(self._config.probe_again_s)
                if self._is_proven_since(peer, since):
                    return
                if not peer.introducers and not await self._find_introducers(key, peer):
                    return  # it was dialled where it said it was, before it had servers or without having any
                called = await self.call(key, peer.introducers, more=partial(self._prove_channel, key, peer))
                _logger.debug("a silent peer was called anew", extra={"endpoint": str(called)})
                if called is not None:
                    self._probe(key, peer, called, rounds=self._config.probe_rounds)
                await asyncio.sleep(self._config.probe_silent_s)
                if self._is_proven_since(peer, since):
                    return
                since = began
                if not await self._find_introducers(key, peer):
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_RESCUE_PAUSE * self._config.rescue_pause_s)
        finally:
            peer.is_rescuing = False

    async def _find_introducers(self, key: PublicKey, peer: LinkedPeer) -> bool:
        """Add servers that a silent peer has published meanwhile, to be called first; return whether there are any."""
        try:
            async with asyncio.timeout(self._config.call_timeout_s):
                found = await self._look_up(key)
        except (TimeoutError, PilotError):
            return False
        are_new = any(one not in peer.introducers for one in found)
        peer.introducers = tuple(dict.fromkeys([*found, *peer.introducers]))[: 2 * MAX_INTRODUCERS]
        return are_new

    def _used(self, peer: LinkedPeer) -> list[Endpoint]:
        return [link.endpoint for link in peer.links if link.endpoint is not None]

    def _is_proven_since(self, peer: LinkedPeer, since: float) -> bool:
        return any(road.proven_at >= since for road in peer.choice)

    def _peer(self, key: PublicKey) -> LinkedPeer:
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = LinkedPeer()
            if len(self._peers) > PEERS_REMEMBERED:
                idle = next((one for one, known in self._peers.items() if not known.links and one != key), None)
                if idle is not None:
                    self._forget(idle, self._peers[idle])
        return peer

    def _forget(self, key: PublicKey, peer: LinkedPeer) -> None:
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
