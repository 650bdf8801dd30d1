"""Who gets a trunk under a virtual clock: proofs, other meshes, firewalls that open TLS, slow and many handshakes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pilotdht.config.trunk import TrunkConfig
from pilotdht.traversal.trunk.opening import Failure
from pilotdht.traversal.trunk.proof import (
    ASK_BYTES,
    CLIENT_PROOF_BYTES,
    SERVER_PROOF_BYTES,
    WELCOME_BYTES,
    encode_ask,
    encode_client_proof,
)
from pilotdht.wire.seal import network_salt
from simulations.engine.virtual_loop import run_virtually
from tests.support.trunk_streams import PLACE, opened, raw, refused, trunk_world


def test_node_of_another_mesh_is_told_nothing() -> None:
    """It gets no byte; the client knows that it was refused."""

    async def main() -> None:
        async with trunk_world(salt=network_salt(7, b"key")) as world:
            assert "refused" == await refused(world.client(2, salt=network_salt(7, b"other")))
            ((_, server),) = world.streams.opened
            assert b"" == bytes(server.written)
            assert {"mesh": 1} == world.counts_of_refusals

    run_virtually(main())


def test_firewall_that_opens_tls_is_noticed() -> None:
    """The certificate that the client was shown is not the one that the server signed: it does not say who it is."""

    async def main() -> None:
        async with trunk_world() as world:
            world.streams.is_intercepted = True
            client = world.client(2)
            failure = await client.opener.open(PLACE)
            assert isinstance(failure, Failure)
            assert "unproven" == failure.result
            assert "opens TLS" in failure.sentence
            ((own, _),) = world.streams.opened
            assert ASK_BYTES == len(own.written)

    run_virtually(main())


def test_server_with_another_key_than_was_given_is_refused() -> None:
    """Before the client says who it is."""

    async def main() -> None:
        async with trunk_world() as world:
            client = world.client(2)
            failure = await client.opener.open(replace(PLACE, public_key=client.keys.public_key))
            assert isinstance(failure, Failure)
            assert "wrong_key" == failure.result
            ((own, _),) = world.streams.opened
            assert ASK_BYTES == len(own.written)

    run_virtually(main())


def test_replayed_proof_opens_nothing() -> None:
    """What a client said once is worth nothing on the next connection."""

    async def main() -> None:
        async with trunk_world() as world:
            await opened(world.client(2))
            ((own, _),) = world.streams.opened
            said = bytes(own.written)
            thief = await raw(world)
            thief.write(said[:ASK_BYTES])
            await thief.read_exactly(SERVER_PROOF_BYTES)
            thief.write(said[ASK_BYTES : ASK_BYTES + CLIENT_PROOF_BYTES])
            await asyncio.sleep(1)
            assert thief.is_over
            assert {"proof": 1} == world.counts_of_refusals

    run_virtually(main())


def test_garbage_ends_a_handshake_at_once() -> None:
    """A browser, or a scanner, is told nothing."""

    async def main() -> None:
        async with trunk_world() as world:
            stream = await raw(world)
            stream.write(b"GET / HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n" * 4)
            await asyncio.sleep(1)
            assert stream.is_over
            assert {"mesh": 1} == world.counts_of_refusals

    run_virtually(main())


def test_slow_handshakes_hold_few_places_for_a_short_time() -> None:
    """One network gets sixteen; after five seconds all are free, and others are served meanwhile."""

    async def main() -> None:
        async with trunk_world() as world:
            slow = [await raw(world, host=f"198.51.9.{number + 1}") for number in range(20)]
            assert {"handshakes_prefix": 4} == world.counts_of_refusals
            slow[0].write(b"P")
            await opened(world.client(2))
            await asyncio.sleep(world.config.handshake_timeout_s)
            assert all(stream.is_over for stream in slow)
            assert {"handshakes_prefix": 4, "timeout": 16} == world.counts_of_refusals
            assert world.server is not None
            assert (0, 1) == world.server.places_taken

    run_virtually(main())


def test_flood_of_connections_is_cut_to_a_rate() -> None:
    """Handshakes cost: one network gets its burst, and others are served."""

    async def main() -> None:
        async with trunk_world() as world:
            for number in range(200):
                (await raw(world, host=f"198.51.9.{number + 1}")).close()
                await asyncio.sleep(0.02)
            assert 50 < world.counts.refused["rate"] < 100
            await opened(world.client(2))

    run_virtually(main())


def test_server_that_is_full_says_so() -> None:
    """In all, and for one network; a place that is left is free again."""

    async def main() -> None:
        async with trunk_world(config=TrunkConfig(max_trunks=2, trunks_per_prefix=1)) as world:
            first = await opened(world.client(2))
            assert "refused" == await refused(world.client(3, host="198.51.2.9"))
            await opened(world.client(4))
            assert "refused" == await refused(world.client(5))
            assert {"prefix": 1, "full": 1} == world.counts_of_refusals
            first.close()
            await asyncio.sleep(0.1)
            await opened(world.client(5))

    run_virtually(main())


def test_client_key_is_proven_before_anything_is_lent() -> None:
    """Somebody else's key without its signature gets nothing."""

    async def main() -> None:
        async with trunk_world() as world:
            client, thief = world.client(2), await raw(world)
            nonce = b"n" * 32
            thief.write(encode_ask(world.salt, nonce))
            proof = await thief.read_exactly(SERVER_PROOF_BYTES)
            forged = encode_client_proof(
                world.client(3).keys,
                salt=world.salt,
                client_nonce=nonce,
                server_nonce=proof[32:64],
                certificate=thief.certificate,
                server=world.server_node.keys.public_key,
            )
            thief.write(client.keys.public_key + forged[32:])
            await asyncio.sleep(1)
            assert thief.is_over
            assert {"proof": 1} == world.counts_of_refusals

    run_virtually(main())


def test_welcome_is_the_last_word_before_frames() -> None:
    """A server sends exactly its proof and its welcome, and nothing unasked."""

    async def main() -> None:
        async with trunk_world() as world:
            await opened(world.client(2))
            ((_, server),) = world.streams.opened
            assert SERVER_PROOF_BYTES + WELCOME_BYTES == len(server.written)

    run_virtually(main())
