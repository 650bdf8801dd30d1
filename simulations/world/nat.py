"""What home routers and carriers do to addresses: mapping, filtering, ports, lifetimes, hairpins.

Pure: rules that are told the time and draw from the generator they are given.

Source: RFC 4787 (terms in sections 4 and 5, requirements in the rest); RFC 6888 for carriers.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from random import Random

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import InvalidArgument
from pilotdht.wire.endpoint import Endpoint

FIRST_PORT, LAST_PORT = 1024, 65_535
"""Ports that are given out: those below are not, RFC 4787, section 4.2.2."""

SWEEP_EVERY = 1024
"""Dead mappings are thrown out once in so many new ones."""


class Dependence(enum.Enum):
    """On what of the remote endpoint a mapping, or the filter, depends."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """On nothing."""
    ADDRESS_DEPENDENT = "address-dependent"
    """On its address."""
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    """On its address and port."""

    def of(self, remote: Endpoint) -> tuple[object, ...]:
        """Return what of a remote endpoint counts."""
        if self is Dependence.ENDPOINT_INDEPENDENT:
            return ()
        return (remote.host,) if self is Dependence.ADDRESS_DEPENDENT else remote


class Ports(enum.Enum):
    """Which external port a new mapping gets."""

    PRESERVING = "preserving"
    """That of the inside endpoint, while it is free; else the next."""
    SEQUENTIAL = "sequential"
    """The one after the last."""
    RANDOM = "random"
    """Any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatRules(Section):
    """How one NAT behaves."""

    mapping: Dependence = tunable(Dependence.ENDPOINT_INDEPENDENT, reason="RFC 4787, REQ-1")
    """When two remote endpoints see one external endpoint."""
    filtering: Dependence = tunable(Dependence.ADDRESS_AND_PORT_DEPENDENT, reason="what most home routers do")
    """Who may send to a mapping."""
    ports: Ports = tunable(Ports.PRESERVING, reason="what most home routers do")
    """Which port a mapping gets."""
    life_s: float = tunable(120.0, unit="s", low=1, high=86_400, reason="RFC 4787, REQ-5: two minutes at least")
    """A mapping dies so long after the last datagram from inside."""
    has_hairpin: bool = tunable(False, reason="many routers lack what RFC 4787, REQ-9 asks for")
    """Whether two hosts inside reach each other by their external endpoints."""
    is_open: bool = tunable(False, reason="nobody forwards everything unless told to")
    """Whether datagrams that fit no mapping go to the first host inside, on the same port."""


NAT_KINDS: dict[str, tuple[NatRules, ...]] = {
    "open": (NatRules(filtering=Dependence.ENDPOINT_INDEPENDENT, has_hairpin=True, is_open=True),),
    "full_cone": (NatRules(filtering=Dependence.ENDPOINT_INDEPENDENT),),
    "restricted": (NatRules(filtering=Dependence.ADDRESS_DEPENDENT),),
    "port_restricted": (NatRules(),),
    "symmetric": (NatRules(mapping=Dependence.ADDRESS_AND_PORT_DEPENDENT, ports=Ports.RANDOM),),
    "cgnat": (NatRules(), NatRules(ports=Ports.RANDOM, has_hairpin=True)),
}
"""By the names of RFC 3489, which everybody uses; from the inside out where there are several in a row.

``cgnat`` is a home router behind a carrier's NAT; the latter has no port to preserve, as many customers share it, and
hairpins (RFC 6888, REQ-1 by RFC 4787, REQ-9).
"""


def nat_rules_named(kind: str) -> tuple[NatRules, ...]:
    """Return the rules of the NATs in a row, from the inside out.

    Raises:
        InvalidArgument: no kind of that name.
    """
    if kind not in NAT_KINDS:
        raise InvalidArgument(f"{kind[:80]!r} is no kind of NAT", hint=f"there are {', '.join(NAT_KINDS)}")
    return NAT_KINDS[kind]


