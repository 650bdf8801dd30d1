"""What a host's access to the network is like, found out from both sides at once (tests of RFC 5780, section 4).

One process holds the sockets of both sides, each opened where it belongs, so nothing has to be agreed over the network,
and "it was dropped" is known without waiting for long: a packet that must arrive is sent after the one that may not.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from dataclasses import dataclass
from typing import Self

from scripts.lab.kinds import ADDRESS, ADDRESS_AND_PORT, INDEPENDENT, NO_UDP, OPEN, Kind
from scripts.lab.laboratory import Lab
from scripts.lab.namespaces import LabError
from scripts.lab.site import Machine

WAIT_S = 1.0
"""How long a packet that must arrive is waited for."""

GRACE_S = 0.05
"""How long a packet that was overtaken is waited for: the kernel may carry two on two processors."""

BLOCKED_WAIT_S = 0.3
"""How long a first packet is waited for: where none gets through, this is all that the probe costs."""

TRIES = 2
"""First packets, before it is said that none gets through."""

PORTS = (3478, 3479)
"""UDP ports of the servers' sockets."""

TCP_PORTS = (443, 3480)
"""One of the web, and another one."""

Where = tuple[str, int]
"""Address and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a probe found; fields as in :class:`scripts.lab.kinds.Kind`."""

    mapping: str
    """Which destinations see the same outside port."""
    filtering: str
    """Who may send to it."""
    keeps_port: bool | None
    """Whether the outside port is the inside port; absent without UDP."""
    keeps_mapping: bool | None
    """Whether a peer that knocks first leaves the mapping alone; absent where each peer sees another port anyway."""
    hairpins: bool | None
    """Whether two sockets inside reach each other from outside; absent without translation."""
    tcp: str
    """``yes``, ``web`` or ``no``."""


def expected_of(kind: Kind, family: int = socket.AF_INET) -> Findings:
    """Return what the probe must find at a host of that kind."""
    if family == socket.AF_INET6 and kind.has_ipv4:
        return Findings(  # beside translated IPv4 there is IPv6 behind a firewall
            mapping=OPEN, filtering=ADDRESS_AND_PORT, keeps_port=True, keeps_mapping=True, hairpins=None, tcp=kind.tcp
        )
    has_udp = kind.mapping != NO_UDP
    is_steady = kind.mapping in (OPEN, INDEPENDENT)
    return Findings(
        mapping=kind.mapping,
        filtering=kind.filtering,
        keeps_port=kind.keeps_port if has_udp else None,
        keeps_mapping=kind.keeps_mapping if has_udp and is_steady else None,
        hairpins=kind.hairpins if has_udp and kind.mapping != OPEN else None,
        tcp=kind.tcp,
    )


