"""Pictures of the status page, taken from a real mesh of ten agents on loopback with groups, questions and a request.

Run by ``scripts/screenshots [FOLDER] [PAGE…]``. Each page is taken light and dark, 1280 and 390 pixels wide, as PNG
with a palette. Everything else stays in a temporary directory that is removed afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PAGES = ("overview", "peers", "network", "groups", "lookups", "trust", "relay")
SIZES = {1280: 860, 390: 844}
"""Height of the window by its width."""

COLOURS = 200
MAX_PICTURE_BYTES = 150_000
COMMAND_TIMEOUT_S = 30.0
CHART_S = 75.0
"""How long the page is open before its chart is taken."""

OWN = "research-lead"
TAGS = {
    OWN: "research",
    "citations": "research,mcp",
    "translator": "language,mcp",
    "archive": "storage",
    "prices": "finance,mcp",
    "planner": "research",
    "weather": "data",
    "secops": "security",
    "edge-laptop": "",
    "edge-phone": "",
}
CLIENTS = ("edge-laptop", "edge-phone")
"""Behave like agents that nobody reaches: they attach to others."""

WATCHED = {"relay": "edge-laptop"}
"""Whose page is taken, where it is not the first agent's."""

TALK = (
    ("planner", "plan.today", "three reviews before noon, the survey after"),
    ("citations", "papers.new", "Kademlia (2002) is cited by 4 of the drafts"),
    ("translator", "status", "the German summary is done"),
    ("archive", "papers.stored", "draft-17.pdf, 1.4 MB"),
    ("citations", "papers.new", "S/Kademlia (2007): section 4.4 answers the question about disjoint paths"),
    (OWN, "plan.today", "thanks, all: the report goes out at five"),
)


