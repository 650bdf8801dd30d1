"""Values of declared types from parsed JSON: what does not fit is refused, with its place."""

from __future__ import annotations

import dataclasses
import math
import types
import typing

MAX_TEXT = 100_000
"""Characters of a string at most; names, labels and options are far shorter."""


class Malformed(ValueError):
    """Parsed JSON does not have the declared shape."""


def value_of(loaded: object, declared: object, where: str) -> object:
    """Return parsed JSON as a value of a declared type.

    Args:
        loaded: dicts, lists, strings, numbers, booleans, ``None``.
        declared: a dataclass, ``list[T]``, ``dict[str, T]``, ``tuple[T, …]`` of fixed length, ``T | None``, ``float``,
            ``int``, ``str``, ``bool``, or ``object`` for anything that JSON can say.
        where: name of the place, for the error.

    Raises:
        Malformed: it is something else.
    """
    if isinstance(declared, type) and dataclasses.is_dataclass(declared):
        return _dataclass_of(loaded, declared, where)
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin is list:
        items = _demand(loaded, list, where)
        return [value_of(one, arguments[0], f"{where}[{number}]") for number, one in enumerate(items)]
    if origin is dict:
        named = _demand(loaded, dict, where)
        return {name: value_of(one, arguments[1], f"{where}.{_short(name)}") for name, one in named.items()}
    if origin is tuple:
        items = _demand(loaded, list, where)
        if len(items) != len(arguments):
            raise Malformed(f"{where}: {len(arguments)} items are expected, not {len(items)}")
        return tuple(value_of(one, kind, where) for one, kind in zip(items, arguments, strict=True))
    if origin is types.UnionType:
        if loaded is None:
            return None
        return value_of(loaded, next(kind for kind in arguments if kind is not type(None)), where)
    if declared is object:
        return loaded
    return _scalar_of(loaded, declared, where)


def _dataclass_of(loaded: object, declared: type, where: str) -> object:
    named = _demand(loaded, dict, where)
    hints = typing.get_type_hints(declared)
    fields = {field.name: field for field in dataclasses.fields(declared)}
    unknown = next((name for name in named if name not in fields), None)
    if unknown is not None:
        raise Malformed(f"{where}: unknown field {_short(unknown)!r}")
    values = {}
    for name, field in fields.items():
        if name in named:
            values[name] = value_of(named[name], hints[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Malformed(f"{where}: field {name!r} is missing")
    made: object = declared(**values)
    return made


def _scalar_of(loaded: object, declared: object, where: str) -> object:
    if declared is float and isinstance(loaded, int | float) and not isinstance(loaded, bool):
        try:
            number = float(loaded)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise Malformed(f"{where}: the number is too large")
        return number
    if declared is str and isinstance(loaded, str) and len(loaded) > MAX_TEXT:
        raise Malformed(f"{where}: the text is too long")
    # a boolean is an int to Python, not to a schema
    if type(loaded) is not declared:
        raise Malformed(f"{where}: {getattr(declared, '__name__', declared)} is expected, not {_short(repr(loaded))}")
    return loaded


ListOrDict = typing.TypeVar("ListOrDict", list[object], dict[str, object])


def _demand(loaded: object, kind: type[ListOrDict], where: str) -> ListOrDict:
    if not isinstance(loaded, kind):
        raise Malformed(f"{where}: a {kind.__name__} is expected, not {_short(repr(loaded))}")
    return loaded


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
