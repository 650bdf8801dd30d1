"""Most nodes stand behind NATs, as they do in the Internet: who reaches whom, how soon, and along which road."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.engine.streams import stream
from simulations.roads import figures
from simulations.roads.dialler import Dialler
from simulations.roads.endurance import Endurance
from simulations.roads.kind import TunnelKind
from simulations.roads.mix import LANDMARKS, USUAL_MIX, drawn_surroundings, parsed_mix
from simulations.roads.town import Town
from simulations.scenarios.scenario import Options, Subject, scenario
from simulations.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class NatMixOptions(Options):
    """Who stands behind what, and who dials whom."""

    minutes: float = tunable(15.0, unit="min", low=0.1, high=60 * 24, reason="two thousand tunnels at the rate below")
    """Virtual time in which tunnels are dialled."""
    mix: str = tunable(USUAL_MIX, reason="an estimate that agrees with what was measured: simulations/roads/mix.py")
    """Share of nodes behind each kind of NAT: ``public=0.2,symmetric=0.8``."""
    dials_per_s: float = tunable(2.0, unit="1/s", low=0.01, high=1000, reason="every node is in a few tunnels")
    """Tunnels dialled by the whole population."""
    share_trusted: float = tunable(0.5, low=0, high=1, reason="both kinds of pairs are measured well")
    """Share of dialled pairs, 0..1, that trust each other, as neighbours do; the others guess no ports."""
    hold_s: float = tunable(30.0, unit="s", low=10, high=3600, reason="a try to meet by chance, and its pause, fit in")
    """How long each tunnel is watched."""
    settle_s: float = tunable(120.0, unit="s", low=0, high=3600, reason="strangers have knocked, servers are found")
    """Time for nodes to find out where they stand, after the last has joined."""
    kept: float = tunable(0.25, low=0, high=0.5, reason="half of all nodes are in one of them")
    """Tunnels that are kept for long, as a share of the nodes."""
    idle_s: float = tunable(200.0, unit="s", low=0, high=86_400, reason="most routers would have forgotten by then")
    """How long nobody uses these; a link that is idle for 300 s would be closed by its owner."""
    share_rebooted: float = tunable(0.2, low=0, high=1, reason="a power cut in some streets")
    """Share of routers, 0..1, that forget everything at one moment."""

    def __post_init__(self) -> None:
        """Check ranges, and the mix.

        Raises:
            ConfigError: a value is out of range.
            InvalidArgument: the mix is none, or has too few nodes in public.
        """
        Options.__post_init__(self)
        drawn_surroundings(parsed_mix(self.mix), self.nodes, stream(self.seed, "surroundings"))


@scenario(
    "nat-mix",
    options=NatMixOptions,
    small=NatMixOptions(
        nodes=100,
        minutes=3,
        joins_per_s=5,
        dials_per_s=1,
        share_trusted=0.8,
        settle_s=60,
        idle_s=100,
        share_rebooted=0.4,
    ),
    expects="99.5 % of pairs connect, 99 % of those that NATs let meet are direct; links outlive routers' reboots.",
    members=TunnelKind,
    subject=Subject.ROADS,
)
async def nat_mix(stage: Stage, options: NatMixOptions) -> None:
    """Nodes behind a mix of NATs dial each other by name; then routers forget, and tunnels have to find back."""
    kinds = drawn_surroundings(parsed_mix(options.mix), options.nodes, stream(options.seed, "surroundings"))
    town = Town(stage.population, kinds, random=stream(options.seed, "routers"))
    stage.population.landmarks = LANDMARKS
    await stage.join(town.slots)
    await asyncio.sleep(options.settle_s)
    stage.snapshot("before")
    dialler = Dialler(town, stage.world.network, asyncio.get_running_loop().time() - stage.now_s)
    stage.result.links = dialler.links
    stage.mark("dials begin")
    before = figures.traffic(stage)
    async with beside(figures.sample(stage, seconds=options.minutes * 60)):
        await _dial_at_random(stage, dialler, options)
    figures.add_traffic(stage, before)
    figures.add_links(stage, dialler)
    figures.add_relays(stage, town)
    stage.snapshot("during")
    endurance = Endurance(stage, dialler, random=stream(options.seed, "endurance"))
    await endurance.play(
        count=round(options.kept * options.nodes), idle_s=options.idle_s, share_rebooted=options.share_rebooted
    )
    stage.snapshot("after")
    figures.expect_all(stage)


async def _dial_at_random(stage: Stage, dialler: Dialler, options: NatMixOptions) -> None:
    """Dial random pairs as a Poisson process, and wait until the last tunnel was watched to its end."""
    random = stream(options.seed, "dials")
    loop = asyncio.get_running_loop()
    began = due = loop.time()
    ends = began + options.minutes * 60
    async with asyncio.TaskGroup() as group:
        while (due := due + random.expovariate(options.dials_per_s)) < ends:
            await asyncio.sleep(max(0.0, due - loop.time()))
            stage.tell("watching", due - began, ends - began)
            pair = dialler.drawn_pair(random)
            if pair is not None:
                is_trusted = random.random() < options.share_trusted or pair[1] in dialler.town.neighbours_of(pair[0])
                group.create_task(dialler.use(*pair, is_trusted=is_trusted, hold_s=options.hold_s))
