"""Reading records and entries: a walk towards the key, a tally of what holders have, repairs behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.lookup import Lookup
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.requester import Requester
from pilotdht.dht.search import Searcher
from pilotdht.dht.store import RecordStore
from pilotdht.dht.tally import EntryTally, RecordTally, is_withdrawal
from pilotdht.dht.writes import Writer
from pilotdht.identity.ids import PublicKey, distance
from pilotdht.net.outcomes import Answered
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindEntries, FindRecord, FoundEntries, FoundRecord
from pilotdht.wire.message import Reply
from pilotdht.wire.records import RecordKey, SignedRecord


class Reader:
    """Reads what other nodes hold."""

    def __init__(
        self,
        *,
        network: int,
        config: DhtConfig,
        store: RecordStore,
        searcher: Searcher,
        writer: Writer,
        requester: Requester,
        unix_time: Callable[[], float],
        metrics: DhtMetrics,
    ) -> None:
        self._network = network
        self._config = config
        self._store = store
        self._searcher = searcher
        self._writer = writer
        self._requester = requester
        self._unix_time = unix_time
        self._metrics = metrics

    async def record(
        self, key: RecordKey, *, signer: PublicKey | None, quorum: int
    ) -> tuple[SignedRecord | None, Lookup | None]:
        """Return the newest live record under a key, and the lookup that found it (absent when none was needed)."""
        tally = self._tally(key, signer, quorum)
        own = self._store.find_record(key, signer, self._unix_time())
        if own is not None and tally.take(None, own):
            return tally.live_winner(), None
        if quorum > 1:
            lookup = self._searcher.begin(key, paths=self._config.paths, parallel=self._config.parallel_read)
        else:
            lookup = self._searcher.begin(key, parallel=self._config.parallel_first)

        def on_reply(contact: Contact, reply: Reply) -> bool:
            if not isinstance(reply, FoundRecord):
                return False
            is_enough = tally.take(contact, reply.record)
            if quorum == 1 or not tally.holders:
                return is_enough
            # Holders on the way may be left over from a smaller mesh: what they have is no reason to stop. Who is close
            # shows later than the answer: invented contacts stand nearer until they are found out.
            close = lookup.count_closest(tally.holders)
            if close:
                lookup.hurry()
            return close + (own is not None) >= quorum

        await self._searcher.walk(lookup, FindRecord(key, signer), on_reply)
        winner = tally.winner()
        if winner is not None:
            self._mend(winner, tally, lookup, quorum)
        return tally.live_winner(), lookup

    async def newest(self, key: RecordKey, *, signer: PublicKey) -> SignedRecord | None:
        """Return the newest record of a signer, be it a withdrawal; nothing is mended."""
        tally = self._tally(key, signer, self._config.quorum)
        lookup = self._searcher.begin(key)

        def on_reply(contact: Contact, reply: Reply) -> bool:
            return isinstance(reply, FoundRecord) and tally.take(contact, reply.record)

        await self._searcher.walk(lookup, FindRecord(key, signer), on_reply)
        return tally.winner()

    async def entries(self, key: RecordKey, *, limit: int) -> tuple[list[SignedRecord], int, Lookup]:
        """Return up to ``limit`` live entries under a key, the most that any holder has, and the lookup."""
        tally = EntryTally(
            key, network=self._network, unix_time=self._unix_time(), limit=limit, reject=self._metrics.reject
        )
        own, most = self._store.find_entries(key, 0, limit, self._unix_time())
        for wire in own:
            tally.take(wire)
        totals: dict[Contact, tuple[int, int]] = {}

        def on_reply(contact: Contact, reply: Reply) -> bool:
            if isinstance(reply, FoundEntries):
                totals[contact] = (len(reply.entries), reply.total)
                for wire in reply.entries:
                    tally.take(wire)
            return tally.is_complete

        lookup = self._searcher.begin(key)
        await self._searcher.walk(lookup, FindEntries(key), on_reply)
        # One liar must not make every reader ask for shards that do not exist: the second highest word counts.
        claims = sorted((total for _, total in totals.values()), reverse=True)
        most = max(most, claims[1] if len(claims) > 1 else 0)
        try:
            async with asyncio.timeout(self._config.lookup_timeout_s):
                await self._read_on(key, tally, totals)
        except TimeoutError:
            self._metrics.reject("read_cut_short")
        return list(tally.entries.values()), most, lookup

    def _tally(self, key: RecordKey, signer: PublicKey | None, quorum: int) -> RecordTally:
        return RecordTally(
            key,
            network=self._network,
            signer=signer,
            quorum=quorum,
            unix_time=self._unix_time(),
            reject=self._metrics.reject,
        )

    async def _read_on(self, key: RecordKey, tally: EntryTally, totals: dict[Contact, tuple[int, int]]) -> None:
        """Ask the holders with the most entries for the pages that the first answer had no room for."""
        unread = [(contact, got, total) for contact, (got, total) in totals.items() if 0 < got < total]
        unread.sort(key=lambda item: (-item[2], item[0].node_id))
        starts = {contact: got for contact, got, _ in unread[: self._config.quorum]}
        pages = 0
        async with self._requester.calls() as calls:
            for contact, start in starts.items():
                pages += self._searcher.start(calls, contact, FindEntries(key, start))
            while calls.outstanding and not tally.is_complete:
                outcome = await calls.next()
                self._searcher.note(outcome)
                if not isinstance(outcome, Answered):
                    continue
                reply, contact = outcome.answer.message, outcome.contact
                if not isinstance(reply, FoundEntries) or not reply.entries:
                    continue
                for wire in reply.entries:
                    tally.take(wire)
                starts[contact] += len(reply.entries)
                total = min(reply.total, self._config.entries_per_key)
                if starts[contact] < total and pages < self._config.max_pages:
                    pages += self._searcher.start(calls, contact, FindEntries(key, starts[contact]))

    def _mend(self, winner: SignedRecord, tally: RecordTally, lookup: Lookup, quorum: int) -> None:
        """Bring the newest record to close holders without it, or leave a copy on the way."""
        replicas = lookup.closest(self._config.replicas)
        outdated = {contact.public_key: None for contact in tally.outdated(winner)}
        late = [one for one in replicas if one.token and one.contact.public_key in outdated]
        carriers = tally.carriers(winner)
        if quorum > 1 and len(carriers) <= self._config.repair_skip_holders:
            # Those without it that stand between holders have lost it, or are new; farther ones need not have it.
            farthest = max((distance(one.node_id, winner.record.key) for one in carriers), default=0)
            behind = {contact.public_key for contact in tally.behind(winner)}
            lost = [one for one in late if one.distance < farthest or one.contact.public_key in behind]
            self._writer.push(lost, winner, reason="repair")
        elif len(outdated) >= self._config.path_cache_misses and late and not is_withdrawal(winner.record):
            self._writer.push(late[:1], winner, reason="path_cache")
