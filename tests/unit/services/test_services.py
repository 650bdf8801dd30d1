"""Echo, ping, messages and inboxes over a stream in memory, with slow and hostile peers."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.errors import LinkClosed, NodeClosed, Overloaded, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.services import echo as echo_module
from pilotdht.services import inbox as inbox_module
from pilotdht.services.echo import PROBE_BYTES, echo, measure
from pilotdht.services.inbox import Inbox
from pilotdht.services.ports import WellKnownPort
from pilotdht.services.stdio import exchange, read_whole
from tests.support.byte_pipe import BytePipe, byte_pipe

ALICE, BOB = PublicKey(b"a" * 32), PublicKey(b"b" * 32)


def pipe(window_bytes: int = 65536) -> tuple[BytePipe, BytePipe]:
    """Return the ends of a stream from Alice to Bob."""
    return byte_pipe(opener=ALICE, acceptor=BOB, port=1000, window_bytes=window_bytes)


async def send(inbox: Inbox, data: bytes) -> None:
    """Let Alice send a message to an inbox."""
    opener, acceptor = pipe(window_bytes=1 << 22)
    await opener.write(data)
    await opener.write_eof()
    await inbox.handle(acceptor)


def test_ports_have_their_numbers() -> None:
    """The numbers are those that agents know."""
    assert [7, 80, 444, 1000, 1001, 1002, 1003, 1004] == [int(port) for port in WellKnownPort]


@pytest.mark.asyncio
async def test_echo_returns_every_byte_in_order() -> None:
    """More than any buffer holds comes back as it was, while the sender reads."""
    opener, acceptor = pipe(window_bytes=4096)
    data = bytes(range(256)) * 400

    async def write() -> None:
        await opener.write(data)
        await opener.write_eof()

    async def serve() -> None:
        await echo(acceptor)
        await acceptor.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        group.create_task(write())
        assert data == await read_whole(opener)


@pytest.mark.asyncio
@pytest.mark.parametrize("does_write", [False, True])
async def test_echo_idle_or_unread_peer_is_given_up(monkeypatch: pytest.MonkeyPatch, does_write: bool) -> None:
    """A peer that says nothing, or never reads what comes back, does not hold a handler."""
    monkeypatch.setattr(echo_module, "IDLE_TIMEOUT_S", 0.05)
    opener, acceptor = pipe(window_bytes=1024)
    writing = asyncio.ensure_future(opener.write(b"x" * 100_000)) if does_write else None
    with pytest.raises(TimedOut):
        await echo(acceptor)
    if writing is not None:
        writing.cancel()


@pytest.mark.asyncio
async def test_measure_several_round_trips_over_one_stream() -> None:
    """Each probe carries fresh bytes and is timed by itself."""
    opener, acceptor = pipe()
    probes: list[bytes] = []

    def token_bytes(size: int) -> bytes:
        probes.append(bytes([len(probes)]) * size)
        return probes[-1]

    serving = asyncio.ensure_future(echo(acceptor))
    times = [await measure(opener, token_bytes=token_bytes, timeout_s=5) for _ in range(3)]
    await opener.write_eof()
    await serving
    assert all(rtt_s >= 0 for rtt_s in times)
    assert [PROBE_BYTES] * 3 == [len(probe) for probe in probes]


@pytest.mark.asyncio
async def test_measure_wrong_or_missing_echo_is_an_error() -> None:
    """Other bytes, silence and an end are told apart."""
    opener, acceptor = pipe()
    await acceptor.write(b"?" * PROBE_BYTES)
    with pytest.raises(LinkClosed, match="other bytes"):
        await measure(opener, token_bytes=bytes, timeout_s=5)
    with pytest.raises(TimedOut):
        await measure(opener, token_bytes=bytes, timeout_s=0.01)
    await acceptor.write_eof()
    with pytest.raises(LinkClosed):
        await measure(opener, token_bytes=bytes, timeout_s=5)


@pytest.mark.asyncio
@pytest.mark.parametrize("message", [b"", b"hello", b"x" * 200_000], ids=["empty", "short", "long"])
async def test_exchange_message_gets_its_answer(message: bytes) -> None:
    """The acceptor reads the message whole and answers."""
    opener, acceptor = pipe()

    async def serve() -> None:
        heard = await read_whole(acceptor)
        await acceptor.write(heard[::-1] + b"!")
        await acceptor.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        assert message[::-1] + b"!" == await exchange(opener, message, timeout_s=5)


@pytest.mark.asyncio
async def test_exchange_silent_or_aborting_peer_is_an_error() -> None:
    """No answer in time, and a reset, are different errors."""
    opener, _ = pipe()
    with pytest.raises(TimedOut):
        await exchange(opener, b"hello", timeout_s=0.01)
    opener, acceptor = pipe()
    acceptor.abort()
    with pytest.raises(LinkClosed):
        await exchange(opener, b"hello", timeout_s=5)


@pytest.mark.asyncio
async def test_read_whole_longer_than_allowed_is_refused() -> None:
    """A peer cannot fill memory with one message."""
    opener, acceptor = pipe(window_bytes=1 << 20)
    await opener.write(b"x" * 5000)
    with pytest.raises(Overloaded):
        await read_whole(acceptor, most_bytes=4999)


@pytest.mark.asyncio
async def test_inbox_message_waits_to_be_taken() -> None:
    """Messages are taken in the order in which they came, with their sender."""
    inbox = Inbox(1000)
    await send(inbox, b"one")
    await send(inbox, b"")
    assert 2 == len(inbox)
    letters = [await inbox.take(timeout_s=1) for _ in range(2)]
    assert [(ALICE, b"one"), (ALICE, b"")] == [(letter.peer, letter.data) for letter in letters]


@pytest.mark.asyncio
async def test_inbox_taker_waits_for_message() -> None:
    """Each of several waiting takers gets one message; one that gave up loses none."""
    inbox = Inbox(1000)
    with pytest.raises(TimedOut):
        await inbox.take(timeout_s=0.01)
    takers = [asyncio.ensure_future(inbox.take(timeout_s=5)) for _ in range(3)]
    await asyncio.sleep(0)
    takers[0].cancel()
    for data in (b"1", b"2"):
        await send(inbox, data)
    assert [b"1", b"2"] == [(await taker).data for taker in takers[1:]]
    assert 0 == len(inbox)


@pytest.mark.asyncio
async def test_inbox_full_refuses_by_number_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is refused, so its sender knows; room comes back when messages are taken."""
    monkeypatch.setattr(inbox_module, "MAX_MESSAGES", 2)
    monkeypatch.setattr(inbox_module, "MAX_BYTES", 10_000)
    monkeypatch.setattr(inbox_module, "MAX_MESSAGE_BYTES", 6_000)
    inbox = Inbox(1000)
    with pytest.raises(Overloaded, match="longer"):
        await send(inbox, b"x" * 6_001)
    await send(inbox, b"x" * 6_000)
    with pytest.raises(Overloaded):
        await send(inbox, b"x" * 4_001)
    await send(inbox, b"x" * 4_000)
    with pytest.raises(Overloaded):
        await send(inbox, b"")
    assert (2, 2) == (inbox.refused, len(inbox))
    for _ in range(2):
        await inbox.take(timeout_s=1)
    await send(inbox, b"x" * 6_000)


