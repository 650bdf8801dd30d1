"""What the attackers of one population share: who they are, what they were told to store, what they invent.

They are taken to be one owner's, who talks to all of them for nothing: that is the worst case of every attack here.
"""

from __future__ import annotations

import asyncio
from random import Random

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, PublicKey
from pilotdht.wire.contact import Contact
from pilotdht.wire.records import RecordKey, SignedRecord, signed_record_untrusted
from simulations.adversaries.key_space import ContactSet
from simulations.engine.streams import stream
from simulations.world.places import endpoint_of
from simulations.world.world import UNIX_START_S

VERSIONS_KEPT = 8
"""Versions remembered of one signer's record under one key: an attacker needs the oldest that is still valid."""

DECOYS = 1 << 16
"""Invented contacts, made once in 0.3 s: to every key some of them are nearer than the nodes of a network of 1,000."""

DECOY_PLACES = 2_000_000
"""Number of the first decoy's place; each claims a network prefix of its own, and nobody listens there."""


class Archive:
    """Every version of every record that any attacker was told to store."""

    def __init__(self) -> None:
        """Make an empty one."""
        self._versions: dict[tuple[RecordKey, PublicKey], list[SignedRecord]] = {}
        self._signers: dict[RecordKey, dict[PublicKey, None]] = {}

    def __len__(self) -> int:
        """Return how many records are known, whatever their versions."""
        return len(self._versions)

    def keep(self, wire: bytes) -> None:
        """Keep a version of a record; what is not validly signed is worth nothing to an attacker either."""
        try:
            signed = signed_record_untrusted(wire)
        except BadMessage:
            return
        record = signed.record
        versions = self._versions.setdefault((record.key, record.public_key), [])
        self._signers.setdefault(record.key, {})[record.public_key] = None
        if all(one.wire != wire for one in versions):
            versions.append(signed)
            versions.sort(key=lambda one: one.record.issued_ms)
            if len(versions) > VERSIONS_KEPT:
                del versions[-2]  # the oldest are wanted, and the newest tells that they are old

    def rolled_back(self, key: RecordKey, signer: PublicKey | None, unix_time: float) -> bytes | None:
        """Return the oldest version that a reader would still take for valid; absent when that is the newest."""
        live = [one for one in self._of(key, signer) if one.record.is_live(unix_time)]
        return live[0].wire if len(live) > 1 else None

    def expired(self, key: RecordKey, signer: PublicKey | None, unix_time: float) -> bytes | None:
        """Return a version whose time is over; absent when there is none."""
        return next((one.wire for one in self._of(key, signer) if not one.record.is_live(unix_time)), None)

    def newest(self, key: RecordKey, signer: PublicKey | None) -> bytes | None:
        """Return the newest version; absent when none is known."""
        versions = self._of(key, signer)
        return versions[-1].wire if versions else None

    def _of(self, key: RecordKey, signer: PublicKey | None) -> list[SignedRecord]:
        if signer is None:
            signer = next(iter(self._signers.get(key, {})), None)
        return [] if signer is None else self._versions.get((key, signer), [])


class Conspiracy:
    """The attackers of one population."""

    def __init__(self, *, seed: int) -> None:
        """Make it, without anybody in it.

        Args:
            seed: of the run.
        """
        self.seed = seed
        """Of the run."""
        self.archive = Archive()
        """What they were told to store."""
        self._fellows: dict[str, ContactSet] = {}
        self._met = ContactSet()
        self._decoys: ContactSet | None = None

    def join(self, behaviour: str, contact: Contact) -> None:
        """Make one an attacker that the others know of."""
        self._fellows.setdefault(behaviour, ContactSet()).add(contact)

    def fellows(self, behaviour: str) -> ContactSet:
        """Return all attackers that behave alike, those included that are not up."""
        return self._fellows.setdefault(behaviour, ContactSet())

    def met(self, contact: Contact) -> None:
        """Tell all where an honest node is."""
        if not any(contact in fellows for fellows in self._fellows.values()):
            self._met.add(contact)

    def someone(self, random: Random) -> Contact | None:
        """Return one of the honest nodes that were met; absent when none was."""
        return self._met.draw(random)

    def decoys(self, target: bytes, count: int, *, turn: int) -> list[Contact]:
        """Return invented contacts near a point, nearest first: keys that nobody owns at places where nobody listens.

        Args:
            target: 20-byte point.
            count: how many.
            turn: another number gives others, until eight times ``count`` were given: attackers asked one after another
                name different ones.
        """
        if self._decoys is None:
            random = stream(self.seed, "decoys")
            self._decoys = ContactSet()
            self._decoys.add_all(
                [
                    Contact(PublicKey(random.randbytes(PUBLIC_KEY_BYTES)), endpoint_of(DECOY_PLACES + number))
                    for number in range(DECOYS)
                ]
            )
        near = self._decoys.nearest(target, 8 * count)
        return near[turn % 8 :: 8]

    def unix_time(self) -> float:
        """Return what a true clock shows."""
        return UNIX_START_S + asyncio.get_running_loop().time()
