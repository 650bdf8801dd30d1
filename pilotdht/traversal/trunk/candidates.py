"""Where a trunk may be opened, in the order in which it is tried. Pure.

Whoever was named as a bootstrap node serves trunks most likely, at the port of the web first: it is what firewalls let
out. Contacts from earlier are tried next; their keys are known.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotdht.config.trunk import WEB_PORT
from pilotdht.identity.ids import PublicKey
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One place where somebody may serve trunks."""

    host: str
    """IP literal or DNS name."""
    port: int
    """TCP port."""
    public_key: PublicKey | None
    """Who must be there; absent: whoever proves to be a node of this mesh."""


def candidates(
    named: Iterable[tuple[str, int, PublicKey | None]],
    contacts: Iterable[Contact],
    *,
    last: Candidate | None,
    most: int,
) -> list[Candidate]:
    """Return where to try, best first.

    Args:
        named: host, UDP port and key of the bootstrap nodes, in the order of the configuration.
        contacts: nodes known from earlier.
        last: the place whose trunk has just been lost; it is tried after the others of its rank.
        most: how many to return.
    """
    groups = (list(named), [(one.endpoint.host, one.endpoint.port, one.public_key) for one in contacts])
    found: dict[tuple[str, int], Candidate] = {}
    for group in groups:
        places = [
            Candidate(host=host, port=tcp_port, public_key=key)
            for is_web in (True, False)
            for host, port, key in group
            for tcp_port in (WEB_PORT if is_web else port,)
        ]
        for place in sorted(places, key=lambda one: last is not None and one.host == last.host):
            found.setdefault((place.host, place.port), place)
    return list(found.values())[:most]
