"""Where the configuration of a daemon comes from: command line, environment, file, preset, defaults, in this order.

Names are the fields of :class:`pilotdht.config.config.Config`; those of a section are written ``section.field``, in a
file as a TOML table, in the environment as ``PILOTDHT_SECTION_FIELD``. An unknown name is an error that tells the
nearest known one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from pilotdht.config.config import Config, preset_of
from pilotdht.config.fields import Section
from pilotdht.daemon.setting_values import Known, from_text, from_toml, known_settings, meant, value_of
from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.values import dataclass

PREFIX = "PILOTDHT_"
RESERVED = frozenset(
    {"HOME", "SOCKET", "CONFIG", "PYTHON", "PASSPHRASE_FILE", "TOKEN", "INVITATION"}
    | {f"PEER_{name}" for name in ("ADDRESS", "HOSTNAME", "ID")}
    | {f"QUESTION_{name}" for name in ("DID", "ADDRESS", "HOSTNAME", "CAPABILITY", "GROUP", "FORM")}
)
"""Names in the environment that say where things are, what runs, what is secret, or who is calling or asking: not how
the node behaves."""

MAX_FILE_BYTES = 1 << 20

_Owner = TypeVar("_Owner", bound=Section)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong with a setting."""

    name: str
    """Which setting, or which section; empty when a whole file cannot be read."""
    origin: str
    """``file PATH``, ``environment NAME``, ``command line`` or ``default``."""
    message: str
    """What is wrong."""
    hint: str
    """What to try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the places say that settings come from."""

    config: Config | None
    """The configuration; absent when anything is wrong."""
    origins: Mapping[str, str]
    """By name, where each value that is not a default came from."""
    problems: tuple[Problem, ...]
    """All that is wrong, in the order of the places."""


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
    reading = read_settings(file=file, environment=environment, overrides=overrides, defaults=defaults)
    if reading.config is None:
        raise told(reading.problems)
    return reading.config, dict(reading.origins)


def told(problems: Sequence[Problem]) -> ConfigError:
    """Return the error that tells the first of several problems, and that there are others."""
    first, *others = problems
    if not others:
        return ConfigError(first.message, hint=first.hint)
    return ConfigError(
        f"{first.message} (and {len(others)} more)", hint=f"{first.hint}; 'pilotdht config check' shows all"
    )


def read_settings(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Reading:
    """Read all places that settings come from, and find everything that is wrong with them.

    Args:
        file: TOML file, read when it exists; ``None`` reads none.
        environment: usually ``os.environ``.
        overrides: values from the command line, as text.
        defaults: values that hold when nothing else says so, as text.
    """
    known = dict(known_settings())
    chosen: dict[str, tuple[object, str]] = {}
    problems: list[Problem] = []

    def take(name: str, origin: str, read: Callable[[], object]) -> None:
        try:
            chosen[name] = (read(), origin)
        except ConfigError as error:
            problems.append(Problem(name=name, origin=origin, message=error.message, hint=error.hint))

    for name, text in (defaults or {}).items():
        take(name, "default", partial(from_text, known, name, text))
    if file is not None and file.exists():
        origin = f"file {file}"
        try:
            for name, value in _read_file(file).items():
                take(name, origin, partial(from_toml, known, name, value))
        except ConfigError as error:
            problems.append(Problem(name="", origin=origin, message=error.message, hint=error.hint))
    by_variable = {PREFIX + name.upper().replace(".", "_"): name for name in known}
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX) not in RESERVED:
            value = environment[variable]
            take(
                by_variable.get(variable, variable),
                f"environment {variable}",
                partial(_named, known, by_variable, variable, value),
            )
    for name, text in (overrides or {}).items():
        take(name, "command line", partial(from_text, known, name, text))
    config = _build(known, chosen, problems)
    origins = {name: origin for name, (_, origin) in chosen.items()}
    return Reading(config=None if problems else config, origins=origins, problems=tuple(problems))


def list_settings(config: Config, origins: Mapping[str, str]) -> list[Setting]:
    """Return every tunable with its value and origin, in the order of declaration; secrets are masked."""
    settings = []
    for name, known in known_settings():
        value = value_of(config, known)
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


def _build(known: Mapping[str, Known], chosen: Mapping[str, tuple[object, str]], problems: list[Problem]) -> Config:
    """Make the configuration, as far as its parts are sound; what the sections' own checks say is added."""
    sections: dict[str, dict[str, object]] = {"": {}}
    for name, (value, _) in chosen.items():
        sections.setdefault(known[name].section, {})[known[name].field.name] = value
    try:
        config = preset_of(str(sections[""].get("preset", "")))
    except ConfigError as error:
        problems.append(_problem("preset", chosen, error))
        del sections[""]["preset"]
        config = Config()
    for section in [name for name in sections if name]:
        owner, errors = _replaced(getattr(config, section), sections.pop(section))
        sections[""][section] = owner
        problems += [_problem(f"{section}.{name}".rstrip("."), chosen, wrong) for name, wrong in errors.items()]
    built, errors = _replaced(config, sections[""])
    problems += [_problem(name, chosen, wrong) for name, wrong in errors.items()]
    return built


def _replaced(owner: _Owner, values: Mapping[str, object]) -> tuple[_Owner, dict[str, ConfigError]]:
    """Return a section with values changed; or as it was, and what is wrong with which of them, ``""`` for all."""
    try:
        return dataclasses.replace(owner, **values), {}  # type: ignore[type-var]  # every section is a dataclass
    except (ConfigError, InvalidArgument) as error:
        whole = _as_config_error(error)
    errors: dict[str, ConfigError] = {}
    for name, value in values.items():
        try:
            dataclasses.replace(owner, **{name: value})  # type: ignore[type-var]  # as above
        except (ConfigError, InvalidArgument) as error:
            errors[name] = _as_config_error(error)
    return owner, errors or {"": whole}


def _as_config_error(error: ConfigError | InvalidArgument) -> ConfigError:
    return error if isinstance(error, ConfigError) else ConfigError(error.message, hint=error.hint)


def _problem(name: str, chosen: Mapping[str, tuple[object, str]], error: ConfigError) -> Problem:
    """Return what is wrong with a setting, or with a section whose settings do not fit together."""
    inside = [origin for other, (_, origin) in chosen.items() if other == name or other.startswith(f"{name}.")]
    return Problem(
        name=name, origin=", ".join(dict.fromkeys(inside)) or "default", message=error.message, hint=error.hint
    )


def _named(known: Mapping[str, Known], by_variable: Mapping[str, str], variable: str, text: str) -> object:
    """Return the value of an environment variable.

    Raises:
        ConfigError: there is no such setting, or the value is malformed.
    """
    if variable not in by_variable:
        raise ConfigError(f"unknown setting {variable} in the environment", hint=meant(variable, by_variable))
    return from_text(known, by_variable[variable], text)


def _read_file(path: Path) -> dict[str, object]:
    """Return the names and values of a TOML file, tables flattened."""
    import tomllib  # many a node has no file

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
