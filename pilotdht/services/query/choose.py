"""Which member is asked: candidates in, a ranked list with reasons out. Pure.

The score is the number of good answers a second that a candidate promises::

    score = success * belief / (rtt_s + work_s * (1 + outstanding) / (1 - load))

* ``success``: share of our questions that it answered, exponentially weighted. Asking again until one succeeds takes
  1/success tries: multiplying by it makes the score the inverse of the expected time.
* ``belief``: one half for a member that somebody suspects to be dead, 1 otherwise.
* ``work_s / (1 - load)``: a server that is busy for a share ``load`` of its time takes so much longer (M/M/1 queue;
  Kleinrock 1975, section 3.2). The load is what it declares, cut at 95 %.
* ``1 + outstanding``: our own questions wait there one behind the other, and the declared load does not know them yet
  (as the "peak EWMA" balancers of Finagle and Linkerd).

What is unknown gets the benefit of the doubt: a candidate never asked has success 1 and the shortest working time of
all candidates, so it is tried soon, and from then on judged by what it did. An unknown round-trip time or load is the
median of the known ones: to say nothing is no advantage.

Candidates whose score is within a fifth of the best remaining one are equal. Of two of these, drawn by chance, the
better comes first: many askers with the same knowledge spread over all good members, and none chooses the worst
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pilotdht.config.query import QueryConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.circuit import CircuitState
from pilotdht.services.query.values import Explanation
from pilotdht.values import dataclass

MAX_LOAD_SHARE = 0.95
SUSPECT_BELIEF = 0.5
LEAST_SUCCESS = 0.01
LEAST_TIME_S = 1e-6
MAX_EXPLAINED = 64
"""Explanations handed out with an answer: more than anybody reads."""

NOT_CAPABLE = "does not declare the capability"
NOT_TAGGED = "does not carry the tags"
LEFT_ALONE = "failed too often and is left alone for a while"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Whoever may be asked, with what is known of it."""

    public_key: PublicKey
    """Who it is."""
    hostname: str = ""
    """What it calls itself, or empty."""
    capabilities: tuple[str, ...] | None = ()
    """What it declares; ``None``: it has no way to declare any, and counts as capable."""
    tags: tuple[str, ...] = ()
    """Tags it carries."""
    rtt_s: float | None = None
    """Round-trip time; absent: never measured."""
    load: int | None = None
    """What it says of its load, 0..100 percent; absent: nothing."""
    work_s: float | None = None
    """Mean time of its answers besides the way; absent: never asked."""
    success: float = 1.0
    """Share of questions answered, 0..1."""
    outstanding: int = 0
    """Questions of this node that it is working on."""
    circuit: CircuitState = CircuitState.CLOSED
    """State of its circuit breaker."""
    is_askable: bool = True
    """Whether the breaker lets a question through now."""
    is_suspect: bool = False
    """Somebody suspects that it is dead."""
    refusal: str = ""
    """Why it is not asked in any case, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is asked, in which order, and why."""

    ranked: tuple[Candidate, ...]
    """Those who may be asked, best first."""
    explanations: tuple[Explanation, ...]
    """The ranked ones in their order, then the others; at most 64."""


@dataclass(frozen=True, slots=True)
class _Guesses:
    rtt_s: float
    work_s: float
    load: float


