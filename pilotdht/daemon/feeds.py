"""What happens in a group, as lines of JSON: its messages, and the changes of its membership.

The first line says that the stream stands: whatever happens afterwards is in it. A client that reads too slowly loses
the oldest lines, never the node's time; each line tells how many were lost so far.
"""

from __future__ import annotations

from pilotdht.daemon.fields import Fields
from pilotdht.daemon.group_encode import event_shape, member_event_shape
from pilotdht.daemon.http import Exchange
from pilotdht.daemon.lines import Lines
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import NodeClosed


class Feeds:
    """Serves the streams of groups."""

    def __init__(self, node: NodeVerbs) -> None:
        self._node = node

    async def subscribe(self, exchange: Exchange, fields: Fields) -> None:
        """Tell the messages of some topics as they come, until the client goes away or the group is left."""
        name, pattern = fields.text("group"), fields.text("pattern", "**")
        is_replayed = fields.flag("replay", False)
        fields.finish()
        group = self._node.group(name)
        lines = Lines(exchange)

        async def work() -> None:
            async with group.subscribe(pattern, is_replayed=is_replayed) as events:
                await lines.write({"group": name})
                async for event in events:
                    await lines.write(event_shape(event, events.missed))
            raise _left(name)

        await lines.run(work)

    async def changes(self, exchange: Exchange, fields: Fields) -> None:
        """Tell the changes of membership as they come, until the client goes away or the group is left."""
        name = fields.text("group")
        fields.finish()
        group = self._node.group(name)
        lines = Lines(exchange)

        async def work() -> None:
            async with group.changes() as changes:
                await lines.write({"group": name})
                async for change in changes:
                    await lines.write(member_event_shape(change, changes.missed))
            raise _left(name)

        await lines.run(work)


def _left(name: str) -> NodeClosed:
    return NodeClosed(f"this node has left {name!r}, or is stopping", hint=f"see 'pilotdht group info {name}'")
