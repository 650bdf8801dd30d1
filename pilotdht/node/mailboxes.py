"""Which port collects messages by itself, and who takes them out; a program that listens takes the port over."""

from __future__ import annotations

from pilotdht.services.inbox import Inbox, Letter
from pilotdht.services.ports import WellKnownPort
from pilotdht.tunnel.tunnels import Tunnels


class Mailboxes:
    """The inboxes of a node: that of port 1000 always, others while somebody waits for their messages."""

    def __init__(self, tunnels: Tunnels) -> None:
        """Begin to collect messages to port 1000."""
        self._tunnels = tunnels
        self._inboxes: dict[int, Inbox] = {}
        self._lent: dict[int, None] = {}
        self._open(WellKnownPort.STDIO)

    async def take(self, port: int, *, timeout_s: float | None) -> Letter:
        """Return the oldest message to a port, waiting for one; from then on the port collects messages.

        Raises:
            TimedOut: none came in time.
            AlreadyExists: a program listens there.
        """
        inbox = self._inboxes[port] if port in self._inboxes else self._open(port)
        return await inbox.take(timeout_s=timeout_s)

    def lend(self, port: int, *, is_lent: bool) -> None:
        """Give a port to a program that listens, or take it back; what was collected stays to be taken."""
        if port not in self._inboxes:
            return
        if is_lent:
            self._tunnels.unlisten(port)
            self._lent[port] = None
        elif port in self._lent:
            del self._lent[port]
            self._tunnels.listen(port, self._inboxes[port].handle)

    async def close(self) -> None:
        """End all waiting; safe to call twice."""
        for inbox in self._inboxes.values():
            await inbox.close()

    def _open(self, port: int) -> Inbox:
        inbox = Inbox(port)
        self._tunnels.listen(port, inbox.handle)
        self._inboxes[port] = inbox
        return inbox
