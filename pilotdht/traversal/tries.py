"""How often endpoints are tried that peers without our trust name as theirs. Pure.

To meet across NATs both sides send before the other one has proven anything: this node sends to an address that sent
nothing yet, because a peer says so. A liar names somebody else's address, and keys cost nothing. So what all such peers
together have us send is bounded, for each host and in all: a victim gets a packet a second, however many keys and links
the liar has. An endpoint at which the peer has answered costs nothing here, and peers that the user trusts are bounded
by their own pauses alone.

Source: RFC 8445, section 19.4.1 (amplification by connectivity checks); RFC 9000, section 21.3.
"""

from __future__ import annotations

from pilotdht.config.roads import RoadConfig
from pilotdht.net.limits import PrefixLimiter, TokenBucket

HOSTS = 4096
"""Hosts with an allowance of their own, 1 MB; the others share one."""


class Tries:
    """The allowance of one node."""

    def __init__(self, config: RoadConfig) -> None:
        self._config = config
        self._hosts = PrefixLimiter(rate_per_s=config.tries_per_host_s, burst=config.host_try_burst, capacity=HOSTS)
        self._all: TokenBucket | None = None

    def take(self, host: str, now: float) -> bool:
        """Return whether an endpoint of a host may be tried, and count it when it may: two small datagrams."""
        if self._all is None:
            self._all = TokenBucket(rate_per_s=self._config.tries_per_s, burst=self._config.try_burst, now=now)
        return self._hosts.take(host, now) and self._all.take(now)
