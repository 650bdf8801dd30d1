"""Probing and telling, step by step: who is asked, when somebody is suspected, and what is never sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.telling import ITEMS_BYTES, NEVER
from pilotdht.net.outcomes import Deferred
from pilotdht.wire.certificates import Role
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Gossip, Probe, ProbeAck, ProbeFor, ProbeOutcome
from pilotdht.wire.membership import FactKind
from pilotdht.wire.message import Reply
from simulations.engine.virtual_loop import run_virtually
from tests.support.gossip_post import OWN, Bench, now
from tests.support.gossip_town import NOW_MS, TOWN, fact_of, id_of


def virtually(check: Callable[[], None]) -> None:
    """Run a check inside a virtual loop."""

    async def main() -> None:
        check()

    run_virtually(main())


def test_probe_that_is_answered_makes_healthier_and_waits_one_interval() -> None:
    """Nobody else is asked."""

    def check() -> None:
        bench = Bench(5)
        bench.awareness.worse(1)
        bench.prober.probe(now())
        (probe,) = bench.post.sent
        assert (now() + 2.0, (1.0, 2.0)) == (bench.prober.next_probe, probe.waits)
        probe.answer(ProbeAck())
        assert ({"answered": 1.0}, 0, 1) == (bench.results(), bench.awareness.score, len(bench.answers))

    virtually(check)


def test_probe_that_is_slow_asks_three_others_and_silence_of_all_suspects() -> None:
    """Helpers that say nothing either make this member doubt itself."""

    def check() -> None:
        bench = Bench(10)
        bench.prober.probe(now())
        probe = bench.post.sent[0]
        probe.slow()
        helpers = bench.post.of(ProbeFor)
        asked = {helper.contact.node_id for helper in helpers}
        assert (3, set()) == (len(asked), asked & {probe.contact.node_id, id_of(OWN)})
        assert {ProbeFor(TOWN, probe.contact.node_id, 250)} == {helper.message for helper in helpers}
        probe.silent()
        assert [probe.contact.node_id] == [member.node_id for member in bench.suspects]
        assert (3, {"failed": 1.0}) == (bench.awareness.score, bench.results())
        assert all(helper.is_abandoned for helper in helpers)

    virtually(check)


def test_nacks_show_that_the_silent_one_is_the_target() -> None:
    """One nack less than helpers is one doubt."""

    def check() -> None:
        bench = Bench(10)
        bench.prober.probe(now())
        probe = bench.post.sent[0]
        probe.slow()
        for helper in bench.post.of(ProbeFor)[:2]:
            helper.answer(ProbeOutcome(is_alive=False))
        probe.silent()
        assert (1, 1) == (bench.awareness.score, len(bench.suspects))

    virtually(check)


def test_probe_that_only_a_helper_hears_suspects_nobody() -> None:
    """The path between us is broken, not the member: its next endpoint is tried next time."""

    def check() -> None:
        bench = Bench(10, more_hosts=("10.7.7.7",))
        bench.prober.probe(now())
        probe = bench.post.sent[0]
        probe.slow()
        bench.post.of(ProbeFor)[0].answer(ProbeOutcome(is_alive=True))
        probe.silent()
        assert ([], 0, {"answered_for_us": 1.0}) == (bench.suspects, bench.awareness.score, bench.results())
        member = bench.members.of_key(probe.contact.public_key)
        assert member is not None
        assert Endpoint("10.7.7.7", 4000) == bench.telling.contact(member).endpoint

    virtually(check)


def test_probe_without_anybody_to_help_is_one_doubt() -> None:
    """In a group of two."""

    def check() -> None:
        bench = Bench(2)
        bench.prober.probe(now())
        bench.post.sent[0].slow()
        assert 1 == len(bench.post.sent)
        bench.post.sent[0].silent()
        assert (1, 1) == (bench.awareness.score, len(bench.suspects))

    virtually(check)


def test_probe_of_a_member_that_objected_meanwhile_suspects_nobody() -> None:
    """The silence was of an incarnation that is over."""

    def check() -> None:
        bench = Bench(2)
        bench.prober.probe(now())
        bench.members.merge(fact_of(2, NOW_MS + 1), Role.MEMBER, 0.0)
        bench.post.sent[0].silent()
        assert [] == bench.suspects

    virtually(check)


def test_member_that_never_answered_is_suspected_when_all_its_endpoints_were_tried() -> None:
    """An address that only its neighbours reach is no reason to suspect it."""

    def check() -> None:
        bench = Bench(2, more_hosts=("10.7.7.7", "10.7.7.8"), is_proven=False)
        hosts = []
        for _ in range(3):
            assert [] == bench.suspects
            bench.prober.probe(now())
            hosts.append(bench.post.sent[-1].contact.endpoint.host)
            bench.post.sent[-1].silent()
        assert ["10.1.0.3", "10.7.7.7", "10.7.7.8"] == hosts
        assert (1, 1) == (len(bench.suspects), bench.awareness.score)

    virtually(check)


def test_member_that_answered_before_is_suspected_at_once() -> None:
    """Its other endpoints are tried after that."""

    def check() -> None:
        bench = Bench(2, more_hosts=("10.7.7.7",))
        bench.prober.probe(now())
        bench.post.sent[0].silent()
        assert 1 == len(bench.suspects)
        assert "10.7.7.7" == bench.telling.contact(bench.member(2)).endpoint.host

    virtually(check)


def test_place_where_a_member_was_heard_is_tried_first_and_given_up_when_it_is_silent() -> None:
    """Then its own endpoints are, the first one first."""

    def check() -> None:
        bench = Bench(2, more_hosts=("10.7.7.7",))
        heard = Endpoint("10.8.8.8", 8)
        bench.member(2).heard_at = heard
        bench.prober.probe(now())
        assert heard == bench.post.sent[0].contact.endpoint
        bench.post.sent[0].silent()
        assert "10.1.0.3" == bench.telling.contact(bench.member(2)).endpoint.host

    virtually(check)


def test_probe_with_too_many_requests_waiting_is_counted_and_blames_nobody() -> None:
    """An overloaded node is the sick one."""

    def check() -> None:
        bench = Bench(3)
        bench.post.is_full = True
        bench.prober.probe(now())
        assert ({"not_sent": 1.0}, []) == (bench.results(), bench.suspects)
        assert isinstance(bench.prober.probe_for(ProbeFor(TOWN, id_of(2), 100)), ProbeOutcome)
        assert 0 == bench.prober.helped
        bench.prober.introduce(bench.member(2))
        bench.post.is_full = False
        bench.prober.introduce(bench.member(2))
        assert 1 == len(bench.post.sent)

    virtually(check)


def test_probe_of_a_key_that_cannot_be_used_ends_at_once() -> None:
    """Its owner is suspected, and a helper says at once that it does not hear it."""

    def check() -> None:
        bench = Bench(2)
        bench.post.is_unusable = True
        bench.prober.probe(now())
        assert 1 == len(bench.suspects)
        assert ProbeOutcome(is_alive=False) == bench.prober.probe_for(ProbeFor(TOWN, id_of(2), 100))
        assert 0 == bench.prober.helped

    virtually(check)


def test_nobody_is_probed_who_is_gone_or_says_not_where_it_is() -> None:
    """An empty round is no error."""

    def check() -> None:
        bench = Bench(2)
        bench.members.merge(fact_of(2, NOW_MS, FactKind.LEFT), Role.MEMBER, 0.0)
        bench.prober.probe(now())
        bench.prober.retry(now())
        assert [] == bench.post.sent
        assert bench.prober.next_retry > now()

    virtually(check)


# Helping.


def replies_of(answer: Deferred | ProbeOutcome) -> list[Reply]:
    """Return a list that the reply will be in."""
    replies: list[Reply] = []
    assert isinstance(answer, Deferred)
    answer.bind(replies.append)
    return replies


@pytest.mark.parametrize("is_alive", [True, False])
def test_helper_tells_whether_it_heard_the_target(is_alive: bool) -> None:
    """In any case, and in time."""

    def check() -> None:
        bench = Bench(3)
        replies = replies_of(bench.prober.probe_for(ProbeFor(TOWN, id_of(2), 400)))
        (probe,) = bench.post.sent
        assert ((0.2, 0.4), 1) == (probe.waits, bench.prober.helped)
        probe.slow()
        assert [] == replies
        if is_alive:
            probe.answer(ProbeAck())
        else:
            probe.silent()
        assert ([ProbeOutcome(is_alive)], 0) == (replies, bench.prober.helped)

    virtually(check)


def test_helper_probes_a_target_once_for_all_who_ask() -> None:
    """Nobody uses us to flood somebody."""

    def check() -> None:
        bench = Bench(3, config=GossipConfig(max_helped=10))
        replies = [replies_of(bench.prober.probe_for(ProbeFor(TOWN, id_of(2), 0))) for _ in range(10)]
        assert (1, 10) == (len(bench.post.sent), bench.prober.helped)
        assert ProbeOutcome(is_alive=False) == bench.prober.probe_for(ProbeFor(TOWN, id_of(2), 0))
        assert (0.125, 0.25) == (bench.post.sent[0].waits[0] * 1, bench.post.sent[0].waits[1])  # type: ignore[index]
        bench.post.sent[0].answer(ProbeAck())
        assert [[ProbeOutcome(is_alive=True)]] * 10 == replies
        assert 0 == bench.prober.helped

    virtually(check)


def test_helper_of_the_unknown_says_no() -> None:
    """And waits no longer than an interval for anybody."""

    def check() -> None:
        bench = Bench(3)
        assert ProbeOutcome(is_alive=False) == bench.prober.probe_for(ProbeFor(TOWN, id_of(77), 100))
        bench.prober.probe_for(ProbeFor(TOWN, id_of(2), 60_000))
        assert (0.5, 1.0) == bench.post.sent[0].waits

    virtually(check)


# Those that never answered, and the dead.


def test_unproven_member_gets_one_probe_at_a_time_and_no_stream_of_gossip() -> None:
    """A liar cannot aim the group at a victim's endpoint."""

    def check() -> None:
        bench = Bench(2, is_proven=False)
        for step in range(50):
            bench.outbox.add(step, bytes(100))
            bench.telling.round(now())
        assert ([], 1) == (bench.post.told, len(bench.post.sent))
        bench.post.sent[0].silent()
        assert [] == bench.suspects
        bench.telling.round(now())
        assert 2 == len(bench.post.sent)
        bench.post.sent[1].answer(ProbeAck())
        bench.post.proven.add(bench.post.sent[1].contact)
        bench.telling.round(now())
        assert 1 == len(bench.post.told)

    virtually(check)


