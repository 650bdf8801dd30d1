"""The real machine behind :class:`pilotdht.net.doors.Host`: its own addresses and its routes.

Nothing is sent, and nothing is written. A firewall, a container or another operating system may hide either; then it is
unknown, which is no error.
"""

from __future__ import annotations

from pilotdht.net.socket import local_address

MAX_TABLE_CHARACTERS = 65_536
"""Read of a routing table: 500 routes; the default route of a home stands among the first."""

_ROUTES = "/proc/net/route"


class OwnHost:
    """This machine."""

    def __init__(self, *, routes_path: str = _ROUTES) -> None:
        """Make it.

        Args:
            routes_path: where the kernel shows its IPv4 routes.
        """
        self._routes_path = routes_path

    def local_address(self, towards: str) -> str | None:
        """Return the own address that datagrams to ``towards`` leave from; absent when they go nowhere."""
        return local_address(towards)

    def routing_table(self) -> str:
        """Return the IPv4 routes; empty where the kernel does not show them."""
        try:
            with open(self._routes_path, encoding="ascii", errors="replace") as file:  # made by the kernel: no disk
                return file.read(MAX_TABLE_CHARACTERS)
        except OSError:
            return ""
