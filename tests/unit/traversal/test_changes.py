"""Noticing that a node's place in the network changed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.doors import Doors
from pilotdht.traversal.changes import (
    FAR_IPV4,
    FAR_IPV6,
    AddressRule,
    Change,
    ChangeWatcher,
    Reason,
    SeenRule,
    SleepRule,
)
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork

ONE = Endpoint("203.0.113.9", 4433)
TWO = Endpoint("203.0.113.9", 4434)


@dataclass
class FakeHost:
    """A machine whose addresses a test sets."""

    addresses: dict[str, str] = field(default_factory=dict)

    def local_address(self, towards: str) -> str | None:
        """Return what was set."""
        return self.addresses.get(towards)

    def routing_table(self) -> str:
        """Return nothing."""
        return ""


@dataclass
class Scene:
    """A watcher, and what stands around it."""

    host: FakeHost = field(default_factory=FakeHost)
    ahead_s: float = 0.0
    seen: Endpoint | None = None
    changes: list[Change] = field(default_factory=list)

    def watcher(self, *, on_change: Callable[[Change], None] | None = None) -> ChangeWatcher:
        """Return the watcher, inside the loop."""
        loop = asyncio.get_running_loop()
        doors = Doors(
            network=MemoryNetwork(seed=1),
            unix_time=lambda: 1.8e9 + loop.time() + self.ahead_s,
            random=random.Random(1),
            token_bytes=random.Random(2).randbytes,
            host=self.host,
        )
        return ChangeWatcher(
            doors,
            TraversalConfig(change_interval_s=2.0),
            seen=lambda is_ipv6: None if is_ipv6 else self.seen,
            on_change=on_change or self.changes.append,
        )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("10.0.0.2", "10.0.0.2", None),
        ("10.0.0.2", "10.9.0.2", Change(reason=Reason.MOVED, before="10.0.0.2", after="10.9.0.2")),
        ("10.0.0.2", None, Change(reason=Reason.DISCONNECTED, before="10.0.0.2")),
        (None, "10.0.0.2", Change(reason=Reason.CONNECTED, after="10.0.0.2")),
        (None, None, None),
    ],
)
def test_address_rule_tells_what_became_of_the_address(
    before: str | None, after: str | None, expected: Change | None
) -> None:
    """The first look is no change."""
    rule = AddressRule(is_ipv6=False)
    assert [None, expected, None] == [rule.look(before), rule.look(after), rule.look(after)]
    assert after == rule.address


@pytest.mark.parametrize(
    ("later_s", "wall_later_s", "lost_s"),
    [
        (2.0, 2.0, None),  # as planned
        (4.5, 4.5, None),  # a busy machine
        (2.0, 602.0, 600.0),  # slept while the loop's clock stood still
        (602.0, 602.0, 600.0),  # slept while the loop's clock went on, or the process was stopped
        (2.0, -3598.0, None),  # somebody set the clock back
    ],
)
def test_sleep_rule_tells_sleep_from_a_clock_set_back(
    later_s: float, wall_later_s: float, lost_s: float | None
) -> None:
    """Either clock may show it."""
    rule = SleepRule(TraversalConfig(change_interval_s=2.0, sleep_jump_s=5.0))
    first = rule.look(now=100.0, unix_time=1e9)
    second = rule.look(now=100.0 + later_s, unix_time=1e9 + wall_later_s)
    expected = None if lost_s is None else Change(reason=Reason.SLEPT, lost_s=lost_s)
    assert (None, expected) == (first, second)


def test_seen_rule_forgetting_is_no_change() -> None:
    """Only another endpoint is, also when nothing was known in between."""
    rule = SeenRule(is_ipv6=False)
    found = [rule.look(seen) for seen in (None, ONE, None, ONE, None, TWO, TWO)]
    expected = Change(reason=Reason.SEEN_ELSEWHERE, before=str(ONE), after=str(TWO))
    assert [None, None, None, None, None, expected, None] == found


def test_watcher_notices_a_move_within_one_interval() -> None:
    """Both families are looked at."""

    async def scene() -> tuple[list[Change], tuple[str, ...]]:
        it = Scene(FakeHost({FAR_IPV4: "10.0.0.2", FAR_IPV6: "2a02:db8::2"}))
        watcher = it.watcher()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(watcher.run())
            await asyncio.sleep(5)
            assert [] == it.changes
            it.host.addresses[FAR_IPV4] = "10.9.0.2"
            del it.host.addresses[FAR_IPV6]
            await asyncio.sleep(2)
            task.cancel()
        return it.changes, watcher.own_addresses

    changes, own = run_virtually(scene())
    assert [Reason.MOVED, Reason.DISCONNECTED] == [change.reason for change in changes]
    assert [False, True] == [change.is_ipv6 for change in changes]
    assert ("10.9.0.2",) == own


def test_watcher_tells_of_sleep_before_what_follows_from_it() -> None:
    """A laptop opened elsewhere slept, moved, and is seen elsewhere, in this order."""

    async def scene() -> list[Change]:
        it = Scene(FakeHost({FAR_IPV4: "10.0.0.2"}), seen=ONE)
        watcher = it.watcher()
        watcher.look()
        await asyncio.sleep(2)
        it.ahead_s, it.seen, it.host.addresses[FAR_IPV4] = 3600.0, TWO, "10.9.0.2"
        watcher.look()
        assert {Reason.SLEPT: 1, Reason.MOVED: 1, Reason.SEEN_ELSEWHERE: 1} == watcher.told
        return it.changes

    assert [Reason.SLEPT, Reason.MOVED, Reason.SEEN_ELSEWHERE] == [change.reason for change in run_virtually(scene())]


def test_watcher_survives_a_handler_that_raises() -> None:
    """The next change is told all the same."""

    async def scene() -> dict[Reason, int]:
        it = Scene(FakeHost({FAR_IPV4: "10.0.0.2"}))

        def broken(change: Change) -> None:
            raise RuntimeError(change.reason)

        watcher = it.watcher(on_change=broken)
        for number in range(4):
            it.host.addresses[FAR_IPV4] = f"10.0.0.{number}"
            watcher.look()
        return watcher.told

    assert {Reason.MOVED: 3} == run_virtually(scene())
