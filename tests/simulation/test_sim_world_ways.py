"""What conditions do to datagrams: latency, order, losses, copies, detours, lines, sizes. All in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from pilotdht.errors import ConfigError
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.streams import stream
from simulations.engine.trace import TraceWriter, What
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS, Conditions
from simulations.world.network import MemoryNetwork
from simulations.world.places import endpoint_of
from simulations.world.regions import REGIONS, round_trip_ms
from simulations.world.world import World
from tests.support.sim_world_hosts import Listener, listeners, perfect_network, settled

pytestmark = pytest.mark.simulation

MANY = 20_000


async def one_way_s(network: MemoryNetwork, source: Listener, target: Listener) -> float:
    """Send one datagram and return how long it took."""
    began = network.loop.time()
    source.send(target)
    await settled()
    return target.received.pop()[0] - began


async def flood(network: MemoryNetwork, count: int = MANY) -> Listener:
    """Send numbered datagrams from one host to another, one a millisecond; return who received them."""
    source, target = listeners(network, 2)
    for number in range(count):
        source.send(target, b"\x20" + number.to_bytes(4, "big"))
        await asyncio.sleep(0.001)
    await settled()
    return target


def test_latency_follows_the_regions() -> None:
    """Half a round trip between regions, plus both accesses, plus jitter that is never negative."""

    async def main() -> None:
        world = World(seed=3, conditions=Conditions(loss=0.0))
        hosts = listeners(world.network, 30)
        names = [region.name for region in REGIONS]
        for source, target in pairwise(hosts):
            one, other = (names.index(world.region_of(host.host)) for host in (source, target))
            took_s = await one_way_s(world.network, source, target)
            least_s = round_trip_ms(one, other) / 2000
            assert least_s < took_s < least_s + 2 * 0.032 + 0.05

    run_virtually(main())


def test_place_of_a_host_stays_over_its_lives() -> None:
    """Closed, opened again, in another run with the same seed: the same region."""

    async def regions(seed: int) -> list[str]:
        world = World(seed=seed, conditions="wan")
        return [world.region_of(endpoint_of(number).host) for number in range(50)]

    assert run_virtually(regions(1)) == run_virtually(regions(1))
    assert run_virtually(regions(1)) != run_virtually(regions(2))


def test_uniform_round_trips_fill_their_range() -> None:
    """From 20 to 120 ms by distance, the same for a pair each time, and the same in both directions."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=replace(CONDITIONS["uniform"], jitter_s=0.0))
        hosts = listeners(network, 40)
        ways = [await one_way_s(network, hosts[0], other) for other in hosts[1:]]
        back = [await one_way_s(network, other, hosts[0]) for other in hosts[1:]]
        assert ways == pytest.approx(back, abs=2e-6)
        assert 0.010 <= min(ways) < 0.025
        assert 0.045 < max(ways) <= 0.060001

    run_virtually(main())


def test_train_arrives_in_order_in_spite_of_jitter() -> None:
    """What follows on the same way does not overtake."""

    async def main() -> None:
        source, target = listeners(perfect_network(jitter_s=0.005, jitter_sigma=1.0), 2)
        train = [bytes([0x40, number]) for number in range(100)]
        source.socket.send_train(train, target.endpoint)
        await settled()
        assert train == target.datagrams

    run_virtually(main())


@pytest.mark.parametrize(
    ("name", "loss", "duplicate", "reorder"),
    [("wan", 0.001, 0.0, 0.0), ("lossy", 0.05, 0.01, 0.02), ("mobile", 0.01, 0.0, 0.002), ("perfect", 0.0, 0.0, 0.0)],
)
def test_shares_of_what_happens_are_those_of_the_conditions(
    name: str, loss: float, duplicate: float, reorder: float
) -> None:
    """Counts are within four standard deviations; every datagram is accounted for."""

    async def main() -> None:
        writer = TraceWriter()
        network = World(seed=5, conditions=name, trace=writer).network
        target = await flood(network)
        network.close()
        events = [event.what for event in writer.events()]
        for share, what in ((loss, "lost"), (duplicate, "duplicate"), (reorder, "reordered")):
            deviation = (MANY * share * (1 - share)) ** 0.5
            assert events.count(what) == pytest.approx(MANY * share, abs=4 * deviation)
        assert network.sent == MANY == network.sent_by(endpoint_of(0).host)
        assert network.lost == events.count("lost") == network.losses.get(What.LOST, 0)
        assert network.delivered == len(target.received) == MANY - network.lost + events.count("duplicate")
        assert network.delivered_bytes == 5 * network.delivered
        assert network.wire_bytes == MANY * (5 + 28)

    run_virtually(main())


def test_detour_lets_later_datagrams_overtake() -> None:
    """With a twentieth on a detour of 20 ms, a twentieth arrives behind later ones; without, nothing does."""

    async def overtaken(reorder: float) -> int:
        target = await flood(perfect_network(reorder=reorder, reorder_s=0.02), 5000)
        highest = -1
        late = 0
        for datagram in target.datagrams:
            number = int.from_bytes(datagram[1:], "big")
            late += number < highest
            highest = max(highest, number)
        return late

    assert run_virtually(overtaken(0.0)) == 0
    assert run_virtually(overtaken(0.05)) == pytest.approx(250, abs=65)


