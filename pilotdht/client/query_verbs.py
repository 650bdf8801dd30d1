"""The verbs of a client that are about questions: ask peers, groups and carriers of a tag; answer those of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from pilotdht.client.answering import ClientAnswering
from pilotdht.client.channel import ControlChannel
from pilotdht.client.group_decode import answer, explanation
from pilotdht.client.served import Served
from pilotdht.daemon.query_shapes import ChoicesShape, QueryAnswerShape
from pilotdht.errors import NotFound, UsageError
from pilotdht.services.query.content import Content, Form, content_of
from pilotdht.services.query.handlers import Handler, Handlers
from pilotdht.services.query.values import Answer, Explanation
from pilotdht.tasks import TaskScope

DEFAULT_TIMEOUT_S = 30.0
"""How long an answer is waited for unless the caller says otherwise."""

HandlerT = TypeVar("HandlerT", bound=Handler)


class QueryVerbs:
    """Ask and answer questions; mixed into :class:`pilotdht.client.client.Client`."""

    _channel: ControlChannel
    _scope: TaskScope

    def __init__(self) -> None:
        self._handlers = Handlers()
        self._serving: dict[tuple[str, str | None], Served] = {}
        self._is_entered = False

    def on_query(self, capability: str = "", *, group: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Let the decorated function answer questions: ``@client.on_query("citations", group="research")``.

        May be used before ``async with client``; questions come while that block runs, also after a restart of the
        daemon. :meth:`until_serving` waits for the first. The function takes a
        :class:`~pilotdht.services.query.values.Question` and returns a text, what JSON can say, a
        :class:`~pilotdht.services.query.values.Reply`, or an iterator of texts.

        Args:
            capability: for which questions; empty: for any.
            group: whose members may ask; ``"*"``: those of every group; ``None``: trusted peers that name no group.

        Raises:
            AlreadyExists: this client has a function for the same.
            InvalidArgument: the capability is malformed.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._handlers.add(handler, capability=capability, group=group)
            self._serving[capability, group] = served = Served(
                self._channel, handler, capability=capability, group=group
            )
            if self._is_entered:
                served.start(self._scope)
            return handler

        return register

    def remove_query_handler(self, capability: str = "", *, group: str | None = None) -> bool:
        """Answer such questions no more; return whether there was a function for them."""
        served = self._serving.pop((capability, group), None)
        if served is not None:
            served.stop()
        return self._handlers.remove(capability=capability, group=group)

    async def until_serving(self, capability: str = "", *, group: str | None = None) -> None:
        """Wait until the daemon hands such questions to this client.

        Raises:
            NotFound: this client has no function for them, or the node is not in the group.
            AlreadyExists: another program answers them.
            PilotError: what else the daemon says.
        """
        served = self._serving.get((capability, group))
        if served is None:
            raise NotFound("this client has no handler for such questions", hint="register one with on_query")
        if not self._is_entered:
            raise UsageError("the client is not open", hint="use 'async with Client() as client'")
        await served.until_ready()

    async def query(
        self,
        target: str,
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
            PilotError: as :meth:`pilotdht.node.node.Node.query`.
        """
        fields: dict[str, object] = {"target": target, "capability": capability, "group": group}
        fields["timeout_s"] = timeout_s
        return await self._asked("", question, fields)

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
        """Ask whichever member of a group suits best, or several.

        Args:
            group: name of a group that the node is in.
            question: a ``str``, or anything that JSON can say.
            capability: what a member must declare, or empty.
            tags: what it must carry.
            quorum: how many distinct members must give the same answer.
            fresh: take no shared answer.
            explain: tell in the answer why its author was asked.
            timeout_s: for the whole answer.

        Raises:
            PilotError: as :meth:`pilotdht.node.node.Node.query_group`.
        """
        fields: dict[str, object] = {"group": group, "capability": capability, "tags": list(tags), "quorum": quorum}
        fields |= {"fresh": fresh, "explain": explain, "timeout_s": timeout_s}
        return await self._asked("/group", question, fields)

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
            PilotError: as :meth:`pilotdht.node.node.Node.query_tag`.
        """
        fields: dict[str, object] = {"tag": tag, "capability": capability, "quorum": quorum, "explain": explain}
        fields["timeout_s"] = timeout_s
        return await self._asked("/tag", question, fields)

    def ask(
        self,
        target: str,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> ClientAnswering:
        """Ask one peer and read its answer as it comes: ``async with client.ask(…) as answering: async for part in …``.

        Args and errors are those of :meth:`query`.
        """
        fields = {"target": target, "capability": capability, "group": group, "timeout_s": timeout_s}
        return ClientAnswering(self._channel, {**fields, **_question_fields(question)})

    def ask_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> ClientAnswering:
        """Ask whichever member of a group suits best and read its answer as it comes; shared answers are not used.

        Args and errors are those of :meth:`query_group`.
        """
        fields = {"group": group, "capability": capability, "tags": list(tags), "timeout_s": timeout_s}
        return ClientAnswering(self._channel, {**fields, **_question_fields(question)})

    async def choices(self, group: str, *, capability: str = "", tags: Sequence[str] = ()) -> tuple[Explanation, ...]:
        """Return whom a question to a group would be put to now, best first, and why.

        Raises:
            NotFound: the node is not in the group.
        """
        fields: dict[str, object] = {"group": group, "capability": capability, "tags": list(tags)}
        told = cast("ChoicesShape", await self._channel.post("/v1/query/choices", fields))
        return tuple(explanation(one) for one in told["choices"])

    async def _asked(self, verb: str, question: object, fields: dict[str, object]) -> Answer:
        told = await self._channel.post(f"/v1/query{verb}", {**fields, **_question_fields(question)})
        return answer(cast("QueryAnswerShape", told))

    def _begin_serving(self) -> None:
        self._is_entered = True
        for served in self._serving.values():
            served.start(self._scope)


def _question_fields(question: object) -> dict[str, object]:
    content = question if isinstance(question, Content) else content_of(question)
    if content.form is Form.TEXT:
        return {"question": content.text}
    return {"question_json": content.json}
