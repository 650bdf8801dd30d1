"""What a person is told about how well this node can be reached, and what to do about it. Pure.

Each finding says one thing in one sentence, most important first. What is unknown is not guessed: it is no finding, or
says that too little is known yet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import field
from enum import IntEnum

from pilotdht.net.prefixes import is_local
from pilotdht.traversal.behaviour import Filtering, NatBehaviour
from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.packets import Outcome
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping

_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
"""Addresses that providers put between their customers' NATs and their own: RFC 6598."""

REQUESTS_TO_JUDGE = 8
"""So many requests without one answer mean that UDP does not pass; fewer may all have gone to peers that are gone."""

CLOCK_WARNING_S = 60.0
"""A clock wrong by this much makes others' short-lived records look expired, and ours."""

CLOCK_ERROR_S = 3600.0
"""A clock wrong by this much makes peers refuse what we sign."""


class Severity(IntEnum):
    """How bad it is; higher is worse."""

    GOOD = 0
    """As it should be."""
    NOTICE = 1
    """Worth knowing; nothing need be done."""
    WARNING = 2
    """It works, at a price: by relay, slowly, or not with every peer."""
    ERROR = 3
    """It does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found out."""

    code: str
    """Stable identifier: what programs compare."""
    severity: Severity
    """How bad it is."""
    sentence: str
    """What was found, in one sentence."""
    advice: str = ""
    """What to do about it; empty when nothing need be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a node's place in the network."""

    ipv4: NatBehaviour = field(default_factory=NatBehaviour)
    """What is in front of it over IPv4."""
    ipv6: NatBehaviour = field(default_factory=NatBehaviour)
    """What is in front of it over IPv6."""
    own_addresses: tuple[str, ...] = ()
    """The machine's own addresses towards the Internet, at most one a family; empty: no network, or unknown."""
    are_addresses_known: bool = True
    """Whether the machine was asked at all."""
    requests_sent: int = 0
    """Requests sent to peers."""
    requests_answered: int = 0
    """Requests that peers answered."""
    is_port_mapping: bool = True
    """Whether port mapping is switched on."""
    portmap_state: PortMapState = PortMapState.OFF
    """How far the keeper of the mapping is."""
    portmap_refusal: Outcome | None = None
    """Why the router refused, if it did."""
    portmap_endpoint: Endpoint | None = None
    """What the router says it mapped, if it did."""
    relays: int = 0
    """Servers that hold a way to this node open."""
    trunk: Endpoint | None = None
    """Where the trunk leads that this node's datagrams go through; absent: they go over UDP."""
    trunk_server: str = ""
    """Address of the node at its other end."""
    trunk_failure: str = ""
    """Why no trunk could be opened although UDP does not pass; empty when one stands, or none is needed."""
    clock_ahead_s: float | None = None
    """By how much this machine's clock is ahead of its peers', in seconds; absent when unknown."""


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Return what there is to say, the worst first, else in the order: network, NAT, router, IPv6, relays, clock."""
    if facts.trunk is not None:  # what peers see is the server's place: no NAT of ours stands there
        found = [*_trunk(facts, facts.trunk), *_relays(facts), *_clock(facts)]
    else:
        found = [*_network(facts), *_nat(facts), *_router(facts), *_ipv6(facts), *_relays(facts), *_clock(facts)]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def _network(facts: Facts) -> Iterator[Finding]:
    if facts.are_addresses_known and not facts.own_addresses:
        yield Finding(
            code="offline",
            severity=Severity.ERROR,
            sentence="This machine has no way to the Internet.",
            advice="Check the cable or the wireless network, and that there is a default route.",
        )
    elif facts.requests_answered:
        return
    elif facts.requests_sent >= REQUESTS_TO_JUDGE:
        yield Finding(
            code="udp_blocked",
            severity=Severity.ERROR,
            sentence=f"None of {facts.requests_sent} requests over UDP was answered: UDP seems to be blocked.",
            advice="Allow outgoing UDP in the firewall, or try another network; check the bootstrap addresses as well."
            + (f" The way over TCP does not work either: {facts.trunk_failure}." if facts.trunk_failure else ""),
        )
    else:
        yield Finding(
            code="no_answers",
            severity=Severity.NOTICE,
            sentence="No peer has answered yet.",
            advice="Wait some seconds, and check that a bootstrap node is configured.",
        )


def _trunk(facts: Facts, trunk: Endpoint) -> Iterator[Finding]:
    yield Finding(
        code="trunk",
        severity=Severity.WARNING,
        sentence=f"UDP does not pass here: everything goes over TLS through {facts.trunk_server} ({trunk}).",
        advice="It works, with more delay under load. Allow outgoing UDP in the firewall to do without it.",
    )


def _nat(facts: Facts) -> Iterator[Finding]:
    behaviour = facts.ipv4
    if behaviour.mapping is NatMapping.UNKNOWN:
        if facts.requests_answered and (behaviour.samples or not facts.ipv6.samples):
            yield Finding(
                code="nat_unknown",
                severity=Severity.NOTICE,
                sentence=f"Too few independent peers have told how they see this node ({behaviour.prefixes} networks).",
                advice="Three or four peers on different networks are needed; wait, or add bootstrap nodes.",
            )
    elif behaviour.is_open:
        yield Finding(
            code="open",
            severity=Severity.GOOD,
            sentence=f"Anybody can reach this node{_at(behaviour.mapped or behaviour.public)}.",
        )
    elif behaviour.mapping is NatMapping.NONE:
        is_closed = behaviour.filtering is Filtering.DEPENDENT
        yield Finding(
            code="firewall" if is_closed else "no_nat",
            severity=Severity.NOTICE,
            sentence=f"No NAT stands before this node{_at(behaviour.public)}"
            + (", but a firewall keeps strangers out." if is_closed else "."),
            advice=f"Allow incoming UDP to port {behaviour.public.port} to serve as relay and introducer."
            if is_closed and behaviour.public is not None
            else "",
        )
    elif behaviour.mapping is NatMapping.ENDPOINT_INDEPENDENT:
        yield Finding(
            code="cone_nat",
            severity=Severity.GOOD,
            sentence=f"A NAT stands before this node that can be punched through{_at(behaviour.public)}.",
        )
    else:
        yield Finding(
            code="symmetric_nat",
            severity=Severity.WARNING,
            sentence="A symmetric NAT stands before this node: it uses another port for each peer.",
            advice="Peers behind such a NAT are reached by relay. A port mapped in the router, or IPv6, avoids it.",
        )
    shared = next((address for address in facts.own_addresses if _is_shared(address)), None)
    if shared is not None:
        yield _behind_provider(shared)


def _router(facts: Facts) -> Iterator[Finding]:
    endpoint, state = facts.portmap_endpoint, facts.portmap_state
    is_needed = not facts.ipv4.is_open and facts.ipv4.mapping is not NatMapping.NONE
    if endpoint is not None:
        yield from _mapped(facts, endpoint)
    elif not facts.is_port_mapping:
        if is_needed:
            yield Finding(
                code="port_mapping_off",
                severity=Severity.NOTICE,
                sentence="The router is not asked to map a port.",
                advice="Set traversal.is_port_mapping to true to have it asked.",
            )
    elif state is PortMapState.REFUSED:
        yield Finding(
            code="port_mapping_refused",
            severity=Severity.NOTICE,
            sentence=f"The router does not map a port: {_REFUSALS[facts.portmap_refusal or Outcome.FAILED]}.",
            advice="Switch PCP or NAT-PMP on in the router, or forward a UDP port by hand and set 'advertise'."
            if is_needed
            else "",
        )
    elif state is PortMapState.SILENT and is_needed:
        yield Finding(
            code="port_mapping_silent",
            severity=Severity.NOTICE,
            sentence="The router does not answer PCP or NAT-PMP.",
            advice="Switch one of them on in the router, or forward a UDP port by hand and set 'advertise'.",
        )


def _mapped(facts: Facts, endpoint: Endpoint) -> Iterator[Finding]:
    """Yield what a mapping is worth: peers must see this node at the router's address."""
    host = facts.ipv4.public_host
    if facts.ipv4.mapped == endpoint:
        yield Finding(
            code="port_mapped",
            severity=Severity.GOOD,
            sentence=f"The router maps {endpoint} to this node, and peers confirm its address.",
        )
    elif _is_shared(endpoint.host):
        yield _behind_provider(endpoint.host)
    elif is_local(endpoint.host):
        yield Finding(
            code="double_nat",
            severity=Severity.WARNING,
            sentence=f"The router has the private address {endpoint.host} itself: a second NAT stands behind it.",
            advice="Put the router that is nearer to the Internet, or this one, into bridge mode, or map the port on "
            "both.",
        )
    elif host is None:
        yield Finding(
            code="port_mapping_unconfirmed",
            severity=Severity.NOTICE,
            sentence=f"The router says that it maps {endpoint}; no majority of peers has confirmed its address yet.",
            advice="Wait until some peers have answered.",
        )
    else:
        yield Finding(
            code="port_mapping_elsewhere",
            severity=Severity.WARNING,
            sentence=f"The router says that it maps {endpoint}, but peers see this node at {host}.",
            advice="A VPN, a second way out or another NAT stands between; the mapping is not used.",
        )


