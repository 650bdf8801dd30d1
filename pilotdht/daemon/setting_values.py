"""Values of settings, read from texts and from TOML, each in the type that its tunable declares.

Whatever is wrong with one is told by its name.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from pilotdht.config.config import Config
from pilotdht.config.fields import Section
from pilotdht.daemon.nearest import nearest
from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint, parse_endpoint

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Known:
    """A tunable that exists."""

    kind: object
    """Its declared type."""
    field: dataclasses.Field[object]
    """Its declaration."""
    section: str
    """Its section, or empty."""


def known_settings() -> Iterator[tuple[str, Known]]:
    """Yield every tunable by name."""
    kinds = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        kind = kinds[field.name]
        if isinstance(kind, type) and issubclass(kind, Section):
            inner = typing.get_type_hints(kind)
            for inner_field in dataclasses.fields(kind):  # type: ignore[arg-type]  # every section is a dataclass
                yield f"{field.name}.{inner_field.name}", Known(inner[inner_field.name], inner_field, field.name)
        else:
            yield field.name, Known(kind, field, "")


def value_of(config: Config, known: Known) -> object:
    """Return what a tunable is set to."""
    return getattr(getattr(config, known.section) if known.section else config, known.field.name)


def meant(name: str, known: Mapping[str, object]) -> str:
    """Return a hint for somebody who named a setting that there is not."""
    return nearest(name, known, otherwise="run 'pilotdht config show' for all settings")


def _lookup(known: Mapping[str, Known], name: str) -> Known:
    """Return the tunable of that name."""
    if name not in known:
        raise ConfigError(f"unknown setting {name[:80]!r}", hint=meant(name, known))
    return known[name]


def from_toml(known: Mapping[str, Known], name: str, value: object) -> object:
    """Return a TOML value in the tunable's type."""
    kind = _bare(_lookup(known, name).kind)
    if isinstance(value, list) and typing.get_origin(kind) is tuple:
        (inner, _) = typing.get_args(kind)
        if not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name} must be a list of texts")
        return tuple(_parse(name, inner, item) for item in value)
    if isinstance(value, bool) or kind is bool:
        if not isinstance(value, bool) or kind is not bool:
            raise ConfigError(f"{name} = {value!r} is not {_describe(kind)}")
        return value
    if isinstance(value, (int, float)):
        if kind is float:
            return float(value)
        if kind is int and isinstance(value, int):
            return value
        raise ConfigError(f"{name} = {value!r} is not {_describe(kind)}")
    if isinstance(value, str) and kind not in (int, float):
        return _parse(name, kind, value)
    raise ConfigError(f"{name} = {value!r} is not {_describe(kind)}")


def from_text(known: Mapping[str, Known], name: str, text: str) -> object:
    """Return a text from the environment or command line in the tunable's type."""
    declared = _lookup(known, name).kind
    kind = _bare(declared)
    if text == "" and kind is not declared:
        return None  # an empty text is how "absent" is written where a value may be absent
    return _parse(name, kind, text)


def _parse(name: str, kind: object, text: str) -> object:
    """Return ``text`` as ``kind``."""
    try:
        if kind is str:
            return text
        if kind is bool:
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
        elif kind in (int, float):
            return int(text) if kind is int else float(text)
        elif kind is bytes:
            return bytes.fromhex(text)
        elif kind is Path:
            return Path(text).expanduser()
        elif kind is Endpoint:
            return parse_listen(text)
        elif typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)[0]
            return tuple(_parse(name, inner, item.strip()) for item in text.split(",") if item.strip())
    except (ValueError, InvalidArgument) as error:
        raise ConfigError(f"{_shown(name, kind, text)} is not {_describe(kind)}") from error
    raise ConfigError(f"{_shown(name, kind, text)} is not {_describe(kind)}")


def _shown(name: str, kind: object, text: str) -> str:
    """Return what was set to what; a key is shown to nobody, not even a wrong one."""
    return name if kind is bytes else f"{name} = {text[:80]!r}"


def parse_listen(text: str) -> Endpoint:
    """Read where to listen: ``HOST:PORT``, or ``:PORT`` or ``PORT`` for all addresses.

    Raises:
        InvalidArgument: another form.
    """
    if text.isascii() and text.isdigit():
        text = f":{text}"
    return parse_endpoint(f"[::]{text}" if text.startswith(":") else text, allow_port_zero=True)


def _bare(kind: object) -> object:
    """Return a type without its ``| None``."""
    if isinstance(kind, types.UnionType):
        return next(inner for inner in typing.get_args(kind) if inner is not types.NoneType)
    return kind


def _describe(kind: object) -> str:
    """Return what a value of this type is, in words."""
    words = {
        str: "a text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        bytes: "a key in hexadecimal digits",
        Path: "a path",
        Endpoint: "an endpoint such as 127.0.0.1:4433 or :4433",
    }
    return words.get(typing.cast("type", kind), "a list of texts")
