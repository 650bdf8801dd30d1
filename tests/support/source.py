"""The project's own source, read for the tests that judge it: modules, their rooms, and what their names refer to."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """A place that breaks a rule; its text is what the failing test prints."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        """Return ``path:line: what``."""
        return f"{self.path}:{self.line}: {self.what}"


class Module:
    """One Python file and its syntax tree."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        """Relative to the checkout, with forward slashes."""
        self.text = text
        """The whole file."""
        self.tree = ast.parse(text, filename=path)
        """Its syntax tree."""

    @cached_property
    def name(self) -> str:
        """The dotted name, such as ``pilotdht.dht.routing``; a package's own name for its ``__init__.py``."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """The top-level folder: ``pilotdht``, ``simulations``, ``tests`` or ``scripts``."""
        return self.path.split("/", 1)[0]

    @property
    def room(self) -> str:
        """The folder or module below ``pilotdht``, such as ``dht`` or ``errors``; empty for the package itself."""
        package, _, rest = self.name.partition(".")
        return rest.split(".", 1)[0] if package == "pilotdht" else ""

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The parent of each node but the root."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def docstring(self) -> str:
        """The module's docstring, or an empty text."""
        return ast.get_docstring(self.tree) or ""

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parents of ``node``, nearest first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield line and dotted name of each thing imported, wherever the import stands."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield node.lineno, f"{self._source_of(node)}.{alias.name}"

    @cached_property
    def origins(self) -> dict[str, str]:
        """What each imported local name refers to: ``{"now": "time.monotonic"}``."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".", 1)[0]
                    found[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{self._source_of(node)}.{alias.name}"
        return found

    def dotted(self, node: ast.AST) -> str:
        """Return what an expression refers to, imports followed: ``time.monotonic``; empty when it cannot be told."""
        if isinstance(node, ast.Attribute):
            before = self.dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, node.id)
        return ""

    def references(self) -> Iterator[tuple[ast.expr, str]]:
        """Yield each name or attribute chain that starts at an import, with what it refers to; whole chains only."""
        for node in self.nodes:
            if isinstance(node, ast.Attribute | ast.Name) and not isinstance(self.parents.get(node), ast.Attribute):
                chain: ast.expr = node
                while isinstance(chain, ast.Attribute):
                    chain = chain.value
                if isinstance(chain, ast.Name) and chain.id in self.origins:
                    yield node, self.dotted(node)

    def _source_of(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        if not self.path.endswith("/__init__.py"):
            parts = parts[:-1]
        parts = parts[: len(parts) - node.level + 1]
        return ".".join([*parts, node.module] if node.module else parts)


def project_files() -> list[str]:
    """Return the files of the project, sorted: those git tracks, and new ones that it does not ignore."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({path for path in listed if path and (ROOT / path).is_file()})


def project_modules() -> list[Module]:
    """Return the Python files of the project, sorted by path."""
    return [Module(path, (ROOT / path).read_text("utf-8")) for path in project_files() if path.endswith(".py")]
