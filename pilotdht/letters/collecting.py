"""Fetching the letters to this node: after joining, and when somebody says that some wait.

A letter is acknowledged, and then kept by its holder no longer, once its word was taken in; or when it is no true
letter to us. One for whose word there is no room now stays where it is.

A notice makes us ask only a node that has answered a request of ours at that very endpoint, and seldom: it cannot be
used to aim us at anybody. What a holder can make us do is bounded by rounds, by the letters opened a second, and by
what the reader of the content allows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable

from pilotdht.config.letters import LetterConfig
from pilotdht.errors import BadMessage, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.letters.metrics import LetterMetrics
from pilotdht.net.doors import Doors
from pilotdht.net.limits import TokenBucket
from pilotdht.net.outcomes import Sender
from pilotdht.net.rpc import Rpc
from pilotdht.net.switchboard import is_virtual
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.letter import letter_id, open_letter_untrusted
from pilotdht.wire.letter_messages import MAX_SKIPPED, Collect, Letters, LettersWait

ROUNDS = 80
"""Requests to one holder in a row: more than it takes to fetch a full share of the longest letters, one a round."""

_logger = logging.getLogger(__name__)

Read = Callable[[PublicKey, bytes], bool]
"""Takes the author, proven, and the content of a letter; returns whether it is done with: else it may come again."""


class LetterCollector:
    """Fetches, opens and hands over letters; each once."""

    def __init__(
        self,
        keys: KeyPair,
        *,
        rpc: Rpc,
        salt: bytes,
        config: LetterConfig,
        metrics: LetterMetrics,
        doors: Doors,
        scope: TaskScope,
        read: Read,
    ) -> None:
        """Make one that heeds no notice yet.

        Args:
            keys: whose letters.
            rpc: the node's requests.
            salt: the mesh's.
            config: bounds and rates.
            metrics: where everything is counted.
            doors: the wall clock.
            scope: owner of the tasks.
            read: takes what letters say; must not raise.
        """
        self._keys = keys
        self._rpc = rpc
        self._salt = salt
        self._config = config
        self._metrics = metrics
        self._unix_time = doors.unix_time
        self._scope = scope
        self._read = read
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._notices = TokenBucket(rate_per_s=config.notices_per_s, burst=config.notices_burst, now=now)
        self._openings = TokenBucket(rate_per_s=config.openings_per_s, burst=config.openings_burst, now=now)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._running: dict[PublicKey, bool] = {}  # whether to ask once more, as it was said meanwhile
        self._is_open = False

    def start(self) -> None:
        """Heed notices from now on; the scope is open."""
        self._is_open = True
        self._rpc.serve(LettersWait, self._noticed)

    def stop(self) -> None:
        """Begin nothing more; what is under way ends with its scope. Safe to call twice."""
        self._is_open = False

    def collect(self, contacts: Iterable[Contact]) -> None:
        """Fetch from nodes, in the background."""
        for contact in contacts:
            self._begin(contact)

    def _noticed(self, _message: LettersWait, sender: Sender) -> None:
        contact = sender.contact
        if is_virtual(contact.endpoint) or self._rpc.rtt_of(contact) is None:
            self._metrics.notices["stranger"] += 1
        elif self._notices.take(self._loop.time()) and self._begin(contact):
            self._metrics.notices["heeded"] += 1
        else:
            self._metrics.notices["limited"] += 1

    def _begin(self, contact: Contact) -> bool:
        key = contact.public_key
        if key in self._running:
            self._running[key] = True
            return True
        if not self._is_open or len(self._running) >= self._config.collections:
            return False
        self._running[key] = False
        self._scope.start(self._collect(contact), name="letters")
        return True

    async def _collect(self, contact: Contact) -> None:
        key = contact.public_key
        try:
            is_wanted = True
            while is_wanted:
                self._running[key] = False
                is_wanted = await self._fetch(contact) and self._running[key]
        except PilotError as error:  # silent, or too much is waiting here; it says so again when we ask for anything
            _logger.debug("letters were not fetched", extra={"reason": error.code})
        finally:
            self._running.pop(key, None)

    async def _fetch(self, contact: Contact) -> bool:
        """Fetch until nothing more comes; return whether that is the end of it."""
        taken: list[bytes] = []
        skipped: dict[bytes, None] = {}
        done: dict[bytes, None] = {}
        for _ in range(ROUNDS):
            answer = (await self._rpc.request(contact, Collect(tuple(taken), tuple(skipped)))).message
            letters = {letter_id(one): one for one in answer.letters} if isinstance(answer, Letters) else {}
            new = {known: one for known, one in letters.items() if known not in done and known not in skipped}
            if not new:  # none, or the holder goes on sending what it was told that we have
                return not letters
            taken = []
            for known, letter in new.items():
                if self._take(known, letter):
                    taken.append(known)
                    done[known] = None
                else:
                    skipped[known] = None
            if len(skipped) > MAX_SKIPPED:
                return False
        return False

    def _take(self, known: bytes, letter: bytes) -> bool:
        """Return whether a letter is done with."""
        counts = self._metrics.read
        if known in self._known:
            counts["again"] += 1
            return True
        if not self._openings.take(self._loop.time()):
            counts["not_now"] += 1
            return False
        try:
            opened = open_letter_untrusted(self._keys, letter, salt=self._salt, unix_time=self._unix_time())
        except BadMessage as error:
            counts["bad"] += 1
            _logger.debug("a letter was thrown away", extra={"reason": error.reason})
        else:
            if not self._read(opened.author, opened.content):
                counts["not_now"] += 1
                return False
            counts["taken"] += 1
        self._known[known] = None
        if len(self._known) > self._config.ids_kept:
            self._known.popitem(last=False)
        return True
