"""What scenarios about tunnels need of the simulated world: routers with lives, households, ports, distances."""

from __future__ import annotations

from random import Random

import pytest

from pilotdht.errors import ConfigError
from pilotdht.net.doors import Batch
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.population.population import Population
from simulations.roads.mix import HOUSEHOLD, SURROUNDINGS
from simulations.roads.town import MAPPING_LIVES_S, Town
from simulations.world.conditions import Conditions
from simulations.world.hosts import FIRST_FREE_PORT, LAST_FREE_PORT
from simulations.world.network import MemoryNetwork
from simulations.world.world import World
from tests.support.sim_members import IdleKind
from tests.support.sim_world_hosts import listeners, perfect_network, settled

pytestmark = pytest.mark.simulation

HOST, OTHER = "20.7.0.1", "20.8.0.1"


def ignore(_batch: Batch) -> None:
    """Take datagrams in and do nothing."""


def bound_port(network: MemoryNetwork, host: str) -> int:
    """Return the port that a socket gets which asks for any."""
    return network.bind(Endpoint(host, 0), ignore).local_endpoints[0].port


def test_sockets_that_ask_for_any_port_get_one_after_another_on_each_host() -> None:
    """Two hosts do not take ports from each other."""

    async def main() -> None:
        network = perfect_network()
        assert [FIRST_FREE_PORT, FIRST_FREE_PORT + 1] == [bound_port(network, HOST) for _ in range(2)]
        assert bound_port(network, OTHER) == FIRST_FREE_PORT

    run_virtually(main())


def test_ports_begin_anew_past_the_last_and_pass_over_those_in_use() -> None:
    """As many sockets as there are ports, then none; one that is closed is given again."""

    async def main() -> None:
        network = perfect_network()
        count = LAST_FREE_PORT - FIRST_FREE_PORT + 1
        sockets = [network.bind(Endpoint(HOST, 0), ignore) for _ in range(count)]
        assert count == len(dict.fromkeys(socket.local_endpoints[0].port for socket in sockets))
        with pytest.raises(ConfigError, match="no free port"):
            bound_port(network, HOST)
        await sockets[7].close()
        assert FIRST_FREE_PORT + 7 == bound_port(network, HOST)

    run_virtually(main())


@pytest.mark.parametrize("kind", ["port_restricted", "cgnat"])
def test_routers_of_a_kind_forget_after_the_life_that_they_are_given(kind: str) -> None:
    """All of them in a row."""

    async def main() -> None:
        network = perfect_network()
        outer = network.place_behind_kind("10.0.0.9", kind, HOST, life_s=40.0)
        inner = network.host_of("10.0.0.9").behind
        assert inner is not None
        assert [40.0, 40.0] == [outer.rules.life_s, inner.rules.life_s]

    run_virtually(main())


def test_life_that_no_mapping_has_is_refused() -> None:
    """As any rule that is out of range."""

    async def main() -> None:
        with pytest.raises(ConfigError):
            perfect_network().place_behind_kind("10.0.0.9", "symmetric", HOST, life_s=0.5)

    run_virtually(main())


def test_way_between_hosts_is_what_a_datagram_takes() -> None:
    """Who stands behind a NAT is as far away as the NAT."""

    async def main() -> None:
        world = World(seed=3, conditions=Conditions(jitter_s=0.0, loss=0.0))
        network = world.network
        one, other = listeners(network, 2)
        began_s = network.loop.time()
        one.send(other)
        await settled()
        assert network.way_s(one.host, other.host) == pytest.approx(other.received[0][0] - began_s, abs=1e-5)
        network.place_behind_kind("10.0.0.9", "cgnat", HOST)
        assert network.outermost("10.0.0.9") == HOST
        assert network.way_s("10.0.0.9", other.host) == network.way_s(HOST, other.host)
        assert world.region_of("10.0.0.9") == world.region_of(HOST)

    run_virtually(main())


def test_town_puts_everybody_behind_what_was_asked_for() -> None:
    """One router each, households in common, none in public; every router lives for one of the known times."""

    async def main() -> None:
        world = World(seed=1, conditions="perfect")
        async with Population(world=world, kind=IdleKind()) as population:
            kinds = [*SURROUNDINGS, *["shared"] * (2 * HOUSEHOLD)]
            town = Town(population, kinds, random=Random(1))
            assert kinds == [town.kind_of(slot) for slot in town.slots]
            homes = [slot for slot in town.slots if town.kind_of(slot) == "shared"]
            assert [2, 2, 2, 2, 2, 2, 0] == [len(town.neighbours_of(slot)) for slot in homes]
            for slot in town.slots:
                router = town.router_of(slot)
                assert (router is None) is (town.kind_of(slot) == "public")
                assert router is None or router.rules.life_s in MAPPING_LIVES_S
                assert all(town.router_of(one) is router for one in town.neighbours_of(slot))
                assert (slot.identity.endpoint.host.startswith("10.")) is (router is not None)
            routers = {id(town.router_of(slot)) for slot in town.slots if town.router_of(slot) is not None}
            assert len(kinds) - 1 - 4 == len(routers)

    run_virtually(main())
