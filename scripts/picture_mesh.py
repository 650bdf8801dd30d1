"""A real mesh of ten agents on loopback that talk, for pictures of the status page and of the command line.

Everything lies in a folder that the caller gives; the agents are stopped when the block ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_TIMEOUT_S = 30.0

OWN = "research-lead"
TAGS = {
    OWN: "research",
    "citations": "research,mcp",
    "translator": "language,mcp",
    "archive": "storage",
    "prices": "finance,mcp",
    "planner": "research",
    "weather": "data",
    "secops": "security",
    "edge-laptop": "",
    "edge-phone": "",
}
CLIENTS = ("edge-laptop", "edge-phone")
"""Behave like agents that nobody reaches: they attach to others."""

TALK = (
    ("planner", "plan.today", "three reviews before noon, the survey after"),
    ("citations", "papers.new", "Kademlia (2002) is cited by 4 of the drafts"),
    ("translator", "status", "the German summary is done"),
    ("archive", "papers.stored", "draft-17.pdf, 1.4 MB"),
    ("citations", "papers.new", "S/Kademlia (2007): section 4.4 answers the question about disjoint paths"),
    (OWN, "plan.today", "thanks, all: the report goes out at five"),
)


@dataclass
class Agent:
    """One daemon in a process of its own."""

    name: str
    home: Path

    def run(self, *words: str) -> dict[str, Any]:
        """Run one command and return its data."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTDHT_")}
        done = subprocess.run(
            [sys.executable, "-m", "pilotdht", "--json", *words],
            env=kept | {"PILOTDHT_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        envelope = json.loads(done.stdout)
        if envelope["status"] != "ok":
            raise SystemExit(f"{self.name}: {' '.join(words)}: {envelope['message']}")
        data: dict[str, Any] = envelope["data"]
        return data

    def serve(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a command beside."""
        return subprocess.Popen(
            [sys.executable, "-m", "pilotdht", *words],
            env=os.environ | {"PILOTDHT_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def mesh(folder: Path) -> Iterator[dict[str, Agent]]:
    """Yield running agents that know, trust and talk to one another."""
    agents = {name: Agent(name, folder / name) for name in TAGS}
    beside: list[subprocess.Popen[bytes]] = []
    seed = ""
    try:
        for name, agent in agents.items():
            options = ["--listen", "127.0.0.1:0", "--hostname", name, "--tags", TAGS[name]]
            options += ["--bootstrap", seed] if seed else []
            options += ["--set", "dht.mode=client"] if name in CLIENTS else []
            started = agent.run("daemon", "start", *options)
            seed = seed or started["endpoints"][0]
        own = agents[OWN]
        for name in ("citations", "translator", "planner", "archive"):
            agents[name].run("handshake", OWN, "we write the same report")
            own.run("approve", name)
        for name in (OWN, "planner", "citations", "translator", "archive", "weather"):
            agents[name].run("group", "join", "research")
        org = own.run("org", "create", "acme")["name"]
        for name in ("prices", "secops"):
            invitation = own.run("org", "invite", org, "--hostname", name)["invitation"]
            agents[name].run("join", "--org", org, "--token", invitation)
        beside.append(
            agents["citations"].serve("serve", "query", "--group", "research", "--can", "citations", "--", "cat")
        )
        agents["prices"].run("handshake", OWN, "May I read your forecasts? I offer live prices in return.")
        agents["edge-phone"].run("handshake", OWN, "it is me, on the train")
        for name in ("prices", "secops", "edge-laptop"):
            agents[name].run("connect", OWN)
        yield agents
    finally:
        for process in beside:
            process.terminate()
            process.wait()
        for agent in agents.values():
            with contextlib.suppress(SystemExit, subprocess.TimeoutExpired, ValueError):
                agent.run("daemon", "stop")


def talk(agents: dict[str, Agent], ending: threading.Event) -> None:
    """Let the agents go on with what agents do, until it is enough."""
    own = agents[OWN]
    for turn in range(10_000):
        author, topic, text = TALK[turn % len(TALK)]
        steps: tuple[tuple[Agent, tuple[str, ...]], ...] = (
            (agents[author], ("publish", "research", topic, text)),
            (own, ("query", "--group", "research", "who cites Shannon?", "--can", "citations")),
            (agents["translator"], ("send", OWN, "--data", "x" * (4_000 + 9_000 * (turn % 3)))),
            (own, ("recv", "--count", "1", "--timeout", "2")),
        )
        for agent, words in steps:
            if ending.is_set():
                return
            with contextlib.suppress(SystemExit, ValueError, subprocess.TimeoutExpired):
                agent.run(*words)
        ending.wait(1.5)
