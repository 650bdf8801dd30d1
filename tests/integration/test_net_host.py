"""The machine's own addresses and routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotdht.net.doors import real_doors
from pilotdht.net.host import MAX_TABLE_CHARACTERS, OwnHost
from pilotdht.net.socket import UdpNetwork

pytestmark = pytest.mark.integration


def test_host_local_address_towards_loopback_is_loopback() -> None:
    """The source follows the route."""
    assert "127.0.0.1" == OwnHost().local_address("127.0.0.1")


@pytest.mark.parametrize("towards", ["", "example.org", "300.1.1.1", "ff02::1%nowhere", "not:an:address"])
def test_host_local_address_towards_nonsense_is_absent(towards: str) -> None:
    """No name is looked up, nothing is raised."""
    assert OwnHost().local_address(towards) is None


def test_host_without_a_routing_table_has_an_empty_one(tmp_path: Path) -> None:
    """Not every system shows one."""
    assert OwnHost(routes_path=str(tmp_path / "none")).routing_table() == ""


def test_host_routing_table_is_bounded(tmp_path: Path) -> None:
    """A router with all routes of the Internet has too many to read."""
    path = tmp_path / "route"
    path.write_text("x" * (MAX_TABLE_CHARACTERS + 100))
    assert MAX_TABLE_CHARACTERS == len(OwnHost(routes_path=str(path)).routing_table())


def test_doors_have_the_host_that_is_given() -> None:
    """Without one nothing of the machine is asked."""
    host = OwnHost()
    assert (host, None) == (real_doors(UdpNetwork(), host=host).host, real_doors(UdpNetwork()).host)
