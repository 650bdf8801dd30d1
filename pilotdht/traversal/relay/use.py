"""What relaying amounts to at this moment, in both directions. Pure."""

from __future__ import annotations

from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayUse:
    """What a node carries for others, and what others carry for it; totals are since the node was started."""

    is_serving: bool
    """Whether nodes may attach here and be called."""
    is_relay: bool
    """Whether their channels carry all traffic; otherwise only what two nodes need to meet."""
    attached: int
    """Nodes attached here."""
    max_attached: int
    """How many may be."""
    channels: int
    """Channels through this node."""
    max_channels: int
    """How many may be."""
    forwarded_frames: int
    """Frames sent on for others."""
    forwarded_bytes: int
    """Bytes of those frames."""
    dropped_frames: int
    """Frames of others thrown away, for whatever reason."""
    total_bytes_per_s: float
    """What all others together may send through this node, on average."""
    own_channels: int
    """Channels that this node has open through other servers."""
