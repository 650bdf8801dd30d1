"""What stands in the way of datagrams: unplugged hosts, cuts, stalls, NATs. All in virtual time."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from pilotdht.errors import InvalidArgument
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.trace import What
from simulations.engine.virtual_loop import OWNER, run_virtually
from simulations.world.hosts import RECEIVE_BUFFER_BYTES
from simulations.world.nat import NAT_KINDS
from simulations.world.network import MemoryNetwork
from simulations.world.places import address_of, endpoint_of
from simulations.world.world import World
from tests.support.sim_world_hosts import Listener, listeners, perfect_network, settled

pytestmark = pytest.mark.simulation

HOME, OTHER_HOME = Endpoint("192.168.1.2", 4433), Endpoint("192.168.2.2", 4433)
ROUTER, OTHER_ROUTER = "20.1.0.1", "20.2.0.1"


async def reaches(source: Listener, target: Listener | Endpoint, at: Listener | None = None) -> bool:
    """Return whether a datagram to ``target`` arrives ``at`` a host, by default the target itself."""
    receiver = target if isinstance(target, Listener) else at
    assert receiver is not None
    before = len(receiver.received)
    source.send(target)
    await settled()
    return len(receiver.received) > before


def test_unplugged_host_neither_sends_nor_receives() -> None:
    """What is under way to it is lost as well; plugged in, it is back."""

    async def main() -> None:
        network = perfect_network()
        one, other = listeners(network, 2)
        other.send(one)
        one.send(other)
        network.unplug(one.host)
        one.send(other)
        await settled()
        assert one.received == []
        assert len(other.received) == 1  # it had left
        assert network.losses == {What.UNPLUGGED: 2}
        network.plug(one.host)
        assert await reaches(one, other)
        assert await reaches(other, one)

    run_virtually(main())


def test_cut_separates_its_sides_until_it_heals() -> None:
    """Within a side everybody is reached; the sides are told."""

    async def main() -> None:
        network = perfect_network()
        hosts = listeners(network, 4)
        sides = {host.host: number % 2 for number, host in enumerate(hosts)}
        network.cut(sides.__getitem__)
        assert [0, 1, 0, 1] == [network.side_of(host.host) for host in hosts]
        for source in hosts:
            for target in hosts:
                if source is not target:
                    is_same = sides[source.host] == sides[target.host]
                    assert await reaches(source, target) is is_same
        assert network.losses == {What.CUT: 8}
        network.heal()
        assert await reaches(hosts[0], hosts[1])
        assert network.side_of(hosts[1].host) == 0

    run_virtually(main())


def test_cut_of_one_way_lets_one_direction_through() -> None:
    """The lower side is heard on the higher one, and hears nothing."""

    async def main() -> None:
        network = perfect_network()
        low, high = listeners(network, 2)
        network.cut(lambda host: int(host == high.host), one_way=True)
        assert await reaches(low, high)
        assert not await reaches(high, low)

    run_virtually(main())


def test_rule_keeps_back_what_it_names() -> None:
    """A rule of a scenario's own holds for pairs, in one direction if it says so."""

    async def main() -> None:
        network = perfect_network()
        one, other, third = listeners(network, 3)
        network.block(lambda source, target: (source, target) == (one.host, other.host))
        assert not await reaches(one, other)
        assert await reaches(other, one)
        assert await reaches(one, third)
        network.heal()
        assert await reaches(one, other)

    run_virtually(main())


def test_stalled_host_gets_everything_at_the_end_in_order() -> None:
    """What comes during a stall waits, in order; what it sends leaves then."""

    async def main() -> None:
        network = perfect_network()
        one, other = listeners(network, 2)
        ends = network.loop.time() + 10.0
        network.stall(one.host, ends)
        for number in range(50):
            other.send(one, bytes([0x20, number]))
            await asyncio.sleep(0.1)
        one.send(other)
        await asyncio.sleep(1.0)
        assert one.received == other.received == []
        await asyncio.sleep(5.0)
        assert [bytes([0x20, number]) for number in range(50)] == one.datagrams
        assert {round(at - ends, 5) for at, _, _ in one.received} == {0.0}
        assert [0.01] == [round(at - ends, 5) for at, _, _ in other.received]
        assert await reaches(one, other)
        assert await reaches(other, one)

    run_virtually(main())


def test_stall_can_be_prolonged() -> None:
    """The later end counts, whichever was said first."""

    async def main() -> None:
        network = perfect_network()
        one, other = listeners(network, 2)
        ends = network.loop.time() + 20.0
        network.stall(one.host, ends - 10)
        network.stall(one.host, ends)
        network.stall(one.host, ends - 15)
        other.send(one)
        await asyncio.sleep(30.0)
        assert [0.0] == [round(at - ends, 5) for at, _, _ in one.received]

    run_virtually(main())


