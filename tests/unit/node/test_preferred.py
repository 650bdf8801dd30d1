"""Servers that the operator prefers are greeted now and then, and remembered."""

from __future__ import annotations

import asyncio

from pilotdht.errors import TimedOut
from pilotdht.node.join import parse_seed
from pilotdht.node.preferred import ASK_AGAIN_S, PreferredServers
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from tests.support.net_nodes import key_pair

HERE, THERE = Endpoint("198.51.100.1", 4433), Endpoint("203.0.113.1", 4433)


class Greetings:
    """Answers for some endpoints, and counts who was greeted."""

    def __init__(self) -> None:
        self.up = {HERE: Contact(key_pair(1).public_key, HERE), THERE: Contact(key_pair(2).public_key, THERE)}
        self.asked: list[Endpoint] = []

    async def hello(self, endpoint: Endpoint) -> Contact:
        """Return who is there."""
        self.asked.append(endpoint)
        if endpoint not in self.up:
            raise TimedOut("no answer")
        return self.up[endpoint]


def test_servers_come_in_the_order_in_which_they_were_named_and_are_not_greeted_all_the_time() -> None:
    """Asked twice within a minute, each is greeted once."""

    async def main() -> None:
        world = Greetings()
        servers = PreferredServers([parse_seed(str(THERE)), parse_seed(str(HERE))], hello=world.hello)
        expected = [world.up[THERE], world.up[HERE]]
        assert expected == await servers.contacts()
        assert expected == await servers.contacts()
        assert [THERE, HERE] == world.asked

    run_virtually(main())


def test_server_that_falls_silent_is_remembered_and_one_that_comes_up_is_found() -> None:
    """A lost greeting takes no server away."""

    async def main() -> None:
        world = Greetings()
        first, second = world.up[HERE], world.up.pop(THERE)
        servers = PreferredServers([parse_seed(str(HERE)), parse_seed(str(THERE))], hello=world.hello)
        assert [first] == await servers.contacts()
        world.up = {THERE: second}
        await asyncio.sleep(ASK_AGAIN_S)
        assert [first, second] == await servers.contacts()

    run_virtually(main())


def test_server_with_another_key_than_was_named_is_not_taken() -> None:
    """Who stands at an address is no proof of being whom the operator means."""

    async def main() -> None:
        world = Greetings()
        pinned = f"{key_pair(7).did}@{HERE}"
        assert [] == await PreferredServers([parse_seed(pinned)], hello=world.hello).contacts()

    run_virtually(main())
