"""Which user is at the other end of a connection over loopback, where the system tells.

A login link is an argument of the browser's command, and on most systems every user sees the arguments of all
processes. So the link alone must not be enough: where the kernel says whose a connection is, it must be ours.

Source: Linux, ``Documentation/networking/proc_net_tcp.rst``.
"""

from __future__ import annotations

import os
import struct
from ipaddress import ip_address
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
"""An end that is closed already is listed as nobody's, which is root's number."""

UNLISTED = -1
"""The user id of an end that the kernel does not list: it is gone, or not on this machine."""


def loopback_user_id(peer: tuple[str, int], own: tuple[str, int], *, tables: tuple[Path, ...] = _TABLES) -> int | None:
    """Return the user id of the process at the other end, :data:`UNLISTED`, or ``None`` where the system does not tell.

    Args:
        peer: address and port of the other end.
        own: address and port of this end.
        tables: the kernel's tables of connections.
    """
    wanted = {(_encoded(*peer, is_mapped=mapped), _encoded(*own, is_mapped=mapped)) for mapped in (False, True)}
    is_told = False
    for table in tables:
        try:
            lines = table.read_text("ascii").splitlines()[1:]
        except (OSError, UnicodeDecodeError):
            continue
        is_told = True
        for line in lines:
            fields = line.split()
            if len(fields) > 7 and fields[3] == _ESTABLISHED and (fields[1], fields[2]) in wanted:
                return int(fields[7])
    return UNLISTED if is_told else None


def may_watch(user_id: int | None) -> bool:
    """Return whether a user may see the page: root and our own; where the system does not tell, whoever has a link."""
    return user_id is None or user_id in (0, os.geteuid())


def _encoded(host: str, port: int, *, is_mapped: bool) -> str:
    """Return an end as the kernel's tables have it: words of the machine's byte order in hexadecimal."""
    packed = ip_address(host).packed
    if is_mapped:
        packed = bytes(10) + b"\xff\xff" + packed[-4:]
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"
