"""Whether this node can be reached from outside: judged by who reached it unasked. Pure.

A NAT lets answers in from where we sent something of late, so only a request from somewhere else shows anything. Peers
with public addresses count by host when we ask whether we sent there (a NAT's filter may look at the host alone) and by
prefix when we ask whether they are independent; on loopback and private ranges by endpoint and by key.
"""

from __future__ import annotations

from collections import OrderedDict

from pilotdht.config.net import NetConfig
from pilotdht.net.prefixes import group_of, is_local
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class Reachability:
    """Remembers where we sent to and who reached us without that."""

    def __init__(self, config: NetConfig) -> None:
        self._needed = config.reachable_peers
        self._lifetime_s = config.reachable_lifetime_s
        self._opened_s = config.nat_memory_s
        self._capacity = config.addresses_cached
        self._sent_to: OrderedDict[str | Endpoint, float] = OrderedDict()
        # By whether the peer is near, then by whether it is IPv6.
        self._unasked: tuple[tuple[OrderedDict[str | bytes, float], ...], ...] = (
            (OrderedDict(), OrderedDict()),
            (OrderedDict(), OrderedDict()),
        )

    def sent_to(self, endpoint: Endpoint, *, now: float) -> None:
        """Take in that a datagram of ours goes to ``endpoint``."""
        key = _opened_by(endpoint)
        self._sent_to[key] = now
        self._sent_to.move_to_end(key)
        if len(self._sent_to) > self._capacity:
            self._sent_to.popitem(last=False)

    def hosts_asked(self, *, now: float) -> int:
        """Return how many public hosts we sent to of late: their requests show nothing, as a filter may know them."""
        return sum(isinstance(one, str) and now - at < self._opened_s for one, at in self._sent_to.items())

    def heard_from(self, contact: Contact, *, now: float) -> None:
        """Take in that a peer's request arrived; to be called before anything is sent back."""
        sent_at = self._sent_to.get(_opened_by(contact.endpoint))
        if sent_at is not None and now - sent_at < self._opened_s:
            return
        host = contact.endpoint.host
        unasked, group = self._unasked[is_local(host)][":" in host], group_of(host, contact.public_key)
        unasked[group] = now
        unasked.move_to_end(group)
        if len(unasked) > self._needed:
            unasked.popitem(last=False)

    def is_reachable(self, *, now: float, is_ipv6: bool | None = None, is_from_outside: bool = False) -> bool:
        """Return whether enough independent peers reached us unasked of late.

        Args:
            now: time of the loop.
            is_ipv6: in which address family; absent: in any.
            is_from_outside: leave out peers on private addresses: behind a NAT they show nothing, as they share it.
        """
        asked = [
            by_family[family]
            for by_family in (self._unasked[:1] if is_from_outside else self._unasked)
            for family in ((False, True) if is_ipv6 is None else (is_ipv6,))
        ]
        recent = sum(heard_at + self._lifetime_s > now for unasked in asked for heard_at in unasked.values())
        return recent >= self._needed


def _opened_by(endpoint: Endpoint) -> str | Endpoint:
    return endpoint if is_local(endpoint.host) else endpoint.host
