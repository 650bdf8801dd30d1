"""Virtual ports as agents know them."""

from __future__ import annotations

from enum import IntEnum


class WellKnownPort(IntEnum):
    """Ports with a meaning that all nodes share; every other port belongs to applications."""

    ECHO = 7
    """Sends back what it gets; ``ping`` measures with it."""
    HTTP = 80
    """Plain HTTP; the tunnel encrypts."""
    TRUST = 444
    """Handshakes: the one port that an untrusted peer may open."""
    STDIO = 1000
    """Messages and their answers, pipes between programs."""
    DATA = 1001
    """Data exchange: files and typed messages."""
    EVENTS = 1002
    """Publish and subscribe."""
    QUERY = 1003
    """Questions and answers."""
    METRICS = 1004
    """Tells trusted peers where this node may be scraped, when it wants to be."""
