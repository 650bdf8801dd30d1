"""Texts of strangers keep their letters and lose whatever else they could do."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.ui.texts import MAX_TEXT_CHARS, harmless, harmless_value
from pilotdht.visible import MAX_MARKS


@pytest.mark.parametrize(
    "text",
    [
        "agent-alpha",
        "<img src=x onerror=alert(1)>",
        "Bücher & Ćevapi",
        "名前",
        "שלום",
        "नमस्ते",
        "",
    ],
)
def test_harmless_on_seen_characters_changes_nothing(text: str) -> None:
    """Letters of all scripts stay, and so does markup: the page makes text nodes of it."""
    assert text == harmless(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u200bb", "a\\u200bb"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\x00b", "a\\x00b"),
        ("\ufeffa", "\\ufeffa"),
        ("a\U000e0041", "a\\U000e0041"),
        ("a\udc80", "a\\udc80"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_harmless_on_hidden_characters_shows_code_points(text: str, shown: str) -> None:
    """What nobody sees, and what changes what is seen, is shown as its number."""
    assert shown == harmless(text)


def test_harmless_on_long_text_cuts() -> None:
    """A text of 10 kB is cut, and says so."""
    assert "a" * MAX_TEXT_CHARS + "…" == harmless("a" * 10_000)


def test_harmless_on_stacked_marks_shows_their_code_points() -> None:
    """Marks that would run over the lines around do not."""
    assert "a" + "\u0301" * MAX_MARKS + "\\u0301" * (50 - MAX_MARKS) + "b" == harmless("a" + "\u0301" * 50 + "b")


def test_harmless_value_reaches_every_text() -> None:
    """Texts in lists, in objects and in names of fields are all made harmless."""
    value = {"a\u202e": ["b\u202e", {"c": ("d\u202e", 1, None, 2.5, True)}]}
    assert {"a\\u202e": ["b\\u202e", {"c": ["d\\u202e", 1, None, 2.5, True]}]} == harmless_value(value)


@given(st.text(max_size=2000))
def test_harmless_on_any_text_is_short_and_seen(text: str) -> None:
    """Whatever comes in, what comes out is short, can be encoded, and holds nothing hidden."""
    shown = harmless(text)
    assert len(shown) <= MAX_TEXT_CHARS + 1
    assert len(shown.encode("utf-8")) >= len(shown)
    assert {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}.isdisjoint(map(unicodedata.category, shown))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_harmless_value_on_any_json_stays_json(value: object) -> None:
    """JSON data stays JSON data."""
    json.dumps(harmless_value(value)).encode("utf-8")
