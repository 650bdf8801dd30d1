"""What README and docs tell a reader to type works, and prints what they say it prints."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.source import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"<!-- run( on)? -->\n```(\w+)[^\n]*\n(.*?)```", re.DOTALL)
PROMPT = re.compile(r"(?:\[([a-z]+)\])?\$ (.*)")
ANYTHING = "…"
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
COMMAND_TIMEOUT_S = 30.0
VARIABLE = (
    (re.compile(r"\b\d+:[0-9A-F]{4}\.[0-9A-F]{4}\.[0-9A-F]{4}\b"), "ADDRESS"),
    (re.compile(r"did:key:\w+"), "DID"),
    (re.compile(r"\bpid \d+"), "pid N"),
    (re.compile(r"\b[\d.]+\s?ms\b"), "N ms"),
    (re.compile(r"\b\d+s\b"), "N s"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b"), "DATE"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "ENDPOINT"),
    (re.compile(r"#login=[\w-]+"), "#login=TOKEN"),
    (re.compile(r" {2,}"), "  "),
)


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Return language and text of the blocks to be run; those marked ``run on`` are the end of the one before."""
    found: list[tuple[str, str]] = []
    for goes_on, language, block in BLOCK.findall(text):
        if goes_on:
            before = found.pop()
            assert before[0] == language, "a block goes on in the language in which it began"
            found.append((language, before[1] + block))
        else:
            found.append((language, block))
    return found


BLOCKS = [
    pytest.param(language, text, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    for number, (language, text) in enumerate(blocks_of(path.read_text("utf-8")), 1)
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


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a console session."""

    shell: str
    """Which of several shells it is typed into: the name in its prompt, ``[alpha]$``; empty when there is one."""
    command: str
    """As it is typed."""
    shown: str
    """The output that the page shows for it, or an empty text."""

    @property
    def is_refused(self) -> bool:
        """The page shows that it fails, and how."""
        return self.shown.startswith("error: ")


def typed(console: str) -> list[Step]:
    """Return the steps of a console session."""
    steps: list[Step] = []
    for line in console.splitlines():
        if prompt := PROMPT.fullmatch(line):
            steps.append(Step(prompt[1] or "", prompt[2], ""))
        elif steps:
            step = steps.pop()
            steps.append(replace(step, shown=f"{step.shown}{line}\n"))
    return steps


def agree(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed; a line of three dots stands for any lines."""
    lines = [".*" if line == ANYTHING else re.escape(line) for line in masked(shown)]
    return re.fullmatch("\n".join(lines), "\n".join(masked(printed)), re.DOTALL) is not None


def test_session_is_read_as_it_is_typed() -> None:
    """Shells by their prompts, output below its command, blocks that go on, refusals."""
    text = (
        "<!-- run -->\n```console\n[a]$ one\nshown\n```\nwords\n<!-- run on -->\n```console\n$ two\nerror: no\n```\n"
        "<!-- run -->\n```python\nthree\n```\n```console\n$ not run\n```\n"
    )
    blocks = blocks_of(text)
    steps = typed(blocks[0][1])

    assert ["console", "python"] == [language for language, _ in blocks]
    assert [Step("a", "one", "shown\n"), Step("", "two", "error: no\n")] == steps
    assert [False, True] == [step.is_refused for step in steps]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a\nc\n", False),
        ("a", "a\nb\n", False),
        ("…\nb\n…", "a\nb\nc\nd\n", True),
        ("…\nb\n…", "a\nc\nd\n", False),
        ("a.c (pid 1) 2ms", "a.c (pid 22) 3.4 ms", True),
        ("a.c", "abc", False),
    ],
)
def test_output_agrees_or_not(shown: str, printed: str, expected: bool) -> None:
    """What differs between runs is masked, three dots stand for lines, all else counts."""
    assert expected == agree(shown, printed)


@pytest.mark.integration
@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_block_of_document_runs(language: str, text: str, tmp_path: Path) -> None:
    """Each block marked to be run does what it shows."""
    text = text.replace("/tmp/", f"{tmp_path}/")  # noqa: S108 - what is written there
    for port in ("4433", "9464"):
        text = text.replace(port, str(free_port()))
    if language == "python":
        subprocess.run(
            [sys.executable, "-c", text], env=environment(), cwd=tmp_path, check=True, timeout=COMMAND_TIMEOUT_S
        )
        return
    assert language == "console"
    exports: dict[str, list[str]] = defaultdict(list)
    try:
        for step in typed(text):
            if step.command.startswith("export "):
                exports[step.shell].append(step.command)
                continue
            done = subprocess.run(
                ["bash", "-c", "\n".join([*exports[step.shell], step.command])],
                env=environment(),
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
            assert bool(done.returncode) == step.is_refused, f"{step.command}: {done.stdout}{done.stderr}"
            printed = done.stdout + done.stderr if step.is_refused else done.stdout
            if step.shown and not agree(step.shown, printed):
                assert masked(step.shown) == masked(printed), step.command
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
