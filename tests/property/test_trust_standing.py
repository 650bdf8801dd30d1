"""Two sides' trust stays in step over a network that loses, doubles and reorders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.trust.standing import Standing, hear, learn, owed_word, say
from pilotdht.trust.states import TrustEvent, TrustState, is_legal
from pilotdht.trust.words import Answer, Word

OWN_EVENTS = (TrustEvent.ASKED, TrustEvent.APPROVED, TrustEvent.DECLINED, TrustEvent.WITHDRAWN)
IDLE = (TrustState.NONE, TrustState.REJECTED)

steps = st.lists(
    st.tuples(
        st.sampled_from(["event", "send", "word", "answer", "drop_word", "drop_answer", "double", "tick"]),
        st.integers(0, 1),
        st.integers(0, 2**16),
    ),
    max_size=60,
)


class Pair:
    """Two sides and what is on the way between them."""

    def __init__(self) -> None:
        self.sides = [Standing(), Standing()]
        self.words: list[tuple[int, Word]] = []
        self.answers: list[tuple[int, Word, Answer]] = []
        self.clocks_ms = [1_000, 900]

    def step(self, kind: str, side: int, choice: int) -> None:
        """Let one thing happen."""
        if kind == "event":
            event = OWN_EVENTS[choice % len(OWN_EVENTS)]
            if is_legal(self.sides[side].state, event):
                self.sides[side] = say(self.sides[side], event, now_ms=self.clocks_ms[side])
        elif kind == "send":
            word = owed_word(self.sides[side], reason="", hostname="")
            if word is not None:
                self.words.append((side, word))
        elif kind == "word" and self.words:
            self.deliver_word(*self.words.pop(choice % len(self.words)))
        elif kind == "double" and self.words:
            self.deliver_word(*self.words[choice % len(self.words)])
        elif kind == "answer" and self.answers:
            self.deliver_answer(*self.answers.pop(choice % len(self.answers)))
        elif kind == "drop_word" and self.words:
            self.words.pop(choice % len(self.words))
        elif kind == "drop_answer" and self.answers:
            self.answers.pop(choice % len(self.answers))
        elif kind == "tick":
            self.clocks_ms[side] += choice % 5

    def deliver_word(self, speaker: int, word: Word) -> None:
        """Let the other side hear a word."""
        listener = 1 - speaker
        self.sides[listener], answer = hear(self.sides[listener], word, now_ms=self.clocks_ms[listener])
        self.answers.append((speaker, word, answer))

    def deliver_answer(self, speaker: int, word: Word, answer: Answer) -> None:
        """Let the speaker learn the answer."""
        self.sides[speaker] = learn(self.sides[speaker], word, answer, now_ms=self.clocks_ms[speaker])

    def settle(self) -> None:
        """Deliver everything, and say again what is owed, until nothing is."""
        for _ in range(100):
            while self.words or self.answers:
                if self.answers:
                    self.deliver_answer(*self.answers.pop(0))
                else:
                    self.deliver_word(*self.words.pop(0))
            for side in (0, 1):
                self.step("send", side, 0)
            if not self.words:
                return
        raise AssertionError("the two sides never fall silent")


def in_step(one: TrustState, other: TrustState) -> bool:
    """Return whether both sides see the same."""
    return (
        (one in IDLE and other in IDLE)
        or one is other is TrustState.TRUSTED
        or {one, other} == {TrustState.PENDING_IN, TrustState.PENDING_OUT}
    )


@settings(max_examples=600, deadline=None)
@given(steps)
def test_standing_lossy_network_converges(script: list[tuple[str, int, int]]) -> None:
    """Whatever happens on the way, both sides agree once the network is quiet."""
    pair = Pair()
    for kind, side, choice in script:
        pair.step(kind, side, choice)
    pair.settle()
    assert in_step(pair.sides[0].state, pair.sides[1].state), [s.state for s in pair.sides]


@settings(max_examples=300, deadline=None)
@given(steps)
def test_standing_trust_taken_can_be_given_again(script: list[tuple[str, int, int]]) -> None:
    """After any history a withdrawal, a request and an approval end in trust on both sides."""
    pair = Pair()
    for kind, side, choice in script:
        pair.step(kind, side, choice)
    pair.settle()
    for side in (0, 1):
        pair.sides[side] = say(pair.sides[side], TrustEvent.WITHDRAWN, now_ms=pair.clocks_ms[side])
    pair.settle()
    assert all(standing.state in IDLE for standing in pair.sides)
    pair.sides[0] = say(pair.sides[0], TrustEvent.ASKED, now_ms=pair.clocks_ms[0])
    pair.settle()
    assert pair.sides[1].state is TrustState.PENDING_IN
    pair.sides[1] = say(pair.sides[1], TrustEvent.APPROVED, now_ms=pair.clocks_ms[1])
    pair.settle()
    assert [TrustState.TRUSTED, TrustState.TRUSTED] == [standing.state for standing in pair.sides]


@settings(max_examples=300, deadline=None)
@given(steps)
def test_standing_nobody_is_trusted_unasked(script: list[tuple[str, int, int]]) -> None:
    """A side that never asked or approved never trusts, whatever the other one says."""
    pair = Pair()
    for kind, side, choice in script:
        if (
            side == 1
            and kind == "event"
            and OWN_EVENTS[choice % len(OWN_EVENTS)]
            in (
                TrustEvent.ASKED,
                TrustEvent.APPROVED,
            )
        ):
            continue
        pair.step(kind, side, choice)
        assert pair.sides[1].state is not TrustState.TRUSTED


@settings(max_examples=300, deadline=None)
@given(steps, st.integers(0, 1))
def test_standing_book_lost_converges(script: list[tuple[str, int, int]], loser: int) -> None:
    """A side that forgot everything, with a clock that went back, gets in step again by asking anew."""
    pair = Pair()
    for kind, side, choice in script:
        pair.step(kind, side, choice)
    pair.settle()
    pair.sides[loser] = Standing()
    pair.clocks_ms[loser] = 1
    pair.sides[loser] = say(pair.sides[loser], TrustEvent.ASKED, now_ms=1)
    pair.settle()
    assert in_step(pair.sides[0].state, pair.sides[1].state), [s.state for s in pair.sides]
    if is_legal(pair.sides[1 - loser].state, TrustEvent.APPROVED):
        pair.sides[1 - loser] = say(pair.sides[1 - loser], TrustEvent.APPROVED, now_ms=5)
        pair.settle()
        assert [TrustState.TRUSTED, TrustState.TRUSTED] == [standing.state for standing in pair.sides]
