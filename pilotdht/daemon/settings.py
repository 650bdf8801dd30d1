"""Where the configuration of a daemon comes from: command line, environment, file, preset, defaults, in this order.

Names are the fields of :class:`pilotdht.config.config.Config`; those of a section are written ``section.field``, in a
file as a TOML table, in the environment as ``PILOTDHT_SECTION_FIELD``. An unknown name is an error that tells the
nearest known one.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotdht.config.config import Config, preset_of
from pilotdht.config.fields import Section
from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.wire.endpoint import Endpoint, parse_endpoint

PREFIX = "PILOTDHT_"
RESERVED = frozenset(
    {"HOME", "SOCKET", "CONFIG", "PYTHON", "PASSPHRASE_FILE", "TOKEN", "INVITATION"}
    | {f"PEER_{name}" for name in ("ADDRESS", "HOSTNAME", "ID")}
    | {f"QUESTION_{name}" for name in ("DID", "ADDRESS", "HOSTNAME", "CAPABILITY", "GROUP", "FORM")}
)
"""Names in the environment that say where things are, what runs, what is secret, or who is calling or asking: not how
the node behaves."""

MAX_FILE_BYTES = 1 << 20

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One tunable, as ``config show`` tells it."""

    name: str
    """``field`` or ``section.field``."""
    value: object
    """What holds."""
    origin: str
    """``default``, ``file PATH``, ``environment NAME`` or ``command line``."""
    unit: str
    """Unit of the value, or empty."""
    reason: str
    """Why the default is what it is."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A tunable that exists."""

    kind: object
    """Its declared type."""
    field: dataclasses.Field[object]
    """Its declaration."""
    section: str
    """Its section, or empty."""


def load_config(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> tuple[Config, dict[str, str]]:
    """Return the configuration and, by name, where each value that is not a default came from.

    Args:
        file: TOML file, read when it exists; ``None`` reads none.
        environment: usually ``os.environ``.
        overrides: values from the command line, as text.
        defaults: values that hold when nothing else says so, as text.

    Raises:
        ConfigError: a name is unknown, or a value is malformed or out of range.
    """
    known = dict(_known_settings())
    chosen: dict[str, tuple[object, str]] = {}
    for name, text in (defaults or {}).items():
        chosen[name] = (_from_text(known, name, text), "default")
    if file is not None and file.exists():
        for name, value in _read_file(file).items():
            chosen[name] = (_from_toml(known, name, value), f"file {file}")
    for variable, name in _environment_names(known, environment).items():
        chosen[name] = (_from_text(known, name, environment[variable]), f"environment {variable}")
    for name, text in (overrides or {}).items():
        chosen[name] = (_from_text(known, name, text), "command line")
    sections: dict[str, dict[str, object]] = {}
    for name, (value, _) in chosen.items():
        sections.setdefault(known[name].section, {})[known[name].field.name] = value
    return _build(sections), {name: origin for name, (_, origin) in chosen.items()}


def list_settings(config: Config, origins: Mapping[str, str]) -> list[Setting]:
    """Return every tunable with its value and origin, in the order of declaration; secrets are masked."""
    settings = []
    for name, known in _known_settings():
        owner: object = getattr(config, known.section) if known.section else config
        value = getattr(owner, known.field.name)
        metadata = known.field.metadata
        settings.append(
            Setting(
                name=name,
                value=value if known.field.repr or not value else "***",
                origin=origins.get(name, "default"),
                unit=str(metadata.get("unit", "")),
                reason=str(metadata.get("reason", "")),
            )
        )
    return settings


def _known_settings() -> Iterator[tuple[str, _Known]]:
    """Yield every tunable by name."""
    kinds = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        kind = kinds[field.name]
        if isinstance(kind, type) and issubclass(kind, Section):
            inner = typing.get_type_hints(kind)
            for inner_field in dataclasses.fields(kind):  # type: ignore[arg-type]  # every section is a dataclass
                yield f"{field.name}.{inner_field.name}", _Known(inner[inner_field.name], inner_field, field.name)
        else:
            yield field.name, _Known(kind, field, "")


def _build(sections: Mapping[str, Mapping[str, object]]) -> Config:
    """Make the configuration; the sections' own checks run."""
    config = preset_of(str(sections.get("", {}).get("preset", "")))
    changes: dict[str, object] = dict(sections.get("", {}))
    for section, values in sections.items():
        if section:
            changes[section] = dataclasses.replace(getattr(config, section), **values)
    try:
        return dataclasses.replace(config, **changes)  # type: ignore[arg-type]  # types were checked one by one
    except InvalidArgument as error:
        raise ConfigError(error.message, hint=error.hint) from error


def _read_file(path: Path) -> dict[str, object]:
    """Return the names and values of a TOML file, tables flattened."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is longer than {MAX_FILE_BYTES} bytes")
        content = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text", hint="see 'pilotdht config path'") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="see 'pilotdht config path'") from error
    flat: dict[str, object] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": item for inner, item in value.items()})
        else:
            flat[name] = value
    return flat


def _environment_names(known: Mapping[str, _Known], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that set something, each with the name of what it sets."""
    by_variable = {PREFIX + name.upper().replace(".", "_"): name for name in known}
    found = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable.removeprefix(PREFIX) in RESERVED:
            continue
        if variable not in by_variable:
            raise ConfigError(f"unknown setting {variable} in the environment", hint=_near(variable, by_variable))
        found[variable] = by_variable[variable]
    return found


def _near(name: str, known: Mapping[str, object]) -> str:
    """Return a hint towards the nearest known name."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else "run 'pilotdht config show' for all settings"


def _lookup(known: Mapping[str, _Known], name: str) -> _Known:
    """Return the tunable of that name."""
    if name not in known:
        raise ConfigError(f"unknown setting {name[:80]!r}", hint=_near(name, known))
    return known[name]


def _from_toml(known: Mapping[str, _Known], name: str, value: object) -> object:
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


def _from_text(known: Mapping[str, _Known], name: str, text: str) -> object:
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
        raise ConfigError(f"{name} = {text[:80]!r} is not {_describe(kind)}") from error
    raise ConfigError(f"{name} = {text[:80]!r} is not {_describe(kind)}")


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
