"""What this node says of a group's keys: expulsions by both keys while one follows the other, and word in the DHT.

Gossip reaches who is there. Word in the DHT is for those who are away, and for those who are not in the group.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from pilotdht.errors import PilotError
from pilotdht.gossip.era import Era
from pilotdht.gossip.renewals import issuer_of
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.tasks import TaskScope
from pilotdht.wire.group_records import GroupNotice
from pilotdht.wire.revocations import Revocation

_logger = logging.getLogger(__name__)


class Notices:
    """The notices of one group by this node."""

    def __init__(self, around: Surroundings, scope: TaskScope) -> None:
        """Make it.

        Args:
            around: the node.
            scope: owner of the tasks that publish.
        """
        self._around = around
        self._scope = scope

    def carry_over(self, era: Era, revocations: Iterable[Revocation]) -> list[Revocation]:
        """Say expulsions of the other era in this one, where this node may and has not done so; return what it said."""
        issuer = issuer_of(era, self._around.keys)
        if issuer is None:
            return []
        own = (issuer[0].public_key, era.charter.group_key)
        out = {known.holder for known in era.revocations() if known.issuer_key in own}
        again: list[Revocation] = []
        for revocation in revocations:
            if revocation.holder not in out:
                try:
                    again.append(era.authority.again(revocation))
                except PilotError as error:  # an admin expels no admin, or it ends this very second
                    _logger.info("an expulsion was not carried over", extra={"reason": error.code})
        return era.take_notices(again)

    async def publish_expulsion(self, era: Era, revocation: Revocation) -> None:
        """Tell the DHT whom the group expelled, and go on telling.

        Raises:
            PilotError: it cannot be told now; it is tried again.
        """
        await self._around.entries.publish(_expulsion(era, revocation), era.authority.notice_of(revocation))

    def publish_expulsions_later(self, era: Era, revocations: Iterable[Revocation]) -> None:
        """Tell the DHT in the background whom the group expelled."""
        for revocation in revocations:
            self._publish_later(_expulsion(era, revocation), era.authority.notice_of(revocation))

    def publish_rotation(self, former: Era) -> None:
        """Tell the DHT in the background which key follows, if this node may."""
        if former.rotation is not None and issuer_of(former, self._around.keys) is not None:
            self._publish_later(_rotation(former), former.authority.notice_of(former.rotation))

    async def withdraw_rotation(self, former: Era) -> None:
        """Tell it no more; what cannot be told expires by itself."""
        try:
            await self._around.entries.withdraw(_rotation(former))
        except PilotError as error:
            _logger.info("word of the new key was not withdrawn", extra={"reason": error.code})

    def _publish_later(self, name: str, build: Callable[[int], GroupNotice]) -> None:
        async def publish() -> None:
            try:
                await self._around.entries.publish(name, build)
            except PilotError as error:  # it is tried again by itself
                _logger.info("a word of the group was not published yet", extra={"reason": error.code})

        self._scope.start(publish(), name="publish a notice")


def _expulsion(era: Era, revocation: Revocation) -> str:
    return f"expelled {revocation.holder.hex()} from {era.group.hex()}"


def _rotation(former: Era) -> str:
    return f"successor of {former.group.hex()}"
