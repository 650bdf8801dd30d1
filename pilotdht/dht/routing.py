"""The routing table: verified contacts, dense near this node's own id and sparse far away. Pure.

Built on the buckets of the package ``kademlia``, with these rules in place of its own:

* only contacts that answered a request of ours enter, and at most so many of one network prefix;
* :meth:`RoutingTable.nearest` is exact over everything known, and includes the target itself;
* a contact that answers moves to the young end of its bucket; the oldest of a full bucket is swapped only when silent;
* three failures in a row evict, when somebody else answered meanwhile: else the fault may be our own network's;
* the replacement is the most recently verified of those that did not fit.

Buckets are dyadic intervals of the key space, each key in exactly one. No clock is read: ``now`` is passed in.

Source: Kademlia (2002), sections 2.2, 2.4, 4.1, 4.2; go-libp2p-kad-dht (diversity caps).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum
from random import Random

from kademlia.routing import KBucket
from kademlia.routing import RoutingTable as KademliaTable

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.prefixes import Prefix, PrefixRule
from pilotdht.identity.ids import NODE_ID_BITS, NodeId
from pilotdht.wire.contact import Contact


class KnownContact:
    """A verified contact and how it did; ``id`` and ``long_id`` are what the package's buckets ask for."""

    __slots__ = ("contact", "failures", "first_success_s", "id", "last_success_s")

    def __init__(self, contact: Contact, last_success_s: float) -> None:
        self.contact = contact
        """Key and the endpoint that answered."""
        self.id = contact.point
        """Node id as a number: buckets sort and hash it faster than bytes."""
        self.first_success_s = last_success_s
        """When it first answered a request of ours."""
        self.last_success_s = last_success_s
        """When it last answered a request of ours, or asked us something from where it is known to receive."""
        self.failures = 0
        """Requests in a row that it did not answer."""

    @property
    def long_id(self) -> int:
        """Node id as a number, under the name that the package uses."""
        return self.id


class Insertion(Enum):
    """What became of a verified contact."""

    ADDED = "added"
    """It is new in its bucket."""
    REFRESHED = "refreshed"
    """It was known, and is the youngest of its bucket now."""
    SPARE = "spare"
    """Its bucket is full: it waits for a gap, and the oldest should prove itself."""
    TOO_SIMILAR = "too_similar"
    """Its prefix has as many contacts as it may."""
    OWN = "own"
    """It is this node itself."""


class Bucket(KBucket):  # type: ignore[misc]  # the package has no types
    """The contacts of one interval of the key space, least recently successful first."""

    nodes: dict[int, KnownContact]
    """By id, oldest success first."""
    replacement_nodes: dict[int, KnownContact]
    """Verified contacts that did not fit, oldest success first."""
    range: tuple[int, int]
    """Least and greatest id of the interval."""

    def __init__(self, lower: int, prefix_bits: int, capacity: int) -> None:
        super().__init__(lower, lower + (1 << (NODE_ID_BITS - prefix_bits)) - 1, capacity)
        self.nodes = {}
        self.replacement_nodes = {}
        self.lower = lower
        """Least id of the interval."""
        self.prefix_bits = prefix_bits
        """How many leading bits its ids have in common."""
        self.looked_up_s = 0.0
        """When a lookup last ended in this interval."""

    def has_in_range(self, point: int) -> bool:
        """Return whether an id, as a number, lies in the interval."""
        return self.lower <= point <= self.range[1]

    def touch_last_updated(self) -> None:
        """Read no clock: the package's time stamp is not used."""

    def halves(self) -> tuple[Bucket, Bucket]:
        """Return two buckets of half the interval with the same contacts in the same order."""
        bits = self.prefix_bits + 1
        middle = self.lower + (1 << (NODE_ID_BITS - bits))
        low, high = Bucket(self.lower, bits, self.ksize), Bucket(middle, bits, self.ksize)
        low.looked_up_s = high.looked_up_s = self.looked_up_s
        for known_id, known in self.nodes.items():
            (low if known_id < middle else high).nodes[known_id] = known
        for known_id, known in self.replacement_nodes.items():
            (low if known_id < middle else high).replacement_nodes[known_id] = known
        return low, high


