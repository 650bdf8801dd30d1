"""The DHT: reading and writing beside the stock Kademlia server, joining at scale, memory a contact.

All nodes are real, in one process, on 127.0.0.1. A dead node is a closed socket: nothing is repaired before measuring.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import mmap
import random
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kademlia.network import Server

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.dht.routing import RoutingTable
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.peers import KnownPeers
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import SignedRecord
from pilotdht.wire.seal import NONCE_BYTES, Sealer, network_salt
from scripts.benchmarks.report import Row, better
from tests.support.loopback_mesh import LoopbackMesh

STOCK = "kademlia 2.2 Server"
SHARE_KILLED = 0.3
AT_ONCE = 20
BOUND_S = 60.0
SETTLE_S = 2.0
CONTACTS = 1000
UNIX_TIME = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a number of operations took."""

    seconds: list[float]
    """Of each, sorted; the bound for what did not end."""
    succeeded: int
    """How many did what they should."""
    datagrams: float
    """Sent by the whole mesh, an operation."""

    def percentile_ms(self, share: float) -> float:
        """Return a percentile in milliseconds."""
        return 1000 * self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * share))]

    @property
    def success(self) -> float:
        """Share that succeeded."""
        return self.succeeded / len(self.seconds)


class Mesh(Protocol):
    """A mesh of either kind."""

    @property
    def datagrams(self) -> int:
        """Sent so far by all nodes."""
        ...

    async def write(self, index: int) -> bool:
        """Write value ``index`` from a random live node."""
        ...

    async def read(self, index: int) -> bool:
        """Read value ``index`` from a random live node."""
        ...

    async def kill(self, share: float) -> None:
        """Close a share of the nodes without a word."""
        ...


def rows(quick: bool) -> list[Row]:
    """Return the figures of the DHT."""
    logging.getLogger("rpcudp").setLevel(logging.CRITICAL)
    logging.getLogger("kademlia").setLevel(logging.CRITICAL)
    found = _memory()  # first: later the process has memory to spare, and its resident size says nothing
    for count in (50,) if quick else (50, 200):
        found += asyncio.run(_beside_stock(count, operations=20 if quick else 100))
    for count in (100,) if quick else (200, 1000):
        found += asyncio.run(_scale(count, reads=200 if quick else 1000))
    return found


# Beside the stock server


class OurMesh:
    """Ours, with a NODE record of each writer as the value."""

    def __init__(self, mesh: LoopbackMesh) -> None:
        self._mesh = mesh
        self._written: dict[int, SignedRecord] = {}

    @property
    def datagrams(self) -> int:
        """Sent so far by all nodes."""
        metrics = self._mesh.net_metrics
        return 0 if metrics is None else metrics.datagrams_out

    async def write(self, index: int) -> bool:
        """Write the record of one more key."""
        keys = KeyPair.from_seed(index.to_bytes(32, "big"))
        node = self._mesh.random.choice(self._mesh.live())
        signed = node.signed(keys=keys)
        self._written[index] = signed
        return (await node.dht.put(signed)).is_kept

    async def read(self, index: int) -> bool:
        """Read it, the first valid copy."""
        signed = self._written[index]
        node = self._mesh.random.choice(self._mesh.live())
        found = await node.dht.get_record(signed.record.key, signer=signed.record.public_key, quorum=1)
        return found == signed

    def written(self, index: int) -> SignedRecord:
        """Return what was written as ``index``."""
        return self._written[index]

    async def kill(self, share: float) -> None:
        """Close a share of the nodes without a word."""
        await self._mesh.kill(share)


class StockMesh:
    """The package's own server, unchanged."""

    def __init__(self, seed: int) -> None:
        self.datagrams = 0
        self.seconds_joining = 0.0
        self.servers: list[Server] = []
        self._random = random.Random(seed)

    async def add(self) -> None:
        """Start one more server and join it through three others."""
        server = Server()
        started = time.perf_counter()
        await server.listen(0, "127.0.0.1")
        transport = server.protocol.transport
        send = transport.sendto

        def counted(data: bytes, address: object = None) -> None:
            self.datagrams += 1
            send(data, address)

        transport.sendto = counted
        if self.servers:
            seeds = self._random.sample(self.servers, min(3, len(self.servers)))
            await server.bootstrap([seed.transport.get_extra_info("sockname") for seed in seeds])
        self.seconds_joining += time.perf_counter() - started
        self.servers.append(server)

    async def write(self, index: int) -> bool:
        """Set a value of the size of a record."""
        return bool(await self._random.choice(self.servers).set(f"key-{index}", f"{index:0200d}"))

    async def read(self, index: int) -> bool:
        """Get it."""
        return bool(await self._random.choice(self.servers).get(f"key-{index}") == f"{index:0200d}")

    async def kill(self, share: float) -> None:
        """Close a share of the servers without a word."""
        dying = self._random.sample(self.servers, int(len(self.servers) * share))
        for server in dying:
            self.servers.remove(server)
            server.stop()
        await asyncio.sleep(0)

    def stop(self) -> None:
        """Close all."""
        for server in self.servers:
            server.stop()


