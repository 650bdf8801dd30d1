"""Who may be scraped: what peers say, how long it holds, what gets into labels."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.targets import (
    DECLINED_FACTOR,
    MAX_LABEL_CHARS,
    OFFER_BYTES,
    Candidate,
    Target,
    TargetBook,
    described,
    encode_offer,
    parse_offer_untrusted,
    safe_label,
)
from pilotdht.errors import BadMessage, ConfigError
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.endpoint import Endpoint

CONFIG = DaemonConfig(max_targets=3)
HERE = Endpoint("192.0.2.1", 9464)
NAUGHTY = 'a"b\\c\nd\re\x1b[31mf\u202eg\u2028h\x00i\ud800j k'


def candidate(number: int) -> Candidate:
    """Return somebody who may be asked."""
    key = PublicKey(bytes([number]) * 32)
    return Candidate(public_key=key, address=f"0:{number:04X}", hostname=f"node-{number}", relation="trusted")


def test_offer_comes_back() -> None:
    """What a node answers is what the one who asked reads."""
    assert [1, 9464, 65_535] == [parse_offer_untrusted(encode_offer(port)) for port in (1, 9464, 65_535)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"9464",
        b"[]",
        b"{}",
        b'{"port": 0}',
        b'{"port": 65536}',
        b'{"port": true}',
        b'{"port": "9464"}',
        b'{"port": 1.5}',
        b'{"port": 9464',
        b"\xff\xfe",
        b"[" * OFFER_BYTES,
        b" " * OFFER_BYTES + b'{"port": 1}',
    ],
)
def test_malformed_offer_is_bad_message(data: bytes) -> None:
    """Nothing else is a port."""
    with pytest.raises(BadMessage):
        parse_offer_untrusted(data)


@pytest.mark.property
@given(st.binary(max_size=100))
def test_any_bytes_are_a_port_or_bad_message(data: bytes) -> None:
    """No bytes raise anything else."""
    with contextlib.suppress(BadMessage):
        assert 1 <= parse_offer_untrusted(data) <= 65_535


@pytest.mark.property
@given(st.text(max_size=400))
def test_label_is_short_and_printable_whatever_the_name(text: str) -> None:
    """No name gets a control, a line end, a blank or a mark of direction into a label."""
    label = safe_label(text)
    assert len(label) <= MAX_LABEL_CHARS
    assert label.isprintable()
    assert not any(one.isspace() for one in label)


def test_hostile_hostname_is_listed_as_harmless_ascii() -> None:
    """A name full of tricks comes out as one JSON string of ASCII."""
    listed = described([Target(candidate=replace(candidate(1), hostname=NAUGHTY + "x" * 500), endpoint=HERE)])
    assert listed.isascii()
    labels = json.loads(listed)[0]["labels"]
    assert {"__meta_pilotdht_address", "__meta_pilotdht_hostname", "__meta_pilotdht_relation"} == set(labels)
    assert 'a"b\\c?d?e?[31mf?g?h?i?j?kxxx' == labels["__meta_pilotdht_hostname"][:28]
    assert ["192.0.2.1:9464"] == json.loads(listed)[0]["targets"]


def test_peer_that_told_is_listed_and_asked_again_later() -> None:
    """An answer holds for a while."""
    book = TargetBook(CONFIG)
    book.update([candidate(1)])
    assert [candidate(1)] == book.due(0.0)
    book.told(candidate(1).public_key, HERE, 0.0)
    assert ([HERE], []) == ([one.endpoint for one in book.targets()], book.due(CONFIG.target_refresh_s - 1))
    assert [candidate(1)] == book.due(CONFIG.target_refresh_s)


def test_silent_peer_stays_listed_until_it_is_forgotten() -> None:
    """A node that died is listed on, so that its death is noticed; not for ever."""
    book = TargetBook(CONFIG)
    key = candidate(1).public_key
    book.update([candidate(1)])
    book.told(key, HERE, 0.0)
    book.silent(key, 100.0)
    assert 1 == len(book)
    book.silent(key, CONFIG.target_keep_s + 1)
    assert [] == book.targets()


def test_silent_peer_is_asked_ever_less_often_within_a_bound() -> None:
    """Asking somebody who is gone costs less and less."""
    book = TargetBook(CONFIG)
    book.update([candidate(1)])
    now, waits = 0.0, []
    for _ in range(9):
        book.silent(candidate(1).public_key, now)
        step = next(wait for wait in range(1, 10_000) if book.due(now + wait))
        waits.append(step)
        now += step
    assert [60, 120, 240, 480, 960, 1920, 1920, 1920, 1920] == waits


def test_peer_that_declines_is_not_listed_and_seldom_asked() -> None:
    """Who takes its offer back is scraped no more."""
    book = TargetBook(CONFIG)
    key = candidate(1).public_key
    book.update([candidate(1)])
    book.told(key, HERE, 0.0)
    book.declined(key, 0.0)
    wait = CONFIG.target_refresh_s * DECLINED_FACTOR
    assert ([], [], [candidate(1)]) == (book.targets(), book.due(wait - 1), book.due(wait))


def test_peer_not_trusted_any_more_is_forgotten_at_once() -> None:
    """The list follows trust; a late answer of a forgotten peer changes nothing."""
    book = TargetBook(CONFIG)
    book.update([candidate(1), candidate(2)])
    book.told(candidate(1).public_key, HERE, 0.0)
    book.update([candidate(2)])
    book.told(candidate(1).public_key, HERE, 1.0)
    assert ([], [candidate(2)]) == (book.targets(), book.due(0.0))


def test_more_peers_than_there_is_room_for_are_left_out_and_counted() -> None:
    """Room is bounded, and those that have it keep it."""
    book = TargetBook(CONFIG)
    assert 0 == book.update([candidate(1), candidate(2), candidate(1)])
    assert 2 == book.update([candidate(number) for number in (5, 4, 3, 2, 1)])
    assert [candidate(number) for number in (1, 2, 5)] == book.due(0.0)


def test_announcing_needs_a_metrics_port() -> None:
    """What cannot be read is not announced: the setting says so at once."""
    with pytest.raises(ConfigError, match="metrics port"):
        DaemonConfig(is_metrics_announced=True)
    with pytest.raises(ConfigError, match="metrics port"):
        DaemonConfig(is_listing_targets=True)
    assert not DaemonConfig(metrics=HERE).is_metrics_announced
