"""What others say: each hostile item is refused by its reason, and what is taken changes what it should."""

from __future__ import annotations

from random import Random

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import BadMessage
from pilotdht.gossip.hearing import SKEW_MS, Doubt, Hearing
from pilotdht.gossip.members import Change, Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.outbox import Outbox
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.certificates import Role
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.groups import open_group_id
from pilotdht.wire.membership import FactKind, ItemType, MemberFact
from tests.support.gossip_town import NOW_MS, TOWN, fact_of, id_of, suspicion_of
from tests.support.net_nodes import key_pair

OWN, FRIEND = 1, 2
DAY_MS = 86_400_000
_fresh = iter(range(41_000, 65_000))  # no other test hears these: what was verified once costs nothing


def broken(item: bytes) -> bytes:
    """Return an item with a wrong signature."""
    return item[:-40] + bytes([item[-40] ^ 1]) + item[-39:]


class Door:
    """Admits all but the banned; takes notices that begin as they should."""

    def __init__(self) -> None:
        self.banned: set[PublicKey] = set()
        self.notices: list[bytes] = []

    def role_of(self, fact: MemberFact, unix_time: float) -> Role | None:
        """Return that all but the banned are members."""
        return None if fact.public_key in self.banned else Role.MEMBER

    def take_untrusted(self, item: bytes, kind: ItemType) -> bool:
        """Take a notice once."""
        if b"bad" in item:
            raise BadMessage("not_admitted")
        if item in self.notices:
            return False
        self.notices.append(item)
        return True


class Ear:
    """A hearing with all that it changes; members 1 (this node) to 5 are there."""

    def __init__(self, config: GossipConfig | None = None, count: int = 5) -> None:
        config = GossipConfig() if config is None else config
        self.door = Door()
        self.metrics = GossipMetrics(CollectorRegistry())
        self.members = Members(key_pair(OWN).public_key, config)
        self.outbox = Outbox(limit=lambda: 8, capacity=1000)
        self.order = ProbeOrder(Random(1))
        self.changes: list[Change] = []
        self.doubts: list[tuple[int, Doubt]] = []
        self.heard_notices: list[bytes] = []
        self.unix_ms = NOW_MS
        self.hearing = Hearing(
            group=TOWN,
            own_key=key_pair(OWN).public_key,
            members=self.members,
            outbox=self.outbox,
            order=self.order,
            config=config,
            metrics=self.metrics,
            admission=self.door,
            unix_time=lambda: self.unix_ms / 1000,
            on_change=self.changes.append,
            on_doubted=lambda incarnation, doubt: self.doubts.append((incarnation, doubt)),
            on_notice=self.heard_notices.append,
        )
        self.hearing.take_own(fact_of(OWN), 0.0)
        for seed in range(2, count + 1):
            assert 1 == self.take(fact_of(seed).item, sender=seed)
        while self.outbox.take(10_000):
            pass
        self.changes.clear()

    def take(self, *items: bytes, sender: int = FRIEND, now: float = 0.0) -> int:
        """Hear items from a member; return how many changed something."""
        return self.hearing.take(items, key_pair(sender).public_key, now)

    def dropped(self) -> dict[str, float]:
        """Return what was not taken, by reason."""
        return {reason: count.value for reason, count in self.metrics.dropped.items() if count.value}

    def status(self, seed: int) -> MemberStatus | None:
        """Return what is held of a member."""
        member = self.members.find(id_of(seed))
        return None if member is None else member.status


def test_fact_of_a_newcomer_is_taken_passed_on_and_enters_the_round() -> None:
    """Once, from whomever it comes."""
    ear = Ear()
    item = fact_of(9).item
    assert (1, 0) == (ear.take(item), ear.take(item, sender=3))
    assert [MemberChange.JOINED] == [change.kind for change in ear.changes]
    assert (5, [item], {}) == (len(ear.order), ear.outbox.take(1000), ear.dropped())


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (fact_of(9, group=open_group_id("village")).item, "other_group"),
        (fact_of(2, NOW_MS + 5, group=open_group_id("village")).item, "other_group"),
        (fact_of(9, NOW_MS - DAY_MS - 1).item, "stale"),
        (fact_of(9, NOW_MS + SKEW_MS + 1).item, "future"),
        (fact_of(9, 2**53).item, "future"),
        (suspicion_of(3, 9).item, "not_member"),
        (suspicion_of(3, 2, group=open_group_id("village")).item, "other_group"),
        (b"", "malformed"),
        (b"\1", "malformed"),
        (b"\2garbage", "malformed"),
        (b"\5later version", "malformed"),
        (b"\4bad", "not_admitted"),
        (broken(fact_of(9).item), "malformed"),
    ],
)
def test_hostile_item_is_refused_by_its_reason(item: bytes, reason: str) -> None:
    """Nothing changes, nothing is passed on, and what comes beside it is taken."""
    ear = Ear()
    assert 1 == ear.take(item, fact_of(8).item)
    assert {reason: 1.0} == ear.dropped()
    assert [fact_of(8).item] == ear.outbox.take(2000)