def test_endpoint_that_many_members_name_gets_one_introduction_at_a_time() -> None:
    """However many keys a liar has."""

    def check() -> None:
        bench = Bench(1, is_proven=False)
        for seed in range(2, 40):
            bench.members.merge(fact_of(seed, host="10.66.6.6"), Role.MEMBER, 0.0)
        for step in range(50):
            bench.outbox.add(step, bytes(100))
            bench.telling.round(now())
        assert 1 == len(bench.post.sent)

    virtually(check)


def test_introductions_under_way_are_bounded() -> None:
    """64 at a time."""

    def check() -> None:
        bench = Bench(200, is_proven=False)
        for seed in range(2, 200):
            bench.prober.introduce(bench.member(seed))
        assert 64 == len(bench.post.sent)

    virtually(check)


def test_dead_member_is_tried_again_and_hears_that_it_is_held_for_dead() -> None:
    """With what it said, as a proof; when it answers, the next is tried soon."""

    def check() -> None:
        bench = Bench(5)
        bench.kill(3)
        bench.prober.retry(now())
        (probe,) = bench.post.sent
        assert isinstance(probe.message, Probe)
        assert (bench.telling.suspicion_of(bench.member(3)).item, fact_of(3).item) == probe.message.items
        assert now() + 2.5 <= bench.prober.next_retry <= now() + 7.5
        probe.answer(ProbeAck())
        assert now() + 0.25 == bench.prober.next_retry
        assert 1 == len(bench.answers)

    virtually(check)


