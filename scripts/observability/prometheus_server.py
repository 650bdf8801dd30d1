"""A Prometheus of one's own for a while: on loopback, with its data in a folder that goes away with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.observability.rules import alert_rules, recording_rules

START_S = 20.0
REQUEST_S = 10.0
STOP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The newest value of one series."""

    labels: dict[str, str]
    """Its labels."""
    value: float
    """The value; may be no number."""


class PrometheusServer:
    """A running Prometheus and its HTTP API."""

    def __init__(self, url: str, targets_file: Path) -> None:
        self.url = url
        """Where it is."""
        self._targets_file = targets_file

    def watch_also(self, *endpoints: str) -> None:
        """Scrape these as well, besides what service discovery tells."""
        content = json.dumps([{"targets": list(endpoints)}])
        draft = self._targets_file.with_suffix(".draft")
        draft.write_text(content, encoding="ascii")
        draft.replace(self._targets_file)

    async def query(self, expr: str) -> list[Sample]:
        """Return the samples of an instant query.

        Raises:
            RuntimeError: Prometheus does not take it.
        """
        data = await self._get("/api/v1/query", query=expr)
        if data["resultType"] == "scalar":
            return [Sample(labels={}, value=float(data["result"][1]))]
        return [Sample(labels=one["metric"], value=float(one["value"][1])) for one in data["result"]]

    async def query_range(self, expr: str, *, start: float, end: float, step_s: float) -> list[list[float]]:
        """Return the values of each series of a range query.

        Raises:
            RuntimeError: Prometheus does not take it.
        """
        data = await self._get("/api/v1/query_range", query=expr, start=start, end=end, step=step_s)
        return [[float(value) for _, value in one["values"]] for one in data["result"]]

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        data = await self._get("/api/v1/alerts")
        return {one["labels"]["alertname"] for one in data["alerts"] if one["state"] == "firing"}

    async def up(self) -> dict[str, bool]:
        """Return whether each node could be scraped, by instance."""
        return {one.labels["instance"]: one.value == 1 for one in await self.query("up")}

    async def rule_errors(self) -> list[str]:
        """Return what rules could not be evaluated, and why."""
        data = await self._get("/api/v1/rules")
        return [
            f"{rule['name']}: {rule['lastError']}"
            for group in data["groups"]
            for rule in group["rules"]
            if rule.get("lastError")
        ]

    async def _get(self, path: str, **fields: object) -> Any:  # noqa: ANN401 - JSON
        return await asyncio.to_thread(self._fetch, f"{self.url}{path}?{urllib.parse.urlencode(fields)}")

    def _fetch(self, url: str) -> Any:  # noqa: ANN401
        try:
            with urllib.request.urlopen(url, timeout=REQUEST_S) as answer:  # noqa: S310 - our own
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            content = json.load(error)
        if content["status"] != "success":
            raise RuntimeError(f"{content['error']}: {url}")
        return content["data"]


def find_prometheus() -> str | None:
    """Return the program, or ``None`` when it is not installed."""
    return shutil.which("prometheus")


@contextlib.asynccontextmanager
async def prometheus(
    folder: Path, *, discover: str, scale: float, scrape_s: float = 1.0, port: int = 0
) -> AsyncIterator[PrometheusServer]:
    """Run a Prometheus until the block ends.

    Args:
        folder: for its configuration and data.
        discover: URL of service discovery.
        scale: how much shorter windows and delays of the rules are; 1: as they are.
        scrape_s: how often nodes are asked.
        port: where its pages are served; 0: any that is free.

    Raises:
        RuntimeError: it does not start; with its last words.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a command of its own: nobody else waits
    port = port or _free_port()
    also = folder / "targets.json"
    server = PrometheusServer(f"http://127.0.0.1:{port}", also)
    server.watch_also()
    config = folder / "prometheus.yml"
    config.write_text(_configuration(folder, discover=discover, also=also, scale=scale, scrape_s=scrape_s), "utf-8")
    program = find_prometheus()
    if program is None:
        raise RuntimeError("prometheus is not installed: apt-get install prometheus")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - as above
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--storage.tsdb.retention.time=2h",
                "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # an interrupt is for us, and we end it
        )
    try:
        await _until_ready(server, process, folder / "log")
        yield server
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until_ready(server: PrometheusServer, process: subprocess.Popen[bytes], log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_S
    while loop.time() < deadline and process.poll() is None:
        try:
            await server.query("1")
        except (OSError, RuntimeError, ValueError):
            await asyncio.sleep(0.1)
        else:
            return
    raise RuntimeError(f"prometheus did not start: {log.read_text('utf-8', 'replace')[-2000:]}")  # noqa: ASYNC240


def _configuration(folder: Path, *, discover: str, also: Path, scale: float, scrape_s: float) -> str:
    files = {"figures.yml": recording_rules(scale=scale), "alerts.yml": alert_rules(scale=scale)}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    interval = f"{round(scrape_s * 1000)}ms"
    relabelled: Sequence[dict[str, object]] = (
        {"source_labels": ["__meta_pilotdht_hostname"], "regex": "(.+)", "target_label": "instance"},
    )
    content = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(folder / name) for name in files],
        "scrape_configs": [
            {
                "job_name": "pilotdht",
                "http_sd_configs": [{"url": discover, "refresh_interval": "2s"}],
                "file_sd_configs": [{"files": [str(also)], "refresh_interval": "1s"}],
                "relabel_configs": list(relabelled),
            }
        ],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
