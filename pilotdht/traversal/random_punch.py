"""Meeting across a NAT that gives each peer another port at random, against one that can be foreseen.

The side behind the random NAT opens many sockets and sends one small datagram from each to where the other side may be
met; its NAT opens as many random ports towards there. The other side sends small datagrams to random ports of that
NAT. As soon as one hits an open port the two have met: with 256 sockets each datagram hits with a chance of 256 in
64,512, so that 1,024 of them meet in 98 of 100 tries (the birthday paradox).

What is spent is bounded: so many sockets and datagrams a try, so many a second, one try at a time, a pause between two.
Nobody is probed but a trusted peer, and only while a link with it stands: who could name any address as its own could
have us scan the ports of others.

A datagram of this kind proves nothing. Whoever answers a sealed request of ours on the road that was found is the peer.

Source: D. Anderson, "How NAT traversal works" (2020), "Beware the birthday paradox"; RFC 4787, section 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from random import Random

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import ConfigError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.datagrams import PUNCH
from pilotdht.net.doors import Batch, DatagramNetwork, DatagramSocket
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.prefixes import is_local
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping

TOKEN_BYTES = 8
_LABEL = b"pilotdht/1 punch"
_BATCH = 16
"""Datagrams sent at one turn of the loop."""
_FIRST_PORT, _LAST_PORT = 1024, 65_535
_TARGETS = 2
"""Endpoints of the peer that are tried."""

_ANY_IPV4 = Endpoint("0.0.0.0", 0)  # noqa: S104 - opens ports of our own NAT; who is heard there proves its key
_RANDOM = (NatMapping.ADDRESS_DEPENDENT, NatMapping.ADDRESS_AND_PORT_DEPENDENT)
_FORESEEN = (NatMapping.NONE, NatMapping.ENDPOINT_INDEPENDENT)


def opens_many(own: NatMapping, theirs: NatMapping) -> bool:
    """Return whether this side opens many ports: its NAT is random, and the peer's can be foreseen."""
    return own in _RANDOM and theirs in _FORESEEN


def probes_many(own: NatMapping, theirs: NatMapping) -> bool:
    """Return whether this side probes many ports."""
    return opens_many(theirs, own)


def punch_token(one: PublicKey, other: PublicKey) -> bytes:
    """Return what both sides write into their datagrams: it tells one peer's from another's, and proves nothing."""
    return sha256(_LABEL + min(one, other) + max(one, other)).digest()[:TOKEN_BYTES]


@dataclass(slots=True)
class _Found:
    """One socket that met the peer."""

    socket: DatagramSocket
    remote: Endpoint
    endpoint: Endpoint


