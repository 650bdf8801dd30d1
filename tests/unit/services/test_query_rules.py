"""The pure rules of questions: content, choosing, circuits, hedging, counting, places, and the cache."""

from __future__ import annotations

import dataclasses
from collections import Counter
from random import Random

import pytest

from pilotdht.config.query import QueryConfig
from pilotdht.errors import BadMessage, ConfigError, InternalError, InvalidArgument, NoQuorum
from pilotdht.identity.ids import PublicKey
from pilotdht.services.answers.cache import AnswerCache
from pilotdht.services.query.choose import LEFT_ALONE, NOT_CAPABLE, NOT_TAGGED, Candidate, choose
from pilotdht.services.query.circuit import TRANSITIONS, Circuit, CircuitEvent, CircuitState
from pilotdht.services.query.content import Form, content_of, content_untrusted
from pilotdht.services.query.hedging import HedgeBudget, hedge_delay_s
from pilotdht.services.query.peers import Peers
from pilotdht.services.query.places import Places
from pilotdht.services.query.quorum import Tally, check_quorum, tolerated, wanted
from pilotdht.services.query.signed import Endorsement, QuestionKey, SharedAnswer, question_key
from pilotdht.services.query.values import Explanation, Reply

CONFIG = QueryConfig()
ONE, TWO, THREE, FOUR = (PublicKey(bytes([number]) * 32) for number in range(1, 5))


# Content.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yes", " yes\r\n"),
        ("a\nb", "a\r\nb"),
        ("a\nb", "a\rb\n"),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}),
        ([0], [-0.0]),
    ],
)
def test_content_equal_meanings_have_one_digest(one: object, other: object) -> None:
    """Line ends, outer white space, order of names and spelling of numbers do not matter."""
    assert content_of(one).digest() == content_of(other).digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yes", "Yes"),
        ("a b", "a  b"),
        ("1", 1),
        ("null", None),
        ([1, 2], [2, 1]),
        ({"a": None}, {}),
        (1, True),
        ("", []),
    ],
)
def test_content_different_meanings_have_different_digests(one: object, other: object) -> None:
    """Case, inner white space, type and order do matter."""
    assert content_of(one).digest() != content_of(other).digest()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[1,]", b"NaN", b"-Infinity", b"1e999", b"01", b"1 2", b'{"a":1,"a":1}', b'"\\ud800"',
        b'{"\\ud800":1}', b"\xff", b"\xef\xbb\xbf1", b"1" * 5000, b"9" * 400,
        '"a"'.encode("utf-16"), b"[" * 65 + b"]" * 65, b"[" * 100_000, b"'a'", b"// c\n1", b'"\t"',
    ],
)  # fmt: skip
def test_json_that_is_not_strict_is_refused(data: bytes) -> None:
    """What two parsers could read in two ways is not taken."""
    with pytest.raises(BadMessage) as caught:
        content_untrusted(Form.JSON, data)
    assert "query_json" == caught.value.reason


def test_json_as_deep_as_allowed_is_taken() -> None:
    """The bound is where it says."""
    assert content_untrusted(Form.JSON, b"[" * 64 + b"]" * 64).digest()


@pytest.mark.parametrize("value", [b"x", {1, 2}, float("nan"), float("inf"), "\ud800", {"a": object()}, {1: 1, "1": 2}])
def test_content_of_what_is_neither_is_refused(value: object) -> None:
    """Neither text nor JSON is the caller's mistake."""
    with pytest.raises(InvalidArgument):
        content_of(value)


def test_content_preview_is_short_and_printable() -> None:
    """What is shown of an answer fits on one line of a terminal."""
    preview = content_of("a\n\x1b[2J" + "b" * 100).preview(10)
    assert "a ?[2Jbbb…" == preview
    with pytest.raises(InvalidArgument):
        _ = content_of("text").json


@pytest.mark.parametrize("ttl_s", [-1, float("nan"), float("inf"), True, "60"])
def test_reply_with_a_strange_time_is_refused(ttl_s: float) -> None:
    """A time to live is a number of seconds."""
    with pytest.raises(InvalidArgument):
        Reply("x", ttl_s=ttl_s)


# Choosing.


