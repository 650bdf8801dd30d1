"""What the operating system grants this process, and where that is less than a node is set to use.

A kernel that grants a small receive buffer loses datagrams while the loop is busy, and nobody is told: the sender takes
it for loss on the way.

Source: socket(7), ``SO_RCVBUF`` and ``rmem_max``; getrlimit(2).
"""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import sys

from pilotdht.config.config import Config
from pilotdht.values import dataclass

SPARE_DESCRIPTORS = 128
"""Open files besides connections to the daemon: sockets, data base, log, the interpreter's own, and some to spare."""

DESCRIPTORS_PER_CONNECTION = 2
"""A connection to the control socket may carry a pipe to a program."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimit:
    """One thing that the system grants."""

    name: str
    """``receive_buffer``, ``send_buffer`` (bytes) or ``open_files`` (count)."""
    granted: int
    """What there is; -1 for no limit."""
    wanted: int
    """What the configuration asks for."""
    advice: str
    """What raises it."""

    @property
    def is_short(self) -> bool:
        """Whether it is less than is wanted."""
        return 0 <= self.granted < self.wanted


def host_limits(config: Config) -> list[HostLimit]:
    """Return what the system grants, beside what the configuration asks for."""
    net = config.net
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        limits = [
            HostLimit(
                name="receive_buffer",
                granted=_granted(probe, socket.SO_RCVBUF, net.receive_buffer_bytes),
                wanted=net.receive_buffer_bytes,
                advice=f"run 'sysctl -w net.core.rmem_max={net.receive_buffer_bytes}'",
            ),
            HostLimit(
                name="send_buffer",
                granted=_granted(probe, socket.SO_SNDBUF, net.send_buffer_bytes),
                wanted=net.send_buffer_bytes,
                advice=f"run 'sysctl -w net.core.wmem_max={net.send_buffer_bytes}'",
            ),
        ]
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SPARE_DESCRIPTORS + DESCRIPTORS_PER_CONNECTION * config.daemon.max_connections
    limits.append(
        HostLimit(
            name="open_files",
            granted=-1 if soft == resource.RLIM_INFINITY else soft,
            wanted=wanted,
            advice=f"run 'ulimit -n {wanted}', or set LimitNOFILE in the service",
        )
    )
    return limits


def tell_shortages(config: Config) -> None:
    """Write to the log what the system grants too little of."""
    for limit in host_limits(config):
        if limit.is_short:
            _logger.warning(
                "the system grants less than is configured",
                extra={
                    "operation": limit.name,
                    "limit": limit.granted,
                    "wanted": limit.wanted,
                    "reason": limit.advice,
                },
            )


def _granted(probe: socket.socket, option: int, wanted_bytes: int) -> int:
    """Return how much of a buffer the kernel grants when that much is asked for."""
    with contextlib.suppress(OSError):  # BSD refuses what is above its bound
        probe.setsockopt(socket.SOL_SOCKET, option, wanted_bytes)
    granted = probe.getsockopt(socket.SOL_SOCKET, option)
    return granted // 2 if sys.platform.startswith("linux") else granted  # Linux counts its own overhead in
