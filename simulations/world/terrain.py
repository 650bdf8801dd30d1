"""All hosts and ports of a network: where they stand, how far apart, and which NATs they stand behind."""

from __future__ import annotations

from dataclasses import replace

from pilotdht.errors import InvalidArgument
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.streams import stream
from simulations.world.bandwidth import Line
from simulations.world.conditions import Conditions
from simulations.world.hosts import Host, Port
from simulations.world.nat import Nat, NatRules, nat_rules_named
from simulations.world.regions import REGIONS, place_of, round_trip_ms

MICROSECONDS = 1_000_000


class Terrain:
    """Makes hosts and ports when they are first named, and furnishes them as the conditions say."""

    def __init__(self, seed: int, conditions: Conditions) -> None:
        """Make an empty one; every place in it follows from the seed."""
        self.ports: dict[Endpoint, Port] = {}
        """Every port by its endpoint."""
        self.spread_ticks = 0
        """Ticks from one corner to the other, where distance is by point and not by region."""
        self._seed = seed
        self._hosts: dict[str, Host] = {}
        self._carriers = 0
        self.apply(conditions)

    def apply(self, conditions: Conditions) -> None:
        """Change the conditions of every host."""
        self._conditions = conditions
        low, high = conditions.latency_low_s, conditions.latency_high_s
        everywhere = range(len(REGIONS))
        if conditions.has_regions:  # half of a round trip in milliseconds is 500 microseconds a millisecond
            self.spread_ticks = 0
            self._rows = [[500 * round_trip_ms(one, other) for other in everywhere] for one in everywhere]
        else:
            self.spread_ticks = round((high - low) * MICROSECONDS)
            self._rows = [[round(low * MICROSECONDS)] * len(REGIONS) for _ in everywhere]
        for host in self._hosts.values():
            self._furnish(host)

    def host_of(self, address: str) -> Host:
        """Return the host at an address."""
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = Host(address, place_of(self._seed, address))
            self._furnish(host)
        return host

    def new_port(self, endpoint: Endpoint) -> Port:
        """Make the port of an endpoint that was not named before."""
        host = self.host_of(endpoint[0])
        port = self.ports[endpoint] = Port(endpoint, host, len(self.ports))
        host.ports.append(port)
        self._place_port(port)
        host.settle_port(port)
        return port

    def way_between(self, one: Host, other: Host) -> int:
        """Return what :meth:`way_ticks` returns for two hosts, none of them behind a NAT."""
        far = int(self.spread_ticks * min(1.0, abs(one.place.spot - other.place.spot)))
        return self._rows[one.place.region][other.place.region] + one.access_ticks + other.access_ticks + far

    def way_ticks(self, source: Port, to: Port) -> int:
        """Return how long a datagram takes from one port to another when nothing delays it."""
        far = int(self.spread_ticks * min(1.0, abs(source.spot - to.spot)))
        return source.row[to.region] + source.access_ticks + to.access_ticks + far

    def outermost(self, host: Host) -> Host:
        """Return whom the world sees: the host, or the last NAT that it stands behind."""
        while host.behind is not None:
            host = self.host_of(host.behind.address)
        return host

    def set_lines(self, host: Host, *, up_bps: float, down_bps: float) -> None:
        """Give a host new lines; 0: unlimited."""
        queue = self._conditions.queue_bytes
        host.up = Line(bits_per_s=up_bps, queue_bytes=queue) if up_bps else None
        host.down = Line(bits_per_s=down_bps, queue_bytes=queue) if down_bps else None
        host.settle()

    def place_behind(self, address: str, nat: Nat) -> None:
        """Put a host behind a NAT.

        Raises:
            InvalidArgument: see :meth:`simulations.world.network.MemoryNetwork.place_behind`.
        """
        router, inside = self.host_of(nat.address), self.host_of(address)
        if router.router not in (None, nat) or any(port.taker is not None for port in router.ports):
            raise InvalidArgument(f"{nat.address} is no free address for a NAT", hint="give each NAT its own")
        if inside.behind is not None or self.outermost(router) is inside:
            raise InvalidArgument(
                f"{address} cannot be put behind another NAT", hint="put the NAT behind a NAT instead"
            )
        router.router, inside.behind = nat, nat
        nat.add_inside(address)
        inside.settle()

    def place_behind_kind(self, address: str, kind: str, outside: str, *, life_s: float | None = None) -> Nat:
        """Put a host behind new NATs of a named kind, and return the outermost.

        Raises:
            InvalidArgument: see :meth:`simulations.world.network.MemoryNetwork.place_behind_kind`.
        """
        named = nat_rules_named(kind)
        first, *others = named if life_s is None else [replace(rules, life_s=life_s) for rules in named]
        inner = address
        for rules in others:
            nat = self._new_nat(first, self._carrier_address())
            self.place_behind(inner, nat)
            inner, first = nat.address, rules
        nat = self._new_nat(first, outside)
        self.place_behind(inner, nat)
        return nat

    def _new_nat(self, rules: NatRules, address: str) -> Nat:
        return Nat(address, rules, random=stream(self._seed, "nat", address))

    def _carrier_address(self) -> str:
        """Return the next address of 100.64.0.0/10, which RFC 6598 sets aside for what is between two NATs."""
        number = self._carriers
        self._carriers += 1
        return f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"

    def _furnish(self, host: Host) -> None:
        """Give a host what the conditions say."""
        conditions = self._conditions
        is_home = host.place.home_rank < conditions.home_share
        access_s = conditions.home_access_s if is_home else conditions.cloud_access_s
        host.access_ticks = round(access_s * host.place.slowness * MICROSECONDS)
        self.set_lines(host, up_bps=conditions.up_bps, down_bps=conditions.down_bps)
        for port in host.ports:
            self._place_port(port)

    def _place_port(self, port: Port) -> None:
        host = port.host
        port.region, port.spot, port.access_ticks = host.place.region, host.place.spot, host.access_ticks
        port.row = self._rows[host.place.region]
