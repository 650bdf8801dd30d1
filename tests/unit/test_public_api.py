"""The public interface is a list, and importing the command line stays cheap."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import subprocess
import sys

import pytest

import pilotdht
from tests.support.source import ROOT

HEAVY = ("aioquic", "kademlia", "prometheus_client", "rich")
"""What a command that only asks a daemon must not load."""

PUBLIC: list[str] = list(getattr(pilotdht, "__all__", ()))
NAMED = [name for name in PUBLIC if not name.startswith("__")]


def names_of_package() -> set[str]:
    """Return the public names that the package's source imports or defines at its top, typing-only imports included."""
    found: set[str] = set()
    pending: list[ast.stmt] = list(ast.parse((ROOT / "pilotdht" / "__init__.py").read_text("utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If):
            pending += [*node.body, *node.orelse]
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("pilotdht")):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return {name for name in found if not name.startswith("_")}


def test_public_names_are_sorted_and_unique() -> None:
    """The list of public names is not empty, sorted, and has each name once."""
    assert PUBLIC
    assert sorted(set(PUBLIC)) == PUBLIC


def test_public_names_are_complete() -> None:
    """The list has every name that the package imports or defines, and no other."""
    assert names_of_package() == set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_public_name_exists_and_is_documented(name: str) -> None:
    """Each public name can be had; classes and functions have docstrings."""
    value = getattr(pilotdht, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize(
    "program",
    [
        "import pilotdht.cli",
        "import pilotdht.cli; sys.argv = ['pilotdht', 'ping', '--help']; pilotdht.cli.main()",
    ],
    ids=["import", "help"],
)
def test_command_line_that_runs_no_node_loads_no_heavy_library(program: str) -> None:
    """Importing the command line and asking for help load neither node, server nor table printer."""
    module = importlib.util.find_spec("pilotdht.cli")
    if module is None or not module.origin or not (ROOT / "pilotdht/cli/__init__.py").read_text("utf-8").strip():
        pytest.skip("pilotdht.cli is missing")
    code = (
        f"import sys\ntry:\n    {program}\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"sys.exit('loaded: ' + ' '.join(n for n in {HEAVY!r} if n in sys.modules) + '.')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "loaded: ." == done.stderr.strip().splitlines()[-1]
