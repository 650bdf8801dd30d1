"""Which port collects messages by itself, and who takes them out; a program that listens takes the port over."""

from __future__ import annotations

from pilotdht.errors import Overloaded, PilotError
from pilotdht.node.metrics import NodeMetrics
from pilotdht.services.inbox import Inbox, Letter
from pilotdht.services.ports import WellKnownPort
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels


class Mailboxes:
    """The inboxes of a node: that of port 1000 always, others while somebody waits for their messages."""

    def __init__(self, tunnels: Tunnels, metrics: NodeMetrics) -> None:
        """Begin to collect messages to port 1000."""
        self._tunnels = tunnels
        self._metrics = metrics
        metrics.waiting.set_function(lambda: float(sum(len(inbox) for inbox in self._inboxes.values())))
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
        letter = await inbox.take(timeout_s=timeout_s)
        self._metrics.messages["taken"].inc()
        return letter

    async def put_back(self, port: int, letter: Letter) -> None:
        """Make a message that was taken the oldest of its port again."""
        if port in self._inboxes:
            await self._inboxes[port].put_back(letter)

    def lend(self, port: int, *, is_lent: bool) -> None:
        """Give a port to a program that listens, or take it back; what was collected stays to be taken."""
        if port not in self._inboxes:
            return
        if is_lent:
            self._tunnels.unlisten(port)
            self._lent[port] = None
        elif port in self._lent:
            del self._lent[port]
            self._listen(self._inboxes[port])

    async def close(self) -> None:
        """End all waiting; safe to call twice."""
        for inbox in self._inboxes.values():
            await inbox.close()

    def _open(self, port: int) -> Inbox:
        inbox = Inbox(port)
        self._listen(inbox)
        self._inboxes[port] = inbox
        return inbox

    def _listen(self, inbox: Inbox) -> None:
        async def collect(stream: Stream) -> None:
            try:
                await inbox.handle(stream)
            except Overloaded:
                self._metrics.messages["overloaded"].inc()
                raise
            except PilotError:
                self._metrics.messages["broken"].inc()
                raise
            self._metrics.messages["kept"].inc()

        self._tunnels.listen(inbox.port, collect)
