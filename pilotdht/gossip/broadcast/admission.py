"""What is taken from whom: rates of members and of senders, ages of events, and who passed on forgeries. Pure."""

from __future__ import annotations

from collections import OrderedDict

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.limits import PrefixLimiter
from pilotdht.wire.events import EventBody


class Admission:
    """Allowances of members."""

    def __init__(self, config: BroadcastConfig) -> None:
        self._config = config
        self._pushes = self._limiter(config.pushes_per_s, config.pushes_burst)
        self._questions = self._limiter(config.questions_per_s, config.questions_burst)
        self._senders = self._limiter(config.events_per_s, config.events_burst)
        self._shunned: OrderedDict[PublicKey, float] = OrderedDict()

    def may_push(self, neighbour: PublicKey, now: float) -> bool:
        """Return whether one more event may come from a neighbour, and count it."""
        return self._pushes.take(neighbour, now)

    def may_ask(self, member: PublicKey, now: float) -> bool:
        """Return whether one more message of any other type may come from a member, and count it."""
        return self._questions.take(member, now)

    def may_say(self, sender: PublicKey, now: float) -> bool:
        """Return whether one more event that somebody signed is taken, whoever brings it, and count it.

        To be asked after its signature was checked: others could use up a sender's allowance with forgeries.
        """
        return self._senders.take(sender, now)

    def age_fault(self, body: EventBody, unix_s: float) -> str:
        """Return why an event is not taken for its time, a reason of the metrics; empty when it is taken."""
        if body.sent_ms > (unix_s + self._config.clock_skew_s) * 1000:
            return "future"
        if self.remaining_s(body, unix_s) <= 0:
            return "old"
        return ""

    def remaining_s(self, body: EventBody, unix_s: float) -> float:
        """Return how much longer an event is taken and kept, in seconds."""
        return body.sent_ms / 1000 + self._config.retention_s - unix_s

    def shun(self, member: PublicKey, now: float) -> None:
        """Have no neighbour in a member for a while: what it passed on was not signed by whom it says."""
        self._shunned[member] = now + self._config.shun_s
        self._shunned.move_to_end(member)
        while len(self._shunned) > self._config.max_shunned:
            self._shunned.popitem(last=False)

    def is_shunned(self, member: PublicKey, now: float) -> bool:
        """Return whether a member may be no neighbour."""
        until = self._shunned.get(member)
        if until is not None and now >= until:
            del self._shunned[member]
            return False
        return until is not None

    def _limiter(self, rate_per_s: float, burst: int) -> PrefixLimiter:
        return PrefixLimiter(rate_per_s=rate_per_s, burst=burst, capacity=self._config.max_limited)
