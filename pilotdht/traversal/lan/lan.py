"""Neighbours of one node: it announces itself on the link, and hears who else does.

What is heard is a hint where to ask. Some neighbours are greeted, so that a node without bootstrap nodes joins through
them; any is dialled there when it is wanted, beside its other endpoints. The key proves itself each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from enum import Enum

from prometheus_client import CollectorRegistry

from pilotdht.config.lan import LanConfig
from pilotdht.errors import BadMessage, ConfigError, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Doors, LinkNotice, LinkPost, OpenLink
from pilotdht.net.limits import TokenBucket
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.prefixes import is_loopback
from pilotdht.tasks import TaskScope
from pilotdht.traversal.lan.metrics import LanMetrics
from pilotdht.traversal.lan.neighbours import Heard, Neighbour, Neighbours, Standing
from pilotdht.traversal.lan.notices import Networks, claim_untrusted, instance_of, mesh_tag, networks_of, text_of
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
_logger = logging.getLogger(__name__)


class LanState(Enum):
    """What is done on the link; the values are shown to people."""

    OFF = "off"
    """Nothing, as it was set, or as the node is bound to loopback."""
    NOT_INSTALLED = "not installed"
    """Nothing, as what it takes is not there."""
    OPENING = "opening"
    """It begins."""
    FAILED = "failed"
    """The interfaces could not be listened to; that is tried again."""
    LISTENING = "listen"
    """Others are heard."""
    ON = "on"
    """Others are heard, and this node announces itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanFacts:
    """What is known of the link."""

    state: LanState
    """What is done there."""
    reason: str
    """Why it failed, or empty."""
    networks: tuple[str, ...]
    """What is listened to, as ``192.168.1.0/24``."""
    neighbours: tuple[tuple[PublicKey, Endpoint, Standing], ...]
    """Who announces itself, where, and what came of asking."""


