"""The rules of simulated NATs, one by one: each kind of mapping with each kind of filtering (RFC 4787)."""

from __future__ import annotations

from itertools import pairwise, product
from random import Random

import pytest

from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.wire.endpoint import Endpoint
from simulations.world.nat import FIRST_PORT, LAST_PORT, NAT_KINDS, Dependence, Nat, NatRules, Ports, nat_rules_named

NOTHING, ADDRESS, PORT = Dependence
INSIDE = Endpoint("192.168.0.2", 4000)
OTHER_INSIDE = Endpoint("192.168.0.3", 4000)
REMOTE = Endpoint("198.51.100.1", 53)
SAME_ADDRESS = Endpoint("198.51.100.1", 54)
ELSEWHERE = Endpoint("198.51.100.2", 53)


def nat_of(rules: NatRules) -> Nat:
    """Return a fresh NAT with these rules."""
    return Nat("203.0.113.1", rules, random=Random(1))


def sent(nat: Nat, inside: Endpoint, remote: Endpoint, now: float = 0.0) -> Endpoint:
    """Send one datagram out; return whom the remote sees."""
    external = nat.outbound(inside, remote, now)
    assert external is not None
    assert external.host == nat.address
    return external


@pytest.mark.parametrize(("mapping", "filtering"), list(product(Dependence, Dependence)))
def test_mapping_and_filtering_of_each_kind(mapping: Dependence, filtering: Dependence) -> None:
    """One external endpoint as long as nothing differs that counts; those come in that were sent to, as they count."""
    nat = nat_of(NatRules(mapping=mapping, filtering=filtering))
    first = sent(nat, INSIDE, REMOTE)
    lets_in = {remote: nat.inbound(remote, first.port, 1.0) == INSIDE for remote in (REMOTE, SAME_ADDRESS, ELSEWHERE)}
    assert lets_in == {
        REMOTE: True,
        SAME_ADDRESS: filtering is not PORT,
        ELSEWHERE: filtering is NOTHING,
    }
    assert first == sent(nat, INSIDE, REMOTE)
    assert (first == sent(nat, INSIDE, SAME_ADDRESS)) is (mapping is not PORT)
    assert (first == sent(nat, INSIDE, ELSEWHERE)) is (mapping is NOTHING)
    assert nat.inbound(REMOTE, first.port, 1.0) == INSIDE


def test_mappings_of_two_hosts_differ() -> None:
    """Two hosts with one port inside have two outside, and each gets its own answers."""
    nat = nat_of(NatRules())
    one, other = sent(nat, INSIDE, REMOTE), sent(nat, OTHER_INSIDE, REMOTE)
    assert one.port == INSIDE.port
    assert one != other
    assert [INSIDE, OTHER_INSIDE] == [nat.inbound(REMOTE, seen.port, 1.0) for seen in (one, other)]


def test_ports_are_allocated_as_the_rules_say() -> None:
    """Preserving keeps the port, sequential counts, random jumps."""
    insides = [Endpoint("192.168.0.2", 5000 + number) for number in range(20)]
    ports = {
        kind: [sent(nat, inside, REMOTE).port for inside in insides]
        for kind, nat in ((kind, nat_of(NatRules(ports=kind))) for kind in Ports)
    }
    assert ports[Ports.PRESERVING] == [inside.port for inside in insides]
    first = ports[Ports.SEQUENTIAL][0]
    assert ports[Ports.SEQUENTIAL] == [first + step for step in range(20)]
    jumps = [later - earlier for earlier, later in pairwise(ports[Ports.RANDOM])]
    assert sum(abs(jump) > 100 for jump in jumps) >= 15
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports[Ports.RANDOM])


def test_mapping_lives_as_long_as_it_is_used_from_inside() -> None:
    """What goes out refreshes it, what comes in does not; afterwards nothing comes in."""
    nat = nat_of(NatRules(life_s=30))
    port = sent(nat, INSIDE, REMOTE, 0.0).port
    sent(nat, INSIDE, REMOTE, 20.0)
    assert nat.inbound(REMOTE, port, 49.0) == INSIDE
    assert nat.inbound(REMOTE, port, 50.0) is None


def test_filter_forgets_a_peer_that_is_no_longer_sent_to() -> None:
    """A mapping that lives on for one peer is closed to another after the same time."""
    nat = nat_of(NatRules(life_s=30))
    port = sent(nat, INSIDE, REMOTE, 0.0).port
    assert sent(nat, INSIDE, ELSEWHERE, 20.0).port == port
    assert nat.inbound(ELSEWHERE, port, 40.0) == INSIDE
    assert nat.inbound(REMOTE, port, 40.0) is None


def test_reboot_forgets_every_mapping() -> None:
    """After it nothing comes in until something goes out."""
    nat = nat_of(NatRules(filtering=NOTHING))
    port = sent(nat, INSIDE, REMOTE).port
    nat.forget()
    assert nat.inbound(REMOTE, port, 1.0) is None


def test_ports_that_ran_out_come_back_when_mappings_die() -> None:
    """With every port taken nothing more goes out, until one is free again."""
    nat = nat_of(NatRules(life_s=30))
    for port in range(FIRST_PORT, LAST_PORT + 1):
        sent(nat, Endpoint(INSIDE.host, port), REMOTE)
    assert nat.outbound(OTHER_INSIDE, REMOTE, 1.0) is None
    assert nat.outbound(OTHER_INSIDE, REMOTE, 31.0) is not None


def test_open_router_forwards_what_fits_no_mapping() -> None:
    """The first host inside is reached before it ever sent, on its own port."""
    nat = nat_of(NAT_KINDS["open"][0])
    nat.add_inside(INSIDE.host)
    nat.add_inside(OTHER_INSIDE.host)
    assert nat.inbound(REMOTE, 4000, 0.0) == INSIDE


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("open", [(NOTHING, NOTHING)]),
        ("full_cone", [(NOTHING, NOTHING)]),
        ("restricted", [(NOTHING, ADDRESS)]),
        ("port_restricted", [(NOTHING, PORT)]),
        ("symmetric", [(PORT, PORT)]),
        ("cgnat", [(NOTHING, PORT), (NOTHING, PORT)]),
    ],
)
def test_named_kinds_are_what_their_names_mean(kind: str, expected: list[tuple[Dependence, Dependence]]) -> None:
    """Mapping and filtering of each, from the inside out."""
    assert expected == [(rules.mapping, rules.filtering) for rules in nat_rules_named(kind)]


def test_unknown_kind_is_refused() -> None:
    """It is told what there is."""
    with pytest.raises(InvalidArgument) as raised:
        nat_rules_named("cone")
    assert "full_cone" in str(raised.value.hint)
    with pytest.raises(ConfigError):
        NatRules(life_s=0)