def ranks(
    candidates: list[Candidate], *, seed: int = 1, **options: object
) -> tuple[list[PublicKey], list[Explanation]]:
    """Return who is asked in which order, and why."""
    given: dict[str, object] = {"capability": "", "config": dataclasses.replace(CONFIG, tie_share=1.0), **options}
    choice = choose(candidates, random=Random(seed), **given)  # type: ignore[arg-type]  # its own options
    return [one.public_key for one in choice.ranked], list(choice.explanations)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Candidate(public_key=TWO, rtt_s=0.01), Candidate(public_key=ONE, rtt_s=0.02)),
        (Candidate(public_key=TWO, work_s=1.0), Candidate(public_key=ONE, work_s=2.0)),
        (Candidate(public_key=TWO, success=0.9), Candidate(public_key=ONE, success=0.5)),
        (Candidate(public_key=TWO, load=10), Candidate(public_key=ONE, load=90)),
        (Candidate(public_key=TWO), Candidate(public_key=ONE, outstanding=3)),
        (Candidate(public_key=TWO), Candidate(public_key=ONE, is_suspect=True)),
        (Candidate(public_key=TWO), Candidate(public_key=ONE, work_s=1.5, rtt_s=0.1, success=0.99)),
    ],
)
def test_choose_prefers_what_promises_more_good_answers_a_second(better: Candidate, worse: Candidate) -> None:
    """Each part of the formula pulls its way; who was never asked gets the benefit of the doubt."""
    order, explained = ranks([worse, better])
    assert [TWO, ONE] == order
    assert explained[0].score > explained[1].score > 0


def test_choose_formula_is_the_documented_one() -> None:
    """The score is success * belief / (rtt + work * (1 + outstanding) / (1 - load))."""
    candidate = Candidate(public_key=ONE, rtt_s=0.2, work_s=0.3, load=50, outstanding=1, success=0.8, is_suspect=True)
    _, (explained,) = ranks([candidate])
    assert 0.8 * 0.5 / (0.2 + 0.3 * 2 / 0.5) == pytest.approx(explained.score)


def test_choose_says_why_somebody_is_not_asked() -> None:
    """Capability, tags, circuit and the caller's own reason, in this order of candidates."""
    candidates = [
        Candidate(public_key=ONE, capabilities=("cats",), tags=("a", "b")),
        Candidate(public_key=TWO, capabilities=("dogs",), tags=("a", "b")),
        Candidate(public_key=THREE, capabilities=("cats",), tags=("a",)),
        Candidate(public_key=FOUR, capabilities=None, tags=("a", "b"), is_askable=False, circuit=CircuitState.OPEN),
        Candidate(public_key=PublicKey(b"5" * 32), refusal="is dead"),
    ]
    order, explained = ranks(candidates, capability="cats", tags=("a", "b"))
    assert [ONE] == order
    assert ["asked first", NOT_CAPABLE, NOT_TAGGED, LEFT_ALONE, "is dead"] == [one.reason for one in explained]
    assert [1, None, None, None, None] == [one.rank for one in explained]
    assert [True, False, True, True, False] == [one.is_capable for one in explained]


def test_choose_equals_are_drawn_and_the_better_of_two_is_preferred() -> None:
    """Within a fifth of the best chance decides; the worst of many equals comes first least often."""
    candidates = [
        Candidate(public_key=PublicKey(bytes([number]) * 32), rtt_s=0.1 + 0.01 * number, work_s=1.0)
        for number in range(8)
    ]
    far = Candidate(public_key=PublicKey(b"f" * 32), rtt_s=2.0, work_s=1.0)
    random = Random(7)
    firsts = Counter(
        choose([far, *candidates], capability="", random=random, config=CONFIG).ranked[0].public_key
        for _ in range(4000)
    )
    counts = [firsts[one.public_key] for one in candidates]
    assert 0 == firsts[far.public_key]
    assert counts == sorted(counts, reverse=True)
    assert 15 / 64 == pytest.approx(counts[0] / 4000, abs=0.03)
    assert 1 / 64 == pytest.approx(counts[-1] / 4000, abs=0.01)


# Circuits and records.


