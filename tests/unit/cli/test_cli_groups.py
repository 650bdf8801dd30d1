"""The verbs of groups, messages and orgs print what they promise, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import segno
from click.testing import CliRunner, Result

from pilotdht.cli.group_views import qr_code
from pilotdht.cli.output import moment
from pilotdht.cli.program import program
from pilotdht.gossip.values import GroupKind, MemberStatus
from pilotdht.wire.certificates import Role
from pilotdht.wire.invitations import parse_invitation
from tests.support.fake_daemon import FakeDaemon, fake_daemon_in_thread
from tests.support.fake_groups import NOW, SECRET, FakeGroup, event, member
from tests.support.fake_node import ALPHA, OWN

Run = Callable[..., Result]
THEIRS = str(ALPHA.address)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Return a daemon around a fake node in an open group and in an org."""
    with fake_daemon_in_thread(tmp_path) as running:
        running.node.joined["research"] = FakeGroup("research")
        running.node.joined["acme"] = FakeGroup("acme", GroupKind.ORG)
        yield running


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    """Return what runs a command line against the daemon."""

    def invoke(*words: str, stdin: bytes | None = None, **environment: str) -> Result:
        words = ("--socket", str(daemon.socket), *words)
        return CliRunner().invoke(program, words, input=stdin, prog_name="pilotdht", env=environment)

    return invoke


def data_of(result: Result) -> dict[str, object]:
    """Return the data of a JSON result."""
    envelope = json.loads(result.stdout)
    assert "ok" == envelope["status"]
    assert isinstance(envelope["data"], dict)
    return envelope["data"]


def test_group_is_created_joined_and_left(run: Run, daemon: FakeDaemon) -> None:
    """Each step has its line; what can be answered is told to the node."""
    created = run("group", "create", "weather", "--tag", "a", "--can", "forecast", "--can", "radar")
    group = daemon.node.group("weather")

    assert (0, "Created weather · open · 2 members\n") == (created.exit_code, created.stdout)
    assert [(("a",), ("forecast", "radar"), None)] == group.told
    assert "Joined other · open · 2 members\n" == run("group", "join", "other").stdout
    assert "Left weather\n" == run("group", "leave", "weather").stdout
    assert 4 == run("group", "leave", "weather").exit_code
    assert 1 == run("group", "join", "other").exit_code


@pytest.mark.parametrize(
    ("words", "stdin", "environment"),
    [
        (["--token", SECRET], None, {}),
        (["--token", "-"], SECRET.encode() + b"\n", {}),
        ([], None, {"PILOTDHT_TOKEN": SECRET}),
        (["--kind", "token"], None, {"PILOTDHT_TOKEN": SECRET}),
        (["--kind", "token", "--token", "-"], SECRET.encode(), {"PILOTDHT_TOKEN": "wrong"}),
    ],
)
def test_secret_of_a_group_need_not_be_on_the_command_line(
    run: Run, daemon: FakeDaemon, words: list[str], stdin: bytes | None, environment: dict[str, str]
) -> None:
    """From standard input or the environment it shows in no list of processes."""
    result = run("group", "create", "finance", *words, stdin=stdin, **environment)

    assert 0 == result.exit_code, result.stderr
    assert GroupKind.TOKEN is daemon.node.group("finance").kind
    assert SECRET not in result.output


def test_secret_in_the_environment_makes_no_other_kind_fail(run: Run, daemon: FakeDaemon) -> None:
    """It is for token groups; one on the command line would be told as a mistake."""
    assert 0 == run("group", "create", "one", "--kind", "invite", PILOTDHT_TOKEN=SECRET).exit_code
    assert 2 == run("group", "create", "two", "--kind", "invite", "--token", SECRET).exit_code
    assert GroupKind.INVITE is daemon.node.group("one").kind


@pytest.mark.parametrize("stdin", [b"", b" \n", b"x" * 5000])
def test_standard_input_that_holds_no_secret_is_told(run: Run, stdin: bytes) -> None:
    """An empty secret would be everybody's."""
    assert 2 == run("group", "join", "finance", "--token", "-", stdin=stdin).exit_code