def test_limited_line_carries_what_it_can_and_drops_the_rest() -> None:
    """At 1 Mbit/s 125,000 bytes a second come through, whichever end is slow; the queue delays by what it holds."""

    async def main(up_bps: float, down_bps: float) -> None:
        network = perfect_network(queue_bytes=25_000)
        source, target = listeners(network, 2)
        network.limit(source.host, up_bps=up_bps, down_bps=0)
        network.limit(target.host, up_bps=0, down_bps=down_bps)
        began = network.loop.time()
        for _ in range(2000):  # 2 Mbit/s for two seconds
            source.send(target, b"\x20" * 222)
            await asyncio.sleep(0.001)
        ended = network.loop.time()
        in_time = sum(at <= ended for at, _, _ in target.received)
        assert in_time * 250 * 8 == pytest.approx(1_000_000 * (ended - began), rel=0.02)
        await settled()
        assert network.losses == {What.OVERFLOW: 2000 - len(target.received)}
        assert len(target.received) - in_time == pytest.approx(100, abs=5)  # what the queue and the way held

    run_virtually(main(1e6, 0.0))
    run_virtually(main(0.0, 1e6))


def test_conditions_limit_every_host() -> None:
    """Bandwidth in the conditions holds for each host on its own."""

    async def main() -> None:
        network = perfect_network(up_bps=8_000_000)
        one, other, target = listeners(network, 3)
        for source in (one, other):
            for _ in range(3):
                source.send(target, b"\x20" * 972)
        began = network.loop.time()
        await settled()
        arrivals = [round((at - began) * 1000) for at, _, _ in target.received]
        assert arrivals == [11, 11, 12, 12, 13, 13]

    run_virtually(main())


def test_datagram_above_the_path_is_lost() -> None:
    """The header counts: 1472 bytes fit into 1500, 1473 do not."""

    async def main() -> None:
        network = perfect_network()
        source, target = listeners(network, 2)
        for size in (1472, 1473, 0):
            source.send(target, b"\x20" * size)
        await settled()
        assert [1472, 0] == [len(datagram) for datagram in target.datagrams]
        assert network.losses == {What.OVERSIZE: 1}

    run_virtually(main())


def test_conditions_can_change_while_running() -> None:
    """From then on datagrams travel differently; hosts stay where they are."""

    async def main() -> None:
        network = perfect_network()
        source, target = listeners(network, 2)
        assert await one_way_s(network, source, target) == pytest.approx(0.010, abs=2e-6)
        network.conditions = replace(network.conditions, latency_low_s=0.3, latency_high_s=0.3)
        assert await one_way_s(network, source, target) == pytest.approx(0.300, abs=2e-6)

    run_virtually(main())


def test_endpoint_is_bound_once_and_free_after_closing() -> None:
    """Two sockets cannot share one; what arrives after closing is lost, and told."""

    async def main() -> None:
        network = perfect_network()
        source, target = listeners(network, 2)
        with pytest.raises(ConfigError):
            await network.open(target.endpoint, lambda _batch: None)
        source.send(target)
        await target.socket.close()
        await target.socket.close()
        await settled()
        assert network.losses == {What.NOBODY: 1}
        again = Listener(network, target.endpoint)
        source.send(again)
        target.send(source)
        await settled()
        assert len(again.received) == 1
        assert source.received == []

    run_virtually(main())


def test_protocol_of_asyncio_works_on_the_network() -> None:
    """It is told of its connection, gets datagrams from endpoints, answers, and is told of the end."""
    told: list[object] = []

    class Echo(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.DatagramTransport)
            self.transport = transport
            told.append(transport.get_extra_info("sockname"))

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            told.append((data, addr))
            self.transport.sendto(data + b" again", addr)

        def connection_lost(self, exc: Exception | None) -> None:
            told.append(exc)

    async def main() -> None:
        network = perfect_network()
        transport, protocol = network.create_endpoint(Echo, ("20.0.9.1", 5000))
        asker = listeners(network, 1)[0]
        asker.send(Endpoint("20.0.9.1", 5000), b"x")
        await settled()
        assert [b"x again"] == asker.datagrams
        transport.close()
        assert transport.is_closing()
        assert protocol.transport is transport
        await settled()
        assert told == [("20.0.9.1", 5000), (b"x", asker.endpoint), None]

    run_virtually(main())


def test_wall_clocks_are_wrong_as_the_world_says() -> None:
    """Without skew every clock is right; with it they differ, and keep their own error."""

    async def main() -> None:
        right = World(seed=1, conditions="perfect")
        assert right.unix_time_of(1)() == right.unix_time_of(2)()
        wrong = World(seed=1, conditions="perfect", clock_skew_s=60.0, drift_ppm=100.0)
        before = [wrong.unix_time_of(number)() - right.unix_time_of(number)() for number in range(20)]
        assert max(abs(error) for error in before) <= 60.2
        assert max(before) - min(before) > 40
        await asyncio.sleep(10_000)
        after = [wrong.unix_time_of(number)() - right.unix_time_of(number)() for number in range(20)]
        gains = [later - earlier for earlier, later in zip(before, after, strict=True)]
        assert max(abs(gain) for gain in gains) <= 1.0
        assert max(gains) - min(gains) > 0.5

    run_virtually(main())


def test_doors_draw_by_seed_number_and_life() -> None:
    """The same participant draws the same again; another one, or another life, draws something else."""

    async def main() -> None:
        world, again = (World(seed=1, conditions="wan") for _ in range(2))
        draws = {
            (number, life): world.doors(number, life=life).token_bytes(8) for number in range(3) for life in range(2)
        }
        assert len(set(draws.values())) == 6
        assert again.doors(2, life=1).token_bytes(8) == draws[2, 1]
        assert world.doors(1).random.random() == stream(1, "choices", 1, 0).random()

    run_virtually(main())
