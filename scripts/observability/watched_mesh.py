"""A mesh of real daemons on loopback that tell one another where they may be scraped, and something for them to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

from pilotdht.client.channel import ControlChannel
from pilotdht.client.client import Client
from pilotdht.errors import PilotError

START_S = 30.0
STOP_S = 10.0
GROUP = "watchers"
CAPABILITY = "echo"
PAUSE_S = 0.2
"""Between two things that a node does: a lookup, a ping, a message, a question."""

_SETTINGS = (
    "daemon.is_metrics_announced=true",
    "daemon.is_listing_targets=true",
    "daemon.target_refresh_s=2",
    "daemon.target_timeout_s=1",
    "daemon.targets_wait_s=2",
)


class Agent:
    """One daemon as a process of its own, which may be killed, stopped and started again at the same ports."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        """Its hostname."""
        self.home = home
        """Its files."""
        self.address = ""
        """Its virtual address."""
        self.endpoint = ""
        """Where peers reach it."""
        self.metrics = "127.0.0.1:0"
        """Where it may be scraped."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return Path(self._facts["socket"])

    def client(self) -> Client:
        """Return a client of it."""
        return Client(self.socket)

    async def start(self, *, bootstrap: Sequence[str] = (), listen: str = "") -> None:
        """Start it, and wait until it answers.

        Raises:
            RuntimeError: it did not start.
        """
        listening = listen or self.endpoint or "127.0.0.1:0"
        words = ["--json", "daemon", "run", "--preset", "local", "--hostname", self.name, "--tags", "watched"]
        words += ["--listen", listening, "--metrics", self.metrics]
        words += [word for one in _SETTINGS for word in ("--set", one)]
        words += [word for one in bootstrap for word in ("--bootstrap", one)]
        self.home.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PILOTDHT_", "XDG_"))}
        with (self.home / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pilotdht", *words, env={**kept, "PILOTDHT_HOME": str(self.home)},
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None, "it was asked for"
        try:
            async with asyncio.timeout(START_S):
                text = await self._process.stdout.readline()
        except TimeoutError as error:
            raise RuntimeError(f"{self.name} is not ready: {_last_words(self.home / 'log')}") from error
        if not text:
            raise RuntimeError(f"{self.name} did not start: {_last_words(self.home / 'log')}")
        self._facts = json.loads(text)["data"]
        self.address, self.endpoint = self._facts["address"], self._facts["endpoints"][0]
        async with ControlChannel(self.socket) as channel:
            listed = cast("dict[str, Any]", await channel.get("/v1/metrics/targets"))
        self.metrics = listed["targets"][0]["targets"][0]

    def kill(self) -> None:
        """End it as a power failure would."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it in its tracks, as if it were cut off."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def gone(self) -> None:
        """Wait until its process has ended."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """End it cleanly, or by force when it takes too long; safe to call twice."""
        if self._process is None or self._process.returncode is not None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


class WatchedMesh:
    """Some daemons that trust the first of them, are in one group, and are kept busy."""

    def __init__(self, folder: Path, count: int, *, seed: int = 1) -> None:
        self.agents = [Agent(f"node-{number}", folder / f"node-{number}") for number in range(count)]
        """All of them; the first is whom the others bootstrap from, and who knows where they may be scraped."""
        self.extra: list[Agent] = []
        """Started afterwards, and stopped with the others."""
        self.done = 0
        """Things done so far."""
        self.failed: dict[str, int] = {}
        """Things that failed, by code of the error."""
        self._random = Random(seed)

    @property
    def hub(self) -> Agent:
        """The first one."""
        return self.agents[0]

    @property
    def discover(self) -> str:
        """URL at which it tells who may be scraped."""
        return f"http://{self.hub.metrics}/targets"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start all, have them trust the hub and join the group; stop all at the end."""
        try:
            await self.hub.start()
            async with asyncio.TaskGroup() as group:
                for agent in self.agents[1:]:
                    group.create_task(agent.start(bootstrap=[self.hub.endpoint]))
            async with self.hub.client() as hub:
                await hub.create_group(GROUP)
            for agent in self.agents[1:]:
                await self._befriend(agent)
            yield
        finally:
            async with asyncio.TaskGroup() as group:
                for agent in (*self.agents, *self.extra):
                    group.create_task(agent.stop())

    async def _befriend(self, agent: Agent) -> None:
        async with agent.client() as client, self.hub.client() as hub:
            await client.handshake(self.hub.address, "watched")
            while not any(str(one.address) == agent.address for one in await hub.pending()):  # noqa: ASYNC110 - asked for
                await asyncio.sleep(0.05)
            await hub.approve(agent.address)
            await client.join_group(GROUP)

    async def keep_busy(self) -> None:
        """Look up, ping, write, ask and publish, until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(agent.client()) for agent in self.agents]
            clients[0].on_query(CAPABILITY, group=None)(lambda question: question.text)
            clients[0].on_query(CAPABILITY, group=GROUP)(lambda question: question.text)
            await clients[0].until_serving(CAPABILITY, group=GROUP)
            while True:
                index = self._random.randrange(1, len(clients))
                others = [agent for agent in self.agents if agent is not self.agents[index]]
                await self._do_something(clients[index], self._random.choice(others))
                await asyncio.sleep(PAUSE_S)

    async def _do_something(self, client: Client, other: Agent) -> None:
        hub = self.hub.address
        what = self._random.randrange(7)
        try:
            async with asyncio.timeout(3.0):
                if what == 0:
                    await client.find(other.name, fresh=True)
                elif what == 1:
                    await client.dht_lookup(other.address)
                elif what == 2:
                    await client.ping(hub)
                elif what == 3:
                    await client.group(GROUP).publish("news", self._random.randbytes(200))
                elif what == 4:
                    await client.query(hub, "hello", capability=CAPABILITY)
                elif what == 5:
                    await client.query_group(GROUP, "hello", capability=CAPABILITY)
                else:
                    await client.disconnect(other.address)
                    await client.connect(other.address, timeout_s=2.0)
        except (PilotError, TimeoutError) as error:  # others may be dead: that is what is watched
            code = error.code if isinstance(error, PilotError) else "timeout"
            self.failed[code] = self.failed.get(code, 0) + 1
        else:
            self.done += 1


def _last_words(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-1000:]
