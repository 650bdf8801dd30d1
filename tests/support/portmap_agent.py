"""A program that keeps one port mapped and tells what happens, to be run inside a network namespace.

    python -m tests.support.portmap_agent PORT

It prints a line of JSON for each change of the mapping and each datagram that arrives at the port, and ends, deleting
the mapping, when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from prometheus_client import CollectorRegistry

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.doors import Batch, real_doors
from pilotdht.net.host import OwnHost
from pilotdht.net.socket import UdpNetwork
from pilotdht.net.upnp import upnp_forwarder
from pilotdht.tasks import TaskScope
from pilotdht.traversal.portmap.keeper import PortMapKeeper
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.wire.endpoint import Endpoint

QUICK = TraversalConfig(
    port_mapping_check_s=1.0, port_mapping_pcp_wait_s=0.5, port_mapping_natpmp_tries=3, port_mapping_lifetime_s=120
)


def tell(**facts: object) -> None:
    """Print one line."""
    print(json.dumps(facts), flush=True)  # noqa: T201 - this is how the test reads it


async def main(port: int) -> None:
    """Run until standard input ends."""
    network = UdpNetwork()

    def received(batch: Batch) -> None:
        for datagram, endpoint in batch:
            tell(datagram=datagram.decode(), source=str(endpoint))
            socket.send(b"answer to " + datagram, endpoint)

    def changed() -> None:
        mapping = keeper.mapping
        tell(
            state=keeper.state.value,
            endpoint=None if mapping is None else str(mapping.endpoint),
            protocol=None if mapping is None else mapping.protocol.value,
        )

    socket = await network.open(Endpoint("0.0.0.0", port), received)  # noqa: S104 - inside a namespace
    keeper = PortMapKeeper(
        real_doors(network, host=OwnHost(), forwarder=upnp_forwarder()),
        QUICK,
        PortMapMetrics(CollectorRegistry()),
        internal_port=port,
        nonce=b"the same 12b",
        on_change=changed,
    )
    async with TaskScope("agent") as scope:
        scope.start(keeper.run(), name="port mapping")
        await asyncio.to_thread(sys.stdin.read)
    await socket.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