def test_dead_member_that_stays_silent_is_tried_elsewhere() -> None:
    """Its endpoints in turn."""

    def check() -> None:
        bench = Bench(2, more_hosts=("10.7.7.7",))
        bench.kill(2)
        hosts = []
        for _ in range(3):
            bench.prober.retry(now())
            hosts.append(bench.post.sent[-1].contact.endpoint.host)
            bench.post.sent[-1].silent()
        assert ["10.1.0.3", "10.7.7.7", "10.1.0.3"] == hosts

    virtually(check)


# Telling.


def test_suspect_hears_of_it_first_and_others_do_not() -> None:
    """Before all news; without the buddy system it does not."""

    def check(is_buddy: bool) -> None:
        bench = Bench(10, config=GossipConfig(is_buddy=is_buddy))
        bench.outbox.add("news", b"n" * 100)
        member = bench.member(3)
        assert (b"n" * 100,) == bench.telling.probe_of(member).items
        bench.members.accuse(member.node_id, NOW_MS, id_of(4), 0.0)
        words = bench.telling.probe_of(member).items
        expected = (bench.telling.suspicion_of(member).item, fact_of(3).item) if is_buddy else ()
        assert (*expected, b"n" * 100) == words

    virtually(lambda: check(True))
    virtually(lambda: check(False))


