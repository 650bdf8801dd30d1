"""The status page of real daemons in a real browser: every page, by keyboard too, and what it must not do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from pilotdht.ui.live import PARTS
from tests.support.daemon_processes import Agent, agents
from tests.ui.chromium import CONTRAST, NAMELESS, OVERFLOW, SPILLED, chromium, opened

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.timeout(180)]

MOST_TABS = 60
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agent, Agent]]:
    """Yield two daemons that know each other, are in a group, and of which the second asks the first for trust."""
    with agents(tmp_path_factory.mktemp("ui"), 2) as (alpha, beta):
        seed = alpha.start("--hostname", "agent-alpha", "--tags", "mcp,finance")["endpoints"][0]
        beta.start("--hostname", "agent-beta", "--bootstrap", seed)
        for agent in (alpha, beta):
            agent.json("group", "join", "research")
        beta.json("handshake", "agent-alpha", "we work on the same report")
        yield alpha, beta


def link(agent: Agent) -> str:
    """Return a login link."""
    url = agent.json("ui", "--print")["url"]
    assert isinstance(url, str)
    return url


async def go(page: Page, name: str) -> None:
    """Open one of the pages, and wait until it has been told its facts."""
    await page.click(f'nav a[href="/{name}"]')
    await expect(page.locator("nav a[aria-current=page]")).to_have_attribute("href", f"/{name}")
    await page.locator(".card").first.wait_for()
    await page.wait_for_selector(".loading", state="detached")


async def tab_to(page: Page, label: str) -> None:
    """Press Tab until the control with that name has the focus."""
    for _ in range(MOST_TABS):
        await page.keyboard.press("Tab")
        name = await page.evaluate("() => { const n = document.activeElement; return n.ariaLabel ?? n.textContent }")
        if label in name:
            return
    raise AssertionError(f"Tab does not lead to {label!r}")


async def test_every_page_is_shown_without_a_complaint(two: tuple[Agent, Agent]) -> None:
    """Login by the link; each page has facts, names for all controls and enough contrast, and asks nobody else."""
    url = link(two[0])
    async with chromium() as browser, opened(browser, url) as (page, complaints):
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        assert "login" not in page.url
        (cookie,) = await page.context.cookies()
        assert (True, "Strict") == (cookie.get("httpOnly"), cookie.get("sameSite"))
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            for name in PARTS:
                await go(page, name)
                assert [] == await page.evaluate(CONTRAST), name
                assert [] == await page.evaluate(NAMELESS), name
                assert [] == await page.evaluate(SPILLED), name
        await go(page, "groups")
        await expect(page.get_by_role("cell", name="agent-beta")).to_be_visible()
        two[1].json("broadcast", "research", "the report is ready")
        await expect(page.get_by_text("the report is ready")).to_be_visible()
        await go(page, "lookups")
        await page.get_by_role("searchbox").fill("agent-beta")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Found agent-beta")).to_be_visible()
        await page.locator(".choices button").first.wait_for()
        assert [] == complaints.messages
        assert {url.split("/")[2]} == complaints.hosts


@pytest.mark.parametrize("name", list(PARTS))
async def test_page_fits_a_phone(two: tuple[Agent, Agent], name: str) -> None:
    """Nothing is wider than the window of a phone."""
    async with chromium() as browser, opened(browser, link(two[0]), width=390) as (page, complaints):
        await go(page, name)
        await page.wait_for_timeout(300)
        assert 0 >= await page.evaluate(OVERFLOW)
        assert [] == await page.evaluate(SPILLED)
        assert [] == complaints.messages


async def test_trust_is_given_by_keyboard_alone(two: tuple[Agent, Agent]) -> None:
    """From the first key to the approved request without a pointer."""
    alpha, _ = two
    async with chromium() as browser, opened(browser, link(alpha)) as (page, complaints):
        await expect(page.get_by_text("asks for trust")).to_be_visible()
        await tab_to(page, "Trust")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("we work on the same report")).to_be_visible()
        await tab_to(page, "Reject agent-beta")
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Reason for rejecting agent-beta")).to_be_focused()
        await tab_to(page, "Cancel")
        await page.keyboard.press("Enter")
        await tab_to(page, "Approve agent-beta")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status").get_by_text("agent-beta is trusted now.")).to_be_visible()
        await expect(page.get_by_text("Nobody is waiting")).to_be_visible()
        assert [] == complaints.messages
    assert ["agent-beta"] == [entry["hostname"] for entry in alpha.json("trust")["trusted"]]


async def test_map_is_walked_by_keyboard(two: tuple[Agent, Agent]) -> None:
    """The dots of the map can be reached and chosen with keys."""
    async with chromium() as browser, opened(browser, link(two[0])) as (page, _):
        await go(page, "network")
        await page.locator(".sky .node").first.wait_for()
        await page.locator(".sky .node[tabindex='0']").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("region", name="Chosen node")).to_be_visible()
        await expect(page.locator(".sky .node[aria-pressed=true]")).to_be_focused()


async def test_dark_mode_follows_the_system_and_the_button(two: tuple[Agent, Agent]) -> None:
    """Dark where the system is dark, unless somebody chose otherwise; the choice outlives the page."""

    async def ground(page: Page) -> int:
        colour = await page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0])

    async with chromium() as browser, opened(browser, link(two[0]), scheme="dark") as (page, _):
        await page.locator(".tile").first.wait_for()
        assert await ground(page) < 60
        await page.get_by_role("button", name="Theme: auto").click()
        await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
        assert await ground(page) > 200
        await page.reload()
        await page.locator(".tile").first.wait_for()
        assert await ground(page) > 200


async def test_used_link_and_logging_out_lead_to_the_gate(two: tuple[Agent, Agent]) -> None:
    """A second browser with the same link sees how to get one of its own; logging out leads there too."""
    url = link(two[0])
    async with chromium() as browser, opened(browser, url) as (page, _):
        await page.locator(".tile").first.wait_for()
        async with opened(browser, url) as (other, _):
            await expect(other.get_by_text("This link was used already")).to_be_visible()
            await expect(other.get_by_text("pilotdht ui")).to_be_visible()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", name="Log in from the command line")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Log in from the command line")).to_be_visible()


async def test_page_of_another_port_reaches_nothing(two: tuple[Agent, Agent]) -> None:
    """A page of another program on this machine, in the same browser, can neither act nor read nor frame."""
    alpha, beta = two
    alpha.run("untrust", "agent-beta")
    beta.run("untrust", "agent-alpha")
    beta.json("handshake", "agent-alpha", "once more")
    target = beta.json("info")["did"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<!doctype html><title>other</title>"
        writer.write(
            f"HTTP/1.1 {HTTPStatus.OK.value} OK\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        other = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with chromium() as browser, opened(browser, link(alpha)) as (page, _):
            await page.locator(".tile").first.wait_for()
            ours = page.url.rstrip("/").removesuffix("/overview")
            attacker = await page.context.new_page()
            await attacker.goto(other)
            for mode, kind in (("cors", "application/json"), ("no-cors", "text/plain"), ("cors", "text/plain")):
                outcome = await attacker.evaluate(
                    """async ([url, mode, kind, target]) => {
                        try {
                          const answer = await fetch(url, {method: "POST", mode, credentials: "include",
                            headers: {"content-type": kind}, body: JSON.stringify({target})});
                          return answer.type === "opaque" ? "opaque" : String(answer.status);
                        } catch (error) { return "failed"; }
                    }""",
                    [f"{ours}/api/do/approve", mode, kind, target],
                )
                assert outcome in ("failed", "opaque")
            framed = await attacker.evaluate(
                """async (url) => {
                    const frame = document.createElement("iframe");
                    frame.src = url;
                    const loaded = new Promise((resolve) => { frame.onload = resolve; });
                    document.body.append(frame);
                    await loaded;
                    return frame.contentDocument === null;
                }""",
                f"{ours}/trust",
            )
            assert framed
            assert "Overview" not in await attacker.frames[-1].content()
    assert [target] == [entry["did"] for entry in alpha.json("pending")["pending"]]


async def test_page_tells_when_the_daemon_is_gone(tmp_path: Path) -> None:
    """The page says so and goes on trying, instead of showing old facts as if they were new."""
    with agents(tmp_path, 1) as (alone,):
        alone.start("--hostname", "agent-alone")
        async with chromium() as browser, opened(browser, link(alone)) as (page, _):
            await expect(page.get_by_text("Alone: knows no other node")).to_be_visible()
            alone.stop()
            await expect(page.get_by_role("alert")).to_contain_text("The daemon does not answer")
