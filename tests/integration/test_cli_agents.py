"""Three daemons as processes: their people find, trust and talk to each other by the command line alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon_processes import Agent, agents

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Agent]]:
    """Return three agents that joined one mesh; the first two trust each other."""
    with agents(tmp_path_factory.mktemp("mesh"), 3) as made:
        alpha, beta, gamma = made
        seed = alpha.start("--hostname", "alpha", "--tags", "finance")["endpoints"][0]
        beta.start("--hostname", "beta", "--tags", "finance,mcp", "--bootstrap", seed)
        gamma.start("--hostname", "gamma", "--bootstrap", seed)
        assert "pending_out" == beta.json("handshake", "alpha", "the same report")["state"]
        assert ["the same report"] == [entry["reason"] for entry in alpha.json("pending")["pending"]]
        assert "trusted" == alpha.json("approve", "beta")["state"]
        yield made


def test_agents_find_each_other_by_name_and_tag(mesh: list[Agent]) -> None:
    """Names and tags published by one are found by another."""
    alpha, beta, gamma = mesh
    found = gamma.json("find", "beta")

    assert beta.json("status")["address"] == found["address"]
    assert ["alpha", "beta"] == sorted(peer["hostname"] for peer in gamma.json("find", "--tag", "finance")["peers"])
    assert {"alpha", "beta"} <= {
        gamma.json("find", peer["address"])["hostname"] for peer in (alpha.json("status"), beta.json("status"))
    }


def test_ping_reaches_a_peer_that_trusts_us(mesh: list[Agent]) -> None:
    """The reply line has the peer's address."""
    alpha, beta, _ = mesh
    done = beta.run("ping", "alpha")

    assert 0 == done.returncode, done.stderr
    assert done.stdout.decode().startswith(f"✓ reply from {alpha.json('status')['address']} · ")


def test_ping_without_trust_is_refused(mesh: list[Agent]) -> None:
    """Being on the network grants nothing."""
    done = mesh[2].run("--json", "ping", "alpha")

    assert (1, "not_trusted") == (done.returncode, json.loads(done.stdout)["code"])


def test_connect_needs_no_trust(mesh: list[Agent]) -> None:
    """A tunnel can be established; nothing but the trust port opens."""
    done = mesh[2].run("connect", "alpha")

    assert done.stdout.decode().startswith("Tunnel established · ")


def test_message_is_kept_until_it_is_received(mesh: list[Agent]) -> None:
    """What was delivered is there."""
    alpha, beta, _ = mesh
    beta.json("send", "alpha", "--message", "the report is ready")
    data = alpha.json("recv", "--count", "1", "--timeout", "10s")

    assert ("the report is ready", "beta") == (data["data"], data["hostname"])


def test_listener_answers_with_a_text(mesh: list[Agent]) -> None:
    """A question gets the fixed answer, and the listener prints the question."""
    alpha, beta, _ = mesh
    with alpha.beside("--json", "listen", "2001", "--reply", "four per cent", "--count", "1") as process:
        assert process.stdout is not None
        assert 2001 == json.loads(process.stdout.readline())["data"]["listening"]
        answer = beta.json("connect", "alpha", "2001", "--message", "how was the quarter?")["answer"]

        assert "four per cent" == answer
        assert "how was the quarter?" == json.loads(process.stdout.readline())["data"]["data"]
        assert 0 == process.wait(timeout=10)


def test_listener_answers_with_a_program(mesh: list[Agent]) -> None:
    """The program reads the message and knows who asks."""
    alpha, beta, _ = mesh
    command = "sh -c 'tr a-z A-Z; printf \" for %s\" $PILOTDHT_PEER_ADDRESS'"
    with alpha.beside("--json", "listen", "2002", "--exec", command, "--count", "2") as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(2):
            answer = beta.json("connect", "alpha", "2002", "--message", "hello")["answer"]
            assert f"HELLO for {beta.json('status')['address']}" == answer
        assert 0 == process.wait(timeout=10)


