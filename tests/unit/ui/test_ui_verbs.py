"""What the page is told, programs are told as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotdht.client.client import Client
from tests.support.fake_daemon import fake_daemon


@pytest.mark.asyncio
async def test_client_tells_traffic_and_relaying(tmp_path: Path) -> None:
    """Values of the node come through the control socket unchanged."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        assert daemon.node.traffic() == await client.traffic()
        assert daemon.node.relay_use() == await client.relay_use()
