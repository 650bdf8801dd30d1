"""One seed is one run, in every process; and the trace that is kept tells that run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from simulations.engine.streams import stream
from simulations.engine.trace import TraceWriter, read_trace
from simulations.engine.virtual_loop import run_virtually
from simulations.world.places import address_of
from simulations.world.world import World
from tests.support.sim_world_hosts import listeners
from tests.support.source import ROOT

pytestmark = pytest.mark.simulation


async def bustle(seed: int, trace: TraceWriter | None = None) -> tuple[str, int, int, int]:
    """Have 60 hosts talk under bad conditions, with a NAT, a cut, a stall and a crash; return digest and counts."""
    world = World(seed=seed, conditions="lossy", trace=trace)
    network = world.network
    hosts = listeners(network, 60)
    for number in range(0, 60, 7):
        network.place_behind_kind(hosts[number].host, "symmetric" if number % 2 else "cgnat", address_of(1000 + number))
    draw = stream(seed, "bustle")
    for second in range(30):
        network.note(f"second {second}")
        if second == 5:
            network.cut(lambda host: sum(map(ord, host)) % 2)
        if second == 10:
            network.heal()
            world.stall(8, 3.0)
            network.unplug(hosts[9].host)
        for _ in range(100):
            draw.choice(hosts).send(draw.choice(hosts), b"\x20" * draw.randrange(1, 1600))
        await asyncio.sleep(1.0)
    await asyncio.sleep(5.0)
    digest = network.trace_digest()
    network.close()
    return digest, network.sent, network.delivered, network.lost


def run_apart(seed: int, hash_seed: str) -> str:
    """Run it in a process of its own, with another order of sets and dictionaries of hashes."""
    program = (
        "from tests.simulation.test_sim_world_digest import bustle; "
        "from simulations.engine.virtual_loop import run_virtually; "
        f"print(run_virtually(bustle({seed})))"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.strip()


def test_digest_is_the_same_in_two_processes() -> None:
    """Whatever the hash seed; and the same as here."""
    assert run_apart(7, "1") == run_apart(7, "77") == str(run_virtually(bustle(7)))


def test_another_seed_is_another_run() -> None:
    """The digest depends on the seed."""
    assert run_virtually(bustle(1))[0] != run_virtually(bustle(2))[0]


def test_trace_that_is_kept_tells_the_run(tmp_path: Path) -> None:
    """Keeping it changes nothing; every datagram that was sent is in it, and what became of each."""
    path = tmp_path / "run.trace"
    told = run_virtually(bustle(7, TraceWriter(path)))
    assert told == run_virtually(bustle(7))
    events = list(read_trace(path))
    counts = Counter(event.what for event in events)
    _, sent, delivered, lost = told
    assert (30, sent, delivered) == (counts["note"], counts["sent"], counts["delivered"])
    ends = ("lost", "cut", "unplugged", "nobody", "overflow", "oversize", "filtered", "unroutable", "starved")
    assert lost == sum(counts[what] for what in ends)
    assert sent + counts["duplicate"] == delivered + lost
    assert [event.time_s for event in events] == sorted(event.time_s for event in events)


def test_window_of_a_run_is_cut_out_of_the_whole(tmp_path: Path) -> None:
    """What is kept of a window is what the whole trace has there."""
    whole, window = tmp_path / "whole", tmp_path / "window"
    run_virtually(bustle(3, TraceWriter(whole)))
    run_virtually(bustle(3, TraceWriter(window, window=(9.5, 12.25))))
    expected = [event for event in read_trace(whole) if 9.5 <= event.time_s <= 12.25]
    assert expected == list(read_trace(window))
