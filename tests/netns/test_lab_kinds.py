"""Each kind of NAT behaves as it is named, towards strangers, neighbours and changes."""

from __future__ import annotations

import socket
import time

import pytest

from scripts.lab import KINDS, NEIGHBOUR, SAME, Lab
from scripts.lab.probe import Probe, expected_of, families_of
from tests.netns.conftest import BuildLab

pytestmark = pytest.mark.integration

EACH_FAMILY = [(kind.name, family) for kind in KINDS.values() for family in families_of(kind)]


@pytest.mark.parametrize(("name", "family"), EACH_FAMILY, ids=[f"{name}-{family.name}" for name, family in EACH_FAMILY])
def test_kind_when_probed_is_as_named(open_lab: Lab, name: str, family: socket.AddressFamily) -> None:
    """Mapping, filtering, ports, hairpin and TCP of each kind are what its name promises, at both homes."""
    open_lab.set_nat("a", name)
    open_lab.set_nat("b", name)
    with Probe(open_lab, family) as probe:
        found = {host: probe.look(host) for host in ("a", "b")}
    assert dict.fromkeys(("a", "b"), expected_of(KINDS[name], family)) == found


@pytest.mark.parametrize(("left", "right", "expected"), [
    ("hairpin", SAME, True),
    ("fullcone", SAME, False),
    ("portrestricted", SAME, False),
    ("cgnat", NEIGHBOUR, False),
])  # fmt: skip
def test_lab_hosts_behind_one_router_hairpin_if_it_does(
    build_lab: BuildLab, left: str, right: str, expected: bool
) -> None:
    """Two hosts behind one outside address reach each other there only when the router turns packets round."""
    lab = build_lab(left=left, right=right, servers=2)
    with Probe(lab) as probe:
        assert lab.outside("a") == lab.outside("b")
        assert expected == probe.hairpins("a", "b")


def test_fullcone_with_two_hosts_on_one_port_keeps_them_apart(build_lab: BuildLab) -> None:
    """The second host that uses a port gets another outside port, and strangers reach each by its own."""
    lab = build_lab(left="fullcone", right=SAME, servers=2)
    with Probe(lab) as probe:
        first, second = probe.client("a", 7000), probe.client("b", 7000)
        outside = [probe.outside_of(first), probe.outside_of(second)]
        assert (lab.outside("a"), 7000) == outside[0]
        assert outside[0] != outside[1]
        assert probe.is_open_to(3, first, outside[0])
        assert probe.is_open_to(3, second, outside[1])


def test_symmetric_asked_often_draws_other_ports(open_lab: Lab) -> None:
    """Outside ports of a symmetric NAT are spread: nobody guesses the next one from the last."""
    open_lab.set_nat("a", "symmetric")
    with Probe(open_lab) as probe:
        ports = [probe.outside_of(probe.client("a"))[1] for _ in range(40)]
    assert len(set(ports)) > 35
    assert max(ports) - min(ports) > 30_000


def test_reboot_of_a_nat_closes_what_was_open(open_lab: Lab) -> None:
    """After its router has restarted a socket cannot be reached until it sends again."""
    open_lab.set_nat("a", "portrestricted")
    with Probe(open_lab) as probe:
        client = probe.client("a")
        outside = [probe.outside_of(client, server) for server in (0, 2)]
        assert probe.is_open_to(2, client, outside[1])
        open_lab.reboot_nat("a")
        assert outside[0] == probe.outside_of(client)
        assert not probe.is_open_to(2, client, outside[1])
        assert outside[1] == probe.outside_of(client, 2)
        assert probe.is_open_to(2, client, outside[1])


def test_mapping_life_of_one_second_ends_without_packets_from_inside(build_lab: BuildLab) -> None:
    """What comes in does not keep a full cone's mapping alive: only what goes out does."""
    lab = build_lab(left="fullcone", servers=2, mapping_life_s=1)
    with Probe(lab) as probe:
        client = probe.client("a")
        outside = probe.outside_of(client)
        assert probe.is_open_to(3, client, outside)
        deadline = time.monotonic() + 20
        while probe.is_open_to_stranger(client, outside):
            assert time.monotonic() < deadline, "the mapping outlives its life by far"


@pytest.mark.parametrize("kind", ["symmetric", "cgnat", "open", "dualstack"])
def test_set_nat_under_a_running_program_leaves_its_socket_usable(open_lab: Lab, kind: str) -> None:
    """A socket that was opened before the router was replaced goes on, from the new outside endpoint."""
    open_lab.set_nat("a", "portrestricted")
    with Probe(open_lab) as probe:
        client = probe.client("a")
        before = probe.outside_of(client)
        open_lab.set_nat("a", kind)
        assert (before[0] if kind != "open" else open_lab.machine("a").host) == probe.outside_of(client)[0]


def test_roam_under_a_running_program_changes_both_addresses(build_lab: BuildLab) -> None:
    """A move to another provider changes the inside and the outside address; the socket goes on."""
    lab = build_lab(left="portrestricted", servers=2)
    with Probe(lab) as probe:
        client = probe.client("a")
        places = [(lab.machine("a").host, probe.outside_of(client)[0])]
        for kind in (None, "cgnat"):
            lab.roam("a", kind)
            places.append((lab.machine("a").host, probe.outside_of(client)[0]))
        assert 3 == len({inside for inside, _ in places}) == len({outside for _, outside in places})


@pytest.mark.parametrize("machine", ["a", "s1"])
def test_link_down_and_up_again_restores_the_way(open_lab: Lab, machine: str) -> None:
    """A pulled plug stops everything, put back everything goes on."""
    open_lab.set_nat("a", "portrestricted")
    with Probe(open_lab) as probe:
        client = probe.client("a")
        probe.outside_of(client)
        open_lab.link_down(machine)
        assert not probe.reaches(client)
        open_lab.link_up(machine)
        assert probe.reaches(client)


def test_lab_addresses_are_public_outside_and_independent(open_lab: Lab) -> None:
    """A node takes outside addresses for public ones, and each server for one of another owner."""
    from pilotdht.net.prefixes import is_local, prefix_of

    open_lab.set_nat("a", "cgnat")
    outside = [open_lab.outside("a"), open_lab.outside("b"), *(server.host for server in open_lab.servers)]
    assert not any(map(is_local, outside + [server.host6 for server in open_lab.servers]))
    assert len(outside) == len({prefix_of(host) for host in outside})
    assert is_local(open_lab.machine("a").host)
