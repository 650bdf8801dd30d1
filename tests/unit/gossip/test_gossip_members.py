"""The table of members: what facts, suspicions, verdicts and forgetting change."""

from __future__ import annotations

from random import Random

import pytest

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.members import Members
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.wire.certificates import Role
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.membership import FactKind
from tests.support.gossip_town import NOW_MS, fact_of, id_of
from tests.support.net_nodes import key_pair

OWN = 1
ALIVE, SUSPECT, DEAD, LEFT = MemberStatus.ALIVE, MemberStatus.SUSPECT, MemberStatus.DEAD, MemberStatus.LEFT


def members_of(count: int, config: GossipConfig | None = None) -> Members:
    """Return a table of so many members, numbers 1 to ``count``; number 1 is its owner."""
    members = Members(key_pair(OWN).public_key, GossipConfig() if config is None else config)
    for seed in range(1, count + 1):
        assert members.merge(fact_of(seed), Role.MEMBER, 0.0)
    return members


def status_of(members: Members, seed: int) -> MemberStatus:
    """Return what is held of a member."""
    member = members.find(id_of(seed))
    assert member is not None
    return member.status


def killed(members: Members, seed: int, now: float = 0.0) -> float:
    """Suspect a member and wait until it is dead; return when that was."""
    members.accuse(id_of(seed), NOW_MS, id_of(OWN), now)
    due = members.next_verdict()
    assert due is not None
    assert [(MemberChange.FAILED, seed)] == [
        (change.kind, next(s for s in range(100) if id_of(s) == change.member.node_id))
        for change in members.verdicts(due)
    ]
    return due


def test_merge_of_a_newcomer_is_joining() -> None:
    """It is there, found by id and by key, and counted."""
    members = members_of(3)
    change = members.merge(fact_of(4), Role.ADMIN, 5.0)
    assert change is not None
    assert (MemberChange.JOINED, True, ()) == (change.kind, change.is_news, change.refuted)
    assert change.member is members.find(id_of(4)) is members.of_key(key_pair(4).public_key)
    assert (4, 4, Role.ADMIN, 5.0) == (members.alive, len(members), change.member.role, change.member.since)


def test_merge_of_what_is_known_or_older_changes_nothing() -> None:
    """Whatever is heard twice, or late."""
    members = members_of(3)
    members.merge(fact_of(2, NOW_MS + 10), Role.MEMBER, 0.0)
    for old in (fact_of(2), fact_of(2, NOW_MS + 10), fact_of(2, NOW_MS + 9, FactKind.LEFT)):
        assert members.merge(old, Role.MEMBER, 1.0) is None
    assert (3, ALIVE) == (members.alive, status_of(members, 2))


def test_merge_of_a_new_incarnation_alone_is_no_update_for_programs() -> None:
    """A hostname is one."""
    members = members_of(3)
    again = members.merge(fact_of(2, NOW_MS + 1), Role.MEMBER, 0.0)
    named = members.merge(fact_of(2, NOW_MS + 2, hostname="agent"), Role.MEMBER, 0.0)
    assert again is not None
    assert named is not None
    assert [None, MemberChange.UPDATED] == [again.kind, named.kind]


def test_merge_of_leaving_counts_over_being_there_in_one_incarnation() -> None:
    """And a higher incarnation brings the member back."""
    members = members_of(3)
    left = members.merge(fact_of(2, NOW_MS, FactKind.LEFT), Role.MEMBER, 0.0)
    assert left is not None
    assert (MemberChange.LEFT, LEFT, 2) == (left.kind, status_of(members, 2), members.alive)
    assert members.merge(fact_of(2), Role.MEMBER, 0.0) is None
    back = members.merge(fact_of(2, NOW_MS + 1), Role.MEMBER, 0.0)
    assert back is not None
    assert (MemberChange.JOINED, ALIVE, False) == (back.kind, status_of(members, 2), back.is_return)


