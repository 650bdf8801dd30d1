"""Which of several links to one peer is *the* link.

Normally there is one. Two come to be when both sides dial at once, when a dial races several endpoints, and when a peer
was restarted and dials while this side still holds the old link. Both sides must choose alike:

* a link dialled by the smaller key is preferred, and among those the youngest;
* the other links drain: their streams go on to their end, and then they are closed;
* an older link that would be preferred over one that came up just now must first prove, by a ping, that it is alive:
  after a restart of the peer it is not. Until then the younger one is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.link import Link


class PeerLinks:
    """The live links to one peer.

    Args:
        own_key: this node's key.
        peer_key: the peer's key.
    """

    __slots__ = ("_dialler_is_self", "_links", "_unproven")

    def __init__(self, own_key: PublicKey, peer_key: PublicKey) -> None:
        self._dialler_is_self = own_key < peer_key
        self._links: list[Link] = []  # in the order they came up
        self._unproven: dict[Link, None] = {}

    def __iter__(self) -> Iterator[Link]:
        """Iterate over all live links, oldest first."""
        return iter(tuple(self._links))

    def __bool__(self) -> bool:
        """Whether any link is live."""
        return bool(self._links)

    @property
    def current(self) -> Link | None:
        """The link to open streams on, or ``None``."""
        best: Link | None = None
        for link in self._links:
            if link in self._unproven:
                continue
            if best is None or self._is_preferred(link) or not self._is_preferred(best):
                best = link
        return best

    def add(self, link: Link, now: float) -> Link | None:
        """Note that a link came up.

        Returns:
            A link that must prove by a ping that it is alive, or ``None``.
        """
        previous = self.current
        self._links.append(link)
        suspect: Link | None = None
        if previous is not None and self._is_preferred(previous) and not self._is_preferred(link):
            self._unproven[previous] = None
            suspect = previous
        self._settle(now)
        return suspect

    def prove(self, link: Link, now: float) -> None:
        """Note that a suspected link is alive."""
        if self._unproven.pop(link, link) is None:
            self._settle(now)

    def remove(self, link: Link, now: float) -> None:
        """Note that a link ended."""
        self._unproven.pop(link, None)
        if link in self._links:
            self._links.remove(link)
            if self.current is None:
                self._unproven.clear()  # better than none, and its ping will tell
            self._settle(now)

    def _is_preferred(self, link: Link) -> bool:
        return link.is_dialled == self._dialler_is_self

    def _settle(self, now: float) -> None:
        current = self.current
        for link in self._links:
            if link is current:
                link.prefer()
            elif current is not None and link not in self._unproven:
                link.drain(now)
