"""Handshakes between nodes in memory: asking, giving, taking back, offline peers, restarts, hostile bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import InvalidArgument, LinkClosed, NotFound
from pilotdht.identity.keys import KeyPair
from pilotdht.trust.handshake import TrustChangeKind
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import LENGTH_BYTES, Stance, Word, WordKind, answer_untrusted, length_untrusted
from tests.support.byte_pipe import BytePipe, byte_pipe
from tests.support.trust_pair import TrustMesh, TrustNode


async def read_stance(stream: BytePipe) -> Stance:
    """Read an answer."""
    size = length_untrusted(await stream.read_exactly(LENGTH_BYTES))
    return answer_untrusted(await stream.read_exactly(size)).stance


async def trust_each_other(one: TrustNode, other: TrustNode) -> None:
    """Ask, approve, and wait until both trust."""
    await one.handshakes.request(other.key, "hello")
    await other.handshakes.approve(one.key)
    await TrustMesh.settle(one, other)
    assert (TrustState.TRUSTED, TrustState.TRUSTED) == (one.state(other), other.state(one))


def kinds(node: TrustNode) -> list[TrustChangeKind]:
    """Return what the node's callback was told."""
    return [change.kind for change in node.changes]


@pytest.mark.asyncio
async def test_request_approved_both_sides_trust() -> None:
    """A asks, B sees who and why, B approves, both may open any port."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        entry = await alice.handshakes.request(bob.key, "to exchange prices", hostname="node-2")
        assert (TrustState.PENDING_OUT, True, "node-2") == (entry.state, entry.is_delivered, entry.hostname)
        assert [("to exchange prices", "node-1")] == [(e.reason, e.hostname) for e in bob.book.pending()]
        assert not bob.gate.may_open(alice.key, 1000)
        approved = await bob.handshakes.approve(alice.key)
        assert (TrustState.TRUSTED, True) == (approved.state, approved.is_delivered)
        assert alice.state(bob) is TrustState.TRUSTED
        assert bob.gate.may_open(alice.key, 1000)
        assert alice.gate.may_open(bob.key, 80)
        await asyncio.sleep(0)
        assert [TrustChangeKind.TRUSTED] == kinds(alice)
        assert [TrustChangeKind.REQUESTED, TrustChangeKind.TRUSTED] == kinds(bob)


@pytest.mark.asyncio
async def test_request_by_both_in_turn_is_approved_at_once() -> None:
    """Who asks a peer that asked before is trusted without another word."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        await alice.handshakes.request(bob.key)
        entry = await bob.handshakes.request(alice.key)
        assert TrustState.TRUSTED is entry.state
        assert TrustState.TRUSTED is alice.state(bob)


@pytest.mark.asyncio
async def test_request_by_both_at_once_ends_trusted() -> None:
    """Requests that cross on the way end in trust on both sides."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        await asyncio.gather(alice.handshakes.request(bob.key), bob.handshakes.request(alice.key))
        await mesh.settle(alice, bob)
        assert (TrustState.TRUSTED, TrustState.TRUSTED) == (alice.state(bob), bob.state(alice))


@pytest.mark.asyncio
async def test_request_rejected_is_told_and_can_be_repeated() -> None:
    """A rejection reaches the asker with its reason; a later request is heard again."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        await alice.handshakes.request(bob.key, "please")
        await bob.handshakes.reject(alice.key, "who are you?")
        assert (TrustState.REJECTED, "who are you?") == (alice.state(bob), alice.book.entry(bob.key).reason)
        assert TrustState.REJECTED is bob.state(alice)
        await asyncio.sleep(0)
        assert [TrustChangeKind.REJECTED] == kinds(alice)
        await alice.handshakes.request(bob.key, "it is me")
        assert ["it is me"] == [entry.reason for entry in bob.book.pending()]


@pytest.mark.asyncio
async def test_untrust_and_trust_again_many_times_converges() -> None:
    """Trust that was taken back can be given again, as often as one likes, by either side."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        for turn in range(6):
            asker, giver = (alice, bob) if turn % 2 else (bob, alice)
            await trust_each_other(asker, giver)
            taker, other = (alice, bob) if turn % 3 else (bob, alice)
            await taker.handshakes.untrust(other.key)
            await mesh.settle(alice, bob)
            assert (TrustState.NONE, TrustState.NONE) == (alice.state(bob), bob.state(alice))
            assert not alice.gate.may_open(bob.key, 7)
            assert not bob.gate.may_open(alice.key, 7)


@pytest.mark.asyncio
async def test_untrust_cuts_links_on_both_sides() -> None:
    """The taker's links are cut before it waits for anything, the other side's once it has answered."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        await trust_each_other(alice, bob)
        taking = asyncio.ensure_future(alice.handshakes.untrust(bob.key))
        await asyncio.sleep(0)
        assert [bob.key] == alice.cuts
        assert not alice.gate.may_open(bob.key, 1000)
        await taking
        async with asyncio.timeout(5):
            await bob.was_cut.wait()
        assert [alice.key] == bob.cuts
        assert TrustChangeKind.UNTRUSTED is kinds(bob)[-1]


