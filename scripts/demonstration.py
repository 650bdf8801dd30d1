"""The main job, shown with separate processes: agents find one another, trust, talk, and outlive their bootstrap node.

Run by ``scripts/demo``. Prints each step with its time; ends with exit code 1 when a step fails. Everything stays on
loopback and in a temporary directory that is removed afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND_TIMEOUT_S = 20.0
RESTART_LIMIT_S = 2.0
TOTAL_LIMIT_S = 60.0
AGENTS = {
    "agent-alpha": "research",
    "agent-beta": "finance",
    "agent-gamma": "finance,mcp",
    "agent-delta": "mcp",
    "agent-epsilon": "secops",
}


class StepFailed(Exception):
    """A step did not show what it must show."""


def expect(condition: object, message: str) -> None:
    """Fail the step unless ``condition`` holds."""
    if not condition:
        raise StepFailed(message)


@dataclass
class Agent:
    """One daemon in a process of its own, driven by the command line as a person would."""

    name: str
    home: Path
    tags: str = ""
    address: str = ""
    pid: int = 0
    helpers: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the environment in which this agent's commands run."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTDHT_")}
        return kept | {"PILOTDHT_HOME": str(self.home), "NO_COLOR": "1"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of one verb."""
        return [sys.executable, "-m", "pilotdht", "--json", *arguments]

    def call(self, *arguments: str) -> dict[str, Any]:
        """Run one verb and return its JSON envelope."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        try:
            envelope: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise StepFailed(f"{self.name}: {' '.join(arguments)}: {done.stdout}{done.stderr}") from None
        return envelope

    def run(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON
        """Run one verb that must succeed and return its data."""
        envelope = self.call(*arguments)
        expect(envelope["status"] == "ok", f"{self.name}: {' '.join(arguments)}: {envelope.get('message')}")
        return envelope["data"]

    def start(self, *, bootstrap: str = "") -> None:
        """Start the daemon."""
        options = ["--hostname", self.name] if self.name else []
        options += ["--tags", self.tags] if self.tags else []
        options += ["--bootstrap", bootstrap] if bootstrap else []
        data = self.run("daemon", "start", "--listen", "127.0.0.1:0", *options)
        expect(self.address in ("", data["address"]), f"{self.name} has another address than before")
        self.address, self.pid = data["address"], data["pid"]

    def endpoint(self) -> str:
        """Return ``host:port`` of the daemon's socket."""
        return str(self.run("info")["listen"][0])

    def serve(self, *arguments: str) -> None:
        """Keep a verb running beside the daemon until the end, and wait until it says that it is ready."""
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.helpers.append(process)
        assert process.stdout is not None
        first = process.stdout.readline()
        expect('"listening"' in first, f"{self.name}: {' '.join(arguments)} did not start: {first}")

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Stop everything of this agent."""
        for process in self.helpers:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        with contextlib.suppress(StepFailed, subprocess.TimeoutExpired):
            self.call("daemon", "stop")


class Demonstration:
    """The steps, in order, and what they need to remember."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bootstrap = Agent("", folder / "bootstrap")
        self.agents = {name: Agent(name, folder / name, tags) for name, tags in AGENTS.items()}
        self.newcomer = Agent("agent-zeta", folder / "agent-zeta", "newcomer")

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield each step's title and what runs it; running returns what to tell."""
        yield "start one bootstrap node", self.start_bootstrap
        yield "start five agents that know only its address", self.start_agents
        yield "find an agent by name", self.find_by_name
        yield "find agents by tag", self.find_by_tag
        yield "an untrusted agent is refused", self.refuse_untrusted
        yield "ask for trust and approve it", self.handshake
        yield "ping through the tunnel", self.ping
        yield "send a message and get the answer", self.message
        yield "kill the bootstrap node (SIGKILL)", self.kill_bootstrap
        yield "names and tags are still found", self.find_without_bootstrap
        yield "messages still go through", self.message
        yield "a new agent joins through an ordinary one", self.join_through_agent
        yield "an agent is killed, restarts, and is reachable at its old address", self.restart
        yield "the agent that was never trusted is still refused", self.refuse_untrusted

    def start_bootstrap(self) -> str:
        """Start the node that the others are told about."""
        self.bootstrap.start()
        return f"{self.bootstrap.address} at {self.bootstrap.endpoint()}"

    def start_agents(self) -> str:
        """Start all agents, each in a process of its own."""
        endpoint = self.bootstrap.endpoint()
        for agent in self.agents.values():
            agent.start(bootstrap=endpoint)
        return ", ".join(f"{agent.name} {agent.address}" for agent in self.agents.values())

    def find_by_name(self) -> str:
        """Resolve a hostname from another agent."""
        found = self.agents["agent-alpha"].run("find", "agent-beta")
        expect(found["address"] == self.agents["agent-beta"].address, "agent-beta resolved to another address")
        return f"agent-beta is {found['address']} at {', '.join(found['endpoints'])}"

    def find_by_tag(self) -> str:
        """List the agents with a tag."""
        found = self.agents["agent-alpha"].run("find", "--tag", "finance")
        names = sorted(peer["hostname"] for peer in found["peers"])
        expect(names == ["agent-beta", "agent-gamma"], f"tag finance found {names}")
        return f"finance: {', '.join(names)}"

    def refuse_untrusted(self) -> str:
        """Try to reach an agent that never gave its trust."""
        envelope = self.agents["agent-delta"].call("connect", "agent-beta", "--message", "let me in")
        expect(envelope["status"] == "error" and envelope["code"] == "not_trusted", f"got {envelope}")
        return str(envelope["message"])

    def handshake(self) -> str:
        """Ask, list, approve."""
        alpha, beta = self.agents["agent-alpha"], self.agents["agent-beta"]
        alpha.run("handshake", "agent-beta", "working on the same report")
        pending = beta.run("pending")["pending"]
        expect([p["address"] for p in pending] == [alpha.address], f"pending shows {pending}")
        beta.run("approve", alpha.address)
        trusted = beta.run("trust")["trusted"]
        expect([p["address"] for p in trusted] == [alpha.address], f"trust shows {trusted}")
        return f"agent-beta approved agent-alpha: {pending[0]['reason']!r}"

    def ping(self) -> str:
        """Measure round trips over the tunnel."""
        data = self.agents["agent-alpha"].run("ping", "agent-beta", "--count", "3")
        times = [reply["rtt_ms"] for reply in data["replies"]]
        expect(len(times) == 3, f"{len(times)} of 3 replies")
        return "  ".join(f"{value:.1f} ms" for value in times)

    def message(self) -> str:
        """Send a question to the program that listens at the other agent."""
        alpha, beta = self.agents["agent-alpha"], self.agents["agent-beta"]
        if not beta.helpers:
            beta.serve("listen", "1000", "--reply", "revenue grew by 4 %")
        data = alpha.run("connect", "agent-beta", "--message", "how was the quarter?")
        expect(data["answer"] == "revenue grew by 4 %", f"the answer was {data}")
        return f"how was the quarter? -> {data['answer']}"

    def kill_bootstrap(self) -> str:
        """Take away the node through which all others joined."""
        self.bootstrap.kill()
        return f"pid {self.bootstrap.pid} is gone"

    def find_without_bootstrap(self) -> str:
        """Resolve names that were never resolved before, from an agent that never asked."""
        found = self.agents["agent-epsilon"].run("find", "agent-gamma")
        expect(found["address"] == self.agents["agent-gamma"].address, "agent-gamma resolved to another address")
        tagged = self.agents["agent-epsilon"].run("find", "--tag", "mcp")
        names = sorted(peer["hostname"] for peer in tagged["peers"])
        expect(names == ["agent-delta", "agent-gamma"], f"tag mcp found {names}")
        return f"agent-gamma is {found['address']}; mcp: {', '.join(names)}"

    def join_through_agent(self) -> str:
        """Start one more agent that knows only an ordinary agent."""
        self.newcomer.start(bootstrap=self.agents["agent-delta"].endpoint())
        found = self.agents["agent-alpha"].run("find", "agent-zeta")
        expect(found["address"] == self.newcomer.address, "agent-zeta resolved to another address")
        seen = self.newcomer.run("find", "agent-beta")
        expect(seen["address"] == self.agents["agent-beta"].address, "agent-beta resolved to another address")
        return f"agent-zeta is {found['address']}, and finds agent-beta"

    def restart(self) -> str:
        """Kill an agent's daemon and start it again; its key, and so its address, stay."""
        alpha, beta = self.agents["agent-alpha"], self.agents["agent-beta"]
        beta.kill()
        begun = time.perf_counter()
        beta.start(bootstrap=self.agents["agent-gamma"].endpoint())
        alpha.run("ping", "agent-beta", "--count", "1")
        taken = time.perf_counter() - begun
        expect(taken < RESTART_LIMIT_S, f"reachable after {taken:.2f} s, not within {RESTART_LIMIT_S:.0f} s")
        return f"{beta.address} reachable {taken:.2f} s after the restart began, trust kept"

    def close(self) -> None:
        """Stop all processes."""
        for agent in [*self.agents.values(), self.newcomer, self.bootstrap]:
            agent.close()


def main() -> int:
    """Run all steps; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="pilotdht-demo-"))
    demonstration = Demonstration(folder)
    begun = time.perf_counter()
    try:
        for number, (title, step) in enumerate(demonstration.steps(), 1):
            started = time.perf_counter()
            print(f"{number:2}. {title} …", flush=True)
            told = step()
            print(f"    ✓ {told}  ({time.perf_counter() - started:.2f} s)", flush=True)
        total = time.perf_counter() - begun
        expect(total < TOTAL_LIMIT_S, f"the demonstration took {total:.1f} s, not under {TOTAL_LIMIT_S:.0f} s")
    except (StepFailed, subprocess.TimeoutExpired) as error:
        print(f"    ✗ {error}", flush=True)
        for log in sorted(folder.glob("*/**/*.log")):
            print(f"--- {log.relative_to(folder)}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        return 1
    else:
        print(f"done in {total:.1f} s: no registry, no broker, no process that could not be killed")
        return 0
    finally:
        demonstration.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
