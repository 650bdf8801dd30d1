"""The same functions without some of their statements, to measure what these cost.

The source of a module is read, what a remover knows is taken out, and the compiled bodies take turns with those that
are shipped: same nodes, same process, same state. A function that runs on keeps the body that it began with.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType


class Remover(ast.NodeTransformer):
    """Takes statements out of a module, and counts them."""

    def __init__(self) -> None:
        self.removed = 0


class TracerRemover(Remover):
    """Takes the calls of a tracer out: a span's block becomes its body, and nothing is asked or told."""

    def __init__(self) -> None:
        super().__init__()
        self._names: set[str] = set()

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        """Leave the body of a span alone."""
        spans = [item for item in node.items if _is_tracer_call(item.context_expr, "span")]
        self._names |= {item.optional_vars.id for item in spans if isinstance(item.optional_vars, ast.Name)}
        self.generic_visit(node)
        if not spans:
            return node
        self.removed += len(spans)
        node.items = [item for item in node.items if item not in spans]
        return node if node.items else node.body

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Take out what is said of a span."""
        call = node.value
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "set"
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in self._names
        ):
            self.removed += 1
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Take out the question for the current span."""
        if _is_tracer_call(node, "traceparent"):
            self.removed += 1
            return ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)


class MetricsRemover(Remover):
    """Takes out the statements that count something for a metric."""

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Take out ``metrics.… += …``."""
        return self._kept(node, _is_of_metrics(node.target))

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Take out ``metrics.….inc()`` and its like."""
        call = node.value
        is_counting = (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in ("inc", "dec", "set", "observe")
            and _is_of_metrics(call.func.value)
        )
        return self._kept(node, is_counting)

    def _kept(self, node: ast.stmt, is_counting: bool) -> ast.AST:
        if not is_counting:
            return self.generic_visit(node)
        self.removed += 1
        return ast.copy_location(ast.Pass(), node)


@dataclass(frozen=True, slots=True)
class Body:
    """A function as it is shipped, and without what was taken out."""

    function: FunctionType
    """It."""
    shipped: CodeType
    """Its own code."""
    bare: CodeType
    """The other."""


def bodies_without(modules: Sequence[str], remover_of: Callable[[], Remover]) -> list[Body]:
    """Return every function of some modules from which something is taken out.

    Raises:
        RuntimeError: there is none.
    """
    found: list[Body] = []
    for name in modules:
        module = importlib.import_module(name)
        remover = remover_of()
        tree = ast.fix_missing_locations(remover.visit(ast.parse(inspect.getsource(module))))
        if not remover.removed:
            continue
        bare = dict(_functions(compile(tree, module.__file__ or name, "exec", dont_inherit=True)))
        for function in _live(module):
            before, after = function.__code__, bare[function.__code__.co_qualname]
            if before.co_code != after.co_code:
                found.append(Body(function, before, after))
    if not found:
        raise RuntimeError(f"nothing is taken out of {', '.join(modules)}: this measures nothing")
    return found


@contextlib.contextmanager
def worn(bodies: Sequence[Body]) -> Iterator[None]:
    """Have the functions run without what was taken out while the block runs."""
    try:
        for body in bodies:
            body.function.__code__ = body.bare
        yield
    finally:
        for body in bodies:
            body.function.__code__ = body.shipped


def _is_tracer_call(node: ast.expr, method: str) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
        return False
    owner = node.func.value
    return isinstance(owner, ast.Attribute) and owner.attr in ("_tracer", "tracer")


def _is_of_metrics(node: ast.expr) -> bool:
    """Return whether an expression begins at a room's metrics, as ``self._metrics.served["store"]`` does."""
    return any(
        (isinstance(one, ast.Attribute) and one.attr in ("metrics", "_metrics"))
        or (isinstance(one, ast.Name) and one.id == "metrics")
        for one in ast.walk(node)
    )


def _functions(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant.co_qualname, constant
            yield from _functions(constant)


def _live(module: ModuleType) -> Iterator[FunctionType]:
    """Return the functions and methods that a module defines."""
    for owner in (module, *(one for one in vars(module).values() if inspect.isclass(one))):
        if owner is not module and owner.__module__ != module.__name__:
            continue
        for one in vars(owner).values():
            plain = inspect.unwrap(one.__func__ if isinstance(one, (classmethod, staticmethod)) else one)
            if isinstance(plain, FunctionType) and plain.__code__.co_filename == module.__file__:
                yield plain