def test_suspicion_becomes_a_verdict_after_the_longest_time_without_confirmations() -> None:
    """24 s in a group of ten."""
    members = members_of(10)
    assert members.accuse(id_of(5), NOW_MS, id_of(2), 100.0)
    assert (SUSPECT, 1, 10) == (status_of(members, 5), members.suspected, members.alive)
    assert 124.0 == pytest.approx(members.next_verdict())
    assert [] == members.verdicts(123.9)
    assert [MemberChange.FAILED] == [change.kind for change in members.verdicts(124.1)]
    assert (DEAD, 0, 9, 1) == (status_of(members, 5), members.suspected, members.alive, members.dead)
    assert members.next_verdict() is None


def test_suspicion_with_confirmations_becomes_a_verdict_sooner() -> None:
    """With two others after 4 s; a third, and one that spoke already, change nothing."""
    members = members_of(10)
    due = []
    for accuser in (2, 3, 3, 4, 5, 6):
        members.accuse(id_of(9), NOW_MS, id_of(accuser), 100.0 + accuser)
        due.append(members.next_verdict())
    assert due[0] == pytest.approx(126.0)
    assert due[1] == due[2] == pytest.approx(102 + 24 - 20 * 0.6309, abs=0.01)
    assert due[3] == due[4] == due[5] == pytest.approx(106.0)


@pytest.mark.parametrize("incarnation", [NOW_MS - 1, NOW_MS + 1, 2**53])
def test_suspicion_of_another_incarnation_changes_nothing(incarnation: int) -> None:
    """Of an older one it is refuted, of a newer one nothing is known."""
    members = members_of(5)
    assert members.accuse(id_of(3), incarnation, id_of(2), 0.0) is None
    assert ALIVE is status_of(members, 3)


def test_suspicion_of_ourselves_the_unknown_and_the_gone_changes_nothing() -> None:
    """No verdict is passed on this node here."""
    members = members_of(5)
    members.merge(fact_of(4, NOW_MS, FactKind.LEFT), Role.MEMBER, 0.0)
    for suspect in (OWN, 4, 50):
        assert members.accuse(id_of(suspect), NOW_MS, id_of(2), 0.0) is None
    assert (0, None) == (members.suspected, members.next_verdict())


def test_suspect_that_objects_is_alive_and_its_accusers_are_named() -> None:
    """No verdict follows."""
    members = members_of(10)
    members.accuse(id_of(5), NOW_MS, id_of(2), 0.0)
    members.accuse(id_of(5), NOW_MS, id_of(3), 0.0)
    change = members.merge(fact_of(5, NOW_MS + 1), Role.MEMBER, 1.0)
    assert change is not None
    assert ((id_of(2), id_of(3)), None, ALIVE) == (change.refuted, change.kind, status_of(members, 5))
    assert (0, None, []) == (members.suspected, members.next_verdict(), members.verdicts(1e9))


def test_suspect_that_says_something_else_of_the_same_incarnation_refutes_nobody() -> None:
    """Only a higher incarnation is an objection."""
    low, high = sorted((fact_of(5), fact_of(5, hostname="other")), key=lambda signed: signed.order)
    members = members_of(4)
    members.merge(low, Role.MEMBER, 0.0)
    members.accuse(id_of(5), NOW_MS, id_of(2), 0.0)
    change = members.merge(high, Role.MEMBER, 1.0)
    assert change is not None
    assert ((), SUSPECT) == (change.refuted, status_of(members, 5))


def test_suspect_that_leaves_has_left_and_never_dies() -> None:
    """Leaving ends a suspicion."""
    members = members_of(5)
    members.accuse(id_of(3), NOW_MS, id_of(2), 0.0)
    members.merge(fact_of(3, NOW_MS + 1, FactKind.LEFT), Role.MEMBER, 1.0)
    assert [] == members.verdicts(1e9)
    assert (LEFT, 0, 0) == (status_of(members, 3), members.suspected, members.dead)


def test_dead_member_comes_back_by_a_higher_incarnation_only() -> None:
    """It is a return."""
    low, high = sorted((fact_of(3), fact_of(3, hostname="other")), key=lambda signed: signed.order)
    members = members_of(2)
    for seed in (4, 5):
        members.merge(fact_of(seed), Role.MEMBER, 0.0)
    members.merge(low, Role.MEMBER, 0.0)
    killed(members, 3)
    members.merge(high, Role.MEMBER, 50.0)
    assert DEAD is status_of(members, 3)
    change = members.merge(fact_of(3, NOW_MS + 1), Role.MEMBER, 60.0)
    assert change is not None
    assert (MemberChange.JOINED, True, ALIVE) == (change.kind, change.is_return, status_of(members, 3))
    assert (0, 5) == (members.dead, members.alive)


