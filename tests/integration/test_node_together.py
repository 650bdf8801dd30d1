"""Whole nodes on real loopback sockets: finding, trusting, talking, and outliving one another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from pilotdht.config.config import Config
from pilotdht.errors import (
    AlreadyExists,
    Ambiguous,
    ConfigError,
    InvalidArgument,
    KeyChanged,
    LinkClosed,
    NodeClosed,
    NotFound,
    NotTrusted,
    PilotError,
    Refused,
    TimedOut,
    Unreachable,
)
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.trust.states import TrustState
from pilotdht.wire.endpoint import Endpoint
from tests.support.leak import leaves_nothing
from tests.support.nodes import befriend, mesh, node_of

pytestmark = [pytest.mark.asyncio, pytest.mark.integration]


async def error_of(work: Awaitable[object]) -> type[PilotError]:
    """Return the class of the error that ``work`` ends with."""
    with pytest.raises(PilotError) as caught:
        await work
    assert caught.value.hint
    return type(caught.value)


async def test_node_is_found_by_name_address_did_and_tag() -> None:
    """Each way of naming a peer leads to the same key and endpoint."""
    async with mesh("alpha", "beta") as (alpha, beta), node_of("gamma", alpha, tags=("finance", "mcp")) as gamma:
        found = [await beta.find(target) for target in ("gamma", str(gamma.address), gamma.did, gamma.public_key)]
        found += await beta.lookup(tag="finance") + await alpha.lookup(tag="mcp")
        assert [gamma.public_key] * 6 == [peer.public_key for peer in found]
        assert {gamma.info().listen} == {peer.endpoints for peer in found}


async def test_find_without_live_record_raises_not_found() -> None:
    """A name, address or key that nobody published is not found; a malformed one is an invalid argument."""
    stranger = KeyPair.generate()
    async with mesh("alpha", "beta") as (alpha, _):
        assert await error_of(alpha.find("nobody")) is NotFound
        assert await error_of(alpha.find(str(stranger.address))) is NotFound
        assert await error_of(alpha.find(stranger.did)) is NotFound
        assert await error_of(alpha.find("No Such Name")) is InvalidArgument
        assert await error_of(alpha.find("7:0000.0000.0001")) is InvalidArgument
        assert [] == await alpha.lookup(tag="nothing")


async def test_untrusted_peer_opens_port_444_and_nothing_else() -> None:
    """Before approval every port but that of the handshake is refused, whether something listens there or not."""
    async with mesh("alpha", "beta") as (alpha, beta), beta.listen(80):
        for port in (7, 80, 1000, 9999):
            assert await error_of(alpha.dial("beta", port)) is NotTrusted
        assert (await alpha.handshake("beta", "may I?")).state is TrustState.PENDING_OUT
        assert ["may I?"] == [entry.reason for entry in beta.pending()]


async def test_handshake_approve_untrust_and_again() -> None:
    """Trust opens ports, untrust cuts live streams at once, and trust can be given again, any number of times."""
    async with mesh("alpha", "beta") as (alpha, beta), beta.listen(80) as listener:
        for _ in range(3):
            await befriend(alpha, beta)
            stream = await alpha.dial("beta", 80)
            accepted = await listener.accept()
            await beta.untrust("alpha")
            async with asyncio.timeout(5):
                assert await error_of(stream.read()) in (LinkClosed, NotTrusted)
                assert await error_of(accepted.read()) in (LinkClosed, NotTrusted)
            stream.abort()
            accepted.abort()
            assert await error_of(alpha.dial("beta", 80)) is NotTrusted
            assert [] == alpha.trusted() == beta.trusted()


async def test_trust_can_be_asked_for_again_at_once() -> None:
    """Right after trust was taken back a fresh request gets through, without waiting for a retry."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await befriend(alpha, beta)
        for _ in range(5):
            await beta.untrust("alpha")
            assert (await alpha.handshake(beta.did, "again")).is_delivered
            await beta.approve(alpha.did)
            assert await alpha.ping("beta") > 0