async def _beside_stock(count: int, *, operations: int) -> list[Row]:
    async with LoopbackMesh(count) as mesh:
        await asyncio.sleep(SETTLE_S)
        ours = await _exercised(OurMesh(mesh), operations)
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # the stock server leaves many
    stock_mesh = StockMesh(1)
    for _ in range(count):
        await stock_mesh.add()
    await asyncio.sleep(SETTLE_S)
    stock = await _exercised(stock_mesh, operations)
    stock_mesh.stop()
    found: list[Row] = []
    for name, mine in ours.items():
        theirs = stock[name]
        note = f"success {mine.success:.3f}, stock {theirs.success:.3f}"
        for share in (0.5, 0.95):
            value, baseline = mine.percentile_ms(share), theirs.percentile_ms(share)
            found.append(_compared(f"{name}, {count} nodes, p{share * 100:.0f}", value, baseline, "ms", note))
        found.append(
            _compared(f"{name}, {count} nodes, datagrams", mine.datagrams, theirs.datagrams, "", "by the whole mesh")
        )
    return found


def _compared(name: str, value: float, baseline: float, unit: str, note: str) -> Row:
    return Row(
        name=name,
        value=value,
        unit=unit,
        baseline_name=STOCK,
        baseline_value=baseline,
        ratio=better(value, baseline, lower_is_better=True),
        note=note,
    )


async def _exercised(mesh: Mesh, operations: int) -> dict[str, Figures]:
    """Measure writes and reads one after the other, then the same with dead nodes, some at once."""
    found = {
        "set": await _measured(mesh, mesh.write, range(operations), at_once=1),
        "get": await _measured(mesh, mesh.read, range(operations), at_once=1),
    }
    await mesh.kill(SHARE_KILLED)
    found["get, 30 % dead"] = await _measured(mesh, mesh.read, range(min(operations, 60)), at_once=AT_ONCE)
    few = range(operations, operations + AT_ONCE)
    found["set, 30 % dead"] = await _measured(mesh, mesh.write, few, at_once=AT_ONCE)
    return found


async def _measured(
    mesh: Mesh, operation: Callable[[int], Awaitable[bool]], indexes: Sequence[int], *, at_once: int
) -> Figures:
    sent = mesh.datagrams
    seconds: list[float] = []
    succeeded = 0

    async def one(index: int) -> None:
        nonlocal succeeded
        started = time.perf_counter()
        try:
            async with asyncio.timeout(BOUND_S):
                is_done = await operation(index)
        except Exception:  # noqa: BLE001 - the stock server raises what it likes; it counts as a failure
            is_done = False
        succeeded += is_done
        seconds.append(time.perf_counter() - started)

    for start in range(0, len(indexes), at_once):
        async with asyncio.TaskGroup() as group:
            for index in indexes[start : start + at_once]:
                group.create_task(one(index))
    return Figures(sorted(seconds), succeeded, (mesh.datagrams - sent) / len(indexes))


# Scale


