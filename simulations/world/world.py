"""The world of one simulation: the network, every host's clock and entropy, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable

from pilotdht.net.doors import Doors
from simulations.engine.streams import stream
from simulations.engine.trace import TraceWriter
from simulations.world.clocks import UNIX_START_S as UNIX_START_S
from simulations.world.clocks import drawn_clock
from simulations.world.conditions import Conditions, conditions_named
from simulations.world.network import MemoryNetwork
from simulations.world.places import address_of
from simulations.world.regions import REGIONS


class World:
    """Everything around the nodes."""

    def __init__(
        self,
        *,
        seed: int,
        conditions: str | Conditions,
        clock_skew_s: float = 0.0,
        drift_ppm: float = 0.0,
        trace: TraceWriter | None = None,
    ) -> None:
        """Make it, inside the running loop.

        Args:
            seed: of the run.
            conditions: of the network, or their name.
            clock_skew_s: wall clocks are wrong by so much at most, either way.
            drift_ppm: wall clocks run wrong by so many microseconds a second at most, either way.
            trace: keeps events; absent: only their digest is kept.

        Raises:
            InvalidArgument: no conditions of that name.
        """
        self.seed = seed
        """Everything follows from it."""
        self.network = MemoryNetwork(
            seed=seed,
            conditions=conditions_named(conditions) if isinstance(conditions, str) else conditions,
            trace=trace,
        )
        """All sockets, and everything between them."""
        self._clock_skew_s = clock_skew_s
        self._drift_ppm = drift_ppm

    def unix_time_of(self, number: int) -> Callable[[], float]:
        """Return the wall clock of a participant; it is the same in each of its lives."""
        clock = drawn_clock(self.seed, number, skew_s=self._clock_skew_s, drift_ppm=self._drift_ppm)
        return clock.reading(self.network.loop.time)

    def doors(self, number: int, *, life: int = 0) -> Doors:
        """Return the doors of one participant in one of its lives; its draws follow from the seed and both numbers."""
        return Doors(
            network=self.network,
            unix_time=self.unix_time_of(number),
            random=stream(self.seed, "choices", number, life),
            token_bytes=stream(self.seed, "secrets", number, life).randbytes,
        )

    def region_of(self, host: str) -> str:
        """Return the region that a host stands in; who is behind NATs stands where the outermost of them stands."""
        return REGIONS[self.network.host_of(self.network.outermost(host)).place.region].name

    def stall(self, number: int, seconds: float, *, host: str = "") -> None:
        """Starve a participant of its processor: neither its timers nor its datagrams are looked at for a while.

        Args:
            number: the participant; its callbacks are found by :data:`simulations.engine.virtual_loop.OWNER`.
            seconds: how long from now.
            host: its address; absent: the one that goes with its number.
        """
        loop = self.network.loop
        until_s = loop.time() + seconds
        loop.stall(number, until_s)
        self.network.stall(host or address_of(number), until_s)


def virtual_doors(network: MemoryNetwork, *, seed: int, node: int) -> Doors:
    """Return doors on a network without a world; the draws follow from the seed and the number alone."""
    secrets = random.Random(f"secrets {seed} {node}")
    return Doors(
        network=network,
        unix_time=lambda: UNIX_START_S + network.loop.time(),
        random=random.Random(f"choices {seed} {node}"),
        token_bytes=secrets.randbytes,
    )
