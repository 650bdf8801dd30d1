"""Trust between whole nodes that are never, or not at first, there at the same time: told by letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotdht.config.config import Config
from pilotdht.errors import NotFound, NotTrusted, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.trust.states import TrustState
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from tests.support.nat_mesh import NatMesh
from tests.support.nodes import befriend

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

SETTLED_S = 30.0
"""A node behind a NAT knows by then that it is, and is attached to servers."""

AWAY_S = 900.0
"""So long nobody of the two is there; records of who crashed are still live, those of who stopped were withdrawn."""


class Agent:
    """A node that comes and goes, and remembers between its lives what a data directory would."""

    def __init__(self, mesh: NatMesh, name: str, number: int, *, kind: str) -> None:
        self.mesh = mesh
        self.name = name
        self.keys = KeyPair.from_seed(name.encode().ljust(32, b"\1"))
        self.did = self.keys.did
        self.number = number
        self.endpoint = Endpoint(f"82.{number}.0.1", 4000)
        if kind != "public":
            self.endpoint = Endpoint(f"192.168.{100 + number}.2", 4000)
            mesh.world.network.place_behind_kind(self.endpoint.host, kind, f"82.{number}.0.1")
        self.seeds = tuple(str(node.endpoints[0]) for node in mesh.servers[:12])
        self.lives = 0

    async def start(self, data_dir: Path | None = None) -> Node:
        """Come, with what was kept in ``data_dir`` in earlier lives."""
        self.lives += 1
        config = Config(
            hostname=self.name,
            listen=self.endpoint,
            bootstrap=self.seeds,
            data_dir=data_dir,
        )
        doors = self.mesh.world.doors(1000 * self.number + self.lives)
        return await Node(config, keys=self.keys, doors=doors).__aenter__()


async def within(seconds: float, holds: Callable[[], bool]) -> float:
    """Wait until something holds, at most so long; return how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for is a value, and tells nobody
            await asyncio.sleep(0.005)
    return loop.time() - began


@pytest.mark.parametrize("is_crashing", [False, True], ids=["stopped", "crashed"])
@pytest.mark.parametrize(
    ("left", "right"),
    [("public", "public"), ("port_restricted", "port_restricted"), ("symmetric", "symmetric")],
)
def test_two_who_never_meet_come_to_trust_each_other(
    tmp_path_factory: pytest.TempPathFactory, left: str, right: str, is_crashing: bool
) -> None:
    """Each is gone when the other is there; each word is heard within a second of having joined."""
    homes = [tmp_path_factory.mktemp("home") for _ in range(2)]

    async def main() -> None:
        async with NatMesh(servers=6) as mesh:
            alpha, beta = Agent(mesh, "alpha", 1, kind=left), Agent(mesh, "beta", 2, kind=right)
            stop = Node.abort if is_crashing else Node.close

            one = await alpha.start(homes[0])
            await asyncio.sleep(SETTLED_S)
            asked = await one.handshake(beta.did, "we never meet")
            assert (TrustState.PENDING_OUT, False) == (asked.state, asked.is_delivered)
            assert asked.letter_holders >= 4
            await stop(one)
            await asyncio.sleep(AWAY_S)

            other = await beta.start(homes[1])
            took_s = await within(1.0, lambda: bool(other.pending()))
            assert took_s < 1.0
            assert [("we never meet", "alpha", alpha.did)] == [
                (entry.reason, entry.hostname, alpha.did) for entry in other.pending()
            ]
            approved = await other.approve(alpha.did)
            assert (TrustState.TRUSTED, False) == (approved.state, approved.is_delivered)
            assert approved.letter_holders >= 4
            await asyncio.sleep(SETTLED_S)
            await stop(other)
            await asyncio.sleep(AWAY_S)

            one = await alpha.start(homes[0])
            await within(1.0, lambda: bool(one.trusted()))
            assert [beta.keys.public_key] == [entry.public_key for entry in one.trusted()]
            assert one.trusted()[0].is_delivered
            await asyncio.sleep(SETTLED_S)
            await stop(one)
            await asyncio.sleep(AWAY_S)

            other = await beta.start(homes[1])
            await within(1.0, lambda: other.trusted()[0].is_delivered)
            await other.close()

    run_virtually(main())


