"""Both roles of one node behind one handler: frames and farewells go to the server first, then to the client."""

from __future__ import annotations

from pilotdht.net.doors import Batch
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.outcomes import Sender
from pilotdht.traversal.relay.client import RelayClient
from pilotdht.traversal.relay.server import RelayServer
from pilotdht.wire.traversal_messages import HangUp


class Junction:
    """Starts and stops a server and a client on one socket."""

    def __init__(self, *, socket: NodeSocket, server: RelayServer, client: RelayClient) -> None:
        self.server = server
        """What this node does for others."""
        self.client = client
        """What others do for this node."""
        self._socket = socket

    def start(self) -> None:
        """Serve and use channels from now on; the socket is open."""
        self.server.start()
        self.client.start()
        self._socket.set_relayed_handler(self._receive)
        self._socket.rpc.serve(HangUp, self._hung_up)

    def stop(self) -> None:
        """End all channels, and tell whoever is at their other ends; the socket is still open. Safe to call twice."""
        self.client.stop()
        self.server.stop()
        self._socket.set_relayed_handler(None)

    def _receive(self, batch: Batch) -> None:
        rest = self.server.receive(batch)
        if rest:
            self.client.receive(rest)

    def _hung_up(self, message: HangUp, sender: Sender) -> None:
        if not self.server.hung_up(message, sender):
            self.client.hung_up(message, sender)