@pytest.mark.parametrize(
    ("words", "stdin", "environment"),
    [
        (["group", "join", "--invitation", "pdht1x"], None, {}),
        (["group", "join", "acme", "--invitation", "-"], b"pdht1x\n", {}),
        (["group", "join"], None, {"PILOTDHT_INVITATION": "pdht1x"}),
        (["group", "join", "acme"], None, {"PILOTDHT_INVITATION": "pdht1x", "PILOTDHT_TOKEN": "other"}),
        (["join", "--org", "acme", "--token", "pdht1x"], None, {}),
        (["join", "--org", "acme", "--token", "-"], b"pdht1x\n", {}),
        (["join", "--org", "acme"], None, {"PILOTDHT_INVITATION": "pdht1x"}),
    ],
)
def test_invitation_is_accepted_from_everywhere(
    run: Run, daemon: FakeDaemon, words: list[str], stdin: bytes | None, environment: dict[str, str]
) -> None:
    """Argument, standard input, environment."""
    daemon.node.joined.clear()
    result = run(*words, stdin=stdin, **environment)

    assert (0, "Joined acme · org · 2 members\n") == (result.exit_code, result.stdout), result.stderr
    assert ["pdht1x"] == daemon.node.invitations


def test_invitation_to_another_org_is_refused(run: Run) -> None:
    """The name that was typed is checked against it."""
    result = run("join", "--org", "umbrella", "--token", "pdht1x")

    assert 2 == result.exit_code
    assert "the invitation is to 'acme'" in result.stderr


def test_groups_are_listed(run: Run, daemon: FakeDaemon) -> None:
    """A line each; one that expelled this node says so."""
    daemon.node.group("acme").is_expelled = True
    lines = [line.split() for line in run("group", "list").stdout.splitlines()]

    assert ["NAME", "KIND", "ROLE", "MEMBERS", "MESSAGES", "EXPIRES"] == lines[0]
    assert ["acme", "org", "expelled", "2", "0"] == lines[1][:5]
    assert ["research", "open", "member", "2", "0", "-"] == lines[2]
    assert ["acme"] == [group["name"] for group in data_of(run("org", "list", "--json"))["orgs"]]  # type: ignore[attr-defined]
    daemon.node.joined.clear()
    assert ("", "In no group.\n") == (run("group", "list").stdout, run("group", "list").stderr)


def test_group_is_shown(run: Run, daemon: FakeDaemon) -> None:
    """All facts of one group, and in the status of the node all groups."""
    result = run("group", "info", "research")

    assert "Kind: open\n" in result.stdout
    assert "Members: 2 there\n" in result.stdout
    assert f"Id: {daemon.node.group('research').info().group_id.hex()}\n" in result.stdout
    assert "Groups: acme, research\n" in run("status").stdout
    assert 4 == run("group", "info", "nothing").exit_code


def test_members_are_listed(run: Run, daemon: FakeDaemon) -> None:
    """Those that are there, unless all are wanted; what a member says cannot drive the terminal."""
    gone = member(OWN, "old\x1b[2J", status=MemberStatus.DEAD, since_s=61.0, is_self=False, capabilities=())
    daemon.node.group("research").others.append(gone)
    shown, everybody = run("group", "members", "research"), run("group", "members", "research", "--all")
    lines = [line.split() for line in shown.stdout.splitlines()]

    assert ["HOSTNAME", "ADDRESS", "STATUS", "RTT", "LOAD", "CAN", "TAGS"] == lines[0]
    assert ["agent-own", str(OWN.address), "alive", "self", "-", "citations", "finance"] == lines[1]
    assert ["agent-alpha", THEIRS, "alive", "38ms", "30%", "citations", "finance"] == lines[2]
    assert 3 == len(lines)
    assert "old\\x1b[2J" in everybody.stdout
    assert "dead 1m" in everybody.stdout
    assert "\x1b" not in everybody.stdout
    assert "\x1b[32malive" in run("--color", "always", "group", "members", "research").stdout
    assert 3 == len(data_of(run("group", "members", "research", "--all", "--json"))["members"])  # type: ignore[arg-type]
    assert 2 == len(data_of(run("org", "members", "--json"))["members"])  # type: ignore[arg-type]


def test_what_a_member_says_of_itself_is_changed(run: Run, daemon: FakeDaemon) -> None:
    """What is not given stays."""
    assert "Told the members of research\n" == run("group", "set", "research", "--load", "30").stdout
    run("group", "set", "research", "--tag", "a", "--no-capabilities")

    assert [(None, None, 30), (("a",), (), None)] == daemon.node.group("research").told