def _ipv6(facts: Facts) -> Iterator[Finding]:
    if facts.ipv6.is_open:
        yield Finding(
            code="ipv6_open",
            severity=Severity.GOOD,
            sentence=f"Anybody with IPv6 can reach this node{_at(facts.ipv6.public)}.",
        )
    elif facts.ipv6.mapping is not NatMapping.UNKNOWN or any(":" in address for address in facts.own_addresses):
        is_closed = facts.ipv6.filtering is Filtering.DEPENDENT
        yield Finding(
            code="ipv6_firewall" if is_closed else "ipv6",
            severity=Severity.NOTICE if is_closed else Severity.GOOD,
            sentence="IPv6 works, but a firewall keeps strangers out." if is_closed else "This node has IPv6.",
            advice="Allow incoming UDP to this machine over IPv6 in the router." if is_closed else "",
        )


def _relays(facts: Facts) -> Iterator[Finding]:
    if not facts.requests_answered or facts.ipv4.is_open or facts.ipv6.is_open:
        return
    if facts.relays:
        servers = "1 server holds" if facts.relays == 1 else f"{facts.relays} servers hold"
        yield Finding(
            code="attached",
            severity=Severity.GOOD,
            sentence=f"{servers} a way to this node open.",
        )
    elif facts.ipv4.filtering is Filtering.DEPENDENT:
        yield Finding(
            code="not_attached",
            severity=Severity.ERROR,
            sentence="Strangers cannot reach this node, and no server holds a way to it open.",
            advice="Wait some seconds; if it stays, no peer in public serves as introducer: run one and bootstrap from "
            "it.",
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    ahead_s = facts.clock_ahead_s
    if ahead_s is not None and abs(ahead_s) >= CLOCK_WARNING_S:
        yield Finding(
            code="clock",
            severity=Severity.ERROR if abs(ahead_s) >= CLOCK_ERROR_S else Severity.WARNING,
            sentence=f"The clock of this machine is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} "
            "those of its peers.",
            advice="Have it set by the network (NTP).",
        )


def _behind_provider(host: str) -> Finding:
    return Finding(
        code="cgnat",
        severity=Severity.WARNING,
        sentence=f"The provider shares one address among customers ({host} is such an address, RFC 6598).",
        advice="No setting in the router helps. Ask the provider for a public address or for IPv6.",
    )


def _is_shared(host: str) -> bool:
    return ":" not in host and ipaddress.IPv4Address(host) in _SHARED


def _at(endpoint: Endpoint | None) -> str:
    return "" if endpoint is None else f" at {endpoint}"


_REFUSALS = {
    Outcome.OK: "it says that it did",
    Outcome.VERSION: "it speaks another version of the protocol",
    Outcome.FORBIDDEN: "it is switched off there, or not allowed for this machine",
    Outcome.FULL: "it has no room for more",
    Outcome.NO_NETWORK: "it has no address itself",
    Outcome.ADDRESS: "it sees this machine at another address",
    Outcome.FAILED: "it failed",
}
