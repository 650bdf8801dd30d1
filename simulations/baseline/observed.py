"""What one operation of the stock server came to, seen from the side: the package itself does not tell.

``Server.set`` claims success whenever it knew anybody at all: it looks whether any of its results is true, and they are
tuples. And ``Server.get`` tells no hops.
"""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import dataclass

from kademlia.node import Node
from kademlia.protocol import KademliaProtocol


@dataclass(slots=True)
class Operation:
    """One read or write; found through :data:`OPERATION` by the requests that belong to it."""

    key: bytes
    """What is read or written."""
    acks: int = 0
    """Nodes that acknowledged to have stored it."""
    rounds: int = 0
    """Rounds of requests for it; the package asks a few nodes at once and waits for all of them."""
    asked_s: float = -1.0
    """When the last round began."""


OPERATION: contextvars.ContextVar[Operation | None] = contextvars.ContextVar("operation", default=None)
"""The operation on whose behalf requests are made."""


class ObservedProtocol(KademliaProtocol):  # type: ignore[misc]  # the package has no types
    """The package's protocol; two of its methods are watched, and do what they do."""

    async def call_store(self, node_to_ask: Node, key: bytes, value: object) -> tuple[bool, object]:
        """Have a node store a value; count its acknowledgement."""
        result: tuple[bool, object] = await super().call_store(node_to_ask, key, value)
        operation = OPERATION.get()
        if operation is not None and operation.key == key and result[0]:
            operation.acks += 1
        return result

    async def call_find_value(self, node_to_ask: Node, node_to_find: Node) -> tuple[bool, object]:
        """Ask a node for a value; count the round that this belongs to."""
        operation = OPERATION.get()
        now_s = asyncio.get_running_loop().time()
        if operation is not None and operation.key == node_to_find.id and operation.asked_s != now_s:
            operation.asked_s = now_s
            operation.rounds += 1
        result: tuple[bool, object] = await super().call_find_value(node_to_ask, node_to_find)
        return result
