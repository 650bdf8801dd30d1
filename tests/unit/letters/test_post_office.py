"""Letters left, kept, told of and fetched between nodes under a virtual clock; and what strangers get out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest

from pilotdht.config.letters import LetterConfig
from pilotdht.errors import ConfigError
from pilotdht.identity.keys import KeyPair
from pilotdht.letters.collecting import ROUNDS
from pilotdht.letters.places import places
from pilotdht.net.outcomes import Sender
from pilotdht.net.sealing import LEAST_BYTES, PADDED_BYTES
from pilotdht.net.switchboard import Switchboard
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.letter import seal_letter
from pilotdht.wire.letter_messages import Collect, Leave, LeaveResult, Left, Letters, LettersWait
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.letter_nodes import LetterNode
from tests.support.net_nodes import CALM, SALT, NetNode, RawPeer, key_pair, request_of

DAY_S = 86_400


@asynccontextmanager
async def nodes(
    count: int, *, config: LetterConfig | None = None, network: MemoryNetwork | None = None
) -> AsyncIterator[list[LetterNode]]:
    """Open so many nodes; the first writes, the last is written to, all between keep letters."""
    network = network or MemoryNetwork(seed=1, conditions=CALM)
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(LetterNode(network, seed, config=config)) for seed in range(1, count + 1)
        ]
        keepers = [node.contact for node in opened[1:-1]]
        opened[0].places = opened[-1].near = keepers
        yield opened


def letter_to(target: LetterNode) -> bytes:
    """Return a letter that somebody writes now."""
    now = target.doors.unix_time()
    return seal_letter(key_pair(99), target.key, b"hello", salt=SALT, ephemeral_seed=b"e" * 32, unix_time=now)


def plain_node(network: MemoryNetwork, seed: int) -> NetNode:
    """Return a node that knows nothing of letters by itself."""
    return NetNode(virtual_doors(network, seed=1, node=seed), seed=seed, listen=Endpoint(f"47.0.{seed}.1", 4000))


async def asked(node: LetterNode, keeper: LetterNode, message: Leave | Collect) -> Left | Letters:
    """Ask, and once more when the first answer only brings a token; return the answer."""
    for _ in range(2):
        answer = (await node.rpc.request(keeper.contact, message)).message
        if not isinstance(answer, Left) or answer.result is not LeaveResult.UNPROVEN:
            break
    assert isinstance(answer, Left | Letters)
    return answer


def test_letter_is_left_with_as_many_nodes_as_wanted_fetched_once_and_forgotten() -> None:
    """Eight of ten keep it; the target hears it once, and nobody has it afterwards."""

    async def main() -> None:
        async with nodes(12) as opened:
            writer, target = opened[0], opened[-1]
            assert 8 == await writer.office.leave(target.key, b"a word")
            assert [1] * 8 + [0] * 2 == [node.office.kept for node in opened[1:-1]]
            target.office.joined()
            await asyncio.sleep(1)
            assert [(writer.key, b"a word")] == target.read
            assert [0] * 10 == [node.office.kept for node in opened[1:-1]]
            assert (1, 7) == (
                target.counted("read_total", result="taken"),
                target.counted("read_total", result="again"),
            )
            assert 8 == sum(node.counted("fetched_total") for node in opened)

    run_virtually(main())


def test_newer_letter_of_a_writer_takes_the_place_of_the_older() -> None:
    """Only what it wants now waits."""

    async def main() -> None:
        async with nodes(3) as (writer, keeper, target):
            for content in (b"one", b"two", b"three"):
                assert 1 == await writer.office.leave(target.key, content)
            assert 1 == keeper.office.kept
            target.office.joined()
            await asyncio.sleep(1)
            assert [(writer.key, b"three")] == target.read

    run_virtually(main())


def test_many_letters_come_in_rounds_oldest_first() -> None:
    """Short ones four at a time, long ones one at a time."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with nodes(2, network=network) as (keeper, target), AsyncExitStack() as stack:
            writers = [
                await stack.enter_async_context(LetterNode(network, seed, host=f"46.0.{seed}.1"))
                for seed in range(10, 30)
            ]
            contents = [b"s" if number % 2 else bytes(700) for number in range(20)]
            for writer, content in zip(writers, contents, strict=True):
                writer.places = [keeper.contact]
                assert 1 == await writer.office.leave(target.key, content)
            target.near = [keeper.contact]
            target.office.joined()
            await asyncio.sleep(5)
            expected = [(writer.key, content) for writer, content in zip(writers, contents, strict=True)]
            assert expected == target.read
            assert 0 == keeper.office.kept

    run_virtually(main())


