"""A member that takes part in a group's messages as well: membership and messages together, as in a node."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.broadcast import Broadcast
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.members import Change
from pilotdht.gossip.repair import MEMBERS
from pilotdht.gossip.values import Event, MemberChange
from pilotdht.net.outcomes import Sender
from pilotdht.wire.gossip_messages import Summaries, Summarise
from simulations.groups.member import GROUP, GroupMember

Heard = Callable[[int, Event], None]
"""Told the number of a member, and an event that it read."""


class SpeakingMember(GroupMember):
    """One life of one member that sends and reads messages."""

    on_event: Heard
    """Told each event that it reads; to be set before it is started."""
    broadcast: Broadcast | None = None
    """Its part in the messages; present while it runs."""

    def serve(self) -> None:
        """Take part in the messages."""
        self.broadcast = Broadcast(
            GROUP,
            "simulation",
            self.keys,
            post=self.post,
            membership=self.swim,
            bodies=None,
            config=BroadcastConfig(),
            metrics=BroadcastMetrics(CollectorRegistry()),
            scope=self.scope,
            random=self.random,
            unix_time=self.unix_time,
            hostname_of=lambda _key: "",
        )
        self.post.serve(GROUP, Summarise, self._summarise)
        self.scope.start(self._read(self.broadcast.subscribe("**")), name="read")
        self.broadcast.start()

    def noticed(self, change: Change) -> None:
        """Tell whoever watches of a change of membership, and the messages' overlay as a group does."""
        super().noticed(change)
        key = change.member.signed.fact.public_key
        if self.broadcast is None or change.kind is None or key == self.keys.public_key:
            return
        if change.kind is MemberChange.JOINED:
            contact = self.swim.contact_of(key)
            if contact is not None:
                self.broadcast.on_member(contact)
        elif not change.member.is_there:
            self.broadcast.on_member_gone(key)

    async def crash(self) -> None:
        """Be gone: nobody is told."""
        broadcast, self.broadcast = self.broadcast, None
        if broadcast is not None:
            broadcast.close()
        await super().crash()

    def say(self, data: bytes) -> None:
        """Send a message to all members."""
        assert self.broadcast is not None, "who speaks runs"
        self.broadcast.publish("news", data)

    def _summarise(self, message: Summarise, sender: Sender) -> Summaries | None:
        if message.subject == MEMBERS:
            return self.swim.summarise(message, sender)
        return None if self.broadcast is None else self.broadcast.summarise(message, sender)

    async def _read(self, subscription: Subscription) -> None:
        async for event in subscription:
            self.on_event(self.identity.number, event)
