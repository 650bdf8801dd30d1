"""What an open page is told: lines of JSON, each with the parts that have changed, at most one a second.

While no page is open nothing here runs. A page that is hidden closes its stream and opens it again when it is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pilotdht.daemon.http import ClientGone, Exchange
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.dht.watch import LookupWatch
from pilotdht.errors import NotFound
from pilotdht.gossip.feed import Feed
from pilotdht.gossip.values import Event, MemberEvent
from pilotdht.ui.texts import harmless_value
from pilotdht.ui.views import Views, change_view, event_view

T = TypeVar("T")

LINES_TYPE = "application/x-ndjson"

MAX_NEWS = 100
"""Events, and changes of membership, told at one time; what is beyond is counted."""

BEATS_S = 10.0
"""A line at least so often: a page that hears nothing for longer knows that the daemon is gone."""

PARTS: Mapping[str, Sequence[str]] = {
    "overview": ("traffic", "tunnels", "names", "groups", "trust", "netcheck"),
    "peers": ("tunnels", "contacts", "names"),
    "network": ("tunnels", "contacts", "names", "netcheck"),
    "groups": ("groups",),
    "lookups": ("names",),
    "trust": ("trust",),
    "relay": ("tunnels", "netcheck", "relay", "names"),
}
"""What each page shows, besides who the node is."""


class LivePage:
    """Tells one open page what it shows, as long as it wants to know."""

    def __init__(
        self,
        node: NodeVerbs,
        views: Views,
        *,
        page: str,
        group: str,
        tick_s: float,
        answer_timeout_s: float,
        is_welcome: Callable[[], bool],
        unix_time: Callable[[], float],
    ) -> None:
        """Make it.

        Args:
            node: what is shown.
            views: makes the parts.
            page: a key of :data:`PARTS`.
            group: whose members and events are shown; empty for none.
            tick_s: time between two looks.
            answer_timeout_s: time for a line to be taken.
            is_welcome: whether the browser is still logged in.
            unix_time: the wall clock.
        """
        self._node = node
        self._views = views
        self._page = page
        self._group = group
        self._tick_s = tick_s
        self._answer_timeout_s = answer_timeout_s
        self._is_welcome = is_welcome
        self._unix_time = unix_time
        self._told: dict[str, str] = {}
        self._seen_changes: dict[int, int] = {}
        self._changes_heard = 0

    async def run(self, exchange: Exchange, headers: Sequence[tuple[str, str]]) -> None:
        """Tell until the page is closed, or the browser is logged out.

        Raises:
            ClientGone: the page was closed, or does not read.
        """
        await exchange.start(LINES_TYPE, headers)
        await exchange.while_wanted(lambda: self._tell(exchange))
        await exchange.finish()

    async def _tell(self, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            watch = stack.enter_context(self._node.lookup_watch()) if self._page == "lookups" else None
            events, changes = self._follow(stack)
            beat_at = loop.time()
            while self._is_welcome():
                look = self._look(watch, events, changes)
                now = loop.time()
                if look or now >= beat_at:
                    await self._write(exchange, look)
                    beat_at = now + BEATS_S
                await asyncio.sleep(self._tick_s)

    def _follow(self, stack: contextlib.ExitStack) -> tuple[Feed[Event] | None, Feed[MemberEvent] | None]:
        """Begin to follow the group that is shown, if there is one."""
        if self._page != "groups" or not self._group:
            return None, None
        try:
            group = self._node.group(self._group)
        except NotFound:
            return None, None  # it was left: the list of groups tells
        events, changes = group.subscribe("**", is_replayed=True), group.changes()
        stack.callback(events.close)
        stack.callback(changes.close)
        return events, changes

    def _look(
        self, watch: LookupWatch | None, events: Feed[Event] | None, changes: Feed[MemberEvent] | None
    ) -> dict[str, object]:
        """Return what has changed since the last look."""
        self._views.begin_look()
        look: dict[str, object] = {}
        for part in ("me", *PARTS[self._page]):
            self._add(look, part, getattr(self._views, part)())
        if events is not None and changes is not None:
            try:
                self._add(look, "members", self._views.members(self._group))
            except NotFound:
                self._add(look, "members", {"group": self._group, "rows": [], "total": 0})
            news = [change_view(one, at=self._unix_time(), number=self._next_change()) for one in _taken(changes)]
            news += [event_view(one) for one in _taken(events)]
            if news:
                look["news"] = harmless_value(news)
            self._add(look, "missed", events.missed + changes.missed)
        if watch is not None:
            seen = self._lookups(watch)
            if seen:
                look["lookups"] = harmless_value(seen)
        return look

    def _lookups(self, watch: LookupWatch) -> list[dict[str, object]]:
        """Return the lookups that went on since the last look."""
        now = asyncio.get_running_loop().time()
        watched = watch.lookups
        went_on = [one for one in watched if self._seen_changes.get(one.number) != one.changes]
        self._seen_changes = {one.number: one.changes for one in watched}
        return [self._views.lookup(one, now=now) for one in went_on]

    def _next_change(self) -> int:
        self._changes_heard += 1
        return self._changes_heard

    def _add(self, look: dict[str, object], part: str, facts: object) -> None:
        """Add a part when it differs from what was told last."""
        text = json.dumps(facts)
        if self._told.get(part) != text:
            self._told[part] = text
            look[part] = harmless_value(facts)

    async def _write(self, exchange: Exchange, look: Mapping[str, object]) -> None:
        line = json.dumps({"now": round(self._unix_time(), 1), **look}).encode() + b"\n"
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await exchange.write(line)
        except TimeoutError as error:
            raise ClientGone from error


def _taken(feed: Feed[T]) -> list[T]:
    return [feed.take() for _ in range(min(len(feed), MAX_NEWS))]
