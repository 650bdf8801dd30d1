"""Contents over streams: who gets them, how many at once, and what a peer that lies or sleeps achieves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import BadMessage, LinkClosed, NotFound, Overloaded, PilotError, TimedOut
from pilotdht.gossip.broadcast.bodies import BODY_PORT, BodyServer, StreamBodies
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.tasks import TaskScope
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.events import EventId
from pilotdht.wire.groups import GroupId, open_group_id
from simulations.engine.virtual_loop import run_virtually
from tests.support.byte_pipe import byte_pipe

ANNA, BEN = (PublicKey(bytes([number]) * 32) for number in (1, 2))
GROUP = open_group_id("birds")
EVENT = EventId(NodeId(bytes(20)), 7, 3)
CONTENT = bytes(range(256)) * 1000
CONFIG = BroadcastConfig(body_timeout_s=5.0, bodies_served=2, bodies_burst=100)


class _Keeper:
    def body_for(self, peer: PublicKey, event_id: EventId) -> bytes | None:
        """Return the one content, for Anna."""
        return CONTENT if peer == ANNA and event_id == EVENT else None


class _Case:
    def __init__(self, config: BroadcastConfig = CONFIG) -> None:
        self.metrics = BroadcastMetrics(CollectorRegistry())
        keeper = _Keeper()
        self.server = BodyServer(
            lambda group: keeper if group == GROUP else None,
            config,
            self.metrics,
            now=asyncio.get_running_loop().time,
        )

    async def fetch(
        self,
        *,
        own: PublicKey = ANNA,
        group: GroupId = GROUP,
        event_id: EventId = EVENT,
        size_bytes: int = len(CONTENT),
        serve: Callable[[ByteStream], Awaitable[None]] | None = None,
    ) -> bytes:
        """Fetch from Ben, who is served by ``serve``."""
        async with TaskScope("served") as scope:

            async def opened(peer: PublicKey, port: int) -> ByteStream:
                assert (peer, port) == (BEN, BODY_PORT)
                near, far = byte_pipe(opener=own, acceptor=BEN, port=port)
                scope.start(self._served(far, serve or self.server.serve_body), name="served")
                return near

            return await StreamBodies(opened, CONFIG).fetch(BEN, group, event_id, size_bytes)

    async def _served(self, stream: ByteStream, serve: Callable[[ByteStream], Awaitable[None]]) -> None:
        try:
            await serve(stream)
        except PilotError:
            stream.abort()
        else:
            await stream.close()


def test_bodies_are_handed_to_members() -> None:
    """Whole, and counted."""

    async def main() -> None:
        case = _Case()
        assert await case.fetch() == CONTENT
        assert case.metrics.bodies["served"].value == 1

    run_virtually(main())


@pytest.mark.parametrize(
    "wrong",
    [{"own": BEN}, {"group": open_group_id("fish")}, {"event_id": EVENT._replace(sequence=4)}],
)
def test_bodies_are_not_handed_to_others(wrong: dict[str, PublicKey]) -> None:
    """Strangers, other groups and unknown events get the same answer."""

    async def main() -> None:
        case = _Case()
        with pytest.raises(NotFound):
            await case.fetch(**wrong)  # type: ignore[arg-type]  # one of three
        assert case.metrics.bodies["refused"].value == 1

    run_virtually(main())


def test_bodies_of_another_size_are_not_read() -> None:
    """A peer cannot make us read more than the event says."""

    async def main() -> None:
        with pytest.raises(BadMessage):
            await _Case().fetch(size_bytes=len(CONTENT) - 1)

    run_virtually(main())


def test_bodies_too_many_at_once_are_refused() -> None:
    """A third request finds two under way; one member's many requests use up its allowance."""

    async def main() -> None:
        case = _Case()
        async with asyncio.TaskGroup() as tasks:
            slow = [byte_pipe(opener=ANNA, acceptor=BEN, port=BODY_PORT) for _ in range(2)]
            for _, far in slow:
                tasks.create_task(case._served(far, case.server.serve_body))
            await asyncio.sleep(1)
            with pytest.raises(Overloaded):
                await case.fetch()
            await asyncio.sleep(10)
            assert await case.fetch() == CONTENT
        few = _Case(BroadcastConfig(bodies_burst=1, bodies_per_s=0.01))
        assert await few.fetch() == CONTENT
        with pytest.raises(Overloaded):
            await few.fetch()

    run_virtually(main())


def test_bodies_server_gives_up_on_who_asks_nothing_or_reads_nothing() -> None:
    """Neither holds a place for longer than the time-out."""

    async def main() -> None:
        case = _Case()
        loop = asyncio.get_running_loop()
        _, silent = byte_pipe(opener=ANNA, acceptor=BEN, port=BODY_PORT)
        began = loop.time()
        with pytest.raises(LinkClosed):
            await case.server.serve_body(silent)
        near, far = byte_pipe(opener=ANNA, acceptor=BEN, port=BODY_PORT)
        await near.write(GROUP + EVENT.packed())
        with pytest.raises(LinkClosed):
            await case.server.serve_body(far)
        assert loop.time() - began < 11.0
        near, far = byte_pipe(opener=ANNA, acceptor=BEN, port=BODY_PORT)
        await near.write(GROUP + bytes(30))
        with pytest.raises(BadMessage):
            await case.server.serve_body(far)

    run_virtually(main())


def test_bodies_client_gives_up_on_who_answers_nothing() -> None:
    """A server that sleeps, one that ends early, and one that answers nonsense."""

    async def sleeps(stream: ByteStream) -> None:
        await asyncio.sleep(100)

    async def ends(stream: ByteStream) -> None:
        await stream.write(b"\0" + len(CONTENT).to_bytes(4, "big") + b"x")
        await stream.write_eof()

    async def babbles(stream: ByteStream) -> None:
        await stream.write(b"\xff" * 100)

    async def main() -> None:
        case = _Case()
        for serve, expected in ((sleeps, TimedOut), (ends, LinkClosed), (babbles, NotFound)):
            with pytest.raises(expected):
                await case.fetch(serve=serve)

    run_virtually(main())
