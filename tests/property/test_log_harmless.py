"""Whatever stands in a line of the log, the line is one line, is seen as it is, and its fields can be told apart."""

from __future__ import annotations

import json
import logging
import shlex
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.daemon.harmless import MAX_VALUE_CHARS, harmless, harmless_trace
from pilotdht.daemon.logs import JsonFormatter, TextFormatter, readable_line
from pilotdht.daemon.redact import Redactor

pytestmark = pytest.mark.property

TEXTS = st.text(
    st.characters() | st.sampled_from("\n\r\x1b\u202e\u2066\u200b\ud800 =\"'\\"), max_size=2 * MAX_VALUE_CHARS
)


def record(**fields: object) -> logging.LogRecord:
    """Return a log record with fields."""
    made = logging.makeLogRecord({"msg": "heard", "levelname": "INFO", "name": "pilotdht.x"})
    vars(made).update(fields)
    return made


@given(TEXTS)
def test_harmless_text_is_seen_as_it_is(text: str) -> None:
    """Nothing controls, hides, or turns the direction; it can be encoded, and is bounded."""
    shown = harmless(text)

    assert shown.isprintable()
    assert not {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} & {unicodedata.category(one) for one in shown}
    assert len(shown.encode("utf-8")) < 12 * MAX_VALUE_CHARS


@given(TEXTS, TEXTS)
def test_two_texts_never_become_one(one: str, other: str) -> None:
    """Escapes are ours: what looks like one was none."""
    if one != other and max(len(one), len(other)) <= MAX_VALUE_CHARS:
        assert harmless(one) != harmless(other)


@given(TEXTS, st.integers())
def test_fields_of_a_line_can_be_told_apart(reason: str, port: int) -> None:
    """A value ends where it ends, whatever is in it, in text and in JSON; both show the same line."""
    heard = record(reason=reason, port=port)
    text, line = TextFormatter().format(heard), JsonFormatter().format(heard)
    *_, first, second = shlex.split(text.partition(": heard ")[2].replace("'", ""))

    assert "\n" not in text + line
    assert f"port={port}" == second
    assert first.startswith("reason=")
    assert (port, harmless(reason)) == (json.loads(line)["port"], json.loads(line)["reason"])
    assert text == readable_line(line)


@given(TEXTS)
def test_traceback_stays_indented(text: str) -> None:
    """No line of it begins where lines of the log begin."""
    assert all(line.startswith("  | ") and line.isprintable() for line in harmless_trace(text).split("\n"))


@given(st.ip_addresses(), TEXTS.filter(lambda text: not text.strip(" ([{,;\"'")), st.integers(1, 65535))
def test_no_address_stays_in_a_report(address: object, before: str, port: int) -> None:
    """Whatever the address, alone or with its port."""
    written = str(address)
    shown = Redactor(b"k" * 32)
    is_ours = getattr(address, "is_loopback", False) or getattr(address, "is_unspecified", False)
    for text in (written, f"[{written}]:{port}", f"{before}{written} refused"):
        assert is_ours or written not in shown.text(text)
