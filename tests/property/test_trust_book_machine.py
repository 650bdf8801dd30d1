"""Whatever is done to a trust book, it says the same as a simple model, and again after it was reopened."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import NotFound
from pilotdht.identity.ids import PublicKey
from pilotdht.trust.book import TrustBook
from pilotdht.trust.states import TRANSITIONS, TrustEvent, TrustState
from pilotdht.trust.words import Stance, Word, WordKind
from tests.support.trust_pair import WallClock

peers = st.sampled_from([PublicKey(bytes([number]) * 32) for number in range(5)])
MAX_PENDING = 3
EVENTS = {
    WordKind.REQUEST: TrustEvent.PEER_ASKED,
    WordKind.APPROVE: TrustEvent.PEER_APPROVED,
    WordKind.REJECT: TrustEvent.PEER_DECLINED,
    WordKind.UNTRUST: TrustEvent.PEER_WITHDREW,
}


class BookMachine(RuleBasedStateMachine):
    """A book in a file beside a dictionary of states."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = WallClock()
        self.book = self.open()
        self.model: dict[PublicKey, TrustState] = {}
        self.pins: dict[str, PublicKey] = {}
        self.heard: dict[PublicKey, int] = {}

    def open(self) -> TrustBook:
        """Open the book."""
        path = Path(self.directory.name) / "trust.db"
        return TrustBook(path, unix_time=self.clock, config=TrustConfig(max_pending=MAX_PENDING))

    def state(self, key: PublicKey) -> TrustState:
        """Return the model's state."""
        return self.model.get(key, TrustState.NONE)

    def own(self, key: PublicKey, event: TrustEvent) -> None:
        """Let this side do something, in book and model."""
        verb = {
            TrustEvent.ASKED: self.book.ask,
            TrustEvent.APPROVED: self.book.approve,
            TrustEvent.DECLINED: self.book.reject,
            TrustEvent.WITHDRAWN: self.book.untrust,
        }[event]
        if (self.state(key), event) in TRANSITIONS:
            verb(key)
            if key in self.model or event is not TrustEvent.WITHDRAWN:  # taking back from a stranger leaves no trace
                self.model[key] = TRANSITIONS[self.state(key), event]
            if event is TrustEvent.WITHDRAWN:
                self.pins = {name: pinned for name, pinned in self.pins.items() if pinned != key}
        else:
            try:
                verb(key)
            except NotFound:
                return
            raise AssertionError("an illegal verb was accepted")

    @rule(
        key=peers,
        event=st.sampled_from(
            [TrustEvent.ASKED, TrustEvent.APPROVED, TrustEvent.DECLINED, TrustEvent.WITHDRAWN],
        ),
    )
    def do(self, key: PublicKey, event: TrustEvent) -> None:
        """This side asks, approves, rejects or takes back."""
        self.own(key, event)

    @rule(key=peers, kind=st.sampled_from(list(WordKind)))
    def hear(self, key: PublicKey, kind: WordKind) -> None:
        """The peer says something new, having heard all that was said to it."""
        sequence = self.heard.get(key, 0) + 1
        seen = self.book.entry(key).standing.sent_sequence
        _, answer = self.book.hear(key, Word(kind=kind, sequence=sequence, seen=seen))
        pending = sum(state is TrustState.PENDING_IN for state in self.model.values())
        then = TRANSITIONS[self.state(key), EVENTS[kind]]
        is_new_request = then is TrustState.PENDING_IN is not self.state(key)
        if is_new_request and pending >= MAX_PENDING:
            assert answer.stance is Stance.BUSY
            return
        if key in self.model or then is not TrustState.NONE:
            self.model[key] = then
            self.heard[key] = sequence

    @rule(key=peers, kind=st.sampled_from(list(WordKind)))
    def hear_again(self, key: PublicKey, kind: WordKind) -> None:
        """The peer repeats what was heard before: nothing changes."""
        if self.heard.get(key):
            self.book.hear(key, Word(kind=kind, sequence=self.heard[key], seen=0))

    @rule(key=peers, name=st.sampled_from(["a", "b"]))
    def pin(self, key: PublicKey, name: str) -> None:
        """A free name is pinned."""
        if self.pins.setdefault(name, key) == key:
            self.book.pin(name, key, now=1.0)

    @rule()
    def reopen(self) -> None:
        """The node restarts."""
        self.book.close()
        self.book = self.open()

    @invariant()
    def agrees(self) -> None:
        """Book and model say the same."""
        known = {entry.public_key: entry.state for entry in self.book.entries()}
        assert {k: s for k, s in self.model.items() if s is not TrustState.NONE} == {
            k: s for k, s in known.items() if s is not TrustState.NONE
        }
        trusted = {key for key, state in self.model.items() if state is TrustState.TRUSTED}
        assert trusted == {key for key in (PublicKey(bytes([n]) * 32) for n in range(5)) if self.book.is_trusted(key)}
        assert self.pins == {pin.hostname: pin.public_key for pin in self.book.pins()}
        assert len(self.book.pending()) <= MAX_PENDING

    def teardown(self) -> None:
        """Leave no file."""
        self.book.close()
        self.directory.cleanup()


BookMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestBookMachine = BookMachine.TestCase