class Probe:
    """Sockets at two servers, and the tests; ``with`` closes what it opened."""

    def __init__(self, lab: Lab, family: int = socket.AF_INET) -> None:
        """Open the servers' sockets.

        Args:
            lab: a laboratory of two servers at least, whose lines lose nothing.
            family: which addresses are looked at.
        """
        self._lab = lab
        self._family = family
        self._stack = contextlib.ExitStack()
        self._tokens = itertools.count()
        self._servers = [self._serve(server, port) for server in lab.servers[:2] for port in PORTS]
        self._targets = [_where(server.getsockname()) for server in self._servers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def look(self, host: str) -> Findings:
        """Return what the access of one host is like.

        Raises:
            LabError: a packet got lost that must not be lost.
        """
        tcp = self._tcp(host)
        first = self.client(host)
        if not any(self._ask(first, 0, wait_s=BLOCKED_WAIT_S) for _ in range(TRIES)):
            return Findings(
                mapping=NO_UDP, filtering=NO_UDP, keeps_port=None, keeps_mapping=None, hairpins=None, tcp=tcp
            )
        mapping, keeps_port = self._mapping(host, first)
        return Findings(
            mapping=mapping,
            filtering=self._filtering(host),
            keeps_port=keeps_port,
            keeps_mapping=self._keeps_mapping(host) if mapping in (OPEN, INDEPENDENT) else None,
            hairpins=self.hairpins(host, host) if mapping != OPEN else None,
            tcp=tcp,
        )

    def hairpins(self, caller: str, called: str) -> bool:
        """Return whether a packet to the outside endpoint of ``called`` arrives, and comes from outside."""
        target, source = self.client(called), self.client(caller)
        outside, own = self.outside_of(target, 0), self.outside_of(source, 0)
        return own in self._arrivals(source, target, outside)

    def is_open_to(self, server: int, client: socket.socket, outside: Where) -> bool:
        """Return whether what a server's socket sends to a client's outside endpoint arrives.

        The client must have sent to the first server's first port, which tells that it would have arrived by now.
        """
        return bool(self._arrivals(self._servers[server], client, outside))

    def is_open_to_stranger(self, client: socket.socket, outside: Where) -> bool:
        """Return whether what a new socket of the second server sends to a client's outside endpoint arrives."""
        with self._lab.socket(self._lab.servers[1].name, self._family) as stranger:
            return bool(self._arrivals(stranger, client, outside))

    def reaches(self, client: socket.socket) -> bool:
        """Return whether a packet gets from a client to the first server and back; soon false when not."""
        return self._ask(client, 0, wait_s=BLOCKED_WAIT_S) is not None

    def client(self, host: str, port: int = 0) -> socket.socket:
        """Return a new socket at a host; closed with the probe."""
        client = self._stack.enter_context(self._lab.socket(host, self._family))
        client.bind(("", port))
        return client

    def _mapping(self, host: str, client: socket.socket) -> tuple[str, bool]:
        """Return the mapping, and whether ports are kept."""
        local = client.getsockname()[1]
        seen = [self.outside_of(client, number) for number in range(len(self._servers))]
        keeps_port = all(port == local for _, port in seen)
        machine = self._lab.machine(host)
        if all(address in (machine.host, machine.host6) for address, _ in seen):
            return OPEN, keeps_port
        if len(set(seen)) == 1:
            return INDEPENDENT, keeps_port
        return ADDRESS if seen[0] == seen[1] and seen[2] == seen[3] else ADDRESS_AND_PORT, keeps_port

    def _filtering(self, host: str) -> str:
        """Return who may send to a socket that has sent to the first server's first port only."""
        for stranger, answer in ((3, INDEPENDENT), (1, ADDRESS)):
            client = self.client(host)
            outside = self.outside_of(client, 0)
            if self.is_open_to(stranger, client, outside):
                return answer
        return ADDRESS_AND_PORT

    def _keeps_mapping(self, host: str) -> bool:
        """Return whether the mapping towards a server stays the same when that one knocks first."""
        client = self.client(host)
        outside = self.outside_of(client, 0)
        self.is_open_to(3, client, outside)
        return self.outside_of(client, 3) == outside

    def _tcp(self, host: str) -> str:
        """Return which TCP ports of a server can be reached."""
        server = self._lab.servers[0]
        is_open: list[bool] = []
        for port in TCP_PORTS:
            with (
                self._lab.socket(server.name, self._family, socket.SOCK_STREAM) as listener,
                self._lab.socket(host, self._family, socket.SOCK_STREAM) as caller,
            ):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self._address(server), port))
                listener.listen(1)
                caller.settimeout(BLOCKED_WAIT_S if is_open and is_open[0] else WAIT_S)
                is_open.append(caller.connect_ex((self._address(server), port)) == 0)
        return {(True, True): "yes", (True, False): "web"}.get((is_open[0], is_open[1]), "no")

    def _arrivals(self, sender: socket.socket, client: socket.socket, outside: Where) -> list[Where]:
        """Send to an outside endpoint, and return from where that arrived: once, or not at all."""
        wanted, last = self._token(), self._token()
        sender.sendto(wanted, outside)
        self._servers[0].sendto(last, outside)  # the client has sent there: this one arrives, and later
        sources: list[Where] = []
        client.settimeout(WAIT_S)
        while True:
            try:
                data, source = client.recvfrom(64)
            except TimeoutError:
                if client.gettimeout() == WAIT_S:
                    raise LabError("an answer did not arrive: the probe needs lines that lose nothing") from None
                return sources
            if data == wanted:
                sources.append(_where(source))
            elif data == last:
                if sources:
                    return sources
                client.settimeout(GRACE_S)

    def outside_of(self, client: socket.socket, server: int = 0) -> Where:
        """Return where a server's socket sees a client.

        Args:
            client: as :meth:`client` returns it.
            server: 0 and 1 are the two ports of the first server, 2 and 3 those of the second.

        Raises:
            LabError: it does not see it.
        """
        seen = self._ask(client, server, wait_s=WAIT_S)
        if seen is None:
            raise LabError("a packet did not arrive: the probe needs lines that lose nothing")
        return seen

    def _ask(self, client: socket.socket, server: int, *, wait_s: float) -> Where | None:
        """Send from a client to a server and back; return where the server saw the client, if both arrived."""
        token, target = self._token(), self._servers[server]
        try:
            client.sendto(token, self._targets[server])
        except OSError:  # no link, no route
            return None
        seen = _receive(target, token, wait_s)
        if seen is None:
            return None
        target.sendto(token, seen)
        return None if _receive(client, token, wait_s) is None else seen

    def _serve(self, server: Machine, port: int) -> socket.socket:
        """Return a socket at a server."""
        opened = self._stack.enter_context(self._lab.socket(server.name, self._family))
        opened.bind((self._address(server), port))
        return opened

    def _address(self, machine: Machine) -> str:
        return machine.host6 if self._family == socket.AF_INET6 else machine.host

    def _token(self) -> bytes:
        """Return bytes that no other packet has."""
        return b"natlab %d" % next(self._tokens)


def families_of(kind: Kind) -> list[socket.AddressFamily]:
    """Return the address families that a host of that kind has."""
    return [socket.AF_INET] * kind.has_ipv4 + [socket.AF_INET6] * kind.has_ipv6


def _receive(receiver: socket.socket, token: bytes, wait_s: float) -> Where | None:
    """Return from where a token came; what else comes is dropped."""
    receiver.settimeout(wait_s)
    with contextlib.suppress(TimeoutError):
        while True:
            data, source = receiver.recvfrom(64)
            if data == token:
                return _where(source)
    return None


def _where(address: tuple[str, int] | tuple[str, int, int, int]) -> Where:
    return address[0], address[1]