def test_second_suspicion_after_an_objection_has_its_own_time() -> None:
    """What is left of the first one kills nobody."""
    members = members_of(10)
    members.accuse(id_of(5), NOW_MS, id_of(2), 0.0)
    members.merge(fact_of(5, NOW_MS + 1), Role.MEMBER, 1.0)
    members.accuse(id_of(5), NOW_MS + 1, id_of(2), 20.0)
    assert 44.0 == pytest.approx(members.next_verdict())
    assert [] == members.verdicts(30.0)


def test_endpoints_tried_are_remembered_until_the_endpoints_change() -> None:
    """Else each objection of a member would lead back to the endpoint that does not work."""
    members = members_of(3)
    member = members.find(id_of(2))
    assert member is not None
    member.turn, member.heard_at = 1, Endpoint("10.9.9.9", 9)
    members.merge(fact_of(2, NOW_MS + 1), Role.MEMBER, 0.0)
    assert (1, Endpoint("10.9.9.9", 9)) == (member.turn, member.heard_at)
    members.merge(fact_of(2, NOW_MS + 2, host="10.2.2.2"), Role.MEMBER, 0.0)
    assert (0, True) == (member.turn, member.heard_at is None)


def test_newcomer_said_to_be_gone_is_dead_by_hearsay_until_somebody_tells_of_it_as_alive() -> None:
    """Who joins late does not hold a day's dead for alive, and nobody can hide the living for long."""
    members = members_of(2)
    change = members.merge(fact_of(3), Role.MEMBER, 0.0, is_gone=True)
    assert change is not None
    assert (None, False, DEAD, 2) == (change.kind, change.is_news, status_of(members, 3), members.alive)
    assert members.merge(fact_of(3), Role.MEMBER, 0.0, is_gone=True) is None
    assert members.merge(fact_of(3, NOW_MS - 1), Role.MEMBER, 0.0) is None
    back = members.merge(fact_of(3), Role.MEMBER, 1.0)
    assert back is not None
    assert (MemberChange.JOINED, ALIVE, False, 3) == (back.kind, status_of(members, 3), back.is_return, members.alive)


def test_member_that_is_known_does_not_die_because_others_say_so() -> None:
    """Hearsay counts for strangers alone; also when it comes with something newer."""
    members = members_of(3)
    members.merge(fact_of(2, NOW_MS + 1), Role.MEMBER, 0.0, is_gone=True)
    assert ALIVE is status_of(members, 2)


def test_member_dead_by_hearsay_that_leaves_stays_gone() -> None:
    """Its farewell is not taken for a sign of life when it is heard again."""
    members = members_of(2)
    members.merge(fact_of(3), Role.MEMBER, 0.0, is_gone=True)
    members.merge(fact_of(3, NOW_MS + 1, FactKind.LEFT), Role.MEMBER, 0.0)
    assert members.merge(fact_of(3, NOW_MS + 1, FactKind.LEFT), Role.MEMBER, 0.0) is None
    assert LEFT is status_of(members, 3)


def test_full_table_takes_a_newcomer_in_place_of_whoever_died_first() -> None:
    """The living before the dead; without dead ones there is no room."""
    members = members_of(5, GossipConfig(max_members=5))
    assert members.merge(fact_of(6), Role.MEMBER, 0.0) is None
    killed(members, 3)
    killed(members, 4)
    assert members.merge(fact_of(7), Role.MEMBER, 9.0, is_gone=True) is None
    assert members.merge(fact_of(8, NOW_MS, FactKind.LEFT), Role.MEMBER, 9.0) is None
    assert members.merge(fact_of(6), Role.MEMBER, 9.0) is not None
    assert (5, 4, 1, 5) == (len(members), members.alive, members.dead, len(members.tree))
    assert members.find(id_of(3)) is None
    assert DEAD is status_of(members, 4)


