"""Lines of the log: one vocabulary, one line a record, and nothing in them that drives a terminal or forges another."""

from __future__ import annotations

import ast
import json
import logging
import re
import sys

import pytest

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.harmless import MAX_TRACE_CHARS, MAX_VALUE_CHARS, field_text, harmless, harmless_trace
from pilotdht.daemon.log_fields import LINE_KEYS, LOG_FIELDS
from pilotdht.daemon.logs import JsonFormatter, TextFormatter, formatter, readable_line
from tests.support.source import ROOT, project_modules

LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
HOSTILE = "a\x1b[2Jb\nc\r\u202ed\u2066e\u2028f\x00g\x9bh\ud800i\u200bj\\k" + "x" * 10_000


def record(message: str, **fields: object) -> logging.LogRecord:
    """Return a log record with fields."""
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "pilotdht.x"})
    vars(made).update(fields)
    return made


def is_harmless(text: str) -> bool:
    """Return whether a terminal shows the text as it is, on one line."""
    return text.isprintable()


def logging_calls() -> list[tuple[str, ast.Call]]:
    """Return where each call in the product is that logs."""
    return [
        (f"{module.path}:{node.lineno}", node)
        for module in project_modules()
        if module.package == "pilotdht"
        for node in module.nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("_logger", "logger", "log")
    ]


def test_every_line_of_the_log_uses_the_vocabulary() -> None:
    """Messages are constant; facts are fields, given in place, under names that are known and not the record's own."""
    calls = logging_calls()
    own = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
    breaches = []
    for place, call in calls:
        if not (len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)):
            breaches.append(f"{place}: the message is no constant")
        for keyword in call.keywords:
            if keyword.arg != "extra":
                continue
            names = keyword.value.keys if isinstance(keyword.value, ast.Dict) else [None]
            if any(not isinstance(name, ast.Constant) or name.value not in LOG_FIELDS for name in names):
                breaches.append(f"{place}: {ast.unparse(keyword.value)} is not in the vocabulary")

    assert 40 < len(calls)
    assert [] == breaches
    assert not own & LOG_FIELDS.keys()
    assert not LINE_KEYS.keys() & LOG_FIELDS.keys()
    assert sorted(LOG_FIELDS) == list(LOG_FIELDS)


def test_vocabulary_stands_in_the_documentation() -> None:
    """The page about running nodes has a row for each key and each field, with its meaning, and no other."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = page.partition("<!-- log fields -->")[2].partition("<!-- end of log fields -->")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", table, re.MULTILINE))

    assert {**LINE_KEYS, **{name: field.meaning for name, field in LOG_FIELDS.items()}} == rows


def test_hostile_text_is_harmless_in_both_forms() -> None:
    """Escape sequences, line ends, directions, invisible characters and length do nothing."""
    hostile = record("heard", reason=HOSTILE, endpoint="\x1b]0;title\x07")
    text, line = TextFormatter().format(hostile), JsonFormatter().format(hostile)
    content = json.loads(line)

    assert is_harmless(text)
    assert is_harmless(line)
    assert is_harmless(content["reason"])
    assert "\\x1b[2Jb\\nc\\r\\u202ed\\u2066e\\u2028f\\x00g\\x9bh\\ud800i\\u200bj\\\\k" in content["reason"]
    assert len(text) < 2 * MAX_VALUE_CHARS
    assert "characters)" in content["reason"]
    text.encode("utf-8")


def test_field_cannot_pass_for_another_field() -> None:
    """A value with spaces or an equals sign stands in quotes, and cannot end them."""
    line = TextFormatter().format(record("heard", reason='x" level=ERROR address=0', port=7))

    assert line.endswith('heard reason="x\\" level=ERROR address=0" port=7')
    assert ('""', "plain", "Grüße") == (field_text(""), field_text("plain"), field_text("Grüße"))


def test_message_of_another_library_is_harmless() -> None:
    """What others log may hold what a peer sent, in the message itself."""
    assert is_harmless(TextFormatter().format(record("peer said %s", args=(HOSTILE,))))
    assert is_harmless(json.loads(JsonFormatter().format(record(HOSTILE)))["msg"])


def test_key_of_a_line_cannot_be_replaced_by_a_fact() -> None:
    """A library's field called like a key of the line does not change the line."""
    assert "INFO" == json.loads(JsonFormatter().format(record("heard", level="ERROR", ts="never")))["level"]


def test_traceback_is_indented_and_harmless() -> None:
    """An error whose words look like a line of the log does not become one, and both ends of a long one are kept."""
    try:
        raise ValueError(
            "first\n2026-01-01T00:00:00.000+00:00 ERROR pilotdht.x: forged\x1b[2J" + "y" * 100_000 + "last"
        )
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    first, *rest = TextFormatter().format(failed).split("\n")

    assert first.endswith("failed")
    assert all(line.startswith("  | ") and is_harmless(line) for line in rest)
    assert rest[-1].endswith("last")
    assert len("\n".join(rest)) < 2 * MAX_TRACE_CHARS
    assert all(line.startswith("  | ") for line in json.loads(JsonFormatter().format(failed))["exception"].split("\n"))


def test_harmless_text_of_people_stays_as_it_is() -> None:
    """Letters of every script are no danger."""
    for text in ("agent-alpha", "Füße, café", "東京", "שלום", "0:A91F.0000.7C2E", "[2001:db8::1]:4433"):
        assert text == harmless(text)
    assert "  | a\\b" == harmless_trace("a\\b")


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "kind"),
    [
        ("auto", True, TextFormatter),
        ("auto", False, JsonFormatter),
        ("text", False, TextFormatter),
        ("json", True, JsonFormatter),
    ],
)
def test_form_follows_the_setting_and_the_terminal(log_format: str, is_terminal: bool, kind: type) -> None:
    """Text is for terminals, JSON for all else, unless it was set."""
    assert kind is type(formatter(DaemonConfig(log_format=log_format), is_terminal=is_terminal))


def test_line_in_json_reads_as_text_does() -> None:
    """Whoever reads the log sees the same line whichever form it was written in; other lines are left alone."""
    for facts in ({"reason": "busy"}, {"reason": HOSTILE, "port": 7}, {"endpoint": "127.0.0.1:1", "limit": None}):
        heard = record("heard", **facts)
        assert TextFormatter().format(heard) == readable_line(JsonFormatter().format(heard))
    try:
        raise ValueError("no")
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    assert TextFormatter().format(failed) == readable_line(JsonFormatter().format(failed))
    for line in ("Fatal Python error: Segmentation fault", "{}", "[1]", "{", ""):
        assert line == readable_line(line)