@pytest.mark.parametrize("words", [["group", "invite", "acme"], ["org", "invite", "acme"], ["org", "invite"]])
def test_invitation_is_a_line_of_text(run: Run, words: list[str]) -> None:
    """Standard output has the line alone, so that it can be piped on."""
    result = run(*words, "--hostname", "bob", "--expires", "1d")
    invitation = parse_invitation(result.stdout)

    assert ("acme", "bob", Role.MEMBER) == (invitation.name, invitation.chain.hostname, invitation.role)
    assert 86_400 == invitation.expires_s - invitation.chain.links[0].issued_s
    assert 1 == len(result.stdout.splitlines())
    assert "whoever has it may join" in result.stderr


def test_admin_is_made_of_a_certain_key(run: Run) -> None:
    """Nobody else can use that line."""
    made = data_of(run("org", "invite", "--admin", ALPHA.did, "--json"))

    assert ("admin", ALPHA.did) == (made["role"], made["holder"])
    assert ALPHA.public_key == parse_invitation(str(made["invitation"])).holder
    assert f"for {ALPHA.did} alone" in run("org", "invite", "--for", ALPHA.did).stderr


def test_invitation_is_a_qr_code_when_wanted(run: Run) -> None:
    """The code below the line is that of the line."""
    line, *code = run("org", "invite", "--qr").stdout.splitlines()

    assert qr_code(line) == code
    assert len({len(row) for row in code}) == 1


def test_qr_code_has_the_modules_of_the_text() -> None:
    """Each half block is what the code has there; a light edge surrounds it."""
    rows = [[bool(module) for module in row] for row in segno.make_qr("pdht1abc", error="l").matrix]
    halves = {"█": (False, False), "▀": (False, True), "▄": (True, False), " ": (True, True)}
    drawn: list[list[bool]] = []
    for line in qr_code("pdht1abc"):
        drawn += [[halves[block][half] for block in line] for half in (0, 1)]

    assert rows == [row[2:-2] for row in drawn[2 : 2 + len(rows)]]
    assert not any(any(row) for row in drawn[:2] + drawn[2 + len(rows) :])
    assert not any(row[0] or row[1] or row[-1] or row[-2] for row in drawn)


def test_member_is_expelled(run: Run, daemon: FakeDaemon) -> None:
    """By any of its names, with a reason."""
    result = run("org", "revoke", "acme", "agent-alpha", "--reason", "left")

    assert f"Expelled agent-alpha from acme · {THEIRS}\n" == result.stdout
    assert [(ALPHA.public_key, "left")] == daemon.node.group("acme").revoked
    assert 4 == run("group", "revoke", "acme", "nobody").exit_code


@pytest.mark.parametrize("words", [["group", "rotate", "acme"], ["org", "rotate", "acme"], ["org", "rotate"]])
def test_key_of_a_group_is_replaced(run: Run, daemon: FakeDaemon, words: list[str]) -> None:
    """Who has to do what until when is told; a week is the default."""
    result = run(*words, "--grace", "30d")
    until = moment(NOW + 30 * 86_400)

    assert (0, f"acme has another key · members move until {until}\n") == (result.exit_code, result.stdout)
    for told in ("move by themselves", "offline for longer needs a new invitation", "void afterwards", "Back up"):
        assert told in result.stderr
    data = data_of(run(*words, "--json"))
    assert [30 * 86_400.0, 7 * 86_400.0] == daemon.node.group("acme").rotated
    assert ("acme", NOW + 7 * 86_400.0) == (data["group"], data["moves_until_s"])


def test_key_that_cannot_be_replaced_is_told(run: Run, daemon: FakeDaemon) -> None:
    """That of a group that anybody can join, of a group that is no org, in no time at all."""
    refused = run("group", "rotate", "research")

    assert (2, "") == (refused.exit_code, refused.stdout)
    assert "cannot have another key" in refused.stderr
    assert 4 == run("org", "rotate", "research").exit_code
    assert 4 == run("group", "rotate", "nothing").exit_code
    assert 2 == run("org", "rotate", "--grace", "soon").exit_code
    assert [] == daemon.node.group("acme").rotated


