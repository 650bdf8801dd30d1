"""Hosts and their ports as the network keeps them: all that a datagram needs to know, at hand without a search."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pilotdht.net.doors import Batch, Receive
from pilotdht.wire.endpoint import Endpoint
from simulations.world.bandwidth import Line
from simulations.world.nat import Nat
from simulations.world.regions import Place

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
"""What arrives for a stalled host waits in a buffer of this size, as in that of a socket."""

FIRST_FREE_PORT, LAST_FREE_PORT = 20_000, 65_535
"""Ports that are given to sockets which ask for any."""


class Host:
    """One address, with what stands there."""

    __slots__ = (
        "access_ticks",
        "address",
        "behind",
        "down",
        "held",
        "held_bytes",
        "is_plugged",
        "next_port",
        "place",
        "ports",
        "router",
        "stalled_until",
        "up",
    )

    def __init__(self, address: str, place: Place) -> None:
        self.address = address
        """IP literal."""
        self.place = place
        """Where it stands."""
        self.access_ticks = 0
        """What its access adds to each way."""
        self.ports: list[Port] = []
        """In the order in which they were first used."""
        self.next_port = FIRST_FREE_PORT
        """What a socket gets that asks for any port, unless it is taken."""
        self.is_plugged = True
        """Whether it is connected."""
        self.stalled_until = 0
        """Tick at which it goes on; in the past when it runs."""
        self.held: deque[tuple[bytes, Port, Port]] = deque()
        """What waits for the end of a stall."""
        self.held_bytes = 0
        """How much that is."""
        self.behind: Nat | None = None
        """The NAT that it stands behind."""
        self.router: Nat | None = None
        """The NAT that has this address outside."""
        self.up: Line | None = None
        """What it sends through, when that is limited."""
        self.down: Line | None = None
        """What it receives through, when that is limited."""

    def settle(self) -> None:
        """Find out again what is in the way of its datagrams."""
        for port in self.ports:
            self.settle_port(port)

    def settle_port(self, port: Port) -> None:
        """Do the same for one port alone: a host may have thousands."""
        is_hindered = not self.is_plugged or self.stalled_until > 0 or self.behind is not None
        port.is_hindered = is_hindered or self.up is not None
        port.receive = None if is_hindered or self.down is not None else port.taker


class Port:
    """One endpoint, bound or not."""

    __slots__ = (
        "access_ticks",
        "endpoint",
        "host",
        "is_hindered",
        "last_arrival",
        "last_target",
        "number",
        "receive",
        "region",
        "row",
        "sent",
        "spot",
        "taker",
    )

    def __init__(self, endpoint: Endpoint, host: Host, number: int) -> None:
        self.endpoint = endpoint
        """Its address and port."""
        self.host = host
        """Where it is."""
        self.number = number
        """In the trace."""
        self.taker: Receive | None = None
        """What is bound there."""
        self.receive: Callable[[Batch], None] | None = None
        """The same, while nothing stands in the way of what arrives."""
        self.is_hindered = False
        """Whether something may stand in the way of what is sent."""
        self.region = 0
        """Its host's region."""
        self.spot = 0j
        """Its host's point, for latency without regions."""
        self.access_ticks = 0
        """Its host's access."""
        self.row: list[int] = []
        """Ticks from its region to each; the same list for all ports of the region."""
        self.sent = 0
        """Datagrams handed in here."""
        self.last_target: Port | None = None
        """Where the last datagram went."""
        self.last_arrival = 0
        """When it arrives: what follows on the same way does not overtake it."""
