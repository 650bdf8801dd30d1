"""Leaving a letter with a few nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pilotdht.config.letters import LetterConfig
from pilotdht.errors import BadMessage, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SEED_BYTES, KeyPair
from pilotdht.letters.metrics import LetterMetrics
from pilotdht.net.doors import Doors
from pilotdht.net.rpc import Rpc
from pilotdht.wire.contact import Contact
from pilotdht.wire.letter import MAX_LETTER_LIFETIME_S, seal_letter
from pilotdht.wire.letter_messages import Leave, LeaveResult, Left

_logger = logging.getLogger(__name__)


class LetterWriter:
    """Seals letters and leaves them."""

    def __init__(
        self,
        keys: KeyPair,
        *,
        rpc: Rpc,
        salt: bytes,
        config: LetterConfig,
        metrics: LetterMetrics,
        doors: Doors,
        places: Callable[[PublicKey], Awaitable[list[Contact]]],
    ) -> None:
        """Make one.

        Args:
            keys: who writes.
            rpc: the node's requests.
            salt: the mesh's.
            config: how many copies, and how long to try.
            metrics: where everything is counted.
            doors: entropy and the wall clock.
            places: returns whom to ask, the best first; may raise what a lookup raises.
        """
        self._keys = keys
        self._rpc = rpc
        self._salt = salt
        self._config = config
        self._metrics = metrics
        self._doors = doors
        self._places = places

    async def leave(self, target: PublicKey, content: bytes) -> int:
        """Leave a letter for a key; return with how many nodes, 0 when nobody took it within the time for it.

        Raises:
            ValueError: the content is too long.
        """
        try:
            letter = seal_letter(
                self._keys,
                target,
                content,
                salt=self._salt,
                ephemeral_seed=self._doors.token_bytes(SEED_BYTES),
                unix_time=self._doors.unix_time(),
            )
        except BadMessage:  # nobody can have this key
            self._metrics.sent["failed"] += 1
            return 0
        message = Leave(target, MAX_LETTER_LIFETIME_S, letter)
        kept: list[Contact] = []
        try:
            async with asyncio.timeout(self._config.leave_timeout_s):
                await self._leave_with(await self._places(target), message, kept)
        except TimeoutError:
            pass  # those who have it have it
        except PilotError as error:
            _logger.debug("a letter was not left", extra={"reason": error.code})
            if not kept:
                self._metrics.sent["failed"] += 1
                return 0
        self._metrics.sent["left" if kept else "nobody"] += 1
        return len(kept)

    async def _leave_with(self, contacts: list[Contact], message: Leave, kept: list[Contact]) -> None:
        """Ask as many at once as copies are missing, until enough have it or nobody is left to ask."""
        pool = contacts[: self._config.tries]
        while pool and len(kept) < self._config.copies:
            missing = self._config.copies - len(kept)
            asked, pool = pool[:missing], pool[missing:]
            async with asyncio.TaskGroup() as group:
                for contact in asked:
                    group.create_task(self._ask(contact, message, kept))

    async def _ask(self, contact: Contact, message: Leave, kept: list[Contact]) -> None:
        for _ in range(2):  # the first answer may bring no more than the token that proves where we are
            try:
                answer = (await self._rpc.request(contact, message)).message
            except PilotError:  # silent, or too much is waiting here
                return
            result = answer.result if isinstance(answer, Left) else None
            if result is LeaveResult.KEPT:
                kept.append(contact)
            if result is not LeaveResult.UNPROVEN:
                return
