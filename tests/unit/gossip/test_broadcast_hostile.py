"""What members that lie, flood, replay or sleep can do to one honest member, and what they cannot."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import InvalidArgument, NodeClosed, Overloaded, TimedOut
from pilotdht.gossip.comparing import ask
from pilotdht.identity.ids import NodeId
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.broadcast_messages import (
    Announce,
    Events,
    FetchEvents,
    Graft,
    Grafted,
    LinkState,
    Neighbour,
    Neighbourhood,
    Push,
    Pushed,
    PushOutcome,
    Relink,
    Walk,
    WalkKind,
    Wish,
)
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.events import EventBody, EventId, SignedEvent, sign_event
from pilotdht.wire.groups import open_group_id
from pilotdht.wire.message import Reply, Request
from simulations.engine.virtual_loop import run_virtually
from tests.simulation.broadcast_bus import GROUP, UNIX_S, BusPost, Flock, Member


class Villain:
    """A member that speaks the protocol by hand."""

    def __init__(self, flock: Flock, number: int = 1, *, is_member: bool = True) -> None:
        self.keys = KeyPair.from_seed(bytes([200 + number]) * 32)
        self.contact = Contact(self.keys.public_key, Endpoint(f"10.9.9.{number}", 4433))
        self.post = BusPost(flock.bus, self.contact)
        self._loop = asyncio.get_running_loop()
        if is_member:
            flock.contacts[self.keys.public_key] = self.contact

    def event(self, sequence: int, *, data: bytes = b"spam", sent_s: float = 0.0, epoch_ms: int = 0) -> SignedEvent:
        """Return an event of its own, ``sent_s`` from now."""
        now_ms = int((UNIX_S + self._loop.time() + sent_s) * 1000)
        return sign_event(
            self.keys,
            EventBody(
                group=GROUP,
                topic="news",
                sender=self.keys.public_key,
                epoch_ms=epoch_ms or now_ms,
                sequence=sequence,
                sent_ms=now_ms,
                data=data,
            ),
        )

    async def ask(self, victim: Member, message: Request) -> Reply | None:
        """Return the answer to a request; absent: none came."""
        try:
            return await ask(self.post, victim.contact, message, Reply)
        except TimedOut:
            return None

    async def push(self, victim: Member, event: SignedEvent | bytes) -> PushOutcome | None:
        """Return what became of an event."""
        reply = await self.ask(victim, Push(GROUP, 0, event if isinstance(event, bytes) else event.item))
        return reply.outcome if isinstance(reply, Pushed) else None


def _dropped(member: Member, reason: str) -> float:
    return member.metrics.dropped[reason].value


def _forged(event: SignedEvent) -> bytes:
    return encode([decode_list_untrusted(event.item)[0], bytes(64)])


def test_hostile_strangers_get_no_answer() -> None:
    """Who is no member learns nothing and changes nothing."""

    async def main() -> None:
        async with Flock(1) as flock:
            stranger = Villain(flock, is_member=False)
            victim = flock.members[0]
            for message in (
                Push(GROUP, 0, stranger.event(1).item),
                Neighbour(GROUP, Wish.JOIN),
                Graft(GROUP, EventId(NodeId(bytes(20)), 1, 1)),
                FetchEvents(GROUP, NodeId(bytes(20)), 1, 1),
            ):
                assert await stranger.ask(victim, message) is None
            assert (victim.broadcast.kept, victim.broadcast.neighbours) == (0, ())
            assert _dropped(victim, "stranger") >= 4

    run_virtually(main())


def test_hostile_forgery_costs_its_bearer_the_link() -> None:
    """Whoever passes on what was not signed is no neighbour for a while."""

    async def main() -> None:
        async with Flock(1) as flock:
            villain, victim = Villain(flock), flock.members[0]
            assert await villain.ask(victim, Neighbour(GROUP, Wish.HIGH)) == Neighbourhood(True)
            assert set(victim.broadcast.neighbours) == {villain.keys.public_key}
            assert await villain.push(victim, _forged(villain.event(1))) is PushOutcome.REFUSED
            assert not set(victim.broadcast.neighbours)
            assert _dropped(victim, "forged") == 1
            reply = await villain.ask(victim, Neighbour(GROUP, Wish.HIGH))
            assert isinstance(reply, Neighbourhood)
            assert not reply.is_neighbour
            assert victim.read() == []

    run_virtually(main())


def test_hostile_events_out_of_their_time_or_place_are_refused() -> None:
    """Replayed, postdated, of another group, of an unknown signer, malformed: refused and counted, link kept."""

    async def main() -> None:
        async with Flock(1) as flock:
            villain, victim = Villain(flock), flock.members[0]
            stranger = Villain(flock, 2, is_member=False)
            await villain.ask(victim, Neighbour(GROUP, Wish.HIGH))
            event = villain.event(1)
            body = event.body
            other_group = sign_event(
                villain.keys,
                EventBody(
                    group=open_group_id("fish"),
                    topic="news",
                    sender=body.sender,
                    epoch_ms=body.epoch_ms,
                    sequence=1,
                    sent_ms=body.sent_ms,
                ),
            )
            for wrong, reason in (
                (villain.event(1, sent_s=-4000.0), "old"),
                (villain.event(1, sent_s=100.0), "future"),
                (stranger.event(1), "signer"),
                (other_group, "malformed"),
                (b"\x92\xc0\xc0", "malformed"),
            ):
                before = _dropped(victim, reason)
                assert await villain.push(victim, wrong) is PushOutcome.REFUSED
                assert _dropped(victim, reason) == before + 1
            assert victim.broadcast.neighbours == (villain.keys.public_key,)
            assert await villain.push(victim, event) is PushOutcome.NEW
            await asyncio.sleep(4000)
            assert victim.broadcast.kept == 0
            assert await villain.push(victim, event) is PushOutcome.REFUSED
            assert victim.read() == [b"spam"]

    run_virtually(main())


def test_hostile_flood_is_bounded_by_signer_and_by_neighbour() -> None:
    """Many bearers cannot bring more of one signer; one bearer cannot bring more than its allowance."""

    async def main() -> None:
        config = BroadcastConfig(events_per_s=0.1, events_burst=5, pushes_per_s=0.1, pushes_burst=8)
        async with Flock(1, config=config) as flock:
            villain, accomplice, victim = Villain(flock), Villain(flock, 2), flock.members[0]
            events = [villain.event(number, epoch_ms=1_700_000_000_000) for number in range(1, 20)]
            outcomes = [await villain.push(victim, event) for event in events[:10]]
            assert outcomes == [PushOutcome.NEW] * 5 + [PushOutcome.REFUSED] * 5
            assert (_dropped(victim, "sender_rate"), _dropped(victim, "rate")) == (3, 2)
            assert await accomplice.push(victim, events[12]) is PushOutcome.REFUSED
            assert await accomplice.push(victim, accomplice.event(1)) is PushOutcome.NEW

    run_virtually(main())


def test_hostile_announcements_that_are_never_delivered_are_given_up() -> None:
    """A liar fills its share of what is awaited, is asked once for each, and everything is forgotten."""

    async def main() -> None:
        async with Flock(1, config=BroadcastConfig(max_missing=64)) as flock:
            villain, victim = Villain(flock), flock.members[0]
            grafts: list[Graft] = []

            def deny(message: Graft, _sender: object) -> Grafted:
                grafts.append(message)
                return Grafted(0, b"")

            villain.post.serve(GROUP, Graft, deny)
            await villain.ask(victim, Neighbour(GROUP, Wish.HIGH))
            for start in range(1, 10):
                ids = tuple(EventId(NodeId(bytes(20)), 1, start * 100 + number) for number in range(30))
                villain.post.tell(victim.contact, Announce(GROUP, 0, ids))
            await asyncio.sleep(5)
            assert len(grafts) == 16
            assert _dropped(victim, "announcement") == 9 * 30 - 16
            assert victim.broadcast._spreading.tree.missing == 0

    run_virtually(main())


def test_hostile_walks_are_taken_with_care() -> None:
    """Answers to exchanges that nobody began, and contacts that are no members, are not remembered."""

    async def main() -> None:
        async with Flock(1, has_full_membership=False) as flock:
            villain, victim = Villain(flock), flock.members[0]
            strangers = tuple(
                Contact(KeyPair.from_seed(bytes([number]) * 32).public_key, Endpoint(f"10.7.0.{number}", 1))
                for number in range(1, 9)
            )
            await villain.ask(victim, Neighbour(GROUP, Wish.HIGH))
            villain.post.tell(victim.contact, Walk(GROUP, WalkKind.SHUFFLED, 0, None, strangers))
            villain.post.tell(victim.contact, Walk(GROUP, WalkKind.SHUFFLE, 6, None, strangers))
            villain.post.tell(victim.contact, Walk(GROUP, WalkKind.JOIN, 6, strangers[0]))
            await asyncio.sleep(1)
            assert victim.broadcast._views.passive == {}
            assert _dropped(victim, "walk") == 2

    run_virtually(main())


def test_hostile_neighbour_that_forwards_nothing_is_worked_around() -> None:
    """A member whose eager neighbours swallow everything gets it over a lazy link, or by comparing."""

    async def main() -> None:
        async with Flock(8) as flock:
            await asyncio.sleep(10)
            villains = [Villain(flock, number) for number in range(1, 4)]
            for villain in villains:
                villain.post.serve(GROUP, Push, lambda *_: Pushed(PushOutcome.NEW, True))
                villain.post.serve(GROUP, Neighbour, lambda *_: Neighbourhood(True))
                for member in flock.members:
                    await villain.ask(member, Neighbour(GROUP, Wish.HIGH))
            contents = [b"%d" % number for number in range(10)]
            for content in contents:
                flock.members[0].broadcast.publish("news", content)
                await asyncio.sleep(2)
            await asyncio.sleep(60)
            assert [member.read() for member in flock.members] == [contents] * 8

    run_virtually(main())


def test_hostile_neighbour_that_prunes_and_parts_hurts_only_itself() -> None:
    """Links of others stay as they are; strangers' words about links change nothing."""

    async def main() -> None:
        async with Flock(2) as flock:
            await asyncio.sleep(10)
            villain = Villain(flock)
            one, other = flock.members
            for state in LinkState:
                villain.post.tell(one.contact, Relink(GROUP, state))
            await asyncio.sleep(1)
            assert one.broadcast.neighbours == (other.keys.public_key,)
            assert one.broadcast.eager == (other.keys.public_key,)

    run_virtually(main())


