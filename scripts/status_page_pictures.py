"""Pictures of the status page, taken from a real mesh of ten agents on loopback with groups, questions and a request.

Run by ``scripts/screenshots [FOLDER] [PAGE…]``. Each page is taken light and dark, 1280 and 390 pixels wide, as PNG
with a palette. Everything else stays in a temporary directory that is removed afterwards.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from scripts.picture_mesh import OWN, mesh, talk

PAGES = ("overview", "peers", "network", "groups", "lookups", "trust", "relay")
SIZES = {1280: 860, 390: 844}
"""Height of the window by its width."""

COLOURS = 200
MAX_PICTURE_BYTES = 150_000
CHART_S = 75.0
"""How long the page is open before its chart is taken."""

WATCHED = {"relay": "edge-laptop"}
"""Whose page is taken, where it is not the first agent's."""


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
        page.locator(".sky .node.direct .body").first.click()
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