async def _scale(count: int, *, reads: int) -> list[Row]:
    joins: list[float] = []
    found: list[Row] = []
    async with LoopbackMesh(0) as mesh:
        started_cpu = time.process_time()
        for _ in range(count):
            started = time.perf_counter()
            await mesh.add()
            joins.append(time.perf_counter() - started)
        cpu_ms = 1000 * (time.process_time() - started_cpu) / count
        joins.sort()
        ours = OurMesh(mesh)
        label = f"{count} nodes"
        found.append(
            Row(
                name=f"join, {label}, p50",
                value=1000 * joins[count // 2],
                unit="ms",
                note=f"p95 {1000 * joins[int(count * 0.95)]:.1f} ms; CPU of all nodes {cpu_ms:.1f} ms a join",
            )
        )
        found.append(
            Row(name=f"join, {label}, datagrams", value=ours.datagrams / count, unit="", note="upkeep included")
        )
        await asyncio.sleep(SETTLE_S)
        known = statistics.mean(len(node.dht.table) for node in mesh.nodes)
        found.append(Row(name=f"contacts known, {label}", value=known, unit="", note="mean of all tables"))
        values = min(count, 200)
        found += _read_rows(f"set, {label}", await _measured(ours, ours.write, range(values), at_once=1))
        await asyncio.sleep(SETTLE_S)
        chosen = [mesh.random.randrange(values) for _ in range(reads)]
        found += _read_rows(f"get, {label}", await _measured(ours, ours.read, chosen, at_once=1))
        quorum = await _measured(ours, _Quorum(mesh, ours).read, chosen[: reads // 2], at_once=1)
        found += _read_rows(f"get with quorum 4, {label}", quorum)
        await ours.kill(SHARE_KILLED)
        found += _read_rows(f"get, 30 % dead, {label}", await _measured(ours, ours.read, chosen, at_once=1))
    return found


class _Quorum:
    """Reads that compare three holders."""

    def __init__(self, mesh: LoopbackMesh, ours: OurMesh) -> None:
        self._mesh = mesh
        self._ours = ours

    async def read(self, index: int) -> bool:
        """Read value ``index`` from a random live node."""
        signed = self._ours.written(index)
        node = self._mesh.random.choice(self._mesh.live())
        found = await node.dht.get_record(signed.record.key, signer=signed.record.public_key, quorum=4)
        return found == signed


def _read_rows(name: str, figures: Figures) -> list[Row]:
    return [
        Row(
            name=f"{name}, p50",
            value=figures.percentile_ms(0.5),
            unit="ms",
            note=f"success {figures.success:.3f}, {figures.datagrams:.1f} datagrams by the whole mesh",
        ),
        Row(name=f"{name}, p95", value=figures.percentile_ms(0.95), unit="ms"),
    ]


# Memory


def _memory() -> list[Row]:
    """Measure what a thousand contacts take: in the table, and with round-trip times, tokens and sealing keys."""
    generator = random.Random(1)
    keys = KeyPair.from_seed(bytes(32))
    salt = network_salt(0, b"")
    peers = [KeyPair.from_seed(generator.randbytes(32)) for _ in range(CONTACTS)]
    greetings = [_sealed(Sealer(peer, salt=salt, capacity=1), keys.public_key) for peer in peers]
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    table = RoutingTable(keys.node_id, DhtConfig(bucket_size=128), PrefixRule(are_private_exempt=True))
    for number, peer in enumerate(peers):
        endpoint = Endpoint(f"10.{number // 250}.{number % 250}.7", 20_000 + number)
        table.verified(Contact(PublicKey(bytes(bytearray(peer.public_key))), endpoint), float(number))
    gc.collect()
    in_table = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    resident = _resident_bytes()
    known_peers = KnownPeers(capacity=2 * CONTACTS)
    sealer = Sealer(keys, salt=salt, capacity=2 * CONTACTS)
    for known in table:
        known_peers.answered(known.contact).address_token = generator.randbytes(8)
        _sealed(sealer, known.contact.public_key)
    for greeting in greetings:
        sealer.open_untrusted(greeting, unix_time=UNIX_TIME)
    in_use = _resident_bytes() - resident
    kept = len(table)
    return [
        Row(
            name=f"memory a known contact, {kept:,} contacts",
            value=in_table / kept,
            unit="bytes",
            note="key, id, endpoint, place in the table, spares included",
        ),
        Row(
            name=f"memory a contact in use, {kept:,} contacts",
            value=(in_table + in_use) / kept,
            unit="bytes",
            note="with round-trip times, address token, and sealing keys both ways (resident, native memory included)",
        ),
    ]


def _sealed(sealer: Sealer, peer: PublicKey) -> bytes:
    return sealer.seal(peer, b"greeting", nonce=bytes(NONCE_BYTES), unix_time=UNIX_TIME)


def _resident_bytes() -> int:
    """Return the resident memory of this process; zero where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * mmap.PAGESIZE
