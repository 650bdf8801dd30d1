"""Real daemons at the hosts of a laboratory, each with a home of its own, spoken to over their control sockets.

Control sockets are files, so this process reaches those of daemons in other namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.paths import find_paths
from pilotdht.identity.keyfile import load_or_create_key_file
from pilotdht.node.life import TRUST_FILE
from pilotdht.trust.book import TrustBook
from scripts.lab.laboratory import Lab
from scripts.lab.namespaces import LabError
from scripts.lab.site import Machine

PORT = 4433
"""UDP port of the servers' nodes."""

START_TIMEOUT_S = 120.0
"""A daemon is ready after a second or two; on a busy machine many start at once."""

STOP_TIMEOUT_S = 10.0
"""A daemon withdraws its records within seconds."""

LOG_TAIL_BYTES = 2000
"""How much of its log is told when a daemon does not start."""


@dataclass(kw_only=True)
class Agent:
    """One daemon at one host."""

    lab: Lab
    """Where it runs."""
    host: str
    """At which host."""
    home: Path
    """``PILOTDHT_HOME``; made when it starts."""
    python: str
    """The interpreter that has the project."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What it said when it was ready: its address, its control socket and so on."""
    _process: subprocess.Popen[bytes] | None = None

    def launch(self, *, hostname: str = "", bootstrap: Sequence[str] = (), settings: Mapping[str, str]) -> None:
        """Start it; :meth:`wait_until_ready` comes next, so that several can start at one time."""
        command = [self.python, "-m", "pilotdht", "--json", "daemon", "run"]
        command += ["--hostname", hostname] if hostname else []
        for endpoint in bootstrap:
            command += ["--bootstrap", endpoint]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # another interpreter has a project of its own, which a path of ours would hide
        dropped = ("PILOTDHT_", "XDG_") if self.python == sys.executable else ("PILOTDHT_", "XDG_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        with (self.home / "stderr").open("ab") as errors:
            self._process = self.lab.popen(
                self.host,
                command,
                env=kept | {"PILOTDHT_HOME": str(self.home)},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def wait_until_ready(self) -> None:
        """Return when it has joined and published, or has given up waiting for that.

        Raises:
            LabError: it ended, or said nothing in time.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        line = b""
        deadline = time.monotonic() + START_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
                piece = os.read(process.stdout.fileno(), 65_536)
                if not piece:
                    break
                line += piece
        try:
            envelope = json.loads(line)
        except ValueError:
            raise LabError(f"the daemon at {self.host} did not start: {self.log_tail()}") from None
        if envelope.get("status") != "ok":
            raise LabError(f"the daemon at {self.host} did not start: {envelope.get('message')}")
        self.facts = envelope["data"]

    def channel(self) -> ControlChannel:
        """Return a way to ask it for something."""
        return ControlChannel(self.facts["socket"])

    def log_tail(self) -> str:
        """Return the end of what it wrote to standard error."""
        with contextlib.suppress(OSError):
            return (self.home / "stderr").read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
        return ""

    def kill(self) -> None:
        """End it as a power cut would: nothing is withdrawn, nobody is told; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def suspend(self) -> None:
        """Have it stand still, as a laptop that is closed does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it as an operator would; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start_servers(lab: Lab, folder: Path, *, python: str, settings: Mapping[str, str]) -> list[Agent]:
    """Start a node at every server: a mesh that others join through.

    Raises:
        LabError: one did not start.
    """
    servers = []
    for server in lab.servers:
        agent = Agent(lab=lab, host=server.name, home=folder / server.name, python=python)
        launch_server(agent, settings)
        servers.append(agent)
    for agent in servers:
        agent.wait_until_ready()
    return servers


def launch_server(agent: Agent, settings: Mapping[str, str]) -> None:
    """Start a server's node, for the first time or again; it joins through all the others."""
    server = agent.lab.machine(agent.host)
    own = {
        "listen": f":{PORT}",
        "advertise": ",".join(endpoints_of(server, has_ipv4=True, has_ipv6=True)),
        "dht.mode": "server",
    }
    others = [endpoint for other in agent.lab.servers if other != server for endpoint in endpoints_of(other)]
    agent.launch(bootstrap=others, settings=own | dict(settings))


def introduce(asking: Path, asked: Path) -> None:
    """Have the agents of two homes trust one another before they ever ran, as if one had asked and the other approved.

    So the first packet between them is that of the dial which is measured, not that of a request for trust.
    """
    paths = [find_paths({"PILOTDHT_HOME": str(home)}) for home in (asking, asked)]
    keys = [load_or_create_key_file(path.key_file).public_key for path in paths]
    books = [TrustBook(path.data_dir / TRUST_FILE, unix_time=time.time) for path in paths]
    try:
        for speaker, listener in ((0, 1), (1, 0)):
            entry = books[speaker].approve(keys[listener]) if speaker else books[speaker].ask(keys[listener])
            word = entry.word("")
            assert word is not None, "who asks or approves owes the other a word"
            _, answer = books[listener].hear(keys[speaker], word)
            books[speaker].learn(keys[listener], word, answer)
        if not (books[0].is_trusted(keys[1]) and books[1].is_trusted(keys[0])):
            raise LabError("two homes could not be introduced to each other")
    finally:
        for book in books:
            book.close()


def endpoints_of(server: Machine, *, has_ipv4: bool = True, has_ipv6: bool = False) -> list[str]:
    """Return where a server's node is, in the families asked for."""
    return [f"{server.host}:{PORT}"] * has_ipv4 + [f"[{server.host6}]:{PORT}"] * has_ipv6
