"""What README and docs tell a reader to type works, and prints what they say it prints."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"<!-- run -->\n```(\w+)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
COMMAND_TIMEOUT_S = 30.0
VARIABLE = (
    (re.compile(r"\b\d+:[0-9A-F]{4}\.[0-9A-F]{4}\.[0-9A-F]{4}\b"), "ADDRESS"),
    (re.compile(r"\bpid \d+"), "pid N"),
    (re.compile(r"\b[\d.]+\s?ms\b"), "N ms"),
)

BLOCKS = [
    pytest.param(language, text, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    for number, (language, text) in enumerate(BLOCK.findall(path.read_text("utf-8")), 1)
]


def masked(text: str) -> list[str]:
    """Return the lines of a text with what differs between two runs replaced."""
    for pattern, word in VARIABLE:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def free_port() -> int:
    """Return a UDP port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """Return an environment in which this checkout's commands are found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTDHT_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}", "NO_COLOR": "1"}


def typed(console: str) -> list[tuple[str, str]]:
    """Return each command of a console session with the output shown for it, or an empty text."""
    steps: list[tuple[str, str]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif steps:
            command, shown = steps.pop()
            steps.append((command, f"{shown}{line}\n"))
    return steps


@pytest.mark.integration
@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_block_of_document_runs(language: str, text: str, tmp_path: Path) -> None:
    """Each block marked to be run does what it shows."""
    text = text.replace("/tmp/", f"{tmp_path}/").replace("4433", str(free_port()))  # noqa: S108 - what is written there
    if language == "python":
        subprocess.run(
            [sys.executable, "-c", text], env=environment(), cwd=tmp_path, check=True, timeout=COMMAND_TIMEOUT_S
        )
        return
    assert language == "console"
    exports: list[str] = []
    try:
        for command, shown in typed(text):
            if command.startswith("export "):
                exports.append(command)
                continue
            done = subprocess.run(
                ["bash", "-c", "\n".join([*exports, command])],
                env=environment(),
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            if shown:
                assert masked(shown) == masked(done.stdout), command
    finally:
        for home in tmp_path.iterdir():
            subprocess.run(
                [sys.executable, "-m", "pilotdht", "daemon", "stop"],
                env=environment() | {"PILOTDHT_HOME": str(home)},
                capture_output=True,
                check=False,
                timeout=COMMAND_TIMEOUT_S,
            )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """Each relative link names a file that exists."""
    for target in LINK.findall(path.read_text("utf-8")):
        assert (path.parent / target).exists(), target
