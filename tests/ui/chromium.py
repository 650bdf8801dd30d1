"""A real Chromium without a window, and what it complains about."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

CONTRAST = """
() => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || node.closest("noscript, :disabled, svg, .skip")) continue;
    const [one, other] = [light(channels(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push(`${text.data.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
}
"""
"""Returns the texts whose contrast to their ground is below what WCAG 2.2 AA asks for."""

NAMELESS = """
() => [...document.querySelectorAll("a, button, input, [role=button], [role=tab]")]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.getAttribute("aria-label") ?? node.textContent).trim())
  .map((node) => node.outerHTML.slice(0, 120))
"""
"""Returns the controls that a screen reader could not name."""

OVERFLOW = "() => document.documentElement.scrollWidth - window.innerWidth"
"""Returns by how many pixels the page is wider than the window."""

SPILLED = """
() => [...document.querySelectorAll(".card, .tile, .rail")]
  .filter((node) => node.scrollWidth > node.clientWidth + 1)
  .map((node) => node.ariaLabel ?? node.className)
"""
"""Returns the cards whose content is wider than they are."""


@dataclass(kw_only=True)
class Complaints:
    """What a page did that it should not."""

    messages: list[str] = field(default_factory=list)
    """Errors and warnings of the console, violations of the policy among them, and uncaught errors."""
    hosts: set[str] = field(default_factory=set)
    """Whom it sent requests to."""

    def watch(self, page: Page) -> None:
        """Listen to a page."""

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.messages.append(message.text)

        def asked(request: Request) -> None:
            self.hosts.add(urlsplit(request.url).netloc)

        page.on("console", said)
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", asked)
        page.on("dialog", lambda dialog: self.messages.append(f"dialog: {dialog.message}"))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield a browser; the test is skipped where there is none."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("Chromium is missing: none of " + ", ".join(NAMES) + " is on the PATH")
    async with async_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[tuple[Page, Complaints]]:
    """Yield a page in a window of its own, and what it complains about."""
    context = await browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)
    page = await context.new_page()
    page.set_default_timeout(15_000)
    complaints = Complaints()
    complaints.watch(page)
    try:
        await page.goto(url)
        yield page, complaints
    finally:
        await context.close()
