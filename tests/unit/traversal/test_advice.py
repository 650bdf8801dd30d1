"""What a person is told about how well a node can be reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotdht.traversal.advice import Facts, Severity, findings
from pilotdht.traversal.behaviour import Filtering, NatBehaviour
from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.packets import Outcome
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping

OUTSIDE = Endpoint("203.0.113.9", 4433)
OUTSIDE6 = Endpoint("2a02:db8::2", 4433)
LIVE = Facts(requests_sent=20, requests_answered=18, own_addresses=("192.168.1.2",))

OPEN = NatBehaviour(
    mapping=NatMapping.NONE,
    filtering=Filtering.ENDPOINT_INDEPENDENT,
    public=OUTSIDE,
    public_host=OUTSIDE.host,
    samples=5,
    prefixes=5,
)
CONE = NatBehaviour(
    mapping=NatMapping.ENDPOINT_INDEPENDENT,
    filtering=Filtering.DEPENDENT,
    public=OUTSIDE,
    public_host=OUTSIDE.host,
    samples=5,
    prefixes=5,
)
RANDOM = NatBehaviour(
    mapping=NatMapping.ADDRESS_AND_PORT_DEPENDENT,
    filtering=Filtering.DEPENDENT,
    public_host=OUTSIDE.host,
    samples=5,
    prefixes=5,
)
FIREWALL = NatBehaviour(
    mapping=NatMapping.NONE, filtering=Filtering.DEPENDENT, public=OUTSIDE, public_host=OUTSIDE.host, samples=5
)


def facts(**changed: object) -> Facts:
    """Return the facts of a node that talks with its peers, changed."""
    return replace(LIVE, **changed)  # type: ignore[arg-type]  # names and types as in the cases below


CASES: dict[str, tuple[Facts, list[str]]] = {
    "no network": (Facts(requests_sent=20), ["offline"]),
    "nothing heard yet": (Facts(own_addresses=("10.0.0.2",), requests_sent=3), ["no_answers"]),
    "machine was not asked": (Facts(are_addresses_known=False), ["no_answers"]),
    "UDP blocked": (Facts(own_addresses=("10.0.0.2",), requests_sent=8), ["udp_blocked"]),
    "too few peers": (facts(ipv4=NatBehaviour(samples=2, prefixes=2)), ["nat_unknown"]),
    "open": (facts(ipv4=OPEN), ["open"]),
    "open, and the router refuses": (
        facts(ipv4=OPEN, portmap_state=PortMapState.REFUSED, portmap_refusal=Outcome.FORBIDDEN),
        ["port_mapping_refused", "open"],
    ),
    "open, and the router is silent": (facts(ipv4=OPEN, portmap_state=PortMapState.SILENT), ["open"]),
    "firewall": (facts(ipv4=FIREWALL, relays=1), ["firewall", "attached"]),
    "cone": (facts(ipv4=CONE, relays=3), ["cone_nat", "attached"]),
    "cone without a server": (facts(ipv4=CONE), ["not_attached", "cone_nat"]),
    "symmetric": (facts(ipv4=RANDOM, relays=3), ["symmetric_nat", "attached"]),
    "symmetric, silent router": (
        facts(ipv4=RANDOM, relays=3, portmap_state=PortMapState.SILENT),
        ["symmetric_nat", "port_mapping_silent", "attached"],
    ),
    "symmetric, mapping off": (
        facts(ipv4=RANDOM, relays=3, is_port_mapping=False),
        ["symmetric_nat", "port_mapping_off", "attached"],
    ),
    "CGNAT by own address": (
        facts(ipv4=CONE, relays=3, own_addresses=("100.64.1.2",)),
        ["cgnat", "cone_nat", "attached"],
    ),
    "CGNAT behind the router": (
        facts(ipv4=CONE, relays=3, portmap_endpoint=Endpoint("100.127.255.1", 1), portmap_state=PortMapState.MAPPED),
        ["cgnat", "cone_nat", "attached"],
    ),
    "double NAT": (
        facts(ipv4=CONE, relays=3, portmap_endpoint=Endpoint("192.168.0.2", 1), portmap_state=PortMapState.MAPPED),
        ["double_nat", "cone_nat", "attached"],
    ),
    "mapped, and confirmed": (
        facts(
            ipv4=NatBehaviour(
                mapping=NatMapping.ENDPOINT_INDEPENDENT,
                filtering=Filtering.ENDPOINT_INDEPENDENT,
                public=OUTSIDE,
                public_host=OUTSIDE.host,
                mapped=Endpoint(OUTSIDE.host, 7),
            ),
            portmap_endpoint=Endpoint(OUTSIDE.host, 7),
            portmap_state=PortMapState.MAPPED,
        ),
        ["open", "port_mapped"],
    ),
    "mapped, not yet confirmed": (
        facts(ipv4=NatBehaviour(samples=1), portmap_endpoint=OUTSIDE, portmap_state=PortMapState.MAPPED),
        ["nat_unknown", "port_mapping_unconfirmed"],
    ),
    "mapped at an address that nobody sees": (
        facts(ipv4=CONE, relays=1, portmap_endpoint=Endpoint("198.51.100.1", 7), portmap_state=PortMapState.MAPPED),
        ["port_mapping_elsewhere", "cone_nat", "attached"],
    ),
    "IPv6 only, open": (facts(own_addresses=(OUTSIDE6.host,), ipv6=OPEN), ["ipv6_open"]),
    "IPv6 with a firewall": (facts(ipv4=OPEN, ipv6=FIREWALL), ["ipv6_firewall", "open"]),
    "IPv6 that nobody has seen": (
        facts(ipv4=OPEN, own_addresses=("192.168.1.2", OUTSIDE6.host)),
        ["open", "ipv6"],
    ),
    "clock right": (facts(ipv4=OPEN, clock_ahead_s=-59.0), ["open"]),
    "clock wrong": (facts(ipv4=OPEN, clock_ahead_s=-61.0), ["clock", "open"]),
}


@pytest.mark.parametrize("name", CASES)
def test_findings_of(name: str) -> None:
    """Worst first; nothing is said that is not known."""
    given, expected = CASES[name]
    assert expected == [finding.code for finding in findings(given)]


def test_findings_are_sentences_with_advice_where_something_is_wrong() -> None:
    """Each says something, ends it, and tells what to do when it is bad."""
    for given, _ in CASES.values():
        for finding in findings(given):
            assert finding.sentence.endswith(".")
            assert len(finding.sentence) < 120
            assert finding.advice or finding.severity < Severity.WARNING, finding.code


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_findings_every_refusal_has_words(outcome: Outcome | None) -> None:
    """Whatever the router said."""
    found = findings(facts(ipv4=CONE, portmap_state=PortMapState.REFUSED, portmap_refusal=outcome))
    assert any(finding.code == "port_mapping_refused" for finding in found)


@pytest.mark.parametrize(
    ("ahead_s", "severity", "words"),
    [
        (61.0, Severity.WARNING, "61 s ahead of"),
        (-61.0, Severity.WARNING, "61 s behind"),
        (3600.0, Severity.ERROR, "3600 s ahead of"),
    ],
)
def test_findings_clock(ahead_s: float, severity: Severity, words: str) -> None:
    """A minute is a warning, an hour an error."""
    clock = findings(facts(ipv4=OPEN, clock_ahead_s=ahead_s))[0]
    assert ("clock", severity, True) == (clock.code, clock.severity, words in clock.sentence)