class RoutingTable(KademliaTable):  # type: ignore[misc]  # the package has no types
    """All buckets of one node."""

    buckets: list[Bucket]
    """In the order of their intervals."""

    def __init__(self, own_id: NodeId, config: DhtConfig, prefixes: PrefixRule) -> None:
        self._own = int.from_bytes(own_id, "big")
        self._config = config
        self._prefixes = prefixes
        self._counts: dict[Prefix, int] = {}
        self._last_success_s = 0.0
        self._failing_since: dict[int, float] = {}
        self.evicted = 0
        """Contacts evicted so far."""
        self.refused_similar = 0
        """Verified contacts refused because of their prefix."""
        super().__init__(None, config.bucket_size, None)

    def flush(self) -> None:
        """Forget everything."""
        whole = Bucket(0, 0, self._config.bucket_size)
        self.buckets = [whole]
        self._lowers = [0]
        self._by_lower = {0: whole}
        self._counts.clear()
        self._failing_since.clear()
        self._size = 0

    def __len__(self) -> int:
        """Return how many contacts are known, spares not counted."""
        return self._size

    def __iter__(self) -> Iterator[KnownContact]:
        """Go through all contacts in the order of the buckets, each oldest success first."""
        for bucket in self.buckets:
            yield from bucket.nodes.values()

    def bucket_of(self, point: int) -> Bucket:
        """Return the one bucket whose interval holds ``point``."""
        return self.buckets[bisect_right(self._lowers, point) - 1]

    def find(self, node_id: NodeId) -> KnownContact | None:
        """Return the contact with this id; absent when it is not in a bucket."""
        point = int.from_bytes(node_id, "big")
        return self.bucket_of(point).nodes.get(point)

    def nearest(
        self, target: bytes, limit: int, *, with_failing: bool = True, without: int | None = None
    ) -> list[Contact]:
        """Return the contacts closest to ``target``, nearest first.

        Args:
            target: 20-byte key; a contact with this very id comes first.
            limit: most contacts to return.
            with_failing: include contacts whose last request failed; others should not be told of them.
            without: the id, as a number, of a contact to leave out; absent for none.
        """
        point = int.from_bytes(target, "big")
        found: list[Contact] = []
        is_any_good = with_failing or not self._failing_since
        # XOR with a point maps dyadic intervals to disjoint dyadic intervals, so buckets can be taken one by one.
        for bucket in self._buckets_from(point):
            nodes = bucket.nodes
            order = sorted(nodes, key=point.__xor__)
            if without is not None and without in nodes:
                order.remove(without)
            if is_any_good:
                found += [nodes[known_id].contact for known_id in order[: limit - len(found)]]
            else:
                found += [known.contact for known_id in order if not (known := nodes[known_id]).failures]
            if len(found) >= limit:
                return found[:limit]
        return found

    def verified(self, contact: Contact, now: float) -> Insertion:
        """Take in that ``contact`` answered a request of ours."""
        point = contact.point
        self._last_success_s = now
        if point == self._own:
            return Insertion.OWN
        bucket = self.bucket_of(point)
        known = bucket.nodes.get(point)
        if known is not None:
            return self._refresh(bucket, known, contact, now)
        spare = bucket.replacement_nodes.pop(point, None)
        if spare is None:
            spare = KnownContact(contact, now)
        spare.contact, spare.last_success_s, spare.failures = contact, now, 0
        while len(bucket.nodes) >= self._config.bucket_size and self._may_split(bucket):
            self._split(bucket)
            bucket = self.bucket_of(point)
        if len(bucket.nodes) < self._config.bucket_size:
            if not self._has_room(bucket, contact):
                self.refused_similar += 1
                return Insertion.TOO_SIMILAR
            self._enter(bucket, spare)
            return Insertion.ADDED
        spares = bucket.replacement_nodes
        spares[point] = spare
        while len(spares) > self._config.replacements_per_bucket:
            del spares[next(iter(spares))]
        return Insertion.SPARE

    def heard(self, contact: Contact, now: float) -> None:
        """Take in that a contact asked us something with a token that only who receives at its endpoint has.

        That it lives needs no proof then. It enters nothing, and clears no failure: only answers to us do.
        """
        bucket = self.bucket_of(contact.point)
        known = bucket.nodes.get(contact.point)
        if known is not None and not known.failures and known.contact.endpoint == contact.endpoint:
            known.last_success_s = now
            del bucket.nodes[known.id]
            bucket.nodes[known.id] = known

    def failed(self, node_id: NodeId, now: float) -> bool:
        """Take in that a contact did not answer; return whether it was evicted for it."""
        point = int.from_bytes(node_id, "big")
        bucket = self.bucket_of(point)
        bucket.replacement_nodes.pop(point, None)
        known = bucket.nodes.get(point)
        if known is None:
            return False
        known.failures += 1
        failing_since = self._failing_since.setdefault(point, now)
        if known.failures < self._config.max_failures or self._last_success_s <= failing_since:
            return False  # as long as nobody else answers, it may be our own network that failed
        self._evict(bucket, known)
        return True

    def leave(self, node_id: NodeId) -> None:
        """Take out a contact that says it cannot be reached from outside."""
        point = int.from_bytes(node_id, "big")
        bucket = self.bucket_of(point)
        bucket.replacement_nodes.pop(point, None)
        known = bucket.nodes.get(point)
        if known is not None:
            self._leave(bucket, known)
            self._promote(bucket)

    def oldest_of_full(self, node_id: NodeId, now: float) -> KnownContact | None:
        """Return the contact that has to prove itself for a spare of the same bucket; absent when none has to."""
        bucket = self.bucket_of(int.from_bytes(node_id, "big"))
        if not bucket.replacement_nodes or not bucket.nodes:
            return None
        oldest = next(iter(bucket.nodes.values()))
        return oldest if now - oldest.last_success_s >= self._config.repin_after_s else None

    def swap_silent(self, node_id: NodeId) -> bool:
        """Evict a contact that did not prove itself, when a spare waits for its place."""
        point = int.from_bytes(node_id, "big")
        bucket = self.bucket_of(point)
        known = bucket.nodes.get(point)
        if known is None or not bucket.replacement_nodes:
            return False  # the spare answered since, so it is not our own network that failed
        self._evict(bucket, known)
        return True

    def has_use_for(self, contact: Contact) -> bool:
        """Return whether a contact would become something here if it were verified."""
        point = contact.point
        bucket = self.bucket_of(point)
        if point == self._own or point in bucket.nodes or point in bucket.replacement_nodes:
            return False
        if self.has_gap(bucket):
            return self._has_room(bucket, contact)
        return len(bucket.replacement_nodes) < self._config.replacements_per_bucket

    def has_gap(self, bucket: Bucket) -> bool:
        """Return whether a bucket could take in one more."""
        return len(bucket.nodes) < self._config.bucket_size or self._may_split(bucket)

    def live_count(self) -> int:
        """Return how many contacts have not failed so often that they would be evicted."""
        failing = (self.bucket_of(point).nodes[point] for point in self._failing_since)
        return self._size - sum(1 for known in failing if known.failures >= self._config.max_failures)

    def stale_contacts(self, now: float, limit: int) -> list[Contact]:
        """Return up to ``limit`` contacts that have to be proved again, longest silent first.

        Who has been up for long stays up for long, so the wait grows with the time over which a contact is known.

        Source: Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks" (2006), section 5.
        """
        config = self._config
        stale: list[KnownContact] = []
        for bucket in self.buckets:
            for known in bucket.nodes.values():
                silent_s = now - known.last_success_s
                if silent_s < config.stale_contact_s:
                    break  # those behind it were successful later
                age_s = known.last_success_s - known.first_success_s
                if known.failures or silent_s >= min(age_s * config.stale_age_share, config.stale_contact_max_s):
                    stale.append(known)
        stale.sort(key=lambda known: (known.last_success_s, known.id))
        return [known.contact for known in stale[:limit]]

    def stale_buckets(self, before_s: float) -> list[Bucket]:
        """Return the buckets that no lookup has ended in since ``before_s``, longest ago first."""
        return sorted((b for b in self.buckets if b.looked_up_s < before_s), key=lambda b: (b.looked_up_s, b.lower))

    def looked_up(self, target: bytes, now: float) -> None:
        """Note that a lookup of ``target`` ended."""
        self.bucket_of(int.from_bytes(target, "big")).looked_up_s = now

    def begin_anew(self, now: float, random: Random) -> None:
        """Note that this node has just joined: its parts grow stale one by one, over a whole interval of refreshes."""
        for bucket in self.buckets:
            bucket.looked_up_s = now - random.uniform(0.0, self._config.bucket_refresh_s)

    def saved(self, limit: int) -> list[Contact]:
        """Return up to ``limit`` contacts worth meeting again, most recent success first."""
        known = sorted(self, key=lambda known: (known.failures, -known.last_success_s, known.id))
        return [one.contact for one in known[:limit]]

    def _buckets_from(self, point: int) -> Iterator[Bucket]:
        """Go through the buckets, nearest to ``point`` first; the one that holds it is often enough."""
        own = self.bucket_of(point)
        yield own
        for lower in sorted(self._lowers, key=point.__xor__):
            if lower != own.lower:
                yield self._by_lower[lower]

    def _refresh(self, bucket: Bucket, known: KnownContact, contact: Contact, now: float) -> Insertion:
        if known.contact.endpoint != contact.endpoint:
            # It answered from a new place. The old one is given up first, so that it may stay within its prefix.
            self._leave(bucket, known)
            if not self._has_room(bucket, contact):
                self.refused_similar += 1
                self._promote(bucket)
                return Insertion.TOO_SIMILAR
            known.contact, known.last_success_s, known.failures = contact, now, 0
            self._enter(bucket, known)
        else:
            known.last_success_s = now
            del bucket.nodes[known.id]
            bucket.nodes[known.id] = known
        if known.failures:
            known.failures = 0
            del self._failing_since[known.id]
        return Insertion.REFRESHED

    def _may_split(self, bucket: Bucket) -> bool:
        has_own = bucket.has_in_range(self._own)
        return bucket.prefix_bits < NODE_ID_BITS and (has_own or bucket.prefix_bits % self._config.split_bits != 0)

    def _split(self, bucket: Bucket) -> None:
        index = bisect_right(self._lowers, bucket.lower) - 1
        low, high = bucket.halves()
        self.buckets[index : index + 1] = [low, high]
        self._lowers.insert(index + 1, high.lower)
        self._by_lower[low.lower] = low
        self._by_lower[high.lower] = high
        self._promote(low)
        self._promote(high)

    def _has_room(self, bucket: Bucket, contact: Contact) -> bool:
        prefix = self._prefixes.of(contact.endpoint)
        if prefix is None:
            return True
        in_table = self._counts.get(prefix, 0)
        if in_table >= self._config.same_prefix_per_table:
            return False
        if in_table < self._config.same_prefix_per_bucket:
            return True  # the bucket has no more of them than the table
        same = sum(1 for known in bucket.nodes.values() if self._prefixes.of(known.contact.endpoint) == prefix)
        return same < self._config.same_prefix_per_bucket

    def _enter(self, bucket: Bucket, known: KnownContact) -> None:
        youngest = next(reversed(bucket.nodes.values()), None)
        bucket.nodes[known.id] = known
        if youngest is not None and youngest.last_success_s > known.last_success_s:  # a spare that waited
            bucket.nodes = dict(sorted(bucket.nodes.items(), key=lambda item: item[1].last_success_s))
        self._size += 1
        prefix = self._prefixes.of(known.contact.endpoint)
        if prefix is not None:
            self._counts[prefix] = self._counts.get(prefix, 0) + 1

    def _leave(self, bucket: Bucket, known: KnownContact) -> None:
        del bucket.nodes[known.id]
        self._size -= 1
        self._failing_since.pop(known.id, None)
        prefix = self._prefixes.of(known.contact.endpoint)
        if prefix is not None:
            left = self._counts.pop(prefix) - 1
            if left:
                self._counts[prefix] = left

    def _evict(self, bucket: Bucket, known: KnownContact) -> None:
        self._leave(bucket, known)
        self.evicted += 1
        self._promote(bucket)

    def _promote(self, bucket: Bucket) -> None:
        """Fill gaps of a bucket with its spares, most recently verified first."""
        for known in reversed(list(bucket.replacement_nodes.values())):
            if len(bucket.nodes) >= self._config.bucket_size:
                return
            if self._has_room(bucket, known.contact):
                del bucket.replacement_nodes[known.id]
                self._enter(bucket, known)
