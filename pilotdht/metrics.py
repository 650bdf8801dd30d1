"""Counters, gauges and histograms as prometheus knows them, for a node that counts on one loop.

The library's own take a lock for each number and check each label: a node's hundred numbers would cost 100 kB and 3 ms
to make, and an increment as much as opening a sealed datagram. These are plain numbers, shown to the library's registry
when it collects. Not for several threads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0
        """How much was counted."""

    def inc(self, amount: float = 1.0) -> None:
        """Count more."""
        self.value += amount


class Level(Count):
    """A number that goes up and down."""

    __slots__ = ("_read",)

    def __init__(self) -> None:
        super().__init__()
        self._read: Callable[[], float] | None = None

    def dec(self, amount: float = 1.0) -> None:
        """Lower it."""
        self.value -= amount

    def set(self, value: float) -> None:
        """Say what it is."""
        self.value = value

    def set_function(self, read: Callable[[], float]) -> None:
        """Ask ``read`` from now on."""
        self._read = read

    def read(self) -> float:
        """Return what it is."""
        return self.value if self._read is None else self._read()


class Spread:
    """How many observations lie below each of some bounds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Take in one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return each bound with how many observations do not exceed it, as prometheus takes it."""
        found: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*(str(float(one)) for one in self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            found.append((bound, total))
        return found

    @property
    def sum(self) -> float:
        """All observations added up."""
        return self._sum


NumberT = TypeVar("NumberT")


class _Family(Generic[NumberT]):
    """Numbers under one name, told apart by their labels; registers itself as a collector."""

    __slots__ = ("_label_names", "_make", "_name", "_numbers", "_text")

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        registry: CollectorRegistry,
        make: Callable[[], NumberT],
    ) -> None:
        self._name = name
        self._text = text
        self._label_names = labels
        self._make = make
        self._numbers: dict[tuple[str, ...], NumberT] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> NumberT:
        """Return the number with these labels, one for each name in their order; made when it is new."""
        number = self._numbers.get(values)
        if number is None:
            assert len(values) == len(self._label_names), "each label has a value"
            number = self._numbers[values] = self._make()
        return number

    def collect(self) -> Iterator[Metric]:
        """Return all numbers as prometheus takes them."""
        raise NotImplementedError


class Counter(_Family[Count]):
    """Numbers that only grow."""

    __slots__ = ()

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), *, registry: CollectorRegistry) -> None:
        """Make one; ``name`` ends in ``_total``."""
        super().__init__(name, text, labels, registry, Count)

    def inc(self, amount: float = 1.0) -> None:
        """Count more, where there are no labels."""
        self.labels().inc(amount)

    def collect(self) -> Iterator[Metric]:
        """Return all numbers as prometheus takes them."""
        family = CounterMetricFamily(self._name, self._text, labels=self._label_names)
        for values, number in self._numbers.items():
            family.add_metric(values, number.value)
        yield family


class Gauge(_Family[Level]):
    """Numbers that go up and down."""

    __slots__ = ()

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), *, registry: CollectorRegistry) -> None:
        super().__init__(name, text, labels, registry, Level)

    def set(self, value: float) -> None:
        """Say what it is, where there are no labels."""
        self.labels().set(value)

    def set_function(self, read: Callable[[], float]) -> None:
        """Ask ``read`` from now on, where there are no labels."""
        self.labels().set_function(read)

    def collect(self) -> Iterator[Metric]:
        """Return all numbers as prometheus takes them."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._label_names)
        for values, number in self._numbers.items():
            family.add_metric(values, number.read())
        yield family


class Histogram(_Family[Spread]):
    """Observations, counted by size."""

    __slots__ = ()

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """Make one; ``buckets`` are the upper bounds, in rising order."""
        super().__init__(name, text, labels, registry, lambda: Spread(buckets))

    def observe(self, value: float) -> None:
        """Take in one observation, where there are no labels."""
        self.labels().observe(value)

    def collect(self) -> Iterator[Metric]:
        """Return all numbers as prometheus takes them."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._label_names)
        for values, number in self._numbers.items():
            family.add_metric(values, number.buckets(), number.sum)
        yield family