def test_hostile_history_is_not_read_for_ever() -> None:
    """A member whose history never ends, or is of others, is left alone after a bounded number of requests."""

    async def main() -> None:
        async with Flock(1, config=BroadcastConfig(compare_requests=20)) as flock:
            villain, victim = Villain(flock), flock.members[0]
            asked: list[FetchEvents] = []

            def endless(message: FetchEvents, _sender: object) -> Events:
                asked.append(message)
                return Events((villain.event(message.sequence, epoch_ms=message.epoch_ms).item,), False)

            villain.post.serve(GROUP, FetchEvents, endless)
            await villain.ask(victim, Neighbour(GROUP, Wish.HIGH))
            assert await villain.push(victim, villain.event(10**6)) is PushOutcome.NEW
            await asyncio.sleep(30)
            assert 20 <= len(asked) <= 6 * 20
            assert victim.broadcast._spreading.delivery.held <= 256

    run_virtually(main())


def test_broadcast_refuses_what_others_would_not_take() -> None:
    """Too long, too many, malformed, or after the group was left: the caller is told what to do."""

    async def main() -> None:
        config = BroadcastConfig(publish_per_s=0.01, publish_burst=2, max_subscriptions=2)
        async with Flock(1, config=config) as flock:
            broadcast = flock.members[0].broadcast
            with pytest.raises(InvalidArgument):
                broadcast.publish("News", b"")
            with pytest.raises(InvalidArgument):
                broadcast.publish("news", bytes(1_000))
            assert [broadcast.publish("news", b"").sequence for _ in range(2)] == [1, 2]
            with pytest.raises(Overloaded):
                broadcast.publish("news", b"")
            subscription = broadcast.subscribe("news", is_replayed=True)
            assert [subscription.take().sequence for _ in range(2)] == [1, 2]
            assert broadcast.patterns == ("**", "news")
            with pytest.raises(Overloaded):
                broadcast.subscribe("other")
            subscription.close()
            broadcast.subscribe("other").close()
            broadcast.close()
            broadcast.close()
            for verb in (lambda: broadcast.publish("news", b""), lambda: broadcast.subscribe("news")):
                with pytest.raises(NodeClosed):
                    verb()

    run_virtually(main())


def test_broadcast_has_one_timer_and_two_tasks_at_rest() -> None:
    """However many messages went through, nothing is left behind for each."""

    async def main() -> None:
        async with Flock(6) as flock:
            await asyncio.sleep(10)
            for number in range(50):
                flock.members[0].broadcast.publish("news", b"%d" % number)
            await asyncio.sleep(10)
            assert len(asyncio.all_tasks()) == 1 + len(flock.members)
            for member in flock.members:
                assert len(member.read()) == 50
                assert member.broadcast._spreading.tree.missing == 0

    run_virtually(main())


def test_broadcast_member_that_is_gone_is_replaced_and_one_expelled_is_not_heard() -> None:
    """Membership's word counts at once."""

    async def main() -> None:
        async with Flock(4) as flock:
            await asyncio.sleep(10)
            one, other = flock.members[:2]
            key = other.keys.public_key
            other.broadcast.publish("news", b"1")
            await asyncio.sleep(1)
            del flock.contacts[key]
            one.broadcast.on_member_gone(key, is_expelled=True)
            assert key not in one.broadcast.neighbours
            other.broadcast.publish("news", b"2")
            await asyncio.sleep(5)
            assert one.read() == [b"1"]

    run_virtually(main())
