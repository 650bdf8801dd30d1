"""What README, tutorial and guides have a reader type is run by a test, or marked, and understood by the program."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pilotdht.cli.program import Verb, program
from pilotdht.daemon.config_check import check_file
from tests.support.source import ROOT, project_files

GUIDES = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]*) -->\n)?^```(?P<language>\w+)(?P<words>[^\n]*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
RUN = ("run", "run on", "run in a clone")
TYPED = ("console", "sh", "bash", "python")
IN_CLONE = [
    pytest.param(found["text"], id=f"{path.name}-{number}")
    for path in GUIDES
    for number, found in enumerate(FENCE.finditer(path.read_text("utf-8")), 1)
    if found["mark"] == "run in a clone"
]


def typed_lines(text: str) -> Iterator[str]:
    """Yield the commands of a block: prompts and comments removed, continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        command = re.sub(r"^(?:\[[a-z]+\]|server)?\$ ", "", line).strip()
        if re.match(r"(?:[A-Z_]+=\S+ )*(?:sudo )?(?:\S*/)?pilotdht ", command):
            yield re.sub(r"^(?:[A-Z_]+=\S+ )*(?:sudo )?(?:\S*/)?pilotdht ", "", command)


def parse(command: str) -> None:
    """Have the program read a command without doing it.

    Raises:
        click.UsageError: there is no such verb, option or argument.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in ("|", "<", ">", "||", "&&", "&", ";") or re.fullmatch(r"\d?>.*", word):
            break
        words.append(word)
    here: click.Command = program
    context = click.Context(program, info_name="pilotdht")
    while isinstance(here, click.Group) and words and words != ["--version"]:
        inner = here.get_command(context, words[0])
        if inner is None:
            raise click.UsageError(f"no such verb: {words[0]}")
        context = click.Context(inner, info_name=words.pop(0), parent=context)
        here = inner
    if words != ["--version"]:
        assert isinstance(here, Verb), command
        here.make_context(str(here.name), words)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_blocks_are_run_or_say_where(path: Path) -> None:
    """A block to be typed is run by a test, or its title says what it needs that a test does not have."""
    found = [one for one in FENCE.finditer(path.read_text("utf-8")) if one["language"] in TYPED]

    assert found
    assert [] == [one["text"] for one in found if one["mark"] not in RUN and 'title="' not in one["words"]]


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "tutorial.md"], ids=lambda path: path.name)
def test_blocks_of_readme_and_tutorial_are_all_run(path: Path) -> None:
    """Without exception."""
    found = [one for one in FENCE.finditer(path.read_text("utf-8")) if one["language"] in TYPED]
    assert [] == [one["text"] for one in found if one["mark"] not in RUN]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_that_are_not_run_are_understood(path: Path) -> None:
    """Verbs, options and arguments exist, on every page."""
    for one in FENCE.finditer(path.read_text("utf-8")):
        if one["language"] in ("console", "sh", "bash"):
            for command in typed_lines(one["text"]):
                try:
                    parse(command)
                except click.UsageError as error:
                    pytest.fail(f"pilotdht {command}: {error.format_message()}")


@pytest.mark.parametrize("command", ["nosuch", "ping", "find --nosuch x", "daemon start extra"])
def test_command_that_the_program_does_not_know_is_found(command: str) -> None:
    """The check above can fail."""
    with pytest.raises(click.UsageError):
        parse(command)


def test_settings_in_guides_are_right(tmp_path: Path) -> None:
    """Each block of TOML is a configuration in which nothing is wrong, once a key stands where one belongs."""
    blocks = [
        one["text"] for path in GUIDES for one in FENCE.finditer(path.read_text("utf-8")) if one["language"] == "toml"
    ]

    assert blocks
    for number, text in enumerate(blocks):
        file = tmp_path / f"{number}.toml"
        file.write_text(text.replace("…", "5a" * 32), encoding="utf-8")
        assert () == tuple(check_file(file, environment={}).problems)


@pytest.mark.integration
@pytest.mark.timeout(420)
@pytest.mark.parametrize("text", IN_CLONE)
def test_block_runs_in_a_clone(text: str, tmp_path: Path) -> None:
    """What a reader types in a fresh clone works, into an environment of its own; needs the package index."""
    clone = tmp_path / "clone"
    for name in project_files():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=60)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PILOTDHT_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        ["bash", "-euc", text.replace("/tmp/", f"{tmp_path}/") + "\ncommand -v pilotdht scripts/demo\n"],  # noqa: S108
        env=kept | {"PATH": f"{tmp_path / 'venv' / 'bin'}:{kept.get('PATH', '')}", "HOME": str(tmp_path)},
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        stdin=subprocess.DEVNULL,
    )
    is_late = done.returncode and re.search(r"✗ .* not (?:within|under) \d+ s", done.stdout)
    if is_late and os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip(f"an idle core is missing, so times cannot be judged: {is_late[0]}")
    assert 0 == done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
    installed = "pip install" in text
    assert installed == (str(tmp_path) in done.stdout.splitlines()[-2]), done.stdout[-500:]
