"""What this member says of itself: signed anew when it changes, when it is doubted, and before it grows too old.

Pure: the clock of other nodes is handed in.

Incarnations are milliseconds of Unix time where they rise, so that a member that lost its memory is heard at once.
"""

from __future__ import annotations

from pilotdht.identity.keys import KeyPair
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import (
    MAX_FACT_ENDPOINTS,
    MAX_FACT_INTRODUCERS,
    FactKind,
    MemberFact,
    SignedFact,
    sign_fact,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a member tells the others about itself."""

    endpoints: tuple[Endpoint, ...] = ()
    """Where it answers, best first; the first three are told."""
    introducers: tuple[Contact, ...] = ()
    """Servers through which it is called, the best first; empty when its endpoints answer strangers. Two are told."""
    hostname: str = ""
    """What it calls itself, or empty."""
    tags: tuple[str, ...] = ()
    """Up to 8 tags."""
    capabilities: tuple[str, ...] = ()
    """Up to 16 words for what it can answer."""
    load: int | None = None
    """0..100 percent; absent: not told."""
    version: str = ""
    """Version of its software."""
    chain: bytes = b""
    """Its certificates; empty in an open group."""


class Voice:
    """This member's own facts in one group."""

    def __init__(self, keys: KeyPair, group: GroupId) -> None:
        self._keys = keys
        self._group = group
        self._incarnation = 0
        self.description = Description()
        """What was said last."""

    def say(
        self, description: Description, *, unix_ms: int, above: int = 0, kind: FactKind = FactKind.ALIVE
    ) -> SignedFact:
        """Sign what this member says of itself now.

        Args:
            description: what to say.
            unix_ms: Unix time in milliseconds.
            above: an incarnation that has to be exceeded: of a suspicion, or of a fact from before our memory.
            kind: there, or leaving.

        Raises:
            ValueError: it is longer than 960 bytes.
        """
        self._incarnation = max(self._incarnation + 1, above + 1, unix_ms)
        signed = sign_fact(
            self._keys,
            MemberFact(
                group=self._group,
                public_key=self._keys.public_key,
                kind=kind,
                incarnation=self._incarnation,
                endpoints=description.endpoints[:MAX_FACT_ENDPOINTS],
                introducers=description.introducers[:MAX_FACT_INTRODUCERS],
                hostname=description.hostname,
                tags=description.tags,
                capabilities=description.capabilities,
                load=description.load,
                version=description.version,
                chain=description.chain,
            ),
        )
        self.description = description
        return signed
