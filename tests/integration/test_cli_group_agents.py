"""Daemons as processes in groups, driven by the command line alone: members, messages, questions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon_processes import Agent, agents

pytestmark = pytest.mark.integration

PATIENCE_S = 20.0


def until(told: Callable[[], bool]) -> None:
    """Ask again until it is so; each asking is a process of its own, which is pause enough."""
    end = time.monotonic() + PATIENCE_S
    while not told():
        assert time.monotonic() < end, "it has not become so"


def hostnames(agent: Agent, group: str, *words: str) -> list[str]:
    """Return the names of a group's members as one of them sees it."""
    return sorted(member["hostname"] for member in agent.json("group", "members", group, *words)["members"])


def next_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the data of the next line that a command prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr.read() if process.stderr is not None else b""
    data = json.loads(line)["data"]
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Agent]]:
    """Return three agents of one mesh, all in ``research``; nobody trusts anybody."""
    with agents(tmp_path_factory.mktemp("groups"), 3) as made:
        alpha, beta, gamma = made
        seed = alpha.start("--hostname", "alpha")["endpoints"][0]
        beta.start("--hostname", "beta", "--tags", "finance", "--bootstrap", seed)
        gamma.start("--hostname", "gamma", "--bootstrap", seed)
        alpha.json("group", "create", "research")
        beta.json("group", "join", "research", "--can", "weather")
        gamma.json("group", "join", "research")
        for agent in made:
            until(lambda agent=agent: hostnames(agent, "research") == ["alpha", "beta", "gamma"])  # type: ignore[misc]
        yield made


def test_members_see_what_each_says_of_itself(mesh: list[Agent]) -> None:
    """Capabilities, tags and load travel by themselves."""
    alpha, beta, _ = mesh
    beta.json("group", "set", "research", "--load", "40", "--can", "weather", "--tag", "eu")

    def told() -> tuple[object, ...]:
        members = alpha.json("group", "members", "research")["members"]
        found = next(member for member in members if member["hostname"] == "beta")
        return (found["load"], found["capabilities"], sorted(found["tags"]))

    until(lambda: told() == (40, ["weather"], ["eu", "finance"]))
    assert ["research"] == [group["name"] for group in beta.json("status")["groups"]]


def test_changes_of_membership_are_watched(mesh: list[Agent]) -> None:
    """Whoever comes and goes is told, line by line."""
    alpha, beta, _ = mesh
    alpha.json("group", "create", "comings")
    with alpha.beside("--json", "group", "members", "comings", "--watch") as process:
        assert ["alpha"] == [member["hostname"] for member in next_of(process)["members"]]
        beta.json("group", "join", "comings")
        joined = next_of(process)
        while joined["change"] == "updated":
            joined = next_of(process)
        beta.json("group", "leave", "comings")
        left = next_of(process)
        while left["change"] == "updated":
            left = next_of(process)

    assert ("joined", "beta") == (joined["change"], joined["member"]["hostname"])
    assert ("left", "beta") == (left["change"], left["member"]["hostname"])
    alpha.json("group", "leave", "comings")


def test_messages_reach_every_member(mesh: list[Agent], tmp_path: Path) -> None:
    """Short ones and a long one, in order, of the topics that were asked for."""
    alpha, beta, gamma = mesh
    big = tmp_path / "big"
    big.write_bytes(os.urandom(300_000))
    with (
        beta.beside("--json", "subscribe", "research", "prices.**", "--count", "3") as one,
        gamma.beside("--json", "subscribe", "research", "--count", "4") as other,
    ):
        for process in (one, other):
            assert process.stderr is not None
            assert process.stderr.readline().startswith(b"Subscribed to ")
        alpha.json("publish", "research", "prices.eur", "1.08")
        alpha.json("broadcast", "research", "to everybody")
        alpha.json("publish", "research", "prices.usd.spot", "0.92")
        alpha.json("publish", "research", "prices.all", "--file", str(big))
        read = [[next_of(process) for _ in range(count)] for process, count in ((one, 3), (other, 4))]

        assert [0, 0] == [process.wait(timeout=10) for process in (one, other)]
    assert ["prices.eur", "prices.usd.spot", "prices.all"] == [event["topic"] for event in read[0]]
    assert ["1.08", "to everybody", "0.92"] == [event["data"] for event in read[1][:3]]
    assert {"alpha"} == {event["hostname"] for event in read[1]}
    assert 4 == len({event["sequence"] for event in read[1]})
    replayed = gamma.json("subscribe", "research", "prices.eur", "--replay", "--count", "1")
    assert "1.08" == replayed["data"]


def test_interrupted_reader_tells_how_many_there_were(mesh: list[Agent]) -> None:
    """The usual code, no traceback."""
    with mesh[1].beside("subscribe", "research", "nothing.at.all") as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)

        assert 130 == process.wait(timeout=10)
        assert b"0 messages, 0 missed" == process.stderr.read().strip()


