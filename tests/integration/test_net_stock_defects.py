"""Weaknesses known from other implementations of such networks, each shown to be absent here, on real sockets.

About the socket and its requests: remote kill, reflection, fixed time-outs, leaking and misdirected replies, unhandled
errors, closing under load, one family only. Those about tables, lookups and stores stand with the DHT.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from pilotdht.config.net import NetConfig
from pilotdht.errors import NodeClosed, TimedOut
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.net.outcomes import Sender, Silent, Slow
from pilotdht.net.socket import UdpNetwork
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.messages import Envelope, FindNode, Nodes, Ping, Pong

from tests.integration.test_net_socket import needs_ipv6
from tests.support.leak import leaves_nothing
from tests.support.net_nodes import NetNode, RawPeer, key_pair, real_node, reply_to, request_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

TARGET = NodeId(b"t" * 20)
SILENT = Contact(key_pair(99).public_key, Endpoint("127.0.0.1", 9))
"""Nobody listens on the discard port here."""


async def ping_works(one: NetNode, other: NetNode) -> bool:
    """Return whether a node answers another."""
    return isinstance((await one.rpc.request(other.contact, Ping())).message, Pong)


async def until_dropped(node: NetNode, reason: str, count: int = 1) -> None:
    """Return once a node has dropped so many datagrams for a reason."""
    async with asyncio.timeout(10):
        while node.metrics.dropped.get(reason, 0) < count:
            await asyncio.sleep(0.001)
