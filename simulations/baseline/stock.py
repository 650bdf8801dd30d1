"""The stock server of the package ``kademlia`` as a participant, to compare with.

Protocol, crawling, routing and storage are the package's own, on the simulated clock and network.

Its owner is as sensible as one can be without changing the package: it sets its value anew every half hour, tries again
after a minute when that failed, and bootstraps anew when the table is empty. Nobody waits longer than
:data:`PATIENCE_S` for an answer.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from kademlia.network import Server

from pilotdht.errors import InternalError, InvalidArgument
from pilotdht.wire.endpoint import Endpoint
from simulations.baseline.hostile import BEHAVIOURS, HONEST, Conspiracy, knock
from simulations.baseline.observed import OPERATION, ObservedProtocol, Operation
from simulations.baseline.package import HOUSEHOLD, Household, Tally, stock_world, tally_of_world
from simulations.baseline.records import (
    RIGHT,
    judged,
    seed_with_id,
    seeds_near,
    stock_id_of,
    stock_key_of,
    value_of,
)
from simulations.baseline.transport import Fuse, SimulatedTransport, open_endpoint
from simulations.engine.streams import stream
from simulations.population.member import Answer, Identity
from simulations.world.world import World

__all__ = [
    "StockKind",
    "StockMember",
    "StockState",
    "seed_with_id",
    "seeds_near",
    "stock_id_of",
    "stock_key_of",
    "stock_world",
]

PATIENCE_S = 60.0
"""Who asked for something gives up after this."""

CUT_OFF_S = 120.0
"""What was given up is let run on for a while, so that the package can take dead contacts out of its table; then it is
cut off: its lookups have no bound of their own."""

RESET_INTERVAL_S = 1800.0
"""The owner sets its value anew so often.

Our node refreshes its record after half of its lifetime of two hours. Twice as often is in the stock server's favour,
whose holders also hand values on every hour.
"""

RETRY_INTERVAL_S = 60.0
"""The owner looks after a value that nobody took, or an empty table, this soon."""

JITTER = 0.1
"""Share by which the intervals above vary, up and down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockState:
    """What a server that stopped has on disk: what ``Server.save_state`` pickles, and its owner's version."""

    node_id: bytes
    """Its id, 20 bytes."""
    neighbours: tuple[tuple[str, int], ...]
    """Address and port of the contacts next to its id, at most 20."""
    version: int
    """What its owner published last."""


class StockServer(Server):  # type: ignore[misc]  # the package has no types
    """The server with one method replaced: the one that opens a socket."""

    protocol: Any
    """The package's protocol; absent before it listens."""
    transport: SimulatedTransport | None
    """What it sends through; absent before it listens."""

    def __init__(
        self, node_id: bytes, *, world: World, fuse: Fuse, protocol_class: type, role: dict[str, object]
    ) -> None:
        """Make it, with the package's own k = 20 and alpha = 3.

        Args:
            node_id: 20 bytes.
            world: where it listens.
            fuse: of its transport.
            protocol_class: the package's, or a hostile one.
            role: what a hostile protocol wants to know besides.
        """
        super().__init__(node_id=node_id)
        self._world = world
        self._fuse = fuse
        self._protocol_class = protocol_class
        self._role = role

    async def listen(self, port: int, interface: str = "0.0.0.0") -> None:  # noqa: S104 - the package's default
        """Listen on the simulated network, and begin the hourly refreshes as the original does."""
        endpoint = Endpoint(interface, port)
        self.transport, self.protocol = await open_endpoint(
            self._world.network, endpoint, self._create_protocol, self._fuse
        )
        self.refresh_table()

    def _create_protocol(self) -> Any:  # noqa: ANN401 - the package has no types
        return self._protocol_class(self.node, self.storage, self.ksize, **self._role)


