"""What a scenario is: a coroutine with typed options, an expected result, and bounds that fail a run.

One module of this package is one scenario::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class LossyOptions(Options):
        loss: float = tunable(0.05, low=0, high=0.9, reason="a bad radio link")

    @scenario("lossy", options=LossyOptions, small=LossyOptions(nodes=100, minutes=5), expects="99 % are found …")
    async def lossy(stage: Stage, options: LossyOptions) -> None:
        \"\"\"Every datagram may be lost.\"\"\"
        await stage.populate()
        await stage.watch(minutes=options.minutes)
        stage.expect("lookup_success", at_least=0.99)
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import InvalidArgument

if TYPE_CHECKING:
    from simulations.population.member import MemberKind
    from simulations.stage import Stage
    from simulations.world.world import World

OptionsT = TypeVar("OptionsT", bound="Options")

IMPLEMENTATIONS = ("pilotdht", "kademlia")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Section):
    """What every scenario can be told. A field is a command-line option: ``--bandwidth-bps`` for ``bandwidth_bps``."""

    nodes: int = tunable(1000, low=2, high=100_000, reason="routing is not trivial any more, and a run takes minutes")
    """Participants that are up when the measured part begins."""
    minutes: float = tunable(60.0, unit="min", low=0.1, high=60 * 24 * 7, reason="an hour sees every kind of upkeep")
    """Virtual duration of the measured part."""
    seed: int = tunable(1, low=0, high=2**53, reason="any")
    """Everything that happens follows from it."""
    implementation: str = tunable("pilotdht", reason="this is what the simulator is for")
    """``pilotdht``, or ``kademlia`` for the baseline: the stock server of that package."""
    lookups_per_s: float = tunable(2.0, unit="1/s", low=0.01, high=1000, reason="7,200 samples an hour, little load")
    """Measured lookups of the whole population."""
    joins_per_s: float = tunable(10.0, unit="1/s", low=0.01, high=1000, reason="a network that doubles within minutes")
    """Rate at which the population is built up."""
    network: str = tunable("wan", reason="what agents in several clouds and homes see")
    """Conditions between nodes by name: see :data:`simulations.world.conditions.CONDITIONS`."""


class Subject(enum.Enum):
    """What a scenario is about: results of one subject stand in one table."""

    NODES = "nodes"
    """The DHT: played by our nodes and by the baseline."""
    GROUPS = "groups"
    """Members of a group."""
    ROADS = "roads"
    """Tunnels, and the roads that they take."""


Play = Callable[["Stage", Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario as it is known by name."""

    name: str
    """Lower case, words joined by hyphens."""
    summary: str
    """First line of its docstring."""
    expects: str
    """What should come out, in one sentence for people."""
    options: type[Options]
    """The type of its options."""
    small: Options
    """Its size for continuous integration: 100 to 300 nodes, minutes."""
    play: Play
    """Runs it on a stage."""
    members: Callable[[World], MemberKind] | None = None
    """What its population is made of; absent: nodes of either implementation."""

    subject: Subject = Subject.NODES
    """What it is about."""

    @property
    def has_baseline(self) -> bool:
        """Whether the stock implementation can play it as well."""
        return self.members is None

    @property
    def implementations(self) -> tuple[str, ...]:
        """Implementations that can play it."""
        return IMPLEMENTATIONS if self.has_baseline else IMPLEMENTATIONS[:1]


_SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str,
    *,
    options: type[OptionsT],
    small: OptionsT,
    expects: str,
    members: Callable[[World], MemberKind] | None = None,
    subject: Subject = Subject.NODES,
) -> Callable[[Callable[[Stage, OptionsT], Awaitable[None]]], Scenario]:
    """Register the decorated coroutine as a scenario; its docstring's first line is the summary.

    Args:
        name: lower case, words joined by hyphens.
        options: the type of its options.
        small: its size for continuous integration.
        expects: what should come out.
        members: what its population is made of, when the baseline cannot play it.
        subject: what it is about.
    """

    def register(play: Callable[[Stage, OptionsT], Awaitable[None]]) -> Scenario:
        if name in _SCENARIOS:
            raise InvalidArgument(f"two scenarios are called {name!r}")
        summary = (play.__doc__ or "").strip().split("\n", 1)[0]
        made = Scenario(
            name=name,
            summary=summary,
            expects=expects,
            options=options,
            small=small,
            play=play,
            members=members,
            subject=subject,
        )
        _SCENARIOS[name] = made
        return made

    return register


def all_scenarios() -> dict[str, Scenario]:
    """Return every scenario by name, in order of names; imports all modules of this package."""
    package = importlib.import_module("simulations.scenarios")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_SCENARIOS.items()))


def scenario_named(name: str) -> Scenario:
    """Return one scenario.

    Raises:
        InvalidArgument: there is none of that name.
    """
    known = all_scenarios()
    if name not in known:
        raise InvalidArgument(f"{name[:80]!r} is no scenario", hint=f"there are {', '.join(known)}")
    return known[name]