def test_program_that_fails_is_no_answer(mesh: list[Agent]) -> None:
    """The asking side is told that its message was not handled."""
    alpha, beta, _ = mesh
    with alpha.beside("--json", "listen", "2003", "--exec", "false", "--count", "1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        done = beta.run("--json", "connect", "alpha", "2003", "--message", "hello")

        assert 3 == done.returncode
        assert "link_closed" == json.loads(done.stdout)["code"]


def test_pipe_carries_standard_input_and_output(mesh: list[Agent]) -> None:
    """A megabyte through the echo port comes back as it was."""
    data = os.urandom(1 << 20)
    done = mesh[1].run("connect", "alpha", "7", stdin=data)

    assert (0, b"") == (done.returncode, done.stderr)
    assert data == done.stdout


def test_piped_data_needs_no_port(mesh: list[Agent], tmp_path: Path) -> None:
    """Data in a file goes to port 1000, where the inbox keeps it."""
    alpha, beta, _ = mesh
    path = tmp_path / "note"
    path.write_bytes(b"from a file")
    with path.open("rb") as file:
        done = subprocess.run(
            beta.command("connect", "alpha"), env=beta.environment(), stdin=file, capture_output=True, check=False
        )

    assert (0, b"") == (done.returncode, done.stdout)
    assert "from a file" == alpha.json("recv", "--count", "1", "--timeout", "10s")["data"]


def test_unused_pipe_on_standard_input_is_not_waited_for(mesh: list[Agent]) -> None:
    """A script's empty standard input does not turn 'connect' into a pipe that hangs."""
    with mesh[1].beside("connect", "alpha", stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().startswith("Tunnel established · ")


def test_nothing_listening_is_told(mesh: list[Agent]) -> None:
    """A trusted peer without a listener there refuses."""
    done = mesh[1].run("--json", "connect", "alpha", "2999", "--message", "hello")

    assert (1, "refused") == (done.returncode, json.loads(done.stdout)["code"])


def test_looking_around(mesh: list[Agent]) -> None:
    """Tables, routes and the DHT all tell something."""
    alpha, beta, _ = mesh

    assert 2 <= len(beta.json("peers")["peers"])
    assert "alpha" in [entry["hostname"] for entry in beta.json("connections")["connections"]]
    assert beta.json("traceroute", "alpha")["address"] == alpha.json("status")["address"]
    assert beta.json("dht", "lookup", "alpha")["contacts"]
    assert "alpha" in json.dumps(beta.json("dht", "get", "alpha"))
    assert 2 <= beta.json("dht", "stats")["contacts"]
    assert ["alpha"] == [entry["hostname"] for entry in beta.json("trust")["trusted"]]


def test_own_name_can_be_changed_while_running(mesh: list[Agent]) -> None:
    """The new name is found by others, the tags too."""
    _, beta, gamma = mesh
    gamma.json("set-hostname", "gamma-two")
    gamma.json("set-tags", "renamed")

    assert gamma.json("status")["address"] == beta.json("find", "gamma-two")["address"]
    assert ["gamma-two"] == [peer["hostname"] for peer in beta.json("find", "--tag", "renamed")["peers"]]


def test_interrupt_ends_a_waiting_command_with_130(mesh: list[Agent]) -> None:
    """The usual code, no traceback."""
    with mesh[0].beside("--json", "listen", "2004") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)

        assert 130 == process.wait(timeout=10)
        assert b"" == process.stderr.read().strip()


def test_trust_can_be_taken_back_and_given_again(mesh: list[Agent]) -> None:
    """Untrust cuts at once; a new handshake leads back."""
    alpha, beta, _ = mesh
    alpha.json("untrust", "beta")
    assert "not_trusted" == json.loads(beta.run("--json", "ping", "alpha").stdout)["code"]

    beta.json("handshake", "alpha", "again")
    assert "trusted" == alpha.json("approve", "beta")["state"]
    assert 0 == beta.run("ping", "alpha").returncode
