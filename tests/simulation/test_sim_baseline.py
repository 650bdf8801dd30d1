"""The stock server of the package ``kademlia`` as a participant: it runs, saves and dies, and a seed is one run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time

import kademlia.network
import kademlia.protocol
import kademlia.routing
import kademlia.storage
import pytest
import rpcudp.protocol
from kademlia.network import Server
from kademlia.utils import digest

from pilotdht.errors import InternalError, InvalidArgument
from simulations.baseline.records import seed_with_id, stock_id_of
from simulations.baseline.stock import CUT_OFF_S, PATIENCE_S, StockKind, StockState, stock_world
from simulations.engine.streams import stream
from simulations.engine.virtual_loop import SimulationStalled, VirtualLoop, run_virtually
from simulations.population.population import Slot
from simulations.world.world import World
from tests.support.source import ROOT
from tests.support.stock_network import stock_network

pytestmark = pytest.mark.simulation


def state_of(slot: Slot) -> StockState:
    """Return what a participant that stopped left behind."""
    assert isinstance(slot.saved, StockState)
    return slot.saved


def test_stock_servers_join_and_find_each_other() -> None:
    """Fifty servers have tables, publish themselves, and are found within a second."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(50)
            assert len(network.population.up) == 50
            assert [slot.member.version for slot in slots if slot.member is not None] == [1] * 50
            assert all(len(slot.member.contacts()) >= 20 for slot in slots if slot.member is not None)
            draws = stream(1, "test")
            asked = [await network.ask(*draws.sample(slots[1:], 2)) for _ in range(50)]
            assert (
                sum(answer.is_ok for answer, _ in asked) >= 47
            )  # the package itself misses some: see its find_neighbors
            assert not any(answer.is_wrong for answer, _ in asked)
            assert {answer.error for answer, _ in asked} <= {"", "not_found"}
            assert max(duration_s for _, duration_s in asked) < 1.0
            assert network.kind.figures() == {"stock_dropped": 0.0, "stock_errors": 0.0}

    run_virtually(main())


def test_publish_raises_the_version_and_replaces_the_value() -> None:
    """After a second write the new version is found, and whoever still gives the old one is judged wrong."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(35)
            owner = slots[5]
            assert owner.member is not None
            answer = await owner.member.publish()
            assert answer.is_ok
            assert owner.member.version == 2
            owner.published = 2
            found, _ = await network.ask(slots[30], owner)
            assert (found.is_ok, found.is_wrong) == (True, False)
            owner.published = 3  # as if a third write had been missed
            missed, _ = await network.ask(slots[30], owner)
            assert (missed.is_ok, missed.is_wrong, missed.error) == (False, True, "outdated")

    run_virtually(main())


def test_silent_deaths_cost_lookups_five_seconds_each() -> None:
    """The package waits five seconds for each round with a dead node in it: its time-out is fixed."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(50)
            for slot in slots[1::3]:
                await network.population.crash(slot)
            draws = stream(1, "test")
            up = list(network.population.up)[1:]
            asked = [await network.ask(*draws.sample(up, 2)) for _ in range(40)]
            slow = [duration_s for _, duration_s in asked if duration_s > 1.0]
            assert len(slow) >= 5
            assert all(duration_s % 5.0 < 1.5 for duration_s in slow)
            assert sum(answer.is_ok for answer, _ in asked) >= 32

    run_virtually(main())


def test_restarted_server_joins_from_what_it_saved() -> None:
    """The next life has the same id, knows its neighbours without being told anybody, and counts versions on."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(30)
            slot = slots[9]
            await network.population.stop(slot)
            saved = state_of(slot)
            assert saved.node_id == stock_id_of(slot.identity.seed)
            assert len(saved.neighbours) == 20
            assert saved.version == 1
            await network.population.start(slot, contacts=())
            assert slot.member is not None
            assert len(slot.member.contacts()) >= 15
            assert slot.published == 2
            answer, _ = await network.ask(slots[20], slot)
            assert answer.is_ok

    run_virtually(main())


def test_server_alone_publishes_as_soon_as_somebody_comes() -> None:
    """The first server has nobody to store with; its owner tries again after a minute."""

    async def main() -> None:
        async with stock_network() as network:
            first, second = network.population.add(), network.population.add()
            await network.population.start(first)
            assert first.member is not None
            assert first.member.version == 0
            assert not (await first.member.publish()).is_ok
            await network.population.start(second)
            await asyncio.sleep(150)
            assert first.member.version == 1
            answer, _ = await network.ask(second, first)
            assert answer.is_ok

    run_virtually(main())


def test_owner_sets_its_value_anew() -> None:
    """Holders that died are replaced without anybody asking: within the hour the value is at new ones."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(40)
            owner = slots[3]
            for slot in slots[5:35]:
                await network.population.crash(slot)
            await asyncio.sleep(3600)
            for slot in slots[35:]:
                answer, _ = await network.ask(slot, owner)
                assert answer.is_ok

    run_virtually(main())