def test_silent_full_and_refusing_nodes_are_passed_over() -> None:
    """The next ones are asked, as many as it takes."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        opening = nodes(6, config=LetterConfig(copies=4, letters_per_target=1), network=network)
        async with opening as opened, LetterNode(network, 20, config=LetterConfig(is_enabled=False)) as off:
            writer, full, target = opened[0], opened[1], opened[-1]
            async with LetterNode(network, 30) as other:
                other.places = [full.contact]
                assert 1 == await other.office.leave(target.key, b"first")
            silent = Contact(key_pair(22).public_key, Endpoint("45.0.22.1", 4000))
            writer.places = [silent, off.contact, *[node.contact for node in opened[1:-1]]]
            began = asyncio.get_running_loop().time()
            assert 3 == await writer.office.leave(target.key, b"on")
            assert asyncio.get_running_loop().time() - began < 5
            assert 1 == off.counted("leaves_total", result="disabled")
            assert 1 == full.counted("leaves_total", result="full")
            writer.places = [silent]
            assert 0 == await writer.office.leave(target.key, b"nobody there")
            assert 1 == writer.counted("sent_total", result="nobody")

    run_virtually(main())


def test_letters_are_handed_to_their_target_alone() -> None:
    """Whoever asks gets what is sealed for its own key, and can take away nothing of others."""

    async def main() -> None:
        async with nodes(4) as (writer, keeper, stranger, target):
            writer.places = [keeper.contact]
            await writer.office.leave(target.key, b"for one")
            (kept,) = [one.letter_id for one in keeper.office.holder.shelf.waiting(target.key, now=0.0)]
            for other in (stranger, writer):
                answer = await asked(other, keeper, Collect((kept,), ()))
                assert Letters((), 0) == answer
            assert 1 == keeper.office.kept

    run_virtually(main())


def test_leaving_takes_an_address_that_was_proven() -> None:
    """Without a token nothing is kept; with one it is; not for oneself, nor for who keeps it."""

    async def main() -> None:
        async with nodes(3) as (writer, keeper, target):
            message = Leave(target.key, 600, letter_to(target))
            assert Left(LeaveResult.UNPROVEN) == (await writer.rpc.request(keeper.contact, message)).message
            assert 0 == keeper.office.kept
            assert Left(LeaveResult.KEPT) == (await writer.rpc.request(keeper.contact, message)).message
            for reader in (writer.key, keeper.key):
                answer = await asked(writer, keeper, Leave(reader, 600, letter_to(target)))
                assert Left(LeaveResult.REFUSED) == answer
            through_channel = Contact(writer.key, Switchboard(lambda _batch: None).connect(lambda _datagrams: None))
            answer = keeper.office.holder.leave(message, Sender(through_channel, True, False))
            assert Left(LeaveResult.REFUSED) == answer

    run_virtually(main())


def test_letters_of_one_prefix_are_limited_in_rate_and_number() -> None:
    """Beyond either nothing is kept, whatever keys are used."""

    async def main() -> None:
        config = LetterConfig(leaves_burst=8, leaves_per_s=1.0, letters_per_prefix=12, letters_per_writer=100)
        async with nodes(3, config=config) as (writer, keeper, _):
            await writer.meet(keeper)

            async def left() -> LeaveResult:
                reader = KeyPair.generate().public_key
                answer = (await writer.rpc.request(keeper.contact, Leave(reader, 600, bytes(256)))).message
                assert isinstance(answer, Left)
                return answer.result

            results = [await left() for _ in range(12)]
            assert (8, 4) == (results.count(LeaveResult.KEPT), results.count(LeaveResult.QUOTA))
            await asyncio.sleep(30)
            results = [await left() for _ in range(8)]
            assert (4, 4) == (results.count(LeaveResult.KEPT), results.count(LeaveResult.QUOTA))
            assert 12 == keeper.office.kept == keeper.counted("kept")
            assert 8 == keeper.counted("leaves_total", result="quota")

    run_virtually(main())


def test_target_is_told_when_it_comes_by_and_less_and_less_often() -> None:
    """One notice at once, then after 1, 2, 4 seconds and so on, as long as it does not fetch; none without a letter."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with nodes(2, network=network) as (writer, keeper), plain_node(network, 51) as deaf:
            notices: list[float] = []
            loop = asyncio.get_running_loop()

            def heard(message: LettersWait, _sender: Sender) -> None:
                assert 1 == message.count
                notices.append(loop.time())

            deaf.rpc.serve(LettersWait, heard)
            await deaf.rpc.request(keeper.contact, Ping())
            await deaf.rpc.request(keeper.contact, Ping())
            writer.places = [keeper.contact]
            assert [] == notices
            assert 1 == await writer.office.leave(deaf.keys.public_key, b"hey")
            for _ in range(160):
                await deaf.rpc.request(keeper.contact, Ping())
                await asyncio.sleep(0.1)
            gaps = [after - before for before, after in pairwise(notices)]
            assert 5 == len(notices)
            for expected, gap in zip((1, 2, 4, 8), gaps, strict=True):
                assert expected <= gap < expected + 0.5
            assert 5 == keeper.counted("notices_sent_total")

    run_virtually(main())