def test_circuit_opens_pauses_longer_each_time_and_recovers() -> None:
    """Five failures in a row open it; one trial after the pause decides, and pauses double up to the longest."""
    circuit, now = Circuit(CONFIG), 100.0
    for _ in range(4):
        assert not circuit.note(False, now, CONFIG)
    assert circuit.note(False, now, CONFIG)
    pause_s = CONFIG.circuit_first_s
    for _ in range(9):
        assert not circuit.is_askable(now + pause_s - 0.01)
        now += pause_s
        assert circuit.is_askable(now)
        circuit.ask(now)
        assert CircuitState.HALF_OPEN is circuit.state
        assert not circuit.is_askable(now)  # one trial at a time
        assert circuit.note(False, now, CONFIG)
        pause_s = min(2 * pause_s, CONFIG.circuit_most_s)
    assert CONFIG.circuit_most_s == pause_s
    now += pause_s
    circuit.ask(now)
    circuit.abandon()
    assert circuit.is_askable(now)  # a trial that nobody waited for says nothing
    circuit.ask(now)
    assert not circuit.note(True, now, CONFIG)
    assert CircuitState.CLOSED is circuit.state
    for _ in range(5):
        circuit.note(False, now, CONFIG)
    assert circuit.is_askable(now + CONFIG.circuit_first_s)  # the first pause again


def test_circuit_opens_by_share_of_failures() -> None:
    """Every second one failing is too much once ten were seen; every third is not."""
    for every, is_open in ((2, True), (3, False)):
        circuit = Circuit(CONFIG)
        for number in range(40):
            circuit.note(number % every != 0, 0.0, CONFIG)
            if circuit.state is CircuitState.OPEN:
                assert number >= 9
                break
        assert is_open == (circuit.state is CircuitState.OPEN)


def test_circuit_table_is_total_but_for_waiting() -> None:
    """Outcomes may come in any state, as earlier questions end late; only an open circuit waits."""
    for state in CircuitState:
        for event in CircuitEvent:
            assert ((state, event) in TRANSITIONS) == (event is not CircuitEvent.WAITED or state is CircuitState.OPEN)
    circuit = Circuit(CONFIG)
    with pytest.raises(InternalError):
        circuit._step(CircuitEvent.WAITED)


def test_circuit_asked_in_spite_of_its_pause_stays_open_until_answered() -> None:
    """Whoever wants this very peer may ask it, and its answer ends the pause."""
    circuit = Circuit(CONFIG)
    for _ in range(5):
        circuit.note(False, 0.0, CONFIG)
    circuit.ask(0.1)
    assert CircuitState.OPEN is circuit.state
    circuit.note(True, 0.2, CONFIG)
    assert circuit.is_askable(0.2)


def test_peers_failures_fade_and_the_table_is_bounded() -> None:
    """A bad record counts half after the half-life; who was asked longest ago, and is not waited for, is forgotten."""
    config = dataclasses.replace(CONFIG, max_peers=16)
    peers = Peers(config)
    record = peers.ask(ONE, 0.0)
    record.note(False, 0.0, config)
    assert 0.8 == pytest.approx(record.success(0.0, config))
    assert 0.9 == pytest.approx(record.success(config.outcome_half_life_s, config))
    for number in range(40):
        peers.ask(PublicKey(bytes([100 + number]) * 32), 1.0).outstanding -= 1
    assert 16 == len(peers)
    assert 25 == peers.forgotten
    assert peers.get(ONE) is record  # it is still waited for
    assert 1.0 == peers.get(TWO).success(0.0, config)


def test_peers_expected_begin_is_the_peers_own_or_everybodys() -> None:
    """Eight times are enough; the 95th percentile leaves the longest of twenty out."""
    peers = Peers(CONFIG)
    assert peers.expected_begin_s(ONE) is None
    for number in range(20):
        record = peers.ask(ONE, 0.0)
        peers.begun(record, 100.0 if number == 3 else 0.1 + number / 1000)
    assert 100.0 == peers.expected_begin_s(ONE)
    for _ in range(20):
        peers.begun(peers.ask(TWO, 0.0), 1.0)
    assert 1.0 == peers.expected_begin_s(TWO)
    assert 1.0 == peers.expected_begin_s(THREE)


def test_record_work_is_a_mean_and_slowness_only_raises_it() -> None:
    """A lost race tells a lower bound."""
    record = Peers(CONFIG).ask(ONE, 0.0)
    record.note_slow(3.0, CONFIG)
    assert 3.0 == record.work_s
    record.note_slow(1.0, CONFIG)
    assert 3.0 == record.work_s
    record.note_work(1.0, CONFIG)
    assert 2.6 == pytest.approx(record.work_s)


# Hedging, counting, places.


def test_hedge_budget_is_a_share_of_the_questions() -> None:
    """What was saved up, then one in ten, exactly."""
    budget = HedgeBudget(CONFIG)
    spent = 0
    for _ in range(1000):
        budget.note_question()
        spent += budget.spend()
    assert CONFIG.hedge_burst + 100 >= spent >= 100
    none = HedgeBudget(dataclasses.replace(CONFIG, hedge_share=0.0, hedge_burst=0.0))
    none.note_question()
    assert not none.spend()