@dataclass(slots=True)
class _Mapping:
    inside: Endpoint
    key: tuple[object, ...]
    port: int
    dies_at_s: float
    peers: dict[tuple[object, ...], float]
    """What the filter lets through, and until when."""


class Nat:
    """One router: translates what goes out, and what comes in if its filter allows."""

    def __init__(self, address: str, rules: NatRules, *, random: Random) -> None:
        """Make a router that has just been switched on.

        Args:
            address: what the outside sees.
            rules: how it behaves.
            random: for its choice of ports.
        """
        self.address = address
        """What the outside sees."""
        self.rules = rules
        """How it behaves."""
        self._random = random
        self._by_key: dict[tuple[object, ...], _Mapping] = {}
        self._by_port: dict[int, _Mapping] = {}
        self._next_port = random.randint(FIRST_PORT, LAST_PORT)
        self._made = 0
        self._default: str | None = None

    def add_inside(self, host: str) -> None:
        """Say that a host stands inside; the first one gets what an open router forwards."""
        self._default = host if self._default is None else self._default

    def outbound(self, inside: Endpoint, remote: Endpoint, now: float) -> Endpoint | None:
        """Translate a datagram from inside.

        Returns:
            The external endpoint that it seems to come from; ``None`` when there is no port left.
        """
        key = (inside, *self.rules.mapping.of(remote))
        mapping = self._by_key.get(key)
        if mapping is None or mapping.dies_at_s <= now:
            mapping = self._made_mapping(inside, key, now)
            if mapping is None:
                return None
        mapping.dies_at_s = now + self.rules.life_s
        mapping.peers[self.rules.filtering.of(remote)] = mapping.dies_at_s
        return Endpoint(self.address, mapping.port)

    def inbound(self, remote: Endpoint, port: int, now: float) -> Endpoint | None:
        """Translate a datagram from outside.

        Args:
            remote: where it comes from.
            port: the external port that it was sent to.
            now: seconds.

        Returns:
            The inside endpoint that it is for; ``None`` when it is dropped.
        """
        mapping = self._by_port.get(port)
        if mapping is None or mapping.dies_at_s <= now:
            return Endpoint(self._default, port) if self.rules.is_open and self._default is not None else None
        if mapping.peers.get(self.rules.filtering.of(remote), 0.0) <= now:
            return None
        return mapping.inside

    def forget(self) -> None:
        """Lose every mapping, as at a reboot."""
        self._by_key.clear()
        self._by_port.clear()

    def _made_mapping(self, inside: Endpoint, key: tuple[object, ...], now: float) -> _Mapping | None:
        self._made += 1
        if self._made % SWEEP_EVERY == 0:
            self._sweep(now)
        port = self._free_port(inside.port, now)
        if port is None:
            return None
        for old in (self._by_key.get(key), self._by_port.get(port)):
            if old is not None:
                self._remove(old)
        mapping = self._by_key[key] = self._by_port[port] = _Mapping(inside, key, port, now, {})
        return mapping

    def _free_port(self, wanted: int, now: float) -> int | None:
        if self.rules.ports is Ports.RANDOM:
            wanted = self._random.randint(FIRST_PORT, LAST_PORT)
        elif self.rules.ports is Ports.SEQUENTIAL:
            wanted = self._next_port
        count = LAST_PORT - FIRST_PORT + 1
        for step in range(count):
            port = FIRST_PORT + (wanted - FIRST_PORT + step) % count
            taken = self._by_port.get(port)
            if taken is None or taken.dies_at_s <= now:
                self._next_port = FIRST_PORT + (port + 1 - FIRST_PORT) % count
                return port
        return None

    def _sweep(self, now: float) -> None:
        for mapping in [one for one in self._by_port.values() if one.dies_at_s <= now]:
            self._remove(mapping)
        for mapping in self._by_port.values():
            mapping.peers = {peer: until for peer, until in mapping.peers.items() if until > now}

    def _remove(self, mapping: _Mapping) -> None:
        if self._by_port.get(mapping.port) is mapping:
            del self._by_port[mapping.port]
        if self._by_key.get(mapping.key) is mapping:
            del self._by_key[mapping.key]
