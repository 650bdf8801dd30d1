"""Where a trunk's client may send to: endpoints at which a node of this mesh answers, and nowhere else. Pure.

Without this rule a server would send anything to anybody in its own name. An endpoint that is not known is greeted
first, which costs its owner one small datagram; a few datagrams wait for the answer. That the endpoint has sent
something counts for nothing, as a sender's address is easily forged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from enum import Enum

from pilotdht.config.trunk import TrunkConfig
from pilotdht.net.limits import TokenBucket
from pilotdht.net.prefixes import is_local, is_loopback, is_private
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

RENEWED_AT = 0.5
"""Share of its lifetime after which a verdict that is in use is renewed, so that no flow ever waits for it."""

OWN_LIFETIME_S = 10.0
"""How long an endpoint of the server's own counts as a node's without looking again: its port may get another owner."""

REPLY_WITHIN_S = 2.0
"""Time for answering a greeting; a client across the world needs half a second."""

GREETERS = 64
"""Endpoints whose greeting a client may still answer; the oldest go."""

RENEWALS = 8
"""How often that is tried at most in a lifetime."""


class Decision(Enum):
    """What is done with a datagram of a client."""

    SEND = "send"
    """A node answers there."""
    SEND_AND_GREET = "send_and_greet"
    """A node answers there, and it is time to ask again."""
    HOLD = "hold"
    """It is being asked: the datagram waits."""
    HOLD_AND_GREET = "hold_and_greet"
    """Nobody has asked yet: the datagram waits for the answer to a greeting that is sent now."""
    NO_NODE = "no_node"
    """Nobody has answered there."""
    BUDGET = "budget"
    """The client has had too many endpoints asked of late."""
    CROWDED = "crowded"
    """As many datagrams, or endpoints, wait as may."""


@dataclass(slots=True)
class _Verdict:
    is_node: bool
    until: float
    renew_at: float


class Targets:
    """The endpoints that one client sends to."""

    def __init__(self, config: TrunkConfig, *, now: float) -> None:
        self._config = config
        self._verdicts: OrderedDict[Endpoint, _Verdict] = OrderedDict()
        self._held: dict[Endpoint, list[bytes]] = {}
        self._greeters: OrderedDict[Endpoint, float] = OrderedDict()
        self._greetings = TokenBucket(rate_per_s=config.greetings_per_s, burst=config.greeting_burst, now=now)

    def __len__(self) -> int:
        """Return how many endpoints are remembered."""
        return len(self._verdicts)

    def is_new(self, endpoint: Endpoint, now: float) -> bool:
        """Return whether nothing is known of an endpoint, and nobody is asking."""
        verdict = self._verdicts.get(endpoint)
        return (verdict is None or now >= verdict.until) and endpoint not in self._held

    @property
    def asked(self) -> int:
        """How many endpoints are being asked."""
        return len(self._held)

    def decide(self, endpoint: Endpoint, datagram: bytes, now: float) -> Decision:
        """Return what becomes of a datagram; one that waits is kept here.

        After either decision to greet, :meth:`answered` or :meth:`silent` is to be called once.
        """
        verdict = self._verdicts.get(endpoint)
        if verdict is not None and now < verdict.until:
            if not verdict.is_node:
                return Decision.NO_NODE
            return self._used(endpoint, verdict, now)
        waiting = self._held.get(endpoint)
        if waiting is not None:
            if len(waiting) >= self._config.held_datagrams:
                return Decision.CROWDED
            waiting.append(datagram)
            return Decision.HOLD
        if len(self._held) >= self._config.greetings_pending:
            return Decision.CROWDED
        if not self._greetings.take(now):
            return Decision.BUDGET
        self._held[endpoint] = [datagram][: self._config.held_datagrams]
        return Decision.HOLD_AND_GREET

    def greeted(self, endpoint: Endpoint, now: float) -> None:
        """Take in that the client was greeted from somewhere: it may answer once, as every node does.

        Otherwise two clients of two servers would wait for each other: either answer waits for the other greeting's.
        """
        self._greeters[endpoint] = now
        self._greeters.move_to_end(endpoint)
        if len(self._greeters) > GREETERS:
            self._greeters.popitem(last=False)

    def owes_answer(self, endpoint: Endpoint, now: float) -> bool:
        """Return whether an answer to a greeting may go there, and count it when it may."""
        greeted_at = self._greeters.pop(endpoint, None)
        return greeted_at is not None and now - greeted_at < REPLY_WITHIN_S

    def own(self, endpoint: Endpoint, now: float) -> None:
        """Take in that an endpoint is the server's own node, or lent to another client."""
        self._remember(endpoint, _Verdict(True, now + OWN_LIFETIME_S, now + OWN_LIFETIME_S))

    def answered(self, endpoint: Endpoint, now: float) -> Sequence[bytes]:
        """Take in that a node of this mesh answered; return what waited for that, in its order."""
        lifetime_s = self._config.verdict_s
        self._remember(endpoint, _Verdict(True, now + lifetime_s, now + lifetime_s * RENEWED_AT))
        return self._held.pop(endpoint, ())

    def silent(self, endpoint: Endpoint, now: float) -> int:
        """Take in that nobody answered; return how many datagrams had waited in vain.

        What was known to be a node stays so until its time is over: one lost greeting must not cut a flow.
        """
        lost = len(self._held.pop(endpoint, ()))
        verdict = self._verdicts.get(endpoint)
        if verdict is None or not verdict.is_node or now >= verdict.until:
            self._remember(endpoint, _Verdict(False, now + self._config.refusal_s, 0.0))
        return lost

    def _used(self, endpoint: Endpoint, verdict: _Verdict, now: float) -> Decision:
        self._verdicts.move_to_end(endpoint)
        if now < verdict.renew_at or endpoint in self._held or len(self._held) >= self._config.greetings_pending:
            return Decision.SEND
        verdict.renew_at = now + self._config.verdict_s / RENEWALS
        if not self._greetings.take(now):
            return Decision.SEND
        self._held[endpoint] = []
        return Decision.SEND_AND_GREET

    def _remember(self, endpoint: Endpoint, verdict: _Verdict) -> None:
        self._verdicts[endpoint] = verdict
        self._verdicts.move_to_end(endpoint)
        if len(self._verdicts) > self._config.verdicts:
            self._verdicts.popitem(last=False)


