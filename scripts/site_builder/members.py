"""What a class offers, read from its source: fields, properties and methods, those of its bases included."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

WIDEST = 110
"""Longest signature on one line; others have a line for each parameter."""


class MemberKind(Enum):
    """What can be done with a member."""

    FIELD = "field"
    """Read."""
    METHOD = "method"
    """Called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One name of a class."""

    name: str
    """As it stands after the dot."""
    kind: MemberKind
    """Field or method; a property is a field."""
    signature: str
    """Of a method: the whole one, with ``async``. Of a field: its type, or an empty text."""
    default: str
    """Of a field: what it is when nothing is given; empty when it must be given, or is not given at all."""
    doc: str
    """Its docstring, or an empty text."""


def members_of(kind: type) -> list[Member]:
    """Return the public members of a class in the order of its source, then those of its bases in this package."""
    found: dict[str, Member] = {}
    for one in kind.__mro__:
        if one.__module__.split(".", 1)[0] == kind.__module__.split(".", 1)[0]:
            for member in _own(class_source(one)):
                found.setdefault(member.name, member)
    return list(found.values())


def class_source(kind: type) -> ast.ClassDef:
    """Return the syntax tree of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return tree


def constant_doc(module: str, name: str) -> str:
    """Return the docstring after an assignment at the top of a module, or an empty text."""
    body = ast.parse(inspect.getsource(sys.modules[module])).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and name in [ast.unparse(one) for one in node.targets]:
            return _text_of(after)
    return ""


def constructor(kind: type) -> ast.FunctionDef | None:
    """Return the constructor that somebody wrote for a class or its bases in this package, or ``None``."""
    for one in kind.__mro__:
        if one.__module__.split(".", 1)[0] == kind.__module__.split(".", 1)[0]:
            for node in class_source(one).body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    return node
    return None


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, name: str, is_bound: bool) -> str:
    """Return the signature of a function, without ``self`` when it is bound."""
    given = ast.arguments(**{field: getattr(node.args, field) for field in ast.arguments._fields})
    if is_bound:
        if given.posonlyargs:
            given.posonlyargs = given.posonlyargs[1:]
        else:
            given.args = given.args[1:]
    is_constructor = node.name == "__init__"
    returns = "" if is_constructor or node.returns is None else f" -> {ast.unparse(node.returns)}"
    before = "" if is_constructor else "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
    line = f"{before}{name}({', '.join(_parameters(given))}){returns}"
    if len(line) <= WIDEST:
        return line
    body = "".join(f"    {part},\n" for part in _parameters(given))
    return f"{before}{name}(\n{body}){returns}"


def _own(tree: ast.ClassDef) -> Iterator[Member]:
    is_enum = any(ast.unparse(base).endswith("Enum") for base in tree.bases)
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == "__init__":
                yield from _set_at_start(node)
            elif not node.name.startswith("_"):
                yield _callable(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_"):
                yield _field(node.target.id, ast.unparse(node.annotation), node.value, after)
        elif isinstance(node, ast.Assign) and is_enum and isinstance(node.targets[0], ast.Name):
            yield _field(node.targets[0].id, "", node.value, after)


def _callable(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Member:
    decorators = [ast.unparse(one) for one in node.decorator_list]
    doc = ast.get_docstring(node) or ""
    if any(one.endswith("property") for one in decorators):
        returns = ast.unparse(node.returns) if node.returns is not None else ""
        return Member(name=node.name, kind=MemberKind.FIELD, signature=returns, default="", doc=doc)
    text = signature(node, name=node.name, is_bound="staticmethod" not in decorators)
    if "asynccontextmanager" in decorators:
        text = f"@asynccontextmanager\n{text}"
    if "classmethod" in decorators or "staticmethod" in decorators:
        text = f"@{'classmethod' if 'classmethod' in decorators else 'staticmethod'}\n{text}"
    return Member(name=node.name, kind=MemberKind.METHOD, signature=text, default="", doc=doc)


def _field(name: str, kind: str, value: ast.expr | None, after: ast.stmt | None) -> Member:
    doc, default = _text_of(after), "" if value is None else ast.unparse(value)
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("tunable", "field"):
        given = {one.arg: one.value for one in value.keywords}
        doc = doc or _text_of(ast.Expr(given["reason"]) if "reason" in given else None)
        first = value.args[0] if value.args else given.get("default", given.get("default_factory"))
        default = "" if first is None else ast.unparse(first) + ("()" if "default_factory" in given else "")
    return Member(name=name, kind=MemberKind.FIELD, signature=kind, default=default, doc=doc)


def _set_at_start(node: ast.FunctionDef) -> Iterator[Member]:
    """Yield the attributes that a constructor sets and describes."""
    kinds = {one.arg: one.annotation for one in (*node.args.args, *node.args.kwonlyargs)}
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        if isinstance(target, ast.Attribute) and not target.attr.startswith("_") and (doc := _text_of(after)):
            kind = statement.annotation if isinstance(statement, ast.AnnAssign) else kinds.get(target.attr)
            text = "" if kind is None else ast.unparse(kind)
            yield Member(name=target.attr, kind=MemberKind.FIELD, signature=text, default="", doc=doc)


def _text_of(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _parameters(given: ast.arguments) -> Iterator[str]:
    """Yield parameters as they are written, the marks between them included."""
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    for index, (one, default) in enumerate(zip(positional, defaults, strict=True), 1):
        yield _parameter(one, default)
        if index == len(given.posonlyargs):
            yield "/"
    if given.vararg is not None:
        yield f"*{ast.unparse(given.vararg)}"
    elif given.kwonlyargs:
        yield "*"
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _parameter(one, default)
    if given.kwarg is not None:
        yield f"**{ast.unparse(given.kwarg)}"


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return ast.unparse(one)
    return f"{ast.unparse(one)} = {ast.unparse(default)}" if one.annotation else f"{one.arg}={ast.unparse(default)}"