def test_fact_at_the_edges_of_its_time_is_taken() -> None:
    """A day old, or ten minutes ahead."""
    ear = Ear()
    assert 2 == ear.take(fact_of(8, NOW_MS - DAY_MS).item, fact_of(9, NOW_MS + SKEW_MS).item)


def test_fact_of_somebody_who_is_not_admitted_is_refused() -> None:
    """And of a member that is expelled nothing is left."""
    ear = Ear()
    ear.door.banned.add(key_pair(9).public_key)
    assert 0 == ear.take(fact_of(9).item)
    ear.door.banned.add(key_pair(3).public_key)
    assert [id_of(3)] == [member.node_id for member in ear.hearing.expel_unadmitted(1.0)]
    assert ({"not_admitted": 1.0}, None) == (ear.dropped(), ear.status(3))
    assert [MemberChange.EXPELLED] == [change.kind for change in ear.changes]


def test_notice_is_taken_once_passed_on_and_expels() -> None:
    """A revocation heard is acted on at once."""
    ear = Ear()
    ear.door.banned.add(key_pair(3).public_key)
    assert (1, 0) == (ear.take(b"\3 notice"), ear.take(b"\3 notice"))
    assert ([b"\3 notice"], None) == (ear.heard_notices, ear.status(3))
    assert b"\3 notice" in ear.outbox.take(2000)


def test_full_table_refuses_and_counts() -> None:
    """There is a bound."""
    ear = Ear(GossipConfig(max_members=5))
    assert 0 == ear.take(fact_of(9).item)
    assert {"full": 1.0} == ear.dropped()


# About ourselves.


def test_own_fact_from_before_our_memory_has_to_be_exceeded() -> None:
    """Or nobody would hear us."""
    ear = Ear()
    ear.take(fact_of(OWN, NOW_MS + 500).item)
    assert [(NOW_MS + 500, Doubt.FORGOTTEN)] == ear.doubts


@pytest.mark.parametrize("incarnation", [NOW_MS, NOW_MS - 1, NOW_MS - 2 * DAY_MS, NOW_MS + SKEW_MS + 1, 2**53])
def test_own_fact_that_is_old_or_that_nobody_else_takes_is_ignored(incarnation: int) -> None:
    """Replayed ones change nothing; one from a time when our clock was wrong would drive us out of others' sight."""
    ear = Ear()
    ear.take(fact_of(OWN, incarnation).item)
    assert [] == ear.doubts
    own = ear.members.find(id_of(OWN))
    assert own is not None
    assert fact_of(OWN).item == own.signed.item


def test_suspicion_of_ourselves_is_objected_to_once_an_accuser() -> None:
    """However often it is heard, and from whom."""
    ear = Ear()
    for sender in (2, 3, 4):
        ear.take(suspicion_of(OWN, 2).item, sender=sender)
    ear.take(suspicion_of(OWN, 3).item)
    assert [(NOW_MS, Doubt.SUSPECTED)] * 2 == ear.doubts
    assert MemberStatus.ALIVE is ear.status(OWN)


@pytest.mark.parametrize("ahead_ms", [1, SKEW_MS - 1, SKEW_MS, 10**12])
def test_suspicion_of_an_incarnation_that_we_never_signed_is_ignored(ahead_ms: int) -> None:
    """A liar cannot drive our incarnation into the future."""
    ear = Ear()
    ear.take(suspicion_of(OWN, 2, NOW_MS + ahead_ms).item)
    assert ([], {"future": 1.0}) == (ear.doubts, ear.dropped())


