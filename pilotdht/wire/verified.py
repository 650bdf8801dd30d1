"""Signatures that were found good already: the same record comes from many holders and is checked once.

Remembered is a digest of all that was checked, key, signature and message, so that nothing but the very same passes
without a check. What was found bad is not remembered: nobody can fill the memory with garbage.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, verify

CAPACITY = 4096
"""Signatures remembered unless somebody says otherwise: 1 MB, and more than the holders of a mesh show one reader."""


class VerifiedSignatures:
    """The signatures that were verified last; the least recently used is forgotten first."""

    def __init__(self, capacity: int) -> None:
        """Make an empty memory of up to ``capacity`` signatures."""
        self._capacity = capacity
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._digests)

    def set_capacity(self, capacity: int) -> None:
        """Remember up to so many from now on: a process with thousands of nodes needs more."""
        self._capacity = capacity
        self._shrink()

    def verify(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` is the key owner's signature of ``message``."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        digest = sha256(public_key + signature + message).digest()  # unambiguous: the first two have fixed lengths
        if digest in self._digests:
            self._digests.move_to_end(digest)
            return True
        if not verify(public_key, message, signature):
            return False
        self._digests[digest] = None
        self._shrink()
        return True

    def _shrink(self) -> None:
        while len(self._digests) > self._capacity:
            self._digests.popitem(last=False)


record_signatures = VerifiedSignatures(CAPACITY)
"""Those of records, for all nodes of this process."""
