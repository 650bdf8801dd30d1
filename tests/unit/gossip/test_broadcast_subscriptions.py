"""Readers: bounded, told of what they missed, ended when the group is."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.errors import NodeClosed, UsageError
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.values import Event
from pilotdht.identity.keys import KeyPair
from simulations.engine.virtual_loop import run_virtually

KEYS = KeyPair.from_seed(bytes(32))


def _event(data: bytes) -> Event:
    return Event(
        group="birds",
        topic="news",
        data=data,
        sender=KEYS.public_key,
        address=KEYS.address,
        hostname="",
        sequence=1,
        epoch_ms=1,
        sent_ms=1,
    )


class _Case:
    def __init__(self, *, most_events: int = 3, most_bytes: int = 10) -> None:
        self.missed = 0
        self.closed: list[Subscription] = []
        self.subscription = Subscription(
            Pattern("**"),
            most_events=most_events,
            most_bytes=most_bytes,
            on_missed=self._miss,
            on_close=self.closed.append,
        )

    def _miss(self) -> None:
        self.missed += 1


def test_subscription_full_drops_the_oldest_and_says_so() -> None:
    """By number and by bytes; the newest is kept however large it is."""
    case = _Case()
    for data in (b"1", b"2", b"3", b"4"):
        case.subscription.put(_event(data))
    assert (case.subscription.missed, case.missed) == (1, 1)
    assert [case.subscription.take().data for _ in range(3)] == [b"2", b"3", b"4"]
    case.subscription.put(_event(b"a"))
    case.subscription.put(_event(b"x" * 50))
    assert case.subscription.missed == 2
    assert len(case.subscription) == 1
    assert case.subscription.take().data == b"x" * 50


def test_subscription_iterates_until_it_is_closed() -> None:
    """What waits when it is closed can still be read; nothing is added then."""

    async def main() -> list[bytes]:
        case = _Case()
        loop = asyncio.get_running_loop()
        loop.call_later(1, case.subscription.put, _event(b"1"))
        loop.call_later(2, case.subscription.put, _event(b"2"))
        loop.call_later(2, case.subscription.close)
        loop.call_later(2, case.subscription.put, _event(b"3"))
        async with case.subscription as subscription:
            read = [event.data async for event in subscription]
        assert case.closed == [case.subscription]
        return read

    assert run_virtually(main()) == [b"1", b"2"]


def test_subscription_has_one_reader_at_a_time() -> None:
    """A second one would get half of the events by chance; a cancelled one makes room."""

    async def main() -> None:
        subscription = _Case().subscription
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(subscription.next())
            await asyncio.sleep(0)
            with pytest.raises(UsageError):
                await subscription.next()
            reader.cancel()
        subscription.put(_event(b"1"))
        assert (await subscription.next()).data == b"1"
        subscription.close()
        with pytest.raises(NodeClosed):
            await subscription.next()

    run_virtually(main())
