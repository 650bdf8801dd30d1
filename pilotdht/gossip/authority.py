"""What the holder of a group's key, or an admin, may say for the group: invitations, expulsions, another key."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.errors import InvalidArgument, UsageError
from pilotdht.gossip.charter import Charter
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.gossip.values import GroupKind
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Chain, Role
from pilotdht.wire.group_records import GroupNotice
from pilotdht.wire.invitations import MAX_HINTS, invite
from pilotdht.wire.revocations import Revocation, revoke
from pilotdht.wire.rotations import Rotation, rotate

INVITATION_LIFETIME_S = 7 * 86_400.0
"""How long an invitation, and the membership that it gives, lasts unless somebody says otherwise."""

REVOCATION_LIFETIME_S = 366 * 86_400.0
"""A revocation of somebody whose certificates are not known here lasts longer than any certificate should."""

GRACE_S = 7 * 86_400.0
"""How long members have to follow a new key unless somebody says otherwise: a week's absence is usual."""

LEAST_GRACE_S = 60.0
"""In less not even those who are there could have their certificates made anew."""

MOST_GRACE_S = 366 * 86_400.0

_SEED_BYTES = 32


class Authority:
    """Signs for one group."""

    def __init__(self, around: Surroundings, charter: Callable[[], Charter]) -> None:
        """Make it; ``charter`` returns what makes this node a member now."""
        self._around = around
        self._charter = charter

    def invitation(
        self, role: Role, holder: PublicKey | None, hostname: str, lifetime_s: float, hints: tuple[str, ...]
    ) -> str:
        """Return an invitation: see :meth:`pilotdht.gossip.group.Group.invite`.

        Raises:
            InvalidArgument: a value is malformed.
            UsageError: the group needs no invitations, or this node may not make them.
        """
        charter = self._charter()
        keys, chain = self._issuer(charter)
        now_s = int(self._around.doors.unix_time())
        return invite(
            keys,
            chain,
            name=charter.name,
            kind=charter.keyed_kind,
            network=charter.network,
            role=role,
            holder=holder,
            seed=self._around.doors.token_bytes(_SEED_BYTES) if holder is None else b"",
            issued_s=now_s,
            expires_s=now_s + int(lifetime_s),
            hostname=hostname,
            hints=hints or tuple(str(endpoint) for endpoint in self._around.endpoints()[:MAX_HINTS]),
        ).text()

    def revocation(self, public_key: PublicKey, reason: str) -> Revocation:
        """Return that a key is out of the group.

        Raises:
            InvalidArgument: it cannot be expelled, or the reason is too long.
            UsageError: this node may not expel anybody.
        """
        charter = self._charter()
        keys, chain = self._issuer(charter)
        if charter.kind is GroupKind.TOKEN:
            raise UsageError(
                f"nobody can be expelled from {charter.name!r}: whoever knows its token can come back",
                hint="begin a group with another token",
            )
        if public_key == self._around.keys.public_key:
            raise InvalidArgument("a node cannot expel itself", hint="leave the group instead")
        now = self._around.doors.unix_time()
        return revoke(
            keys,
            chain,
            holder=public_key,
            issued_ms=int(now * 1000),
            until_s=int(now + REVOCATION_LIFETIME_S),
            reason=reason,
        )

    def again(self, revocation: Revocation) -> Revocation:
        """Return the same expulsion signed for this group, by whoever may: of a revocation by the group's old key."""
        keys, chain = self._issuer(self._charter())
        now_ms = int(self._around.doors.unix_time() * 1000)
        return revoke(
            keys,
            chain,
            holder=revocation.holder,
            issued_ms=min(now_ms, 1000 * revocation.until_s - 1),
            until_s=revocation.until_s,
            reason=revocation.reason,
        )

    def rotation(self, grace_s: float) -> tuple[KeyPair, Rotation]:
        """Return a new key pair for the group, and the word of the old key that it follows.

        Raises:
            InvalidArgument: the time is too short or too long.
            UsageError: this node does not hold the group's key, the group's key is its token, or one is under way.
        """
        charter, now = self._charter(), self._around.doors.unix_time()
        if charter.kind in (GroupKind.OPEN, GroupKind.TOKEN):
            what = "its name is all there is to it" if charter.kind is GroupKind.OPEN else "its token is its key"
            raise UsageError(f"{charter.name!r} cannot have another key: {what}", hint="begin another group")
        if charter.group_keys is None:
            raise UsageError(
                f"this node does not hold the key of {charter.name!r}", hint="do it on the node that created the group"
            )
        if charter.rotation is not None and now < charter.rotation.until_s:
            left_s = charter.rotation.until_s - now
            raise UsageError(
                f"{charter.name!r} is moving to another key already, for another {left_s / 3600:.1f} hours",
                hint="wait until then: members that are away now could not follow twice",
            )
        if not LEAST_GRACE_S <= grace_s <= MOST_GRACE_S:
            raise InvalidArgument(
                f"members have {LEAST_GRACE_S:g} s to {MOST_GRACE_S / 86_400:g} days to follow, not {grace_s:g} s"
            )
        keys = KeyPair.from_seed(self._around.doors.token_bytes(_SEED_BYTES))
        issued_ms, until_s = int(now * 1000), int(now + grace_s)
        return keys, rotate(charter.group_keys, successor=keys.public_key, issued_ms=issued_ms, until_s=until_s)

    def notice_of(self, notice: Revocation | Rotation) -> Callable[[int], GroupNotice]:
        """Return what makes the record that tells the DHT of a revocation or rotation."""

        def build(issued_ms: int) -> GroupNotice:
            charter = self._charter()
            proves_itself = isinstance(notice, Revocation) and notice.issuer is not None
            return GroupNotice(
                public_key=self._around.keys.public_key,
                network=charter.network,
                issued_ms=issued_ms,
                ttl_s=self._around.entry_ttl_s,
                notice=notice,
                chain=None if proves_itself else charter.chain,
            )

        return build

    def _issuer(self, charter: Charter) -> tuple[KeyPair, Chain | None]:
        if charter.group_key is None:
            raise UsageError(
                f"{charter.name!r} is an open group: everybody may join it, and nobody can be expelled",
                hint="create a group with --kind invite, or an org",
            )
        if charter.group_keys is not None:
            return charter.group_keys, None
        if charter.role is not Role.ADMIN:
            raise UsageError(
                f"this node is a member of {charter.name!r} and no admin", hint="ask an admin, or whoever created it"
            )
        return self._around.keys, charter.chain
