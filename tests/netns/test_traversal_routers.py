"""Routers that restart or get another address, on both sides at once, under whole nodes that talk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from scripts.lab import Lab
from scripts.lab.transfer import Conversation, conversation
from tests.netns.conftest import BuildLab

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def reboot_both(lab: Lab) -> None:
    """Both routers forget all mappings."""
    lab.reboot_nat("a")
    lab.reboot_nat("b")


def roam_both(lab: Lab) -> None:
    """Both homes get other addresses, inside and outside."""
    lab.roam("a")
    lab.roam("b")


def reboot_one(lab: Lab) -> None:
    """The router in front of the one that answers forgets all mappings."""
    lab.reboot_nat("b")


async def answered_within(talk: Conversation, most_s: float) -> float:
    """Return how long the next answer takes."""
    began = time.monotonic()
    await asyncio.wait_for(talk.ask(), most_s)
    return time.monotonic() - began


@pytest.mark.asyncio
@pytest.mark.parametrize("happen", [reboot_one, reboot_both, roam_both])
@pytest.mark.parametrize("kind", ["portrestricted", "symmetric"])
async def test_stream_goes_on_after_routers_changed(
    build_lab: BuildLab, kind: str, happen: Callable[[Lab], None]
) -> None:
    """Neither side knows where the other is now; their servers do. No stream is lost."""
    lab = build_lab(left=kind, right=kind, servers=4)
    async with conversation(lab) as talk:
        for _ in range(3):
            await talk.ask()
        happen(lab)
        assert await answered_within(talk, 20.0) < 10.0
        assert await answered_within(talk, 20.0) < 2.0
