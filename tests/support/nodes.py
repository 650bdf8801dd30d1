"""Whole nodes on loopback, in this process, for tests of what they do together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from pilotdht.config.config import Config
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint

LOOPBACK = Endpoint("127.0.0.1", 0)


def node_of(
    hostname: str, *seeds: Node, tags: tuple[str, ...] = (), data_dir: Path | None = None, keys: KeyPair | None = None
) -> Node:
    """Return a node that is not started yet and joins through ``seeds``."""
    config = Config(
        hostname=hostname,
        tags=tags,
        listen=LOOPBACK,
        bootstrap=tuple(str(seed.info().listen[0]) for seed in seeds),
        data_dir=data_dir,
        resolve_cache_s=5.0,
    )
    return Node(config, keys=keys)


@contextlib.asynccontextmanager
async def mesh(*hostnames: str) -> AsyncIterator[list[Node]]:
    """Run nodes with these names, each joined through the first."""
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for hostname in hostnames:
            nodes.append(await stack.enter_async_context(node_of(hostname, *nodes[:1])))
        yield nodes


async def befriend(one: Node, other: Node) -> None:
    """Make two nodes trust each other."""
    await one.handshake(other.did, "test")
    await other.approve(one.did)
