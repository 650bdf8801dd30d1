"""How this node answers others: contacts, records and entries out, writes in. Plain functions, called by the socket.

A write is checked in the order of cost: token, sameness, form and signature, place, quotas. No request makes this node
send anything but its reply.
"""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.dht.requester import Requester
from pilotdht.dht.routing import RoutingTable
from pilotdht.dht.store import RecordStore
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BITS, NodeId, distance
from pilotdht.net.outcomes import Sender
from pilotdht.net.prefixes import is_local
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import (
    MAX_ENTRIES,
    FindEntries,
    FindNode,
    FindRecord,
    FoundEntries,
    FoundRecord,
    Nodes,
    Store,
    StoreCode,
    Stored,
    StoreEntry,
)
from pilotdht.wire.records import Entry, RecordKey, SignedRecord, signed_record_untrusted


class Holder:
    """Answers the requests of other nodes."""

    def __init__(
        self,
        *,
        own_id: NodeId,
        network: int,
        config: DhtConfig,
        table: RoutingTable,
        store: RecordStore,
        prefixes: PrefixRule,
        requester: Requester,
        unix_time: Callable[[], float],
        metrics: DhtMetrics,
    ) -> None:
        self._own_id = own_id
        self._network = network
        self._config = config
        self._table = table
        self._store = store
        self._prefixes = prefixes
        self._requester = requester
        self._unix_time = unix_time
        self._metrics = metrics

    def register(self) -> None:
        """Answer requests from now on."""
        self._requester.serve(FindNode, self.find_node)
        self._requester.serve(FindRecord, self.find_record)
        self._requester.serve(FindEntries, self.find_entries)
        self._requester.serve(Store, self.store)
        self._requester.serve(StoreEntry, self.store_entry)

    def find_node(self, request: FindNode, sender: Sender) -> Nodes:
        """Return the contacts closest to a point."""
        self._metrics.served["find_node"] += 1
        contacts = self._contacts(request.target, sender, self._config.contacts_per_node_reply)
        return Nodes(contacts, self._token(sender, request.target))

    def find_record(self, request: FindRecord, sender: Sender) -> FoundRecord:
        """Return a record when one is held, and the contacts closest to its key."""
        self._metrics.served["find_record"] += 1
        wire = self._store.find_record(request.key, request.signer, self._unix_time())
        contacts = self._contacts(request.key, sender, self._config.contacts_per_value_reply)
        return FoundRecord(wire, contacts, self._token(sender, request.key))

    def find_entries(self, request: FindEntries, sender: Sender) -> FoundEntries:
        """Return a page of entries, and the contacts closest to their key."""
        self._metrics.served["find_entries"] += 1
        entries, total = self._store.find_entries(request.key, request.start, MAX_ENTRIES, self._unix_time())
        contacts = self._contacts(request.key, sender, self._config.contacts_per_value_reply)
        return FoundEntries(tuple(entries), total, contacts, self._token(sender, request.key))

    def store(self, request: Store, sender: Sender) -> Stored:
        """Keep a record, or say why not."""
        self._metrics.served["store"] += 1
        return self._write(request.key, request.store_token, request.record, sender, is_entry=False)

    def store_entry(self, request: StoreEntry, sender: Sender) -> Stored:
        """Keep an entry, or say why not."""
        self._metrics.served["store_entry"] += 1
        return self._write(request.key, request.store_token, request.entry, sender, is_entry=True)

    def keep_own(self, signed: SignedRecord) -> StoreCode:
        """Keep a record that this node itself writes, under the rules for everybody."""
        return self._store.put(signed, unix_time=self._unix_time())

    def _write(self, key: RecordKey, token: bytes, wire: bytes, sender: Sender, *, is_entry: bool) -> Stored:
        code = self._judged(key, token, wire, sender, is_entry=is_entry)
        if code is not StoreCode.STORED:
            self._metrics.reject(f"store_{code.name.lower()}")
        return Stored(code)

    def _judged(self, key: RecordKey, token: bytes, wire: bytes, sender: Sender, *, is_entry: bool) -> StoreCode:
        if not self._requester.check_store_token(sender, token):
            return StoreCode.BAD_TOKEN
        if self._store.holds(key, wire):
            return StoreCode.STORED
        try:
            signed = signed_record_untrusted(wire)
        except BadMessage as error:
            self._metrics.reject(error.reason)
            return StoreCode.INVALID
        record = signed.record
        if record.key != key or record.network != self._network:
            return StoreCode.INVALID
        if isinstance(record, Entry) is not is_entry:
            return StoreCode.INVALID
        unix_time = self._unix_time()
        if not record.is_backed(unix_time):
            return StoreCode.INVALID
        bits_beyond = 0 if is_entry else self._bits_beyond(key)
        if bits_beyond > 0:
            is_kept = self._store.put_copy(signed, bits_beyond=bits_beyond, unix_time=unix_time)
            return StoreCode.CACHED if is_kept else StoreCode.FULL
        return self._store.put(signed, unix_time=unix_time, source=self._prefixes.of(sender.contact.endpoint))

    def _bits_beyond(self, key: RecordKey) -> int:
        """Return 0 for one of the closest nodes to a key that are known; else by how many bits it is too far."""
        closest = self._table.nearest(key, self._config.bucket_size)
        if len(closest) < self._config.bucket_size:
            return 0
        own = distance(self._own_id, key)
        last = distance(closest[-1].node_id, key)
        if own < last:
            return 0
        return max(1, _bit_length(own) - _bit_length(last))

    def _contacts(self, target: bytes, sender: Sender, limit: int) -> tuple[Contact, ...]:
        contacts = self._table.nearest(target, limit, with_failing=False, without=sender.contact.point)
        if not is_local(sender.contact.endpoint.host):  # where our neighbours are is nothing to strangers, nor of use
            contacts = [contact for contact in contacts if not is_local(contact.endpoint.host)]
        return tuple(contacts)

    def _token(self, sender: Sender, key: bytes) -> bytes:
        """Return a store token, or none when nothing under that key could be kept: the writer goes elsewhere."""
        return self._requester.store_token(sender) if self._store.has_room_for(key) else b""


def _bit_length(number: int) -> int:
    return min(number.bit_length(), NODE_ID_BITS)
