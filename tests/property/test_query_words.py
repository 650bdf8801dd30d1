"""Words of questions survive the wire, nothing malformed does harm, and the cache keeps its bounds."""

from __future__ import annotations

import contextlib
import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from pilotdht.config.query import QueryConfig
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.services.answers.cache import AnswerCache
from pilotdht.services.query.content import Content, Form, content_of, content_untrusted
from pilotdht.services.query.signed import Endorsement, QuestionKey, SharedAnswer
from pilotdht.services.query.words import (
    Ask,
    End,
    Failed,
    Failure,
    Kept,
    Look,
    Offer,
    Part,
    Shared,
    answer_untrusted,
    kept_untrusted,
    looked_untrusted,
    opening_untrusted,
    printable,
)
from pilotdht.wire.codec import encode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
contents = st.one_of(texts, jsons).map(content_of)
keys = st.binary(min_size=32, max_size=32)
groups = st.binary(min_size=20, max_size=20)
endorsements = st.builds(
    Endorsement,
    author=keys.map(PublicKey),
    issued_ms=st.integers(0, 2**53),
    ttl_s=st.integers(0, 86_400),
    signature=st.binary(min_size=64, max_size=64),
)
shared = st.builds(
    SharedAnswer,
    key=keys.map(QuestionKey),
    group=groups,
    content=contents.map(Content.canonicalised),
    endorsements=st.lists(endorsements, min_size=1, max_size=4, unique_by=lambda one: one.author).map(tuple),
)
opening = st.one_of(
    st.builds(
        Ask,
        group=groups | st.just(b""),
        capability=st.sampled_from(["", "citations", "a.b:c"]),
        content=contents,
        within_ms=st.integers(0, 86_400_000),
    ),
    st.builds(Look, group=groups, key=keys.map(QuestionKey)),
    st.builds(Offer, answer=shared),
)
answers = st.one_of(
    st.builds(Part, form=st.sampled_from(Form), data=st.binary(max_size=50)),
    st.builds(
        End,
        issued_ms=st.integers(0, 2**53),
        ttl_s=st.integers(0, 86_400),
        signature=st.binary(min_size=64, max_size=64),
    ),
    st.builds(Failed, failure=st.sampled_from(Failure), text=texts.map(printable)),
)
bodies = st.one_of(
    st.binary(max_size=100),
    st.lists(
        st.one_of(st.integers(0, 2**40), st.binary(max_size=70), texts, st.lists(st.binary(max_size=70), max_size=5)),
        max_size=8,
    ).map(lambda values: encode([1, *values])),
    opening.map(lambda word: word.framed()[4:]),
    answers.map(lambda word: word.framed()[4:]),
)


def read_opening(body: bytes) -> object:
    """Read an opening word within generous bounds."""
    return opening_untrusted(body, max_question_bytes=10_000, max_shared_bytes=10_000)


@given(opening)
def test_opening_words_come_back_equal(word: Ask | Look | Offer) -> None:
    """What one side says is what the other hears."""
    assert word == read_opening(word.framed()[4:])


@given(answers)
def test_answer_words_come_back_equal(word: Part | End | Failed) -> None:
    """What one side answers is what the other hears."""
    assert word == answer_untrusted(word.framed()[4:])


@given(shared, st.booleans())
def test_other_words_come_back_equal(answer: SharedAnswer, is_kept: bool) -> None:
    """Shared answers and what became of offers as well."""
    assert Shared(fields=None) == looked_untrusted(Shared(fields=None).framed()[4:])
    assert Offer(answer=answer) == read_opening(Offer(answer=answer).framed()[4:])
    fields = looked_untrusted(Shared(fields=answer.fields()).framed()[4:]).fields
    assert fields == answer.fields()
    assert Kept(is_kept=is_kept) == kept_untrusted(Kept(is_kept=is_kept).framed()[4:])


@given(bodies, st.integers(0, 200), st.integers(0, 255))
def test_malformed_words_raise_bad_message_alone(body: bytes, where: int, byte: int) -> None:
    """Whatever arrives, damaged in any place, nothing but BadMessage leaves a reader."""
    damaged = bytearray(body)
    if damaged:
        damaged[where % len(damaged)] = byte
    for data in (body, bytes(damaged), body[: where % (len(body) + 1)]):
        for read in (read_opening, answer_untrusted, looked_untrusted, kept_untrusted):
            with contextlib.suppress(BadMessage):
                read(data)


@given(st.binary(max_size=60) | texts.map(str.encode), st.sampled_from(Form))
def test_content_from_outside_is_checked_once_and_for_all(data: bytes, form: Form) -> None:
    """What passes can be read, compared and previewed without any error; what is canonical stays so."""
    try:
        content = content_untrusted(form, data)
    except BadMessage:
        return
    canonical = content.canonicalised()
    assert content_untrusted(form, canonical.data).canonical() == canonical.data
    assert content.digest() == canonical.digest()
    assert content.preview().isprintable()


@given(jsons)
def test_json_canonical_form_keeps_the_value(value: object) -> None:
    """Comparing does not change what is said: equal values stay equal, and so do different ones."""
    content = content_of([value])
    assert [value] == content.json == content.canonicalised().json


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "newest", "get", "wait", "forget"]),
        st.integers(0, 11),
        st.integers(0, 3),
        st.integers(0, 400),
    ),
    max_size=60,
)


@given(steps)
def test_cache_never_exceeds_its_bounds_nor_returns_what_expired(made: list[tuple[str, int, int, int]]) -> None:
    """Bytes and count are bounded in all and for each member, and always add up."""
    config = dataclasses.replace(QueryConfig(), cache_bytes=8000, cache_answers=6, cache_share_per_peer=0.5)
    cache, now = AnswerCache(config, own=PublicKey(bytes(32))), 0.0
    for kind, number, by, size in made:
        key = QuestionKey(bytes([number]) * 32)
        if kind in ("put", "newest"):
            author = PublicKey(bytes([by]) * 32)
            signed = Endorsement(author=author, issued_ms=int(now * 1000), ttl_s=1 + size, signature=bytes([by]) * 64)
            answer = SharedAnswer(key=key, group=b"g" * 20, content=content_of("x" * 10 * size), endorsements=(signed,))
            cache.put(answer, by=author, now_s=now, is_newest=kind == "newest")
        elif kind == "get":
            found = cache.get(key, group=b"g" * 20, now_s=now)
            assert found is None or (found.key == key and found.expires_s > now)
        elif kind == "wait":
            now += size
        else:
            cache.forget_group(bytes([103 if by else 104]) * 20)
        assert len(cache) <= 6
        assert 0 <= cache.size_bytes <= 8000
        assert (len(cache) == 0) == (cache.size_bytes == 0)
