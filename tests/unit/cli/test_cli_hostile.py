"""Whatever peers call themselves and say, a terminal shows it harmless, and JSON keeps it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pilotdht.cli.hostnames import is_typed
from pilotdht.cli.output import Output, show_error
from pilotdht.cli.program import program
from pilotdht.cli.terminal_text import MOST_CHARS, json_text, many_lines, one_line, short_line
from pilotdht.errors import Ambiguous, NotTrusted, PilotError
from pilotdht.gossip.values import GroupInfo
from pilotdht.identity.address import Address
from pilotdht.names.peer import Peer
from pilotdht.node.facts import ConnectionInfo, NetCheck, NodeInfo, Trace
from pilotdht.services.query.values import Answer, Explanation
from pilotdht.traversal.advice import Finding, Severity
from pilotdht.trust.book import TrustEntry
from pilotdht.trust.states import TrustState
from pilotdht.visible import MAX_MARKS
from tests.support.fake_daemon import fake_daemon_in_thread
from tests.support.fake_groups import FakeGroup, event, member
from tests.support.fake_node import ALPHA, FakeNode, message
from tests.support.source import ROOT

PLAIN = "plain"
HOSTILE = (
    "\x1b[2J\x1b]0;title\x07\x1b]8;;http://x\x1b\\here",
    "first\nagent-alpha: forged\r\n✓ reply from nobody\rover",
    "\x9b31mred\x85next\u2028line\u2029part",
    "abc\u202eexe.txt\u2066\u2069\u200f",
    "a\u200bd\u200cm\u200di\u2060n\ufeff\u00ad",
    "[bold red]markup[/] [link=http://x]here[/link] :smile: [/]",
    "a" + "\u0301" * 200,
    "\u3164\u115f\u2800\u034f\U000e0041\U000e0101\U000e01ef",
    "\x7f\x00\x08\x08\x08\t\x0b\x0c",
    'back\\slash "quotes" \\x1b[2J {braces} %s $(id) `id`',
    "\ue000\U000f0000\ufdd0\U0010ffff",
    "x" * 5000,
    "名前 שלום مرحبا 😀",
)
TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\u0301\u200b\u202e\u2028\u3164\ufeff\U000e0101[]:\\"),
    ),
    min_size=1,
    max_size=60,
)


class TalkingNode(FakeNode):
    """A node whose peers all say one text, wherever somebody else has a say."""

    def __init__(self) -> None:
        super().__init__()
        self.text = PLAIN
        self.joined["research"] = TalkingGroup(self)

    def info(self) -> NodeInfo:
        """Return own facts; one never knows who set them."""
        return replace(super().info(), hostname=self.text, tags=(self.text, self.text))

    def netcheck(self) -> NetCheck:
        """Return facts in which libraries and routers have had a word."""
        finding = Finding(code="cone", severity=Severity.GOOD, sentence=self.text, advice=self.text)
        return replace(super().netcheck(), lan="failed", lan_reason=self.text, findings=(finding,))

    def connections(self) -> Sequence[ConnectionInfo]:
        """Return a link to somebody of that name."""
        return [replace(one, hostname=self.text) for one in super().connections()]

    async def find(self, target: str, *, fresh: bool = True) -> Peer:
        """Find somebody of that name, with such a tag."""
        return replace(await super().find(target, fresh=fresh), hostname=self.text, tags=("finance", self.text))

    async def traceroute(self, target: str, *, timeout_s: float = 10.0) -> Trace:
        """Return a way to somebody of that name."""
        return replace(await super().traceroute(target, timeout_s=timeout_s), hostname=self.text)

    def _entry(self, state: TrustState) -> TrustEntry:
        return replace(self._remember(state, self.text), hostname=self.text)

    def trusted(self) -> Sequence[TrustEntry]:
        """Return somebody who gave such a reason."""
        return [self._entry(TrustState.TRUSTED)]

    def pending(self) -> Sequence[TrustEntry]:
        """Return somebody who asks with such a reason."""
        return [self._entry(TrustState.PENDING_IN)]

    def aliases(self) -> Mapping[str, Address]:
        """Return such an alias."""
        return {self.text: ALPHA.address}

    def dht_stats(self) -> Mapping[str, object]:
        """Return a figure with such a name in it."""
        return {"publications": [f"tag {self.text}"], "records": 3}

    async def dht_get(self, target: str) -> Sequence[Mapping[str, object]]:
        """Return a record that holds it, and is named by it."""
        return [{"hostname": self.text, "tags": (self.text,), self.text: {"inner": self.text}}]

    def choices(self, group: str, *, capability: str = "", tags: Sequence[str] = ()) -> tuple[Explanation, ...]:
        """Return somebody of that name."""
        return tuple(replace(one, hostname=self.text, reason=self.text) for one in super().choices(group))

    def _answered(self, verb: str, *, explain: bool = False, **arguments: object) -> Answer:
        self.answer = self.text
        answer = super()._answered(verb, explain=explain, **arguments)
        explained = [replace(one, hostname=self.text, reason=self.text) for one in answer.explanation]
        return replace(answer, explanation=tuple(explained))


class TalkingGroup(FakeGroup):
    """A group whose other member says that text in all its metadata."""

    def __init__(self, node: TalkingNode) -> None:
        super().__init__("research")
        self._node = node

    def say(self) -> None:
        """Take the text over."""
        text = self._node.text
        self.others = [member(ALPHA, text, tags=(text,), capabilities=(text,), version=text)]
        self.kept = [replace(event(text.encode(), text), hostname=text)]

    def info(self) -> GroupInfo:
        """Return facts with such a name."""
        return replace(super().info(), name=self._node.text, topics=(self._node.text,))


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TalkingNode, Callable[..., Result]]]:
    """Return the node, and what runs a command line against its daemon."""
    node = TalkingNode()
    with fake_daemon_in_thread(tmp_path_factory.mktemp("daemon"), node=node) as daemon:

        def invoke(*words: str) -> Result:
            return CliRunner().invoke(program, ["--socket", str(daemon.socket), *words], prog_name="pilotdht")

        yield node, invoke


LISTINGS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "info": ("info",),
    "set-tags": ("set-tags",),
    "netcheck": ("netcheck",),
    "connections": ("connections",),
    "find": ("find", "agent-alpha"),
    "find --tag": ("find", "--tag", "finance"),
    "traceroute": ("traceroute", "agent-alpha"),
    "trust": ("trust",),
    "pending": ("pending",),
    "alias list": ("alias", "list"),
    "dht stats": ("dht", "stats"),
    "dht get": ("dht", "get", "agent-alpha"),
    "group list": ("group", "list"),
    "group info": ("group", "info", "research"),
    "group members": ("group", "members", "research"),
    "query --explain": ("query", "--group", "research", "--explain"),
}
"""Verbs that print as many lines, whatever the text says."""

MESSAGES: dict[str, tuple[str, ...]] = {
    "recv": ("recv", "--count", "1"),
    "subscribe": ("subscribe", "research", "--replay", "--count", "1"),
}
"""Verbs that print messages of many lines."""

ANSWERS: dict[str, tuple[str, ...]] = {
    "query HOST": ("query", "agent-alpha", "x"),
    "query --stream": ("query", "agent-alpha", "x", "--stream"),
    "query --group": ("query", "--group", "research", "x", "--explain"),
}
"""Verbs whose standard output is one text."""


def is_harmless(text: str) -> bool:
    """Return whether a terminal shows a text as it is; written apart from what it judges."""
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if character != "\n" and (
            category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in "\u3164\u2800"
        ):
            return False
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > MAX_MARKS:
            return False
    return True


def without_colours(text: str) -> str:
    """Return a text without the sequences that colour; any other one is left in it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def texts_in(value: object) -> Iterator[str]:
    """Return every text of JSON data, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts_in(item)


def say(node: TalkingNode, text: str) -> None:
    """Have everybody say a text."""
    node.text = text
    group = node.joined["research"]
    assert isinstance(group, TalkingGroup)
    group.say()


def prepared(node: TalkingNode, words: Sequence[str]) -> None:
    """Put a message into the inbox for a verb that reads one."""
    if words[0] == "recv":
        node.inbox.put_nowait(replace(message(node.text.encode()), hostname=node.text))


ALL = LISTINGS | MESSAGES | ANSWERS


def every_hostile_text(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property with each of the texts that attacks are made of, and with drawn ones."""
    for text in HOSTILE:
        test = example(text=text)(test)
    return settings(
        max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
    )(given(text=TEXTS)(test))


