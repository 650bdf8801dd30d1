"""The gate: which peer may open which port here. Pure and fast, asked before each stream and message."""

from __future__ import annotations

from typing import Protocol

from pilotdht.identity.ids import PublicKey

TRUST_PORT = 444
"""Where trust is asked for; open to everybody, as nobody could ever become trusted otherwise."""


class TrustedKeys(Protocol):
    """Whoever knows whom this node trusts: :class:`pilotdht.trust.book.TrustBook`."""

    def is_trusted(self, public_key: PublicKey) -> bool:
        """Return whether the peer is trusted."""
        ...


class TrustGate:
    """Lets trusted peers open any port, and everybody else the port of the trust handshake."""

    __slots__ = ("_trusted",)

    def __init__(self, trusted: TrustedKeys) -> None:
        self._trusted = trusted

    def may_open(self, peer: PublicKey, port: int) -> bool:
        """Return whether ``peer`` may open ``port``; never raises."""
        return port == TRUST_PORT or self._trusted.is_trusted(peer)
