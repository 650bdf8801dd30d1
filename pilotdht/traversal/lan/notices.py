"""What a node tells of itself on the local network, and what is taken from others' announcements. Pure.

An announcement (RFC 6763) is named by the node's short id and carries, besides port and addresses, three texts::

    v       version of the protocol
    id      public key, as did:key
    mesh    8 bytes in hexadecimal that tell meshes apart

``mesh`` is cut from a hash of the network's salt: nobody learns a mesh's key from it, but whoever guesses one can check
the guess, as with any datagram of the mesh. All of it is a claim. The key proves itself when it is greeted or dialled;
until then an announcement is a hint where to ask, and only on the link that it came from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from hashlib import sha256

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.ids import PublicKey, node_id_of
from pilotdht.identity.keys import did_of, parse_did
from pilotdht.net.doors import LinkNotice
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

VERSION = "1"
"""Of the protocol; others are left alone."""

MAX_TEXT_BYTES = 128
"""Length of each text; a ``did:key`` has 56."""

MAX_ADDRESSES_LOOKED_AT = 32
"""Addresses of an announcement that are looked at, for those on our link."""

MESH_BYTES = 8
_ID_BYTES = 8
_LABEL = b"pilotdht/1 lan mesh"

REASONS = ("self", "text", "version", "mesh", "id", "port", "off_link")
"""Why an announcement is not taken."""

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
"""What the machine's interfaces reach without a router."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an announcement comes to."""

    public_key: PublicKey
    """Who it says it is."""
    endpoints: tuple[Endpoint, ...]
    """Where it says it is: on our link, at least one; IPv4 first."""


def instance_of(public_key: PublicKey) -> str:
    """Return the name of a node's announcement: the first half of its id in hexadecimal, never the host's name."""
    return node_id_of(public_key)[:_ID_BYTES].hex()


def mesh_tag(salt: bytes) -> str:
    """Return what tells meshes apart.

    Args:
        salt: of the mesh, :func:`pilotdht.wire.seal.network_salt`.
    """
    return sha256(_LABEL + salt).digest()[:MESH_BYTES].hex()


def text_of(public_key: PublicKey, salt: bytes) -> dict[str, str]:
    """Return the texts of a node's own announcement."""
    return {"v": VERSION, "id": did_of(public_key), "mesh": mesh_tag(salt)}


def networks_of(texts: Sequence[str]) -> Networks:
    """Return networks from their texts, as ``192.168.1.0/24``; malformed ones are left out."""
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return networks


def is_on_link(host: str, networks: Networks) -> bool:
    """Return whether an address is reached without a router, and can be written down.

    An IPv6 link-local address means something on one interface only, which an endpoint cannot say.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.version == 6 and address.is_link_local:
        return False
    return any(
        address in network and not (network.version == 4 and _is_for_all(address, network)) for network in networks
    )


def claim_untrusted(
    notice: LinkNotice, *, own_key: PublicKey, mesh: str, networks: Networks, most_endpoints: int
) -> Claim:
    """Return what an announcement says, so far as it can be true.

    Args:
        notice: as it was heard.
        own_key: who we are.
        mesh: :func:`mesh_tag` of our mesh.
        networks: what is on our link; addresses elsewhere are not taken, or anybody here could aim us at anything.
        most_endpoints: how many are taken.

    Raises:
        BadMessage: with one of :data:`REASONS`.
    """
    if _text_untrusted(notice.text, "v") != VERSION:
        raise BadMessage("version")
    if _text_untrusted(notice.text, "mesh") != mesh:
        raise BadMessage("mesh")
    try:
        public_key = parse_did(_text_untrusted(notice.text, "id"))
    except InvalidArgument:
        raise BadMessage("id") from None
    if public_key == own_key:
        raise BadMessage("self")
    if not 0 < notice.port < 65_536:
        raise BadMessage("port")
    hosts = [host for host in notice.addresses[:MAX_ADDRESSES_LOOKED_AT] if is_on_link(host, networks)]
    if not hosts:
        raise BadMessage("off_link")
    hosts.sort(key=lambda host: ":" in host)
    written = dict.fromkeys(str(ipaddress.ip_address(host)) for host in hosts)
    return Claim(public_key, tuple(Endpoint(host, notice.port) for host in written)[:most_endpoints])


def _text_untrusted(text: Mapping[str, bytes], name: str) -> str:
    value = text.get(name)
    if value is None or len(value) > MAX_TEXT_BYTES or not value.isascii():
        raise BadMessage("text")
    return value.decode("ascii")


def _is_for_all(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return network.prefixlen < 31 and address in (network.network_address, network.broadcast_address)
