"""Words that are left in letters: when, how often, what is heard of them, and what answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.trust.handshake import TrustChangeKind
from pilotdht.trust.letters import WrittenAnswer, write_answer, write_word, written_untrusted
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import MAX_REASON_CHARS, Answer, Stance, Word, WordKind
from pilotdht.wire.codec import encode
from pilotdht.wire.letter import MAX_CONTENT_BYTES
from simulations.engine.virtual_loop import run_virtually
from tests.support.trust_pair import TrustMesh, TrustNode

HOUR_S = 3600.0


@dataclass
class Postman:
    """Takes letters of one node, and hands over what is for another one when told so."""

    holders: int = 4
    letters: list[tuple[PublicKey, bytes]] = field(default_factory=list)

    async def leave(self, target: PublicKey, content: bytes) -> int:
        """Keep a letter."""
        await asyncio.sleep(0.1)
        if self.holders:
            self.letters.append((target, content))
        return self.holders

    def hand_over(self, sender: TrustNode, reader: TrustNode) -> list[bool]:
        """Have a node read all letters to it, each twice; return what it said."""
        mine = [content for target, content in self.letters if target == reader.key]
        self.letters = [one for one in self.letters if one[0] != reader.key]
        return [reader.handshakes.hear_letter(sender.key, content) for content in mine for _ in range(2)]


Main = Callable[[TrustNode, TrustNode, Postman, Postman], Awaitable[None]]


def with_two(main: Main, *, config: TrustConfig | None = None) -> None:
    """Run ``main`` with two nodes that are there, and their postmen, under a virtual clock."""

    async def run() -> None:
        posts = [Postman(), Postman()]
        async with TrustMesh() as mesh:
            nodes = [
                await mesh.add(number, config=config or TrustConfig(), post=post)
                for number, post in enumerate(posts, start=1)
            ]
            await main(nodes[0], nodes[1], posts[0], posts[1])

    run_virtually(run())


def words(post: Postman) -> list[WordKind | Stance]:
    """Return what the letters say, in short."""
    said = [written_untrusted(content) for _, content in post.letters]
    return [one.answer.stance if isinstance(one, WrittenAnswer) else one.kind for one in said]


def test_word_to_a_peer_that_is_away_is_left_once_and_anew_each_hour() -> None:
    """Tries go on every ten minutes; letters do not."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, _: Postman) -> None:
        bob.is_online = False
        entry = await alice.handshakes.request(bob.key, "hello")
        assert (False, 4, [WordKind.REQUEST]) == (entry.is_delivered, entry.letter_holders, words(post))
        await asyncio.sleep(0.9 * HOUR_S)
        assert 1 == len(post.letters)
        assert alice.counted("pilotdht_trust_deliveries_total", result="unreachable") > 10
        await asyncio.sleep(0.5 * HOUR_S)
        assert 2 == len(post.letters)
        entry = await alice.handshakes.untrust(bob.key)
        assert (4, WordKind.UNTRUST) == (entry.letter_holders, words(post)[-1])

    with_two(main)


def test_word_that_is_answered_at_once_needs_no_letter() -> None:
    """Nothing is left with anybody while both are there."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, other: Postman) -> None:
        entry = await alice.handshakes.request(bob.key)
        await bob.handshakes.approve(alice.key)
        assert (0, [], []) == (entry.letter_holders, post.letters, other.letters)

    with_two(main)


def test_word_to_a_peer_that_hangs_is_left_before_the_try_ends() -> None:
    """A person who waits for the command sees it within seconds."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, _: Postman) -> None:
        async def hang(_peer: PublicKey, _port: int) -> None:
            await asyncio.sleep(HOUR_S)

        alice.open = hang  # type: ignore[method-assign, assignment]  # a peer that never answers
        asking = asyncio.ensure_future(alice.handshakes.request(bob.key))
        await asyncio.sleep(2.2)
        assert [WordKind.REQUEST] == words(post)
        assert 4 == (await asking).letter_holders

    with_two(main)


def test_letter_that_nobody_takes_is_tried_again_with_the_next_try() -> None:
    """Until somebody takes it."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, _: Postman) -> None:
        bob.is_online, post.holders = False, 0
        entry = await alice.handshakes.request(bob.key)
        assert 0 == entry.letter_holders
        post.holders = 2
        await asyncio.sleep(5)
        assert [WordKind.REQUEST] == words(post)
        assert 1 <= alice.counted("pilotdht_trust_letters_total", result="not_left")

    with_two(main)


def test_trust_by_letters_alone() -> None:
    """Asked, approved and acknowledged; every letter comes twice, and the second one changes nothing."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, other: Postman) -> None:
        alice.is_online = bob.is_online = False
        await alice.handshakes.request(bob.key, "we never meet")
        assert [True, True] == post.hand_over(alice, bob)
        assert [("we never meet", "node-1")] == [(entry.reason, entry.hostname) for entry in bob.book.pending()]
        await asyncio.sleep(1)
        assert [Stance.PENDING, Stance.PENDING] == words(other)
        other.hand_over(bob, alice)
        assert (TrustState.PENDING_OUT, True) == (alice.state(bob), alice.book.entry(bob.key).is_delivered)
        await bob.handshakes.approve(alice.key)
        other.hand_over(bob, alice)
        assert (TrustState.TRUSTED, TrustState.TRUSTED) == (alice.state(bob), bob.state(alice))
        await asyncio.sleep(1)
        assert Stance.TRUSTED in words(post)
        assert not bob.book.entry(alice.key).is_delivered
        post.hand_over(alice, bob)
        assert bob.book.entry(alice.key).is_delivered
        assert [TrustChangeKind.TRUSTED] == [change.kind for change in alice.changes]
        assert [TrustChangeKind.REQUESTED, TrustChangeKind.TRUSTED] == [change.kind for change in bob.changes]

    with_two(main)


