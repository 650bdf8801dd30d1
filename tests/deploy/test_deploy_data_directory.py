"""What a node keeps outlives upgrades: data directories of every format load, and later ones are refused untouched."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

from pilotdht.config.config import Config
from pilotdht.errors import ConfigError
from pilotdht.net.doors import real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.node.node import Node
from pilotdht.node.state import STATE_VERSION, load_groups, load_state
from pilotdht.trust.database import SCHEMA_VERSION
from tests.support.daemon_processes import Agent, agents
from tests.support.source import ROOT

FORMATS = sorted((ROOT / "tests" / "vectors").glob("data-directory-*"))
YEAR_S = 365 * 86_400.0


def copy(golden: Path, home: Path) -> dict[str, Any]:
    """Put a golden directory into a home, with the modes that it had; returns what it must still know."""
    home.mkdir(mode=0o700, parents=True)
    for path in golden.iterdir():
        if path.name != "facts.json":
            shutil.copyfile(path, home / path.name)
            (home / path.name).chmod(0o600)
    facts = json.loads((golden / "facts.json").read_text("utf-8"))
    assert isinstance(facts, dict)
    return facts


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """Return one agent's home."""
    with agents(tmp_path, 1) as made:
        yield made[0]


def test_there_is_a_directory_of_the_format_that_is_written_now() -> None:
    """Whoever changes a format keeps a directory of the old one: scripts/make_data_directory.py."""
    assert [f"data-directory-{number}" for number in range(1, STATE_VERSION + 1)] == [path.name for path in FORMATS]


@pytest.mark.asyncio
@pytest.mark.integration
@pytest.mark.parametrize("golden", FORMATS, ids=lambda path: path.name)
@pytest.mark.parametrize("years", [0, 3])
async def test_old_data_directory_loads_whole(golden: Path, years: int, tmp_path: Path) -> None:
    """Identity, trust, names and groups are there, today and in years; nothing was set aside as damaged."""
    home = tmp_path / "home"
    facts = copy(golden, home)
    doors = replace(real_doors(UdpNetwork()), unix_time=lambda: time.time() + years * YEAR_S)
    config = replace(Config.local(), data_dir=home, start_timeout_s=0.5)
    for _ in range(2):  # the second time from what this version wrote
        async with asyncio.timeout(30), Node(config, doors=doors) as node:
            assert (facts["address"], facts["did"]) == (str(node.address), node.did)
            assert facts["trusted"] == [entry.public_key.hex() for entry in node.trusted()]
            assert facts["aliases"] == {name: str(address) for name, address in node.aliases().items()}
            assert facts["groups"] == {info.name: info.kind.value for info in node.groups()}
        assert [] == list(home.glob("*.damaged"))


@pytest.mark.parametrize("golden", FORMATS, ids=lambda path: path.name)
def test_old_state_is_understood(golden: Path, tmp_path: Path) -> None:
    """Port and contacts are read as well."""
    facts = copy(golden, tmp_path / "home")
    state = load_state(tmp_path / "home" / "state")

    assert facts["port"] == state.port
    assert state.dht
    assert len(facts["groups"]) == len(load_groups(tmp_path / "home" / "groups"))


@pytest.mark.integration
@pytest.mark.parametrize("name", ["state", "groups", "trust.sqlite"])
def test_data_of_a_later_version_are_refused_and_left_alone(name: str, agent: Agent) -> None:
    """A downgrade says what is wrong and what to do; the file is as it was, and the later version can still read it."""
    copy(FORMATS[-1], agent.home)
    path = agent.home / name
    if name == "trust.sqlite":
        with sqlite3.connect(path) as database:
            database.execute("UPDATE about SET schema_version = ?", (SCHEMA_VERSION + 1,))
        database.close()
    else:
        values = msgpack.unpackb(path.read_bytes())
        path.write_bytes(msgpack.packb([STATE_VERSION + 1, "what nobody knows yet", *values[1:]]))
    before = path.read_bytes()
    done = agent.run("--json", "daemon", "start", "--listen", "127.0.0.1:0")
    told = json.loads(done.stdout)

    assert (2, "config") == (done.returncode, told["code"])
    assert f"has format {SCHEMA_VERSION + 1 if name == 'trust.sqlite' else STATE_VERSION + 1}" in told["message"]
    assert "later version" in told["hint"]
    assert before == path.read_bytes()
    assert [] == list(agent.home.glob("*.damaged"))


def test_damaged_state_is_set_aside_still(tmp_path: Path) -> None:
    """Bytes that no version wrote are no reason not to start."""
    for name, data in (("a", b"\xc1 nonsense"), ("b", msgpack.packb([0, 1, []])), ("c", msgpack.packb(["2", 1, []]))):
        path = tmp_path / name
        path.write_bytes(data)
        assert 0 == load_state(path).port
        assert not path.exists()
    later = tmp_path / "d"
    later.write_bytes(msgpack.packb([STATE_VERSION + 1]))
    with pytest.raises(ConfigError):
        load_state(later)
