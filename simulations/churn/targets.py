"""What the project owes its users while nothing worse happens than that nodes come and go."""

from __future__ import annotations

import asyncio

from simulations.stage import Stage

FOUND = 0.999
"""Share of lookups of what is there that find it, also at 10,000 nodes under churn."""

LOOKUP_P50_S = 0.3
"""Half of them are answered by then: R/Kademlia, with other means, needs 0.35 s among 5,000 nodes."""

LOOKUP_P95_S = 1.0
"""Dead contacts on the way cost less than this."""

PUBLISH_P50_S = 1.0
"""Half of the writes are taken by then: as Optimistic Provide among 10,000 nodes."""

BYTES_PER_NODE_S = 200.0
"""Traffic of a node that nobody asks for much, headers included; R/Kademlia needs 140."""


def expect_everyday(stage: Stage, *, phase: str = "", bytes_per_node_s: float | None = BYTES_PER_NODE_S) -> None:
    """Hold the figures of a measured part against the targets.

    Args:
        stage: whose figures.
        phase: as it was measured under.
        bytes_per_node_s: most traffic of a node; absent: not held against anything, as while nodes pour in.
    """
    prefix = f"{phase}_" if phase else ""
    stage.expect(f"{prefix}lookup_success", at_least=FOUND)
    stage.expect(f"{prefix}lookup_p50_s", at_most=LOOKUP_P50_S)
    stage.expect(f"{prefix}lookup_p95_s", at_most=LOOKUP_P95_S)
    stage.expect(f"{prefix}publish_p50_s", at_most=PUBLISH_P50_S)
    if bytes_per_node_s is not None:
        stage.expect(f"{prefix}bytes_per_node_s", at_most=bytes_per_node_s)


async def picture_midway(stage: Stage, *, minutes: float, label: str = "during") -> None:
    """Keep a picture of the network in the middle of a measured part."""
    await asyncio.sleep(minutes * 30)
    stage.snapshot(label)
