"""Noticing that this node's place in the network changed: other address, woken from sleep, seen elsewhere from outside.

The rules are plain classes that take what a look found; :class:`ChangeWatcher` looks every few seconds and tells. It
looks instead of listening to the system because every system has another way to tell, and a look costs microseconds.
What is found is a reason to ask peers again, never a truth about the network outside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.doors import Doors
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

_logger = logging.getLogger(__name__)

FAR_IPV4 = "198.41.0.4"
"""A place on the public Internet to ask the way to: a root name server, stable for decades. Nothing is sent to it."""

FAR_IPV6 = "2001:503:ba3e::2:30"
"""The same in IPv6."""


class Reason(Enum):
    """Why peers should be asked again; the values are labels of counters and logs."""

    CONNECTED = "connected"
    """The machine has an own address again, or for the first time."""
    DISCONNECTED = "disconnected"
    """The machine has no way out any more."""
    MOVED = "moved"
    """The machine's own address is another one."""
    SLEPT = "slept"
    """The machine slept, or the process was stopped: NATs may have forgotten it, peers may have given it up."""
    SEEN_ELSEWHERE = "seen_elsewhere"
    """Peers see us at another endpoint: the router restarted, or its address changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that changed."""

    reason: Reason
    """What it was."""
    is_ipv6: bool = False
    """In which address family; of no meaning for :attr:`Reason.SLEPT`."""
    before: str = ""
    """Address or endpoint before, or empty."""
    after: str = ""
    """Address or endpoint now, or empty."""
    lost_s: float = 0.0
    """How long the machine slept, in seconds; zero for the other reasons."""


class AddressRule:
    """Compares the own address of one family from look to look."""

    def __init__(self, *, is_ipv6: bool) -> None:
        """Make it; the first look only sets what is compared with."""
        self._is_ipv6 = is_ipv6
        self._address: str | None = None
        self._has_looked = False

    @property
    def address(self) -> str | None:
        """The own address at the last look; absent when there was none."""
        return self._address

    def look(self, address: str | None) -> Change | None:
        """Return what changed since the look before, if anything."""
        before, self._address = self._address, address
        if not self._has_looked:
            self._has_looked = True
            return None
        if before == address:
            return None
        reason = Reason.MOVED
        if before is None or address is None:
            reason = Reason.CONNECTED if before is None else Reason.DISCONNECTED
        return Change(reason=reason, is_ipv6=self._is_ipv6, before=before or "", after=address or "")


class SleepRule:
    """Compares two clocks from look to look: the loop's, which stands still in sleep on most systems, and the wall's.

    Where the loop's clock goes on in sleep, the look simply comes late by it. A wall clock that somebody sets forward
    looks like sleep, which costs some questions to peers; one set back is none.
    """

    def __init__(self, config: TraversalConfig) -> None:
        """Make it; the first look only sets what is compared with."""
        self._interval_s = config.change_interval_s
        self._jump_s = config.sleep_jump_s
        self._last: tuple[float, float] | None = None

    def look(self, *, now: float, unix_time: float) -> Change | None:
        """Return that the machine slept since the look before, if it did.

        Args:
            now: time of the loop, in seconds.
            unix_time: seconds since 1970.
        """
        last, self._last = self._last, (now, unix_time)
        if last is None:
            return None
        lost_s = max(now - last[0], unix_time - last[1]) - self._interval_s
        return Change(reason=Reason.SLEPT, lost_s=lost_s) if lost_s > self._jump_s else None


class SeenRule:
    """Compares the endpoint that peers agree on from look to look."""

    def __init__(self, *, is_ipv6: bool) -> None:
        """Make it; the first endpoint that is known only sets what is compared with."""
        self._is_ipv6 = is_ipv6
        self._seen: Endpoint | None = None

    def look(self, seen: Endpoint | None) -> Change | None:
        """Return what changed since the look before, if anything; not knowing any more is no change."""
        if seen is None or seen == self._seen:
            return None
        before, self._seen = self._seen, seen
        if before is None:
            return None
        return Change(reason=Reason.SEEN_ELSEWHERE, is_ipv6=self._is_ipv6, before=str(before), after=str(seen))


class ChangeWatcher:
    """Looks at regular times, and tells of what changed."""

    def __init__(
        self,
        doors: Doors,
        config: TraversalConfig,
        *,
        seen: Callable[[bool], Endpoint | None],
        on_change: Callable[[Change], None],
    ) -> None:
        """Make it; nothing is looked at before :meth:`run`.

        Args:
            doors: clocks and machine; without a machine its own addresses are not watched.
            config: how often.
            seen: returns the endpoint that peers agree on now, in IPv6 when told so.
            on_change: told of each change, on the loop. What it raises is logged, and the next change is told anyway.
        """
        self._doors = doors
        self._interval_s = config.change_interval_s
        self._on_change = on_change
        self._seen = seen
        self._addresses = ((AddressRule(is_ipv6=False), FAR_IPV4), (AddressRule(is_ipv6=True), FAR_IPV6))
        self._sightings = ((SeenRule(is_ipv6=False), False), (SeenRule(is_ipv6=True), True))
        self._sleep = SleepRule(config)
        self.told: dict[Reason, int] = {}
        """How many changes of each kind there were."""

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The machine's own addresses at the last look, IPv4 first; at most one a family."""
        return tuple(rule.address for rule, _ in self._addresses if rule.address is not None)

    def look(self) -> None:
        """Look now, and tell of what changed: sleep first, as it explains the others."""
        loop, host = asyncio.get_running_loop(), self._doors.host
        self._tell(self._sleep.look(now=loop.time(), unix_time=self._doors.unix_time()))
        if host is not None:
            for address_rule, far in self._addresses:
                self._tell(address_rule.look(host.local_address(far)))
        for seen_rule, is_ipv6 in self._sightings:
            self._tell(seen_rule.look(self._seen(is_ipv6)))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._interval_s)

    def _tell(self, change: Change | None) -> None:
        if change is None:
            return
        self.told[change.reason] = self.told.get(change.reason, 0) + 1
        _logger.info("this node's place in the network changed", extra={"reason": change.reason.value})
        try:
            self._on_change(change)
        except Exception:
            _logger.exception("a handler of changes failed")
