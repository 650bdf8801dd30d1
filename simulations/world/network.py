"""A datagram network in memory: places, latency, jitter and loss from one seed, and a trace of every event.

A datagram that nothing stands in the way of takes two short functions, :meth:`MemoryNetwork.carry` and
:meth:`MemoryNetwork.arrive`; everything else is in :mod:`simulations.world.slow_path`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TypeVar

from pilotdht.errors import ConfigError
from pilotdht.net.doors import Receive
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.streams import stream
from simulations.engine.trace import BLOCK_VALUES, EMPTY_KIND, Trace, TraceWriter, What
from simulations.engine.virtual_loop import OWNER, VirtualLoop
from simulations.world.conditions import CONDITIONS, HEADER_BYTES, JITTER_STEPS, Conditions
from simulations.world.cuts import Cuts, Rule, SideOf
from simulations.world.hosts import FIRST_FREE_PORT, LAST_FREE_PORT, Host, Port
from simulations.world.nat import Nat
from simulations.world.slow_path import SlowPath
from simulations.world.socket import MemorySocket, MemoryTransport
from simulations.world.terrain import MICROSECONDS, Terrain

Allows = Callable[[Endpoint, Endpoint], bool]
"""Whether one datagram from the first endpoint can reach the second."""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.DatagramProtocol)

_QUIC_MASK = 0xC0
_SENT, _DELIVERED = int(What.SENT), int(What.DELIVERED)


class MemoryNetwork:
    """All sockets of one simulation, and all that lies between them."""

    __slots__ = (
        "_allows",
        "_arrive",
        "_conditions",
        "_cuts",
        "_draw",
        "_fate_limit",
        "_is_cut",
        "_jitter",
        "_largest",
        "_ports",
        "_seed",
        "_slow",
        "_spread_ticks",
        "_terrain",
        "_trace",
        "_values",
        "delivered",
        "delivered_bytes",
        "loop",
        "losses",
        "sent",
        "sent_bytes",
    )

    def __init__(self, *, seed: int, conditions: Conditions | None = None, trace: TraceWriter | None = None) -> None:
        """Make a network whose every draw follows from ``seed``, on the running loop, which is a virtual one.

        Args:
            seed: of the run.
            conditions: how datagrams travel; absent: ``uniform``.
            trace: keeps events; absent: only their digest is kept.
        """
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "a network in memory takes virtual time"
        self.loop = loop
        """What the simulation runs on."""
        self.sent = 0
        """Datagrams handed in."""
        self.sent_bytes = 0
        """Their bytes."""
        self.delivered = 0
        """Datagrams that arrived, copies included."""
        self.delivered_bytes = 0
        """Their bytes."""
        self.losses: dict[What, int] = {}
        """Datagrams that did not arrive, by what kept them."""
        self._seed = seed
        self._conditions = CONDITIONS["uniform"] if conditions is None else conditions
        self._trace = Trace(trace)
        self._values = self._trace.values
        self._draw = stream(seed, "network").random
        self._terrain = Terrain(seed, self._conditions)
        self._ports = self._terrain.ports
        self._cuts = Cuts()
        self._allows: Allows | None = None
        self._is_cut = False
        self._slow = SlowPath(self)
        self._arrive = self.arrive
        self._trace.begin(loop.ticks)
        self._apply_conditions()

    # Sockets

    async def open(self, listen: Endpoint, receive: Receive) -> MemorySocket:
        """Bind a socket; see :class:`pilotdht.net.doors.DatagramNetwork`.

        Raises:
            ConfigError: the endpoint is taken.
        """
        return self.bind(listen, receive)

    def bind(self, listen: Endpoint, receive: Receive) -> MemorySocket:
        """Do what :meth:`open` does, at once."""
        if listen.port == 0:
            listen = self._free_endpoint(self.host_of(listen.host))
        port = self.port_of(Endpoint(*listen))
        if port.taker is not None:
            raise ConfigError(f"{port.endpoint} is in use", hint="listen on another port")
        port.taker = _on_behalf_of_owner(receive)
        port.host.settle_port(port)
        return MemorySocket(self, port)

    def create_endpoint(
        self, protocol_factory: Callable[[], ProtocolT], local: tuple[str, int]
    ) -> tuple[MemoryTransport, ProtocolT]:
        """Bind a protocol of asyncio, as ``create_datagram_endpoint`` of a loop does.

        Raises:
            ConfigError: the endpoint is taken.
        """
        protocol = protocol_factory()
        transport = MemoryTransport(self.loop, protocol)
        transport.attach(self.bind(Endpoint(*local), transport.receive))
        return transport, protocol

    def release(self, port: Port) -> None:
        """Forget what is bound to a port."""
        port.taker = None
        port.host.settle_port(port)

    # The way of a datagram

    def carry(self, datagram: bytes, source: Port, target: Endpoint) -> None:
        """Take one datagram from a socket and deliver it later, or lose it."""
        size = len(datagram)
        self.sent += 1
        self.sent_bytes += size
        source.sent += 1
        to = self._ports.get(target)
        if to is None:
            to = self.port_of(target)
        loop = self.loop
        ticks = loop.ticks
        values = self._values
        first = datagram[0] if size else EMPTY_KIND
        values.extend((ticks, source.number, to.number, size, _SENT, first & _QUIC_MASK or first))
        if len(values) >= BLOCK_VALUES:
            self._trace.settle()
        if self._is_cut or source.is_hindered or size > self._largest:
            self._slow.depart(datagram, source, to)
            return
        draw = self._draw()
        if draw < self._fate_limit:
            self._meet_fate(draw, datagram, source, to, 0)
            return
        ticks += source.row[to.region] + source.access_ticks + to.access_ticks + self._jitter[int(draw * JITTER_STEPS)]
        if self._spread_ticks:
            ticks += int(self._spread_ticks * min(1.0, abs(source.spot - to.spot)))
        if to is not source.last_target:
            source.last_target = to
        elif ticks < source.last_arrival:
            ticks = source.last_arrival
        source.last_arrival = ticks
        loop.deliver_at(ticks, self._arrive, (datagram, source, to))

    def arrive(self, datagram: bytes, source: Port, to: Port) -> None:
        """Hand a datagram to the socket that is bound where it arrives."""
        receive = to.receive
        if receive is None:
            self._slow.arrive(datagram, source, to)
            return
        size = len(datagram)
        self.delivered += 1
        self.delivered_bytes += size
        first = datagram[0] if size else EMPTY_KIND
        self._values.extend((self.loop.ticks, source.number, to.number, size, _DELIVERED, first & _QUIC_MASK or first))
        receive([(datagram, source.endpoint)])

    def launch(self, datagram: bytes, source: Port, to: Port, waited: int) -> None:
        """Send a datagram across, as :meth:`carry` does when nothing is in the way.

        Args:
            datagram: what.
            source: where it leaves.
            to: where it goes.
            waited: ticks until it leaves.
        """
        draw = self._draw()
        if draw < self._fate_limit:
            self._meet_fate(draw, datagram, source, to, waited)
            return
        ticks = self.loop.ticks + waited + self._terrain.way_ticks(source, to) + self._jitter[int(draw * JITTER_STEPS)]
        if to is source.last_target:
            ticks = max(ticks, source.last_arrival)
        source.last_target, source.last_arrival = to, ticks
        self.loop.deliver_at(ticks, self._arrive, (datagram, source, to))

    def hand_over(self, datagram: bytes, source: Port, to: Port, receive: Receive) -> None:
        """Give a datagram that came by the slow path to its socket."""
        self.delivered += 1
        self.delivered_bytes += len(datagram)
        self._record(What.DELIVERED, datagram, source, to)
        receive([(datagram, source.endpoint)])

    def lose(self, why: What, datagram: bytes, source: Port, to: Port) -> None:
        """Lose a datagram, and tell the trace why."""
        self.losses[why] = self.losses.get(why, 0) + 1
        self._record(why, datagram, source, to)

    # Figures

    @property
    def wire_bytes(self) -> int:
        """Bytes handed in, with the headers of IPv4 and UDP (28 bytes a datagram)."""
        return self.sent_bytes + HEADER_BYTES * self.sent

    @property
    def lost(self) -> int:
        """Datagrams that did not arrive, for whatever reason."""
        return sum(self.losses.values())

    def sent_by(self, host: str) -> int:
        """Return how many datagrams a host handed in."""
        return sum(port.sent for port in self.host_of(host).ports)

    # What a scenario does

    @property
    def conditions(self) -> Conditions:
        """How datagrams travel; may be set at any time, for those sent from then on."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._terrain.apply(conditions)
        self._apply_conditions()

    @property
    def allows(self) -> Allows | None:
        """A rule that is asked about every single datagram, slower than :meth:`block`; absent when there is none."""
        return self._allows

    @allows.setter
    def allows(self, allows: Allows | None) -> None:
        self._allows = allows
        self._look_for_cuts()

    def plug(self, host: str) -> None:
        """Connect a host that was unplugged."""
        self._set_plugged(host, is_plugged=True)

    def unplug(self, host: str) -> None:
        """Cut a host off from this instant: it sends nothing, and what is under way to it is lost."""
        self._set_plugged(host, is_plugged=False)

    def cut(self, side_of: SideOf, *, one_way: bool = False) -> None:
        """Put a cut through the network: hosts on different sides cannot reach each other, from this instant.

        What is under way arrives. Who is behind NATs stands where the outermost of them stands.

        Args:
            side_of: returns the side of a host; asked once for each.
            one_way: lower sides still reach higher ones, but not the other way round.
        """
        self._cuts.cut(side_of, one_way=one_way)
        self._look_for_cuts()

    def block(self, rule: Rule) -> None:
        """Keep back what goes from the first host to the second wherever the rule says so; asked once for each pair."""
        self._cuts.block(rule)
        self._look_for_cuts()

    def heal(self) -> None:
        """Take away what :meth:`cut` and :meth:`block` put there."""
        self._cuts.heal()
        self._look_for_cuts()

    def side_of(self, host: str) -> int:
        """Return the side of the cut that a host is on; 0 when there is none."""
        return self._cuts.side_of(self.outermost(host))

    def stall(self, host: str, until_s: float) -> None:
        """Stop a host's reading and sending: what arrives waits in a buffer until then, what it sends leaves then.

        Args:
            host: its address.
            until_s: loop time.
        """
        stalled = self.host_of(host)
        stalled.stalled_until = max(stalled.stalled_until, int(until_s * MICROSECONDS))
        stalled.settle()
        self.loop.deliver_at(stalled.stalled_until, self._slow.release, (stalled,))

    def limit(self, host: str, *, up_bps: float, down_bps: float) -> None:
        """Give a host another line than the conditions do.

        Args:
            host: its address.
            up_bps: bits it can send a second; 0: unlimited.
            down_bps: bits it can receive a second; 0: unlimited.
        """
        self._terrain.set_lines(self.host_of(host), up_bps=up_bps, down_bps=down_bps)

    def place_behind(self, host: str, nat: Nat) -> None:
        """Put a host behind a NAT; several may share one, and a NAT's own address may be put behind another.

        A host behind a NAT listens on its own, private address, which nobody else in the simulation may have.

        Raises:
            InvalidArgument: it stands behind one already, or the NAT's address is a host's that sends or listens.
        """
        self._terrain.place_behind(host, nat)

    def place_behind_kind(self, host: str, kind: str, address: str, *, life_s: float | None = None) -> Nat:
        """Put a host behind a new NAT, or several in a row, of a named kind.

        Args:
            host: its private address.
            kind: see :data:`simulations.world.nat.NAT_KINDS`.
            address: what the world sees.
            life_s: how long their mappings live; absent: as the kind has it.

        Returns:
            The outermost, to put more behind it.

        Raises:
            InvalidArgument: no such kind, or the addresses do not fit.
            ConfigError: no mapping lives so long.
        """
        return self._terrain.place_behind_kind(host, kind, address, life_s=life_s)

    def outermost(self, host: str) -> str:
        """Return the address that the world sees a host at: its own, or that of the last NAT that it stands behind."""
        return self._terrain.outermost(self.host_of(host)).address

    def way_s(self, one: str, other: str) -> float:
        """Return the seconds that a datagram takes between what the world sees of two hosts when nothing delays it."""
        from_host, to_host = self._terrain.outermost(self.host_of(one)), self._terrain.outermost(self.host_of(other))
        return self._terrain.way_between(from_host, to_host) / MICROSECONDS

    def note(self, label: str) -> None:
        """Write an event into the trace."""
        self._trace.note(label, self.loop.ticks)

    def trace_digest(self) -> str:
        """Return a digest of every event so far: when, from where, to where, of which kind, how large."""
        return self._trace.hexdigest()

    def close(self) -> None:
        """End the trace; what is kept of it is complete then."""
        self._trace.close()

    # Inside

    def host_of(self, address: str) -> Host:
        """Return the host at an address; made when it is first named."""
        return self._terrain.host_of(address)

    def port_of(self, endpoint: Endpoint) -> Port:
        """Return the port of an endpoint; made, and named in the trace, when it is first named."""
        port = self._ports.get(endpoint)
        if port is None:
            port = self._terrain.new_port(Endpoint(*endpoint))
            self._trace.name(port.number, port.endpoint, self.loop.ticks)
        return port

    def is_kept_back(self, source: Port, to: Port) -> bool:
        """Return whether a partition or a rule stands between two ports."""
        if not self._is_cut:
            return False
        if self._allows is not None and not self._allows(source.endpoint, to.endpoint):
            return True
        return self._cuts.is_between(source.host.address, to.host.address)

    def _free_endpoint(self, host: Host) -> Endpoint:
        """Return the next port of a host that nothing is bound to.

        Raises:
            ConfigError: there is none.
        """
        for _ in range(LAST_FREE_PORT - FIRST_FREE_PORT + 1):
            endpoint = Endpoint(host.address, host.next_port)
            host.next_port = host.next_port + 1 if host.next_port < LAST_FREE_PORT else FIRST_FREE_PORT
            port = self._ports.get(endpoint)
            if port is None or port.taker is None:
                return endpoint
        raise ConfigError(f"{host.address} has no free port", hint="close some sockets")

    def _meet_fate(self, draw: float, datagram: bytes, source: Port, to: Port, waited: int) -> None:
        """Lose a datagram, or have it take a detour, or come twice; which, the draw says."""
        conditions = self._conditions
        if draw < conditions.loss:
            self.lose(What.LOST, datagram, source, to)
            return
        ticks = self.loop.ticks + waited + self._terrain.way_ticks(source, to)
        if draw < conditions.loss + conditions.duplicate:
            self._record(What.DUPLICATE, datagram, source, to)
            self.loop.deliver_at(ticks + self._drawn_jitter(), self._arrive, (datagram, source, to))
        else:
            self._record(What.REORDERED, datagram, source, to)
            ticks += int(conditions.reorder_s * MICROSECONDS)
        self.loop.deliver_at(ticks + self._drawn_jitter(), self._arrive, (datagram, source, to))

    def _drawn_jitter(self) -> int:
        least = self._fate_limit
        return self._jitter[int((least + (1 - least) * self._draw()) * JITTER_STEPS)] if least < 1 else 0

    def _record(self, what: What, datagram: bytes, source: Port, to: Port) -> None:
        first = datagram[0] if datagram else EMPTY_KIND
        kind = first & _QUIC_MASK or first
        self._values.extend((self.loop.ticks, source.number, to.number, len(datagram), what, kind))

    def _set_plugged(self, address: str, *, is_plugged: bool) -> None:
        host = self.host_of(address)
        host.is_plugged = is_plugged
        if not is_plugged:
            for held in host.held:
                self.lose(What.UNPLUGGED, *held)
            host.held.clear()
            host.held_bytes = 0
        host.settle()

    def _look_for_cuts(self) -> None:
        self._is_cut = self._allows is not None or not self._cuts.is_whole

    def _apply_conditions(self) -> None:
        """Work out what every datagram needs."""
        conditions = self._conditions
        self._largest = conditions.mtu_bytes - HEADER_BYTES
        self._fate_limit = conditions.fate_limit
        self._jitter = conditions.jitter_ticks()
        self._spread_ticks = self._terrain.spread_ticks


def _on_behalf_of_owner(receive: Receive) -> Receive:
    """Have timers that are set while a datagram is read belong to who opened the socket, so that stalls hold them."""
    if OWNER.get() is None:
        return receive
    context = contextvars.copy_context()
    return lambda batch: context.run(receive, batch)