def test_expelled_member_is_forgotten() -> None:
    """And told of once, when it was there."""
    members = members_of(4)
    change = members.expel(id_of(2), 1.0)
    assert change is not None
    assert (MemberChange.EXPELLED, False) == (change.kind, change.is_news)
    assert members.expel(id_of(2), 1.0) is None
    assert (3, 3, None) == (members.alive, len(members.tree), members.of_key(key_pair(2).public_key))
    members.merge(fact_of(3, NOW_MS, FactKind.LEFT), Role.MEMBER, 0.0)
    gone = members.expel(id_of(3), 1.0)
    assert gone is not None
    assert gone.kind is None


def test_sweep_forgets_what_is_void_but_never_ourselves() -> None:
    """Members that were there failed; those that were gone are forgotten in silence."""
    members = members_of(3)
    members.merge(fact_of(3, NOW_MS, FactKind.LEFT), Role.MEMBER, 0.0)
    members.merge(fact_of(4, NOW_MS + 100), Role.MEMBER, 0.0)
    members.accuse(id_of(2), NOW_MS, id_of(4), 0.0)
    changes = members.sweep(now=1.0, oldest_incarnation=NOW_MS + 1)
    assert [(MemberChange.FAILED, id_of(2))] == [(change.kind, change.member.node_id) for change in changes]
    assert {id_of(OWN), id_of(4)} == {member.node_id for member in members}
    assert (2, 0, 0, None) == (members.alive, members.suspected, members.dead, members.next_verdict())


def test_table_does_not_grow_under_churn_and_sweeps() -> None:
    """A week of members that come for an hour: no list is longer at its end than what is known."""
    members = members_of(1)
    hour_ms = 3_600_000
    for hour in range(7 * 24):
        for _ in range(3):
            seed = 100 + hour % 60
            members.merge(fact_of(seed, NOW_MS + hour * hour_ms), Role.MEMBER, hour * 3600.0)
        members.accuse(id_of(100 + (hour + 59) % 60), NOW_MS + (hour - 1) * hour_ms, id_of(OWN), hour * 3600.0)
        members.verdicts(hour * 3600.0 + 100)
        members.sweep(now=hour * 3600.0 + 100, oldest_incarnation=NOW_MS + (hour - 24) * hour_ms)
    assert len(members) <= 26
    assert (len(members), len(members)) == (len(members.tree), members.alive + members.dead)


@pytest.mark.parametrize("count", [1, 2, 5, 40, 200])
def test_sample_is_of_others_that_are_there_each_once(count: int) -> None:
    """In a small group exactly as many as there are."""
    members = members_of(count)
    if count > 2:
        killed(members, 2)
    random, seen = Random(1), set()
    for _ in range(300 + 10 * count):
        drawn = members.sample(3, random, without=(id_of(3),))
        ids = [member.node_id for member in drawn]
        assert len(set(ids)) == len(ids) <= 3
        if count <= 64:
            others = {1: 0, 2: 1, 5: 2}.get(count, 3)
            assert others == len(ids)
        seen.update(ids)
    assert not seen & {id_of(OWN), id_of(3)}
    assert {1: 0, 2: 1}.get(count, count - 3) == len(seen)


def test_sample_takes_only_who_is_wanted() -> None:
    """As those that can be reached."""
    members = members_of(20)
    wanted = {id_of(4), id_of(5)}
    drawn = members.sample(5, Random(1), is_wanted=lambda member: member.node_id in wanted)
    assert wanted == {member.node_id for member in drawn}


def test_random_dead_is_dead_or_nobody() -> None:
    """Whom to try to reach again."""
    members = members_of(5)
    assert members.random_dead(Random(1)) is None
    killed(members, 2)
    killed(members, 3)
    drawn = {member.node_id for _ in range(50) if (member := members.random_dead(Random(_))) is not None}
    assert {id_of(2), id_of(3)} == drawn


def test_tree_tells_the_dead_from_the_living() -> None:
    """Two members that hold different verdicts differ."""
    one, other = members_of(5), members_of(5)
    assert one.tree.hashes("") == other.tree.hashes("")
    killed(one, 3)
    assert one.tree.hashes("") != other.tree.hashes("")
    killed(other, 3)
    assert one.tree.hashes("") == other.tree.hashes("")
