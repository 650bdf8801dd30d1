"""Facts form a join-semilattice, and verdicts end by higher incarnations alone, whatever is heard in whatever order."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.members import Members
from pilotdht.gossip.values import MemberStatus
from pilotdht.wire.certificates import Role
from pilotdht.wire.membership import FactKind, SignedFact
from tests.support.gossip_town import NOW_MS, fact_of, id_of
from tests.support.net_nodes import key_pair

pytestmark = pytest.mark.property

OWN = 1
SUBJECTS = (2, 3, 4, 5, 6)

facts = st.builds(
    fact_of,
    st.sampled_from(SUBJECTS),
    st.integers(NOW_MS, NOW_MS + 3),
    st.sampled_from(FactKind),
    hostname=st.sampled_from(["", "a", "b"]),
)
fact_lists = st.lists(facts, max_size=12)


def heard(*lists: list[SignedFact]) -> Members:
    """Return what is known after all that was heard."""
    members = Members(key_pair(OWN).public_key, GossipConfig())
    for signed in (one for facts_heard in lists for one in facts_heard):
        members.merge(signed, Role.MEMBER, 0.0)
    return members


def state(members: Members) -> dict[bytes, tuple[object, ...]]:
    """Return what is known of each member."""
    return {member.node_id: (member.signed.order, member.status) for member in members}


def learned(into: Members, other: Members) -> Members:
    """Merge all that one knows into another."""
    for member in other:
        into.merge(member.signed, Role.MEMBER, 0.0)
    return into


@given(fact_lists, st.randoms(use_true_random=False))
def test_merge_does_not_depend_on_order_or_repetition(said: list[SignedFact], random: Random) -> None:
    """Lost, doubled and reordered: the same facts make the same knowledge, and the same summary."""
    shuffled = said + random.sample(said, len(said) // 2)
    random.shuffle(shuffled)
    one, other = heard(said), heard(shuffled)
    assert state(one) == state(other)
    assert one.tree.hashes("") == other.tree.hashes("")
    assert one.alive == other.alive


@given(fact_lists, fact_lists, fact_lists)
def test_merge_of_tables_is_commutative_associative_and_idempotent(
    first: list[SignedFact], second: list[SignedFact], third: list[SignedFact]
) -> None:
    """Members that compare, in whatever pairs, end with the same."""
    assert state(learned(heard(first), heard(second))) == state(learned(heard(second), heard(first)))
    left = learned(learned(heard(first), heard(second)), heard(third))
    right = learned(heard(first), learned(heard(second), heard(third)))
    assert state(left) == state(right)
    assert state(left) == state(learned(left, heard(first, second, third)))


steps = st.lists(
    st.one_of(
        facts,
        st.tuples(st.sampled_from((OWN, *SUBJECTS)), st.integers(NOW_MS - 1, NOW_MS + 4), st.sampled_from(SUBJECTS)),
        st.floats(0.0, 30.0),
    ),
    max_size=40,
)


@given(steps)
def test_nobody_comes_back_without_a_higher_incarnation_and_books_stay_right(
    script: list[SignedFact | tuple[int, int, int] | float],
) -> None:
    """Facts, suspicions and time in any order; counters, lists and trees always agree with the table."""
    members = heard([fact_of(OWN)])
    now = 0.0
    gone_at: dict[bytes, int] = {}
    for step in script:
        if isinstance(step, SignedFact):
            members.merge(step, Role.MEMBER, now)
        elif isinstance(step, float):
            now += step
            members.verdicts(now)
        else:
            suspect, incarnation, accuser = step
            members.accuse(id_of(suspect), incarnation, id_of(accuser), now)
        for member in members:
            if member.is_there:
                assert member.incarnation > gone_at.get(member.node_id, 0)
                gone_at.pop(member.node_id, None)
            else:
                gone_at[member.node_id] = max(member.incarnation, gone_at.get(member.node_id, 0))
            assert (member.status is MemberStatus.SUSPECT) == bool(member.accusers)
            assert len(member.accusers) <= 3
        statuses = [member.status for member in members]
        assert members.suspected == statuses.count(MemberStatus.SUSPECT)
        assert members.dead == statuses.count(MemberStatus.DEAD)
        there = [member for member in members if member.is_there]
        assert {id(member) for member in there} == {id(member) for member in members.there()}
        assert [index for index, _ in enumerate(members.there())] == [member.place for member in members.there()]
        due = members.next_verdict()
        assert (due is None) == (members.suspected == 0)
        assert due is None or due >= now
    own = members.find(id_of(OWN))
    assert own is not None
    assert MemberStatus.ALIVE is own.status
