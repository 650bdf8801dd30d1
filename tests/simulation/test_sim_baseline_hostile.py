"""What liars do to the stock server: it has nothing to tell true from false by, and the scenario sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from pilotdht.wire.endpoint import Endpoint
from simulations.baseline.hostile import Conspiracy
from simulations.baseline.records import seeds_near, stock_key_of
from simulations.engine.streams import stream
from simulations.engine.virtual_loop import run_virtually
from simulations.population.member import Answer
from simulations.population.population import Slot
from tests.support.stock_network import StockNetwork, stock_network

pytestmark = pytest.mark.simulation


async def ask_around(network: StockNetwork, others: Sequence[Slot], times: int) -> list[tuple[Answer, float]]:
    """Have newcomers look others up: who was there for long holds most values of so small a network itself."""
    askers = await network.add(8, settle_s=1.0)
    random = stream(1, "test")
    return [await network.ask(random.choice(askers), random.choice(others)) for _ in range(times)]


def outcomes(asked: list[tuple[Answer, float]]) -> Counter[str]:
    """Count answers by error; right ones have none."""
    return Counter(answer.error for answer, _ in asked)


def test_polluters_make_the_stock_server_return_forged_and_outdated_values() -> None:
    """It takes what the first round brings; every such answer is judged wrong, and none that is right."""

    async def main() -> None:
        async with stock_network() as network:
            honest = await network.add(20)
            await network.add(12, behaviour="polluter", settle_s=5.0)
            for slot in honest[1:15] * 2:  # twice, so that attackers know an old version
                assert slot.member is not None
                await slot.member.publish()
                slot.published = slot.member.version
            asked = await ask_around(network, honest[1:15], 40)
            count = outcomes(asked)
            assert count["forged"] > 0
            assert count["outdated"] > 0
            assert sum(answer.is_wrong for answer, _ in asked) == count["forged"] + count["outdated"]
            assert all(answer.is_ok == (answer.error == "") for answer, _ in asked)

    run_virtually(main())


def test_droppers_make_lookups_wait() -> None:
    """Each round with a swallowed request takes five seconds; nothing false is returned."""

    async def main() -> None:
        async with stock_network() as network:
            honest = await network.add(25)
            before = await ask_around(network, honest[1:], 20)
            await network.add(15, behaviour="dropper", settle_s=5.0)
            after = await ask_around(network, honest[1:], 20)
            assert max(duration_s for _, duration_s in before) < 1.0
            assert sum(duration_s >= 5.0 for _, duration_s in after) >= 3
            assert not any(answer.is_wrong for answer, _ in after)

    run_virtually(main())


def test_droppers_forget_what_they_acknowledge() -> None:
    """One with an even number takes values and has none; one with an odd number does not answer writes at all."""

    async def main() -> None:
        async with stock_network() as network:
            first = network.population.add()
            await network.join([first])
            odd, even = network.population.add(behaviour="dropper"), network.population.add(behaviour="dropper")
            assert (odd.identity.number, even.identity.number) == (1, 2)
            assert first.member is not None
            await network.population.start(odd)
            silent = await first.member.publish()
            assert (silent.is_ok, silent.acks) == (False, 0)
            await network.population.start(even)
            acknowledged = await first.member.publish()
            assert acknowledged.is_ok
            assert acknowledged.acks == 1

    run_virtually(main())


def test_sybils_crowd_tables_and_name_each_other() -> None:
    """Anybody who pings enters a stock table; soon most of what honest nodes know are sybils."""

    async def main() -> None:
        async with stock_network() as network:
            honest = await network.add(20)
            sybils = await network.add(20, behaviour="sybil", settle_s=60.0)
            places = {slot.identity.endpoint for slot in sybils}
            newcomer = network.population.add()
            await network.population.start(newcomer, contacts=[sybils[0].identity.endpoint])
            assert newcomer.member is not None
            known = newcomer.member.contacts()
            assert sum(place in places for place in known) >= 15
            tables = [slot.member.contacts() for slot in honest if slot.member is not None]
            assert sum(place in places for table in tables for place in table) >= 15 * len(tables)

    run_virtually(main())


def test_eclipse_of_a_key_denies_its_value() -> None:
    """Ids next to the key take all its writes; what was found before is not found any more, other values are."""

    async def main() -> None:
        async with stock_network() as network:
            honest = await network.add(40)
            victim = honest[7]
            before, _ = await network.ask(honest[12], victim)
            assert before.is_ok
            key = stock_key_of(victim.identity)
            ring = [network.population.add(behaviour="eclipse", seed=seed) for seed in seeds_near(key, 25)]
            await network.join(ring, settle_s=60.0)
            for slot in honest:
                if slot is not victim:  # whoever held the value is restarted, with an empty storage
                    await network.population.crash(slot)
                    await network.population.start(slot)
            assert victim.member is not None
            assert (await victim.member.publish()).is_ok
            victim.published = victim.member.version
            answers = [await network.ask(slot, victim) for slot in honest[10:20]]
            assert not any(answer.is_ok for answer, _ in answers)
            assert not any(answer.is_wrong for answer, _ in answers)

    run_virtually(main())


def test_conspiracy_names_the_nearest_fellows_but_the_one_who_asks() -> None:
    """Nearest first, by XOR; attackers of another behaviour are not named."""
    conspiracy = Conspiracy(seed=1)
    places = [Endpoint("20.0.0.1", 1000 + number) for number in range(5)]
    for number, place in enumerate(places):
        conspiracy.join("sybil", place, bytes(19) + bytes([number]))
    conspiracy.join("eclipse", Endpoint("20.0.0.2", 1), bytes(20))
    named = conspiracy.nearest("sybil", bytes(19) + b"\x03", 3, but=places[2])
    assert [port for _, _, port in named] == [1003, 1001, 1000]
    assert conspiracy.is_fellow(places[4])
    assert not conspiracy.is_fellow(Endpoint("20.0.0.3", 1))


def test_conspiracy_keeps_oldest_and_newest() -> None:
    """An old value is known when a newer one was seen; what is no value is not kept."""
    conspiracy = Conspiracy(seed=1)
    key = bytes(20)
    for value in (b"bytes", "x", "agent-1 2 e p t"):
        conspiracy.keep(key, value)
    assert conspiracy.outdated(key) is None
    conspiracy.keep(key, "agent-1 1 e p t")
    conspiracy.keep(key, "agent-1 3 e p t")
    assert conspiracy.outdated(key) == "agent-1 1 e p t"
    assert conspiracy.newest(key) == "agent-1 3 e p t"