@pytest.mark.asyncio
async def test_handshake_of_strangers_cuts_nothing() -> None:
    """Asking, rejecting and withdrawing a request end no link."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        await alice.handshakes.request(bob.key)
        await bob.handshakes.reject(alice.key)
        await alice.handshakes.request(bob.key)
        await alice.handshakes.untrust(bob.key)
        await mesh.settle(alice, bob)
        assert ([], []) == (alice.cuts, bob.cuts)
        assert TrustState.NONE is bob.state(alice)


@pytest.mark.asyncio
async def test_untrust_while_peer_is_offline_reaches_it_later() -> None:
    """The other side learns when it is back; a link that comes up is enough."""
    config = TrustConfig(retry_first_s=600, retry_most_s=600)
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1, config=config), await mesh.add(2)
        await trust_each_other(alice, bob)
        bob.is_online = False
        await alice.handshakes.untrust(bob.key)
        assert TrustState.TRUSTED is bob.state(alice)
        bob.is_online = True
        alice.handshakes.on_peer_up(bob.key)
        await mesh.settle(alice)
        assert TrustState.NONE is bob.state(alice)


@pytest.mark.asyncio
async def test_request_and_approval_survive_restarts(tmp_path: Path) -> None:
    """Nobody is online at the same time until the end, both restart in between, and trust comes about."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1, path=tmp_path / "a"), await mesh.add(2, path=tmp_path / "b")
        bob.is_online = False
        assert not (await alice.handshakes.request(bob.key, "later")).is_delivered
        await alice.stop()
        alice = await mesh.add(1, path=tmp_path / "a")
        bob.is_online = True
        await mesh.settle(alice)
        assert TrustState.PENDING_IN is bob.state(alice)
        alice.is_online = False
        await bob.handshakes.approve(alice.key)
        await bob.stop()
        bob = await mesh.add(2, path=tmp_path / "b")
        assert TrustState.TRUSTED is bob.state(alice)
        alice.is_online = True
        await mesh.settle(alice, bob)
        assert (TrustState.TRUSTED, TrustState.TRUSTED) == (alice.state(bob), bob.state(alice))