def test_notice_makes_a_node_fetch() -> None:
    """A target that is up asks for its letter when who keeps it says so, though it asked for something else."""

    async def main() -> None:
        async with nodes(3) as (writer, keeper, target):
            await target.meet(keeper)
            keeper.whereabouts[target.key] = target.endpoint
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert 1 == await writer.office.leave(target.key, b"you are up")
            await asyncio.sleep(0.1)
            assert [(writer.key, b"you are up")] == target.read
            assert loop.time() - began < 0.25
            assert 1 == target.counted("notices_total", result="heeded")

    run_virtually(main())


def test_notice_of_a_stranger_makes_nobody_send_anything() -> None:
    """Only a node that answered us at that very endpoint is asked: nobody can aim us at somebody else."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        raw = RawPeer(network, seed=50, listen=Endpoint("47.0.0.1", 4000))
        async with nodes(2, network=network) as (target, _), raw:
            unix_time = target.doors.unix_time()
            for number in range(20):
                envelope = request_of(LettersWait(9), request_id=bytes([number]) * 8)
                raw.socket.send(raw.sealed(target, envelope, unix_time=unix_time), target.endpoint)
            await asyncio.sleep(5)
            assert raw.received.empty()
            assert 20 == target.counted("notices_total", result="stranger")

    run_virtually(main())


def test_question_from_an_unproven_address_gets_no_more_than_it_brought() -> None:
    """A captured question, sent again from somebody else's address, is no way to flood them."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        raw = RawPeer(network, seed=50, listen=Endpoint("47.0.0.1", 4000))
        async with nodes(2, network=network) as (writer, keeper), raw:
            writer.places = [keeper.contact]
            assert 1 == await writer.office.leave(raw.keys.public_key, bytes(800))
            unix_time = keeper.doors.unix_time()
            for size_bytes in (LEAST_BYTES, 400, PADDED_BYTES):
                datagram = raw.sealed(keeper, request_of(Collect()), unix_time=unix_time, size_bytes=size_bytes)
                raw.socket.send(datagram, keeper.endpoint)
                answer, answered, _ = await raw.take(unix_time=unix_time)
                assert len(answered) <= len(datagram)
                assert isinstance(answer.message, Letters)
                assert (1, int(size_bytes == PADDED_BYTES)) == (
                    answer.message.waiting,
                    len(answer.message.letters),
                )
            assert raw.received.empty()  # no notice either

    run_virtually(main())


