"""A report about an error: it helps, and no secret, name or address leaves with it."""

from __future__ import annotations

import base64
import gzip
import json
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotdht.daemon.redact import Redactor
from pilotdht.identity.keyfile import load_key_file
from tests.support.daemon_processes import Agent, agents

NETWORK_KEY = "c0ffee00" * 8
TOKEN = "correct-horse-battery"
PUBLIC = "203.0.113.77"
SEED_HOST = "seed.secret-company.example"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return one agent's home."""
    with agents(tmp_path, 1) as made:
        yield made[0]


def contents(path: Path) -> dict[str, str]:
    """Return the files of a report."""
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.removeprefix("pilotdht-report/")] = file.read().decode()
        return found


def redactor(*known: str) -> Redactor:
    """Return one with a fixed key."""
    return Redactor(b"k" * 32, known=known, folders={"/srv/people/ada": "~"})


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXkt",
        "pdht12NEpo7TZRRrLZSi2U",
        "did:key:z6MkfWmbesPGH1yw1iThEz157ofrtDcBDBsEMRyfzLoQ794r",
        "0:5B23.C19B.5E42",
        NETWORK_KEY,
        "deadbeefdeadbeef",
        base64.b64encode(bytes(range(7, 231, 7))).decode(),
        base64.urlsafe_b64encode(b"\x01\xfe" * 16).decode(),
        PUBLIC,
        "192.168.17.4",
        "2001:db8:17::4a",
        "fe80::1%eth0",
        "2001:DB8::FFFF:0:1",
        "::ffff:203.0.113.77",
        SEED_HOST,
        "ada@example.com",
        "agent-ada",
        "/srv/people/ada",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "went to {}:4433 at once", '"{}"', "at={} port=7", "[{}]:4433", "x: {}, y"])
def test_text_keeps_no_secret(secret: str, frame: str) -> None:
    """Whatever stands around a key, a secret, an address or a name, it is taken out."""
    shown = redactor("agent-ada").text(frame.format(secret))

    assert secret not in shown
    for part in secret.splitlines():
        assert part not in shown


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T22:09:59.144+00:00 INFO pilotdht.daemon.service: daemon ready",
        "127.0.0.1:4433 and [::1]:9 and 0.0.0.0",
        "asyncio.exceptions.CancelledError in daemon.log, version 0.1.0, config.toml",
        "first_timeout_s = 900 is not in 0.001..60 s",
        "12:34:56",
    ],
)
def test_text_keeps_what_helps(text: str) -> None:
    """Times, modules, versions, files of ours and loopback tell nothing about anybody."""
    assert text == redactor().text(text)


def test_stand_in_is_the_same_within_one_report_alone() -> None:
    """What goes together can be seen; two reports cannot be laid side by side, and no list of names helps."""
    one, other = Redactor(b"a" * 32), Redactor(b"b" * 32)

    assert one.text(PUBLIC) == one.text(f"{PUBLIC}:4433").partition(":")[0]
    assert one.text(PUBLIC) != one.text("203.0.113.78")
    assert one.text(PUBLIC) != other.text(PUBLIC)
    assert one.text(one.text(PUBLIC)) == one.text(PUBLIC)


def test_log_line_keeps_reasons_and_hides_who() -> None:
    """Facts that identify become stand-ins, the words of errors stay, what they quote does not; both forms are read."""
    line = json.dumps(
        {"ts": "2026-11-21T22:09:59.144+00:00", "level": "INFO", "logger": "pilotdht.x", "msg": "peer refused",
         "endpoint": f"{PUBLIC}:4433", "group": "research", "reason": f"timeout of 'Ada' at {PUBLIC}", "limit": 7,
         "unheard": "of"}
    )  # fmt: skip
    shown = json.loads(redactor().log_line(line))

    assert ("peer refused", 7) == (shown["msg"], shown["limit"])
    assert shown["reason"].startswith("timeout of 'quoted-")
    for told in (PUBLIC, "research", "Ada", '"of"'):
        assert told not in json.dumps(shown)
    text = redactor().log_line(
        f"2026-11-21T22:09:59.144+00:00 INFO pilotdht.x: refused endpoint={PUBLIC}:9 reason='Ada'"
    )
    assert "pilotdht.x: refused" in text
    assert PUBLIC not in text
    assert "Ada" not in text


