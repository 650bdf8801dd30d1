"""The status page of a fake node on loopback, and a client that sends what browsers would, or would not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotdht.config.config import Config
from pilotdht.config.ui import UiConfig
from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.paths import Paths
from pilotdht.daemon.shapes import ReloadShape
from pilotdht.ui.server import StatusPage
from tests.support.fake_node import FakeNode

ANSWER_TIMEOUT_S = 20.0


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while not is_so():  # noqa: ASYNC110 - what is waited for raises no event here
            await asyncio.sleep(0.01)


@dataclass(kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Browser:
    """Sends requests to the page's port as our own page would, unless told otherwise."""

    port: int
    cookie: str = ""
    page_key: str = ""

    def headers(self, **changes: str | None) -> dict[str, str]:
        """Return the headers of a request; names with underscores, ``None`` leaves one out."""
        host = f"127.0.0.1:{self.port}"
        base: dict[str, str | None] = {"host": host, "origin": f"http://{host}", "content-type": "application/json"}
        base |= {"cookie": f"pilotdht-{self.port}={self.cookie}"} if self.cookie else {}
        base |= {"pilotdht-page-key": self.page_key} if self.page_key else {}
        base |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in base.items() if value is not None}

    async def ask(self, method: str, path: str, fields: object = None, **changes: str | None) -> Answer:
        """Send one request and return its answer."""
        body = b"" if fields is None else json.dumps(fields).encode()
        return await self.send(method, path, body, **changes)

    async def send(self, method: str, path: str, body: bytes, **changes: str | None) -> Answer:
        """Send one request with a raw body."""
        reader, writer = await self.open(
            method, path, {"content-length": str(len(body)), "connection": "close"}, changes
        )
        try:
            writer.write(body)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                head = await read_head(reader)
                return Answer(status=head.status, headers=head.headers, body=await reader.read())
        finally:
            writer.close()

    async def open(
        self, method: str, path: str, more: dict[str, str], changes: dict[str, str | None]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Begin a request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{name}: {value}" for name, value in (self.headers(**changes) | more).items()]
        writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode())
        return reader, writer

    async def log_in(self, url: str) -> Answer:
        """Use a login link as the page does."""
        answer = await self.ask("POST", "/api/login", {"token": url.partition("#login=")[2]})
        if answer.status == 200:
            self.page_key = answer.json["data"]["page_key"]
            self.cookie = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
        return answer

    @asynccontextmanager
    async def live(self, query: str) -> AsyncIterator[asyncio.StreamReader]:
        """Open what a page hears; yields the reader behind the head of the answer."""
        reader, writer = await self.open("GET", f"/api/live?{query}", {}, {})
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                head = await read_head(reader)
                assert 200 == head.status, await reader.read()
            yield reader
        finally:
            writer.close()


async def read_head(reader: asyncio.StreamReader) -> Answer:
    """Return status and headers of an answer."""
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = text.strip().split("\r\n")
    headers = dict(
        line.lower().split(": ", 1) if "set-cookie" not in line.lower() else line.split(": ", 1) for line in lines
    )
    return Answer(
        status=int(status.split()[1]), headers={name.lower(): value for name, value in headers.items()}, body=b""
    )


async def next_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next line of a chunked answer."""
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        size = int((await reader.readline()).strip(), 16)
        data = await reader.readexactly(size + 2)
    line = json.loads(data)
    assert isinstance(line, dict)
    return line


@dataclass(kw_only=True)
class Served:
    """A page that is served."""

    page: StatusPage
    node: FakeNode = field(default_factory=FakeNode)

    async def browser(self, *, is_logged_in: bool = True) -> Browser:
        """Return a browser."""
        link = await self.page.link()
        browser = Browser(port=link["port"])
        if is_logged_in:
            assert 200 == (await browser.log_in(link["url"])).status
        return browser

    def refused(self, reason: str) -> float:
        """Return how often something was refused for a reason."""
        return self.node.registry.get_sample_value("pilotdht_ui_refused_total", {"reason": reason}) or 0.0

    def abandoned(self) -> float:
        """Return how many requests ended because their client went away, or does not read."""
        return self.node.registry.get_sample_value("pilotdht_ui_requests_total", {"outcome": "abandoned"}) or 0.0

    def open_pages(self) -> float:
        """Return how many pages are told what changes."""
        return self.node.registry.get_sample_value("pilotdht_ui_pages") or 0.0


@asynccontextmanager
async def served(directory: Path, *, ui: UiConfig | None = None, node: FakeNode | None = None) -> AsyncIterator[Served]:
    """Serve the page of a fake node while the block runs."""
    node = FakeNode() if node is None else node
    paths = Paths(data_dir=directory, config_file=directory / "config.toml", socket=directory / "control.sock")

    async def reload() -> ReloadShape:
        return {"changed": [], "needs_restart": []}

    page = StatusPage(
        node,
        config=Config(ui=UiConfig() if ui is None else ui),
        around=Surroundings(paths=paths, pid=4711, stop=lambda: None, settings={}, reload=reload),
        metrics=DaemonMetrics(node.registry, version="0.1.0"),
    )
    try:
        yield Served(page=page, node=node)
    finally:
        await page.close()