def test_letter_whose_word_has_no_room_now_waits_and_holds_up_no_other() -> None:
    """It stays where it is, and is fetched the next time."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with nodes(3, network=network) as (writer, keeper, target), LetterNode(network, 30) as other:
            other.places = [keeper.contact]
            await writer.office.leave(target.key, b"first")
            await other.office.leave(target.key, b"second")
            target.has_room = False
            target.office.joined()
            await asyncio.sleep(1)
            assert ([], 2) == (target.read, keeper.office.kept)
            assert 2 == target.counted("read_total", result="not_now")
            target.has_room = True
            target.office.joined()
            await asyncio.sleep(1)
            assert [(writer.key, b"first"), (other.key, b"second")] == target.read
            assert 0 == keeper.office.kept

    run_virtually(main())


def test_rubbish_is_thrown_away_where_it_lies_and_reaches_nobody() -> None:
    """Forged and misdirected letters are acknowledged, so that they take no room, and are never read."""

    async def main() -> None:
        async with nodes(3) as (writer, keeper, target):
            await writer.meet(keeper)
            good = letter_to(target)
            for letter in (bytes(256), good[:-1] + bytes([good[-1] ^ 1]), letter_to(writer)):
                message = Leave(target.key, 600, letter)
                assert Left(LeaveResult.KEPT) == (await writer.rpc.request(keeper.contact, message)).message
                target.office.joined()
                await asyncio.sleep(1)
                assert ([], 0) == (target.read, keeper.office.kept)
            assert 3 == target.counted("read_total", result="bad")

    run_virtually(main())


@pytest.mark.parametrize("is_same", [True, False], ids=["one letter again and again", "always another"])
def test_holder_that_never_ends_costs_a_bounded_number_of_requests(is_same: bool) -> None:
    """A liar that hands out letters for ever is left after some rounds."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with plain_node(network, 40) as liar, LetterNode(network, 41) as target:
            count = 0

            def answer(_message: Collect, _sender: Sender) -> Letters:
                nonlocal count
                count += 1
                number = 0 if is_same else count
                return Letters((bytes(240) + number.to_bytes(16, "big"),), 65_535)

            liar.rpc.serve(Collect, answer)
            target.near = [liar.contact]
            target.office.joined()
            await asyncio.sleep(120)
            assert count <= (2 if is_same else ROUNDS + 1)
            assert [] == target.read

    run_virtually(main())


def test_letters_beyond_the_rate_of_openings_stay_where_they_are() -> None:
    """Opening costs: what is above the rate is not even looked at, and comes later."""

    async def main() -> None:
        config = LetterConfig(openings_burst=3, openings_per_s=0.01)
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with nodes(1, network=network) as (keeper,), LetterNode(network, 30, config=config) as target:
            for seed in range(10, 20):
                async with LetterNode(network, seed, host=f"46.0.{seed}.1") as writer:
                    writer.places = [keeper.contact]
                    await writer.office.leave(target.key, b"one of many")
            target.near = [keeper.contact]
            target.office.joined()
            await asyncio.sleep(5)
            assert (3, 7) == (len(target.read), keeper.office.kept)
            assert 7 == target.counted("read_total", result="not_now")

    run_virtually(main())


def test_letter_ends_with_its_time() -> None:
    """A week at most, whatever its writer wants; the same letter again does not live longer for it."""

    async def main() -> None:
        async with nodes(3) as (writer, keeper, target):
            await writer.meet(keeper)
            message = Leave(target.key, 7 * DAY_S, letter_to(target))
            await writer.rpc.request(keeper.contact, message)
            await asyncio.sleep(6 * DAY_S)
            await writer.meet(keeper)
            assert Left(LeaveResult.KEPT) == await asked(writer, keeper, message)
            assert Letters((message.letter,), 1) == await asked(target, keeper, Collect())
            await asyncio.sleep(DAY_S)
            assert Letters((), 0) == await asked(target, keeper, Collect())
            assert 1 == keeper.counted("expired_total")

    run_virtually(main())


def test_places_are_near_ones_and_servers_in_turn_on_networks_of_their_own() -> None:
    """Neither the target nor oneself, nobody twice, and neighbours of others last."""
    contacts = [Contact(key_pair(number).public_key, Endpoint(f"45.0.{number}.1", 1)) for number in range(1, 9)]
    target, own, near_1, near_2, near_3, server_1, server_2, beside = contacts
    beside = Contact(beside.public_key, Endpoint("45.0.3.99", 1))
    assert [near_1, server_1, near_2, server_2, near_3, beside] == places(
        target.public_key,
        introducers=[server_1, near_2, server_2],
        nearest=[near_1, beside, near_2, target, near_3, own, server_1],
        without=own.public_key,
    )


@pytest.mark.parametrize(
    "values",
    [{"copies": 16, "tries": 15}, {"asked_at_join": 17}, {"notice_first_s": 61.0}, {"max_letters": 0}, {"tries": 65}],
)
def test_configuration_that_does_not_fit_is_refused(values: dict[str, float]) -> None:
    """Ranges, and bounds that contradict one another."""
    with pytest.raises(ConfigError):
        LetterConfig(**values)  # type: ignore[arg-type]  # wrong on purpose