def test_departed_member_hears_what_it_said() -> None:
    """So that one that came back without its memory exceeds it."""

    def check() -> None:
        bench = Bench(3)
        left = fact_of(3, NOW_MS, FactKind.LEFT)
        bench.members.merge(left, Role.MEMBER, 0.0)
        assert (left.item,) == bench.telling.words(bench.member(3), is_stranger=False)

    virtually(check)


def test_words_never_exceed_a_datagram() -> None:
    """However long what must be said first is."""

    def check() -> None:
        bench = Bench(3, is_proven=False)
        for seed in range(2, 4):
            bench.members.merge(fact_of(seed, NOW_MS + 1, hostname="h" * 63), Role.MEMBER, 0.0)
        bench.kill(3)
        for number in range(40):
            bench.outbox.add(number, bytes(70 + 20 * number))
        for _ in range(50):
            words = bench.telling.probe_of(bench.member(3)).items
            assert sum(len(item) + 3 for item in words) <= ITEMS_BYTES
            assert fact_of(OWN).item == words[0]

    virtually(check)


def test_round_tells_three_and_ends_with_the_news() -> None:
    """Nothing is planned while there is nothing to tell."""

    def check() -> None:
        bench = Bench(20)
        bench.telling.soon()
        assert NEVER == bench.telling.next_round
        bench.outbox.add("news", b"n" * 100)
        bench.telling.soon()
        assert now() == bench.telling.next_round
        rounds = 0
        while bench.telling.next_round != NEVER:
            bench.telling.round(now())
            rounds += 1
        assert (3, 8) == (rounds, len(bench.post.told))
        assert {Gossip(TOWN, (b"n" * 100,))} == {message for _, message in bench.post.told}
        assert 3 == len({contact for contact, _ in bench.post.told[:3]})

    virtually(check)


def test_round_alone_keeps_the_news_and_plans_nothing() -> None:
    """A group of one is quiet."""

    def check() -> None:
        bench = Bench(1)
        bench.outbox.add("news", b"n" * 100)
        bench.telling.soon()
        bench.telling.round(now())
        assert (NEVER, 1, []) == (bench.telling.next_round, len(bench.outbox), bench.post.told)

    virtually(check)


def test_member_that_died_is_told_the_news_for_a_while() -> None:
    """It may only have been slow."""

    def check() -> None:
        bench = Bench(10)
        bench.kill(3)
        bench.telling.died(bench.member(3), now())
        for step, ahead in enumerate((0.0, 29.0, 31.0)):
            bench.outbox.add(step, bytes(100))
            bench.telling.round(now() + ahead)
        to_the_dead = [contact.node_id for contact, _ in bench.post.told].count(id_of(3))
        assert 2 == to_the_dead

    virtually(check)
