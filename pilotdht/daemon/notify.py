"""Tells a service manager how the daemon is: one datagram to the socket that ``NOTIFY_SOCKET`` names.

Nothing is told when nobody listens, and nothing that goes wrong with it stops the daemon.

Source: sd_notify(3), systemd.service(5), ``WatchdogSec=``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from pilotdht.daemon.harmless import harmless

WATCHDOG_SHARE = 0.4
"""Share of the time allowed after which a sign of life is given: one that is late, and the next, still come in time."""

MIN_WATCHDOG_S = 0.05
"""Least time between two signs of life, whatever the manager wants."""


class Notifier:
    """Speaks to one service manager, or to nobody."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        """Make it.

        Args:
            address: path of the manager's socket, with a leading ``@`` for an abstract one; absent: there is none.
            watchdog_s: after which silence the manager ends the daemon; absent: never.
        """
        self._address = address
        self.interval_s = None if watchdog_s is None else max(MIN_WATCHDOG_S, watchdog_s * WATCHDOG_SHARE)
        """How often :meth:`alive` is to be called; absent when nobody waits for it."""

    @classmethod
    def of(cls, environment: Mapping[str, str], *, process_id: int) -> Notifier:
        """Return the one that the environment describes; what is meant for another process does not count."""
        address = environment.get("NOTIFY_SOCKET") or None
        if address is not None and not address.startswith(("/", "@")):
            address = None  # a form that only virtual machines use
        allowed = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(process_id)) == str(process_id)
        has_watchdog = address is not None and is_ours and allowed.isascii() and allowed.isdigit() and int(allowed) > 0
        return cls(address, watchdog_s=int(allowed) / 1e6 if has_watchdog else None)

    def ready(self, status: str) -> None:
        """Tell that the daemon runs, or runs again, and how it is in a line for people."""
        self._send("READY=1", f"MAINPID={os.getpid()}", f"STATUS={harmless(status)}")

    def reloading(self) -> None:
        """Tell that the configuration is read anew; :meth:`ready` must follow."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the daemon stops."""
        self._send("STOPPING=1", "STATUS=withdrawing records and closing tunnels")

    def alive(self) -> None:
        """Give a sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto("\n".join(lines).encode(), address)
