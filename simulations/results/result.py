"""The result of one run: plain values that become one JSON file, and everything that reports are made from.

The schema is described in docs/simulation-results.md; :data:`SCHEMA` names its version and changes when a field does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SCHEMA = "pilotdht-simulation/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A bound, and whether the run kept it."""

    figure: str
    """Name of the figure."""
    relation: str
    """``>=`` or ``<=``."""
    bound: float
    """What was demanded."""
    value: float | None
    """What came out; absent when nothing was measured, which counts as failed."""
    is_kept: bool
    """Whether the run kept it."""


@dataclass(slots=True, kw_only=True)
class Series:
    """A quantity over virtual time."""

    unit: str
    """``s``, ``1/s``, ``bytes/s``, ``share`` (0..1), or empty for counts."""
    times_s: list[float] = field(default_factory=list)
    """Virtual seconds since the run began."""
    values: list[float | None] = field(default_factory=list)
    """One value a time; absent where nothing was measured."""


@dataclass(slots=True, kw_only=True)
class Samples:
    """Single operations, one item a list each: lookups, publishes or joins."""

    times_s: list[float] = field(default_factory=list)
    """When each began, virtual seconds since the run began."""
    durations_s: list[float] = field(default_factory=list)
    """How long it took."""
    are_ok: list[bool] = field(default_factory=list)
    """Whether it succeeded."""
    hops: list[int | None] = field(default_factory=list)
    """Hops, where known."""
    errors: dict[str, int] = field(default_factory=dict)
    """Failures by code."""
    wrong: int = 0
    """Answers that were false or rolled back."""


@dataclass(slots=True, kw_only=True)
class Links:
    """Tunnels that were dialled by name, one item a list each."""

    times_s: list[float] = field(default_factory=list)
    """When each was asked for, virtual seconds since the run began."""
    callers: list[str] = field(default_factory=list)
    """Behind what the caller stands: ``public``, ``port_restricted`` and the like."""
    called: list[str] = field(default_factory=list)
    """Behind what the called one stands."""
    are_trusted: list[bool] = field(default_factory=list)
    """Whether the two trust each other."""
    resolve_s: list[float | None] = field(default_factory=list)
    """Time to the answer of the name; absent when it was not found."""
    first_byte_s: list[float | None] = field(default_factory=list)
    """From then to the first answer through the tunnel; absent when there was none."""
    round_trips: list[float | None] = field(default_factory=list)
    """The same in round trips of the road that it went."""
    first_roads: list[str] = field(default_factory=list)
    """What kind of road that was; empty when there was none."""
    direct_s: list[float | None] = field(default_factory=list)
    """From the name's answer until both sides sent directly; absent when they never did."""
    roads: list[str] = field(default_factory=list)
    """What kind of road the link had in the end: ``local``, ``direct``, ``punched``, ``chance`` or ``relayed``."""
    errors: list[str] = field(default_factory=list)
    """Code of what went wrong; empty when nothing did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened to the world, to be drawn into plots over time."""

    time_s: float
    """Virtual seconds since the run began."""
    label: str
    """A few words: ``partition in 2``, ``healed``, ``30 % killed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The network at one moment: who is there, and who knows whom."""

    time_s: float
    """Virtual seconds since the run began."""
    label: str
    """``before``, ``during``, ``after`` and the like."""
    nodes: list[tuple[int, str, str, int]]
    """Number, region, state (``up``, ``down``, or a behaviour such as ``droppers``), side of a cut (0 without one)."""
    links: list[tuple[int, int]]
    """Pairs of numbers: the first has the second in its routing table; a sample when there are many."""


@dataclass(slots=True, kw_only=True)
class Result:
    """One run."""

    scenario: str
    """Its name."""
    implementation: str
    """``pilotdht`` or ``kademlia``."""
    options: dict[str, object]
    """All options with their values, defaults included."""
    version: str
    """Of pilotdht."""
    commit: str
    """Of the checkout, empty when unknown."""
    python: str
    """Version and implementation of Python."""
    started_unix: float
    """When the run began, wall time."""
    wall_s: float = 0.0
    """Wall time it took."""
    cpu_s: float = 0.0
    """CPU time it took."""
    virtual_s: float = 0.0
    """Virtual time that passed."""
    is_complete: bool = False
    """Whether it came to its end; not when it was interrupted."""
    trace_digest: str = ""
    """Digest of every event: equal for equal runs."""
    figures: dict[str, float | None] = field(default_factory=dict)
    """Single numbers by name, such as ``lookup_success`` or ``lookup_p95_s``."""
    checks: list[Check] = field(default_factory=list)
    """Bounds that the scenario sets."""
    series: dict[str, Series] = field(default_factory=dict)
    """Quantities over time by name."""
    samples: dict[str, Samples] = field(default_factory=dict)
    """``lookup``, ``publish``, ``join``."""
    links: Links | None = None
    """Tunnels that were dialled; absent where none was."""
    marks: list[Mark] = field(default_factory=list)
    """Events to draw."""
    snapshots: list[Snapshot] = field(default_factory=list)
    """The network before, during and after."""

    @property
    def is_passed(self) -> bool:
        """Whether it is complete and kept every bound."""
        return self.is_complete and all(check.is_kept for check in self.checks)