@pytest.mark.asyncio
async def test_request_after_peer_lost_its_book_is_heard() -> None:
    """A peer that forgot everything asks, and is trusted again at once."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        await trust_each_other(alice, bob)
        await bob.stop()
        bob = await mesh.add(2)
        bob.clock.now = 5.0  # and its clock stands at 1970
        entry = await bob.handshakes.request(alice.key)
        assert TrustState.TRUSTED is entry.state


@pytest.mark.asyncio
async def test_handle_same_word_twice_changes_nothing() -> None:
    """A word that was already heard is answered with the state of now, not applied again."""
    async with TrustMesh() as mesh:
        bob = await mesh.add(2)
        stranger = KeyPair.from_seed(b"\x09" * 32).public_key
        word = Word(kind=WordKind.REQUEST, sequence=5, seen=0, reason="x")
        assert Stance.PENDING is await say(bob, stranger, word.encoded())
        await bob.handshakes.reject(stranger, timeout_s=0.01)
        assert Stance.REJECTED is await say(bob, stranger, word.encoded())
        assert TrustState.REJECTED is bob.book.entry(stranger).state


async def say(node: TrustNode, speaker: object, data: bytes) -> Stance:
    """Let a peer say bytes to a node and return the answer."""
    opener, acceptor = byte_pipe(opener=speaker, acceptor=node.key, port=444)  # type: ignore[arg-type]  # a key
    await opener.write(data)
    await opener.write_eof()
    await node.handshakes.handle(acceptor)
    return await read_stance(opener)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\xff\xff",
        b"\x00\x04abcd",
        b"\x00\x01\x90",
        b"\x00\x07\x96\x02\x01\x01\x00\xa0\xa0",
        b"\x00\x07\x96\x01\x09\x01\x00\xa0\xa0",
        b"\x00\x07\x96\x01\x01\x00\x00\xa0\xa0",
        b"\x00\x08\x96\x01\x01\x01\x00\xa1\x07\xa0",
        b"\x00\x08\x96\x01\x01\x01\x00\xa0\xa1A",
    ],
)
async def test_handle_malformed_word_is_counted_and_aborted(data: bytes) -> None:
    """Bytes that obey no rule leave no trace but a count."""
    async with TrustMesh() as mesh:
        bob = await mesh.add(2)
        stranger = KeyPair.from_seed(b"\x09" * 32).public_key
        with pytest.raises(LinkClosed):
            await say(bob, stranger, data)
        assert 1.0 == bob.counted("pilotdht_trust_words_dropped_total", reason="malformed")
        assert 0 == len(bob.book)


@pytest.mark.asyncio
async def test_handle_silent_peer_is_given_up() -> None:
    """A peer that says half a word does not hold the handler."""
    async with TrustMesh() as mesh:
        bob = await mesh.add(2, config=TrustConfig(exchange_timeout_s=0.1))
        stranger = KeyPair.from_seed(b"\x09" * 32).public_key
        opener, acceptor = byte_pipe(opener=stranger, acceptor=bob.key, port=444)
        await opener.write(b"\x00")
        await bob.handshakes.handle(acceptor)
        assert acceptor.is_aborted
        assert 1.0 == bob.counted("pilotdht_trust_words_dropped_total", reason="timeout")


@pytest.mark.asyncio
async def test_handle_too_many_words_of_one_peer_are_refused() -> None:
    """A flood is answered busy, changes nothing, and leaves other peers alone."""
    async with TrustMesh() as mesh:
        bob = await mesh.add(2, config=TrustConfig(words_burst=2, words_per_s=0.001))
        flooder, other = (KeyPair.from_seed(bytes([n]) * 32).public_key for n in (8, 9))
        stances = [
            await say(bob, flooder, Word(kind=WordKind.REQUEST, sequence=n, seen=0, reason=str(n)).encoded())
            for n in range(1, 5)
        ]
        assert [Stance.PENDING, Stance.PENDING, Stance.BUSY, Stance.BUSY] == stances
        assert "2" == bob.book.entry(flooder).reason
        word = Word(kind=WordKind.REQUEST, sequence=1, seen=0)
        assert Stance.PENDING is await say(bob, other, word.encoded())


@pytest.mark.asyncio
async def test_handle_more_requests_than_allowed_are_refused() -> None:
    """Strangers with many keys cannot push out the requests of others, nor fill memory."""
    async with TrustMesh() as mesh:
        bob = await mesh.add(2, config=TrustConfig(max_pending=2, max_peers=16))
        word = Word(kind=WordKind.REQUEST, sequence=1, seen=0).encoded()
        keys = [KeyPair.from_seed(bytes([n]) * 32).public_key for n in range(10, 14)]
        stances = [await say(bob, key, word) for key in keys]
        assert [Stance.PENDING, Stance.PENDING, Stance.BUSY, Stance.BUSY] == stances
        assert set(keys[:2]) == {entry.public_key for entry in bob.book.pending()}
        bob.clock.now += 31 * 86400
        assert Stance.PENDING is await say(bob, keys[3], word)


@pytest.mark.asyncio
async def test_handle_unasked_approval_gives_no_trust() -> None:
    """A stranger that says it approves us is neither trusted nor remembered."""
    async with TrustMesh() as mesh:
        bob = await mesh.add(2)
        stranger = KeyPair.from_seed(b"\x09" * 32).public_key
        for kind in (WordKind.APPROVE, WordKind.REJECT, WordKind.UNTRUST):
            word = Word(kind=kind, sequence=1, seen=0)
            assert Stance.NONE is await say(bob, stranger, word.encoded())
        assert not bob.gate.may_open(stranger, 1000)
        assert 0 == len(bob.book)


@pytest.mark.asyncio
async def test_request_to_automatic_approver_ends_trusted() -> None:
    """A node set to approve everybody does."""
    async with TrustMesh() as mesh:
        alice = await mesh.add(1)
        bob = await mesh.add(2, config=TrustConfig(is_auto_approving=True, retry_first_s=0.01))
        await alice.handshakes.request(bob.key)
        await mesh.settle(alice, bob)
        assert (TrustState.TRUSTED, TrustState.TRUSTED) == (alice.state(bob), bob.state(alice))


@pytest.mark.asyncio
async def test_request_to_peer_that_never_answers_returns_in_time() -> None:
    """A peer that accepts the stream and falls silent costs the caller its time-out and no more."""
    async with TrustMesh() as mesh:
        alice = await mesh.add(1, config=TrustConfig(exchange_timeout_s=0.1))
        silent = await mesh.add(2)
        silent.handshakes.handle = _fall_silent  # type: ignore[method-assign]  # a hostile peer
        entry = await alice.handshakes.request(silent.key)
        assert (TrustState.PENDING_OUT, False) == (entry.state, entry.is_delivered)


async def _fall_silent(stream: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.asyncio
async def test_verbs_without_request_fail_with_hint() -> None:
    """Approving and rejecting nobody is the caller's error; taking back nothing is none."""
    async with TrustMesh() as mesh:
        alice, bob = await mesh.add(1), await mesh.add(2)
        for verb in (alice.handshakes.approve, alice.handshakes.reject):
            with pytest.raises(NotFound, match="no request"):
                await verb(bob.key)
        assert TrustState.NONE is (await alice.handshakes.untrust(bob.key)).state
        for reason in ("x" * 201, "line\nbreak", "\x1b[2J"):
            with pytest.raises(InvalidArgument):
                await alice.handshakes.request(bob.key, reason)


@pytest.mark.asyncio
async def test_many_peers_offline_deliveries_stay_bounded() -> None:
    """Words for many absent peers are tried a few at a time, and all arrive in the end."""
    async with TrustMesh() as mesh:
        alice = await mesh.add(1, config=TrustConfig(max_deliveries=2, retry_first_s=0.01, retry_most_s=0.02))
        others = [await mesh.add(number) for number in range(2, 12)]
        for other in others:
            other.is_online = False
            await alice.handshakes.request(other.key)
        for other in others:
            other.is_online = True
        await mesh.settle(alice)
        assert all(other.state(alice) is TrustState.PENDING_IN for other in others)
