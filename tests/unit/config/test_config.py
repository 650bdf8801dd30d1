"""Tunables are checked when they are set, and tell why they are what they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pilotdht.config.config import PRESETS, Config, preset_of
from pilotdht.config.fields import Section
from pilotdht.daemon.settings import load_config
from pilotdht.errors import ConfigError, InvalidArgument


def sections() -> list[Any]:
    """Return the configuration and each of its sections, with their defaults."""
    whole = Config()
    parts = [getattr(whole, field.name) for field in dataclasses.fields(whole)]
    return [whole, *(part for part in parts if isinstance(part, Section))]


BOUNDED = [
    pytest.param(section, field, id=f"{type(section).__name__}.{field.name}")
    for section in sections()
    for field in dataclasses.fields(section)
    if field.metadata.get("low") is not None or field.metadata.get("high") is not None
]


@pytest.mark.parametrize("section", sections(), ids=lambda section: type(section).__name__)
def test_every_tunable_says_why(section: Any) -> None:
    """Each field that is no section itself carries a reason."""
    for field in dataclasses.fields(section):
        if not isinstance(getattr(section, field.name), Section):
            assert field.metadata.get("reason"), field.name


@pytest.mark.parametrize(("section", "field"), BOUNDED)
def test_tunable_out_of_its_range_is_refused(section: Any, field: dataclasses.Field[Any]) -> None:
    """A value below the least or above the greatest is an error that names the field, and so is one of another type."""
    low, high = field.metadata["low"], field.metadata["high"]
    for value in ([] if low is None else [low - 1]) + ([] if high is None else [high + 1]) + ["many", float("nan")]:
        with pytest.raises(ConfigError, match=field.name):
            dataclasses.replace(section, **{field.name: value})


def test_hostname_and_tags_are_checked() -> None:
    """Malformed names, too many tags and one tag twice are refused."""
    for wrong in ({"hostname": "No"}, {"tags": ("UP",)}):
        with pytest.raises(InvalidArgument):
            Config(**wrong)
    for tags in (tuple(f"t{n}" for n in range(9)), ("one", "one")):
        with pytest.raises(ConfigError):
            Config(tags=tags)


def test_public_mesh_has_no_network_key() -> None:
    """A key without a network of its own is a mistake."""
    with pytest.raises(ConfigError):
        Config(network_key=b"secret")
    assert "secret" not in repr(Config(network=1, network_key=b"secret"))


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_what_a_file_can_name(name: str, tmp_path: Path) -> None:
    """Each preset can be had by its method, by name, and from a file; other settings go on top of it."""
    file = tmp_path / "config.toml"
    file.write_text(f'preset = "{name}"\nhostname = "alpha"\n')
    loaded, _ = load_config(file=file, environment={})
    maker = {"bootstrap": "for_bootstrap"}.get(name, name)  # "bootstrap" is the setting that lists such nodes
    assert dataclasses.replace(getattr(Config, maker)(), hostname="alpha") == loaded
    assert preset_of(name) == getattr(Config, maker)()


def test_unknown_preset_is_refused() -> None:
    """A preset that does not exist is an error that lists those that do."""
    with pytest.raises(ConfigError) as caught:
        preset_of("moon")
    assert "lan" in caught.value.hint
