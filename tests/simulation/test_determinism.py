"""Fifty real nodes under a virtual clock: with one seed, two runs are the same run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pilotdht.config.config import Config
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.source import ROOT

NODES = 50
PORT = 4000


def config_of(number: int) -> Config:
    """Return the configuration of one simulated node: a name, one of five tags, its predecessors as seeds."""
    seeds = tuple(f"10.0.{seed}.1:{PORT}" for seed in {0, number // 2} if seed != number)
    return Config(
        hostname=f"agent-{number}",
        tags=(f"tag-{number % 5}",),
        listen=Endpoint(f"10.0.{number}.1", PORT),
        bootstrap=tuple(sorted(seeds)) if number else (),
    )


async def life(seed: int) -> tuple[str, int, list[str]]:
    """Let 50 nodes join, find, trust, and talk through tunnels; return the trace, its length, and what they found."""
    network = MemoryNetwork(seed=seed, conditions=replace(CONDITIONS["uniform"], loss=0.01))
    nodes = [
        Node(
            config_of(number),
            keys=KeyPair.from_seed(number.to_bytes(32, "big")),
            doors=virtual_doors(network, seed=seed, node=number),
        )
        for number in range(NODES)
    ]
    told: list[str] = []
    for node in nodes:
        await node.__aenter__()
        await asyncio.sleep(0.5)
    for number in range(0, NODES, 5):
        asker, other = nodes[number], nodes[(number * 7 + 3) % NODES]
        peer = await asker.find(other.hostname)
        told.append(f"{asker.hostname} finds {peer.hostname} at {peer.address}")
        tagged = await asker.lookup(tag=other.tags[0])
        told.append(f"{len(tagged)} carry {other.tags[0]}")
        await asker.handshake(other.hostname, "simulated")
        await other.approve(asker.hostname)
        told.append(f"ping {await asker.ping(other.hostname):.6f}")
        await asker.send(other.hostname, b"x" * 20_000)
        told.append(f"{len((await other.receive(timeout_s=5)).data)} bytes")
    for node in nodes:
        await node.close()
    return network.trace_digest(), network.sent, told


def run_apart(seed: int, hash_seed: str) -> str:
    """Run one life in a process of its own, with another order of sets and dictionaries of hashes."""
    program = (
        "from tests.simulation.test_determinism import life; "
        "from simulations.engine.virtual_loop import run_virtually; "
        f"print(run_virtually(life({seed}))[0])"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.strip()


@pytest.mark.simulation
@pytest.mark.timeout(180)
def test_fifty_nodes_with_one_seed_leave_one_trace() -> None:
    """Two runs with one seed agree on every datagram's time, way and size; all nodes find and reach each other."""
    first, second = run_virtually(life(7)), run_virtually(life(7))
    assert first == second
    assert [line for line in first[2] if "carry" in line] == ["10 carry tag-3"] * 10
    assert [line for line in first[2] if line.endswith("bytes")] == ["20000 bytes"] * 10


@pytest.mark.simulation
@pytest.mark.timeout(180)
def test_trace_does_not_depend_on_hash_seed() -> None:
    """Two processes with different PYTHONHASHSEED leave the same trace."""
    assert run_apart(11, "1") == run_apart(11, "77")


@pytest.mark.simulation
@pytest.mark.timeout(180)
def test_another_seed_leaves_another_trace() -> None:
    """The trace does depend on the seed."""
    assert run_virtually(life(1))[0] != run_virtually(life(2))[0]
