"""Trust between real nodes on loopback: fast, enforced, and given again as often as it is taken."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht import Config, Endpoint, Node, NotTrusted
from pilotdht.trust.states import TrustState

pytestmark = pytest.mark.integration

LOCAL = Endpoint("127.0.0.1", 0)


@pytest.mark.asyncio
async def test_nodes_trust_untrust_and_trust_again() -> None:
    """Three cycles with one and the same reason: each converges, cuts the links, and closes the gate."""
    async with Node(Config(hostname="alpha", listen=LOCAL)) as alpha:
        bootstrap = (str(alpha.info().listen[0]),)
        async with Node(Config(hostname="beta", listen=LOCAL, bootstrap=bootstrap)) as beta:
            for turn in range(3):
                async with asyncio.timeout(2):
                    asked = await beta.handshake(str(alpha.info().address), "the same reason")
                    assert TrustState.PENDING_OUT is asked.state
                    assert ["the same reason"] == [entry.reason for entry in alpha.pending()]
                    await alpha.approve("beta")
                assert [beta.info().address] == [entry.address for entry in alpha.trusted()]
                assert [alpha.info().address] == [entry.address for entry in beta.trusted()]
                stream = await beta.dial(str(alpha.info().address), 7)
                taker, other = (alpha, beta) if turn % 2 else (beta, alpha)
                await taker.untrust(str(other.info().address))
                with pytest.raises(NotTrusted):
                    await stream.read_exactly(1)
                with pytest.raises(NotTrusted):
                    await beta.ping(str(alpha.info().address))
                assert ([], []) == (alpha.trusted(), beta.trusted())
