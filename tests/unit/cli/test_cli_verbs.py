"""Each verb prints what its description promises, for people and as JSON, and ends with the right code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pilotdht.cli.program import program
from pilotdht.daemon.shapes import InfoShape
from pilotdht.errors import Ambiguous, KeyChanged, LinkClosed, NotFound, NotTrusted, PilotError, TimedOut, Unreachable
from tests.support.fake_daemon import FakeDaemon, fake_daemon_in_thread
from tests.support.fake_node import ALPHA, OWN, message

Run = Callable[..., Result]
THEIRS = str(ALPHA.address)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Return a daemon around a fake node."""
    with fake_daemon_in_thread(tmp_path) as running:
        yield running


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    """Return what runs a command line against the daemon."""

    def invoke(*words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(program, ["--socket", str(daemon.socket), *words], input=stdin, prog_name="pilotdht")

    return invoke


def data_of(result: Result) -> dict[str, object]:
    """Return the data of a JSON result."""
    envelope = json.loads(result.stdout)
    assert "ok" == envelope["status"]
    assert isinstance(envelope["data"], dict)
    return envelope["data"]


def test_ping_prints_the_reply_as_guides_print_it(run: Run) -> None:
    """The line has mark, address and time in this order."""
    result = run("ping", "agent-alpha")

    assert (0, f"✓ reply from {THEIRS} · 38ms\n") == (result.exit_code, result.stdout)


def test_ping_several_times_ends_with_a_summary(run: Run) -> None:
    """Each reply has its line; the last line counts."""
    result = run("ping", "agent-alpha", "--count", "3", "--interval", "1ms")

    assert 4 == len(result.stdout.splitlines())
    assert result.stdout.splitlines()[-1].startswith("3 of 3 replies")


def test_ping_as_json_tells_each_reply(run: Run) -> None:
    """One document, however many replies."""
    data = data_of(run("--json", "ping", "agent-alpha", "-c", "2", "-i", "1ms"))

    assert {"address": THEIRS, "sent": 2, "received": 2, "replies": [{"rtt_ms": 38.0, "road": "direct"}] * 2} == data


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("gone"), 3),
        (TimedOut("late"), 3),
        (LinkClosed("broke"), 3),
        (NotFound("nobody"), 4),
        (NotTrusted("no"), 1),
        (KeyChanged("changed"), 1),
        (Ambiguous("two", claims=("one", "other")), 1),
    ],
)
def test_ping_without_any_reply_fails_with_the_error_s_code(
    run: Run, daemon: FakeDaemon, error: PilotError, code: int
) -> None:
    """A ping that nobody answers never ends with success."""
    daemon.node.failure = error

    for words in (["ping", "agent-alpha"], ["ping", "agent-alpha", "-c", "2", "-i", "1ms"]):
        result = run(*words)
        assert code == result.exit_code
        assert f"error: {error.message}\n" in result.stderr
        assert f"hint: {error.hint}\n" in result.stderr


def test_error_as_json_is_an_envelope_on_standard_output(run: Run) -> None:
    """Programs find errors where they find results."""
    result = run("ping", "nobody", "--json")

    envelope = json.loads(result.stdout)
    assert (4, "") == (result.exit_code, result.stderr)
    assert ("error", "not_found") == (envelope["status"], envelope["code"])
    assert envelope["message"]
    assert envelope["hint"]


def test_connect_prints_the_tunnel_as_guides_print_it(run: Run) -> None:
    """The line has address and time in this order."""
    result = run("connect", "agent-alpha")

    assert (0, f"Tunnel established · {THEIRS} · 22ms\n") == (result.exit_code, result.stdout)


def test_disconnect_tells_whether_there_was_a_tunnel(run: Run) -> None:
    """One line."""
    assert "Tunnel closed\n" == run("disconnect", "agent-alpha").stdout


def test_connect_with_a_message_prints_the_answer(run: Run) -> None:
    """The answer, and nothing else."""
    assert "HELLO\n" == run("connect", "agent-alpha", "--message", "hello").stdout
    assert {"address": THEIRS, "answer": "HELLO"} == data_of(
        run("connect", "agent-alpha", "--json", "--message", "hello")
    )


def test_connect_reads_a_message_from_standard_input(run: Run) -> None:
    """A dash stands for standard input, which may hold any bytes."""
    result = run("connect", "agent-alpha", "--message", "-", stdin=b"\xff\x00a")
    shown = data_of(run("connect", "agent-alpha", "--json", "--message", "-", stdin=b"\xff"))

    assert b"\xff\x00A" == result.stdout_bytes
    assert {"address": THEIRS, "answer_base64": "/w=="} == shown


def test_send_tells_that_the_peer_has_it(run: Run, daemon: FakeDaemon) -> None:
    """Success means stored or handled by the peer."""
    result = run("send", "agent-alpha", "1001", "--message", "hi")

    assert (0, f"Delivered · {THEIRS} port 1001 · 2 bytes\n") == (result.exit_code, result.stdout)
    assert [("agent-alpha", b"hi", 1001)] == daemon.node.sent