def test_traceback_keeps_the_places_in_the_program() -> None:
    """Which function failed is told, where somebody installed it is not."""
    trace = "Traceback:\n  File \"/srv/ada/lib/pilotdht/net/rpc.py\", line 7, in call\nValueError: 'Ada' is not known"
    shown = redactor().trace(trace)

    assert 'File "pilotdht/net/rpc.py", line 7, in call' in shown
    assert "ada" not in shown.lower()


def test_metrics_keep_numbers_and_hide_names() -> None:
    """Labels of ours stay; one that could hold a name does not."""
    text = 'pilotdht_a_b_total{reason="rate"} 3.0\npilotdht_c_d{group="research",kind="x y"} 1\nevil{a="b"} 1\n'
    shown = redactor().metrics(text)

    assert 'pilotdht_a_b_total{reason="rate"} 3.0' in shown
    assert "research" not in shown
    assert "x y" not in shown
    assert "evil" not in shown


@pytest.mark.integration
def test_report_of_a_running_daemon_holds_no_secret_and_no_name(agent: Agent, tmp_path: Path) -> None:
    """A node with keys, tokens, invitations, names and addresses: none of them is in the report, in any form."""
    agent.home.mkdir(parents=True)
    config = agent.home / "config.toml"
    config.write_text(
        f'hostname = "agent-ada"\ntags = ["finance-desk"]\nnetwork = 7\nnetwork_key = "{NETWORK_KEY}"\n'
        f'advertise = ["{PUBLIC}:4433"]\nbootstrap = ["{SEED_HOST}:4433"]\nstart_timeout_s = 0\n'
        '[daemon]\nlog_level = "debug"\n'
    )
    config.chmod(0o600)
    started = agent.start()
    agent.json("group", "create", "reading-circle", "--token", TOKEN)
    agent.json("org", "create", "secret-company")
    invitation = agent.json("org", "invite", "--hostname", "bob-the-secret")["invitation"]
    with Path(started["log"]).open("a") as log:
        log.write(f"Fatal: {TOKEN} is not 'pdht' at {PUBLIC}\n{invitation}\n")
        log.write((agent.home / "identity").read_text())
    path = tmp_path / "report.tar.gz"
    made = agent.json("bugreport", "--output", str(path))
    files = contents(path)
    everything = "\n".join(files.values())
    keys = load_key_file(agent.home / "identity")
    seed = keys.private_key.private_bytes_raw()
    secrets = [
        NETWORK_KEY, invitation, PUBLIC, SEED_HOST, "agent-ada", "finance-desk", "reading-circle",
        "secret-company", "bob-the-secret", started["address"], started["did"], str(tmp_path), seed.hex(),
        base64.b64encode(seed).decode().rstrip("="), keys.public_key.hex(), keys.node_id.hex(),
        *(agent.home / "identity").read_text().splitlines()[1:-1],
    ]  # fmt: skip

    assert [] == [secret for secret in secrets if secret.lower() in everything.lower()]
    assert seed not in gzip.decompress(path.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {file["name"] for file in made["files"]} == files.keys() == {
        "README.txt", "about.json", "settings.json", "limits.json", "log.txt", "daemon.json", "netcheck.json",
        "dht.json", "metrics.txt",
    }  # fmt: skip
    settings = {one["name"]: one for one in json.loads(files["settings.json"])["settings"]}
    assert ("set", 7, "file") == (
        settings["network_key"]["value"], settings["network"]["value"], settings["network"]["origin"],
    )  # fmt: skip
    assert json.loads(files["daemon.json"])["info"]["version"] == json.loads(files["about.json"])["pilotdht"]
    assert "daemon ready" in files["log.txt"]
    assert "pilotdht_net_" in files["metrics.txt"]


@pytest.mark.integration
def test_report_is_made_without_a_daemon_and_with_a_wrong_configuration(agent: Agent, tmp_path: Path) -> None:
    """What does not start needs a report most; an existing file is not overwritten; all of it can be looked at."""
    agent.home.mkdir(parents=True)
    (agent.home / "config.toml").write_text(f'hostnme = "agent-ada"\nnetwork_key = "nothex{NETWORK_KEY}"\n')
    path = tmp_path / "report.tar.gz"
    agent.json("bugreport", "--output", str(path))
    files = contents(path)
    again = agent.run("--json", "bugreport", "--output", str(path))

    assert 2 == len(json.loads(files["settings.json"])["problems"])
    assert "not_running" == json.loads(files["daemon.json"])["code"]
    assert NETWORK_KEY not in "".join(files.values())
    assert "agent-ada" not in "".join(files.values())
    assert "already_exists" == json.loads(again.stdout)["code"]
    assert files.keys() >= agent.json("bugreport", "--show").keys()