@pytest.mark.property
@pytest.mark.parametrize("verb", ALL)
@every_hostile_text
def test_verb_shows_hostile_text_harmless(
    talking: tuple[TalkingNode, Callable[..., Result]], verb: str, text: str
) -> None:
    """No control reaches the terminal with or without colours, and no line is forged."""
    node, run = talking
    words = ALL[verb]
    say(node, PLAIN)
    prepared(node, words)
    plain = run(*words)
    say(node, text)
    prepared(node, words)
    shown = run(*words)
    prepared(node, words)
    coloured = run("--color", "always", *words)

    assert (0, 0, 0) == (plain.exit_code, shown.exit_code, coloured.exit_code), shown.output
    for told in (shown.stdout + shown.stderr, without_colours(coloured.output)):
        assert is_harmless(told if verb in LISTINGS else told.replace("\t", ""))  # tabulators belong to messages
    assert PLAIN in plain.output
    if verb in LISTINGS:
        assert len(plain.stdout.splitlines()) == shown.stdout.count("\n")
    if verb in MESSAGES:
        first, *others = shown.stdout.removesuffix("\n").split("\n")
        assert one_line(text) in first
        assert all(line.startswith("    ") for line in others)
    assert len(plain.stderr.splitlines()) == shown.stderr.count("\n")


