"""What an expression asks for: its metrics and labels, with the variables of dashboards filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as parser

_VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$job": ".+", "$instance": ".+"}
_SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][a-zA-Z0-9_:]*)\{(?P<matchers>[^{}]*)\}")


def filled(expr: str, *, window: str = "1m") -> str:
    """Return an expression with the dashboard's variables replaced: all nodes, and a window.

    Args:
        expr: PromQL with variables of Grafana.
        window: stands for ``$__rate_interval``.
    """
    for variable, value in {**_VARIABLES, "$__rate_interval": window}.items():
        expr = expr.replace(variable, value)
    return expr


def selectors(expr: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return each metric of an expression with the labels that are matched.

    Raises:
        ValueError: it is no PromQL.
    """
    yield from _walk(parser.parse(expr))


def _walk(node: object) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, parser.VectorSelector):
        matchers = node.matchers.matchers if node.matchers is not None else []
        name = node.name or next((one.value for one in matchers if one.name == "__name__"), "")
        yield name, tuple(one.name for one in matchers if one.name != "__name__")
        return
    if isinstance(node, parser.MatrixSelector):
        yield from _walk(node.vector_selector)
    for attribute in ("expr", "lhs", "rhs", "param"):
        child = getattr(node, attribute, None)
        if child is not None and not isinstance(child, str | float):
            yield from _walk(child)
    for child in getattr(node, "args", None) or ():
        yield from _walk(child)
