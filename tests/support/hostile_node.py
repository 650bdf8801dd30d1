"""A node that speaks the protocol and answers whatever its author wants: proper seals, hostile contents."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.outcomes import Sender
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindEntries, FindNode, FindRecord, Store, StoreEntry
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.message import Reply, Request
from pilotdht.wire.seal import network_salt

AnswerWith = Callable[[Request, Sender], Reply | None]
"""What a hostile node says to a request."""


class HostileNode:
    """One of them."""

    def __init__(self, keys: KeyPair, doors: Doors, *, listen: Endpoint, answer: AnswerWith | None = None) -> None:
        self.keys = keys
        self.asked: list[Request] = []
        self._answer = answer
        self.socket = NodeSocket(
            keys,
            doors,
            NetConfig(receive_buffer_bytes=1 << 20, send_buffer_bytes=1 << 18),
            NetMetrics(CollectorRegistry()),
            salt=network_salt(0, b""),
            listen=listen,
        )
        for kind in (FindNode, FindRecord, FindEntries, Store, StoreEntry):
            self.socket.rpc.serve(kind, self._heard)

    @property
    def contact(self) -> Contact:
        """Where it answers."""
        return Contact(self.keys.public_key, self.socket.local_endpoints[0])

    def _heard(self, request: Request, sender: Sender) -> Reply | None:
        self.asked.append(request)
        return None if self._answer is None else self._answer(request, sender)
