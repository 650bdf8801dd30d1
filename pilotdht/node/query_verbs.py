"""What a node does with questions: ask a peer, a group or whoever carries a tag; answer those of others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from pilotdht.errors import NodeClosed
from pilotdht.identity.ids import PublicKey
from pilotdht.node.reach import Target
from pilotdht.node.rooms import Rooms
from pilotdht.services.query.answering import Answering
from pilotdht.services.query.handlers import Handler, Handlers
from pilotdht.services.query.service import DEFAULT_TIMEOUT_S
from pilotdht.services.query.values import Answer, Explanation

HandlerT = TypeVar("HandlerT", bound=Handler)


class QueryVerbs:
    """The verbs of :class:`pilotdht.node.node.Node` that are about questions."""

    def __init__(self) -> None:
        self._query_handlers = Handlers()

    def _declare(self) -> None:
        """Tell the members of groups what this node answers now, when it runs."""
        with contextlib.suppress(NodeClosed):
            self.rooms.groups.refresh()

    @property
    def rooms(self) -> Rooms:
        """The running node."""
        raise NotImplementedError

    def on_query(self, capability: str = "", *, group: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Let the decorated function answer questions: ``@node.on_query("citations", group="research")``.

        May be used before the node is started. The function takes a
        :class:`~pilotdht.services.query.values.Question` and returns a text, what JSON can say, a
        :class:`~pilotdht.services.query.values.Reply`, or an async iterator of texts.

        Args:
            capability: for which questions; empty: for any.
            group: whose members may ask; ``"*"``: those of every group; ``None``: trusted peers that name no group.

        Raises:
            AlreadyExists: there is a function for the same.
            InvalidArgument: the capability is malformed.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._query_handlers.add(handler, capability=capability, group=group)
            self._declare()
            return handler

        return register

    def remove_query_handler(self, capability: str = "", *, group: str | None = None) -> bool:
        """Answer such questions no more; return whether there was a function for them."""
        was_there = self._query_handlers.remove(capability=capability, group=group)
        self._declare()
        return was_there

    async def query(
        self,
        target: Target,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask one peer.

        Args:
            target: whom.
            question: a ``str``, or anything that JSON can say.
            capability: what its handler is registered for, or empty.
            group: ask as a member of this group; ``None``: as a peer that it trusts.
            timeout_s: for the whole answer.

        Raises:
            PilotError: as :meth:`pilotdht.services.query.service.QueryService.query`; NotFound when nobody is found
                under that name.
        """
        peer = await self.rooms.reach.peer(target)
        return await self.rooms.queries.query(
            peer.public_key, question, capability=capability, group=group, timeout_s=timeout_s
        )

    async def query_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        quorum: int = 1,
        fresh: bool = False,
        explain: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask whichever member of a group suits best, or several: see :class:`QueryService`.

        Raises:
            PilotError: as :meth:`pilotdht.services.query.service.QueryService.query_group`.
        """
        return await self.rooms.queries.query_group(
            group,
            question,
            capability=capability,
            tags=tags,
            quorum=quorum,
            fresh=fresh,
            explain=explain,
            timeout_s=timeout_s,
        )

    async def query_tag(
        self,
        tag: str,
        question: object,
        *,
        capability: str = "",
        quorum: int = 1,
        explain: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask whichever trusted peer that carries a tag suits best, or several.

        Raises:
            PilotError: as :meth:`pilotdht.services.query.service.QueryService.query_tag`.
        """
        return await self.rooms.queries.query_tag(
            tag, question, capability=capability, quorum=quorum, explain=explain, timeout_s=timeout_s
        )

    def ask(
        self,
        target: Target,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answering:
        """Ask one peer and read its answer as it comes: ``async with node.ask(…) as answering: async for part in …``.

        Args and errors are those of :meth:`query`.
        """
        rooms = self.rooms

        async def found() -> PublicKey:
            return (await rooms.reach.peer(target)).public_key

        return rooms.queries.ask(found, question, capability=capability, group=group, timeout_s=timeout_s)

    def ask_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answering:
        """Ask whichever member of a group suits best and read its answer as it comes; shared answers are not used.

        Args and errors are those of :meth:`query_group`.
        """
        return self.rooms.queries.ask_group(group, question, capability=capability, tags=tags, timeout_s=timeout_s)

    def choices(self, group: str, *, capability: str = "", tags: Sequence[str] = ()) -> tuple[Explanation, ...]:
        """Return whom a question to a group would be put to now, best first, and why.

        Raises:
            NotFound: this node is not in the group.
        """
        return self.rooms.queries.choices(group, capability=capability, tags=tags)
