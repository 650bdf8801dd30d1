"""How members of a group find one another without a meeting point: through entries in the DHT.

A few members keep an entry each: those whose ids are nearest to the group's, as everybody can tell from the list of
members. Each side of a partition therefore keeps its own. Newcomers read the entries to find somebody to join through;
members read them now and then, all together every few seconds at most, and so find halves that never met.

There a keyed group also leaves word for those who are away: that they were expelled, or that the group has another key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Protocol

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import PilotError
from pilotdht.gossip.charter import Charter
from pilotdht.gossip.swim import Swim
from pilotdht.identity.ids import PublicKey, distance, node_id_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_notice_key
from pilotdht.wire.groups import GroupId
from pilotdht.wire.records import Record, RecordKey, SignedRecord
from pilotdht.wire.revocations import Revocation
from pilotdht.wire.rotations import Rotation

ENTRIES_READ = 64
"""Entries of a group read at once."""

JOINED_THROUGH = 4
"""Members that a newcomer introduces itself to; one is enough, more survive a member that just died."""

NOTICES_READ = 16
"""Words of a group about one key read at once; only its admins can leave any."""

NOTICES_EVERY = 8
"""So many looks at the entries for one at the notices: members that meet others hear such things from them."""

_FIRST_RETRY_S = 2.0

_logger = logging.getLogger(__name__)


class Entries(Protocol):
    """What meeting needs of the DHT."""

    async def publish(self, name: str, build: Callable[[int], Record]) -> object:
        """Write a record now and keep it alive."""
        ...

    async def withdraw(self, name: str) -> bool:
        """End a publication."""
        ...

    async def get_group(self, group: GroupId, *, is_keyed: bool, limit: int = 256) -> list[SignedRecord]:
        """Return live entries of a group."""
        ...

    async def get_entries(self, key: RecordKey, *, limit: int = 256) -> list[SignedRecord]:
        """Return live entries under a key."""
        ...


class Rendezvous:
    """Publishes this member's entry, and finds others by theirs."""

    def __init__(
        self,
        *,
        charter: Callable[[], Charter],
        own_key: PublicKey,
        swim: Swim,
        entries: Entries,
        locate: Callable[[PublicKey], Awaitable[Contact | None]],
        config: GossipConfig,
        random: Random,
        entry_ttl_s: int,
        on_notice: Callable[[Revocation | Rotation], object],
        is_sought: Callable[[], bool],
    ) -> None:
        """Make it.

        Args:
            charter: what makes this node a member now.
            own_key: this node's.
            swim: the membership that is joined.
            entries: the DHT.
            locate: finds where the owner of a key answers; absent when nobody knows.
            config: times and bounds.
            random: order and jitter.
            entry_ttl_s: lifetime of an entry.
            on_notice: takes what the group has left word of, about its key or this node's.
            is_sought: whether others look for this member in particular, wherever its id stands.
        """
        self._charter = charter
        self._own_key = own_key
        self._own_id = node_id_of(own_key)
        self._swim = swim
        self._entries = entries
        self._locate = locate
        self._config = config
        self._random = random
        self._entry_ttl_s = entry_ttl_s
        self._on_notice = on_notice
        self._is_sought = is_sought
        self._looks = 0
        self._publication = f"group {charter().group.hex()}"
        self._is_published = False
        self._joined = asyncio.Event()

    async def run(self) -> None:
        """Publish, join, and look for others now and then; ends only by cancellation."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                await self._keep_published()
                await self.look()
            except PilotError as error:
                _logger.info("the group's entries were not reached", extra={"reason": error.code})
            self._joined.set()
            alone = self._swim.alive_count() <= 1
            pause_s = retry_s if alone else self._interval_s()
            retry_s = min(2 * retry_s, self._config.rendezvous_interval_s) if alone else _FIRST_RETRY_S
            await asyncio.sleep(pause_s * self._random.uniform(0.8, 1.2))

    async def joined(self) -> None:
        """Wait until the entries were read once, and whoever was found there was asked."""
        await self._joined.wait()

    async def look(self) -> None:
        """Read the entries and introduce this member to some whom it does not know, or holds for dead.

        Raises:
            PilotError: the DHT cannot be asked now.
        """
        charter = self._charter()
        found = await self._entries.get_group(charter.group, is_keyed=charter.group_key is not None, limit=ENTRIES_READ)
        strangers = [
            entry.record.public_key
            for entry in found
            if entry.record.public_key != self._own_key and not self._swim.is_member(entry.record.public_key)
        ]
        self._random.shuffle(strangers)
        await self.introduce(strangers)
        self._looks += 1
        if charter.group_key is not None and (self._swim.alive_count() <= 1 or self._looks % NOTICES_EVERY == 1):
            await self._read_notices(charter.group, (charter.group_key, self._own_key))

    async def _read_notices(self, group: GroupId, subjects: Sequence[PublicKey]) -> None:
        for subject in subjects:
            key = group_notice_key(group, subject, network=self._charter().network)
            for found in await self._entries.get_entries(key, limit=NOTICES_READ):
                if isinstance(found.record, GroupNotice):
                    self._on_notice(found.record.notice)

    async def introduce(self, keys: Sequence[PublicKey]) -> None:
        """Join through some of these members, all at once."""
        async with asyncio.TaskGroup() as group:
            for key in keys[:JOINED_THROUGH]:
                group.create_task(self._join(key))

    async def withdraw(self) -> None:
        """End this member's entry.

        Raises:
            PilotError: its holders could not be told; it expires by itself.
        """
        self._is_published = False
        await self._entries.withdraw(self._publication)

    async def _join(self, key: PublicKey) -> None:
        try:
            contact = await self._locate(key)
            if contact is not None:
                await self._swim.join(contact)
        except PilotError as error:
            _logger.info("a member that the group's entries name did not answer", extra={"reason": error.code})

    async def _keep_published(self) -> None:
        is_due = self._is_sought() or self._is_publisher()
        if is_due and not self._is_published:
            await self._entries.publish(self._publication, self._entry)
            self._is_published = True
        elif not is_due and self._is_published:
            await self.withdraw()

    def _is_publisher(self) -> bool:
        """Return whether fewer members than needed are nearer to the group's id than this one."""
        group = self._charter().group
        own = distance(self._own_id, group)
        nearer = 0
        for member in self._swim.members.there():
            nearer += distance(member.node_id, group) < own
            if nearer >= self._config.publishers:
                return False
        return True

    def _entry(self, issued_ms: int) -> GroupEntry:
        charter = self._charter()
        return GroupEntry(
            public_key=self._own_key,
            network=charter.network,
            issued_ms=issued_ms,
            ttl_s=self._entry_ttl_s,
            group=charter.group,
            chain=charter.chain,
        )

    def _interval_s(self) -> float:
        """Return the pause that makes all members together read as often as 32 alone do."""
        return self._config.rendezvous_interval_s * max(1.0, self._swim.alive_count() / 32)
