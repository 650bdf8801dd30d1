"""Each kind of road is shown as what it is, on every page that shows tunnels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import expect

from pilotdht.identity.keys import KeyPair
from pilotdht.node.facts import ConnectionInfo
from tests.support.fake_node import FakeNode
from tests.ui.chromium import chromium, opened
from tests.ui.page_client import served

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.timeout(120)]

KEYS = [KeyPair.from_seed(bytes([number]) * 32) for number in range(60, 65)]


class Connected(FakeNode):
    """A node with a tunnel of each kind."""

    def connections(self) -> Sequence[ConnectionInfo]:
        """Return one link a road; the last key's owner carries for two of them."""
        (one,) = super().connections()
        server = KEYS[4].address
        return [
            replace(one, address=KEYS[0].address, hostname="near", is_lan=True),
            replace(one, address=KEYS[1].address, hostname="far"),
            replace(one, address=KEYS[2].address, hostname="hidden", relay=server),
            replace(one, address=KEYS[3].address, hostname="walled", trunk=server),
        ]


async def test_roads_are_told_apart(tmp_path: Path) -> None:
    """On the link, direct, through a relay, over TCP; the last two name who carries."""
    server = str(KEYS[4].address)
    async with (
        served(tmp_path, node=Connected()) as ours,
        chromium() as browser,
        opened(browser, (await ours.page.link())["url"]) as (page, complaints),
    ):
        await expect(page.locator(".tile").first).to_contain_text("2 direct, 2 carried by others")
        await page.click('nav a[href="/peers"]')
        for name, road in (
            ("near", "Local network"),
            ("far", "Direct"),
            ("hidden", f"Relayed via {server}"),
            ("walled", f"Over TCP via {server}"),
        ):
            row = page.get_by_role("row").filter(has_text=name)
            await expect(row.get_by_role("cell").nth(1)).to_have_text(road)
        await page.click('nav a[href="/network"]')
        await expect(page.locator(".sky .node.direct")).to_have_count(2)
        await expect(page.locator(".sky .node.relayed")).to_have_count(2)
        await page.click('nav a[href="/relay"]')
        carried = page.get_by_role("region", name="Tunnels that others carry")
        await expect(carried.get_by_role("listitem")).to_have_count(2)
        assert [] == complaints.messages
