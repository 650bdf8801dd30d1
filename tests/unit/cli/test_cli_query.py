"""``query`` prints the answer alone on standard output, and who gave it on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pilotdht.cli.program import program
from pilotdht.errors import AnswerFailed, NoQuorum, NotTrusted, PilotError, TimedOut
from tests.support.fake_daemon import FakeDaemon, fake_daemon_in_thread
from tests.support.fake_groups import FakeGroup
from tests.support.fake_node import ALPHA

Run = Callable[..., Result]
THEIRS = str(ALPHA.address)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Return a daemon around a fake node in a group."""
    with fake_daemon_in_thread(tmp_path) as running:
        running.node.joined["research"] = FakeGroup("research")
        yield running


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    """Return what runs a command line against the daemon."""

    def invoke(*words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(program, ["--socket", str(daemon.socket), *words], input=stdin, prog_name="pilotdht")

    return invoke


@pytest.mark.parametrize(
    ("words", "verb", "expected"),
    [
        (
            ["agent-alpha", "who?", "--capability", "x"],
            "query",
            {"target": "agent-alpha", "question": "who?", "capability": "x", "group": None},
        ),
        (
            ["agent-alpha", "who?", "--group", "research"],
            "query",
            {"target": "agent-alpha", "question": "who?", "capability": "", "group": "research"},
        ),
        (
            ["--group", "research", "who?", "--tag", "a", "--tag", "b", "--quorum", "3", "--fresh"],
            "query_group",
            {
                "group": "research",
                "question": "who?",
                "capability": "",
                "tags": ("a", "b"),
                "quorum": 3,
                "fresh": True,
            },
        ),
        (
            ["--tag", "finance", "who?", "--quorum", "2"],
            "query_tag",
            {"tag": "finance", "question": "who?", "capability": "", "quorum": 2},
        ),
        (
            ["--stream", "agent-alpha", "who?"],
            "ask",
            {"target": "agent-alpha", "question": "who?", "capability": "", "group": None},
        ),
        (
            ["--stream", "--group", "research", "who?", "--tag", "a"],
            "ask_group",
            {"group": "research", "question": "who?", "capability": "", "tags": ("a",)},
        ),
    ],
)
def test_question_is_put_to_whom_the_words_say(
    run: Run, daemon: FakeDaemon, words: list[str], verb: str, expected: dict[str, object]
) -> None:
    """A single word is the question when a group or tag is given; the answer is a line, whoever gave it."""
    result = run("query", *words)

    assert (0, "Shannon 1948\n") == (result.exit_code, result.stdout), result.stderr
    assert [(verb, expected)] == daemon.node.asked
    assert result.stderr.startswith(f"answered by agent-alpha ({THEIRS}) · fresh, 420ms")


def test_question_is_read_from_standard_input(run: Run, daemon: FakeDaemon) -> None:
    """UTF-8, or it is told that it is not."""
    assert 0 == run("query", "agent-alpha", "-", stdin="größer?".encode()).exit_code
    assert 2 == run("query", "agent-alpha", "-", stdin=b"\xff").exit_code
    assert ["größer?"] == [arguments["question"] for _, arguments in daemon.node.asked]


def test_shared_answer_says_how_old_it_is_and_who_signed_it(run: Run, daemon: FakeDaemon) -> None:
    """Standard error has the provenance in one line."""
    daemon.node.is_shared = True
    result = run("query", "--group", "research", "who?", "--quorum", "2")
    name = f"agent-alpha ({THEIRS})"

    assert f"answered by {name} · shared, 3m old · signed by {name}, {name}\n" == result.stderr


def test_explanation_is_a_table_beside_the_answer(run: Run) -> None:
    """Standard output still has the answer alone."""
    result = run("query", "--group", "research", "who?", "--explain")
    table = [line.split() for line in result.stderr.splitlines()[1:]]

    assert "Shannon 1948\n" == result.stdout
    assert ["RANK", "WHO", "SCORE", "RTT", "LOAD", "WORK", "SUCCESS", "WHY"] == table[0]
    assert ["1", "agent-alpha", "0.95", "38ms", "30%", "-", "100%", "asked", "first"] == table[1]


def test_choices_are_told_without_asking(run: Run, daemon: FakeDaemon) -> None:
    """Without a question the table is the result."""
    result = run("query", "--group", "research", "--explain")

    assert "asked first" in result.stdout
    assert [] == daemon.node.asked
    choices = json.loads(run("query", "--group", "research", "--explain", "--json").stdout)["data"]["choices"]
    assert [1, None] == [one["rank"] for one in choices]


def test_answer_as_json_is_whole(run: Run, daemon: FakeDaemon) -> None:
    """A text or the source of JSON, with all there is to know of it."""
    daemon.node.answer = {"year": 1948}
    result = run("query", "agent-alpha", "who?", "--json")
    data = json.loads(result.stdout)["data"]

    assert ("json", {"year": 1948}, "") == (data["form"], json.loads(data["answer"]), result.stderr)
    assert {"did": ALPHA.did, "address": THEIRS, "hostname": "agent-alpha"} == data["author"]


def test_stream_as_json_ends_with_the_whole_answer(run: Run) -> None:
    """Parts first, an object a line."""
    lines = [
        json.loads(line)["data"] for line in run("query", "agent-alpha", "x", "--stream", "--json").stdout.splitlines()
    ]

    assert [{"part": "Shannon"}, {"part": " 1948"}] == lines[:-1]
    assert "Shannon 1948" == lines[-1]["answer"]


def test_answer_cannot_drive_the_terminal(run: Run, daemon: FakeDaemon) -> None:
    """Control characters are made visible, in one piece or in parts; a line end is not doubled."""
    daemon.node.answer = "red \x1b[31m\n"

    assert "red \\x1b[31m\n" == run("query", "agent-alpha", "x").stdout
    assert "red \\x1b[31m\n" == run("query", "agent-alpha", "x", "--stream").stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [(TimedOut("late"), 3), (AnswerFailed("no idea"), 1), (NotTrusted("no"), 1), (NoQuorum("split"), 1)],
)
def test_question_without_an_answer_fails(run: Run, daemon: FakeDaemon, error: PilotError, code: int) -> None:
    """With the error's own code, message and hint; nothing on standard output."""
    daemon.node.failure = error
    for words in (["agent-alpha", "x"], ["agent-alpha", "x", "--stream"], ["--group", "research", "x"]):
        result = run("query", *words)
        assert (code, "") == (result.exit_code, result.stdout)
        assert f"error: {error.message}\nhint: {error.hint}\n" == result.stderr


def test_split_of_a_failed_quorum_is_shown(run: Run, daemon: FakeDaemon) -> None:
    """Who asks sees how the answers differ."""
    daemon.node.failure = NoQuorum("two and one", split=(("yes", 2), ("no", 1)))
    result = run("query", "--group", "research", "x", "--quorum", "3")

    assert "  2 answered: yes\n  1 answered: no\n" in result.stderr
    shown = json.loads(run("query", "--group", "research", "x", "--quorum", "3", "--json").stdout)
    assert [["yes", 2], ["no", 1]] == shown["split"]
