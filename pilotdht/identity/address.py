"""The 48-bit virtual address: a locator that fits in a line, not a proof of identity.

Written ``N:XXXX.XXXX.XXXX``: the network in decimal, then the first six bytes of the node id in upper-case hex.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotdht.errors import InvalidArgument
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of

ADDRESS_BYTES = 6
MAX_NETWORK = 0xFFFF

_FORM = re.compile(r"([0-9]{1,5}):([0-9A-Fa-f]{4})\.([0-9A-Fa-f]{4})\.([0-9A-Fa-f]{4})")


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A virtual address; ordered by network, then by value.

    Args:
        network: 0 is the public mesh; others are separate meshes; 0..65535.
        value: the 48 bits as an integer.
    """

    network: int
    value: int

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 <= self.network <= MAX_NETWORK:
            raise InvalidArgument(f"network {self.network} is not in 0..{MAX_NETWORK}")
        if not 0 <= self.value < 1 << (8 * ADDRESS_BYTES):
            raise InvalidArgument("an address has 48 bits")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``N:XXXX.XXXX.XXXX``; hex digits in either case.

        Raises:
            InvalidArgument: the text has another form.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"{text!r} is not an address", hint="addresses look like 0:A91F.0000.7C2E")
        network, *words = match.groups()
        return cls(int(network), int("".join(words), 16))

    @classmethod
    def of_node_id(cls, node_id: NodeId, *, network: int = 0) -> Address:
        """Return the address of a node id: its first six bytes."""
        return cls(network, int.from_bytes(node_id[:ADDRESS_BYTES], "big"))

    @classmethod
    def of_public_key(cls, public_key: PublicKey, *, network: int = 0) -> Address:
        """Return the address of a public key."""
        return cls.of_node_id(node_id_of(public_key), network=network)

    @property
    def packed(self) -> bytes:
        """The 48 bits as 6 bytes, most significant first."""
        return self.value.to_bytes(ADDRESS_BYTES, "big")

    def __str__(self) -> str:
        """Return the canonical text."""
        digits = f"{self.value:012X}"
        return f"{self.network}:{digits[:4]}.{digits[4:8]}.{digits[8:]}"
