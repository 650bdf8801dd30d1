"""The pages that are made from the program are up to date, complete, and say what it says."""

from __future__ import annotations

import re

import click
import pytest

import pilotdht
from pilotdht.cli.context import catalogue
from pilotdht.cli.program import program
from pilotdht.config.config import Config
from pilotdht.daemon.envelope import error_classes
from pilotdht.daemon.settings import list_settings
from scripts.site_builder.docstrings import markdown
from scripts.site_builder.generated import PAGES
from scripts.site_builder.members import MemberKind, members_of
from tests.support.source import ROOT

CLI = (ROOT / "docs" / "cli.md").read_text("utf-8")
SDK = (ROOT / "docs" / "sdk.md").read_text("utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")


def headings(text: str) -> list[str]:
    """Return the headings of a page, whatever their level."""
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def section(text: str, heading: str) -> str:
    """Return what stands below a heading of the third level."""
    return re.split(r"^##", text.partition(f"\n### {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("path", PAGES)
def test_page_is_what_the_program_makes_of_it(path: str) -> None:
    """``scripts/site --write`` would change nothing."""
    wanted = PAGES[path]()
    assert wanted == (ROOT / path).read_text("utf-8"), f"run scripts/site --write: {path}"


def test_every_verb_has_its_options_and_its_example() -> None:
    """All of the machine-readable catalogue stands on the page."""
    commands = catalogue(click.Context(program, info_name="pilotdht"))["commands"]
    titles = headings(CLI)

    assert 50 < len(commands)
    for command in commands:
        text = section(CLI, command["command"])
        assert 1 <= titles.count(command["command"]), command["command"]
        assert f"`{command['example']}`" in text
        for parameter in command["parameters"]:
            words = parameter["options"] or [f"{parameter['name'].upper()}"]
            if parameter["kind"] == "option":
                assert all(word in text for word in words), (command["command"], words)


def test_every_key_of_json_stands_in_its_shape() -> None:
    """A verb's section names a shape, and the shape has the verb's keys."""
    for command in catalogue(click.Context(program, info_name="pilotdht"))["commands"]:
        if command["returns"]:
            shape = re.search(r"^JSON: .*?\[(\w+)\]\(#\w+\)", section(CLI, command["command"]), re.MULTILINE)
            assert shape is not None, command["command"]
            keys = re.findall(r"^\| `(\w+)` \|", section(CLI, shape[1]), re.MULTILINE)
            assert sorted(command["returns"]) == sorted(keys), command["command"]


def test_every_error_stands_on_both_pages() -> None:
    """With its code."""
    for kind in error_classes():
        assert f"| `{kind.code}` |" in CLI
        assert f"| `{kind.__name__}` |" in SDK or kind.__name__ not in pilotdht.__all__


def test_every_public_name_has_a_section() -> None:
    """And every method of the node one of its own."""
    titles = headings(SDK)
    errors = set(re.findall(r"^\| `(\w+)` \| `\w+` \| `\w+` \|", SDK, re.MULTILINE))

    assert [] == [name for name in pilotdht.__all__ if name not in {*titles, *errors, "__version__"}]
    for kind in (pilotdht.Node, pilotdht.Client, pilotdht.Group):
        methods = [one.name for one in members_of(kind) if one.kind is MemberKind.METHOD]
        assert 10 < len(methods)
        assert [] == [name for name in methods if f"{kind.__name__}.{name}" not in titles]


def test_every_setting_stands_on_its_page() -> None:
    """As ``config show`` lists them."""
    names = [setting.name for setting in list_settings(Config(), {})]

    assert 100 < len(names)
    assert [] == [name for name in names if f"| `{name}` |" not in SETTINGS]


def test_docstring_becomes_markdown() -> None:
    """Sections become lists, roles and doubled ticks code, sessions blocks."""
    text = markdown(
        """Say ``hello`` to a :class:`~pilotdht.names.peer.Peer`.

        >>> greet("x")

        Args:
            name: whose, on
                two lines.

        Raises:
            NotFound: nobody.
            ValueError: empty.
        """
    )
    assert (
        'Say `hello` to a `Peer`.\n\n```python\ngreet("x")\n```\n\nArgs:\n\n- `name`: whose, on\n  two lines.\n\n'
        "Raises:\n\n- [`NotFound`](#errors): nobody.\n- `ValueError`: empty."
    ) == text
