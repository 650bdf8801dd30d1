"""The servers that the operator wants this node to be called through: found by greeting, and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pilotdht.node.join import Seed, contacts_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

ASK_AGAIN_S = 60.0
"""How soon a server that did not answer, or was found, is looked for again: its address may have changed."""


class PreferredServers:
    """Turns what the operator wrote into contacts."""

    def __init__(self, seeds: Sequence[Seed], *, hello: Callable[[Endpoint], Awaitable[Contact]]) -> None:
        """Make it; nobody is greeted before :meth:`contacts`.

        Args:
            seeds: as the operator named them.
            hello: learns the key behind an endpoint.
        """
        self._seeds = tuple(seeds)
        self._hello = hello
        self._found: dict[Seed, tuple[float, list[Contact]]] = {}

    async def contacts(self) -> list[Contact]:
        """Return those that have answered, in the order in which they were named; each server once."""
        now = asyncio.get_running_loop().time()
        due = [seed for seed in self._seeds if now - self._found.get(seed, (-ASK_AGAIN_S, []))[0] >= ASK_AGAIN_S]
        if due:
            async with asyncio.TaskGroup() as group:
                tasks = [(seed, group.create_task(contacts_of(seed, self._hello))) for seed in due]
            for seed, task in tasks:
                before = self._found.get(seed, (now, []))[1]
                self._found[seed] = (now, task.result() or before)
        found = {contact.public_key: contact for seed in self._seeds for contact in self._found[seed][1][:1]}
        return list(found.values())