class Reach(Enum):
    """What is known of an endpoint before anybody is asked."""

    NOWHERE = "nowhere"
    """Nothing is sent there."""
    OWN = "own"
    """The server's own node, or another client of it."""
    FOREIGN = "foreign"
    """Elsewhere: whether a node is there has to be found out."""


def reach_of(target: Endpoint, own_hosts: Iterable[str], own_ports: Iterable[int]) -> Reach:
    """Return whether a server may send to an endpoint at all, before anybody is greeted there.

    A server on the Internet sends nothing into its own private network, as a client could look around in there. A
    server with private addresses alone serves a private mesh. On its own host it sends to nodes only.

    Args:
        target: where a client wants to send.
        own_hosts: addresses at which the server is, as it knows itself and as others see it.
        own_ports: UDP ports of its own at which clients, or its node, are.
    """
    hosts = tuple(own_hosts)
    if target.host in hosts and target.port in own_ports:
        return Reach.OWN
    if is_loopback(target.host):  # bound there: all nodes of that mesh share the address
        return Reach.FOREIGN if any(is_loopback(host) for host in hosts) else Reach.NOWHERE
    is_private_mesh = all(map(is_local, hosts)) and any(map(is_private, hosts))
    if target.host in hosts or (is_private(target.host) and not is_private_mesh):
        return Reach.NOWHERE
    return Reach.FOREIGN
