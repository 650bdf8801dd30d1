"""Following a group to its new key: finding somebody who renews this member's certificates, until somebody does.

Asked are the admins that are here, and those that the entries of the new group name: who was away finds nobody else.
Admins ask at once, as they can then renew others; members spread over a while that grows with the group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pilotdht.errors import BadMessage, PilotError
from pilotdht.gossip.comparing import ask
from pilotdht.gossip.era import Era
from pilotdht.gossip.rendezvous import ENTRIES_READ
from pilotdht.gossip.renewals import is_same_standing
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.certificates import Chain, Role, membership_untrusted
from pilotdht.wire.contact import Contact
from pilotdht.wire.group_records import GroupEntry
from pilotdht.wire.groups import keyed_group_id
from pilotdht.wire.renewal_messages import Renew, Renewed
from pilotdht.wire.rotations import Rotation

ASKED_AT_ONCE = 3
"""Admins asked in one round: one is enough, and one may be away, or not have moved itself."""

FIRST_RETRY_S = 1.0
MOST_RETRY_S = 300.0
"""Longest pause: whoever can renew certificates may be away for days."""

SPREAD_S = 0.005
"""Members ask within so many seconds for each of them: half of what one admin answers."""

MOST_SPREAD_S = 60.0
"""Longest wait before the first request."""

_logger = logging.getLogger(__name__)

Moved = Callable[[Chain, Contact], Awaitable[None]]


class Mover:
    """Asks for certificates of the key that follows one era's."""

    def __init__(self, era: Era, rotation: Rotation, around: Surroundings, moved: Moved) -> None:
        """Make it.

        Args:
            era: the group by the old key.
            rotation: what follows.
            around: the node.
            moved: takes certificates of the new key, and who gave them.
        """
        self._era = era
        self._rotation = rotation
        self._around = around
        self._moved = moved
        self._random = around.doors.random
        self._successor = keyed_group_id(rotation.successor, network=around.network)

    async def run(self) -> None:
        """Ask until somebody gives them, or it is too late."""
        chain = self._era.charter.chain
        if chain is None:
            return
        if chain.role is not Role.ADMIN:
            spread_s = min(SPREAD_S * self._era.swim.alive_count(), MOST_SPREAD_S)
            await asyncio.sleep(spread_s * self._random.random())
        retry_s = FIRST_RETRY_S
        while self._era.is_running and self._era.is_good:
            for contact in await self._issuers():
                renewed = await self._ask(contact, chain)
                if renewed is not None:
                    await self._moved(renewed, contact)
                    return
            await asyncio.sleep(retry_s * self._random.uniform(0.8, 1.2))
            retry_s = min(2 * retry_s, MOST_RETRY_S)

    async def _issuers(self) -> list[Contact]:
        """Return a few admins: those that are here, and of others as many as are missing."""
        own_key, swim = self._around.keys.public_key, self._era.swim
        admins = [
            member.signed.fact.public_key
            for member in swim.members.there()
            if member.role is Role.ADMIN and member.signed.fact.public_key != own_key
        ]
        self._random.shuffle(admins)
        contacts = [contact for key in admins if (contact := swim.contact_of(key)) is not None][:ASKED_AT_ONCE]
        if len(contacts) < ASKED_AT_ONCE:
            known = {contact.public_key: None for contact in contacts}
            contacts += await self._from_entries(ASKED_AT_ONCE - len(contacts), {**known, own_key: None})
        return contacts

    async def _from_entries(self, count: int, known: dict[PublicKey, None]) -> list[Contact]:
        contacts: list[Contact] = []
        try:
            found = await self._around.entries.get_group(self._successor, is_keyed=True, limit=ENTRIES_READ)
            admins = [
                entry.record.public_key
                for entry in found
                if isinstance(entry.record, GroupEntry)
                and entry.record.chain is not None
                and entry.record.chain.role is Role.ADMIN
                and entry.record.public_key not in known
            ]
            self._random.shuffle(admins)
            for key in admins[:count]:
                contact = await self._around.locate(key)
                if contact is not None:
                    contacts.append(contact)
        except PilotError as error:
            _logger.info("the new group's entries were not reached", extra={"reason": error.code})
        return contacts

    async def _ask(self, contact: Contact, chain: Chain) -> Chain | None:
        own_key = self._around.keys.public_key
        try:
            reply = await ask(self._around.post, contact, Renew(self._era.group, chain.wire), Renewed)
            if not reply.chain:
                return None
            renewed = membership_untrusted(reply.chain, self._rotation.successor, own_key)
            if not renewed.is_live(self._around.doors.unix_time()) or not is_same_standing(chain, renewed):
                raise BadMessage("not_admitted")
        except BadMessage as error:
            self._around.metrics.drop(error.reason)
        except PilotError as error:
            _logger.info("an admin did not renew certificates", extra={"reason": error.code})
        else:
            return renewed
        return None