def test_host_that_dies_in_a_stall_loses_what_waited() -> None:
    """It is counted as lost with the host, and does not come when the host is back."""

    async def main() -> None:
        network = perfect_network()
        one, other = listeners(network, 2)
        network.stall(one.host, network.loop.time() + 10.0)
        other.send(one)
        await asyncio.sleep(1.0)
        network.unplug(one.host)
        network.plug(one.host)
        await asyncio.sleep(20.0)
        assert one.received == []
        assert network.losses == {What.UNPLUGGED: 1}

    run_virtually(main())


def test_buffer_of_a_stalled_host_is_bounded() -> None:
    """What does not fit into it is lost: the latest."""

    async def main() -> None:
        network = perfect_network()
        one, other = listeners(network, 2)
        network.stall(one.host, network.loop.time() + 60.0)
        fitting = RECEIVE_BUFFER_BYTES // 1024
        for number in range(fitting + 10):
            other.send(one, b"\x20" + number.to_bytes(4, "big") + b"\0" * 1019)
        await asyncio.sleep(100.0)
        assert network.losses == {What.STARVED: 10}
        assert fitting == len(one.received)
        assert int.from_bytes(one.datagrams[-1][1:5], "big") == fitting - 1

    run_virtually(main())


def test_world_stalls_timers_and_datagrams_of_one_participant() -> None:
    """Its own timers wait as its datagrams do; everybody else goes on."""

    async def main() -> None:
        world = World(seed=1, conditions="perfect")
        loop = world.network.loop
        one, other = listeners(world.network, 2)
        ticked: list[tuple[int, float]] = []
        for owner in (0, 1):
            context = contextvars.copy_context()
            context.run(OWNER.set, owner)
            loop.call_later(2.0, lambda owner=owner: ticked.append((owner, loop.time())), context=context)
        began = loop.time()
        world.stall(0, 7.0)
        other.send(one)
        await asyncio.sleep(20.0)
        assert [(1, 2.0), (0, 7.0)] == [(owner, round(at - began, 3)) for owner, at in ticked]
        assert [7.0] == [round(at - began, 3) for at, _, _ in one.received]

    run_virtually(main())


def behind(network: MemoryNetwork, kind: str) -> tuple[Listener, Listener, Listener]:
    """Return a host behind a NAT of a kind, and two hosts of the open network."""
    inside = Listener(network, HOME)
    network.place_behind_kind(HOME.host, kind, ROUTER)
    friend, stranger = listeners(network, 2)
    return inside, friend, stranger


@pytest.mark.parametrize("kind", NAT_KINDS)
def test_host_behind_each_kind_of_nat_is_answered(kind: str) -> None:
    """The world sees the router; answers come back, to where the datagram came from."""

    async def main() -> None:
        network = perfect_network()
        inside, friend, _ = behind(network, kind)
        assert await reaches(inside, friend)
        assert friend.senders[0].host == ROUTER
        assert (friend.senders[0].port == HOME.port) is (kind not in ("symmetric", "cgnat"))
        assert await reaches(friend, friend.senders[0], at=inside)
        assert [friend.endpoint] == inside.senders
        assert not await reaches(friend, HOME, at=inside)

    run_virtually(main())


@pytest.mark.parametrize(
    ("kind", "is_reached", "is_seen_alike"),
    [
        ("open", True, True),
        ("full_cone", True, True),
        ("restricted", False, True),
        ("port_restricted", False, True),
        ("symmetric", False, False),
        ("cgnat", False, True),
    ],
)
def test_stranger_reaches_whom_the_filter_lets(kind: str, is_reached: bool, is_seen_alike: bool) -> None:
    """By the endpoint that a friend saw a stranger comes through some kinds only; two see one endpoint or two."""

    async def main() -> None:
        network = perfect_network()
        inside, friend, stranger = behind(network, kind)
        assert await reaches(inside, friend)
        assert await reaches(stranger, friend.senders[0], at=inside) is is_reached
        assert await reaches(inside, stranger)
        assert (stranger.senders[-1] == friend.senders[0]) is is_seen_alike
        if not is_reached:
            assert network.losses == {What.FILTERED: 1}

    run_virtually(main())


