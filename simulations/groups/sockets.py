"""The socket of a simulated member of a group, opened without the rest of a node."""

from __future__ import annotations

from pilotdht.config.net import NetConfig
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import network_salt

SIMULATED_NET = NetConfig(is_private_limited=True)
"""Simulated addresses are limited as public ones are."""


async def opened_socket(
    keys: KeyPair, doors: Doors, metrics: NetMetrics, endpoint: Endpoint, *, config: NetConfig = SIMULATED_NET
) -> NodeSocket:
    """Return the socket of a member, open on the public mesh.

    Args:
        keys: who the member is.
        doors: network, clock and entropy of this life.
        metrics: what the socket counts.
        endpoint: where it listens.
        config: bounds and waits.
    """
    socket = NodeSocket(keys, doors, config, metrics, salt=network_salt(0, b""), listen=endpoint, preferred_port=0)
    await socket.__aenter__()
    return socket