def test_program_answers_a_group(mesh: list[Agent]) -> None:
    """It reads the question, knows who asks, and its answer comes back in parts; members are told what it can."""
    alpha, beta, gamma = mesh
    shout = 'set -e; read -r question; printf "%s" "$question" | tr a-z A-Z'
    script = f"{shout}; printf ' for %s in %s' $PILOTDHT_QUESTION_HOSTNAME $PILOTDHT_QUESTION_GROUP"
    serve = ["serve", "query", "--group", "research", "--can", "shouting"]
    with alpha.beside("--json", *serve, "--exec", script) as process:
        assert {"capability": "shouting", "group": "research", "most": 8} == next_of(process)["serving"]
        until(lambda: "shouting" in json.dumps(gamma.json("group", "members", "research")))

        answer = gamma.json("query", "--group", "research", "who?", "--can", "shouting", "--explain")
        assert ("WHO? for gamma in research", "alpha") == (answer["answer"], answer["author"]["hostname"])
        assert "asked first" == answer["explanation"][0]["reason"]
        assert {"hostname": "gamma", "capability": "shouting"}.items() <= next_of(process).items()
        streamed = beta.run("query", "alpha", "why?", "--group", "research", "--can", "shouting", "--stream")
        assert (0, b"WHY? for beta in research\n") == (streamed.returncode, streamed.stdout)
        assert b"answered by alpha" in streamed.stderr

        refused = beta.run("--json", "query", "alpha", "x", "--can", "shouting")
        assert "not_trusted" == json.loads(refused.stdout)["code"]
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(timeout=10)
    until(lambda: "shouting" not in json.dumps(gamma.json("group", "members", "research")))
    gone = gamma.run("--json", "query", "--group", "research", "who?", "--can", "shouting")
    assert (4, "not_found") == (gone.returncode, json.loads(gone.stdout)["code"])


def test_answer_is_shared_among_members(mesh: list[Agent]) -> None:
    """The program is asked once; the second asker gets what the first one got, unless it wants a fresh one."""
    alpha, beta, gamma = mesh
    serve = ["serve", "query", "--group", "research", "--can", "dice", "--ttl", "10m"]
    with alpha.beside("--json", *serve, "--", sys.executable, "-c", "import os; print(os.urandom(8).hex())") as process:
        next_of(process)
        until(lambda: "dice" in json.dumps(beta.json("group", "members", "research")))
        until(lambda: "dice" in json.dumps(gamma.json("group", "members", "research")))
        question = ["query", "--group", "research", "roll", "--can", "dice"]
        first = beta.json(*question)
        until(lambda: gamma.json(*question)["is_shared"] is True)
        shared, fresh = gamma.json(*question), gamma.json(*question, "--fresh")

    assert (False, True, False) == (first["is_shared"], shared["is_shared"], fresh["is_shared"])
    assert fresh["answer"] != shared["answer"]
    assert "alpha" == shared["author"]["hostname"]


def test_program_that_fails_tells_why(mesh: list[Agent]) -> None:
    """Its last words on standard error are the reason; without any its code is; both sides are told."""
    alpha, beta, _ = mesh
    serve = ["--json", "serve", "query", "--group", "research"]
    for line, reason in (("echo first >&2; echo no idea >&2; exit 3", "no idea"), ("exit 3", "code 3")):
        with alpha.beside(*serve, "--exec", line) as process:
            next_of(process)
            done = beta.run("--json", "query", "alpha", "x", "--group", "research")
            told = json.loads(done.stdout)

            assert (1, "answer_failed") == (done.returncode, told["code"])
            assert reason in told["message"]
            assert reason in next_of(process)["error"]
    with alpha.beside(*serve, "--", str(alpha.home / "no-such-program")) as process:
        next_of(process)
        assert "cannot be run" in beta.run("--json", "query", "alpha", "x", "--group", "research").stdout.decode()


def is_running(pid: int) -> bool:
    """Return whether a process is there, and no zombie."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


@pytest.mark.parametrize("end", ["timeout", "interrupted asker", "interrupt", "termination"])
def test_program_is_stopped_when_nobody_waits_any_more(mesh: list[Agent], tmp_path: Path, end: str) -> None:
    """Time is up, the asker goes away, or the answering itself ends: the program and what it started are gone."""
    alpha, beta, _ = mesh
    pids = tmp_path / "pids"
    line = f"sleep 60 & echo $$ $! > {pids}; echo begun; wait"
    with alpha.beside("--json", "serve", "query", "--group", "research", "--exec", line) as process:
        next_of(process)
        patience = "1s" if end == "timeout" else "60s"
        with beta.beside("query", "alpha", "x", "--group", "research", "--stream", "--timeout", patience) as asking:
            assert asking.stdout is not None
            assert b"begun\n" == asking.stdout.readline()
            started = [int(word) for word in pids.read_text().split()]
            if end == "interrupted asker":
                asking.send_signal(signal.SIGINT)
            elif end != "timeout":
                process.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGTERM)
                assert 130 == process.wait(timeout=10)
            assert {"timeout": 3, "interrupted asker": 130}.get(end, 1) == asking.wait(timeout=20)

        until(lambda: not any(is_running(pid) for pid in started))
        if end in ("timeout", "interrupted asker"):
            assert next_of(process)["error"]


def test_only_so_many_questions_are_answered_at_once(mesh: list[Agent], tmp_path: Path) -> None:
    """One above is told to ask somebody else; later there is room again."""
    alpha, beta, gamma = mesh
    go = tmp_path / "go"
    os.mkfifo(go)
    line = f"echo begun; cat {go}"
    ask = ["query", "alpha", "x", "--group", "research"]
    with alpha.beside("--json", "serve", "query", "--group", "research", "--max", "1", "--exec", line) as process:
        assert 1 == next_of(process)["serving"]["most"]
        with beta.beside(*ask, "--stream") as asking:
            assert asking.stdout is not None
            assert b"begun\n" == asking.stdout.readline()
            busy = gamma.run("--json", *ask)
            go.write_text("done")
            assert 0 == asking.wait(timeout=20)
            assert b"done\n" == asking.stdout.read()

        assert (1, "overloaded") == (busy.returncode, json.loads(busy.stdout)["code"])