def test_trust_that_is_taken_back_by_letter_cuts_links() -> None:
    """As if the word had come over the link."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, _: Postman) -> None:
        await alice.handshakes.request(bob.key)
        await bob.handshakes.approve(alice.key)
        bob.is_online = False
        await alice.handshakes.untrust(bob.key)
        assert [] == bob.cuts
        post.hand_over(alice, bob)
        assert ([alice.key], TrustState.NONE) == (bob.cuts, bob.state(alice))

    with_two(main)


def test_letter_without_room_for_it_is_left_where_it_is() -> None:
    """A full list of requests, or too many words of one peer: it comes again later."""

    async def main(alice: TrustNode, bob: TrustNode, post: Postman, _: Postman) -> None:
        bob.is_online = False
        for number in range(2):
            stranger = PublicKey(bytes([7, number]) * 16)
            assert bob.handshakes.hear_letter(stranger, write_word(Word(kind=WordKind.REQUEST, sequence=1, seen=0)))
        await alice.handshakes.request(bob.key)
        assert [False, False] == post.hand_over(alice, bob)
        assert 2 == len(bob.book.pending())

    with_two(main, config=TrustConfig(max_pending=2))


def test_answers_to_letters_are_limited() -> None:
    """Keys cost nothing, and each answer costs a lookup: a flood of strangers' letters gets few."""

    async def main(_: TrustNode, bob: TrustNode, __: Postman, other: Postman) -> None:
        for number in range(100):
            stranger = PublicKey(number.to_bytes(2, "big") * 16)
            assert bob.handshakes.hear_letter(stranger, write_word(Word(kind=WordKind.REQUEST, sequence=1, seen=0)))
        await asyncio.sleep(1)
        assert 10 == len(other.letters)
        assert 90 == bob.counted("pilotdht_trust_letters_total", result="answer_limited")

    with_two(main, config=TrustConfig(answer_letters_burst=10))


def test_answer_to_what_is_not_owed_any_more_tells_nothing() -> None:
    """An old letter, or a made-up one, trusts nobody."""

    async def main(alice: TrustNode, bob: TrustNode, _: Postman, __: Postman) -> None:
        bob.is_online = False
        await alice.handshakes.request(bob.key)
        owed = alice.book.entry(bob.key).standing.owed_sequence
        trusted = Answer(stance=Stance.TRUSTED, sequence=2**50, seen=owed)
        for sequence in (owed - 1, owed + 1):
            word = Word(kind=WordKind.REQUEST, sequence=sequence, seen=0)
            assert alice.handshakes.hear_letter(bob.key, write_answer(word, trusted))
        assert (TrustState.PENDING_OUT, False) == (alice.state(bob), alice.book.entry(bob.key).is_delivered)
        assert 2 == alice.counted("pilotdht_trust_letters_total", result="stale_answer")
        word = Word(kind=WordKind.REQUEST, sequence=owed, seen=0)
        stranger = PublicKey(b"s" * 32)
        assert alice.handshakes.hear_letter(stranger, write_answer(word, trusted))
        assert TrustState.NONE is alice.book.entry(stranger).state
        assert alice.handshakes.hear_letter(bob.key, write_answer(word, trusted))
        assert TrustState.TRUSTED is alice.state(bob)

    with_two(main)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", b"\x03" + encode([1]), b"\x02" + encode([1, 1, 1, 1]), b"\x02" + encode([1, 1, 1, 1, 0]), bytes(9)],
)
def test_content_that_makes_no_sense_is_dropped(content: bytes) -> None:
    """Whoever sealed and signed it: it is done with, and changes nothing."""

    async def main(alice: TrustNode, bob: TrustNode, _: Postman, __: Postman) -> None:
        with pytest.raises(BadMessage):
            written_untrusted(content)
        assert bob.handshakes.hear_letter(alice.key, content)
        assert 1 == bob.counted("pilotdht_trust_words_dropped_total", reason="malformed")
        assert 0 == len(bob.book)

    with_two(main)


def test_longest_word_fits_and_only_its_reason_is_cut() -> None:
    """200 characters of four bytes do not fit, 200 of three do."""
    for reason, kept in (("🙂" * MAX_REASON_CHARS, 170), ("字" * MAX_REASON_CHARS, 200), ("", 0)):
        word = Word(kind=WordKind.REQUEST, sequence=2**61, seen=2**61, reason=reason, hostname="h" * 63)
        written = write_word(word)
        read = written_untrusted(written)
        assert len(written) <= MAX_CONTENT_BYTES
        assert isinstance(read, Word)
        assert (word.hostname, word.sequence) == (read.hostname, read.sequence)
        assert reason.startswith(read.reason)
        assert len(read.reason) >= kept