async def test_handshake_from_both_sides_is_approved_automatically() -> None:
    """When both ask, both trust; nobody has to approve."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await asyncio.gather(alpha.handshake("beta"), beta.handshake("alpha"))
        assert await alpha.ping("beta") > 0
        assert await beta.ping("alpha") > 0


async def test_message_is_answered_by_listener_and_kept_without_one() -> None:
    """A listening program answers; without one the message waits in the inbox and the sender is told it was kept."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await befriend(alpha, beta)
        assert b"" == await alpha.request("beta", b"first")
        async with beta.listen(1000) as listener:
            asking = asyncio.ensure_future(alpha.request("beta", b"second"))
            async with await listener.accept() as stream:
                assert b"second" == await stream.read()
                await stream.write(b"answer")
            assert b"answer" == await asking
        await alpha.send("beta", b"third")
        letters = [await beta.receive(timeout_s=5) for _ in range(2)]
        assert [b"first", b"third"] == [letter.data for letter in letters]
        assert [("alpha", alpha.address)] * 2 == [(letter.hostname, letter.address) for letter in letters]
        assert await error_of(beta.receive(timeout_s=0.01)) is TimedOut
        assert 2.0 == beta.registry.get_sample_value("pilotdht_services_messages_total", {"result": "kept"})
        assert 2.0 == beta.registry.get_sample_value("pilotdht_services_messages_total", {"result": "taken"})
        assert 2.0 == alpha.registry.get_sample_value("pilotdht_names_resolutions_total", {"result": "found"})


async def test_refused_port_and_taken_port_are_typed_errors() -> None:
    """Nothing listening is refused; two listeners on one port are an error of the caller."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await befriend(alpha, beta)
        assert await error_of(alpha.dial("beta", 81)) is Refused
        async with beta.listen(81):
            with pytest.raises(AlreadyExists):
                await beta.listen(81).__aenter__()


async def test_network_lives_on_when_its_first_node_vanishes() -> None:
    """Names, links and joining need no particular node: the one that all joined through may be killed."""
    async with mesh("first", "alpha", "beta", "gamma") as (first, alpha, beta, gamma):
        await befriend(alpha, beta)
        first.rooms.socket.rpc.close()  # as a power cut: nothing is withdrawn or told
        await first.rooms.socket.close()
        assert beta.public_key == (await gamma.find("beta")).public_key
        assert await alpha.ping("beta") > 0
        async with node_of("newcomer", gamma) as newcomer:
            assert newcomer.public_key == (await alpha.find("newcomer")).public_key
            assert alpha.public_key == (await newcomer.find("alpha")).public_key


async def test_restarted_node_keeps_address_trust_and_port(tmp_path: Path) -> None:
    """A node started again from its data directory is the same node, where it was, and still trusted."""
    async with mesh("alpha", "beta") as (alpha, _):
        gamma = node_of("gamma", alpha, data_dir=tmp_path)
        async with gamma:
            await befriend(alpha, gamma)
            await alpha.ping("gamma")
            before = (gamma.address, gamma.info().listen)
        again = Node(replace(gamma.config, bootstrap=()))
        async with again:
            assert before == (again.address, again.info().listen)
            assert again.info().is_joined
            assert await alpha.ping("gamma") > 0
            assert [alpha.public_key] == [entry.public_key for entry in again.trusted()]


async def test_peer_that_moved_is_found_where_it_is_now(tmp_path: Path) -> None:
    """After a restart on another port the next call resolves anew and gets through."""
    async with mesh("alpha", "beta") as (alpha, beta):
        gamma = node_of("gamma", alpha, data_dir=tmp_path)
        async with gamma:
            await befriend(alpha, gamma)
            await alpha.ping("gamma")
        (tmp_path / "state").unlink()
        async with Node(replace(gamma.config, bootstrap=(str(beta.info().listen[0]),))) as again:
            assert await alpha.ping("gamma") > 0
            assert gamma.public_key == again.public_key


async def test_two_claims_of_a_name_are_ambiguous_until_one_is_trusted() -> None:
    """Nobody owns a name: two claims are an error that lists both, unless trust or a pin decides."""
    async with mesh("alpha", "beta", "twin") as (alpha, beta, twin), node_of("twin", alpha) as other:
        with pytest.raises(Ambiguous) as caught:
            await beta.find("twin")
        assert sorted(f"{node.address} {node.did}" for node in (twin, other)) == sorted(caught.value.claims)
        await beta.handshake(twin.did)
        await twin.approve("beta")
        assert twin.public_key == (await beta.find("twin")).public_key


async def test_alias_stands_for_a_key_whatever_anybody_claims() -> None:
    """A name of one's own leads to its peer though another claims that hostname, and is forgotten when told to."""
    async with mesh("alpha", "beta", "friend") as (alpha, beta, impostor):
        await alpha.set_alias("friend", "beta")
        assert {"friend": beta.address} == alpha.aliases()
        assert beta.public_key == (await alpha.find("friend")).public_key
        assert await alpha.remove_alias("friend")
        assert impostor.public_key == (await alpha.find("friend")).public_key
        assert not await alpha.remove_alias("friend")