class RandomPunch:
    """The tries of one node, one at a time."""

    def __init__(
        self,
        own_key: PublicKey,
        *,
        socket: NodeSocket,
        network: DatagramNetwork,
        listen: Endpoint,
        config: RoadConfig,
        random: Random,
    ) -> None:
        """Make it.

        Args:
            own_key: who we are.
            socket: the node's, from which ports are probed.
            network: opens the further sockets.
            listen: where the node's socket was to be bound: further ones are bound beside it.
            config: bounds.
            random: chooses ports.
        """
        self._own_key = own_key
        self._socket = socket
        self._network = network
        self._listen = _ANY_IPV4 if ":" in listen.host else Endpoint(listen.host, 0)
        self._config = config
        self._random = random
        self._found: dict[Endpoint, _Found] = {}
        self._is_trying = False
        self._again_at = 0.0
        self.sent = 0
        """Datagrams of this kind sent so far."""

    def is_free(self, now: float) -> bool:
        """Return whether a try may begin."""
        return not self._is_trying and now >= self._again_at

    async def open_many(self, peer: PublicKey, offered: Iterable[Endpoint]) -> Endpoint | None:
        """Open ports of our NAT towards a peer; return the virtual endpoint of the one that it hit."""
        targets = _targets(offered)
        if not targets:
            return None
        async with self._one_try():
            met: asyncio.Future[tuple[DatagramSocket, Endpoint]] = asyncio.get_running_loop().create_future()
            sockets: list[DatagramSocket] = []
            datagram = bytes((PUNCH,)) + punch_token(self._own_key, peer)
            kept: DatagramSocket | None = None
            try:
                for number in range(self._config.random_sockets):
                    sockets.append(await self._opened(datagram, met))
                    for target in targets:
                        sockets[-1].send(datagram, target)
                        self.sent += 1
                    if number % _BATCH == _BATCH - 1:
                        await asyncio.sleep(_BATCH / self._config.random_probes_per_s)
                async with asyncio.timeout(self._config.random_wait_s):
                    kept, remote = await met
                return self._connected(kept, remote)
            except (TimeoutError, ConfigError):  # nobody hit, or the system has no more sockets
                return None
            finally:
                for socket in sockets:
                    if socket is not kept:
                        await socket.close()

    async def probe_many(self, peer: PublicKey, offered: Iterable[Endpoint], is_met: Callable[[], bool]) -> None:
        """Probe random ports of a peer's NAT until the two have met, or the budget is spent."""
        hosts = list(dict.fromkeys(endpoint.host for endpoint in _targets(offered)))[:1]
        if not hosts:
            return
        async with self._one_try():
            datagram = bytes((PUNCH,)) + punch_token(self._own_key, peer)
            ports = self._random.sample(range(_FIRST_PORT, _LAST_PORT + 1), self._config.random_probes)
            for number, port in enumerate(ports):
                self._socket.send(datagram, Endpoint(hosts[0], port))
                self.sent += 1
                if number % _BATCH == _BATCH - 1:
                    await asyncio.sleep(_BATCH / self._config.random_probes_per_s)
                    if is_met():
                        return

    def remote_of(self, endpoint: Endpoint) -> Endpoint | None:
        """Return where a virtual endpoint leads; absent when it is none of ours."""
        found = self._found.get(endpoint)
        return None if found is None else found.remote

    async def close(self, endpoint: Endpoint) -> None:
        """Close the socket behind a virtual endpoint; safe to call twice."""
        found = self._found.pop(endpoint, None)
        if found is not None:
            self._socket.switchboard.disconnect(endpoint)
            await found.socket.close()

    async def close_all(self) -> None:
        """Close all sockets."""
        for endpoint in list(self._found):
            await self.close(endpoint)

    @contextlib.asynccontextmanager
    async def _one_try(self) -> AsyncIterator[None]:
        """One at a time, with a pause afterwards."""
        self._is_trying = True
        try:
            yield
        finally:
            self._is_trying = False
            self._again_at = asyncio.get_running_loop().time() + self._config.random_pause_s

    async def _opened(self, datagram: bytes, met: asyncio.Future[tuple[DatagramSocket, Endpoint]]) -> DatagramSocket:
        opened: list[DatagramSocket] = []
        receive = partial(self._received, opened, datagram, met)
        opened.append(await self._network.open(self._listen, receive))
        return opened[0]

    def _received(
        self,
        opened: Sequence[DatagramSocket],
        expected: bytes,
        met: asyncio.Future[tuple[DatagramSocket, Endpoint]],
        batch: Batch,
    ) -> None:
        for found in self._found.values():
            if opened and found.socket is opened[0]:
                self._socket.switchboard.deliver(
                    [(datagram, found.endpoint) for datagram, source in batch if source == found.remote]
                )
                return
        for datagram, source in batch:
            if opened and datagram == expected and not met.done():
                met.set_result((opened[0], source))

    def _connected(self, socket: DatagramSocket, remote: Endpoint) -> Endpoint:
        endpoint = self._socket.switchboard.connect(
            lambda datagrams: socket.send_train(datagrams, remote), is_direct=True
        )
        self._found[endpoint] = _Found(socket, remote, endpoint)
        return endpoint


def _targets(offered: Iterable[Endpoint]) -> list[Endpoint]:
    """Return the public IPv4 endpoints among those that a peer offers: where there is IPv6 there are no such NATs."""
    found = [
        endpoint
        for endpoint in dict.fromkeys(offered)
        if not endpoint.is_ipv6 and not is_local(endpoint.host) and not ipaddress.ip_address(endpoint.host).is_multicast
    ]
    return found[:_TARGETS]
