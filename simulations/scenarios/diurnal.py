"""Nodes come by day and go by night."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.arrivals import Diurnal
from simulations.churn.beside import beside
from simulations.churn.lifetimes import Exponential, Weibull
from simulations.churn.targets import expect_everyday, picture_midway
from simulations.churn.turnover import Turnover
from simulations.engine.streams import stream
from simulations.population.population import Slot
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class DiurnalOptions(Options):
    """How a day goes."""

    nodes: int = tunable(200, low=2, high=100_000, reason="a day of a thousand takes an hour to compute")
    """Participants that are up when the measured part begins: the average of a day."""
    minutes: float = tunable(1440.0, unit="min", low=0.1, high=60 * 24 * 7, reason="a day")
    """Virtual duration of the measured part."""
    lookups_per_s: float = tunable(0.5, unit="1/s", low=0.01, high=1000, reason="43,200 samples a day")
    """Measured lookups of the whole population."""
    day_minutes: float = tunable(1440.0, unit="min", low=1, high=60 * 48, reason="a day; shorter ones are for tests")
    """Length of a day."""
    swing: float = tunable(0.8, low=0, high=1, reason="at noon nine times as many come as at midnight")
    """0..1: at the busiest moment ``1 + swing`` times the mean come back, at the quietest ``1 - swing`` times."""
    is_worldwide: bool = tunable(False, reason="one time zone is the hard case: all leave together")
    """Whether each region has a time zone of its own, spread evenly over the day."""
    shape: float = tunable(0.5, low=0.2, high=5, reason="as in the scenario churn")
    """Shape of the sessions' Weibull distribution."""
    mean_session_s: float = tunable(10_000.0, unit="s", low=10, high=1e7, reason="as in the scenario churn")
    """Mean time that a node stays."""
    mean_absence_s: float = tunable(
        10_000.0, unit="s", low=5, high=1e7, reason="twice as many nodes exist as are up: room to swing"
    )
    """Mean time that a node is away, at the average hour."""


@scenario(
    "diurnal",
    options=DiurnalOptions,
    small=DiurnalOptions(
        nodes=100, minutes=4, lookups_per_s=1, day_minutes=4, mean_session_s=900, mean_absence_s=300, swing=1.0
    ),
    expects="The network breathes with the day; 99.9 % of lookups find their record at any hour.",
)
async def diurnal(stage: Stage, options: DiurnalOptions) -> None:
    """Nodes come back by day and stay away by night."""
    await stage.populate()
    stage.snapshot("before")
    loop = asyncio.get_running_loop()
    day_s, began_s = options.day_minutes * 60, loop.time()
    # it begins in the morning: as many come as on average, and more from now on
    day = Diurnal(mean_per_s=1.0, swing=options.swing, day_s=day_s, busiest_s=began_s + day_s / 4)
    hosts = [slot.identity.endpoint.host for slot in stage.population.slots]
    regions = sorted({stage.world.region_of(host) for host in hosts}) if options.is_worldwide else []

    def eagerness(slot: Slot, now_s: float) -> float:
        region = stage.world.region_of(slot.identity.endpoint.host)
        zone_s = day_s * regions.index(region) / len(regions) if region in regions else 0.0
        return day.rate_at(now_s - zone_s) / (1 + options.swing)

    turnover = Turnover(
        stage.population,
        Weibull.with_mean(options.mean_session_s, shape=options.shape),
        Exponential(options.mean_absence_s / (1 + options.swing)),  # of those due to come, one of 1 + swing does
        random=stream(options.seed, "churn"),
        eagerness=eagerness,
        away=round(options.nodes * options.mean_absence_s / options.mean_session_s),
    )
    stage.mark("the day begins")
    async with beside(turnover.run(), picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    up = [value for value in stage.result.series["up"].values if value is not None]
    stage.figure("up_least", min(up))
    stage.figure("up_most", max(up))
    stage.figure("departures", turnover.departures)
    stage.expect("departures", at_least=1)
    expect_everyday(
        stage, bytes_per_node_s=None
    )  # joins are what it costs, and the scenario churn holds these to a bound