class Lan:
    """Announces and listens; :meth:`start` and :meth:`stop` bound its life."""

    def __init__(
        self,
        own_key: PublicKey,
        *,
        salt: bytes,
        socket: NodeSocket,
        doors: Doors,
        config: LanConfig,
        registry: CollectorRegistry,
        scope: TaskScope,
        on_found: Callable[[PublicKey], None],
        on_proven: Callable[[Contact], Awaitable[None]],
    ) -> None:
        """Make it; nothing is opened before :meth:`start`.

        Args:
            own_key: who we are.
            salt: of the mesh, :func:`pilotdht.wire.seal.network_salt`.
            socket: the node's.
            doors: the link, and randomness.
            config: what is told, and every bound.
            registry: where metrics are kept.
            scope: owner of the tasks.
            on_found: told of each key that is announced at a place that was not known, on the loop.
            on_proven: awaited with each neighbour that answered a greeting, one after the other.
        """
        self._own_key = own_key
        self._salt = salt
        self._mesh = mesh_tag(salt)
        self._socket = socket
        self._board = doors.link_board
        self._config = config
        self._scope = scope
        self._on_found = on_found
        self._on_proven = on_proven
        self._loop = asyncio.get_running_loop()
        self._table = Neighbours(config, doors.random)
        self._metrics = LanMetrics(registry, lambda: len(self._table))
        self._notices = TokenBucket(rate_per_s=config.notices_per_s, burst=config.notice_burst, now=self._loop.time())
        self._state = LanState.OFF
        self._reason = ""
        self._link: OpenLink | None = None
        self._networks: Networks = ()
        self._moved = asyncio.Event()
        self._ask = asyncio.Event()
        self._asking = 0
        self._proven: asyncio.Queue[Contact] = asyncio.Queue(config.greeted_most + config.greetings_at_once)

    def start(self) -> None:
        """Begin in the background: nothing waits for it. The socket and the scope are open."""
        if self._config.mode == "off" or not self._is_wanted():
            return
        if self._board is None:
            self._state = LanState.NOT_INSTALLED
            return
        self._state = LanState.OPENING
        self._scope.start(self._run(), name="lan")
        self._scope.start(self._greet_all(), name="lan-greetings")
        self._scope.start(self._introduce_all(), name="lan-neighbours")

    async def stop(self) -> None:
        """Withdraw what was announced; safe to call twice, bounded in time."""
        self._state = LanState.OFF
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.stop_wait_s):
                    await link.close()

    def moved(self) -> None:
        """Begin anew: this machine may be on another link now."""
        self._moved.set()

    def endpoints_of(self, key: PublicKey) -> tuple[Endpoint, ...]:
        """Return where a key is announced on the link, those first that answered; silent ones are left out."""
        return self._table.endpoints_of(key)

    def contacts(self) -> tuple[Contact, ...]:
        """Return the neighbours that have answered."""
        return tuple(
            Contact(one.public_key, one.endpoints[0]) for one in self._table if one.standing is Standing.PROVEN
        )

    @property
    def networks(self) -> Networks:
        """What the interfaces reach without a router; empty while nothing is listened to."""
        return self._networks

    def facts(self) -> LanFacts:
        """Return what is known of the link."""
        return LanFacts(
            state=self._state,
            reason=self._reason,
            networks=tuple(map(str, self._networks)),
            neighbours=tuple((one.public_key, one.endpoints[0], one.standing) for one in self._table),
        )

    # Announcing and listening.

    def _is_wanted(self) -> bool:
        """Return whether there is a link: on loopback nobody is but this machine's own, who must be wished for."""
        bound = self._socket.local_endpoints
        return bool(self._config.interfaces) or not all(is_loopback(endpoint.host) for endpoint in bound)

    async def _run(self) -> None:
        """Listen, and begin anew when this machine has moved; ends only by cancellation."""
        while True:
            self._moved.clear()
            pause_s = None if await self._open() else self._config.retry_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._moved.wait()
            link, self._link, self._networks = self._link, None, ()
            if link is not None:
                await link.close()
            self._table.clear()

    async def _open(self) -> bool:
        assert self._board is not None, "start() was called with one"
        bound = self._socket.local_endpoints
        specific = tuple(place.host for place in bound if place.host not in _UNSPECIFIED)
        post = LinkPost(
            name=instance_of(self._own_key),
            port=bound[0].port,
            text=text_of(self._own_key, self._salt),
            is_told=self._config.mode == "on",
            interfaces=self._config.interfaces or specific,
            has_ipv4=any(not place.is_ipv6 for place in bound),
            has_ipv6=any(place.is_ipv6 for place in bound),
        )
        try:
            self._link = link = await self._board.open(post)
            self._networks = networks_of(link.networks)
            await link.begin(on_notice=self._heard, on_gone=self._gone)
        except ConfigError as error:
            self._state, self._reason = LanState.FAILED, error.message
            _logger.info("neighbours are not looked for", extra={"reason": error.message})
            return False
        self._state, self._reason = LanState.ON if post.is_told else LanState.LISTENING, ""
        return True

    def _heard(self, notice: LinkNotice) -> None:
        """Take in an announcement."""
        self._metrics.notices[self._judged(notice)].inc()

    def _judged(self, notice: LinkNotice) -> str:
        if not self._notices.take(self._loop.time()):
            return "rate"
        try:
            claim = claim_untrusted(
                notice,
                own_key=self._own_key,
                mesh=self._mesh,
                networks=self._networks,
                most_endpoints=self._config.endpoints_per_neighbour,
            )
        except BadMessage as error:
            return error.reason
        heard = self._table.heard(notice.name, claim)
        if heard is Heard.NEW:
            self._ask.set()
            self._on_found(claim.public_key)
        return heard.value

    def _gone(self, name: str) -> None:
        if self._table.gone(name):
            self._metrics.notices["gone"].inc()

    # Greeting.

    async def _greet_all(self) -> None:
        """Greet neighbours, some at a time; ends only by cancellation."""
        while True:
            while self._asking < self._config.greetings_at_once:
                neighbour = self._table.next_to_ask(self._loop.time())
                if neighbour is None:
                    break
                self._asking += 1
                self._scope.start(self._greet(neighbour), name="lan-greeting")
            self._ask.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.silent_pause_s):
                    await self._ask.wait()

    async def _greet(self, neighbour: Neighbour) -> None:
        """Greet one at all its endpoints, until its key answers at one of them."""
        result = "silent"
        try:
            for endpoint in neighbour.endpoints:
                try:
                    contact = await self._socket.rpc.hello(endpoint)
                except PilotError:
                    continue
                if contact.public_key != neighbour.public_key:
                    result = "wrong_key"
                    continue
                result = "answered"
                self._table.answered(neighbour, endpoint)
                with contextlib.suppress(asyncio.QueueFull):  # there are enough
                    self._proven.put_nowait(contact)
                break
            else:
                self._table.silent(neighbour, self._loop.time())
            self._metrics.greetings[result].inc()
        finally:
            self._asking -= 1
            self._ask.set()

    async def _introduce_all(self) -> None:
        """Tell of neighbours that answered, one after the other; ends only by cancellation."""
        while True:
            contact = await self._proven.get()
            with contextlib.suppress(PilotError):
                await self._on_proven(contact)