@pytest.mark.parametrize(("expected", "delay"), [(None, 1.0), (0.001, 0.05), (0.3, 0.3), (1000.0, 10.0)])
def test_hedge_delay_is_bounded(expected: float | None, delay: float) -> None:
    """Neither at once nor never."""
    assert delay == hedge_delay_s(expected, CONFIG)


@pytest.mark.parametrize(("quorum", "liars", "asked"), [(1, 0, 1), (2, 0, 2), (3, 1, 4), (5, 2, 7), (7, 3, 10)])
def test_quorum_sizes(quorum: int, liars: int, asked: int) -> None:
    """With odd quorums f of 3f + 1 may lie."""
    assert (liars, asked) == (tolerated(quorum), wanted(quorum))


@pytest.mark.parametrize("quorum", [0, -1, 17, True, 2.0])
def test_quorum_out_of_range_is_refused(quorum: int) -> None:
    """A quorum is a small number."""
    with pytest.raises(InvalidArgument):
        check_quorum(quorum, most=16)


def signed_by(author: PublicKey, *, expires_s: int = 100, issued_s: int = 0) -> Endorsement:
    """Return an endorsement whose signature nobody checks here."""
    return Endorsement(author=author, issued_ms=issued_s * 1000, ttl_s=expires_s - issued_s, signature=author * 2)


def test_tally_strikes_who_contradicts_itself() -> None:
    """A member that signs two answers counts for neither, whichever came first."""
    tally = Tally(2)
    yes, no = content_of("yes"), content_of("no")
    tally.add(yes, signed_by(ONE))
    tally.add(yes, signed_by(ONE))
    assert tally.winner() is None
    tally.add(no, signed_by(ONE))
    tally.add(yes, signed_by(ONE))
    tally.add(yes, signed_by(TWO))
    assert tally.winner() is None
    tally.note_silent(THREE)
    failure = tally.failure()
    assert isinstance(failure, NoQuorum)
    assert (("yes", 1),) == failure.split
    assert "1 did not answer; 1 contradicted" in failure.message
    tally.add(yes, signed_by(FOUR))
    winner = tally.winner()
    assert winner is not None
    assert [TWO, FOUR] == list(winner.signers)


def test_tally_knows_when_it_is_hopeless() -> None:
    """So many votes as are missing must still be possible."""
    tally = Tally(3)
    assert tally.is_hopeless(2)
    assert not tally.is_hopeless(3)
    tally.add(content_of("yes"), signed_by(ONE))
    assert not tally.is_hopeless(2)


def test_places_are_bounded_in_all_and_for_each() -> None:
    """A place that is given back can be taken again."""
    places = Places(most=3, most_per_peer=2)
    assert [True, True, False] == [places.take(ONE) for _ in range(3)]
    assert [True, False] == [places.take(TWO) for _ in range(2)]
    places.give_back(ONE)
    assert places.take(TWO)
    for peer in (ONE, TWO, TWO):
        places.give_back(peer)
    assert 0 == places.count


@pytest.mark.parametrize(
    "wrong",
    [
        {"hedge_low_s": 5.0, "hedge_high_s": 1.0},
        {"circuit_first_s": 10.0, "circuit_most_s": 1.0},
        {"max_serving": 2, "max_serving_per_peer": 3},
        {"max_quorum": 0},
    ],
)
def test_config_that_contradicts_itself_is_refused(wrong: dict[str, float]) -> None:
    """Lower bounds stay below upper ones."""
    with pytest.raises(ConfigError):
        QueryConfig(**wrong)  # type: ignore[arg-type]  # names of its fields


# The cache.

GROUP = b"g" * 20


def answer(number: int, text: str = "a", *authors: Endorsement) -> SharedAnswer:
    """Return a shared answer to question ``number``."""
    key = QuestionKey(number.to_bytes(32, "big"))
    return SharedAnswer(key=key, group=GROUP, content=content_of(text), endorsements=authors or (signed_by(ONE),))


def test_cache_returns_what_lives_in_its_own_group() -> None:
    """Expired answers and those of other groups are not there."""
    cache = AnswerCache(CONFIG, own=FOUR)
    one = answer(1)
    assert cache.put(one, by=ONE, now_s=0.0)
    assert one == cache.get(one.key, group=GROUP, now_s=99.9)
    assert cache.get(one.key, group=b"h" * 20, now_s=1.0) is None
    assert cache.get(one.key, group=GROUP, now_s=100.0) is None
    assert (0, 0) == (len(cache), cache.size_bytes)


