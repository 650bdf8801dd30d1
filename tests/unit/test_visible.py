"""Characters that are not seen as they are never come through; all others do."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.visible import MAX_MARKS, is_seen, masked, visible

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("text", ["", "agent-alpha", "a b", "Bücher", "名前", "שלום", "नमस्ते", "back\\slash"])
def test_visible_on_letters_of_all_scripts_changes_nothing(text: str) -> None:
    """What is seen as it is stays, also behind a question mark's back."""
    assert text == visible(text)
    assert text == masked(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("a\u202eb", "a\\u202eb"),
        ("\u3164", "\\u3164"),
        ("a\U000e0100", "a\\U000e0100"),
        ("a\u0301\u0302\u0303\u0304\u0305", "a\u0301\u0302\u0303\u0304\\u0305"),
    ],
)
def test_visible_on_hidden_characters_shows_escapes(text: str, shown: str) -> None:
    """Controls, directions, blanks, selectors and marks in heaps become escapes."""
    assert shown == visible(text)


def test_visible_keeps_and_escapes_what_it_is_told_to() -> None:
    """Line ends can stay, and backslashes can be doubled."""
    assert "a\nb\\tc" == visible("a\nb\tc", kept="\n")
    assert "a\\\\b" == visible("a\\b", escaped="\\")


@given(st.text(max_size=300))
def test_visible_and_masked_on_any_text_hide_nothing(text: str) -> None:
    """Whatever comes in, each character that comes out is seen, and marks do not pile up; a mask keeps the length."""
    for shown in (visible(text), masked(text)):
        assert all(map(is_seen, shown))
        assert HIDDEN.isdisjoint(map(unicodedata.category, shown))
    assert len(text) == len(masked(text))
    marks = 0
    for character in visible(text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        assert marks <= MAX_MARKS
