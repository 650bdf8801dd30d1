"""How two sides' trust in each other stays in step over a network that loses, doubles and reorders what they say.

A :class:`Standing` is one side's whole memory of one peer: the state, the word it still owes the peer, and sequence
numbers. A word is owed until it was answered; saying it again changes nothing. The rules that make both sides agree:

* What is not newer than all heard before is answered, not acted upon.
* Each answer tells where its speaker stands, so hearing a word settles what was owed to its speaker.
* A rejection or withdrawal whose speaker had not seen our latest request does not end that request.

Invariant: once nothing is owed or under way, both sides trust, or one asks and the other holds the request, or neither.

Pure.
"""

from __future__ import annotations

from dataclasses import replace

from pilotdht.trust.states import TrustEvent, TrustState, after
from pilotdht.trust.words import Answer, Stance, Word, WordKind
from pilotdht.values import dataclass

_HEARD = {
    WordKind.REQUEST: TrustEvent.PEER_ASKED,
    WordKind.APPROVE: TrustEvent.PEER_APPROVED,
    WordKind.REJECT: TrustEvent.PEER_DECLINED,
    WordKind.UNTRUST: TrustEvent.PEER_WITHDREW,
}
_ANSWERED = {
    Stance.NONE: TrustEvent.PEER_WITHDREW,
    Stance.PENDING: TrustEvent.PEER_HOLDS,
    Stance.TRUSTED: TrustEvent.PEER_APPROVED,
    Stance.REJECTED: TrustEvent.PEER_DECLINED,
}
_STANCES = {
    TrustState.NONE: Stance.NONE,
    TrustState.PENDING_OUT: Stance.NONE,
    TrustState.PENDING_IN: Stance.PENDING,
    TrustState.TRUSTED: Stance.TRUSTED,
    TrustState.REJECTED: Stance.REJECTED,
}
_ENDING = (WordKind.REJECT, WordKind.UNTRUST)
_HOPING = (TrustState.PENDING_OUT, TrustState.TRUSTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One side's memory of one peer."""

    state: TrustState = TrustState.NONE
    """Where trust stands."""
    owed: WordKind | None = None
    """The word that the peer has not acknowledged, if any."""
    owed_sequence: int = 0
    """The owed word's sequence number."""
    request_sequence: int = 0
    """Sequence number of our latest request."""
    sent_sequence: int = 0
    """Highest sequence number used towards the peer."""
    seen_sequence: int = 0
    """Highest sequence number heard from the peer."""


def say(standing: Standing, event: TrustEvent, *, now_ms: int) -> Standing:
    """Return the standing after an event of ours, with the word that is now owed.

    Raises:
        InternalError: the step is not legal.
    """
    state = after(standing.state, event)
    kind = _word_of(standing.state, event)
    if kind is None:
        return replace(standing, state=state)
    return _owing(replace(standing, state=state), kind, now_ms)


def owed_word(standing: Standing, *, reason: str, hostname: str) -> Word | None:
    """Return the word to be said to the peer, if one is owed."""
    if standing.owed is None:
        return None
    return Word(
        kind=standing.owed,
        sequence=standing.owed_sequence,
        seen=standing.seen_sequence,
        reason=reason,
        hostname=hostname,
    )


def is_news(standing: Standing, word: Word) -> bool:
    """Return whether ``word`` is newer than all that was heard."""
    return word.sequence > standing.seen_sequence


def hear(standing: Standing, word: Word, *, now_ms: int) -> tuple[Standing, Answer]:
    """Return the standing after the peer's word, and the answer."""
    if is_news(standing, word):
        standing = replace(standing, seen_sequence=word.sequence, owed=None)
        if word.kind in _ENDING and standing.state in _HOPING and word.seen < standing.request_sequence:
            # said before our latest request was heard: trust ends, the request stands and is said again
            standing = replace(standing, state=after(standing.state, TrustEvent.PEER_HOLDS))
            standing = _owing(standing, WordKind.REQUEST, now_ms)
        else:
            standing = replace(standing, state=after(standing.state, _HEARD[word.kind]))
    standing = replace(standing, sent_sequence=_next_sequence(standing, now_ms))
    answer = Answer(stance=_STANCES[standing.state], sequence=standing.sent_sequence, seen=standing.seen_sequence)
    return standing, answer


def learn(standing: Standing, word: Word, answer: Answer, *, now_ms: int) -> Standing:
    """Return the standing after the peer's answer to a word of ours."""
    if answer.stance is Stance.BUSY:
        return standing
    if answer.seen > standing.sent_sequence:  # the peer remembers words that we have forgotten, or our clock went back
        standing = replace(standing, sent_sequence=answer.seen)
        return standing if standing.owed is None else _owing(standing, standing.owed, now_ms)
    if standing.owed_sequence == word.sequence:
        standing = replace(standing, owed=None)
    if answer.sequence <= standing.seen_sequence:
        return standing
    standing = replace(standing, seen_sequence=answer.sequence)
    if word.kind in _ENDING:  # acknowledged; what the peer wants now it says itself
        return standing
    is_refusal = answer.stance in (Stance.NONE, Stance.REJECTED)
    if is_refusal and standing.state in _HOPING and answer.seen < standing.request_sequence:
        return standing  # a later request is on its way
    return replace(standing, state=after(standing.state, _ANSWERED[answer.stance]))


def _word_of(state: TrustState, event: TrustEvent) -> WordKind | None:
    """Return what the peer must hear of an event of ours, or nothing."""
    match event:
        case TrustEvent.ASKED:
            return WordKind.APPROVE if state is TrustState.PENDING_IN else WordKind.REQUEST
        case TrustEvent.APPROVED:
            return WordKind.APPROVE
        case TrustEvent.DECLINED:
            return WordKind.REJECT if state is TrustState.PENDING_IN else None
        case TrustEvent.WITHDRAWN if state is TrustState.PENDING_IN:
            return WordKind.REJECT
        case TrustEvent.WITHDRAWN if state in _HOPING:
            return WordKind.UNTRUST
        case _:
            return None


def _owing(standing: Standing, kind: WordKind, now_ms: int) -> Standing:
    sequence = _next_sequence(standing, now_ms)
    return replace(
        standing,
        owed=kind,
        owed_sequence=sequence,
        sent_sequence=sequence,
        request_sequence=sequence if kind is WordKind.REQUEST else standing.request_sequence,
    )


def _next_sequence(standing: Standing, now_ms: int) -> int:
    """Milliseconds of Unix time where they rise, so that a peer whose book was lost is still heard."""
    return max(standing.sent_sequence + 1, now_ms)
