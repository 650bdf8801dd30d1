"""What several holders said about one key: who has which version, and which wins. Pure.

Records certify themselves, so no holder is believed: what it sends is verified, and the highest sequence wins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pilotdht.dht.store import WITHDRAWAL_TTL_S
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.contact import Contact
from pilotdht.wire.records import (
    CLOCK_SKEW_S,
    Entry,
    NodeRecord,
    Record,
    RecordKey,
    Revocation,
    SignedRecord,
    signed_record_untrusted,
)

Reject = Callable[[str], None]
"""Counts something that was not used, by reason."""


def is_withdrawal(record: Record) -> bool:
    """Return whether a record only says that its signer has gone."""
    return record.ttl_s <= WITHDRAWAL_TTL_S


def version_of(record: Record) -> tuple[int, int]:
    """Return what orders the records of one signer."""
    return (record.sequence, record.issued_ms)


class Vote(NamedTuple):
    """What one holder has."""

    contact: Contact | None
    """Who; absent for this node itself."""
    signed: SignedRecord | None
    """Its valid record; absent when it has none."""


class RecordTally:
    """Collects the answers to one read of a record."""

    def __init__(
        self,
        key: RecordKey,
        *,
        network: int,
        signer: PublicKey | None,
        quorum: int,
        unix_time: float,
        reject: Reject,
    ) -> None:
        """Make a tally.

        Args:
            key: what is read.
            network: the mesh that records must belong to.
            signer: whose record; absent for anybody's.
            quorum: holders to hear before the highest sequence is taken.
            unix_time: now.
            reject: counts what is not used.
        """
        self.votes: list[Vote] = []
        """What each holder has, in the order of their answers."""
        self._key = key
        self._network = network
        self._signer = signer
        self._quorum = quorum
        self._unix_time = unix_time
        self._reject = reject
        self._read: dict[bytes, SignedRecord | None] = {}
        self._holders = 0

    @property
    def holders(self) -> list[Contact]:
        """The contacts that have a valid record, in the order of their answers."""
        return [contact for contact, signed in self.votes if contact is not None and signed is not None]

    def take(self, contact: Contact | None, wire: bytes | None) -> bool:
        """Take in one answer; return whether enough holders were heard.

        Args:
            contact: who answered; absent: this node itself.
            wire: what it has; absent: nothing.
        """
        signed = None if wire is None else self._checked(wire)
        self.votes.append(Vote(contact, signed))
        if signed is not None and (self._quorum > 1 or not self._is_over(signed)):
            self._holders += 1
        return self._holders >= self._quorum

    def winner(self) -> SignedRecord | None:
        """Return the newest record, which may be a withdrawal; absent when no holder has one.

        Several keys may share an address: without a signer given, the one that most holders have is taken.
        """
        counts: dict[PublicKey, int] = {}
        newest: dict[PublicKey, SignedRecord] = {}
        for _, signed in self.votes:
            if signed is None:
                continue
            signer = signed.record.public_key
            counts[signer] = counts.get(signer, 0) + 1
            held = newest.get(signer)
            if held is None or _order(signed) > _order(held):
                newest[signer] = signed
        if not newest:
            return None
        return max(newest.values(), key=lambda one: (counts[one.record.public_key], _order(one)))

    def live_winner(self) -> SignedRecord | None:
        """Return the newest record; absent when there is none, or its signer has gone."""
        winner = self.winner()
        return None if winner is None or self._is_over(winner) else winner

    def behind(self, winner: SignedRecord) -> list[Contact]:
        """Return the holders that have an older record of the winner's signer."""
        return [
            contact
            for contact, signed in self.votes
            if contact is not None
            and signed is not None
            and signed.record.public_key == winner.record.public_key
            and version_of(signed.record) < version_of(winner.record)
        ]

    def outdated(self, winner: SignedRecord) -> list[Contact]:
        """Return the holders that have an older record of the winner's signer, or none while the winner is live."""
        without = [contact for contact, signed in self.votes if contact is not None and signed is None]
        return self.behind(winner) + ([] if self._is_over(winner) else without)

    def carriers(self, winner: SignedRecord) -> list[Contact]:
        """Return the holders that have the winner, this node left out."""
        return [
            contact
            for contact, signed in self.votes
            if contact is not None and signed is not None and signed.wire == winner.wire
        ]

    def _is_over(self, signed: SignedRecord) -> bool:
        return is_withdrawal(signed.record) or not signed.record.is_live(self._unix_time)

    def _checked(self, wire: bytes) -> SignedRecord | None:
        if wire not in self._read:
            self._read[wire] = self._read_untrusted(wire)
        return self._read[wire]

    def _read_untrusted(self, wire: bytes) -> SignedRecord | None:
        try:
            signed = signed_record_untrusted(wire)
        except BadMessage as error:
            self._reject(error.reason)
            return None
        record = signed.record
        if (
            record.key != self._key
            or record.network != self._network
            or not isinstance(record, NodeRecord | Revocation)
            or (self._signer is not None and record.public_key != self._signer)
        ):
            self._reject("read_misplaced")
            return None
        if not is_withdrawal(record) and not record.is_live(self._unix_time):
            self._reject("read_expired")
            return None
        if record.issued_ms / 1000 - CLOCK_SKEW_S > self._unix_time:
            self._reject("read_from_future")
            return None
        return signed


class EntryTally:
    """Collects the entries of one read: the newest of each signer."""

    def __init__(self, key: RecordKey, *, network: int, unix_time: float, limit: int, reject: Reject) -> None:
        """Make a tally of up to ``limit`` entries."""
        self.entries: dict[PublicKey, SignedRecord] = {}
        """By signer, in the order in which they were heard of first."""
        self._key = key
        self._network = network
        self._unix_time = unix_time
        self._limit = limit
        self._reject = reject
        self._seen: set[bytes] = set()

    @property
    def is_complete(self) -> bool:
        """As many entries as wanted are there."""
        return len(self.entries) >= self._limit

    def take(self, wire: bytes) -> None:
        """Take in one entry's bytes; what was seen already costs nothing."""
        if wire in self._seen:
            return
        self._seen.add(wire)
        try:
            signed = signed_record_untrusted(wire)
        except BadMessage as error:
            self._reject(error.reason)
            return
        record = signed.record
        if record.key != self._key or record.network != self._network or not isinstance(record, Entry):
            self._reject("read_misplaced")
            return
        if is_withdrawal(record) or not record.is_live(self._unix_time):
            self._reject("read_expired")
            return
        held = self.entries.get(record.public_key)
        if held is None:
            if not self.is_complete:
                self.entries[record.public_key] = signed
        elif _order(signed) > _order(held):
            self.entries[record.public_key] = signed


def _order(signed: SignedRecord) -> tuple[tuple[int, int], bytes]:
    return version_of(signed.record), signed.wire
