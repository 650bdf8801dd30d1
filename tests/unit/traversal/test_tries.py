"""What peers without trust have this node send is bounded for each host and in all."""

from __future__ import annotations

import dataclasses

from pilotdht.config.roads import RoadConfig
from pilotdht.traversal.tries import Tries

CONFIG = dataclasses.replace(RoadConfig(), tries_per_host_s=0.5, host_try_burst=4, tries_per_s=2.0, try_burst=10)


def test_host_has_a_burst_and_then_its_rate() -> None:
    """Whoever names it."""
    tries = Tries(CONFIG)
    assert 4 == sum(tries.take("192.0.2.1", 0.0) for _ in range(50))
    assert 5 == sum(tries.take("192.0.2.1", 10.0 + 0.1 * number) for number in range(20)) + 1


def test_all_hosts_together_have_a_bound_as_well() -> None:
    """A liar that names many victims gets no more than that."""
    tries = Tries(CONFIG)
    assert 10 == sum(tries.take(f"192.0.2.{number}", 0.0) for number in range(100))
    assert 2 == sum(tries.take(f"198.51.100.{number}", 1.0) for number in range(100))


def test_host_that_is_used_up_takes_nothing_from_the_others() -> None:
    """One victim's name does not keep honest peers apart."""
    tries = Tries(CONFIG)
    for _ in range(1000):
        tries.take("192.0.2.1", 0.0)
    assert tries.take("192.0.2.2", 0.0)