def test_send_that_the_peer_did_not_take_fails(run: Run, daemon: FakeDaemon) -> None:
    """No success is told when the peer has no room."""
    daemon.node.failure = LinkClosed("the peer refused the message")

    assert 3 == run("send", "agent-alpha", "--message", "hi").exit_code


def test_recv_prints_messages_and_ends_at_the_count(run: Run, daemon: FakeDaemon) -> None:
    """Each message has its line; terminal controls in it are made visible."""
    daemon.node.inbox.put_nowait(message(b"one"))
    daemon.node.inbox.put_nowait(message(b"\x1b[2Jtwo"))
    result = run("recv", "--count", "2")

    assert (0, "agent-alpha: one\nagent-alpha: \\x1b[2Jtwo\n") == (result.exit_code, result.stdout)


def test_recv_as_json_prints_an_object_a_line(run: Run, daemon: FakeDaemon) -> None:
    """Streams are lines of JSON; data that is no text is base64."""
    daemon.node.inbox.put_nowait(message(b"one"))
    daemon.node.inbox.put_nowait(message(b"\xff"))
    lines = [json.loads(line)["data"] for line in run("recv", "--json", "--count", "2").stdout.splitlines()]

    assert ["one", "/w=="] == [lines[0]["data"], lines[1]["data_base64"]]
    assert {"peer", "address", "hostname", "port", "data"} == set(lines[0])


def test_recv_without_a_message_in_time_fails(run: Run) -> None:
    """Waiting is bounded when asked for."""
    assert 3 == run("recv", "--timeout", "50ms").exit_code


def test_find_host_prints_the_peer(run: Run) -> None:
    """All facts of one peer."""
    result = run("find", "agent-alpha")

    assert f"Address: {THEIRS}\n" in result.stdout
    assert "Tags: finance\n" in result.stdout
    assert THEIRS == data_of(run("find", "agent-alpha", "--json"))["address"]


def test_find_tag_prints_a_table(run: Run) -> None:
    """A line a peer; all tags given must fit."""
    result = run("find", "--tag", "finance")

    assert ["ADDRESS", "HOSTNAME", "TAGS"] == result.stdout.splitlines()[0].split()
    assert [THEIRS, "agent-alpha", "finance"] == result.stdout.splitlines()[1].split()
    assert 4 == run("find", "--tag", "finance", "--tag", "mcp").exit_code


def test_find_nobody_by_tag_is_not_found(run: Run) -> None:
    """No peer is an error, so that scripts see it."""
    assert 4 == run("find", "--tag", "nothing").exit_code


@pytest.mark.parametrize("words", [["find"], ["find", "agent-alpha", "--tag", "finance"]])
def test_find_wants_one_of_host_and_tag(run: Run, words: list[str]) -> None:
    """Neither and both are wrong usage."""
    assert 2 == run(*words).exit_code


@pytest.mark.parametrize("verb", ["status", "info"])
def test_status_tells_who_this_node_is(run: Run, verb: str) -> None:
    """People see the facts, programs all declared keys."""
    result = run(verb)

    assert f"Address: {OWN.address}\n" in result.stdout
    assert "Uptime: 1m\n" in result.stdout
    assert set(InfoShape.__annotations__) == set(data_of(run(verb, "--json")))


def test_own_name_and_tags_are_changed(run: Run, daemon: FakeDaemon) -> None:
    """Tags may be given as words or with commas."""
    assert "Hostname: other\n" == run("set-hostname", "other").stdout
    assert "Tags: a, b, c\n" == run("set-tags", "a,b", "c").stdout
    assert ("other", ("a", "b", "c")) == (daemon.node.hostname, daemon.node.tags)
    assert "Tags: none\n" == run("set-tags").stdout


def test_tables_of_peers_and_tunnels(run: Run) -> None:
    """Plain columns when no terminal is there."""
    peers, connections = run("peers"), run("connections")

    assert [THEIRS, "127.0.0.1:4002", "38ms", "2s", "ago"] == peers.stdout.splitlines()[1].split()
    assert "1.5 KB" in connections.stdout
    assert "\x1b" not in peers.stdout + connections.stdout


def test_peers_can_be_searched(run: Run) -> None:
    """Only what fits is listed."""
    assert [] == data_of(run("peers", "--search", "10.", "--json"))["peers"]
    assert 1 == len(str(data_of(run("peers", "--search", "4002", "--json"))["peers"]).split("endpoint")) - 1


def test_traceroute_tells_each_step(run: Run) -> None:
    """Who knew the peer, where it is, and what each step took."""
    lines = run("traceroute", "agent-alpha").stdout.splitlines()

    assert 6 == len(lines)
    assert " 1  resolved by name claim · 2.0ms" == lines[1]
    assert " 5  NAT here: not known · there: one port for all (cone)" == lines[5]


