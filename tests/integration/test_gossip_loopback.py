"""A group on real sockets: twenty members on loopback find each other, and find out who is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.net.doors import real_doors
from pilotdht.net.socket import UdpNetwork
from tests.support.gossip_town import Citizen
from tests.support.net_nodes import LOOPBACK, key_pair

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

COUNT = 20
FAST = GossipConfig(
    probe_interval_s=0.2,
    probe_timeout_s=0.1,
    gossip_interval_s=0.02,
    compare_interval_s=1.0,
    compare_soon_s=0.1,
    retry_interval_s=0.5,
)


async def holds(condition: Callable[[], bool], citizens: list[Citizen], *, within_s: float = 20.0) -> None:
    """Return once a condition holds; it is looked at after each change of membership."""
    changed = asyncio.Event()
    for citizen in citizens:
        citizen.heard = changed.set
    async with asyncio.timeout(within_s):
        while not condition():
            changed.clear()
            await changed.wait()


def started(number: int) -> Citizen:
    """Return a member with a real socket, not started."""
    return Citizen(key_pair(500 + number), real_doors(UdpNetwork()), config=FAST, listen=LOOPBACK)


async def test_members_on_real_sockets_find_each_other_and_who_is_gone() -> None:
    """Join, crash, departure, return: each is known to all within seconds, and nobody else is held for dead."""
    citizens = [started(number) for number in range(COUNT)]
    first, *others = citizens
    try:
        await first.start()
        async with asyncio.TaskGroup() as group:
            for one in others:
                group.create_task(one.start([first.contact]))
        await holds(lambda: all(one.swim.alive_count() == COUNT for one in citizens), citizens)

        crashed, *rest = others
        await crashed.crash()
        rest.append(first)
        await holds(lambda: all(one.holds(crashed) is MemberStatus.DEAD for one in rest), rest)

        leaver = rest.pop(0)
        await leaver.swim.depart()
        await leaver.crash()
        await holds(lambda: all(one.holds(leaver) is MemberStatus.LEFT for one in rest), rest)

        again = Citizen(crashed.keys, real_doors(UdpNetwork()), config=FAST, listen=LOOPBACK)
        citizens.append(again)
        await again.start([first.contact])
        rest.append(again)
        await holds(lambda: all(one.swim.alive_count() == COUNT - 1 for one in rest), rest)
        assert COUNT - 2 == sum(one.count(MemberChange.FAILED, crashed) for one in rest)
        assert 0 == sum(one.count(MemberChange.FAILED, leaver) for one in rest)
    finally:
        for one in citizens:
            await one.crash()
