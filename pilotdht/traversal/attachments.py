"""Keeps a node that cannot be reached attached to a few servers, and takes the calls that they pass on.

Servers stand on different networks, so that no outage and no owner takes all of them. Whoever is silent twice, or
refuses, is replaced, and left alone for a while. Renewing is what keeps the NAT's mapping open, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import NodeClosed, Overloaded, PilotError, Refused
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Sender
from pilotdht.net.prefixes import group_of
from pilotdht.net.rpc import Rpc
from pilotdht.net.switchboard import is_virtual
from pilotdht.traversal.relay.client import RelayClient
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import Attach, Attached, CallResult, Ring, Rung

MISSES = 2
"""Rounds without an answer, each of two datagrams, after which a server is given up."""

ASIDE_KEPT = 256
"""Servers that are remembered as not serving us; the one that was put aside first is forgotten first."""

TRIES_A_ROUND = 12
"""Servers that are asked at most in one search: the closest to us, so later rounds ask others than these."""

LEAST_LIFETIME_S = 5
"""A server that keeps us for less would be asked all the time; none is set so."""

LONGEST_PAUSE = 3.0
"""Pause between searches that find nothing, and between looks at whether servers are wanted, in renewal intervals."""

DOUBT_AGAIN_S = 1.0
"""Least time between two looks that are asked for, and from a miss to the next look while links rely on servers."""

RUNG_SHARE = 4
"""Calls through one server take a fourth of all channels at most: one that makes them up leaves room for others."""

_logger = logging.getLogger(__name__)


class _Server:
    """One server that we are attached to."""

    __slots__ = ("contact", "is_relay", "lifetime_s", "misses")

    def __init__(self, contact: Contact, said: Attached) -> None:
        self.contact = contact
        self.lifetime_s = said.lifetime_s
        self.is_relay = said.is_relay
        self.misses = 0


class Attachments:
    """The servers of one node; :meth:`run` keeps them, :meth:`start` takes their calls."""

    def __init__(
        self,
        *,
        rpc: Rpc,
        client: RelayClient,
        config: RelayConfig,
        metrics: RelayMetrics,
        random: Random,
        candidates: Callable[[], Awaitable[list[Contact]]],
        is_wanted: Callable[[], bool],
        on_ring: Callable[[PublicKey, Contact, Endpoint], None],
        on_change: Callable[[], None],
        is_relied: Callable[[], bool] = lambda: False,
        on_silent: Callable[[Contact], None] = lambda _server: None,
        preferred: Callable[[], Awaitable[Sequence[Contact]]] | None = None,
    ) -> None:
        """Make one without servers.

        Args:
            rpc: the node's requests.
            client: opens the channels that others call through.
            config: how many servers, and how often.
            metrics: where everything is counted.
            random: spreads renewals.
            candidates: returns servers to ask, the best first; may raise what a lookup raises.
            is_wanted: whether this node needs servers: it cannot be reached.
            on_ring: takes who called, through which server, and the virtual endpoint where the caller is heard.
            on_change: called when ``servers`` has changed.
            is_relied: whether a link of this node goes through a relay: then a server that is gone is noticed sooner.
            on_silent: told of each server that does not answer a renewal.
            preferred: returns the servers to ask before all others, which also take the place of others; absent: none.
        """
        self._rpc = rpc
        self._client = client
        self._config = config
        self._metrics = metrics
        self._random = random
        self._candidates = candidates
        self._is_wanted = is_wanted
        self._on_ring = on_ring
        self._on_change = on_change
        self._is_relied = is_relied
        self._on_silent = on_silent
        self._find_preferred = preferred
        self._preferred: dict[PublicKey, Contact] = {}
        self._servers: dict[PublicKey, _Server] = {}
        self._shown: tuple[Contact, ...] = ()
        self._aside: OrderedDict[PublicKey, float] = OrderedDict()
        self._search_pause_s = config.search_interval_s
        self._search_at = 0.0
        self._looked_at = float("-inf")
        self._wake = asyncio.Event()

    @property
    def servers(self) -> tuple[Contact, ...]:
        """The servers through which this node can be called: those that relay first, then as they were found."""
        return self._shown

    @property
    def relays(self) -> tuple[Contact, ...]:
        """Those of them that carry traffic as well."""
        return tuple(server.contact for server in self._servers.values() if server.is_relay)

    def start(self) -> None:
        """Take calls from now on."""
        self._rpc.serve(Ring, self._ring)
        self._metrics.show("servers", "Servers that this node is attached to", lambda: len(self._servers))

    def hurry(self) -> None:
        """Look at once: our address has changed, or whether servers are wanted."""
        self._search_at = 0.0
        self._search_pause_s = self._config.search_interval_s
        self._wake.set()

    def doubt(self) -> None:
        """Look soon: something that went through a server has fallen silent."""
        if self._now() - self._looked_at >= DOUBT_AGAIN_S:
            self._wake.set()

    async def run(self) -> None:
        """Keep servers until cancelled."""
        while True:
            self._wake.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()

    async def look(self) -> None:
        """Renew what there is, give up who is gone, and look for others when some are missing: one round.

        Not for several tasks at once: :meth:`run` does nothing else.
        """
        self._looked_at = self._now()
        if not self._is_wanted():
            self._servers.clear()
            self._show()
            return
        await self._renew()
        if self._find_preferred is not None:
            self._preferred = {contact.public_key: contact for contact in await self._find_preferred()}
        await self._ask_all([one for one in self._preferred.values() if self._is_new(one, self._now())])
        self._keep_wanted()
        if self._missing and self._now() >= self._search_at and not self._config.is_preferred_only:
            await self._search()
        self._show()

    # Rounds

    async def _renew(self) -> None:
        """Tell each server that we are still there."""
        renewed = await self._answers([server.contact for server in self._servers.values()])
        for contact, said in renewed:
            server = self._servers[contact.public_key]
            if said is None:
                server.misses += 1
                self._on_silent(contact)
            elif _is_taken(said):
                server.misses, server.lifetime_s, server.is_relay = 0, said.lifetime_s, said.is_relay
            if server.misses >= MISSES or (said is not None and not _is_taken(said)):
                self._give_up(contact)
        self._show()

    async def _search(self) -> None:
        """Ask one candidate after another, as many at once as are missing, until nothing is missing."""
        pool = await self._found()
        if not self._choose(pool):
            self._readmit(all_of_them=not self._servers)
        tried = 0
        while tried < TRIES_A_ROUND and (chosen := self._choose(pool)):
            tried += len(chosen)
            await self._ask_all(chosen)
            self._show()
        if self._missing:
            self._search_at = self._now() + self._search_pause_s
            longest_s = LONGEST_PAUSE * self._config.attach_interval_s
            if self._is_relied():
                longest_s = self._config.search_interval_s
            self._search_pause_s = min(2 * self._search_pause_s, longest_s)
        else:
            self._search_pause_s = self._config.search_interval_s

    async def _found(self) -> list[Contact]:
        try:
            return await self._candidates()
        except PilotError as error:
            _logger.debug("no candidates for servers", extra={"reason": error.code})
            return []

    async def _ask_all(self, contacts: list[Contact]) -> None:
        """Attach to servers that we are not attached to yet."""
        for contact, said in await self._answers(contacts):
            if said is not None and _is_taken(said) and (said.is_relay or self._has_room_for_introducer()):
                self._servers[contact.public_key] = _Server(contact, said)
            else:
                self._put_aside(contact)

    async def _answers(self, contacts: list[Contact]) -> list[tuple[Contact, Attached | None]]:
        """Ask servers at the same time; return what each said, nothing for the silent ones."""
        if not contacts:
            return []
        async with asyncio.TaskGroup() as group:
            asked = [(contact, group.create_task(self._ask(contact))) for contact in contacts]
        return [(contact, task.result()) for contact, task in asked]

    async def _ask(self, contact: Contact) -> Attached | None:
        said: Attached | None = None
        with contextlib.suppress(PilotError):  # silent, or too much is waiting here
            for _ in range(2):  # the first answer may bring no more than the token that proves where we are
                message = (await self._rpc.request(contact, Attach())).message
                said = message if isinstance(message, Attached) else None
                if said is None or said.result is not CallResult.UNPROVEN:
                    break
        return said

    # Choosing

    @property
    def _missing(self) -> int:
        """How many servers to look for; who missed a renewal is one no longer for whoever relies on servers."""
        doubted = sum(server.misses > 0 for server in self._servers.values()) if self._is_relied() else 0
        return self._config.attachments_wanted - len(self._servers) + doubted

    def _has_room_for_introducer(self) -> bool:
        """Return whether a server may be taken that does not relay: one place is for a server that does."""
        return self._missing > 1 or any(server.is_relay for server in self._servers.values())

    def _choose(self, pool: list[Contact]) -> list[Contact]:
        """Return as many of the candidates as are missing, each on a network of its own."""
        now = self._now()
        groups = {_group(server.contact): None for server in self._servers.values()}
        chosen: list[Contact] = []
        for contact in pool:
            if len(chosen) >= self._missing:
                break
            if self._is_new(contact, now) and _group(contact) not in groups:
                groups[_group(contact)] = None
                chosen.append(contact)
        return chosen

    def _is_new(self, contact: Contact, now: float) -> bool:
        key = contact.public_key
        return key not in self._servers and self._aside.get(key, now) <= now and not is_virtual(contact.endpoint)

    def _keep_wanted(self) -> None:
        """Let those go that preferred servers took the place of."""
        others = [key for key in self._servers if key not in self._preferred]
        while self._missing < 0:
            del self._servers[others.pop() if others else next(reversed(self._servers))]

    def _give_up(self, contact: Contact) -> None:
        self._metrics.gone += 1
        _logger.debug("a server was given up", extra={"endpoint": str(contact.endpoint)})
        del self._servers[contact.public_key]
        self._put_aside(contact)
        self._search_at = 0.0

    def _put_aside(self, contact: Contact) -> None:
        self._aside[contact.public_key] = self._now() + self._config.attach_retry_s
        self._aside.move_to_end(contact.public_key)
        if len(self._aside) > ASIDE_KEPT:
            self._aside.popitem(last=False)

    def _readmit(self, *, all_of_them: bool) -> None:
        """Take back who was put aside a while ago, as nobody else is left: it may have come back, or have room now."""
        rested_s = 0.0 if all_of_them else self._config.attach_interval_s
        latest = self._now() + self._config.attach_retry_s - rested_s
        for key in [key for key, until in self._aside.items() if until <= latest]:
            del self._aside[key]

    def _show(self) -> None:
        is_relied = self._is_relied()
        relays_first = sorted(
            self._servers.values(), key=lambda server: (is_relied and server.misses, not server.is_relay)
        )
        shown = tuple(server.contact for server in relays_first)
        if shown != self._shown:
            self._shown = shown
            _logger.debug("servers of this node", extra={"endpoint": " ".join(str(one.endpoint) for one in shown)})
            self._client.attached_to(shown)
            self._on_change()

    # Calls

    def _ring(self, message: Ring, sender: Sender) -> Rung:
        relay = sender.contact
        server = self._servers.get(relay.public_key)
        if server is None or server.contact != relay:
            self._metrics.rings_ignored += 1
            return Rung(is_taken=False)
        if self._client.find(relay, message.channel_id) is not None:
            return Rung(is_taken=True)
        if self._client.rung_through(relay) >= max(1, self._config.max_open // RUNG_SHARE):
            self._metrics.rings_ignored += 1
            return Rung(is_taken=False)
        try:
            endpoint = self._client.open(relay, message.channel_id)
        except (NodeClosed, Overloaded, Refused):
            self._metrics.rings_ignored += 1
            return Rung(is_taken=False)
        self._on_ring(message.caller, relay, endpoint)
        return Rung(is_taken=True)

    # Time

    def _pause_s(self) -> float:
        """Return how long nothing needs to be done; a little less than may be, so that nodes do not march in step."""
        interval_s, now, is_relied = self._config.attach_interval_s, self._now(), self._is_relied()
        if not self._is_wanted():
            return LONGEST_PAUSE * interval_s
        servers = self._servers.values()
        if is_relied:
            interval_s = min(interval_s, self._config.relied_interval_s)
        pause_s = min([interval_s, *(server.lifetime_s / 3 for server in servers)])
        if any(server.misses for server in servers):
            pause_s = min(pause_s, DOUBT_AGAIN_S if is_relied else self._config.search_interval_s)
        if self._missing and not self._config.is_preferred_only:
            pause_s = min(pause_s, max(0.0, self._search_at - now))
        return pause_s * self._random.uniform(0.9, 1.0)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _group(contact: Contact) -> str | bytes:
    return group_of(contact.endpoint.host, contact.public_key)


def _is_taken(said: Attached) -> bool:
    return said.result is CallResult.OK and said.lifetime_s >= LEAST_LIFETIME_S
