"""The kinds of datagrams on the one socket, told apart by their first byte, and their one size limit.

Source: RFC 9443 (what QUIC leaves free for others on its port), RFC 9000, section 14 (1,200 bytes pass everywhere).
"""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.wire.endpoint import Endpoint

QUIC_BIT = 0x40
"""Set in the first byte of every QUIC version 1 packet, and of nothing else here."""

HELLO = 0x21
"""Ask who lives behind an endpoint."""

HELLO_REPLY = 0x22
"""Say who lives here."""

RELAYED = 0x23
"""A whole datagram between two nodes, on its way to or from a relay."""

PUNCH = 0x24
"""Opens a NAT, or finds out where one is open; says nothing else."""

MAX_DATAGRAM_BYTES = 1200
"""No datagram of ours is longer, so that none is ever cut into fragments."""

Transmit = Callable[[bytes, Endpoint], None]
"""Sends one datagram; never raises, never blocks."""

HandleDatagram = Callable[[bytes, Endpoint], None]
"""Takes one datagram of a kind, from the endpoint it came from."""
