"""Who may be a member of a group: everybody in an open one, in a keyed one whoever has certificates in force.

Certificates of a key that was replaced are in force until the date that its owner announced.

Chains are read once: the same member is judged at each of its facts, and at each look whether certificates still hold.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from pilotdht.errors import BadMessage
from pilotdht.gossip.charter import MAX_KEPT_NOTICES
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.certificates import Chain, Role, membership_untrusted
from pilotdht.wire.membership import ItemType, MemberFact
from pilotdht.wire.revocations import Revocation, Revocations, revocation_untrusted
from pilotdht.wire.rotations import Rotation, Succession, rotation_untrusted

_CHAINS_KEPT = 4096

_logger = logging.getLogger(__name__)


class OpenAdmission:
    """Admits everybody."""

    def role_of(self, fact: MemberFact, unix_time: float) -> Role | None:
        """Return that whoever comes is a member; certificates mean nothing here."""
        return Role.MEMBER if not fact.chain else None

    def take_untrusted(self, item: bytes, kind: ItemType) -> bool:
        """Refuse it: nobody can be expelled from an open group.

        Raises:
            BadMessage: always.
        """
        raise BadMessage("item_type")


class KeyedAdmission:
    """Admits whoever has a chain from the group's key that is in force and not revoked."""

    def __init__(self, group_key: PublicKey, *, unix_time: Callable[[], float], holds_key: bool = False) -> None:
        """Make it.

        Args:
            group_key: the key that the group is known by.
            unix_time: the clock that certificates are dated by.
            holds_key: this node has the group's key: nobody else can replace it for us.
        """
        self._holds_key = holds_key
        self._group_key = group_key
        self._unix_time = unix_time
        self._chains: OrderedDict[tuple[PublicKey, bytes], Chain | None] = OrderedDict()
        self.revocations = Revocations(MAX_KEPT_NOTICES)
        """Who was expelled."""
        self.succession = Succession(group_key)
        """Whether the key was replaced."""
        self.by_successor: Revocations | None = None
        """Who was expelled by the key that follows, and is out here as well; absent: this node does not follow yet."""

    def chain_of(self, fact: MemberFact) -> Chain | None:
        """Return the certificates of a fact; absent when they do not make its author a member."""
        place = (fact.public_key, fact.chain)
        if place in self._chains:
            self._chains.move_to_end(place)
            return self._chains[place]
        try:
            chain = membership_untrusted(fact.chain, self._group_key, fact.public_key)
        except BadMessage:
            chain = None
        self._chains[place] = chain
        if len(self._chains) > _CHAINS_KEPT:
            self._chains.popitem(last=False)
        return chain

    def role_of(self, fact: MemberFact, unix_time: float) -> Role | None:
        """Return what a member is by its certificates now; absent when they are void or it was expelled."""
        chain = self.chain_of(fact)
        return chain.role if chain is not None and self.admits(chain, unix_time) else None

    def admits(self, chain: Chain, unix_time: float) -> bool:
        """Return whether certificates of the group's key are good now."""
        is_void = self.succession.is_over(unix_time) or self.revocations.is_revoked(chain, unix_time)
        return chain.is_live(unix_time) and not is_void and not self._is_out_by_successor(chain, unix_time)

    def take_untrusted(self, item: bytes, kind: ItemType) -> bool:
        """Take in a revocation or rotation; return whether it was new.

        Raises:
            BadMessage: it is malformed, of another group, or its author may not say so.
        """
        if kind is ItemType.ROTATION:
            conflicts = self.succession.conflicts
            is_new = self.follow(rotation_untrusted(item, group_key=self._group_key))
            if self.succession.conflicts != conflicts:
                raise BadMessage("other_successor")
            return is_new
        return self.add(revocation_untrusted(item, group_key=self._group_key))

    def remember(self, item: bytes) -> bool:
        """Take in a revocation that this node kept; return whether it is still in force."""
        try:
            return self.add(revocation_untrusted(item, group_key=self._group_key))
        except BadMessage:  # the file was damaged
            return False

    def add(self, revocation: Revocation) -> bool:
        """Take in a revocation that is verified; return whether it was new."""
        return self.revocations.add(revocation, self._unix_time())

    def follow(self, rotation: Rotation, *, is_own: bool = False) -> bool:
        """Take in a rotation that is verified; return whether it was new.

        Whoever holds the group's key follows none but its own: another one is a thief's.
        """
        if self._holds_key and not is_own and self.succession.rotation is None:
            self.succession.conflicts += 1
            _logger.warning("the group's key was used elsewhere to replace it: replace it here, or begin a new group")
            return False
        return self.succession.add(rotation, self._unix_time())

    def _is_out_by_successor(self, chain: Chain, unix_time: float) -> bool:
        """The rule of revocations, for those by the new key: it is the holder that is out, by whatever certificates."""
        later = self.by_successor
        return later is not None and any(
            revocation.issuer_role > link.role
            for link in chain.links
            for revocation in later.of_holder(link.holder, unix_time)
        )

    def notices(self) -> tuple[bytes, ...]:
        """Return all revocations as they travel."""
        return tuple(revocation.wire for revocation in self.revocations)