def test_trust_taken_back_from_a_peer_that_is_away_ends_there_as_well(tmp_path: Path) -> None:
    """The peer learns it when it joins, though who took it back is gone by then; a request may follow the same way."""

    async def main() -> None:
        async with NatMesh(servers=6) as mesh:
            alpha, beta = Agent(mesh, "alpha", 1, kind="public"), Agent(mesh, "beta", 2, kind="port_restricted")
            one, other = await alpha.start(), await beta.start(tmp_path)
            await asyncio.sleep(SETTLED_S)
            await befriend(one, other)
            await other.abort()
            taken = await one.untrust(beta.did)  # its record is live, and nobody answers where it says
            assert TrustState.NONE is taken.state
            assert taken.letter_holders >= 4
            await one.close()

            other = await beta.start(tmp_path)
            await within(1.0, lambda: not other.trusted())
            with pytest.raises((NotTrusted, NotFound)):
                await other.ping(alpha.did)
            again = await other.handshake(alpha.did, "sorry")
            assert TrustState.PENDING_OUT is again.state
            assert again.letter_holders >= 4
            await other.close()

    run_virtually(main())


def test_refusal_is_told_by_letter(tmp_path: Path) -> None:
    """Who asked and went away learns when it is back that it was refused, and why."""

    async def main() -> None:
        async with NatMesh(servers=6) as mesh:
            alpha, beta = Agent(mesh, "alpha", 1, kind="symmetric"), Agent(mesh, "beta", 2, kind="public")
            one, other = await alpha.start(tmp_path), await beta.start()
            await asyncio.sleep(SETTLED_S)
            await one.handshake(beta.did)
            await one.close()
            await other.reject(alpha.did, "not today")
            await other.close()
            one = await alpha.start(tmp_path)
            entry = one.rooms.book.entry
            await within(1.0, lambda: entry(beta.keys.public_key).state is TrustState.REJECTED)
            assert ("not today", True) == (entry(beta.keys.public_key).reason, entry(beta.keys.public_key).is_delivered)
            await one.close()

    run_virtually(main())


@pytest.mark.parametrize("kind", ["public", "symmetric"])
def test_peer_that_is_up_and_cannot_be_reached_is_told_at_once(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A node that keeps the letter tells the peer, which fetches it and answers; within a second."""

    async def main() -> None:
        async with NatMesh(servers=6) as mesh:
            alpha, beta = Agent(mesh, "alpha", 1, kind="port_restricted"), Agent(mesh, "beta", 2, kind=kind)
            one, other = await alpha.start(), await beta.start()
            await asyncio.sleep(SETTLED_S)

            async def fail(_peer: PublicKey, _port: int) -> Stream:
                raise Unreachable("no way")

            for node in (one, other):
                monkeypatch.setattr(node.rooms, "open", fail)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.handshake("beta", "no road")
            await within(1.0, lambda: bool(other.pending()))
            await within(1.0, lambda: one.rooms.book.entry(beta.keys.public_key).is_delivered)
            await other.approve("alpha")
            await within(1.0, lambda: bool(one.trusted()))
            await within(1.0, lambda: other.trusted()[0].is_delivered)
            assert loop.time() - began < 1.0
            await one.close()
            await other.close()

    run_virtually(main())


def test_letter_outlives_all_but_one_who_keep_it(tmp_path: Path) -> None:
    """Nodes that keep letters may vanish: one that is left is enough."""

    async def main() -> None:
        async with NatMesh(servers=24) as mesh:
            alpha, beta = Agent(mesh, "alpha", 1, kind="public"), Agent(mesh, "beta", 2, kind="symmetric")
            one = await alpha.start()
            asked = await one.handshake(beta.did, "hold on")
            assert 8 == asked.letter_holders
            await one.close()
            keepers = [node for node in mesh.servers if node.rooms.letters.kept]
            assert 8 == len(keepers)
            for node in keepers[:7]:
                await node.abort()
            await asyncio.sleep(AWAY_S)
            other = await beta.start(tmp_path)
            await within(1.0, lambda: bool(other.pending()))
            await asyncio.sleep(1)
            assert 0 == keepers[7].rooms.letters.kept  # what was fetched is not kept
            await other.close()

    run_virtually(main())


def test_offline_peer_must_be_known_by_its_key() -> None:
    """A name whose record is gone means nobody, and the error says what to use; a pinned name is as good as the key."""

    async def main() -> None:
        async with NatMesh(servers=6) as mesh:
            alpha, beta = Agent(mesh, "alpha", 1, kind="public"), Agent(mesh, "beta", 2, kind="public")
            one = await alpha.start()
            with pytest.raises(NotFound) as refused:
                await one.handshake("beta")
            assert "did:key" in (refused.value.hint or "")
            other = await beta.start()
            await asyncio.sleep(SETTLED_S)
            await one.find("beta")  # pins the name
            await other.close()
            await asyncio.sleep(60)
            asked = await one.handshake("beta")
            assert beta.keys.public_key == asked.public_key
            assert asked.letter_holders >= 4
            await one.close()

    run_virtually(main())
