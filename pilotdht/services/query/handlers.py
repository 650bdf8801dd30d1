"""Which program answers which question: handlers by capability and group. Pure."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.errors import AlreadyExists
from pilotdht.identity.names import check_tag
from pilotdht.services.query.values import Question

ALL_GROUPS = "*"
"""Stands for every group; said explicitly, so that nothing leaks into a group by accident."""

Handler = Callable[[Question], object]
"""Returns, directly or awaited: a text, a JSON value, an iterator of texts, or a ``Reply`` around one."""


class Handlers:
    """The handlers of a node.

    A question in a group is answered by a handler of that group, or of all groups; one without a group by a handler
    without one. Of these, one for the very capability goes before one for any, and a group's own before one of all.
    """

    def __init__(self) -> None:
        """Make an empty register."""
        self._handlers: dict[tuple[str, str | None], Handler] = {}

    def add(self, handler: Handler, *, capability: str, group: str | None) -> None:
        """Register a handler.

        Args:
            handler: answers questions.
            capability: for which one; empty: for any.
            group: of which group's members; ``"*"``: of all groups; ``None``: of trusted peers that name no group.

        Raises:
            AlreadyExists: there is one for the same.
            InvalidArgument: the capability is malformed.
        """
        if capability:
            check_tag(capability)
        if (capability, group) in self._handlers:
            what = f"capability {capability!r}" if capability else "any capability"
            raise AlreadyExists(f"a handler for {what} is registered already", hint="remove it first")
        self._handlers[capability, group] = handler

    def remove(self, *, capability: str, group: str | None) -> bool:
        """Forget a handler; return whether there was one."""
        return self._handlers.pop((capability, group), None) is not None

    def find(self, *, capability: str, group: str | None) -> Handler | None:
        """Return the handler of a question, or ``None``."""
        scopes = (None,) if group is None else (group, ALL_GROUPS)
        for name in (capability, "") if capability else ("",):
            for scope in scopes:
                handler = self._handlers.get((name, scope))
                if handler is not None:
                    return handler
        return None

    def capabilities(self, group: str | None) -> tuple[str, ...]:
        """Return the capabilities that questions in a group find a handler for, in order."""
        scopes = (None,) if group is None else (group, ALL_GROUPS)
        return tuple(sorted({name for name, scope in self._handlers if name and scope in scopes}))