def test_suspicion_of_an_incarnation_that_we_exceeded_is_ignored() -> None:
    """Replays cost nothing."""
    ear = Ear()
    ear.take(suspicion_of(OWN, 2, NOW_MS - 1).item)
    assert [] == ear.doubts


def test_suspicion_of_ourselves_by_strangers_counts_only_when_a_member_brings_it() -> None:
    """Whoever accuses must be known to somebody whom we know."""
    ear = Ear()
    ear.take(suspicion_of(OWN, 77).item, sender=77)
    assert ([], {"not_member": 1.0}) == (ear.doubts, ear.dropped())
    ear.take(suspicion_of(OWN, 77).item, sender=2)
    assert [(NOW_MS, Doubt.SUSPECTED)] == ear.doubts


def test_accuser_without_end_becomes_a_slanderer() -> None:
    """We object, but take our time, and do not doubt ourselves."""
    ear = Ear()
    for step in range(5):
        ear.hearing.take_own(fact_of(OWN, NOW_MS + step), 0.0)
        ear.take(suspicion_of(OWN, 2, NOW_MS + step).item)
    assert [Doubt.SUSPECTED] * 3 + [Doubt.SLANDERED] * 2 == [doubt for _, doubt in ear.doubts]


# About others.


def test_suspicion_of_a_member_is_taken_once_and_passed_on() -> None:
    """A repeated one is not."""
    ear = Ear()
    item = suspicion_of(3, 2).item
    ear.take(item)
    ear.take(item, sender=4)
    assert (MemberStatus.SUSPECT, [item]) == (ear.status(3), ear.outbox.take(1000))


@pytest.mark.parametrize("incarnation", [NOW_MS - 1, NOW_MS + 1])
def test_suspicion_of_another_incarnation_changes_nothing(incarnation: int) -> None:
    """Nor is it passed on."""
    ear = Ear()
    assert 0 == ear.take(suspicion_of(3, 2, incarnation).item)
    assert (MemberStatus.ALIVE, []) == (ear.status(3), ear.outbox.take(1000))


def test_suspicion_by_a_member_that_is_gone_is_refused() -> None:
    """The dead and the departed accuse nobody."""
    ear = Ear()
    ear.take(fact_of(2, NOW_MS, FactKind.LEFT).item)
    assert 0 == ear.take(suspicion_of(3, 2).item, sender=4)
    assert {"not_member": 1.0} == ear.dropped()


def test_objection_ends_a_suspicion_and_what_is_passed_on_of_it() -> None:
    """The objection is passed on in its place."""
    ear = Ear()
    ear.take(suspicion_of(3, 2).item)
    ear.take(fact_of(3, NOW_MS + 1).item)
    assert (MemberStatus.ALIVE, 1.0) == (ear.status(3), ear.metrics.refuted.value)
    assert [fact_of(3, NOW_MS + 1).item] == ear.outbox.take(2000)


def test_liar_who_accuses_everybody_is_believed_three_times() -> None:
    """Then its word only makes us look for ourselves."""
    ear = Ear(count=30)
    for seed in range(3, 30):
        ear.take(suspicion_of(seed, 2).item)
        ear.take(fact_of(seed, NOW_MS + 1).item, sender=seed)
    assert (3.0, 24.0) == (ear.metrics.refuted.value, ear.dropped()["unreliable"])
    assert 1 == ear.take(suspicion_of(30, 4).item)
    assert id_of(6) == ear.order.next(lambda _: True)


def test_member_that_always_objects_discredits_its_accusers_only_about_itself() -> None:
    """Who answers no probe but objects each time must not silence those that report others."""
    ear = Ear()
    for step in range(6):
        ear.take(suspicion_of(3, 2, NOW_MS + step).item)
        ear.take(fact_of(3, NOW_MS + step + 1).item, sender=3)
    assert 0 == ear.take(suspicion_of(3, 2, NOW_MS + 6).item)
    assert 1 == ear.take(suspicion_of(4, 2).item)


def test_member_held_for_dead_that_objects_is_counted_as_a_flap() -> None:
    """It joins again, and enters the round once."""
    ear = Ear()
    ear.take(suspicion_of(3, 2).item)
    for change in ear.members.verdicts(1000.0):
        ear.hearing.changed(change, 1000.0)
    ear.take(fact_of(3, NOW_MS + 1).item, sender=3)
    assert (1.0, 4) == (ear.metrics.flaps.value, len(ear.order))
    assert [None, MemberChange.FAILED, MemberChange.JOINED] == [change.kind for change in ear.changes]


