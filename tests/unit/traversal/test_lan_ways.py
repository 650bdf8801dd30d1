"""A peer that is announced on the link is dialled there beside its other endpoints, and never instead of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from pilotdht.errors import Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.names.peer import Peer, Source
from pilotdht.node.ways import MAX_NEAR, NEAR_AFTER_S, Ways
from pilotdht.tasks import TaskScope
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually

KEY = KeyPair.from_seed(b"1" * 32).public_key
PUBLIC, LAN = Endpoint("81.7.0.1", 4000), Endpoint("192.168.1.7", 4000)
CALLED = Endpoint("81.9.0.1", 4000)
SERVER = Contact(KeyPair.from_seed(b"2" * 32).public_key, CALLED)


class FakeTunnels:
    """Notes what is dialled."""

    def __init__(self) -> None:
        self.dialled: list[tuple[float, tuple[Endpoint, ...]]] = []
        self.link: object | None = None

    def link_to(self, key: PublicKey) -> object | None:
        """Return the link, if there is one."""
        return self.link

    async def dial(self, key: PublicKey, endpoints: Sequence[Endpoint]) -> None:
        """Note it, and fail: whoever really dials is told."""
        self.dialled.append((asyncio.get_running_loop().time(), tuple(endpoints)))
        raise Unreachable("nobody is there")


class FakeCaller:
    """Finds a way through a server."""

    async def call(self, key: PublicKey, introducers: Sequence[Contact], *, more: object = None) -> Endpoint | None:
        """Return it after a while."""
        await asyncio.sleep(0.05)
        return CALLED


def peer(*endpoints: Endpoint, introducers: tuple[Contact, ...] = ()) -> Peer:
    """Return a peer as it was found."""
    return Peer(
        public_key=KEY,
        network=0,
        hostname="peer",
        tags=(),
        endpoints=endpoints,
        services=(),
        issued_s=0.0,
        is_trusted=False,
        introducers=introducers,
        source=Source.KEY,
    )


def tried(
    found: Peer, near: Sequence[Endpoint], *, own: Sequence[Endpoint] = (), is_up: bool = False, times: int = 1
) -> tuple[tuple[Endpoint, ...], list[tuple[float, tuple[Endpoint, ...]]]]:
    """Return where the caller dials, and what else is dialled, and when."""

    async def main() -> tuple[Any, Any]:
        tunnels = FakeTunnels()
        tunnels.link = object() if is_up else None
        async with TaskScope("test") as scope:
            ways = Ways(
                caller=FakeCaller(),
                tunnels=cast("Tunnels", tunnels),
                own_endpoints=lambda: own,
                neighbours=lambda _key: near,
                scope=scope,
            )
            began = asyncio.get_running_loop().time()
            for _ in range(times):
                endpoints = await ways.endpoints(found)
            await asyncio.sleep(1)
            return endpoints, [(round(at - began, 4), where) for at, where in tunnels.dialled]

    return run_virtually(main())


@pytest.mark.parametrize("introducers", [(), (SERVER,)])
def test_neighbour_is_dialled_there_within_milliseconds_and_at_its_endpoints_at_once(
    introducers: tuple[Contact, ...],
) -> None:
    """Neither waits for the other."""
    endpoints, more = tried(peer(PUBLIC, introducers=introducers), [LAN])
    assert (PUBLIC,) == endpoints
    assert (NEAR_AFTER_S, (LAN,)) == more[0]
    assert [(0.05, (CALLED,))] * len(introducers) == more[1:]


def test_neighbour_without_endpoints_is_dialled_on_the_link_and_called_meanwhile() -> None:
    """It does not wait for the call."""
    endpoints, more = tried(peer(introducers=(SERVER,)), [LAN])
    assert (LAN,) == endpoints
    assert [(0.05, (CALLED,))] == more


def test_endpoints_that_are_published_are_not_dialled_twice() -> None:
    """In a private mesh both are the same."""
    assert ((LAN,), []) == tried(peer(LAN), [LAN])


def test_many_announcements_cost_two_endpoints_and_many_dials_one_look() -> None:
    """Anybody on the link may announce the peer's key."""
    near = [Endpoint("192.168.1.7", port) for port in range(1, 9)]
    _, more = tried(peer(PUBLIC), near, times=5)
    assert [(NEAR_AFTER_S, tuple(near[:MAX_NEAR]))] == more


def test_peer_with_a_link_is_not_looked_for() -> None:
    """The keeper of roads does that."""
    assert ((PUBLIC,), []) == tried(peer(PUBLIC), [LAN], is_up=True)


def test_private_endpoints_of_a_peer_elsewhere_are_left_out_also_when_nothing_is_known_of_ours() -> None:
    """Before anybody told us where we are we may be anywhere."""
    endpoints, _ = tried(peer(PUBLIC, LAN, introducers=(SERVER,)), [])
    assert (PUBLIC,) == endpoints
    endpoints, _ = tried(peer(PUBLIC, LAN, introducers=(SERVER,)), [], own=[Endpoint(PUBLIC.host, 9)])
    assert (PUBLIC, LAN) == endpoints
