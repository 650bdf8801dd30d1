"""Who may begin a handshake: a token bucket for each source prefix, asked before any cryptography.

Pure: ``now`` is passed in. Bounded: when more prefixes speak than are remembered, the one heard longest ago is
forgotten, which gives it a full bucket again; a flood from many prefixes is what Retry and the bound on half-open
links are for.
"""

from __future__ import annotations

import socket
from collections import OrderedDict

from pilotdht.wire.endpoint import Endpoint

MAX_PREFIXES = 4096
"""Prefixes remembered at once."""


def prefix_of(endpoint: Endpoint) -> str:
    """Return the /24 of an IPv4 endpoint or the /56 of an IPv6 endpoint: what one subscriber usually holds."""
    host = endpoint.host
    if ":" not in host:
        return host.rpartition(".")[0]
    try:
        return socket.inet_pton(socket.AF_INET6, host)[:7].hex()
    except OSError:  # a made-up address of the path layer or of a simulation
        return host


class Admission:
    """Token buckets by source prefix.

    Args:
        per_second: tokens a prefix gets per second.
        burst: most tokens a prefix holds.
    """

    __slots__ = ("_buckets", "_burst", "_per_second")

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many prefixes are remembered."""
        return len(self._buckets)

    def take(self, endpoint: Endpoint, now: float) -> bool:
        """Take one token of the endpoint's prefix; False when it has none left."""
        prefix = prefix_of(endpoint)
        tokens, at = self._buckets.pop(prefix, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._per_second)
        is_admitted = tokens >= 1.0
        self._buckets[prefix] = (tokens - 1.0 if is_admitted else tokens, now)
        if len(self._buckets) > MAX_PREFIXES:
            self._buckets.popitem(last=False)
        return is_admitted
