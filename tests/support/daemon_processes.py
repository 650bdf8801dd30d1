"""Real daemons as processes on 127.0.0.1, driven by the command line as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One daemon's home, and commands run in it."""

    home: Path
    """``PILOTDHT_HOME``."""

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of this agent's commands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PILOTDHT_", "XDG_"))}
        return {**kept, "PILOTDHT_HOME": str(self.home), **more}

    def command(self, *words: str) -> list[str]:
        """Return one command line."""
        return [sys.executable, "-m", "pilotdht", *words]

    def run(self, *words: str, stdin: bytes | None = None, **more: str) -> subprocess.CompletedProcess[bytes]:
        """Run one command to its end."""
        return subprocess.run(
            self.command(*words),
            env=self.environment(**more),
            capture_output=True,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def json(self, *words: str, stdin: bytes | None = None) -> dict[str, Any]:
        """Run one command that must succeed, and return its data."""
        done = self.run("--json", *words, stdin=stdin)
        assert 0 == done.returncode, f"{words}: {done.stdout!r} {done.stderr!r}"
        data = json.loads(done.stdout)["data"]
        assert isinstance(data, dict)
        return data

    def start(self, *words: str) -> dict[str, Any]:
        """Start the daemon and return its facts."""
        return self.json("daemon", "start", "--listen", "127.0.0.1:0", *words)

    def stop(self) -> None:
        """Stop the daemon, if it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run("daemon", "stop")

    @contextlib.contextmanager
    def beside(self, *words: str, stdin: int = subprocess.DEVNULL, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command while the block runs; killed at its end when it has not ended by itself."""
        process = subprocess.Popen(
            self.command(*words),
            env=self.environment(**more),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


@contextlib.contextmanager
def agents(directory: Path, count: int) -> Iterator[list[Agent]]:
    """Yield homes for so many agents; whatever runs in them is stopped afterwards."""
    made = [Agent(home=directory / f"agent{number}") for number in range(count)]
    try:
        yield made
    finally:
        for agent in made:
            agent.stop()
