"""Which of several links to a peer is used: both sides must choose alike."""

from __future__ import annotations

import asyncio

from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.link_state import LinkState
from pilotdht.tunnel.peers import PeerLinks
from tests.support.tunnel_nodes import TunnelNode, virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually


async def _links(one: TunnelNode, two: TunnelNode, three: TunnelNode) -> tuple[Link, Link]:
    """Return a link that node one dialled and one that it accepted, both up."""
    dialled = await one.tunnels.dial(two.key, [two.endpoint])
    await three.tunnels.dial(one.key, [one.endpoint])
    await asyncio.sleep(1)  # the proof of whoever dialled is on its way
    accepted = one.tunnels.link_to(three.key)
    assert accepted is not None
    return dialled, accepted


def _order(own: int, peer: int) -> tuple[PublicKey, PublicKey]:
    return PublicKey(bytes([own]) * 32), PublicKey(bytes([peer]) * 32)


def _run(work: object) -> None:
    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two, virtual_node(wire, 3) as three:
            dialled, accepted = await _links(one, two, three)
            work(dialled, accepted)  # type: ignore[operator]  # called with two links
            await asyncio.sleep(0)

    run_virtually(scenario())


def test_link_dialled_by_the_smaller_key_is_preferred_whatever_came_first() -> None:
    """The rule needs no message: both sides see the same two links."""

    def work(dialled: Link, accepted: Link) -> None:
        for own, peer, best in ((1, 2, dialled), (2, 1, accepted)):
            for first, second in ((dialled, accepted), (accepted, dialled)):
                links = PeerLinks(*_order(own, peer))
                assert links.add(first, 1.0) is None
                suspect = links.add(second, 2.0)
                if suspect is not None:
                    assert first is suspect
                    assert second is links.current
                    links.prove(suspect, 3.0)
                assert best is links.current
                other = accepted if best is dialled else dialled
                assert LinkState.DRAINING == other.state
                assert LinkState.UP == best.state
                other.prefer()

    _run(work)


def test_link_that_is_alone_again_is_used() -> None:
    """A surplus or suspected link comes back when the other one ends."""

    def work(dialled: Link, accepted: Link) -> None:
        links = PeerLinks(*_order(1, 2))
        links.add(accepted, 1.0)
        links.add(dialled, 2.0)
        assert dialled is links.current
        links.remove(dialled, 3.0)
        assert accepted is links.current
        assert LinkState.UP == accepted.state

        links = PeerLinks(*_order(1, 2))
        links.add(dialled, 1.0)
        assert dialled is links.add(accepted, 2.0)
        links.remove(accepted, 3.0)
        assert dialled is links.current
        links.remove(dialled, 4.0)
        assert [] == list(links)

    _run(work)
