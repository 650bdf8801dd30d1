"""Who is at the other end of a unix socket, and whether they may give orders."""

from __future__ import annotations

import os
import socket
import struct
import sys

SOL_LOCAL = 0
LOCAL_PEERCRED = 1


def peer_user_id(connection: socket.socket, *, platform: str = sys.platform) -> int | None:
    """Return the user id of the process at the other end, or ``None`` where the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):  # Linux: struct ucred: process, user, group
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    if platform == "darwin":  # struct xucred: version, user, number of groups, groups
        credentials = connection.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("2i", credentials)[1])
    return None


def may_control(user_id: int | None) -> bool:
    """Return whether a user may give orders: root and our own; an unknown one has passed the directory's mode."""
    return user_id is None or user_id in (0, os.geteuid())
