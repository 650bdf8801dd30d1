"""The frame of the command line: help, examples, catalogue, wrong usage, exit codes, cheap imports."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pilotdht import __version__
from pilotdht.cli.arguments import SECONDS
from pilotdht.cli.context import catalogue
from pilotdht.cli.exits import EXIT_CODES, exit_code
from pilotdht.cli.hostnames import known_hostnames
from pilotdht.cli.output import Output, duration, milliseconds, size
from pilotdht.cli.peers import CONNECTION_COLUMNS, SPARE_COLUMNS
from pilotdht.cli.program import COMMANDS, Verb, program
from pilotdht.daemon.envelope import error_classes
from tests.support.fake_daemon import fake_daemon_in_thread
from tests.support.fake_groups import FakeGroup

HEAVY = ("aioquic", "asyncio", "cryptography", "h11", "kademlia", "prometheus_client", "rich")


def verbs() -> dict[str, Verb]:
    """Return every verb by its path."""
    found: dict[str, Verb] = {}

    def collect(command: click.Command, path: str, context: click.Context) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                collect(inner, f"{path} {name}".strip(), context)
        else:
            assert isinstance(command, Verb), f"{path} is no Verb"
            found[path] = command

    collect(program, "", click.Context(program))
    return found


VERBS = verbs()


@pytest.mark.parametrize("path", sorted(VERBS))
def test_verb_has_help_example_and_json_form(path: str) -> None:
    """Its help tells all three, and every option has a description."""
    verb = VERBS[path]
    result = CliRunner().invoke(program, [*path.split(), "--help"], prog_name="pilotdht")

    assert 0 == result.exit_code
    assert verb.help
    assert verb.example in result.stdout
    assert '{"status": "ok", "data": {' in result.stdout
    for parameter in verb.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"--{parameter.name} has no help"


@pytest.mark.parametrize("path", sorted(VERBS))
def test_example_of_a_verb_is_a_line_that_can_be_typed(path: str) -> None:
    """The example names this verb, and its words are accepted."""
    words = shlex.split(VERBS[path].example.removeprefix('eval "$(').removesuffix(')"').split("&&")[0])

    assert ["pilotdht", *path.split()] == words[: 1 + len(path.split())]
    context = VERBS[path].make_context(path, words[1 + len(path.split()) :], resilient_parsing=False)
    assert context.params is not None


@pytest.mark.parametrize("path", sorted(VERBS))
def test_verb_understands_the_global_options(path: str) -> None:
    """--json, --socket, --config, --color and --verbose are everywhere."""
    names = {name for parameter in VERBS[path].params for name in parameter.opts}

    assert {"--json", "--socket", "--config", "--color", "--verbose"} <= names


def test_context_lists_every_verb_and_every_error() -> None:
    """The catalogue is whole and JSON."""
    data = json.loads(CliRunner().invoke(program, ["context", "--json"]).stdout)["data"]

    assert sorted(VERBS) == sorted(entry["command"] for entry in data["commands"])
    assert {kind.code for kind in error_classes()} == {error["code"] for error in data["errors"]}
    assert {str(code) for code in EXIT_CODES} == set(data["exit_codes"])
    assert all(entry["help"] and entry["example"] for entry in data["commands"])
    ping = next(entry for entry in data["commands"] if entry["command"] == "ping")
    parameters = {parameter["name"] for parameter in ping["parameters"]}
    assert {"host", "count", "interval", "timeout", "until_direct"} == parameters
    assert {"address", "sent", "received", "replies"} == set(ping["returns"])
    assert __version__ == data["version"]


def test_catalogue_is_printed_without_json_too() -> None:
    """People get the same, indented."""
    printed = CliRunner().invoke(program, ["context"]).stdout

    assert catalogue(click.Context(program, info_name="pilotdht"))["program"] == json.loads(printed)["program"]


ONE_SHOT = {
    "status": "status",
    "info": "info",
    "set-hostname": "set-hostname x",
    "set-tags": "set-tags x",
    "find": "find agent-alpha",
    "netcheck": "netcheck",
    "peers": "peers",
    "connections": "connections",
    "ping": "ping agent-alpha",
    "traceroute": "traceroute agent-alpha",
    "disconnect": "disconnect agent-alpha",
    "send": "send agent-alpha --message x",
    "handshake": "handshake agent-alpha",
    "pending": "pending",
    "approve": "approve agent-alpha",
    "reject": "reject agent-alpha",
    "trust": "trust",
    "untrust": "untrust agent-alpha",
    "alias set": "alias set friend agent-alpha",
    "alias remove": "alias remove friend",
    "alias list": "alias list",
    "group create": "group create research --can citations",
    "group join": "group join finance --token s3cret",
    "group list": "group list",
    "group members": "group members research",
    "group info": "group info research",
    "group set": "group set research --load 30",
    "group invite": "group invite research --hostname bob",
    "group revoke": "group revoke research agent-alpha",
    "group leave": "group leave finance",
    "join": "join --org acme --token pdht1x",
    "group rotate": "group rotate acme --grace 1d",
    "org create": "org create umbrella",
    "org list": "org list",
    "org members": "org members acme",
    "org invite": "org invite acme",
    "org revoke": "org revoke acme agent-alpha",
    "org rotate": "org rotate acme",
    "org leave": "org leave umbrella",
    "broadcast": "broadcast research hello",
    "publish": "publish research prices.eur 1.08",
    "query": "query agent-alpha who?",
    "dht lookup": "dht lookup agent-alpha",
    "dht get": "dht get agent-alpha",
    "version": "version",
    "context": "context",
    "completion": "completion bash",
    "config path": "config path",
    "config show": "config show",
    "daemon status": "daemon status",
}


def test_real_output_has_the_keys_of_the_catalogue(tmp_path: Path) -> None:
    """What the catalogue promises is what a verb prints."""
    with fake_daemon_in_thread(tmp_path) as daemon:
        for path, line in ONE_SHOT.items():
            result = CliRunner().invoke(program, ["--json", "--socket", str(daemon.socket), *line.split()])
            data = json.loads(result.stdout)["data"]
            declared = VERBS[path].returns

            assert getattr(declared, "__required_keys__", set()) <= set(data) <= set(declared.__annotations__), path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pong"], "Did you mean 'ping'?"),
        (["daemon", "strat"], "Did you mean 'start'?"),
        (["ping"], "Missing argument 'HOST'"),
        (["ping", "a", "--cuont", "3"], "No such option"),
        (["ping", "a", "--count", "0"], "not in the range"),
        (["ping", "a", "--timeout", "soon"], "is not a duration"),
        (["connect", "a", "70000"], "not in the range"),
        (["completion", "csh"], "is not one of"),
        (["group", "jion"], "Did you mean 'join'?"),
        (["group", "join"], "Give the NAME of the group, or an --invitation"),
        (["group", "create", "x", "--kind", "secret"], "is not one of"),
        (["group", "set", "x"], "Give --tag, --can, --load"),
        (["group", "set", "x", "--tag", "a", "--no-tags"], "not both"),
        (["group", "set", "x", "--load", "101"], "not in the range"),
        (["group", "invite", "x", "--admin", "a", "--for", "b"], "not both"),
        (["join", "--org", "acme"], "Missing option '--token'"),
        (["publish", "x", "a", "hello", "--file", "f"], "not both"),
        (["query", "who?"], "Give a HOST and a QUESTION"),
        (["query", "--group", "x"], "Give a QUESTION"),
        (["query", "host", "--explain"], "Give a HOST and a QUESTION"),
        (["query", "host", "who?", "--quorum", "3"], "a HOST is one"),
        (["query", "--tag", "a", "--tag", "b", "who?"], "give one --tag"),
        (["query", "--tag", "a", "who?", "--stream"], "reads one member's answer"),
        (["query", "--tag", "a", "who?", "--fresh"], "--fresh is for questions to a --group"),
        (["serve", "query"], "Give --exec LINE, or -- and a COMMAND"),
        (["serve", "query", "--exec", "x", "--", "y"], "Give --exec LINE, or -- and a COMMAND"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(words: list[str], told: str) -> None:
    """For people with the usage line, for programs as an envelope."""
    result = CliRunner().invoke(program, words, prog_name="pilotdht")
    envelope = json.loads(CliRunner().invoke(program, ["--json", *words], prog_name="pilotdht").stdout)

    assert (2, "") == (result.exit_code, result.stdout)
    assert told in result.stderr
    assert "hint: see 'pilotdht" in result.stderr
    assert ("error", "invalid_argument") == (envelope["status"], envelope["code"])
    assert told in envelope["message"]


def test_json_behind_a_double_dash_is_an_argument() -> None:
    """What stands behind -- is not an option."""
    result = CliRunner().invoke(program, ["ping", "--socket", "/nowhere/s", "--", "--json"])

    assert (5, "") == (result.exit_code, result.stdout)


def test_every_error_has_an_exit_code() -> None:
    """No error ends with 0, and every code is documented."""
    codes = {exit_code(kind) for kind in error_classes()}

    assert 0 not in codes
    assert codes <= set(EXIT_CODES)


def test_version_option_prints_the_version() -> None:
    """The short form."""
    assert f"pilotdht {__version__}\n" == CliRunner().invoke(program, ["--version"]).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_for_both_names(shell: str) -> None:
    """The script teaches the shell both names of the program."""
    script = CliRunner().invoke(program, ["completion", shell]).stdout

    assert "_PILOTDHT_COMPLETE" in script
    assert "_PILOTCTL_COMPLETE" in script


def test_hosts_complete_from_the_daemon(tmp_path: Path) -> None:
    """Names that the daemon knows are offered."""
    with fake_daemon_in_thread(tmp_path) as daemon:
        environment = {
            "_PILOTDHT_COMPLETE": "bash_complete",
            "COMP_WORDS": f"pilotdht --socket {daemon.socket} ping ag",
            "COMP_CWORD": "4",
        }
        result = CliRunner().invoke(program, [], env=environment, prog_name="pilotdht")

    assert "plain,agent-alpha\n" == result.stdout


def test_groups_complete_from_the_daemon(tmp_path: Path) -> None:
    """Names of groups are offered where a group is wanted."""
    with fake_daemon_in_thread(tmp_path) as daemon:
        daemon.node.joined |= {name: FakeGroup(name) for name in ("research", "finance")}
        environment = {
            "_PILOTDHT_COMPLETE": "bash_complete",
            "COMP_WORDS": f"pilotdht --socket {daemon.socket} subscribe re",
            "COMP_CWORD": "4",
        }
        result = CliRunner().invoke(program, [], env=environment, prog_name="pilotdht")

    assert "plain,research\n" == result.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_lists_every_verb_in_full(name: str) -> None:
    """Each has one line of at most 80 columns, under a heading; nothing is cut off."""
    lines = CliRunner().invoke(program, ["--help"], prog_name="pilotdht").stdout.splitlines()
    own = [line for line in lines if line.startswith(f"  {name} ")]

    assert 1 == len(own)
    assert len(own[0]) <= 80
    assert own[0].endswith(".")
    assert not own[0].endswith("...")


def test_hosts_do_not_complete_without_a_daemon(tmp_path: Path) -> None:
    """No daemon, no names, no error."""
    context = click.Context(program)
    context.meta["pilotdht.socket"] = str(tmp_path / "none")

    assert [] == known_hostnames(context)


@pytest.mark.parametrize("words", [["--version"], ["ping", "--help"], ["daemon", "--help"], ["--help"]])
def test_commands_that_ask_nobody_load_nothing_heavy(words: list[str]) -> None:
    """Help is there at once."""
    code = (
        "import sys\nfrom pilotdht.cli.program import program\n"
        "program.main(sys.argv[1:], standalone_mode=False)\n"
        f"sys.exit(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    allowed = {"asyncio", "h11"} if words in (["--help"], ["ping", "--help"]) else set()

    assert set(done.stderr.strip().split(",")) - {""} <= allowed


def test_broken_pipe_is_no_traceback() -> None:
    """A reader that goes away, as 'head' does, ends the program quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "pilotdht", "context"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)

    assert (1, b"") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30.0), ("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("1.5", 1.5)]
)
def test_duration_can_be_written_in_units(text: str, seconds: float) -> None:
    """Seconds unless a unit says otherwise."""
    assert seconds == SECONDS.convert(text, None, None)