class StockKind:
    """Makes participants that run the stock server; there is one in a stock world."""

    name = "kademlia"

    def __init__(self, world: World, *, fuse: bool = True) -> None:
        """Make it.

        Args:
            world: where they live.
            fuse: whether runaway traffic is cut, see :class:`simulations.baseline.transport.Fuse`.

        Raises:
            InternalError: :func:`simulations.baseline.package.stock_world` is not open.
        """
        self._world = world
        self._lives: dict[int, int] = {}
        self._has_fuse = fuse
        self.tally: Tally = tally_of_world()
        """What went wrong without anybody being told."""
        self.conspiracy = Conspiracy(seed=world.seed)
        """What the dishonest among them share."""

    def figures(self) -> dict[str, float]:
        """Return figures that only the stock implementation has: ``stock_dropped`` and ``stock_errors``."""
        errors = sum(self.tally.errors.values())
        return {"stock_dropped": float(self.tally.dropped), "stock_errors": float(errors)}

    def make(self, identity: Identity, *, behaviour: str = HONEST, saved: object = None) -> StockMember:
        """Return a participant that is not started; see :class:`simulations.population.member.MemberKind`.

        Raises:
            InvalidArgument: there is no such behaviour.
        """
        if behaviour != HONEST and behaviour not in BEHAVIOURS:
            known = ", ".join([HONEST, *BEHAVIOURS])
            raise InvalidArgument(f"{behaviour[:80]!r} is no behaviour of stock nodes", hint=f"there are {known}")
        life = self._lives.get(identity.number, 0)
        self._lives[identity.number] = life + 1
        role: dict[str, object] = {}
        if behaviour != HONEST:
            role = {"number": identity.number, "place": identity.endpoint, "conspiracy": self.conspiracy}
        limits = {} if self._has_fuse else {"stores_per_pair": 1 << 60, "per_s": 1 << 60}
        server = StockServer(
            stock_id_of(identity.seed),
            world=self._world,
            fuse=Fuse(self.tally, **limits),
            protocol_class=BEHAVIOURS.get(behaviour, ObservedProtocol),
            role=role,
        )
        return StockMember(
            identity,
            server=server,
            household=Household(f"stock {identity.number}", self.tally),
            seed=self._world.seed,
            life=life,
            is_hostile=behaviour != HONEST,
            state=saved if isinstance(saved, StockState) else None,
        )


