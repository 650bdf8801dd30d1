"""Whole nodes: reaching a peer by name, starting a daemon, and what an idle one costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from aioquic.asyncio import connect, serve
from aioquic.quic.configuration import QuicConfiguration

from pilotdht.config.config import Config
from pilotdht.config.trust import TrustConfig
from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.services.ports import WellKnownPort
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better

LOOPBACK = Endpoint("127.0.0.1", 0)
MESH_NODES = 20
COMMAND_TIMEOUT_S = 30.0

BASE_PROGRAM = "import asyncio, aioquic.quic.connection, prometheus_client, kademlia.routing, h11"
"""A process that has loaded what a daemon is made of, and does nothing."""


def rows(quick: bool) -> list[Row]:
    """Return the figures of whole nodes."""
    return [
        *asyncio.run(_reaching(20 if quick else 100)),
        *_daemon(starts=3 if quick else 9, idle_s=5 if quick else 20),
    ]


async def _reaching(trials: int) -> list[Row]:
    """Measure dialling by hostname: nothing resolved, no link; and a ping on a link that stands."""
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number in range(MESH_NODES):
            config = Config(
                hostname=f"agent-{number}",
                listen=LOOPBACK,
                bootstrap=tuple(str(node.endpoints[0]) for node in nodes[:3]),
                trust=TrustConfig(is_auto_approving=True),
                resolve_cache_s=0.0,
            )
            nodes.append(await stack.enter_async_context(Node(config)))
        pairs = [(a, b) for gap in range(1, MESH_NODES) for a, b in zip(nodes, nodes[gap:], strict=False)][:trials]
        for asker, other in pairs:
            await asker.handshake(other.did)
        cold: list[float] = []
        warm: list[float] = []
        for asker, other in pairs:
            await asker.disconnect(other.did)
            await other.disconnect(asker.did)
            assert not any(link.address == other.address for link in asker.connections()), "the dial would not be cold"
            begun = time.perf_counter()
            async with await asker.dial(other.hostname, WellKnownPort.ECHO):
                cold.append(time.perf_counter() - begun)
            warm.append(await asker.ping(other.did))
        loop = asyncio.get_running_loop()
        bare = [await _bare_round_trip(loop) for _ in range(trials)]
        plain = await _plain_connects(trials)
    cold_ms, warm_ms, bare_ms, plain_ms = (1e3 * statistics.median(samples) for samples in (cold, warm, bare, plain))
    return [
        Row(
            name=f"cold dial by hostname, p50 of {len(cold)}",
            value=cold_ms,
            unit="ms",
            baseline_name="aioquic's own connect to a known endpoint, server proven only",
            baseline_value=plain_ms,
            ratio=better(cold_ms, plain_ms, lower_is_better=True),
            note=f"{MESH_NODES} nodes, one process: name and record read, both keys proven; limit 15 ms",
        ),
        Row(
            name="ping through a standing tunnel, p50",
            value=warm_ms,
            unit="ms",
            baseline_name="bare asyncio UDP echo",
            baseline_value=bare_ms,
            ratio=better(warm_ms, bare_ms, lower_is_better=True),
        ),
    ]


async def _plain_connects(trials: int) -> list[float]:
    """Return the seconds of connections by the library's own asyncio interface, both ends in this process."""
    keys = KeyPair.generate()
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["bench"])
    configuration.certificate, configuration.private_key = make_certificate(keys), keys.private_key
    server = await serve(*LOOPBACK, configuration=configuration)
    assert server._transport is not None
    host, port = server._transport.get_extra_info("sockname")
    client = QuicConfiguration(is_client=True, alpn_protocols=["bench"], verify_mode=ssl.CERT_NONE)
    taken: list[float] = []
    for _ in range(trials):
        begun = time.perf_counter()
        async with connect(host, port, configuration=client):
            taken.append(time.perf_counter() - begun)
    server.close()
    return taken


async def _bare_round_trip(loop: asyncio.AbstractEventLoop) -> float:
    """Return the seconds of one datagram there and back between two plain sockets of this process."""
    answered: asyncio.Future[None] = loop.create_future()

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.transport.sendto(data, addr)  # type: ignore[arg-type]  # as it came

    class Asker(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            answered.set_result(None)

    server, _ = await loop.create_datagram_endpoint(Server, local_addr=LOOPBACK)
    asker, _ = await loop.create_datagram_endpoint(Asker, remote_addr=server.get_extra_info("sockname"))
    begun = time.perf_counter()
    asker.sendto(b"x" * 64)
    async with asyncio.timeout(5):
        await answered
    taken = time.perf_counter() - begun
    asker.close()
    server.close()
    return taken


def _daemon(*, starts: int, idle_s: float) -> list[Row]:
    """Measure a daemon of its own: start to ready, memory and processor time when nothing happens."""
    with _home() as home:
        begun: list[float] = []
        for _ in range(starts):
            started = time.perf_counter()
            _run(home, "daemon", "start", "--hostname", "agent-alpha", "--listen", "127.0.0.1:0")
            begun.append(time.perf_counter() - started)
            _run(home, "daemon", "stop")
        process_id = int(_run(home, "daemon", "start", "--hostname", "agent-alpha", "--listen", "127.0.0.1:0")["pid"])
        resident, processor_s = _usage(process_id, idle_s)
        _run(home, "daemon", "stop")
    base_s = statistics.median(_start_base() for _ in range(starts))
    base_resident, base_processor_s = _base_usage(idle_s)
    return [
        Row(
            name=f"daemon start to ready, p50 of {starts}",
            value=statistics.median(begun),
            unit="s",
            baseline_name="interpreter with the same libraries",
            baseline_value=base_s,
            ratio=better(statistics.median(begun), base_s, lower_is_better=True),
            note="the whole command, itself an interpreter; limit 0.5 s",
        ),
        Row(
            name="idle daemon, resident memory",
            value=resident,
            unit="MiB",
            baseline_name="interpreter with the same libraries",
            baseline_value=base_resident,
            ratio=better(resident, base_resident, lower_is_better=True),
            note="limit 60 MiB",
        ),
        Row(
            name=f"idle daemon, processor time over {idle_s:g} s",
            value=100 * processor_s / idle_s,
            unit="% of a core",
            baseline_name="interpreter that sleeps",
            baseline_value=100 * base_processor_s / idle_s,
            note="limit 1 %",
        ),
    ]


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="pilotdht-bench-"))
    try:
        yield home
    finally:
        subprocess.run(_command("daemon", "stop"), env=_environment(home), capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _environment(home: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PILOTDHT_")} | {
        "PILOTDHT_HOME": str(home)
    }


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pilotdht", "--json", *arguments]


def _run(home: Path, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        _command(*arguments),
        env=_environment(home),
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    data = json.loads(done.stdout)["data"]
    assert isinstance(data, dict)
    return data


def _start_base() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", BASE_PROGRAM], check=True)
    return time.perf_counter() - started


def _base_usage(idle_s: float) -> tuple[float, float]:
    program = f"{BASE_PROGRAM}; print(flush=True); asyncio.run(asyncio.sleep({idle_s + 60}))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            return _usage(process.pid, idle_s)
        finally:
            process.kill()


def _usage(process_id: int, seconds: float) -> tuple[float, float]:
    """Return resident MiB after, and processor seconds during, a time in which nothing is asked of a process."""
    before = _processor_s(process_id)
    time.sleep(seconds)
    after = _processor_s(process_id)
    status = Path(f"/proc/{process_id}/status").read_text("ascii", "replace")
    resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(resident) / 1024, after - before


def _processor_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
