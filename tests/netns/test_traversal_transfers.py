"""Whole nodes behind real NATs: a transfer survives whatever happens to addresses, routers and relays."""

from __future__ import annotations

import pytest

from scripts.lab.transfer import transfer
from tests.netns.conftest import BuildLab

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SIZE = 12_000_000


@pytest.mark.asyncio
async def test_transfer_survives_moves_of_both_sides(build_lab: BuildLab) -> None:
    """New addresses at either side, and a router that forgets: no byte is lost, and it goes on within seconds."""
    lab = build_lab(left="portrestricted", right="portrestricted", servers=4)
    outcome = await transfer(lab, size=SIZE, events=("roam-a", "roam-b", "reboot-a"))
    assert outcome.is_intact
    assert "direct" == outcome.roads[0]
    assert max(outcome.pauses_s) < 5


@pytest.mark.asyncio
async def test_transfer_survives_the_death_of_its_relay(build_lab: BuildLab) -> None:
    """Two random-port NATs have no other way than relays: another one carries on within five seconds."""
    lab = build_lab(left="symmetric", right="symmetric", servers=4)
    outcome = await transfer(lab, size=SIZE, events=("kill-relay",))
    assert outcome.is_intact
    assert ("relayed", "relayed") == outcome.roads
    assert max(outcome.pauses_s) < 5