class StockMember:
    """One life of one participant; see :class:`simulations.population.member.Member`."""

    def __init__(
        self,
        identity: Identity,
        *,
        server: StockServer,
        household: Household,
        seed: int,
        life: int,
        is_hostile: bool,
        state: StockState | None,
    ) -> None:
        self._identity = identity
        self._server = server
        self._household = household
        self._seed = seed
        self._life = life
        self._is_hostile = is_hostile
        self._neighbours: tuple[tuple[str, int], ...] = () if state is None else state.neighbours
        self._version = 0 if state is None else state.version
        self._is_over = False
        self._writing = asyncio.Lock()
        self._context = contextvars.copy_context()

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Listen, bootstrap from what was saved and ``contacts``, and set its own value."""
        self._context = contextvars.copy_context()
        self._context.run(HOUSEHOLD.set, self._household)
        await self._household.open()
        known = list(dict.fromkeys([*self._neighbours, *((one.host, one.port) for one in contacts)]))
        _, error = await self._ask(self._server.listen(self._identity.endpoint.port, self._identity.endpoint.host))
        if error and not self._is_over:
            raise InternalError(f"{self._identity.endpoint} could not be opened: {error}")
        await self._ask(self._server.bootstrap(known))
        answer = await self.publish()
        if self._is_over:
            return
        random = stream(self._seed, "stock upkeep", self._identity.number, self._life)
        self._begin(self._look_after(known, random, is_kept=answer.is_ok))
        if self._is_hostile:
            self._begin(knock(self._server.protocol, seed=self._seed, life=self._life, sleep=asyncio.sleep))

    async def stop(self) -> None:
        """Stop the server: nobody is told."""
        await self._end()

    async def crash(self) -> None:
        """Free what it holds."""
        await self._end()

    def saved_state(self) -> object:
        """Return a :class:`StockState`; absent before the server listened."""
        if self._server.protocol is None:
            return None
        neighbours = tuple((str(host), int(port)) for host, port in self._server.bootstrappable_neighbors())
        return StockState(node_id=self._server.node.id, neighbours=neighbours, version=self._version)

    def contacts(self) -> Sequence[Endpoint]:
        """Return the endpoints in the buckets; spare contacts are not counted."""
        if self._server.protocol is None:
            return ()
        buckets = self._server.protocol.router.buckets
        return [Endpoint(node.ip, node.port) for bucket in buckets for node in bucket.nodes.values()]

    @property
    def version(self) -> int:
        """Version that at least one other node acknowledged last: as much as the server's documentation promises."""
        return self._version

    async def publish(self) -> Answer:
        """Set its own value, one version higher."""
        operation = Operation(stock_key_of(self._identity))
        is_kept, error = await self._ask(self._set(operation, higher=1))
        return Answer(is_ok=bool(is_kept), acks=operation.acks, error="" if is_kept else error or "not_kept")

    async def lookup(self, identity: Identity, version: int) -> Answer:
        """Get another's value; a server that is a holder itself answers from its own storage, without a hop."""
        operation = Operation(stock_key_of(identity))
        value, error = await self._ask(self._get(operation, identity))
        if value is None:
            return Answer(is_ok=False, error=error or "not_found", hops=operation.rounds)
        verdict = judged(value, identity, version)
        return Answer(is_ok=verdict == RIGHT, is_wrong=verdict != RIGHT, error=verdict, hops=operation.rounds)

    async def _ask(self, work: Coroutine[Any, Any, object]) -> tuple[object, str]:
        """Have the server do something, as long as patience lasts.

        Returns:
            What came of it, and the kind of error: ``timeout``, ``stopped``, or an exception's type.
        """
        if self._is_over:
            work.close()
            return None, "stopped"
        outcome: asyncio.Future[tuple[object, str]] = asyncio.get_running_loop().create_future()

        def ended(_task: object) -> None:
            work.close()
            if not outcome.done():
                outcome.set_result((None, "stopped"))

        self._begin(_answered(work, outcome)).add_done_callback(ended)
        await asyncio.wait([outcome], timeout=PATIENCE_S)
        return outcome.result() if outcome.done() else (None, "timeout")

    def _begin(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Start work on this node's behalf."""
        return self._context.run(self._household.start, work)

    async def _get(self, operation: Operation, identity: Identity) -> object:
        OPERATION.set(operation)
        return await self._server.get(identity.name)

    async def _set(self, operation: Operation, *, higher: int) -> bool:
        """Set its own value; one after another, so that an old one never overtakes a new one."""
        async with self._writing:
            OPERATION.set(operation)
            version = max(1, self._version + higher)
            await self._server.set(self._identity.name, value_of(self._identity, version))
            if operation.acks:
                self._version = version
            return operation.acks > 0

    async def _look_after(self, known: list[tuple[str, int]], random: Random, *, is_kept: bool) -> None:
        """Do what a sensible owner does, for ever."""
        while True:
            is_well = is_kept and self.contacts()
            interval_s = RESET_INTERVAL_S if is_well else RETRY_INTERVAL_S
            await asyncio.sleep(interval_s * random.uniform(1 - JITTER, 1 + JITTER))
            if not self.contacts():
                await self._ask(self._server.bootstrap(known))
            kept, _ = await self._ask(self._set(Operation(stock_key_of(self._identity)), higher=0))
            is_kept = bool(kept)

    async def _end(self) -> None:
        self._is_over = True
        self._server.stop()
        protocol, transport = self._server.protocol, self._server.transport
        if protocol is not None:
            for _, timer in protocol._outstanding.values():
                timer.cancel()  # it would complete a request that nobody waits for any more
        await self._household.close()
        if transport is not None:
            await transport.release()


async def _answered(work: Coroutine[Any, Any, object], outcome: asyncio.Future[tuple[object, str]]) -> None:
    """Run ``work`` and put what came of it into ``outcome``."""
    result: object = None
    error = ""
    try:
        async with asyncio.timeout(CUT_OFF_S):
            result = await work
    except Exception as raised:  # noqa: BLE001 - a stock server raises whatever replies make it raise
        error = "timeout" if isinstance(raised, TimeoutError) else type(raised).__name__
    if not outcome.done():
        outcome.set_result((result, error))