async def test_pinned_name_with_another_key_is_a_loud_error() -> None:
    """A name resolved before and claimed by another key now is refused until trust is taken back."""
    async with mesh("alpha", "beta") as (alpha, beta):
        async with node_of("gamma", alpha) as gamma:
            assert gamma.public_key == (await beta.find("gamma")).public_key
        async with node_of("gamma", alpha) as impostor:
            assert await error_of(beta.find("gamma")) is KeyChanged
            await beta.untrust("gamma")
            assert impostor.public_key == (await beta.find("gamma")).public_key


async def test_new_hostname_and_tags_replace_the_old_ones() -> None:
    """After a change the new name and tags are found and the old ones are not."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await beta.set_tags(["one"])
        await beta.set_hostname("gamma")
        await beta.set_tags(["two"])
        assert beta.public_key == (await alpha.find("gamma")).public_key
        assert await error_of(alpha.find("beta")) is NotFound
        assert [] == await alpha.lookup(tag="one")
        assert [beta.public_key] == [peer.public_key for peer in await alpha.lookup(tag="two")]
        with pytest.raises(InvalidArgument):
            await beta.set_hostname("Not A Name")
        assert beta.hostname == "gamma"


async def test_closed_node_withdraws_its_records() -> None:
    """After a clean stop nobody finds the node."""
    async with mesh("alpha", "beta", "gamma") as (alpha, beta, gamma):
        await alpha.find("beta")
        await beta.close()
        assert await error_of(gamma.find("beta")) is NotFound


async def test_dial_to_a_dead_endpoint_is_unreachable() -> None:
    """A peer whose record is live but that does not answer is unreachable, within the time given."""
    async with mesh("alpha", "beta", "gamma") as (alpha, beta, _):
        await alpha.find("beta")
        await beta.rooms.socket.close()
        assert await error_of(alpha.dial("beta", 7, timeout_s=3.0)) in (Unreachable, TimedOut)


async def test_node_leaves_nothing_behind() -> None:
    """Closing ends every task, timer and socket, and may be repeated; verbs then say that the node is closed."""
    async with leaves_nothing():
        async with mesh("alpha", "beta") as (alpha, beta):
            await befriend(alpha, beta)
            await alpha.ping("beta")
        await alpha.close()
        assert await error_of(alpha.find("beta")) is NodeClosed


async def test_start_on_a_taken_port_fails_and_leaves_nothing() -> None:
    """A port in use is a configuration error; the failed start cleans up after itself."""
    async with leaves_nothing(), mesh("alpha") as (alpha,):
        taken = alpha.info().listen[0]
        with pytest.raises(ConfigError):
            await Node(replace(alpha.config, listen=Endpoint(taken.host, taken.port))).__aenter__()


async def test_remembered_port_that_is_taken_is_replaced_by_another(tmp_path: Path) -> None:
    """A node whose last port somebody else uses now starts on another one; one object can be started again."""
    node = node_of("alpha", data_dir=tmp_path)
    async with node:
        port = node.info().listen[0].port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", port))
        async with node:
            assert node.info().listen[0].port != port


async def test_node_that_listens_everywhere_is_reachable_as_soon_as_somebody_joins() -> None:
    """A first node bound to the unspecified address knows no endpoint of its own until a peer tells it."""
    async with Node(Config(hostname="alpha")) as alpha:
        port = alpha.info().listen[0].port
        async with Node(Config(hostname="beta", bootstrap=(f"127.0.0.1:{port}",))) as beta:
            await befriend(beta, alpha)
            assert await beta.ping("alpha") > 0
            assert await alpha.ping("beta") > 0
