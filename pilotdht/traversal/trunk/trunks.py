"""Trunks of one node, both ends: it serves them where it is told to, and opens one where its own UDP is blocked.

A node that serves trunks opens none by itself: it is one of those that others find when their UDP is blocked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import ConfigError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.node_socket import NodeSocket
from pilotdht.tasks import TaskScope
from pilotdht.traversal.trunk.keeper import State, TrunkKeeper
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.traversal.trunk.opening import TrunkOpener
from pilotdht.traversal.trunk.proxy import parse_proxy
from pilotdht.traversal.trunk.server import TrunkServer
from pilotdht.traversal.trunk.trunk import Trunk
from pilotdht.traversal.trunk.udp_trial import UdpTrial
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

_logger = logging.getLogger(__name__)


class Trunks:
    """Trunks of one node; :meth:`start` and :meth:`stop` bound its life. Without TCP there are none."""

    def __init__(
        self,
        keys: KeyPair,
        doors: Doors,
        *,
        socket: NodeSocket,
        salt: bytes,
        config: TrunkConfig,
        net: NetConfig,
        registry: CollectorRegistry,
        scope: TaskScope,
        named: Callable[[], Sequence[tuple[str, int, PublicKey | None]]],
        resolved: Callable[[], Awaitable[Sequence[Endpoint]]],
        contacts: Callable[[], Sequence[Contact]],
        own_endpoints: Callable[[], Sequence[Endpoint]],
        own_addresses: Callable[[], Sequence[str]],
        on_change: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            keys: who we are.
            doors: network, connections and entropy.
            socket: the node's.
            salt: the mesh's.
            config: of trunks.
            net: of greetings.
            registry: where metrics are kept.
            scope: owner of the tasks.
            named: returns host, UDP port and key of the bootstrap nodes.
            resolved: returns the endpoints of the bootstrap nodes.
            contacts: returns nodes that are known from earlier, the best first.
            own_endpoints: returns where this node is told to be found.
            own_addresses: returns the machine's own addresses, as far as they are known.
            on_change: called each time this node is seen at another place because of a trunk.

        Raises:
            ConfigError: the proxy is malformed.
        """
        self._socket = socket
        self._config = config
        self._scope = scope
        self._own_endpoints = own_endpoints
        self._own_addresses = own_addresses
        self._server: TrunkServer | None = None
        self._keeper: TrunkKeeper | None = None
        if doors.streams is None:
            return
        metrics = TrunkMetrics(registry)
        self._server = TrunkServer(
            keys,
            doors,
            salt=salt,
            config=config,
            net=net,
            metrics=metrics,
            net_metrics=socket.metrics,
            scope=scope,
            own_hosts=self._own_hosts,
            own_ports=self._own_ports,
        )
        opener = TrunkOpener(
            keys,
            doors.streams,
            salt=salt,
            token_bytes=doors.token_bytes,
            config=config,
            proxy=parse_proxy(config.proxy),
            metrics=metrics,
            receive=socket.receive_detoured,
        )
        self._new_keeper = partial(
            TrunkKeeper,
            opener,
            UdpTrial(keys, doors, net, socket.metrics, salt=salt),
            socket=socket,
            config=config,
            metrics=metrics,
            named=named,
            resolved=resolved,
            contacts=contacts,
            on_change=on_change,
        )

    async def start(self) -> None:
        """Serve, or watch whether UDP passes, from now on; the node's socket is open.

        A port for trunks that is not to be had is told in the log, and keeps no node from starting.
        """
        server, config = self._server, self._config
        if server is None:
            return
        if config.listen is not None:
            try:
                await server.start(config.listen, udp=self._socket.local_endpoints[0])
            except ConfigError as error:
                _logger.error("no trunks are served", extra={"reason": error.message})
        is_opening = config.mode == "always" or (config.mode == "auto" and not server.endpoints)
        if is_opening:
            self._keeper = self._new_keeper()
            self._scope.start(self._keeper.run(), name="trunk-keeper")

    async def stop(self) -> None:
        """Serve nobody any more; the scope ends the rest. Safe to call twice."""
        if self._server is not None:
            await self._server.stop()

    def moved(self) -> None:
        """Take in that this machine is at another place in the network, or slept."""
        if self._keeper is not None:
            self._keeper.moved()

    @property
    def trunk(self) -> Trunk | None:
        """The trunk that this node's datagrams go through; absent: they go over UDP."""
        return None if self._keeper is None else self._keeper.trunk

    def takes(self, endpoint: Endpoint) -> bool:
        """Return whether what goes to a real endpoint goes through the trunk."""
        return self.trunk is not None and self.trunk.takes(endpoint)

    def is_beside(self, endpoint: Endpoint) -> bool:
        """Return whether an endpoint is of a network that is reached past the trunk, or is unspecified."""
        return not self.takes(endpoint) or endpoint.host in _UNSPECIFIED

    @property
    def failure(self) -> str:
        """Why no trunk could be opened although UDP does not pass; empty when one stands or none is needed."""
        if self._keeper is None or self._keeper.state is not State.SEARCHING:
            return ""
        return self._keeper.failure

    @property
    def served_at(self) -> tuple[Endpoint, ...]:
        """TCP addresses at which trunks are served; empty when none are."""
        return () if self._server is None else self._server.endpoints

    def _own_hosts(self) -> list[str]:
        bound = (endpoint.host for endpoint in self._socket.local_endpoints)
        known = (endpoint.host for endpoint in self._own_endpoints())
        found = dict.fromkeys((*known, *self._own_addresses(), *bound))
        return [host for host in found if host not in _UNSPECIFIED]

    def _own_ports(self) -> list[int]:
        return [endpoint.port for endpoint in (*self._socket.local_endpoints, *self._own_endpoints())]
