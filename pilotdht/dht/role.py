"""Whether this node calls itself a server or a client of the DHT. Pure.

A node that nobody outside can reach must not stand in others' tables. As long as nothing is known it serves: whoever
asks it something has reached it. Once peers see it under a public address, a NAT may stand between, and it is a client
until independent peers have reached it unasked.
"""

from __future__ import annotations

from collections import deque

OPINIONS_KEPT = 8


class Role:
    """What the mode of the configuration and the peers' words come to."""

    def __init__(self, mode: str) -> None:
        """Make it; ``mode`` is ``auto``, ``server`` or ``client``."""
        self._mode = mode
        self._is_seen_public: deque[bool] = deque(maxlen=OPINIONS_KEPT)

    def seen(self, *, is_public: bool) -> None:
        """Take in whether a peer saw us under an address of the public Internet."""
        self._is_seen_public.append(is_public)

    def is_client(self, *, is_reachable: bool) -> bool:
        """Return whether to call ourselves a client.

        Args:
            is_reachable: independent peers have reached us unasked.
        """
        if self._mode != "auto":
            return self._mode == "client"
        is_public = 2 * sum(self._is_seen_public) > len(self._is_seen_public)
        return is_public and not is_reachable