@pytest.mark.parametrize(
    ("one_kind", "other_kind", "is_open"),
    [
        ("full_cone", "symmetric", True),
        ("restricted", "symmetric", True),
        ("port_restricted", "port_restricted", True),
        ("port_restricted", "cgnat", True),
        ("port_restricted", "symmetric", False),
        ("symmetric", "symmetric", False),
    ],
)
def test_punching_works_where_the_literature_says(one_kind: str, other_kind: str, is_open: bool) -> None:
    """Both send to where a friend saw the other; afterwards one at least has heard the other, or nobody has.

    Source: Ford, Srisuresh, Kegel, "Peer-to-Peer Communication Across NATs" (2005), section 5.1.
    """

    async def main() -> None:
        network = perfect_network()
        one, other, friend = Listener(network, HOME), Listener(network, OTHER_HOME), listeners(network, 1)[0]
        network.place_behind_kind(HOME.host, one_kind, ROUTER)
        network.place_behind_kind(OTHER_HOME.host, other_kind, OTHER_ROUTER)
        assert await reaches(one, friend)
        assert await reaches(other, friend)
        for _ in range(3):
            one.send(friend.senders[1], b"\x20 from one")
            other.send(friend.senders[0], b"\x20 from other")
            await settled()
        assert bool(one.received or other.received) is is_open

    run_virtually(main())


def test_mapping_dies_when_nothing_goes_out() -> None:
    """After two silent minutes the friend is a stranger; what goes out keeps it alive."""

    async def main() -> None:
        inside, friend, _ = behind(perfect_network(), "port_restricted")
        assert await reaches(inside, friend)
        await asyncio.sleep(100)
        assert await reaches(inside, friend)
        await asyncio.sleep(100)
        assert await reaches(friend, friend.senders[0], at=inside)
        await asyncio.sleep(100)
        assert not await reaches(friend, friend.senders[0], at=inside)

    run_virtually(main())


@pytest.mark.parametrize(("kind", "is_reached"), [("full_cone", False), ("open", True)])
def test_hosts_behind_one_router_meet_inside_and_by_hairpin(kind: str, is_reached: bool) -> None:
    """By private addresses always and quickly; by the external ones where the router turns datagrams round."""

    async def main() -> None:
        network = perfect_network()
        one, friend, _ = behind(network, kind)
        sibling = Listener(network, Endpoint("192.168.1.3", 4433))
        nat = network.host_of(HOME.host).behind
        assert nat is not None
        network.place_behind(sibling.host, nat)
        began = network.loop.time()
        assert await reaches(sibling, one)
        assert round(one.received[0][0] - began, 6) == 0.001
        assert await reaches(one, friend)
        assert await reaches(sibling, friend.senders[-1], at=one) is is_reached

    run_virtually(main())


def test_customers_of_one_carrier_meet_through_its_hairpin() -> None:
    """Two homes behind one carrier: each sees the other by the carrier's address once both have sent."""

    async def main() -> None:
        network = perfect_network()
        one, other, friend = Listener(network, HOME), Listener(network, OTHER_HOME), listeners(network, 1)[0]
        carrier = network.place_behind_kind(HOME.host, "cgnat", ROUTER)
        home = network.place_behind_kind(OTHER_HOME.host, "port_restricted", "100.127.0.1")
        network.place_behind(home.address, carrier)
        assert await reaches(one, friend)
        assert await reaches(other, friend)
        assert [ROUTER, ROUTER] == [seen.host for seen in friend.senders]
        for _ in range(2):
            one.send(friend.senders[1], b"\x20 from one")
            other.send(friend.senders[0], b"\x20 from other")
            await settled()
        assert b"\x20 from other" in one.datagrams
        assert b"\x20 from one" in other.datagrams

    run_virtually(main())


def test_cut_holds_for_who_is_behind_a_nat() -> None:
    """A host behind a NAT stands where its router stands."""

    async def main() -> None:
        network = perfect_network()
        inside, friend, _ = behind(network, "full_cone")
        network.cut(lambda host: int(host == ROUTER))
        assert not await reaches(inside, friend)
        assert network.side_of(HOME.host) == 1

    run_virtually(main())


def test_addresses_that_do_not_fit_are_refused() -> None:
    """A NAT needs an address of its own, and a host stands behind one NAT."""

    async def main() -> None:
        network = perfect_network()
        inside, friend, _ = behind(network, "symmetric")
        with pytest.raises(InvalidArgument):
            network.place_behind_kind(inside.host, "full_cone", "20.3.0.1")
        with pytest.raises(InvalidArgument):
            network.place_behind_kind(OTHER_HOME.host, "full_cone", friend.host)
        with pytest.raises(InvalidArgument):
            network.place_behind_kind(OTHER_HOME.host, "full_cone", OTHER_HOME.host)

    run_virtually(main())


def test_nat_costs_nobody_else_anything() -> None:
    """With a NAT in the network, hosts without one still take the short way."""

    async def main() -> None:
        network = perfect_network()
        behind(network, "symmetric")
        plain = network.port_of(endpoint_of(0))
        assert not plain.is_hindered
        assert plain.receive is plain.taker
        assert address_of(0) == plain.host.address

    run_virtually(main())
