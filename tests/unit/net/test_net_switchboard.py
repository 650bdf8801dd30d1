"""Virtual endpoints: what is sent there goes to whoever made them, and nothing of them leaves the node."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pilotdht.errors import BadMessage
from pilotdht.net.doors import Batch
from pilotdht.net.switchboard import HIDDEN, Switchboard, is_virtual
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted

REAL = Endpoint("198.51.100.7", 4000)


class Scene:
    """A switchboard, what it delivered, and a carrier that keeps what it got."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Endpoint]] = []
        self.carried: list[bytes] = []
        self.switchboard = Switchboard(self._receive)

    def _receive(self, batch: Batch) -> None:
        self.received += batch

    def carry(self, datagrams: Sequence[bytes]) -> None:
        """Keep what is sent."""
        self.carried += datagrams


def test_datagrams_to_a_virtual_endpoint_go_to_its_maker() -> None:
    """And those to a real one do not."""
    scene = Scene()
    endpoint = scene.switchboard.connect(scene.carry)
    assert scene.switchboard.carry([b"a", b"b"], endpoint)
    assert not scene.switchboard.carry([b"c"], REAL)
    assert [b"a", b"b"] == scene.carried


def test_each_endpoint_is_made_once() -> None:
    """A late datagram to an old one never reaches the next."""
    scene = Scene()
    made = []
    for _ in range(300):
        made.append(scene.switchboard.connect(scene.carry))
        scene.switchboard.disconnect(made[-1])
    assert len(set(made)) == 300
    assert all(is_virtual(endpoint) for endpoint in made)
    assert not is_virtual(REAL)
    assert 0 == len(scene.switchboard)


def test_disconnected_endpoint_loses_both_ways() -> None:
    """Nothing is sent to the address itself, which is nobody's."""
    scene = Scene()
    endpoint = scene.switchboard.connect(scene.carry)
    scene.switchboard.deliver([(b"a", endpoint)])
    scene.switchboard.disconnect(endpoint)
    scene.switchboard.disconnect(endpoint)
    scene.switchboard.deliver([(b"b", endpoint)])
    assert scene.switchboard.carry([b"c"], endpoint)
    assert [(b"a", endpoint)] == scene.received
    assert [] == scene.carried


def test_virtual_endpoints_are_not_taken_from_outside() -> None:
    """A peer that names one would have us send into another peer's channel."""
    endpoint = Scene().switchboard.connect(lambda _datagrams: None)
    with pytest.raises(BadMessage, match="endpoint_address"):
        unpack_endpoint_untrusted(endpoint.packed())
    assert HIDDEN == unpack_endpoint_untrusted(HIDDEN.packed())