@pytest.mark.asyncio
async def test_inbox_half_sent_messages_count_and_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many half-sent messages cannot take more memory than the inbox has, and are dropped in time."""
    monkeypatch.setattr(inbox_module, "MAX_BYTES", 10_000)
    monkeypatch.setattr(inbox_module, "RECEIVE_TIMEOUT_S", 0.05)
    inbox = Inbox(1000)
    handlers = []
    for _ in range(4):
        opener, acceptor = pipe()
        await opener.write(b"x" * 4_000)
        handlers.append(asyncio.ensure_future(inbox.handle(acceptor)))
    outcomes = await asyncio.gather(*handlers, return_exceptions=True)
    assert [LinkClosed, LinkClosed, Overloaded, Overloaded] == [type(outcome) for outcome in outcomes]
    monkeypatch.setattr(inbox_module, "RECEIVE_TIMEOUT_S", 5)
    await send(inbox, b"x" * 10_000)


@pytest.mark.asyncio
async def test_inbox_aborted_message_is_not_kept() -> None:
    """A message that broke on the way is nobody's."""
    inbox = Inbox(1000)
    opener, acceptor = pipe()
    await opener.write(b"half")
    handling = asyncio.ensure_future(inbox.handle(acceptor))
    await asyncio.sleep(0)
    opener.abort()
    with pytest.raises(LinkClosed):
        await handling
    assert 0 == len(inbox)


@pytest.mark.asyncio
async def test_inbox_closed_ends_all_waiting() -> None:
    """Takers are told, and senders refused."""
    inbox = Inbox(1000)
    taker = asyncio.ensure_future(inbox.take(timeout_s=5))
    await asyncio.sleep(0)
    await inbox.close()
    await inbox.close()
    with pytest.raises(NodeClosed):
        await taker
    with pytest.raises(Overloaded):
        await send(inbox, b"late")


@pytest.mark.asyncio
async def test_inbox_gives_a_message_that_was_put_back_to_the_next_taker() -> None:
    """What could not be handed on is the oldest again, and takes its room again."""
    inbox = Inbox(1000)
    await send(inbox, b"first")
    await send(inbox, b"second")
    letter = await inbox.take(timeout_s=1)
    await inbox.put_back(letter)
    assert [b"first", b"second"] == [(await inbox.take(timeout_s=1)).data for _ in range(2)]
    assert 0 == len(inbox)
