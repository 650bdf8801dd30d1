"""Letters that are forged, changed, repeated, too old, or meant for others never reach the trust book."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import BadMessage
from pilotdht.identity.keys import KeyPair
from pilotdht.trust.book import TrustBook
from pilotdht.trust.letters import write_word
from pilotdht.trust.words import MAX_REASON_CHARS, Word, WordKind
from pilotdht.wire.codec import encode
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.letter import LETTER_SIZES, MAX_LETTER_LIFETIME_S, open_letter_untrusted, seal_letter
from pilotdht.wire.letter_messages import (
    MAX_LETTERS,
    MAX_SKIPPED,
    MAX_TAKEN,
    MAX_WAITING,
    Collect,
    Leave,
    LeaveResult,
    Left,
    Letters,
    LettersWait,
)
from pilotdht.wire.message import Message, Reply
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.seal import network_salt
from simulations.engine.virtual_loop import run_virtually
from tests.support.trust_pair import TrustMesh, TrustNode

pytestmark = pytest.mark.property

SALT = network_salt(0, b"")
NOW = 1_700_000_000.0  # where the clocks of TrustNode stand
BOB = KeyPair.from_seed(b"\x01" * 32)
"""The keys of node 1."""
ALICE, EVE = KeyPair.from_seed(b"a" * 32), KeyPair.from_seed(b"e" * 32)
AUTHORS = (ALICE, EVE)

FAULTS = ("none", "flipped", "cut", "for another", "other mesh", "too old", "from the future", "rubbish")

deliveries = st.lists(
    st.tuples(
        st.sampled_from(AUTHORS),
        st.sampled_from(WordKind),
        st.integers(1, 12),
        st.sampled_from(FAULTS),
        st.integers(0, 10_000),
    ),
    max_size=25,
)


def written(author: KeyPair, word: Word, fault: str, choice: int) -> bytes:
    """Return a letter to Bob, with a fault."""
    target = (EVE if author is ALICE else ALICE) if fault == "for another" else BOB
    salt = network_salt(1 + choice % 65_535, b"") if fault == "other mesh" else SALT
    limit_s = MAX_LETTER_LIFETIME_S + CLOCK_SKEW_S
    age_s = {"too old": limit_s + 1 + choice, "from the future": -CLOCK_SKEW_S - 1 - choice}
    letter = seal_letter(
        author,
        target.public_key,
        b"\x00rubbish" if fault == "rubbish" else write_word(word),
        salt=salt,
        ephemeral_seed=choice.to_bytes(32, "big"),
        unix_time=NOW - age_s.get(fault, 0),
    )
    if fault == "flipped":
        at = choice % len(letter)
        letter = letter[:at] + bytes([letter[at] ^ (1 << choice % 8)]) + letter[at + 1 :]
    return letter[: choice % len(letter)] if fault == "cut" else letter


@settings(max_examples=80, deadline=None)
@given(deliveries)
def test_only_true_letters_change_the_book_and_each_once(script: list[tuple[KeyPair, WordKind, int, str, int]]) -> None:
    """The book is as if each true word had been said on port 444, in the order in which the letters came first."""

    async def main() -> None:
        async with TrustMesh() as mesh:
            bob = await mesh.add(1, config=TrustConfig(words_burst=1000))
            assert BOB.public_key == bob.key
            expected = TrustBook(None, unix_time=bob.clock)
            true: list[tuple[KeyPair, Word]] = []
            letters: list[bytes] = []
            for author, kind, sequence, fault, choice in script:
                word = Word(kind=kind, sequence=sequence, seen=0, reason="why")
                letters.append(written(author, word, fault, choice))
                deliver(bob, letters[-1])
                if fault == "none":
                    true.append((author, word))
                    expected.hear(author.public_key, word)
                elif choice % 3 == 0 and true:  # what was said before is no news
                    deliver(bob, letters[choice % len(letters)])
            for entry in bob.book.entries():
                wanted = expected.entry(entry.public_key)
                assert (wanted.state, wanted.reason) == (entry.state, entry.reason)
                assert wanted.standing.seen_sequence == entry.standing.seen_sequence
            assert len(expected) == len(bob.book)

    run_virtually(main())


def deliver(bob: TrustNode, letter: bytes) -> None:
    """Have Bob read a letter as his node does."""
    with suppress(BadMessage):
        opened = open_letter_untrusted(BOB, letter, salt=SALT, unix_time=NOW)
        bob.handshakes.hear_letter(opened.author, opened.content)


@given(st.binary(max_size=1100) | st.binary(min_size=1024, max_size=1024))
def test_any_bytes_are_refused(letter: bytes) -> None:
    """Nothing but BadMessage comes of what nobody sealed."""
    with pytest.raises(BadMessage):
        open_letter_untrusted(BOB, letter, salt=SALT, unix_time=NOW)


@given(
    st.sampled_from(WordKind),
    st.integers(1, 2**62),
    st.integers(0, 2**62),
    st.text(st.characters(categories=("L", "N", "P", "S")), max_size=MAX_REASON_CHARS),
)
def test_any_word_fits_into_a_letter(kind: WordKind, sequence: int, seen: int, reason: str) -> None:
    """However long its reason is in bytes, and it is opened again."""
    word = Word(kind=kind, sequence=sequence, seen=seen, reason=reason, hostname="h" * 63)
    content = write_word(word)
    letter = seal_letter(ALICE, BOB.public_key, content, salt=SALT, ephemeral_seed=b"s" * 32, unix_time=NOW)
    assert content == open_letter_untrusted(BOB, letter, salt=SALT, unix_time=NOW).content


keys = st.binary(min_size=32, max_size=32)
ids = st.binary(min_size=8, max_size=8)
letters = st.sampled_from(LETTER_SIZES).map(bytes)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Leave, keys, st.integers(1, MAX_LETTER_LIFETIME_S), letters),
    st.builds(Left, st.sampled_from(LeaveResult)),
    st.builds(Collect, st.lists(ids, max_size=MAX_TAKEN).map(tuple), st.lists(ids, max_size=MAX_SKIPPED).map(tuple)),
    st.builds(Letters, st.lists(letters, max_size=MAX_LETTERS).map(tuple), st.integers(0, MAX_WAITING)),
    st.builds(LettersWait, st.integers(0, MAX_WAITING)),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=10,
)


@given(messages, st.data())
def test_message_reads_back_and_with_any_field_replaced_is_one_or_a_bad_message(
    message: Message, data: st.DataObject
) -> None:
    """Decoding and encoding are inverse; nothing but BadMessage leaves a decoder; more fields are ignored."""
    observed = Endpoint("192.0.2.9", 9) if isinstance(message, Reply) else None
    envelope = Envelope(message, b"i" * 8, token=b"t" * 8, observed=observed)
    assert envelope == envelope_untrusted(envelope.encoded())
    fields = message.fields()
    changed = list(fields)
    changed[data.draw(st.integers(0, len(fields) - 1))] = data.draw(anything)
    with suppress(BadMessage):
        type(message).from_fields_untrusted(changed)
    with pytest.raises(BadMessage):
        type(message).from_fields_untrusted(fields[:-1])
    assert message == type(message).from_fields_untrusted([*fields, b"of a later version"])


@given(st.lists(letters, max_size=MAX_LETTERS).map(tuple), st.integers(-5, 3000))
def test_shortened_answer_is_its_beginning(held: tuple[bytes, ...], excess_bytes: int) -> None:
    """The youngest are left out, as many as must be."""
    reply = Letters(held, 9)
    shorter = reply.shortened(excess_bytes)
    saved = len(encode(reply.fields())) - len(encode(shorter.fields()))
    assert held[: len(shorter.letters)] == shorter.letters
    assert saved >= excess_bytes or not shorter.letters
    assert excess_bytes > 0 or shorter == reply
