"""The gate: which peer may open which port here. Pure and fast, asked before each stream and message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pilotdht.identity.ids import PublicKey

TRUST_PORT = 444
"""Where trust is asked for; open to everybody, as nobody could ever become trusted otherwise."""


class TrustedKeys(Protocol):
    """Whoever knows whom this node trusts: :class:`pilotdht.trust.book.TrustBook`."""

    def is_trusted(self, public_key: PublicKey) -> bool:
        """Return whether the peer is trusted."""
        ...


Grant = Callable[[PublicKey, int], bool]
"""Says whether a peer may open a port for another reason than trust; must not raise."""


class TrustGate:
    """Lets trusted peers open any port, everybody the port of the trust handshake, and some others what was granted."""

    __slots__ = ("_grants", "_trusted")

    def __init__(self, trusted: TrustedKeys, *, grants: Sequence[Grant] = ()) -> None:
        """Make it.

        Args:
            trusted: whom this node trusts.
            grants: further reasons, asked in this order: members of one group, for what the group needs.
        """
        self._trusted = trusted
        self._grants = tuple(grants)

    def may_open(self, peer: PublicKey, port: int) -> bool:
        """Return whether ``peer`` may open ``port``; never raises."""
        if port == TRUST_PORT or self._trusted.is_trusted(peer):
            return True
        return any(grant(peer, port) for grant in self._grants)
