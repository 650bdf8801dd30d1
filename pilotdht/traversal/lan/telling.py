"""Whom a node tells its private addresses. Pure.

A private address means nothing to strangers, and tells them something about a home. So a node that others see at a
public address leaves private ones out of its records, and tells them, when it meets a peer, only to one that

* it sees at a private address of its own network: they talk there already, or
* it sees at the public address that peers see it at itself: the same router stands in front of both, or
* says that it has that public address, and is trusted. Anybody can say so: our public address is no secret.

A mesh in which nobody has a public address tells everything, as it would not work otherwise.

Source: RFC 8828 (what addresses tell about a user, and how WebRTC holds them back).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pilotdht.net.prefixes import is_local, is_private, prefix_of
from pilotdht.net.switchboard import is_virtual
from pilotdht.traversal.lan.notices import Networks, is_on_link
from pilotdht.wire.endpoint import Endpoint


def for_everybody(
    endpoints: Sequence[Endpoint], *, advertised: Sequence[Endpoint] = (), is_translated: bool = False
) -> tuple[Endpoint, ...]:
    """Return those of a node's endpoints that anybody may know, in their order.

    Args:
        endpoints: all of them.
        advertised: what the operator said; it is told as it is.
        is_translated: whether peers see this node at a public address that is not its own, even when none of its
            endpoints there is known well enough to be told.
    """
    has_public = any(not is_local(endpoint.host) for endpoint in endpoints)
    if not has_public and not is_translated:
        return tuple(endpoints)
    return tuple(endpoint for endpoint in endpoints if endpoint in advertised or not is_local(endpoint.host))


def may_be_told(
    private: Sequence[Endpoint],
    *,
    public: Iterable[Endpoint],
    seen: Iterable[Endpoint],
    said: Iterable[str],
    is_trusted: bool,
) -> bool:
    """Return whether a peer may be told private addresses.

    Args:
        private: what would be told.
        public: where peers see this node.
        seen: where the peer's own datagrams came from, or its answers.
        said: the addresses at which it says that it may be met.
        is_trusted: whether its word counts.
    """
    hosts = {endpoint.host for endpoint in public if not is_local(endpoint.host)}
    own = [endpoint.host for endpoint in private]
    if any(one.host in hosts or is_same_link(one.host, own=own) for one in seen if not is_virtual(one)):
        return True
    return is_trusted and any(host in hosts for host in said)


def is_same_link(host: str, *, own: Iterable[str], networks: Networks = ()) -> bool:
    """Return whether an address is on a link of this machine.

    Args:
        host: of the other side.
        own: the machine's own addresses; private ones of the same prefix count, where networks are not known.
        networks: what its interfaces reach without a router, as far as is known.
    """
    if is_on_link(host, networks):
        return True
    return is_private(host) and any(is_private(one) and prefix_of(one) == prefix_of(host) for one in own)
