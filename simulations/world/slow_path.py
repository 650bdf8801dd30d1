"""What happens to datagrams that something stands in the way of: NATs, cuts, full lines, stalled and unplugged hosts.

The network sends a datagram here only when there is such a thing; all others never pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulations.engine.trace import What
from simulations.world.conditions import HEADER_BYTES
from simulations.world.hosts import RECEIVE_BUFFER_BYTES, Host, Port
from simulations.world.nat import Nat

if TYPE_CHECKING:
    from simulations.world.network import MemoryNetwork

LOCAL_TICKS = 1_000
"""Two hosts behind one router reach each other in a millisecond: wireless networks at home."""

MICROSECONDS = 1_000_000


class SlowPath:
    """The ways with obstacles of one network."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network

    def depart(self, datagram: bytes, source: Port, target: Port) -> None:
        """Take a datagram that was handed in to its host's edge and beyond, or lose it."""
        network = self._network
        host = source.host
        if not host.is_plugged:
            network.lose(What.UNPLUGGED, datagram, source, target)
            return
        if host.stalled_until > network.loop.ticks:
            network.loop.deliver_at(host.stalled_until, self.depart, (datagram, source, target))
            return
        if host.behind is None:
            self._cross(datagram, source, source, target, 0)
        else:
            self._leave_home(datagram, source, target)

    def arrive(self, datagram: bytes, source: Port, target: Port) -> None:
        """Take a datagram that arrived at an address to the socket behind it, or lose it."""
        network = self._network
        host = target.host
        if not host.is_plugged:
            network.lose(What.UNPLUGGED, datagram, source, target)
        elif host.router is not None:
            inside = host.router.inbound(source.endpoint, target.endpoint.port, self._now_s())
            if inside is None:
                network.lose(What.FILTERED, datagram, source, target)
            else:
                self._enter(datagram, source, network.port_of(inside))
        elif host.behind is not None:
            network.lose(What.UNROUTABLE, datagram, source, target)
        else:
            self._enter(datagram, source, target)

    def release(self, host: Host) -> None:
        """End a stall, unless it was prolonged: hand over what waited, in order."""
        if host.stalled_until > self._network.loop.ticks:
            return
        host.stalled_until = 0
        host.settle()
        while host.held and host.stalled_until == 0:  # what is handed over may stall it again
            datagram, source, target = host.held.popleft()
            host.held_bytes -= len(datagram)
            self._take_in(datagram, source, target)

    def _leave_home(self, datagram: bytes, source: Port, target: Port) -> None:
        """Pass every NAT on the way out."""
        network, now_s = self._network, self._now_s()
        seen = source
        while (nat := seen.host.behind) is not None:
            if target.host.behind is nat:
                network.loop.deliver_at(network.loop.ticks + LOCAL_TICKS, self._enter, (datagram, seen, target))
                return
            external = nat.outbound(seen.endpoint, target.endpoint, now_s)
            if external is None:
                network.lose(What.FILTERED, datagram, source, target)
                return
            if target.host.address == nat.address:
                self._turn_back(datagram, network.port_of(external), target, nat)
                return
            seen = network.port_of(external)
        self._cross(datagram, source, seen, target, 0)

    def _turn_back(self, datagram: bytes, seen: Port, target: Port, nat: Nat) -> None:
        """Come in again at the router that the datagram wanted to leave by."""
        network = self._network
        if nat.rules.has_hairpin:
            network.loop.deliver_at(network.loop.ticks + LOCAL_TICKS, self.arrive, (datagram, seen, target))
        else:
            network.lose(What.FILTERED, datagram, seen, target)

    def _cross(self, datagram: bytes, source: Port, seen: Port, target: Port, waited: int) -> None:
        """Leave by the host's line, and cross the network.

        Args:
            datagram: what.
            source: who sends it.
            seen: as whom the world sees its sender.
            target: where to.
            waited: ticks.
        """
        network = self._network
        size = len(datagram) + HEADER_BYTES
        if size > network.conditions.mtu_bytes:
            network.lose(What.OVERSIZE, datagram, source, target)
            return
        if source.host.up is not None:
            now = network.loop.ticks
            leaves_at = source.host.up.take(size, now)
            if leaves_at is None:
                network.lose(What.OVERFLOW, datagram, source, target)
                return
            waited = leaves_at - now
        if network.is_kept_back(seen, target):
            network.lose(What.CUT, datagram, source, target)
            return
        network.launch(datagram, seen, target, waited)

    def _enter(self, datagram: bytes, source: Port, target: Port) -> None:
        """Come in by the host's line; at a NAT inside of a NAT, once more."""
        host = target.host
        if host.router is not None:
            self.arrive(datagram, source, target)
        elif host.down is None:
            self._take_in(datagram, source, target)
        else:
            there_at = host.down.take(len(datagram) + HEADER_BYTES, self._network.loop.ticks)
            if there_at is None:
                self._network.lose(What.OVERFLOW, datagram, source, target)
            else:
                self._network.loop.deliver_at(there_at, self._take_in, (datagram, source, target))

    def _take_in(self, datagram: bytes, source: Port, target: Port) -> None:
        """Give a datagram to the socket that it is for."""
        host = target.host
        if not host.is_plugged:
            self._network.lose(What.UNPLUGGED, datagram, source, target)
        elif target.taker is None:
            self._network.lose(What.NOBODY, datagram, source, target)
        elif host.stalled_until == 0:
            self._network.hand_over(datagram, source, target, target.taker)
        elif host.held_bytes + len(datagram) > RECEIVE_BUFFER_BYTES:
            self._network.lose(What.STARVED, datagram, source, target)
        else:
            host.held.append((datagram, source, target))
            host.held_bytes += len(datagram)

    def _now_s(self) -> float:
        return self._network.loop.ticks / MICROSECONDS
