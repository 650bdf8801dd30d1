"""The datagrams between a node and its router: PCP's MAP (RFC 6887) and NAT-PMP (RFC 6886), for UDP. Pure.

Both are spoken with port 5351 of the router. Versions differ in the first byte: 0 is NAT-PMP, 2 is PCP. Whatever comes
back is hostile until checked: that it comes from the router asked is the socket's to see, that it belongs to a request
is the asker's: :meth:`Mapped.belongs_to`.

::

    NAT-PMP   0 | op | reserved 2 | internal port 2 | suggested port 2 | lifetime 4           op 0: 2 bytes, the address
              0 | 128+op | result 2 | epoch 4 | (address 4) or (internal 2, external 2, lifetime 4)
    PCP       2 | op | reserved 2 | lifetime 4 | client address 16 |
                nonce 12 | protocol 1 | reserved 3 | internal port 2 | suggested port 2 | suggested address 16
              2 | 128+op | reserved 1 | result 1 | lifetime 4 | epoch 4 | reserved 12 | the same 36 bytes, assigned
"""

from __future__ import annotations

import ipaddress
import struct
from enum import Enum

from pilotdht.errors import BadMessage
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

SERVER_PORT = 5351
"""Where routers listen: RFC 6886, section 3.1; RFC 6887, section 19.1."""

NONCE_BYTES = 12
"""What tells our PCP mapping from one that somebody else asks for: RFC 6887, section 11.1."""

MAX_REPLY_BYTES = 1100
"""RFC 6887, section 7; a longer reply is none."""

_PCP_VERSION = 2
_IS_REPLY = 0x80
_ANNOUNCE = 0
_MAP = 1
_UDP_PROTOCOL = 17
_NATPMP_ADDRESS = 0
_NATPMP_MAP_UDP = 1

_NATPMP_REQUEST = struct.Struct("!BBHHHI")
_NATPMP_HEAD = struct.Struct("!BBHI")
_NATPMP_MAPPED = struct.Struct("!HHI")
_PCP_REQUEST = struct.Struct("!BBHI16s12sB3xHH16s")
_PCP_ASK = struct.Struct("!BBHI16s")
_PCP_REPLY = struct.Struct("!BBBBII12x12sB3xHH16s")
_PCP_HEAD = struct.Struct("!BBBBII12x")


class Protocol(Enum):
    """How a router was asked; the values are labels of counters and logs."""

    PCP = "pcp"
    """RFC 6887."""
    NATPMP = "nat-pmp"
    """RFC 6886."""
    UPNP = "upnp"
    """UPnP's Internet Gateway Device; its datagrams are not here, see :class:`pilotdht.net.doors.PortForwarder`."""


class Outcome(Enum):
    """What a router said, as far as it matters here; the values are labels of counters and logs."""

    OK = "ok"
    """Done."""
    VERSION = "version"
    """It does not speak this version: the other protocol is tried."""
    FORBIDDEN = "forbidden"
    """Its owner has switched this off, or it will not do it for us."""
    FULL = "full"
    """It has no more room, for us or at all."""
    NO_NETWORK = "no_network"
    """It has no address outside itself, yet."""
    ADDRESS = "address"
    """It sees us at another address than we think: another NAT stands between, or our address changed."""
    FAILED = "failed"
    """Anything else."""


_NATPMP_RESULTS = {
    0: Outcome.OK,
    1: Outcome.VERSION,
    2: Outcome.FORBIDDEN,
    3: Outcome.NO_NETWORK,
    4: Outcome.FULL,
    5: Outcome.FORBIDDEN,
}
"""RFC 6886, section 3.5."""

