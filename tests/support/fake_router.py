"""A router that maps ports: PCP and NAT-PMP written from the RFCs, apart from the product's own reading of them."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field

from pilotdht.net.doors import Batch, DatagramNetwork, DatagramSocket
from pilotdht.wire.endpoint import Endpoint

PORT = 5351


@dataclass
class FakeHost:
    """A machine with one own address."""

    own: str | None
    routes: str = ""

    def local_address(self, towards: str) -> str | None:
        """Return it, wherever the way goes."""
        return None if ":" in towards else self.own

    def routing_table(self) -> str:
        """Return what was set."""
        return self.routes


def routes_via(gateway: str) -> str:
    """Return a routing table as Linux writes it, with one default route."""
    packed = ipaddress.IPv4Address(gateway).packed[::-1].hex().upper()
    return (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        f"eth0\t00000000\t{packed}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
    )


@dataclass
class Held:
    """One mapping of the router."""

    external_port: int
    nonce: bytes
    lifetime_s: int


@dataclass
class FakeRouter:
    """The router; :meth:`open` starts it. What it does may be changed at any time."""

    host: str
    external: str = "203.0.113.9"
    speaks_pcp: bool = True
    speaks_natpmp: bool = True
    is_silent: bool = False
    refuses: int = 0
    """Result of every request, when not 0."""
    retry_after_s: int = 0
    most_lifetime_s: int = 86_400
    port_offset: int = 0
    """Added to the port that is wished for."""
    loses: int = 0
    """So many of the next requests are lost."""
    first_sends: list[bytes] = field(default_factory=list)
    """Sent before each answer."""
    held: dict[Endpoint, Held] = field(default_factory=dict)
    """What it maps, by the endpoint inside."""
    heard: list[str] = field(default_factory=list)
    """What it was asked."""
    client: Endpoint | None = None
    """Who asked last; absent until somebody did."""

    async def open(self, network: DatagramNetwork) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        self._booted_at = self._loop.time() - 1000.0
        self._socket: DatagramSocket = await network.open(Endpoint(self.host, PORT), self._receive)

    async def close(self) -> None:
        """Stop."""
        await self._socket.close()

    def restart(self) -> None:
        """Forget all."""
        self.held.clear()
        self._booted_at = self._loop.time()

    def _receive(self, batch: Batch) -> None:
        for datagram, client in batch:
            self.client = client
            answer = self._answer(datagram, client)
            if self.loses:
                self.loses -= 1
            elif not self.is_silent and answer is not None:
                for hostile in self.first_sends:
                    self._socket.send(hostile, client)
                self._socket.send(answer, client)

    def _answer(self, datagram: bytes, client: Endpoint) -> bytes | None:
        epoch = int(self._loop.time() - self._booted_at).to_bytes(4, "big")
        if datagram[0] == 2 and self.speaks_pcp:
            return self._pcp(datagram, client, epoch)
        if not self.speaks_natpmp:
            return None
        if datagram[0] != 0:
            self.heard.append("version")
            return bytes([0, 0x80 | datagram[1], 0, 1]) + epoch
        return self._natpmp(datagram, client, epoch)

    def _natpmp(self, datagram: bytes, client: Endpoint, epoch: bytes) -> bytes:
        head = bytes([0, 0x80 | datagram[1]]) + self.refuses.to_bytes(2, "big") + epoch
        if datagram[1] == 0:
            assert 2 == len(datagram)
            self.heard.append("natpmp address")
            return head + ipaddress.IPv4Address(self.external).packed
        assert 12 == len(datagram)
        internal, suggested, lifetime = (int.from_bytes(datagram[a:b], "big") for a, b in ((4, 6), (6, 8), (8, 12)))
        self.heard.append(f"natpmp map {lifetime}")
        external, lifetime = self._map(Endpoint(client.host, internal), suggested, lifetime, b"")
        return head + internal.to_bytes(2, "big") + external.to_bytes(2, "big") + lifetime.to_bytes(4, "big")

    def _pcp(self, datagram: bytes, client: Endpoint, epoch: bytes) -> bytes:
        operation, lifetime = datagram[1], int.from_bytes(datagram[4:8], "big")
        result = self.refuses
        if datagram[8:24] != b"\0" * 10 + b"\xff\xff" + ipaddress.IPv4Address(client.host).packed:
            result = 12
        body = b""
        if operation == 0:
            assert 24 == len(datagram)
            self.heard.append("pcp announce")
        else:
            assert (60, 1, 17) == (len(datagram), operation, datagram[36])
            self.heard.append(f"pcp map {lifetime}")
            nonce = datagram[24:36]
            internal, suggested = int.from_bytes(datagram[40:42], "big"), int.from_bytes(datagram[42:44], "big")
            inside = Endpoint(client.host, internal)
            if not result and inside in self.held and self.held[inside].nonce not in (b"", nonce):
                result = 2
            external = 0
            if not result:
                external, lifetime = self._map(inside, suggested, lifetime, nonce)
            outside = b"\0" * 10 + b"\xff\xff" + ipaddress.IPv4Address(self.external).packed
            body = datagram[24:42] + external.to_bytes(2, "big") + (outside if lifetime else bytes(16))
        if result:
            lifetime = self.retry_after_s
        return bytes([2, 0x80 | operation, 0, result]) + lifetime.to_bytes(4, "big") + epoch + bytes(12) + body

    def _map(self, inside: Endpoint, suggested: int, lifetime: int, nonce: bytes) -> tuple[int, int]:
        if self.refuses:
            return 0, 0
        if not lifetime:
            self.held.pop(inside, None)
            return 0, 0
        granted = min(lifetime, self.most_lifetime_s)
        external = (suggested or inside.port) + self.port_offset
        self.held[inside] = Held(external, nonce, granted)
        return external, granted