def test_cache_keeps_the_better_of_two_answers() -> None:
    """More signers win; equals stay, unless their signers say something else since; equal answers are joined."""
    cache = AnswerCache(CONFIG, own=FOUR)
    key = answer(1).key

    def held() -> tuple[str, list[PublicKey]]:
        got = cache.get(key, group=GROUP, now_s=0.0)
        assert got is not None
        return got.content.text, [one.author for one in got.endorsements]

    assert cache.put(answer(1, "old"), by=ONE, now_s=0.0)
    assert not cache.put(answer(1, "lie", signed_by(TWO)), by=TWO, now_s=0.0)
    assert ("old", [ONE]) == held()
    assert cache.put(answer(1, "new", signed_by(ONE, issued_s=5)), by=ONE, now_s=0.0)
    assert ("new", [ONE]) == held()
    assert cache.put(answer(1, "more", signed_by(TWO), signed_by(THREE)), by=THREE, now_s=0.0)
    assert ("more", [TWO, THREE]) == held()
    assert cache.put(answer(1, "more", signed_by(FOUR, expires_s=50)), by=FOUR, now_s=0.0)
    assert ("more", [TWO, THREE, FOUR]) == held()
    assert cache.put(answer(1, "more", signed_by(FOUR, expires_s=40)), by=FOUR, now_s=0.0)
    assert cache.put(answer(1, "anew", signed_by(FOUR)), by=FOUR, now_s=0.0, is_newest=True)
    assert ("anew", [FOUR]) == held()


def test_cache_one_member_cannot_displace_the_others() -> None:
    """Each has its share; beyond it its own offers make room."""
    config = dataclasses.replace(CONFIG, cache_answers=16, cache_share_per_peer=0.25)
    cache = AnswerCache(config, own=FOUR)
    for number in range(4):
        assert cache.put(answer(number), by=ONE, now_s=0.0)
    for number in range(100, 200):
        assert cache.put(answer(number), by=TWO, now_s=0.0)
    assert 8 == len(cache)
    assert all(cache.get(answer(number).key, group=GROUP, now_s=0.0) for number in range(4))
    assert 96 == cache.evicted
    big = answer(9, "x" * 3_000_000)
    assert not cache.put(big, by=THREE, now_s=0.0)
    assert cache.put(big, by=FOUR, now_s=0.0)  # the node itself may fill it


def test_cache_full_drops_the_expired_first_then_the_least_used() -> None:
    """What is read stays."""
    config = dataclasses.replace(CONFIG, cache_answers=4, cache_share_per_peer=1.0)
    cache = AnswerCache(config, own=FOUR)
    for number in range(4):
        cache.put(answer(number, "a", signed_by(ONE, expires_s=10 if number == 2 else 100)), by=ONE, now_s=0.0)
    cache.put(answer(5), by=ONE, now_s=20.0)
    assert cache.get(answer(2).key, group=GROUP, now_s=20.0) is None
    assert cache.get(answer(0).key, group=GROUP, now_s=20.0)
    cache.put(answer(6), by=TWO, now_s=20.0)
    assert cache.get(answer(0).key, group=GROUP, now_s=20.0)
    assert cache.get(answer(1).key, group=GROUP, now_s=20.0) is None
    cache.forget_group(GROUP)
    assert (0, 0) == (len(cache), cache.size_bytes)


def test_cache_of_no_size_keeps_nothing() -> None:
    """Zero means zero."""
    for wrong in ({"cache_bytes": 0}, {"cache_answers": 0}):
        cache = AnswerCache(dataclasses.replace(CONFIG, **wrong), own=FOUR)
        assert not cache.put(answer(1), by=ONE, now_s=0.0)
        assert 0 == len(cache)


def test_question_key_binds_group_capability_and_meaning() -> None:
    """Questions that mean the same in one group share a key; anything else does not."""
    base = question_key(content_of("cats"), capability="c", group=GROUP)
    assert base == question_key(content_of(" cats\r\n"), capability="c", group=GROUP)
    assert 4 == len(
        {
            base,
            question_key(content_of("dogs"), capability="c", group=GROUP),
            question_key(content_of("cats"), capability="d", group=GROUP),
            question_key(content_of("cats"), capability="c", group=b""),
        }
    )
