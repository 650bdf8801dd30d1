"""How many questions are worked on at one time, in all and for one peer. Pure."""

from __future__ import annotations

from pilotdht.identity.ids import PublicKey


class Places:
    """Places that are taken and given back."""

    def __init__(self, *, most: int, most_per_peer: int) -> None:
        """Make ``most`` free places, of which one peer can take ``most_per_peer``."""
        self._most = most
        self._most_per_peer = most_per_peer
        self._taken: dict[PublicKey, int] = {}
        self.count = 0
        """Places that are taken."""

    def take(self, peer: PublicKey) -> bool:
        """Take a place; return whether there was one."""
        own = self._taken.get(peer, 0)
        if self.count >= self._most or own >= self._most_per_peer:
            return False
        self._taken[peer] = own + 1
        self.count += 1
        return True

    def give_back(self, peer: PublicKey) -> None:
        """Give a place back that was taken."""
        own = self._taken[peer] - 1
        self.count -= 1
        if own:
            self._taken[peer] = own
        else:
            del self._taken[peer]
