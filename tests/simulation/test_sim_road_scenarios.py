"""Scenarios about tunnels: the small size keeps every bound; what is told of single tunnels is true."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields

import pytest

from pilotdht.config.fields import tunable
from pilotdht.errors import InvalidArgument
from simulations.engine.streams import stream
from simulations.results.result import Result
from simulations.roads.dialler import ROADS, Dialler, link_between
from simulations.roads.kind import TunnelKind, make_friends, node_of
from simulations.roads.mix import LANDMARKS
from simulations.roads.town import Town
from simulations.runner import run
from simulations.scenarios.scenario import Options, Scenario, Subject, all_scenarios, scenario_named
from simulations.stage import Stage
from tests.support.source import ROOT

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]  # up to 15 s of processor time

SCENARIOS = [one.name for one in all_scenarios().values() if one.subject is Subject.ROADS]

Play = Callable[[Dialler, Town], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOptions(Options):
    """Two nodes beside the landmarks."""

    kinds: str = tunable("public,public", reason="each trial says it")
    """What they stand behind."""


def trial(kinds: str, play: Play, *, seed: int = 1) -> Result:
    """Play something with two nodes behind these, and return the result."""

    async def perform(stage: Stage, options: TrialOptions) -> None:
        every = ["public"] * LANDMARKS + options.kinds.split(",")
        town = Town(stage.population, every, random=stream(options.seed, "routers"))
        stage.population.landmarks = LANDMARKS
        await stage.join(town.slots)
        dialler = Dialler(town, stage.world.network, asyncio.get_running_loop().time() - stage.now_s)
        stage.result.links = dialler.links
        await play(dialler, town)

    options = TrialOptions(kinds=kinds, seed=seed, joins_per_s=1.0, network="perfect")
    made = Scenario(
        name="trial",
        summary="",
        expects="",
        options=TrialOptions,
        small=options,
        play=perform,
        members=TunnelKind,
        subject=Subject.ROADS,
    )
    return run(made, options)


def test_the_scenarios_about_tunnels_are_there() -> None:
    """None is left out by chance."""
    assert SCENARIOS == ["nat-mix"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_small_scenario_about_tunnels_keeps_every_bound(name: str) -> None:
    """It comes to its end, keeps its bounds, and kept what each tunnel did."""
    scenario = scenario_named(name)

    result = run(scenario, scenario.small)

    assert [check for check in result.checks if not check.is_kept] == []
    assert result.is_passed
    assert len(result.checks) >= 10
    links = result.links
    assert links is not None
    assert 1 == len(dict.fromkeys(len(getattr(links, field.name)) for field in fields(links)))
    assert set(ROADS) >= {road for road in links.roads if road}
    assert [snapshot.label for snapshot in result.snapshots] == ["before", "during", "after"]
    for figure, least in (("tunnels", 150), ("chance_pairs", 10), ("reboot_tunnels", 10), ("relay_bytes", 1)):
        assert (result.figures[figure] or 0) >= least


@pytest.mark.parametrize("name", SCENARIOS)
def test_stock_implementation_cannot_dial(name: str) -> None:
    """It has no tunnels: that is said, not tried."""
    scenario = scenario_named(name)

    with pytest.raises(InvalidArgument, match="cannot play"):
        run(scenario, scenario.options(implementation="kademlia"))


def test_documentation_names_every_scenario_about_tunnels() -> None:
    """The section about tunnels tells what each is for."""
    text = (ROOT / "docs" / "simulations.md").read_text(encoding="utf-8")

    assert [name for name in SCENARIOS if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("kinds", "is_trusted", "road"),
    [
        ("public,public", False, "direct"),
        ("port_restricted,full_cone", False, "direct"),
        ("cgnat,port_restricted", False, "punched"),
        ("restricted,cgnat,shared,shared", True, "local"),
        ("symmetric,port_restricted", True, "chance"),
        ("symmetric,port_restricted", False, "relayed"),
        ("symmetric,symmetric", True, "relayed"),
    ],
)
def test_tunnel_has_the_road_that_its_ends_allow(kinds: str, is_trusted: bool, road: str) -> None:
    """What is kept of it agrees with itself, too."""

    async def play(dialler: Dialler, town: Town) -> None:
        caller, called = town.slots[-2:]
        assert dialler.is_free(caller)
        assert dialler.is_free(called)
        tunnel = await dialler.dial(caller, called, is_trusted=is_trusted)
        assert tunnel is not None
        assert not dialler.is_free(caller)
        assert not dialler.is_free(called)
        await dialler.watch(tunnel, until_s=tunnel.resolved_s + 15)
        assert road == dialler.road_of(tunnel)
        await dialler.hang_up(tunnel)
        assert dialler.is_free(caller)
        assert link_between(caller, called) is None
        assert dialler.broken == 0

    links = trial(kinds, play).links

    assert links is not None
    assert [road] == links.roads
    assert [""] == links.errors
    assert kinds.split(",")[-2:] == [*links.callers, *links.called]
    assert [is_trusted] == links.are_trusted
    first_byte_s, direct_s, round_trips = links.first_byte_s[0], links.direct_s[0], links.round_trips[0]
    assert first_byte_s is not None
    assert 0.02 < first_byte_s < 0.5
    assert round_trips is not None
    assert 2.0 <= round_trips or road == "local"
    assert (direct_s is None) is (road == "relayed")


def test_dial_of_somebody_who_is_gone_is_kept_as_failed() -> None:
    """Its error is told, and both are free again."""

    async def play(dialler: Dialler, town: Town) -> None:
        caller, called = town.slots[-2:]
        dialler.network.unplug(called.identity.endpoint.host)
        assert await dialler.dial(caller, called, is_trusted=False) is None
        assert dialler.is_free(caller)

    links = trial("public,public", play).links

    assert links is not None
    assert [""] == links.roads
    assert [None] == links.first_byte_s
    assert links.errors[0]


def test_friends_trust_each_other_without_a_datagram() -> None:
    """Neither owes the other a word afterwards; once more changes nothing."""

    async def play(dialler: Dialler, town: Town) -> None:
        one, other = (node_of(slot) for slot in town.slots[-2:])
        sent = dialler.network.sent
        for _ in range(2):
            make_friends(one, other)
            for node, peer in ((one, other), (other, one)):
                assert node.rooms.book.is_trusted(peer.public_key)
                assert node.rooms.book.owing() == []
        assert sent == dialler.network.sent

    trial("public,public", play)


def test_tunnels_of_one_seed_are_the_same_tunnels() -> None:
    """Datagram by datagram, keys made by chance notwithstanding."""

    async def play(dialler: Dialler, town: Town) -> None:
        await dialler.use(*town.slots[-2:], is_trusted=True, hold_s=10)

    first, second, other = (trial("symmetric,port_restricted", play, seed=seed) for seed in (1, 1, 2))

    assert first.trace_digest == second.trace_digest
    assert first.links == second.links
    assert first.trace_digest != other.trace_digest
