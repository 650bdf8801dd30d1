"""Which contacts count as one owner's: the prefix of an endpoint, or none where counting makes no sense."""

from __future__ import annotations

from functools import lru_cache

from pilotdht.net.prefixes import is_local, prefix_of
from pilotdht.wire.endpoint import Endpoint

Prefix = str | bytes
"""Something to compare: a /24 of IPv4 or a /48 of IPv6."""


class PrefixRule:
    """Says which prefix an endpoint is counted under."""

    __slots__ = ("_are_private_exempt",)

    def __init__(self, *, are_private_exempt: bool) -> None:
        """Make a rule; with ``are_private_exempt`` loopback, private and link-local hosts are not counted."""
        self._are_private_exempt = are_private_exempt

    def of(self, endpoint: Endpoint) -> Prefix | None:
        """Return the prefix; absent when the endpoint is exempt from limits."""
        return _prefix(endpoint.host, self._are_private_exempt)


@lru_cache(maxsize=16_384)
def _prefix(host: str, are_private_exempt: bool) -> Prefix | None:
    if are_private_exempt and is_local(host):
        return None
    return prefix_of(host)
