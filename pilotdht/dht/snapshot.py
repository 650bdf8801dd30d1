"""What a node remembers of the DHT over a restart, as plain lists; read back with distrust. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pilotdht.dht.prefixes import Prefix
from pilotdht.errors import BadMessage
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, integer_untrusted, list_untrusted
from pilotdht.wire.contact import Contact, contact_untrusted
from pilotdht.wire.records import MAX_RECORD_BYTES

SNAPSHOT_VERSION = 1
MAX_ITEMS = 1_000_000
MAX_PREFIX_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is remembered."""

    sequence_ms: int = 0
    """The highest sequence number given to a record of our own."""
    contacts: tuple[Contact, ...] = ()
    """Contacts worth meeting again, best first; hints, not facts."""
    records: tuple[tuple[bytes, Prefix | None], ...] = ()
    """Records kept for others, with the network that each was written from."""

    def packed(self) -> list[object]:
        """Return it as a list of integers, bytes, texts and lists."""
        return [
            SNAPSHOT_VERSION,
            self.sequence_ms,
            [contact.packed() for contact in self.contacts],
            [[wire, source] for wire, source in self.records],
        ]


def snapshot_untrusted(values: Sequence[object]) -> Snapshot:
    """Read what :meth:`Snapshot.packed` writes; single bad contacts and records are left out.

    Raises:
        BadMessage: not a snapshot of this version.
    """
    if len(values) < 4 or values[0] != SNAPSHOT_VERSION:
        raise BadMessage("snapshot_version")
    contacts: list[Contact] = []
    for packed in list_untrusted(values[2], most=MAX_ITEMS):
        try:
            contacts.append(contact_untrusted(packed))
        except BadMessage:
            continue
    records: list[tuple[bytes, Prefix | None]] = []
    for pair in list_untrusted(values[3], most=MAX_ITEMS):
        try:
            wire, source = list_untrusted(pair, most=2)
            records.append((bytes_untrusted(wire, most=MAX_RECORD_BYTES), _source_untrusted(source)))
        except (BadMessage, ValueError):
            continue
    return Snapshot(
        sequence_ms=integer_untrusted(values[1]),
        contacts=tuple(contacts),
        records=tuple(records),
    )


def _source_untrusted(value: object) -> Prefix | None:
    if value is None or (isinstance(value, str | bytes) and len(value) <= MAX_PREFIX_CHARS):
        return value
    raise BadMessage("snapshot_source")
