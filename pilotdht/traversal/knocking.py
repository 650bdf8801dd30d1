"""Finding out whether strangers reach this node: servers have others knock, whom we never sent anything to.

A node that peers see at another address than its own calls itself a client, and nobody puts it into a routing table.
Where the NAT lets everybody in (a cloud that gives each machine a public address, a router told to forward) strangers
would reach it, but none ever tries. So it asks its servers now and then; what knocks from elsewhere counts as any
request that comes unasked does.

A knock is one small ping. It goes only to where whoever asked has shown to receive, through a server that has checked
that, and at a bounded rate.

Source: RFC 5780, section 4.4 (filtering is found out from another address); libp2p, autonat.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from pilotdht.config.traversal import TraversalConfig
from pilotdht.errors import NodeClosed, Overloaded, PilotError
from pilotdht.net.limits import PrefixLimiter, TokenBucket
from pilotdht.net.outcomes import Outcome, Sender
from pilotdht.net.prefixes import group_of
from pilotdht.net.rpc import Rpc
from pilotdht.net.switchboard import is_virtual
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.traversal_messages import KnockFor, Knocking, SendKnocks

KNOCKERS = 2
"""Others that are asked to knock: as many independent strangers as make a node reachable."""

ASKED_PER_S = 0.2
ASKED_BURST = 4
"""How often nodes of one source prefix are knocked for."""

KNOCKS_PER_S = 5.0
KNOCK_BURST = 20
"""How often this node knocks, whoever wants it."""

PREFIXES = 4096

SETTLE_S = 3.0
"""Between a reason to ask and asking: servers are found within seconds, and reasons come in bursts."""

_logger = logging.getLogger(__name__)


class Knocks:
    """Has others knock for those who ask, knocks when it is told to, and asks for this node itself."""

    def __init__(
        self,
        rpc: Rpc,
        *,
        config: TraversalConfig,
        strangers: Callable[[int], Sequence[Contact]],
        servers: Callable[[], Sequence[Contact]],
        is_wanted: Callable[[], bool],
    ) -> None:
        """Make it.

        Args:
            rpc: the node's requests.
            config: how often is asked.
            strangers: returns so many contacts of ours, chosen at random.
            servers: returns whom to ask.
            is_wanted: whether it is not known that strangers reach this node.
        """
        self._rpc = rpc
        self._config = config
        self._strangers = strangers
        self._servers = servers
        self._is_wanted = is_wanted
        self._asked = PrefixLimiter(rate_per_s=ASKED_PER_S, burst=ASKED_BURST, capacity=PREFIXES)
        self._knocks: TokenBucket | None = None
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Serve others from now on."""
        self._rpc.serve(SendKnocks, self._send)
        self._rpc.serve(KnockFor, self._knock)

    async def run(self) -> None:
        """Ask servers now and then, as long as it is not known that strangers reach this node; for ever."""
        while True:
            self._wake.clear()
            pause_s = self._config.knock_interval_s if await self._ask() else self._config.knock_retry_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            await asyncio.sleep(SETTLE_S)

    def hurry(self) -> None:
        """Ask soon: this node calls itself a client from now on, or has moved."""
        self._wake.set()

    async def _ask(self) -> bool:
        """Return whether nothing more needs to be asked for a while."""
        if not self._is_wanted():
            return True
        servers = list(self._servers())
        for server in servers:
            with contextlib.suppress(PilotError):
                await self._rpc.request(server, SendKnocks())
        return bool(servers)

    def _send(self, _message: SendKnocks, sender: Sender) -> Knocking:
        now, contact = asyncio.get_running_loop().time(), sender.contact
        group = group_of(contact.endpoint.host, contact.public_key)
        if not sender.is_validated or is_virtual(contact.endpoint) or not self._asked.take(group, now):
            return Knocking(0)
        count = 0
        for other in self._strangers(4 * KNOCKERS):
            is_same = group_of(other.endpoint.host, other.public_key) == group or other.public_key == contact.public_key
            if not is_same and count < KNOCKERS and self._rpc.tell(other, KnockFor(contact)):
                count += 1
        return Knocking(count)

    def _knock(self, message: KnockFor, sender: Sender) -> None:
        """Ping whom a server of the mesh tells us to, once."""
        now = asyncio.get_running_loop().time()
        if self._knocks is None:
            self._knocks = TokenBucket(rate_per_s=KNOCKS_PER_S, burst=KNOCK_BURST, now=now)
        if sender.is_validated and not sender.is_client and self._knocks.take(now):
            with contextlib.suppress(Overloaded, NodeClosed):
                self._rpc.begin(message.contact, Ping(), _ignore)


def _ignore(_outcome: Outcome | NodeClosed) -> None:
    pass
