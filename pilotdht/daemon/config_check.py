"""Everything that can be found wrong with a configuration before a daemon is started or reloaded with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from pilotdht.config.config import Config
from pilotdht.daemon.settings import Problem, Reading, read_settings, told
from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.node.join import parse_seed


def check_settings(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Reading:
    """Read all settings as :func:`pilotdht.daemon.settings.read_settings` does, and look into their values as well."""
    reading = read_settings(file=file, environment=environment, overrides=overrides, defaults=defaults)
    if reading.config is None:
        return reading
    problems = []
    for text in reading.config.bootstrap:
        try:
            parse_seed(text)
        except InvalidArgument as error:
            origin = reading.origins.get("bootstrap", "default")
            problems.append(Problem(name="bootstrap", origin=origin, message=error.message, hint=error.hint))
    return dataclasses.replace(reading, config=None if problems else reading.config, problems=tuple(problems))


def load_checked(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration, when nothing is wrong with it.

    Raises:
        ConfigError: something is.
    """
    reading = check_settings(file=file, environment=environment, overrides=overrides, defaults=defaults)
    if reading.config is None:
        raise told(reading.problems)
    return reading.config


def check_file(file: Path, *, environment: Mapping[str, str]) -> Reading:
    """Check a file that somebody named, with what the environment says on top of it.

    Raises:
        ConfigError: there is no such file.
    """
    if not file.exists():
        raise ConfigError(f"{file} does not exist", hint="'pilotdht config path' tells where the daemon looks")
    return check_settings(file=file, environment=environment)