_PCP_RESULTS = {
    0: Outcome.OK,
    1: Outcome.VERSION,
    2: Outcome.FORBIDDEN,
    4: Outcome.FORBIDDEN,
    7: Outcome.NO_NETWORK,
    8: Outcome.FULL,
    9: Outcome.FORBIDDEN,
    10: Outcome.FULL,
    11: Outcome.FULL,
    12: Outcome.ADDRESS,
}
"""RFC 6887, section 7.4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A router's reply that it did not do what it was asked."""

    protocol: Protocol
    """In which it was said."""
    outcome: Outcome
    """Why; never :attr:`Outcome.OK`."""
    epoch_s: int
    """Seconds since the router's tables were last empty, as it says."""
    retry_after_s: int = 0
    """How long it wants not to be asked again, as it says; 0 when it does not say."""
    nonce: bytes = b""
    """As in the request that it refuses, when it repeats that; else empty."""

    def belongs_to(self, nonce: bytes) -> bool:
        """Return whether it can be meant for a request with this nonce."""
        return self.nonce in (b"", nonce)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """A router's reply that it is there (PCP's ANNOUNCE)."""

    epoch_s: int
    """Seconds since the router's tables were last empty, as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAddress:
    """A router's reply which address it has outside (NAT-PMP)."""

    host: str
    """IPv4 literal, of any range: a router behind another NAT has a private one."""
    epoch_s: int
    """Seconds since the router's tables were last empty, as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """A router's reply that a port is mapped, or that it is no more when the lifetime is 0."""

    protocol: Protocol
    """In which it was said."""
    internal_port: int
    """Ours, 1..65535."""
    external_port: int
    """The router's, 1..65535; 0 only when nothing is mapped any more."""
    external_host: str
    """The router's address outside, IPv4 literal; empty in NAT-PMP, which has a request of its own for it."""
    lifetime_s: int
    """For how long; 0 when deleted."""
    epoch_s: int
    """Seconds since the router's tables were last empty, as it says."""
    nonce: bytes
    """As in the request, 12 bytes; empty in NAT-PMP."""

    def belongs_to(self, *, protocol: Protocol, internal_port: int, nonce: bytes) -> bool:
        """Return whether it answers a request for this port; whoever is not on the path does not know the nonce."""
        is_ours = self.protocol is protocol and self.internal_port == internal_port
        return is_ours and (protocol is Protocol.NATPMP or self.nonce == nonce)


Answer = Refusal | Alive | PublicAddress | Mapped
"""What a router may say."""


def natpmp_address_request() -> bytes:
    """Return the question for the router's address outside: RFC 6886, section 3.2."""
    return bytes((0, _NATPMP_ADDRESS))


def natpmp_map_request(*, internal_port: int, suggested_port: int, lifetime_s: int) -> bytes:
    """Return the wish to map a UDP port, or to delete the mapping with lifetime 0: RFC 6886, sections 3.3 and 3.4."""
    suggested_port = suggested_port if lifetime_s else 0
    return _NATPMP_REQUEST.pack(0, _NATPMP_MAP_UDP, 0, internal_port, suggested_port, lifetime_s)


def pcp_map_request(
    *, own_host: str, nonce: bytes, internal_port: int, suggested: Endpoint | None, lifetime_s: int
) -> bytes:
    """Return the wish to map a UDP port, or to delete the mapping with lifetime 0: RFC 6887, sections 11.1 and 15.

    Args:
        own_host: our IPv4 address, as the datagram's source; the router compares.
        nonce: 12 bytes; the same for renewals and the deletion.
        internal_port: ours.
        suggested: what we would like to have outside; absent: only the port, equal to ours.
        lifetime_s: wished.
    """
    host, port = ("0.0.0.0", internal_port) if suggested is None else suggested  # noqa: S104 - binds nothing
    if not lifetime_s:
        host, port = "0.0.0.0", 0  # noqa: S104 - binds nothing
    return _PCP_REQUEST.pack(
        _PCP_VERSION, _MAP, 0, lifetime_s, _mapped(own_host), nonce, _UDP_PROTOCOL, internal_port, port, _mapped(host)
    )


def pcp_announce_request(own_host: str) -> bytes:
    """Return the question whether a PCP server is there, and since when: RFC 6887, section 14.1."""
    return _PCP_ASK.pack(_PCP_VERSION, _ANNOUNCE, 0, 0, _mapped(own_host))