@dataclass
class Agent:
    """One daemon in a process of its own."""

    name: str
    home: Path

    def run(self, *words: str) -> dict[str, Any]:
        """Run one command and return its data."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PILOTDHT_")}
        done = subprocess.run(
            [sys.executable, "-m", "pilotdht", "--json", *words],
            env=kept | {"PILOTDHT_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        envelope = json.loads(done.stdout)
        if envelope["status"] != "ok":
            raise SystemExit(f"{self.name}: {' '.join(words)}: {envelope['message']}")
        data: dict[str, Any] = envelope["data"]
        return data

    def serve(self, *words: str) -> subprocess.Popen[bytes]:
        """Run a command beside."""
        return subprocess.Popen(
            [sys.executable, "-m", "pilotdht", *words],
            env=os.environ | {"PILOTDHT_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def mesh(folder: Path) -> Iterator[dict[str, Agent]]:
    """Yield running agents that know, trust and talk to one another."""
    agents = {name: Agent(name, folder / name) for name in TAGS}
    beside: list[subprocess.Popen[bytes]] = []
    seed = ""
    try:
        for name, agent in agents.items():
            options = ["--listen", "127.0.0.1:0", "--hostname", name, "--tags", TAGS[name]]
            options += ["--bootstrap", seed] if seed else []
            options += ["--set", "dht.mode=client"] if name in CLIENTS else []
            started = agent.run("daemon", "start", *options)
            seed = seed or started["endpoints"][0]
        own = agents[OWN]
        for name in ("citations", "translator", "planner", "archive"):
            agents[name].run("handshake", OWN, "we write the same report")
            own.run("approve", name)
        for name in (OWN, "planner", "citations", "translator", "archive", "weather"):
            agents[name].run("group", "join", "research")
        org = own.run("org", "create", "acme")["name"]
        for name in ("prices", "secops"):
            invitation = own.run("org", "invite", org, "--hostname", name)["invitation"]
            agents[name].run("join", "--org", org, "--token", invitation)
        beside.append(
            agents["citations"].serve("serve", "query", "--group", "research", "--can", "citations", "--", "cat")
        )
        agents["prices"].run("handshake", OWN, "May I read your forecasts? I offer live prices in return.")
        agents["edge-phone"].run("handshake", OWN, "it is me, on the train")
        for name in ("prices", "secops", "edge-laptop"):
            agents[name].run("connect", OWN)
        yield agents
    finally:
        for process in beside:
            process.terminate()
            process.wait()
        for agent in agents.values():
            with contextlib.suppress(SystemExit, subprocess.TimeoutExpired, ValueError):
                agent.run("daemon", "stop")


def talk(agents: dict[str, Agent], ending: threading.Event) -> None:
    """Let the agents go on with what agents do, until it is enough."""
    own = agents[OWN]
    for turn in range(10_000):
        author, topic, text = TALK[turn % len(TALK)]
        steps: tuple[tuple[Agent, tuple[str, ...]], ...] = (
            (agents[author], ("publish", "research", topic, text)),
            (own, ("query", "--group", "research", "who cites Shannon?", "--can", "citations")),
            (agents["translator"], ("send", OWN, "--data", "x" * (4_000 + 9_000 * (turn % 3)))),
            (own, ("recv", "--count", "1", "--timeout", "2")),
        )
        for agent, words in steps:
            if ending.is_set():
                return
            with contextlib.suppress(SystemExit, ValueError, subprocess.TimeoutExpired):
                agent.run(*words)
        ending.wait(1.5)


def take(page: Page, name: str, folder: Path) -> None:
    """Take one page in all forms."""
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two that it knows
            page.wait_for_timeout(300)
            path = folder / f"{name}-{scheme}{'' if width == max(SIZES) else '-phone'}.png"
            page.screenshot(path=path)
            with Image.open(path) as picture:
                palette = picture.convert("RGB").quantize(
                    COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
                )
            palette.save(path, optimize=True)
            size = path.stat().st_size
            if size > MAX_PICTURE_BYTES:
                raise SystemExit(f"{path} has {size} bytes; {MAX_PICTURE_BYTES} are the limit")
            print(f"{path.name}: {size} bytes")
    page.set_viewport_size({"width": max(SIZES), "height": SIZES[max(SIZES)]})


def prepare(page: Page, name: str) -> None:
    """Bring a page into the state that is worth a picture."""
    if name == "overview":
        page.wait_for_timeout(CHART_S * 1000)
    elif name == "network":
        page.locator(".sky .node.direct").first.click()
    elif name == "groups":
        page.get_by_role("tab", name="research").click()
        page.wait_for_timeout(9_000)
    elif name == "lookups":
        for target in ("archive", "weather", "#mcp", "nobody-here", "translator"):
            page.get_by_role("searchbox").fill(target)
            page.get_by_role("button", name="Look up").click()
            page.wait_for_timeout(1200)
        page.locator(".choices button").first.click()
        page.wait_for_selector(".toast", state="detached", timeout=30_000)
    page.wait_for_timeout(2500)


def main(arguments: list[str]) -> None:
    """Take the pictures."""
    folder = Path(arguments[0] if arguments else "docs/images").resolve()
    wanted = arguments[1:] or list(PAGES)
    browser_path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser_path is None:
        raise SystemExit("no Chromium on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    ending = threading.Event()
    with tempfile.TemporaryDirectory() as home, mesh(Path(home)) as agents, sync_playwright() as playwright:
        talking = threading.Thread(target=talk, args=(agents, ending))
        talking.start()
        try:
            flags = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=browser_path, args=flags)
            page = browser.new_page(viewport={"width": 1280, "height": SIZES[1280]})
            page.goto(agents[OWN].run("ui", "--print")["url"])
            for name in wanted:
                if name in WATCHED:
                    page = browser.new_page(viewport={"width": 1280, "height": SIZES[1280]})
                    page.goto(agents[WATCHED[name]].run("ui", "--print")["url"])
                page.click(f'nav a[href="/{name}"]')
                prepare(page, name)
                take(page, name, folder)
            browser.close()
        finally:
            ending.set()
            talking.join()


if __name__ == "__main__":
    began = time.monotonic()
    main(sys.argv[1:])
    print(f"done in {time.monotonic() - began:.0f} s")