def test_trust_goes_from_asking_to_taking_back(run: Run, daemon: FakeDaemon) -> None:
    """Each step tells where trust stands."""
    daemon.node.ask_for_trust("please")

    assert "please" in run("pending").stdout
    assert f"Asked; waiting for the peer's approval · {THEIRS}\n" == run("handshake", "agent-alpha", "work").stdout
    assert f"Trusted · {THEIRS}\n" == run("approve", "agent-alpha").stdout
    assert "agent-alpha" in run("trust").stdout
    assert [] == data_of(run("trust", "--search", "zzz", "--json"))["trusted"]
    assert f"No trust · {THEIRS}\n" == run("untrust", "agent-alpha").stdout
    assert f"Rejected · {THEIRS}\n" == run("reject", "agent-alpha", "no").stdout
    assert ("", "Nobody is trusted.\n") == (run("trust").stdout, run("trust").stderr)


def test_dht_verbs_print_what_was_found(run: Run) -> None:
    """Lookup, records and figures."""
    assert "1 closest nodes · 3 requests · 2 hops" in run("dht", "lookup", "agent-alpha").stdout
    assert "tags: finance\n" in run("dht", "get", "agent-alpha").stdout
    assert "Records: 3\n" in run("dht", "stats").stdout


def test_daemon_status_tells_by_exit_code(run: Run, tmp_path: Path) -> None:
    """With --check nothing is printed at all."""
    assert (0, "Daemon running (pid 4711)\n") == (run("daemon", "status").exit_code, run("daemon", "status").stdout)
    assert (0, "") == (run("daemon", "status", "--check").exit_code, run("daemon", "status", "--check").stdout)

    missing = CliRunner().invoke(program, ["--socket", str(tmp_path / "none"), "daemon", "status", "--check"])
    assert (5, "", "") == (missing.exit_code, missing.stdout, missing.stderr)


def test_missing_daemon_is_told_with_its_own_code(tmp_path: Path) -> None:
    """Every verb that needs one says how to start it."""
    result = CliRunner().invoke(program, ["ping", "agent-alpha", "--socket", str(tmp_path / "none")])

    assert 5 == result.exit_code
    assert "hint: start one with 'pilotdht daemon start'" in result.stderr


def test_version_tells_program_and_daemon(run: Run) -> None:
    """Versions of both sides."""
    assert "0.1.0" == data_of(run("version", "--json"))["daemon"]


def test_daemon_of_another_version_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remark goes to standard error and changes nothing else."""
    monkeypatch.setattr("pilotdht.daemon.http.VERSION_HEADER", ("pilotdht-version", "9.9.9"))
    result = run("ping", "agent-alpha")

    assert (0, f"✓ reply from {THEIRS} · 38ms\n") == (result.exit_code, result.stdout)
    assert "the daemon has version 9.9.9" in result.stderr


def test_options_count_before_and_after_the_verb(daemon: FakeDaemon) -> None:
    """The same option may stand in both places."""
    socket = str(daemon.socket)
    for words in (
        ["--json", "--socket", socket, "ping", "agent-alpha"],
        ["ping", "--json", "--socket", socket, "agent-alpha"],
        ["ping", "agent-alpha", "--socket", socket, "--json"],
        ["--socket", "/nowhere", "--json", "ping", "agent-alpha", "--socket", socket],
        ["dht", "--json", "--socket", socket, "stats"],
    ):
        assert data_of(CliRunner().invoke(program, words))


def test_colours_only_when_wanted(run: Run) -> None:
    """No terminal, no colours; asked for, there they are."""
    assert "\x1b" not in run("ping", "agent-alpha").stdout
    assert "\x1b[32m✓" in run("--color", "always", "ping", "agent-alpha").stdout
    assert "\x1b" not in run("ping", "agent-alpha", "--color", "never").stdout


def test_ping_until_direct_ends_with_the_first_direct_reply(run: Run) -> None:
    """It asks no more than it has to."""
    data = data_of(run("--json", "ping", "agent-alpha", "--until-direct", "-i", "1ms"))
    assert {"sent": 1, "replies": [{"rtt_ms": 38.0, "road": "direct"}]}.items() <= data.items()


def test_ping_until_direct_fails_when_all_replies_are_relayed(run: Run, daemon: FakeDaemon) -> None:
    """Each reply tells the relay, the failure what to look at."""
    daemon.node.relay = ALPHA.address
    result = run("ping", "agent-alpha", "--until-direct", "-c", "2", "-i", "1ms")

    assert 3 == result.exit_code
    assert 2 == result.stdout.count(f"relayed by {THEIRS}")
    assert "through a relay only" in result.stderr


def test_connections_tell_who_relays(run: Run, daemon: FakeDaemon) -> None:
    """The endpoint shown is the relay's then."""
    daemon.node.relay = ALPHA.address
    assert "via 127.0.0.1:4002" in run("connections").stdout


def test_netcheck_tells_nat_servers_and_what_to_do(run: Run) -> None:
    """The findings stand last, each with its mark."""
    lines = run("netcheck").stdout.splitlines()

    assert any("mapping endpoint-independent, filtering dependent" in line for line in lines)
    assert any(line.startswith("! No router answers.") for line in lines)
    assert "    Allow PCP." == lines[-1]
