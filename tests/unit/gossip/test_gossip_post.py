"""The post office's second duty: members behind NATs have no endpoint in the room, and are reached all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from pilotdht.errors import NodeClosed
from pilotdht.gossip.post import HEARD_S, Mail, Post
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answer, Answered, Outcome, Sender, Silent, Slow
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.net.switchboard import HIDDEN
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Gossip, Probe, ProbeAck
from pilotdht.wire.message import Request
from simulations.engine.virtual_loop import run_virtually
from tests.support.gossip_town import TOWN
from tests.support.net_nodes import key_pair

MEMBER = key_pair(1).public_key
HIDDEN_MEMBER = Contact(MEMBER, HIDDEN)
SERVERS = tuple(Contact(key_pair(seed).public_key, Endpoint(f"45.{seed}.0.1", 4433)) for seed in (5, 6))
CHANNELS = {server: Endpoint("100::1", number) for number, server in enumerate(SERVERS, 10)}
HEARD_AT = Endpoint("100::7", 1)


class World:
    """Keeps what is sent, knows channels through two servers, and the group's member."""

    def __init__(self) -> None:
        self.sent: list[tuple[Contact, Deliver]] = []
        self.told: list[Contact] = []
        self.handler: object = None
        self.introducers = SERVERS

    def begin(
        self, contact: Contact, _message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Keep a request."""
        assert waits is None
        self.sent.append((contact, deliver))
        return None

    def tell(self, contact: Contact, _message: Request) -> bool:
        """Keep what was told."""
        self.told.append(contact)
        return True

    def abandon(self, _pending: Pending) -> None:
        """Do nothing."""

    def rtt_of(self, contact: Contact) -> float | None:
        """Return a time that tells which road was asked for."""
        return float(contact.endpoint.port)

    def serve(self, _kind: type[Request], handler: object) -> None:
        """Keep the handler."""
        self.handler = handler

    def road(self, _key: PublicKey, introducers: Sequence[Contact]) -> Endpoint | None:
        """Return the channel through the first server."""
        return CHANNELS[introducers[0]]

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return where the member is: nowhere."""
        return HIDDEN_MEMBER if public_key == MEMBER else None

    def introducers_of(self, public_key: PublicKey) -> tuple[Contact, ...]:
        """Return through whom it is called."""
        return self.introducers if public_key == MEMBER else ()


def office() -> tuple[World, Post, list[Outcome | NodeClosed]]:
    """Return a world, its post office, and where outcomes go."""
    world = World()
    post = Post(cast("Mail", world), world)
    post.know(TOWN, world)
    return world, post, []


def test_member_behind_a_nat_is_called_through_the_server_it_names_and_through_the_next_after_silence() -> None:
    """Outcomes name the member as the group knows it."""

    async def main() -> None:
        world, post, outcomes = office()
        for server in (*SERVERS, SERVERS[0]):
            post.begin(HIDDEN_MEMBER, Probe(TOWN), outcomes.append)
            contact, deliver = world.sent.pop()
            assert Contact(MEMBER, CHANNELS[server]) == contact
            deliver(Slow(contact))
            deliver(Silent(contact))
            assert [Slow(HIDDEN_MEMBER), Silent(HIDDEN_MEMBER)] == outcomes[-2:]
        post.begin(HIDDEN_MEMBER, Probe(TOWN), outcomes.append)
        contact, deliver = world.sent.pop()
        answer = Answer(ProbeAck(), HIDDEN, 0.1, contact, is_client=True)
        deliver(Answered(contact, answer))
        assert Answered(HIDDEN_MEMBER, answer) == outcomes[-1]

    run_virtually(main())


def test_member_is_answered_where_it_was_heard_as_long_as_nats_remember() -> None:
    """Only when it has shown that it receives there; its place is never taken for an endpoint of its own."""

    async def main() -> None:
        world, post, _ = office()
        seen: list[Sender] = []
        post.serve(TOWN, Gossip, lambda _message, sender: seen.append(sender))
        assert callable(world.handler)
        for is_validated, port in ((False, 10), (True, HEARD_AT.port)):
            world.handler(Gossip(TOWN, ()), Sender(Contact(MEMBER, HEARD_AT), is_validated, is_client=True))
            assert Sender(HIDDEN_MEMBER, is_validated=False, is_client=True) == seen[-1]
            assert (float(port), True) == (post.rtt_of(HIDDEN_MEMBER), post.tell(HIDDEN_MEMBER, Gossip(TOWN, ())))
            assert port == world.told[-1].endpoint.port
        await asyncio.sleep(HEARD_S)
        assert 10.0 == post.rtt_of(HIDDEN_MEMBER)

    run_virtually(main())


def test_nothing_is_sent_to_a_member_that_no_road_leads_to() -> None:
    """Not to the address that stands for none."""

    async def main() -> None:
        world, post, outcomes = office()
        post.close(TOWN)
        post.begin(HIDDEN_MEMBER, Probe(TOWN), outcomes.append)
        assert ([Silent(HIDDEN_MEMBER)], []) == (outcomes, world.sent)
        assert (False, None) == (post.tell(HIDDEN_MEMBER, Gossip(TOWN, ())), post.rtt_of(HIDDEN_MEMBER))

    run_virtually(main())


def test_members_with_endpoints_are_sent_to_as_they_are() -> None:
    """And heard as they are."""

    async def main() -> None:
        world, post, outcomes = office()
        open_member = Contact(key_pair(2).public_key, Endpoint("45.9.0.1", 4000))
        seen: list[Sender] = []
        post.serve(TOWN, Gossip, lambda _message, sender: seen.append(sender))
        assert callable(world.handler)
        sender = Sender(open_member, is_validated=True, is_client=False)
        world.handler(Gossip(TOWN, ()), sender)
        post.begin(open_member, Probe(TOWN), outcomes.append)
        assert ([sender], open_member) == (seen, world.sent[0][0])

    run_virtually(main())