def test_nobody_left_is_an_error_and_no_exception() -> None:
    """When everybody else died, a write fails by the exception that the package raises, and a lookup finds nothing."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(6)
            for slot in slots[1:]:
                await network.population.crash(slot)
            last = slots[0].member
            assert last is not None
            answer = await last.publish()
            assert (answer.is_ok, answer.error) == (False, "ValueError")
            answer, _ = await network.ask(slots[0], slots[3])
            assert not answer.is_wrong

    run_virtually(main())


def test_crash_during_start_and_lookup_ends_both() -> None:
    """Who dies in the middle leaves nobody waiting."""

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(20)
            for slot in slots[4:12]:
                await network.population.crash(slot)
            newcomer = network.population.add()
            network.population.start_soon(newcomer, contacts=[slots[5].identity.endpoint])
            loop = asyncio.get_running_loop()
            asker = slots[1].member
            assert asker is not None
            nobody = network.population.add().identity
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(asker.lookup(nobody, 1))
                written = group.create_task(asker.publish())
                await asyncio.sleep(0.01)
                began = loop.time()
                await network.population.crash(newcomer)
                await network.population.crash(slots[1])
            assert loop.time() - began < 1.0
            assert asked.result().error == "stopped"
            assert written.result().error == "stopped"
            assert (await asker.publish()).error == "stopped"

    run_virtually(main())


def test_owner_bootstraps_anew_while_the_table_is_empty() -> None:
    """Whoever found nobody tries again, and is there as soon as one of its contacts is."""

    async def main() -> None:
        async with stock_network() as network:
            contact, newcomer = network.population.add(), network.population.add()
            await network.population.start(newcomer, contacts=[contact.identity.endpoint])
            assert newcomer.member is not None
            assert (list(newcomer.member.contacts()), newcomer.member.version) == ([], 0)
            await network.population.start(contact, contacts=[])
            await asyncio.sleep(150)
            assert list(newcomer.member.contacts()) == [contact.identity.endpoint]
            assert newcomer.member.version == 1

    run_virtually(main())


def test_lookup_that_never_ends_is_given_up_and_later_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits longer than a minute; what still runs then ends a minute later."""
    ended_s: list[float] = []

    async def endless(_server: Server, _key: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended_s.append(asyncio.get_running_loop().time())

    monkeypatch.setattr(Server, "get", endless)

    async def main() -> None:
        async with stock_network() as network:
            slots = await network.add(3)
            began = asyncio.get_running_loop().time()
            answer, duration_s = await network.ask(slots[1], slots[2])
            assert (answer.is_ok, answer.error) == (False, "timeout")
            assert duration_s == pytest.approx(PATIENCE_S, abs=0.01)
            assert ended_s == []
            await asyncio.sleep(CUT_OFF_S)
            assert [one - began for one in ended_s] == pytest.approx([CUT_OFF_S], abs=0.01)

    run_virtually(main())


def test_closed_network_leaves_no_task_and_no_timer() -> None:
    """When the population is closed nothing is scheduled any more."""
    loop = VirtualLoop()

    async def main() -> None:
        async with stock_network() as network:
            await network.add(20, settle_s=1.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        ended.append(loop.time())
        await loop.create_future()

    ended: list[float] = []
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        with pytest.raises(SimulationStalled, match="no timer"):
            runner.run(main())
        assert loop.time() - ended[0] < 1.0  # datagrams that were under way


def test_stock_world_puts_everything_back() -> None:
    """Modules read their own clocks and entropy again, also after a failure; two worlds at once are refused."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(KeyError), stock_world(loop, 1):
            assert kademlia.routing.time.monotonic() == kademlia.storage.time.monotonic() == loop.time()
            assert kademlia.network.random.getrandbits(64) == stream(1, "kademlia", "ids").getrandbits(64)
            assert kademlia.protocol.random.random() == stream(1, "kademlia", "refreshes").random()
            assert rpcudp.protocol.os.urandom(32) == stream(1, "kademlia", "messages").randbytes(32)
            with pytest.raises(InternalError, match="open already"), stock_world(loop, 2):
                pass
            raise KeyError
        assert kademlia.routing.time is kademlia.storage.time is time
        assert kademlia.network.random is kademlia.protocol.random is random
        assert kademlia.routing.asyncio is asyncio
        assert rpcudp.protocol.os is os
        assert loop.get_exception_handler() is None
        with pytest.raises(InternalError, match="no stock world"):
            StockKind(World(seed=1, conditions="uniform"))

    run_virtually(main())


def test_unknown_behaviour_is_refused() -> None:
    """It is told which there are."""

    async def main() -> None:
        async with stock_network() as network:
            slot = network.population.add(behaviour="rude")
            with pytest.raises(InvalidArgument, match="rude") as raised:
                network.kind.make(slot.identity, behaviour=slot.behaviour)
            assert "polluter" in raised.value.hint

    run_virtually(main())


async def eventful(seed: int) -> str:
    """Live with attackers, deaths, restarts and malformed datagrams; return all that can be observed."""
    async with stock_network(seed=seed) as network:
        slots = await network.add(20)
        for behaviour in ("dropper", "polluter", "sybil", "eclipse"):
            slots += await network.add(3, behaviour=behaviour, settle_s=5.0)
        for slot in slots[5:12]:
            await network.population.crash(slot)
        stranger = await network.world.network.open(slots[6].identity.endpoint._replace(port=9), lambda _: None)
        network.world.network.plug(slots[6].identity.endpoint.host)
        for malformed in (
            b"\x00" * 30,
            b"\x00" + bytes(20) + b"\xc1",
            b"short",
            b"\x00" + bytes(20) + b"\x92\xa4ping\x90",
        ):
            stranger.send(malformed, slots[1].identity.endpoint)
        await stranger.close()
        draws = stream(seed, "test")
        told: list[object] = []
        for _ in range(15):
            asker, other = draws.sample(network.population.honest_up, 2)
            told.append(await network.ask(asker, other))
        for slot in slots[5:8]:
            await network.population.start(slot)
        await asyncio.sleep(300)
        told += [sorted(network.kind.tally.errors.items()), network.kind.figures(), network.world.network.sent]
        return f"{network.world.network.trace_digest()} {told}"


def run_apart(hash_seed: str) -> tuple[str, str]:
    """Run an eventful network in a process of its own; return what it wrote to stdout and stderr."""
    program = (
        "from tests.simulation.test_sim_baseline import eventful; "
        "from simulations.engine.virtual_loop import run_virtually; import gc; "
        "print(run_virtually(eventful(5))); gc.collect()"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return done.stdout, done.stderr


def test_eventful_runs_are_one_run_and_say_nothing() -> None:
    """Two processes with different hash seeds agree on everything; unheard exceptions are counted and not printed."""
    first, complaints = run_apart("1")
    second, _ = run_apart("77")
    assert first == second
    assert complaints == ""
    assert "'stock_errors': 0.0" not in first


def test_store_loop_of_the_package_is_cut() -> None:
    """A newcomer whose bucket is full stays new for ever: each of its answers brings it a value. A fuse ends that."""

    async def main() -> None:
        async with stock_network() as network:
            population = network.population
            # A holder hands a value to newcomers when it is nearest to the hash of the key, and it keeps one when it is
            # near to the key itself. It is to be both for its own, and everybody else on the other side, in one bucket.
            names = [digest(f"agent-{number}") for number in range(20)]
            hashes = [digest(name) for name in names]
            number = next(index for index in range(20) if names[index][0] >> 7 == hashes[index][0] >> 7)
            _idle = [population.add() for _ in range(number)]
            holder = population.add(seed=seed_with_id(hashes[number]))
            top = 0 if hashes[number][0] >> 7 else 0x80
            crowd = [
                population.add(seed=seed_with_id(bytes([top | (index % 2) << 2]) + digest(bytes([index]))[:19]))
                for index in range(22)
            ]
            await network.join([holder])
            await network.join(crowd[:20])
            assert network.kind.figures()["stock_dropped"] == 0.0
            for slot in crowd[20:]:
                await population.start(slot, contacts=[holder.identity.endpoint])
            await asyncio.sleep(60)
            assert network.kind.figures()["stock_dropped"] > 0.0
            sent = network.world.network.sent
            await asyncio.sleep(60)
            assert (network.world.network.sent - sent) / 60 < 20  # all has calmed down

    run_virtually(main())
