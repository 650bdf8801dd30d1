"""The post office of one node: it keeps letters of others, leaves its own, and fetches those to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CollectorRegistry

from pilotdht.config.letters import LetterConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.letters.collecting import LetterCollector, Read
from pilotdht.letters.holder import LetterHolder
from pilotdht.letters.leaving import LetterWriter
from pilotdht.letters.metrics import LetterMetrics
from pilotdht.net.doors import Doors
from pilotdht.net.rpc import Rpc
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class PostOffice:
    """All about letters; :meth:`start` and :meth:`stop` bound its life."""

    def __init__(
        self,
        keys: KeyPair,
        *,
        rpc: Rpc,
        salt: bytes,
        config: LetterConfig,
        doors: Doors,
        registry: CollectorRegistry,
        scope: TaskScope,
        places: Callable[[PublicKey], Awaitable[list[Contact]]],
        near: Callable[[int], Sequence[Contact]],
        whereabouts: Callable[[PublicKey], Endpoint | None],
        read: Read,
    ) -> None:
        """Make it.

        Args:
            keys: who we are.
            rpc: the node's requests.
            salt: the mesh's, :func:`pilotdht.wire.seal.network_salt`.
            config: bounds and rates.
            doors: entropy and the wall clock.
            registry: where metrics are kept.
            scope: owner of the tasks.
            places: returns whom to leave a letter to a key with, the best first.
            near: returns so many known nodes, the nearest to our own id first.
            whereabouts: returns where a key has shown to receive of late; absent when that is not known.
            read: takes what letters to us say.
        """
        self._config = config
        self._near = near
        metrics = LetterMetrics(registry)
        self.holder = LetterHolder(keys.public_key, rpc=rpc, config=config, metrics=metrics, whereabouts=whereabouts)
        """Keeps letters of others."""
        self._writer = LetterWriter(
            keys, rpc=rpc, salt=salt, config=config, metrics=metrics, doors=doors, places=places
        )
        self._collector = LetterCollector(
            keys, rpc=rpc, salt=salt, config=config, metrics=metrics, doors=doors, scope=scope, read=read
        )

    @property
    def kept(self) -> int:
        """How many letters of others are kept here."""
        return len(self.holder.shelf)

    def start(self) -> None:
        """Serve others, and heed notices, from now on; socket and scope are open."""
        self.holder.start()
        self._collector.start()

    def stop(self) -> None:
        """Fetch nothing more; safe to call twice. What is kept for others is lost with this node."""
        self._collector.stop()

    def joined(self) -> None:
        """Ask for letters: this node is in the mesh again, and others may have written meanwhile."""
        self._collector.collect(self._near(self._config.asked_at_join))

    async def leave(self, target: PublicKey, content: bytes) -> int:
        """Leave a letter for a key; return with how many nodes."""
        return await self._writer.leave(target, content)
