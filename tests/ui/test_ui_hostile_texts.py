"""Markup, overrides, escape sequences and overlong texts in every field a stranger fills do nothing to the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pilotdht.gossip.values import GroupInfo
from pilotdht.identity.keys import KeyPair
from pilotdht.net.outcomes import Silent
from pilotdht.node.facts import ConnectionInfo, NetCheck, NodeInfo
from pilotdht.trust.book import TrustEntry
from pilotdht.trust.standing import Standing
from pilotdht.trust.states import TrustState
from pilotdht.ui.live import PARTS
from pilotdht.wire.contact import Contact
from pilotdht.wire.groups import GroupId
from tests.support.fake_groups import event, member
from tests.support.fake_node import THERE, FakeNode
from tests.ui.chromium import OVERFLOW, SPILLED, chromium, opened
from tests.ui.page_client import served

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.timeout(180)]

MARKUP = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>"\'>`${window.harmed=1}`'
OVERRIDE = "good\u202eexe.dab\u2066x\u200b\u200f"
ESCAPE = "\x1b[2J\x1b]0;owned\x07\r\nforged line"
OVERLONG = "w" * 10_000
STACKED = "z" + "\u0335\u0489" * 300
HOSTILE = (MARKUP, OVERRIDE, ESCAPE, OVERLONG, STACKED)


def entry(number: int, text: str, state: TrustState) -> TrustEntry:
    """Return an entry of the trust book that somebody filled."""
    keys = KeyPair.from_seed(bytes([list(TrustState).index(state) + 1, number + 1]) * 16)
    made = TrustEntry(public_key=keys.public_key, hostname=text, reason=text, since=1_700_000_000.0)
    return replace(made, standing=Standing(state=state))


class HostileNode(FakeNode):
    """A node that knows nothing but hostile texts."""

    def info(self) -> NodeInfo:
        """Return what the own configuration could say at worst."""
        return replace(super().info(), hostname=MARKUP, tags=HOSTILE, version=ESCAPE)

    def connections(self) -> Sequence[ConnectionInfo]:
        """Return links to peers with hostile names."""
        (one,) = super().connections()
        addresses = [entry(number, "", TrustState.TRUSTED).address for number in range(len(HOSTILE))]
        return [
            replace(one, hostname=text, address=address, relay=addresses[0] if number % 2 else None)
            for number, (text, address) in enumerate(zip(HOSTILE, addresses, strict=True))
        ]

    def pending(self) -> Sequence[TrustEntry]:
        """Return requests with hostile reasons."""
        return [entry(number, text, TrustState.PENDING_IN) for number, text in enumerate(HOSTILE)]

    def trusted(self) -> Sequence[TrustEntry]:
        """Return entries with hostile reasons."""
        return [entry(number, text, TrustState.TRUSTED) for number, text in enumerate(HOSTILE)]

    def netcheck(self) -> NetCheck:
        """Return hostile findings."""
        check = super().netcheck()
        found = [
            replace(check.findings[0], code=f"c{number}", sentence=text, advice=text)
            for number, text in enumerate(HOSTILE)
        ]
        return replace(check, findings=tuple(found), own_addresses=HOSTILE, port_mapping=MARKUP)

    def groups(self) -> list[GroupInfo]:
        """Return groups with hostile names."""
        known = super().groups()
        hostile = [
            replace(known[0], name=text, group_id=GroupId(bytes([number]) * 20)) for number, text in enumerate(HOSTILE)
        ]
        return [*known, *hostile]


@pytest.mark.parametrize("width", [1280, 390])
async def test_hostile_texts_are_seen_and_do_nothing(tmp_path: Path, width: int) -> None:
    """On each page: no element out of a text, nothing run, nothing hidden, nothing wider than the window."""
    node = HostileNode()
    group = await node.join_group("research")
    group.others = [
        member(KeyPair.from_seed(bytes([50 + number]) * 32), text, tags=(text,), capabilities=(text,), version=text)
        for number, text in enumerate(HOSTILE)
    ]
    async with served(tmp_path, node=node) as ours, chromium() as browser:
        url = (await ours.page.link())["url"]
        async with opened(browser, url, width=width) as (page, complaints):
            await page.locator(".tile").first.wait_for()
            for name in PARTS:
                await page.click(f'nav a[href="/{name}"]')
                await page.locator(".card").first.wait_for()
                await page.wait_for_selector(".loading", state="detached")
                if name == "groups":
                    for number, text in enumerate(HOSTILE):
                        group.subscriptions[-1].put(
                            replace(event(text.encode("utf-8"), sequence=number + 1), topic=text, hostname=text)
                        )
                    await page.locator(".event").first.wait_for()
                if name == "lookups":
                    watched = node.watch.begin(bytes(20), MARKUP, 0.0)
                    assert watched is not None
                    watched.asked(Contact(node.pending()[0].public_key, THERE), 0.1)
                    watched.heard(Silent(Contact(node.pending()[0].public_key, THERE)), 0.2)
                    await page.locator(".waterfall").first.wait_for()
                text = await page.evaluate("() => document.body.innerText + document.title")
                assert "<img src=x onerror=" in text, name
                for hidden in ("\u202e", "\u2066", "\u200b", "\u200f", "\x1b", "\x07"):
                    assert hidden not in text, name
                assert "w" * 700 not in text, name
                # The page's own: its icon. Nothing else may have become an element.
                assert [] == await page.evaluate(
                    "() => [...document.querySelectorAll('img, script, iframe, object')].map(n => n.outerHTML)"
                    ".filter(t => !t.includes('/assets/'))"
                ), name
                assert 0 >= await page.evaluate(OVERFLOW), name
                assert [] == await page.evaluate(SPILLED), name
            assert await page.evaluate("() => window.harmed === undefined")
            assert [] == complaints.messages
            assert {url.split("/")[2]} == complaints.hosts