def test_numbers_are_told_as_people_say_them() -> None:
    """Few digits, a unit."""
    assert ["38ms", "10ms", "9.5ms", "0.62ms", "-"] == [
        milliseconds(value) for value in (0.0382, 0.01, 0.0095, 0.00062, None)
    ]
    assert ["45s", "12m", "3h 5m", "2d 4h"] == [duration(value) for value in (45, 12 * 60, 11100, 187200)]
    assert ["512 B", "1.5 KB", "3.2 MB", "4.0 GB"] == [size(value) for value in (512, 1500, 3_200_000, 4_000_000_000)]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_table_at_a_terminal_fits_and_cuts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    """What does not fit is folded; an address never is."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    heads = ("HOSTNAME", "ADDRESS", "STATUS", "ROLE", "RTT", "LOAD", "CAN", "TAGS")
    cells = ("alpha-of-a-long-name", "0:EFE4.7CE4.477C", "suspect 12s", "admin", "1.6ms", "30%", "a, b, c", "x" * 20)
    Output(is_json=False, color="never").table(heads, [cells], empty="")
    lines = click.unstyle(capsys.readouterr().out).splitlines()

    assert max(map(len, lines)) <= columns
    assert 1 == sum("0:EFE4.7CE4.477C" in line for line in lines)
    assert 20 == "".join(lines).count("x")


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        (140, ()),
        (100, ("STREAMS", "ENDPOINT")),
        (80, ("STREAMS", "ENDPOINT", "WAY", "AGE")),
    ],
)
def test_connections_fit_a_terminal_without_folding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, left_out: tuple[str, ...]
) -> None:
    """A tunnel is a line; the columns for which there is no room are named on standard error."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    cells = ("0:EFE4.7CE4.477C", "edge-laptop", "127.0.0.1:48352", "direct", "out", "yes")
    more = ("38ms", "0.0%", "302.5 KB", "900 B", "0", "3h 5m")
    Output(is_json=False, color="never").table(
        CONNECTION_COLUMNS, [(*cells, *more), (*cells, *more)], empty="", spare=SPARE_COLUMNS
    )
    printed = capsys.readouterr()
    head, *lines = [line for line in click.unstyle(printed.out).splitlines() if line.strip(" ─")]

    assert [name for name in CONNECTION_COLUMNS if name not in left_out] == head.split()
    assert 2 == sum("edge-laptop" in line and "302.5 KB" in line for line in lines) == len(lines)
    assert max(map(len, lines)) <= columns
    told = f"{', '.join(left_out)} left out: {columns} columns are too few; --json has everything\n" if left_out else ""
    assert told == printed.err


def test_columns_are_left_out_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets them all."""
    Output(is_json=False, color="never").table(("A", "B"), [("x" * 300, "y")], empty="", spare=("A", "B"))

    assert ("A" + " " * 301 + "B", "") == (capsys.readouterr().out.splitlines()[0], "")