def test_member_that_talks_without_end_is_heard_but_not_passed_on() -> None:
    """One member cannot keep the whole group busy; what refutes is always passed on."""
    ear = Ear()
    passed = 0
    for step in range(1, 200):
        assert 1 == ear.take(fact_of(3, NOW_MS + step, FactKind(1 + step % 2)).item, sender=3)
        passed += len(ear.outbox.take(1000))
        ear.outbox.discard((ItemType.FACT, id_of(3)))
    assert 20 == passed
    assert 180.0 == pytest.approx(ear.dropped()["rate"], abs=1)
    ear.take(fact_of(3, NOW_MS + 200).item, sender=3)
    ear.take(suspicion_of(3, 2, NOW_MS + 200).item)
    ear.take(fact_of(3, NOW_MS + 201).item, sender=3)
    assert [fact_of(3, NOW_MS + 201).item] == ear.outbox.take(1000)


def test_replayed_facts_change_nothing() -> None:
    """A collector of old facts brings nobody back."""
    ear = Ear()
    old = [fact_of(seed).item for seed in range(2, 6)]
    for seed in range(3, 6):
        ear.take(fact_of(seed, NOW_MS + 1, FactKind.LEFT).item, sender=seed)
    ear.changes.clear()
    for _ in range(50):
        assert 0 == ear.take(*old)
    assert [] == ear.changes
    assert 2 == ear.members.alive


def test_fact_wrapped_in_other_bytes_is_refused() -> None:
    """Whoever passes a fact on cannot make it look newer than itself."""
    ear = Ear()
    item = fact_of(9).item
    body, signature = decode_list_untrusted(item[1:])
    assert item == b"\1" + encode([body, signature])
    assert isinstance(body, bytes)
    assert isinstance(signature, bytes)
    long_list = b"\1\xdc\x00\x02" + encode(body) + encode(signature)
    long_bytes = b"\1\x92\xc6" + len(body).to_bytes(4, "big") + body + encode(signature)
    assert 0 == ear.take(long_list, long_bytes)
    assert {"malformed": 2.0} == ear.dropped()


# How much.


def test_sender_of_items_that_were_never_read_is_limited() -> None:
    """Others are not, and time passes."""
    config = GossipConfig(items_per_s=10.0, items_burst=20)
    ear = Ear(config)
    ear.take(*[broken(fact_of(9).item)] * 25)
    assert {"malformed": 20.0, "rate": 5.0} == ear.dropped()
    seed = next(_fresh)
    assert 0 == ear.take(fact_of(seed).item)
    assert 1 == ear.take(fact_of(next(_fresh)).item, sender=3)
    assert 1 == ear.take(fact_of(seed).item, now=1.0)


def test_stranger_brings_few_items_unless_it_was_asked() -> None:
    """A newcomer says who it is; what we asked for may be much."""
    ear = Ear()
    strange = next(_fresh)
    items = [fact_of(next(_fresh)).item for _ in range(30)]
    assert 8 == ear.take(*items, sender=strange)
    key = key_pair(strange).public_key
    assert 22 == ear.hearing.take(items, key, 0.0, is_asked=True)


def test_items_read_before_cost_the_limit_nothing() -> None:
    """The same fact arrives a dozen times."""
    ear = Ear(GossipConfig(items_per_s=1.0, items_burst=6))
    item = fact_of(next(_fresh)).item
    for _ in range(50):
        ear.take(item)
    assert {} == ear.dropped()


def test_member_said_to_be_gone_by_whoever_was_asked_is_dead_here() -> None:
    """It is not passed on, and not probed in the round."""
    ear = Ear()
    signed = fact_of(9)
    taken = ear.hearing.take([signed.item], key_pair(2).public_key, 0.0, is_asked=True, gone=(signed.node_id,))
    assert (1, MemberStatus.DEAD, 4, []) == (taken, ear.status(9), len(ear.order), ear.outbox.take(1000))
    assert 1 == ear.take(signed.item, sender=3)
    assert (MemberStatus.ALIVE, 5) == (ear.status(9), len(ear.order))
