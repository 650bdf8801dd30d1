"""The rules of the house about how a module presents itself, and about what no file may hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.house_rules import Rule
from tests.support.source import Breach, Module

MAX_LINES = 500
"""Past 400 a module is asked for its second idea; past this it must have been split."""

FOLDERS = {"pilotdht", "tests", "simulations", "grafana", "scripts", "docs", ".ci"}
"""All top-level folders there may be."""

VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}
"""Names that say nothing about what is inside."""

_DOCUMENTED = ("pilotdht", "simulations")
_FIELD_BASES = {"NamedTuple", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}
_ENUM_BASES = {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}
_METRICS = {"Counter", "Gauge", "Histogram", "Summary", "Info"}

# Without their last dots, so that this file is not its own breach.
_REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "(org|com)"),
    ("yarnpkg", "com"),
    ("crates", "io"),
    ("deb.debian", "org"),
    ("proxy.golang", "org"),
    ("ghcr", "io"),
    ("docker", "io"),
    ("quay", "io"),
)
_REGISTRY = re.compile("|".join(rf"\b{name}\.{ending}\b" for name, ending in _REGISTRIES))
_MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(work|root|home|Users)/\w")


def public_things_have_docstrings(module: Module) -> Iterator[Breach]:
    """Each public module, class, function, method, field and enum member says what it is."""
    if module.package not in _DOCUMENTED:
        return
    if not module.docstring:
        yield Breach(module.path, 1, "the module has no docstring")
    yield from _undocumented(module, module.tree.body, "")


def names_say_something(module: Module) -> Iterator[Breach]:
    """No module or folder is called utils, helpers, common or misc."""
    for part in module.name.split("."):
        if part.strip("_") in VAGUE_NAMES:
            yield Breach(module.path, 1, f"{part!r} says nothing about what is inside")


def modules_are_short(module: Module) -> Iterator[Breach]:
    """A module has at most 500 lines."""
    lines = module.text.count("\n")
    if lines > MAX_LINES:
        yield Breach(module.path, MAX_LINES + 1, f"{lines} lines; {MAX_LINES} are the limit: find the second idea")


def metrics_are_named_alike(module: Module) -> Iterator[Breach]:
    """Metrics are called ``pilotdht_<part>_<what>_<unit>``, counters end in ``_total``, and each has help text."""
    if module.package != "pilotdht":
        return
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        origin = module.dotted(node.func)
        kind = origin.rsplit(".", 1)[-1]
        if kind not in _METRICS or not origin.startswith(("prometheus_client.", "pilotdht.metrics.")):
            continue
        name, text = (_text(argument) for argument in [*node.args[:2], None, None][:2])
        if kind == "Info":
            name = f"{name}_info"  # as it is exported
        if name is not None and not re.fullmatch(r"pilotdht_[a-z0-9]+(_[a-z0-9]+)+", name):
            yield Breach(module.path, node.lineno, f"metric {name!r} is not named pilotdht_<part>_<what>_<unit>")
        if name is not None and kind == "Counter" and not name.endswith("_total"):
            yield Breach(module.path, node.lineno, f"counter {name!r} does not end in _total")
        if text == "" or len(node.args) < 2:
            yield Breach(module.path, node.lineno, f"metric {name!r} has no help text")


def texts_name_no_machine(path: str, text: str) -> Iterator[Breach]:
    """Return the places where a file names a package registry's host or a folder of somebody's machine."""
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in ((_REGISTRY, "host of a package registry"), (_MACHINE_PATH, "path of somebody's machine")):
            found = pattern.search(line)
            if found:
                yield Breach(path, number, f"{what}: {found.group()}")


def folders_are_known(paths: list[str]) -> Iterator[Breach]:
    """Return the files that stand in a top-level folder which the house does not have."""
    for path in paths:
        folder, slash, _ = path.partition("/")
        if slash and folder not in FOLDERS:
            yield Breach(path, 1, f"top-level folder {folder!r} is not one of {', '.join(sorted(FOLDERS))}")


def _undocumented(module: Module, body: list[ast.stmt], inside: str) -> Iterator[Breach]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield Breach(module.path, node.lineno, f"class {inside}{node.name} has no docstring")
            yield from _undocumented_fields(module, node)
            yield from _undocumented(module, node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            decorators = {_last_name(decorator) for decorator in node.decorator_list}
            if not ast.get_docstring(node) and not decorators & {"overload", "setter", "deleter"}:
                yield Breach(module.path, node.lineno, f"{inside}{node.name} has no docstring")
        elif isinstance(node, ast.If | ast.Try):
            yield from _undocumented(module, [*node.body, *node.orelse], inside)


def _undocumented_fields(module: Module, owner: ast.ClassDef) -> Iterator[Breach]:
    bases = {_last_name(base) for base in owner.bases}
    has_fields = "dataclass" in {_last_name(decorator) for decorator in owner.decorator_list} or bases & _FIELD_BASES
    if not has_fields:
        return
    described = ast.get_docstring(owner) or ""
    for node, following in zip(owner.body, [*owner.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if _last_name(node.annotation) == "ClassVar":
                continue  # no field: its base says what it is
            name = node.target.id
            has_reason = isinstance(node.value, ast.Call) and _last_name(node.value.func) == "tunable"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and bases & _ENUM_BASES:
            name, has_reason = node.targets[0].id, False
        else:
            continue
        is_text_below = (
            isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        )
        is_described_above = re.search(rf"^\s*{name}:", described, re.MULTILINE) is not None
        if not (name.startswith("_") or is_text_below or has_reason or is_described_above):
            yield Breach(module.path, node.lineno, f"field {owner.name}.{name} has no docstring")


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call | ast.Subscript):
        return _last_name(node.func if isinstance(node, ast.Call) else node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


MANNERS: tuple[Rule, ...] = (
    public_things_have_docstrings,
    names_say_something,
    modules_are_short,
    metrics_are_named_alike,
)
"""The rules above that judge one module."""
