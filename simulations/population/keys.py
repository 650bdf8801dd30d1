"""Keys of simulated nodes: real signatures, and an agreement that costs a hash instead of a curve.

Who seals datagrams to whom does not change what a simulation measures, but X25519 for millions of pairs would be half
of its work. The stand-in gives both sides the same secret, as the agreement does; it hides nothing from anybody, and
there is nobody to hide from. Signatures stay real: that nobody can forge a record is what is to be shown.
"""

from __future__ import annotations

from hashlib import sha256

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair


class SimulatedKeyPair(KeyPair):
    """A key pair whose agreement is a hash of both public keys."""

    __slots__ = ()

    def agree(self, peer: PublicKey) -> bytes:
        """Return a 32-byte secret that both sides compute alike.

        Raises:
            BadMessage: ``peer`` has another length than a key.
        """
        if len(peer) != len(self.public_key):
            raise BadMessage("agreement_key")
        low, high = sorted((self.public_key, peer))
        return sha256(low + high).digest()
