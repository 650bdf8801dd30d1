"""The life of a running node: opened in order, kept joined, announced and saved, and closed in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from pilotdht.config.config import Config
from pilotdht.errors import ConfigError, PilotError
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.node.gauges import RoomGauges
from pilotdht.node.mailboxes import Mailboxes
from pilotdht.node.rooms import Rooms
from pilotdht.node.state import NodeState, load_groups, load_state, save_groups, save_state
from pilotdht.services.echo import echo
from pilotdht.services.ports import WellKnownPort
from pilotdht.services.query.handlers import Handlers
from pilotdht.tasks import TaskScope
from pilotdht.trust.handshake import TrustChange
from pilotdht.wire.contact import Contact

STATE_FILE = "state"
TRUST_FILE = "trust.sqlite"
GROUPS_FILE = "groups"

SAVE_INTERVAL_S = 300.0
"""How often the state file is written while the node runs; a crash costs what changed since."""

_logger = logging.getLogger(__name__)


class Life:
    """One start and one stop of a node."""

    def __init__(
        self,
        *,
        keys: KeyPair,
        config: Config,
        doors: Doors,
        registry: CollectorRegistry,
        state: NodeState | None,
        identity: Callable[[], tuple[str, tuple[str, ...]]],
        handlers: Handlers,
    ) -> None:
        """Make it; nothing is opened yet.

        Args:
            keys: who the node is.
            config: every tunable.
            doors: the world outside.
            registry: where metrics are kept.
            state: what is remembered; absent: what is in the data directory, if anything.
            identity: returns the hostname and tags that the node carries now.
            handlers: the programs that answer questions.
        """
        self._handlers = handlers
        self.started_at = asyncio.get_running_loop().time()
        """Loop time at which it began."""
        self._keys = keys
        self._config = config
        self._doors = doors
        self._registry = registry
        self._identity = identity
        self._scope = TaskScope("node")
        self._state = state
        self._remembered: list[Contact] = []
        self._groups: tuple[object, ...] = ()

    async def start(self) -> None:
        """Open everything, join the mesh and publish; the last two go on in the background when they take long.

        Raises:
            ConfigError: the socket or a file cannot be opened; nothing is left open then.
        """
        if self._state is None:
            path = self._path(STATE_FILE)
            self._state = NodeState() if path is None else load_state(path)
            groups_path = self._path(GROUPS_FILE)
            if groups_path is not None:
                self._state = replace(self._state, groups=load_groups(groups_path))
        await self._scope.__aenter__()
        try:
            await self._open_socket()
        except BaseException:
            await self._scope.close()
            raise
        try:
            await self._serve()
            await self.rooms.groups.restore(self._groups)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.start_timeout_s):
                    await self._join()
        except BaseException:
            await self._close()
            raise
        self._scope.start(self.rooms.joiner.keep_joined(self._remembered), name="join")
        self._scope.start(self.rooms.announcer.keep_announced(), name="announce")
        self._scope.start(self._keep_state_saved(), name="state")

    async def stop(self) -> None:
        """Withdraw records, save what is remembered, close links and socket."""
        await self.rooms.groups.close()
        try:
            async with asyncio.timeout(self._config.stop_timeout_s):
                await self.rooms.announcer.withdraw()
        except (TimeoutError, PilotError):
            _logger.info("records were not withdrawn in time; they expire by themselves")
        finally:
            self._save_state()
            await self._close()

    async def abort(self) -> None:
        """Close everything at once: nothing is withdrawn or saved, no link is told."""
        await self.rooms.groups.close(is_leaving=False)
        await self.rooms.socket.close()
        await self._close()

    def state(self) -> NodeState:
        """Return what is to be remembered over a restart."""
        rooms = self.rooms
        return NodeState(
            port=rooms.socket.local_endpoints[0].port,
            dht=tuple(rooms.dht.snapshot()),
            groups=tuple(rooms.groups.kept()),
        )

    async def _open_socket(self) -> None:
        rooms = Rooms(
            keys=self._keys,
            config=self._config,
            doors=self._doors,
            registry=self._registry,
            scope=self._scope,
            preferred_port=0 if self._state is None else self._state.port,  # where peers knew this node
            book_path=self._path(TRUST_FILE),
            identity=self._identity,
            groups_changed=self._save_groups,
            handlers=self._handlers,
        )
        try:
            await rooms.socket.__aenter__()
        except BaseException:
            rooms.book.close()
            raise
        self.rooms = rooms
        self._registry.register(RoomGauges(rooms))

    async def _serve(self) -> None:
        rooms = self.rooms
        self._remembered = [] if self._state is None else rooms.dht.restore(self._state.dht)
        self._groups = () if self._state is None else self._state.groups
        self._state = None  # records in it may be large
        rooms.dht.start()
        rooms.traversal.start()
        rooms.remembered = self._remembered
        await rooms.trunks.start()
        rooms.lan.start()
        rooms.letters.start()
        rooms.tunnels.listen(WellKnownPort.ECHO, echo)
        rooms.tunnels.listen(WellKnownPort.TRUST, rooms.handshakes.handle)
        rooms.tunnels.listen(WellKnownPort.EVENTS, rooms.bodies.serve_body)
        rooms.tunnels.listen(WellKnownPort.QUERY, rooms.queries.serve)
        rooms.tunnels.on_link_up(lambda link: rooms.handshakes.on_peer_up(link.peer_key))
        rooms.socket.rpc.on_reachable(lambda _contact, _rtt_s: rooms.announcer.look_soon())
        rooms.handshakes.on_change(_tell)
        rooms.handshakes.start()
        self.mailboxes = Mailboxes(rooms.tunnels, rooms.metrics)

    async def _join(self) -> None:
        if self._config.bootstrap or self._remembered:
            await self.rooms.joiner.join_once(self._remembered)
        await self.rooms.announcer.announce()

    async def _keep_state_saved(self) -> None:
        """Write the state file at once, so that a crash does not cost the port, and now and then afterwards."""
        while True:
            self._save_state()
            await asyncio.sleep(SAVE_INTERVAL_S * self._doors.random.uniform(0.9, 1.1))

    def _save_state(self) -> None:
        path = self._path(STATE_FILE)
        if path is None:
            return
        try:
            save_state(path, self.state())
        except ConfigError as error:
            _logger.warning("the state was not saved", extra={"reason": error.message})

    def _save_groups(self) -> None:
        path = self._path(GROUPS_FILE)
        if path is None:
            return
        try:
            save_groups(path, self.rooms.groups.kept())
        except ConfigError as error:
            _logger.warning("the groups were not saved", extra={"reason": error.message})

    def _path(self, name: str) -> Path | None:
        return None if self._config.data_dir is None else self._config.data_dir / name

    async def _close(self) -> None:
        rooms = self.rooms
        await rooms.groups.close(is_leaving=False)
        rooms.handshakes.close()
        rooms.letters.stop()
        await self.mailboxes.close()
        await rooms.tunnels.close_all()
        await rooms.traversal.stop()
        await rooms.trunks.stop()
        await rooms.lan.stop()
        await self._scope.close()
        await rooms.socket.close()
        rooms.book.close()


def _tell(change: TrustChange) -> None:
    """Write a change of trust to the log: whoever runs the node must be able to see who asked, and when."""
    _logger.info("trust changed", extra={"operation": change.kind.value, "address": str(change.entry.address)})
