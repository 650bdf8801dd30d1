"""Who has how many places at a server, for handshakes and for trunks. Pure."""

from __future__ import annotations

from pilotdht.net.prefixes import prefix_of


class Places:
    """A bounded number of places, and of places for each source prefix."""

    def __init__(self, *, most: int, per_prefix: int) -> None:
        self._most = most
        self._per_prefix = per_prefix
        self._taken: dict[str | bytes, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many are taken."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether none is left for anybody."""
        return self._count >= self._most

    def is_full_for(self, host: str) -> bool:
        """Return whether none is left for one more from a host's prefix."""
        return self._taken.get(prefix_of(host), 0) >= self._per_prefix

    def take(self, host: str) -> None:
        """Take one for somebody at ``host``."""
        prefix = prefix_of(host)
        self._taken[prefix] = self._taken.get(prefix, 0) + 1
        self._count += 1

    def leave(self, host: str) -> None:
        """Give one back."""
        prefix = prefix_of(host)
        left = self._taken[prefix] - 1
        if left:
            self._taken[prefix] = left
        else:
            del self._taken[prefix]
        self._count -= 1
