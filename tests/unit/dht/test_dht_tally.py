"""What several holders said: verified, compared, the newest wins."""

from __future__ import annotations

from collections import Counter

from pilotdht.dht.tally import EntryTally, RecordTally
from pilotdht.wire.records import RecordKey, SignedRecord
from tests.support.dht_examples import UNIX_TIME, contact_of, name_claim, node_record, revocation, tag_entry

KEY = node_record(1).record.key


class Counting:
    """Counts what was rejected."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def __call__(self, reason: str) -> None:
        """Count one."""
        self.reasons[reason] += 1


def tally_of(*, quorum: int = 3, key: RecordKey = KEY, reject: Counting | None = None) -> RecordTally:
    """Return an empty tally of the first node's record."""
    return RecordTally(
        key,
        network=0,
        signer=None,
        quorum=quorum,
        unix_time=UNIX_TIME,
        reject=Counting() if reject is None else reject,
    )


def given(tally: RecordTally, *answers: SignedRecord | None) -> list[bool]:
    """Hand in the answers of contacts 1, 2 and so on."""
    return [
        tally.take(contact_of(number), None if one is None else one.wire) for number, one in enumerate(answers, start=1)
    ]


def test_take_is_satisfied_at_the_quorum() -> None:
    """The third holder with a record is enough; those without do not count."""
    record = node_record(1)
    assert [False, False, False, True] == given(tally_of(), record, None, record, record)


def test_take_with_a_quorum_of_one_is_satisfied_by_the_first_valid_record() -> None:
    """Records certify themselves."""
    assert [False, True] == given(tally_of(quorum=1), None, node_record(1))


def test_take_with_a_quorum_of_one_goes_on_after_a_withdrawal() -> None:
    """That somebody has gone is not what was asked for; it still wins over older records."""
    tally = tally_of(quorum=1)
    assert [False] == given(tally, node_record(1, ttl_s=1))
    tally.take(contact_of(9), node_record(1, age_s=50).wire)
    assert tally.live_winner() is None


def test_winner_is_the_highest_sequence() -> None:
    """However many hold an older one."""
    old, new = node_record(1, age_s=9), node_record(1)
    tally = tally_of(quorum=9)
    given(tally, old, old, new, old)
    assert new == tally.winner()


def test_winner_after_a_revocation_is_the_revocation() -> None:
    """It is final."""
    end = revocation(1, age_s=500)
    tally = tally_of()
    given(tally, node_record(1), end, node_record(1))
    assert end == tally.live_winner()


def test_winner_does_not_depend_on_the_order_of_answers() -> None:
    """Two records of one sequence, which no honest signer makes, give the same winner in any order."""
    one, other = node_record(1, hostname="a"), node_record(1, hostname="b")
    first, second = tally_of(), tally_of()
    given(first, one, other)
    given(second, other, one)
    assert first.winner() == second.winner()


def test_take_rejects_what_is_not_the_record_asked_for() -> None:
    """Forged, misplaced, expired and future records are counted, and count for nothing."""
    reject = Counting()
    tally = tally_of(quorum=1, reject=reject)
    forged = SignedRecord(node_record(1).record, node_record(1).wire[:-1] + b"\0")
    wrong = [
        forged,
        node_record(2),
        tag_entry(1),
        node_record(1, age_s=7300),
        node_record(1, age_s=-700),
    ]
    assert [False] * 5 == given(tally, *wrong)
    assert tally.winner() is None
    assert {"record_signature": 1, "read_misplaced": 2, "read_expired": 2} == dict(reject.reasons)


def test_outdated_are_those_with_an_older_record_or_none() -> None:
    """They are brought up to date; who has the newest is left alone."""
    tally = tally_of(quorum=9)
    new = node_record(1)
    given(tally, node_record(1, age_s=9), None, new)
    assert {contact_of(1), contact_of(2)} == set(tally.outdated(new))
    assert [contact_of(1)] == tally.behind(new)
    assert [contact_of(3)] == tally.carriers(new)


def test_outdated_after_a_withdrawal_are_only_those_with_an_older_record() -> None:
    """Nobody is told of a withdrawal of what he never had."""
    tally = tally_of(quorum=9)
    gone = node_record(1, ttl_s=1)
    given(tally, node_record(1, age_s=9), None, gone)
    assert [contact_of(1)] == tally.outdated(gone)


def test_entries_keep_the_newest_of_each_signer() -> None:
    """Two holders may have different versions."""
    tally = EntryTally(tag_entry(1).record.key, network=0, unix_time=UNIX_TIME, limit=10, reject=Counting())
    for entry in (tag_entry(1, age_s=9), tag_entry(2), tag_entry(1), tag_entry(1, age_s=5)):
        tally.take(entry.wire)
    assert [tag_entry(1), tag_entry(2)] == list(tally.entries.values())


def test_entries_beyond_the_limit_are_left_out() -> None:
    """A reader takes as many as it wants."""
    tally = EntryTally(tag_entry(1).record.key, network=0, unix_time=UNIX_TIME, limit=2, reject=Counting())
    for number in range(1, 5):
        tally.take(tag_entry(number).wire)
    assert tally.is_complete
    assert len(tally.entries) == 2


def test_entries_of_another_key_are_rejected() -> None:
    """A holder cannot slip in what belongs elsewhere."""
    reject = Counting()
    tally = EntryTally(tag_entry(1).record.key, network=0, unix_time=UNIX_TIME, limit=2, reject=reject)
    for entry in (tag_entry(1, tag="other"), name_claim(1), node_record(1), tag_entry(1, age_s=3700)):
        tally.take(entry.wire)
    assert {} == tally.entries
    assert {"read_misplaced": 3, "read_expired": 1} == dict(reject.reasons)


def test_holders_are_those_with_a_valid_record() -> None:
    """Who has nothing, who has something void, and this node itself are left out."""
    tally = tally_of(quorum=2)
    wire = node_record(1, age_s=50).wire
    for contact, one in ((None, wire), (contact_of(1), wire), (contact_of(2), None), (contact_of(3), b"?")):
        tally.take(contact, one)
    assert [contact_of(1)] == tally.holders
