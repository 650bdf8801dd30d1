"""The gate lets strangers ask for trust and nothing else; the words and states behind it are complete."""

from __future__ import annotations

import pytest

from pilotdht.errors import BadMessage, InternalError
from pilotdht.identity.ids import PublicKey
from pilotdht.trust.policy import TrustGate
from pilotdht.trust.states import TRANSITIONS, TrustEvent, TrustState, after
from pilotdht.trust.words import (
    LENGTH_BYTES,
    MAX_WORD_BYTES,
    Answer,
    Stance,
    Word,
    WordKind,
    answer_untrusted,
    length_untrusted,
    word_untrusted,
)


class Trusting:
    """Trusts one key."""

    def is_trusted(self, public_key: PublicKey) -> bool:
        """Return whether it is that key."""
        return public_key == b"t" * 32


def test_gate_stranger_opens_the_trust_port_only() -> None:
    """A stranger can open 444 and none of the other 65,534."""
    gate = TrustGate(Trusting())
    assert [444] == [port for port in range(1, 65536) if gate.may_open(PublicKey(b"s" * 32), port)]
    assert all(gate.may_open(PublicKey(b"t" * 32), port) for port in (1, 7, 444, 1000, 65535))


def test_transitions_cover_every_event_of_peers() -> None:
    """Whatever a peer says is legal in every state: nobody can make a node stumble."""
    peers = [event for event in TrustEvent if event.value.startswith("peer_")]
    missing = [(state, event) for state in TrustState for event in peers if (state, event) not in TRANSITIONS]
    assert [] == missing


def test_transitions_trust_only_follows_own_will() -> None:
    """A peer's word leads to trust only from a request of ours, or keeps what was there."""
    leading = {
        state
        for (state, event), then in TRANSITIONS.items()
        if then is TrustState.TRUSTED and event.value.startswith("peer_")
    }
    assert {TrustState.PENDING_OUT, TrustState.TRUSTED} == leading


def test_after_illegal_step_is_a_bug() -> None:
    """What the table does not have does not happen."""
    with pytest.raises(InternalError):
        after(TrustState.NONE, TrustEvent.APPROVED)


def test_word_and_answer_travel_unchanged() -> None:
    """The largest word fits, and both forms read back as they were."""
    word = Word(kind=WordKind.REQUEST, sequence=2**62, seen=2**62, reason="\U0001f600" * 200, hostname="h" * 63)
    data = word.encoded()
    assert len(data) <= LENGTH_BYTES + MAX_WORD_BYTES
    assert len(data) - LENGTH_BYTES == length_untrusted(data[:LENGTH_BYTES])
    assert word == word_untrusted(data[LENGTH_BYTES:])
    answer = Answer(stance=Stance.TRUSTED, sequence=7, seen=0)
    assert answer == answer_untrusted(answer.encoded()[LENGTH_BYTES:])


def test_word_cut_anywhere_is_refused() -> None:
    """Each prefix of a word, and a word with a byte more, is malformed."""
    body = Word(kind=WordKind.REJECT, sequence=9, seen=3, reason="no", hostname="h").encoded()[LENGTH_BYTES:]
    for size in range(len(body)):
        with pytest.raises(BadMessage):
            word_untrusted(body[:size])
    with pytest.raises(BadMessage):
        word_untrusted(body + b"\0")