def answer_untrusted(datagram: bytes) -> Answer:
    """Read what a router sent back.

    Raises:
        BadMessage: it is no answer to anything that is asked here.
    """
    if not 8 <= len(datagram) <= MAX_REPLY_BYTES:
        raise BadMessage("portmap_size")
    if not datagram[1] & _IS_REPLY:
        raise BadMessage("portmap_request")
    if datagram[0] == 0:
        return _natpmp_untrusted(datagram)
    return _pcp_untrusted(datagram)


def _natpmp_untrusted(datagram: bytes) -> Answer:
    _, operation, result, epoch_s = _NATPMP_HEAD.unpack_from(datagram)
    if result:
        outcome = _NATPMP_RESULTS.get(result, Outcome.FAILED)
        return Refusal(protocol=Protocol.NATPMP, outcome=outcome, epoch_s=epoch_s)
    if operation == _IS_REPLY | _NATPMP_ADDRESS:
        if len(datagram) < 12:
            raise BadMessage("portmap_size")
        return PublicAddress(host=_usable_untrusted(datagram[8:12]), epoch_s=epoch_s)
    if operation != _IS_REPLY | _NATPMP_MAP_UDP:
        raise BadMessage("portmap_operation")
    if len(datagram) < 16:
        raise BadMessage("portmap_size")
    internal_port, external_port, lifetime_s = _NATPMP_MAPPED.unpack_from(datagram, 8)
    _check_ports_untrusted(internal_port, external_port, lifetime_s)
    return Mapped(
        protocol=Protocol.NATPMP,
        internal_port=internal_port,
        external_port=external_port,
        external_host="",
        lifetime_s=lifetime_s,
        epoch_s=epoch_s,
        nonce=b"",
    )


def _pcp_untrusted(datagram: bytes) -> Answer:
    if len(datagram) < _PCP_HEAD.size or len(datagram) % 4:
        raise BadMessage("portmap_size")
    version, operation, _, result, lifetime_s, epoch_s = _PCP_HEAD.unpack_from(datagram)
    if result:  # a later version says so with its own number: RFC 6887, section 9
        return Refusal(
            protocol=Protocol.PCP,
            outcome=_PCP_RESULTS.get(result, Outcome.FAILED),
            epoch_s=epoch_s,
            retry_after_s=lifetime_s,
            nonce=datagram[_PCP_HEAD.size :][:NONCE_BYTES] if len(datagram) >= _PCP_REPLY.size else b"",
        )
    if version != _PCP_VERSION:
        raise BadMessage("portmap_version")
    if operation == _IS_REPLY | _ANNOUNCE:
        return Alive(epoch_s=epoch_s)
    if operation != _IS_REPLY | _MAP:
        raise BadMessage("portmap_operation")
    if len(datagram) < _PCP_REPLY.size:
        raise BadMessage("portmap_size")
    *_, nonce, protocol, internal_port, external_port, external = _PCP_REPLY.unpack_from(datagram)
    if protocol != _UDP_PROTOCOL:
        raise BadMessage("portmap_protocol")
    _check_ports_untrusted(internal_port, external_port, lifetime_s)
    host = ""
    if lifetime_s:
        if external[:12] != b"\0" * 10 + b"\xff\xff":
            raise BadMessage("portmap_address")
        host = _usable_untrusted(external[12:])
    return Mapped(
        protocol=Protocol.PCP,
        internal_port=internal_port,
        external_port=external_port,
        external_host=host,
        lifetime_s=lifetime_s,
        epoch_s=epoch_s,
        nonce=nonce,
    )


def _check_ports_untrusted(internal_port: int, external_port: int, lifetime_s: int) -> None:
    if internal_port == 0 or (external_port == 0 and lifetime_s):
        raise BadMessage("portmap_port")


def _usable_untrusted(packed: bytes) -> str:
    """Return an IPv4 address that somebody could have: private ones are, nobody's and everybody's are not."""
    address = ipaddress.IPv4Address(packed)
    if packed[0] == 0 or address.is_multicast or address.is_loopback or address.is_reserved:
        raise BadMessage("portmap_address")
    return str(address)


def _mapped(host: str) -> bytes:
    """Return an IPv4 address as PCP writes it, mapped into IPv6: RFC 6887, section 5."""
    return b"\0" * 10 + b"\xff\xff" + ipaddress.IPv4Address(host).packed
