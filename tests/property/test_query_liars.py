"""Members that lie, collude, contradict themselves, fall silent or are late never bring a false answer through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.errors import AnswerFailed, NoQuorum
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.assembly import Given
from pilotdht.services.query.content import content_of
from pilotdht.services.query.quorum import Tally, tolerated, wanted
from pilotdht.services.query.race import poll
from pilotdht.services.query.signed import Endorsement
from simulations.engine.virtual_loop import run_virtually

HONEST = {"answer": [1, 2]}
LIES = ("collude", "alone", "silent", "late", "fails")

lie = st.tuples(st.sampled_from(LIES), st.floats(0.0, 3.0))


def key_of(number: int) -> PublicKey:
    """Return the key of member ``number``."""
    return PublicKey(bytes([number]) * 32)


def signed(member: PublicKey, value: object) -> Given:
    """Return what a member says; signatures are verified before anything is counted."""
    endorsement = Endorsement(author=member, issued_ms=0, ttl_s=0, signature=bytes(64))
    return Given(content=content_of(value), endorsement=endorsement)


@given(
    quorum=st.sampled_from([3, 5, 7]),
    lies=st.lists(lie, max_size=3),
    spare=st.integers(0, 6),
    shuffle=st.randoms(use_true_random=False),
    honest_s=st.lists(st.floats(0.0, 3.0), min_size=16, max_size=16),
)
@settings(max_examples=150)
def test_poll_with_f_of_3f_plus_1_lying_returns_the_honest_answer(
    quorum: int, lies: list[tuple[str, float]], spare: int, shuffle: object, honest_s: list[float]
) -> None:
    """Whatever at most f members do, and however slow each is, the others' answer comes out."""
    lies = lies[: tolerated(quorum)]
    kinds: list[tuple[str, float]] = [*lies]
    kinds += [("honest", honest_s[number]) for number in range(wanted(quorum) + spare - len(lies))]
    shuffle.shuffle(kinds)  # type: ignore[attr-defined]  # hypothesis gives a Random
    assert HONEST == outcome(quorum, kinds, timeout_s=30.0)


@given(
    quorum=st.integers(2, 6),
    kinds=st.lists(st.tuples(st.sampled_from(["honest", *LIES]), st.floats(0.0, 6.0)), min_size=2, max_size=14),
)
@settings(max_examples=300)
def test_poll_with_fewer_liars_than_the_quorum_never_returns_a_lie(quorum: int, kinds: list[tuple[str, float]]) -> None:
    """Beyond f nothing may come out, but nothing false as long as fewer than q say the same."""
    found = outcome(quorum, kinds, timeout_s=5.0)
    colluding = sum(kind == "collude" for kind, _ in kinds)
    if found is not None and colluding < quorum:
        assert HONEST == found
        assert quorum <= sum(kind in ("honest", "late") for kind, _ in kinds)


def outcome(quorum: int, kinds: list[tuple[str, float]], *, timeout_s: float) -> object:
    """Return the answer of a poll of these members, or ``None`` when there was no quorum."""
    members = {key_of(number): kind for number, kind in enumerate(kinds)}
    asked: list[PublicKey] = []

    async def ask(member: PublicKey, on_begin: Callable[[], None]) -> Given:
        asked.append(member)
        kind, after_s = members[member]
        if kind == "silent":
            await asyncio.sleep(timeout_s)
            raise AnswerFailed("silent")
        await asyncio.sleep(after_s + (4.0 if kind == "late" else 0.0))
        on_begin()
        if kind == "fails":
            raise AnswerFailed("failed")
        value: object = {"collude": "lie", "alone": f"lie of {member[0]}"}.get(kind, HONEST)
        return signed(member, value)

    async def main() -> object:
        loop = asyncio.get_running_loop()
        order: Iterator[PublicKey] = iter(members)
        try:
            vote = await poll(order, ask, quorum=quorum, delay_s=lambda _: 1.0, until=loop.time() + timeout_s)
        except NoQuorum as error:
            most = max((count for _, count in error.split), default=0)
            return None if most < quorum else "a quorum that was not seen"
        assert quorum <= len(vote.signers)
        assert set(vote.signers) <= set(asked)
        return vote.content.json if vote.content.form else vote.content.text

    found = run_virtually(main())
    assert len(asked) == len(set(asked))
    assert len(asked) <= 2 * wanted(quorum)
    return found


votes = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=60)


@given(quorum=st.integers(1, 5), said=votes)
def test_tally_winner_has_a_quorum_of_members_that_said_nothing_else(quorum: int, said: list[tuple[int, int]]) -> None:
    """Against a model: each member counts once, and not at all when it contradicts itself."""
    tally = Tally(quorum)
    for member, value in said:
        one = signed(key_of(member), value)
        tally.add(one.content, one.endorsement)
    spoken: dict[int, set[int]] = {}
    for member, value in said:
        spoken.setdefault(member, set()).add(value)
    counts = [sum(values == {choice} for values in spoken.values()) for choice in range(4)]
    winner = tally.winner()
    assert (winner is not None) == (max(counts) >= quorum and bool(said))
    if winner is not None:
        assert max(counts) == len(winner.signers) == counts[winner.content.json]  # type: ignore[index]  # it is one of 0..3
    assert tuple(sorted((count for count in counts if count), reverse=True)) == tuple(
        count for _, count in tally.split()
    )