def test_group_that_moves_or_expelled_this_node_is_shown_so(run: Run, daemon: FakeDaemon) -> None:
    """Until when it moves, for people and as JSON; a role that does not count any more is not shown."""
    shown, data = run("group", "info", "acme").stdout, data_of(run("group", "info", "acme", "--json"))
    assert f"New key: members move until {moment(NOW + 60)}\n" in shown
    assert "Role: owner\n" in shown
    assert (False, NOW + 60.0) == (data["is_expelled"], data["moves_until_s"])

    daemon.node.group("acme").is_expelled = True
    assert "Role: expelled\n" in run("group", "info", "acme").stdout
    assert data_of(run("group", "info", "acme", "--json"))["is_expelled"] is True
    still = data_of(run("group", "info", "research", "--json"))
    assert (False, None) == (still["is_expelled"], still["moves_until_s"])


def test_org_need_not_be_named_when_there_is_one(run: Run, daemon: FakeDaemon) -> None:
    """With none or several it must."""
    assert 4 == run("org", "members", "research").exit_code
    daemon.node.joined["umbrella"] = FakeGroup("umbrella", GroupKind.ORG)
    several = run("org", "members")
    assert (2, "hint: name one of acme, umbrella") == (several.exit_code, several.stderr.splitlines()[-1])
    daemon.node.joined.clear()
    assert 4 == run("org", "members").exit_code


def test_org_is_created_and_left(run: Run, daemon: FakeDaemon) -> None:
    """Who holds the key is told."""
    created = run("org", "create", "umbrella")

    assert "Created umbrella · org · 2 members\n" == created.stdout
    assert "org invite umbrella" in created.stderr
    assert "Left umbrella\n" == run("org", "leave", "umbrella").stdout
    assert 4 == run("org", "leave", "research").exit_code


def test_messages_are_sent(run: Run, daemon: FakeDaemon, tmp_path: Path) -> None:
    """From the command line, standard input or a file; any bytes."""
    file = tmp_path / "content"
    file.write_bytes(b"\xff\x00")
    results = [
        run("broadcast", "research", "hello"),
        run("broadcast", "research", stdin=b"from a pipe"),
        run("publish", "research", "prices.eur", "1.08"),
        run("publish", "research", "prices.eur", "--file", str(file)),
    ]

    assert "Sent to research · broadcast · 5 bytes\n" == results[0].stdout
    assert [0] * 4 == [result.exit_code for result in results]
    expected = [("broadcast", b"hello"), ("broadcast", b"from a pipe"), ("prices.eur", b"1.08")]
    assert [*expected, ("prices.eur", b"\xff\x00")] == daemon.node.group("research").published
    assert 2 == run("publish", "research", "Bad Topic", "x").exit_code
    assert 2 == run("publish", "research", "a", "--file", str(tmp_path / "none")).exit_code
    assert 2 == run("broadcast", "research", stdin=b"x" * ((1 << 20) + 1)).exit_code


def test_kept_messages_are_read(run: Run, daemon: FakeDaemon) -> None:
    """A line each; what a peer sent cannot drive the terminal; how many there were goes to standard error."""
    daemon.node.group("research").kept = [event(b"1.08\x1b[2J"), event(b"\xff", sequence=2)]
    result = run("subscribe", "research", "prices.*", "--replay", "--count", "2")

    expected = "prices.eur agent-alpha: 1.08\\x1b[2J\nprices.eur agent-alpha: (1 bytes that are no text)\n"
    assert (0, expected) == (result.exit_code, result.stdout)
    assert ["Subscribed to prices.* in research", "2 messages, 0 missed"] == result.stderr.splitlines()


def test_messages_as_json_are_an_object_a_line(run: Run, daemon: FakeDaemon) -> None:
    """Text as text, anything else as base64."""
    daemon.node.group("research").kept = [event(b"1.08"), event(b"\xff", sequence=2)]
    result = run("subscribe", "research", "--replay", "--count", "2", "--json")
    lines = [json.loads(line)["data"] for line in result.stdout.splitlines()]

    assert ["1.08", "/w=="] == [lines[0]["data"], lines[1]["data_base64"]]
    assert ALPHA.did == lines[0]["sender"]


@pytest.mark.parametrize("words", [["subscribe", "nothing"], ["group", "members", "nothing", "--watch"]])
def test_group_that_is_not_there_cannot_be_read(run: Run, words: list[str]) -> None:
    """An error, not an endless wait."""
    assert 4 == run(*words).exit_code