def choose(
    candidates: Sequence[Candidate],
    *,
    capability: str,
    tags: Sequence[str] = (),
    random: Random,
    config: QueryConfig,
    places: int = 32,
) -> Choice:
    """Rank candidates.

    Args:
        candidates: whoever there is.
        capability: what a member must declare, or empty.
        tags: what it must carry.
        random: decides between equals.
        config: guesses and the share from which two are equal.
        places: up to which place equals are drawn; below it the score alone decides.
    """
    refused: list[tuple[Candidate, str]] = []
    open_to: list[Candidate] = []
    for candidate in candidates:
        reason = _refusal(candidate, capability, tags)
        if reason:
            refused.append((candidate, reason))
        else:
            open_to.append(candidate)
    guesses = _guesses(open_to, config)
    scored = sorted(
        ((_score(candidate, guesses), candidate) for candidate in open_to),
        key=lambda pair: (-pair[0], pair[1].public_key),
    )
    ordered = _drawn(scored, random, config.tie_share, places)
    explanations = [
        _explained(candidate, value, rank, "asked first" if rank == 1 else f"asked {rank - 1} after the first")
        for rank, (value, candidate) in enumerate(ordered[:MAX_EXPLAINED], start=1)
    ]
    explanations += [
        _explained(candidate, 0.0, None, reason, is_capable=_is_capable(candidate, capability))
        for candidate, reason in refused[: MAX_EXPLAINED - len(explanations)]
    ]
    return Choice(ranked=tuple(candidate for _, candidate in ordered), explanations=tuple(explanations))


def _score(candidate: Candidate, guesses: _Guesses) -> float:
    """Return the good answers a second that a candidate promises."""
    rtt_s = guesses.rtt_s if candidate.rtt_s is None else candidate.rtt_s
    work_s = guesses.work_s if candidate.work_s is None else candidate.work_s
    load = guesses.load if candidate.load is None else candidate.load / 100
    busy = 1.0 - min(max(load, 0.0), MAX_LOAD_SHARE)
    expected_s = rtt_s + work_s * (1 + candidate.outstanding) / busy
    belief = SUSPECT_BELIEF if candidate.is_suspect else 1.0
    return max(candidate.success, LEAST_SUCCESS) * belief / max(expected_s, LEAST_TIME_S)


def _guesses(candidates: Sequence[Candidate], config: QueryConfig) -> _Guesses:
    from statistics import median  # with its fractions and decimals half a megabyte, for those who ask

    rtts = [one.rtt_s for one in candidates if one.rtt_s is not None]
    works = [one.work_s for one in candidates if one.work_s is not None]
    loads = [one.load / 100 for one in candidates if one.load is not None]
    return _Guesses(
        rtt_s=median(rtts) if rtts else config.rtt_guess_s,
        work_s=min(works) if works else config.work_guess_s,
        load=median(loads) if loads else 0.0,
    )


def _drawn(
    scored: list[tuple[float, Candidate]], random: Random, tie_share: float, places: int
) -> list[tuple[float, Candidate]]:
    """Return candidates in the order of asking: of each place's equals two are drawn, and the better takes it."""
    rest = scored
    ordered: list[tuple[float, Candidate]] = []
    while rest and len(ordered) < places:
        equals = 1
        while equals < len(rest) and rest[equals][0] >= tie_share * rest[0][0]:
            equals += 1
        index = min(random.randrange(equals), random.randrange(equals)) if equals > 1 else 0
        ordered.append(rest[index])
        rest = rest[:index] + rest[index + 1 :]
    return ordered + rest


def _refusal(candidate: Candidate, capability: str, tags: Sequence[str]) -> str:
    if candidate.refusal:
        return candidate.refusal
    if not _is_capable(candidate, capability):
        return NOT_CAPABLE
    if any(tag not in candidate.tags for tag in tags):
        return NOT_TAGGED
    return "" if candidate.is_askable else LEFT_ALONE


def _is_capable(candidate: Candidate, capability: str) -> bool:
    return not capability or candidate.capabilities is None or capability in candidate.capabilities


def _explained(
    candidate: Candidate, value: float, rank: int | None, reason: str, *, is_capable: bool = True
) -> Explanation:
    return Explanation(
        public_key=candidate.public_key,
        hostname=candidate.hostname,
        is_capable=is_capable,
        rtt_s=candidate.rtt_s,
        load=candidate.load,
        work_s=candidate.work_s,
        success=candidate.success,
        outstanding=candidate.outstanding,
        circuit=candidate.circuit,
        score=value,
        rank=rank,
        reason=reason,
    )
