"""Tunnels over real sockets of the loopback interface."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.tunnel_nodes import ECHO_PORT, read_all, real_node, serve_echo

pytestmark = pytest.mark.integration


@pytest.mark.asyncio
async def test_stream_to_echo_port_returns_the_same_bytes() -> None:
    """What is written to an echo port comes back, both keys proved."""
    async with real_node(1) as one, real_node(2) as two:
        serve_echo(two)
        link = await one.tunnels.dial(two.key, [two.endpoint])
        sent = bytes(range(256)) * 20_000
        async with await link.open_stream(ECHO_PORT) as stream:

            async def write() -> None:
                await stream.write(sent)
                await stream.write_eof()

            async with asyncio.TaskGroup() as group:
                group.create_task(write())
                received = await read_all(stream)

        assert sent == received
        assert two.key == link.peer_key
        accepted = two.tunnels.link_to(one.key)
        assert accepted is not None
        assert one.key == accepted.peer_key