@pytest.mark.property
@pytest.mark.parametrize("verb", ALL)
@every_hostile_text
def test_json_keeps_hostile_text_and_escapes_it(
    talking: tuple[TalkingNode, Callable[..., Result]], verb: str, text: str
) -> None:
    """A program reads the very text; a terminal that it is printed on obeys nothing."""
    node, run = talking
    words = ALL[verb]
    say(node, text)
    prepared(node, words)
    result = run("--json", *words)

    assert 0 == result.exit_code, result.output
    assert result.stdout.replace("\n", "").isprintable()
    told = [one for line in result.stdout.splitlines() for one in texts_in(json.loads(line)["data"])]
    if verb == "query --stream":
        assert text in "".join(told)
    else:
        assert any(text in one for one in told)


@pytest.mark.property
@every_hostile_text
def test_table_on_a_terminal_shows_hostile_text_harmless(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Neither escape sequences nor markup of the library that draws; nothing wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Output(is_json=False, color="never").table(("ADDRESS", "REASON"), [("0:EFE4.7CE4.477C", text)], empty="")
    drawn = without_colours(capsys.readouterr().out)

    assert is_harmless(drawn)
    assert "".join(short_line(text).split()) in "".join(drawn.split())


@pytest.mark.property
@every_hostile_text
def test_error_shows_hostile_text_harmless(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A peer's reason stands in the errors of others: a line each, and JSON that keeps it."""
    errors: list[PilotError] = [NotTrusted(text, hint=text), Ambiguous(text, claims=(text, text))]
    for error in errors:
        show_error(error, is_json=False)
        shown = capsys.readouterr().err
        show_error(error, is_json=True)
        told = capsys.readouterr().out

        assert is_harmless(shown)
        assert 2 + len(getattr(error, "claims", ())) == shown.count("\n")
        assert text == json.loads(told)["message"]
        assert told.removesuffix("\n").isprintable()


@pytest.mark.property
@every_hostile_text
def test_texts_are_harmless_and_as_long_as_promised(text: str) -> None:
    """One line is one line, what is cut says so, and JSON is read back as it was."""
    assert is_harmless(one_line(text))
    assert "\n" not in one_line(text)
    assert is_harmless(many_lines(text).replace("\t", ""))
    assert text.count("\n") == many_lines(text).count("\n")
    assert (len(text) > MOST_CHARS) == (f"(+{len(text) - MOST_CHARS} characters)" in short_line(text))
    assert {"a": text} == json.loads(json_text({"a": text})) == json.loads(json_text({"a": text}, indent=2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[2J\x9b1m\nb\tc", "a\\x1b[2J\\x9b1m\\nb\\tc"),
        ("a\u202eb", "a\\u202eb"),
        ("a\U000e0041", "a\\U000e0041"),
        ("\u3164", "\\u3164"),
        ("e\u0301 名前 שלום 😀\ufe0f", "e\u0301 名前 שלום 😀\ufe0f"),
        ("a" + "\u0301" * 6, "a" + "\u0301" * 4 + "\\u0301" * 2),
    ],
)
def test_what_is_not_seen_becomes_an_escape(text: str, expected: str) -> None:
    """Letters of every script stay, with the marks that scripts need."""
    assert expected == one_line(text)


def test_lone_surrogates_stay_valid_json() -> None:
    """They come from JSON that somebody else made, and cannot be written as UTF-8."""
    assert '{"a": "\\ud800"}' == json_text({"a": "\ud800"})


def test_answer_on_a_terminal_is_shown_and_elsewhere_kept(
    talking: tuple[TalkingNode, Callable[..., Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets the peer's bytes; a terminal gets nothing that drives it."""
    _, run = talking
    words = ("connect", "agent-alpha", "--message")
    piped = run(*words, "\x1b[2jx")
    monkeypatch.setattr("pilotdht.cli.connect.is_terminal", lambda: True)
    shown = run(*words, "\x1b[2jx")

    assert "\x1b[2JX\n" == piped.stdout
    assert "\\x1b[2JX\n" == shown.stdout


def test_bytes_that_are_no_text_are_not_written_to_a_terminal(
    talking: tuple[TalkingNode, Callable[..., Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted instead; the hint says how to get them."""
    _, run = talking
    monkeypatch.setattr("pilotdht.cli.connect.is_terminal", lambda: True)
    monkeypatch.setattr("pilotdht.cli.connect.message_data", lambda text: b"\xff\x1b")
    result = run("connect", "agent-alpha", "--message", "x")

    assert ("", "2 bytes that are no text; redirect standard output to keep them\n") == (result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("name", "expected"), [("alpha", True), ("alice.acme", True), ("a b", False), ("$(id)", False), ("a\n", False)]
)
def test_names_that_complete_a_word_are_names(name: str, expected: bool) -> None:
    """A shell acts on what it is handed."""
    assert expected == is_typed(name)


def test_nothing_prints_past_the_output_but_what_is_known() -> None:
    """The verbs not tried above print through the same methods: past these no text of a peer can reach a terminal."""
    printing: dict[str, int] = {}
    for path in sorted((ROOT / "pilotdht" / "cli").glob("*.py")):
        count = len(
            re.findall(r"click\.s?echo\(|sys\.(?:stdout|stderr)\.(?:write|buffer\.write)|\bprint\(", path.read_text())
        )
        if count and path.name != "output.py":
            printing[path.name] = count
    expected = {
        "completion.py": 1,  # a script of our own
        "connect.py": 2,  # bytes for a pipe, and an answer where standard output is no terminal
        "context.py": 1,  # the command line as JSON, escaped
        "group_views.py": 1,  # a QR code
        "key.py": 1,  # the own key
        "program.py": 1,  # the version
    }
    assert expected == printing
