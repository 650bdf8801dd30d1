"""Nodes come and go as they do in measured networks."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.lifetimes import lifetimes_named
from simulations.churn.targets import expect_everyday, picture_midway
from simulations.churn.turnover import Turnover
from simulations.engine.streams import stream
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnOptions(Options):
    """How nodes come and go."""

    lifetimes: str = tunable("weibull", reason="measured sessions are Weibull-distributed (Stutzbach and Rejaie, 2006)")
    """``weibull``, ``lognormal``, ``exponential`` or ``fixed``: distribution of sessions and absences."""
    shape: float = tunable(0.5, low=0.2, high=5, reason="the usual setting; 0.34..0.59 were measured, 1 is exponential")
    """Shape of Weibull's distribution; the others have none."""
    mean_session_s: float = tunable(
        10_000.0, unit="s", low=10, high=1e7, reason="the usual setting; studies sweep 1,000..30,000"
    )
    """Mean time that a node stays."""
    mean_absence_s: float = tunable(
        2_500.0, unit="s", low=5, high=1e7, reason="with the sessions above, a fifth of all nodes is away"
    )
    """Mean time that a node is away."""
    share_polite: float = tunable(
        0.0, low=0, high=1, reason="silent deaths are the hard case, and what studies simulate"
    )
    """Share of departures that are announced, 0..1."""
    newcomers: float = tunable(0.1, low=0, high=1, reason="most that come were there before, with the same key")
    """Share of returns, 0..1, in which somebody new takes the place of who left."""
    warm_up_minutes: float = tunable(
        30.0, unit="min", low=0.1, high=60 * 24, reason="tables hold their usual share of dead contacts (Heep, 2010)"
    )
    """Churn before the measured part."""

    def __post_init__(self) -> None:
        """Check ranges and the distribution's name.

        Raises:
            ConfigError: a value is out of range.
            InvalidArgument: there is no such distribution.
        """
        Options.__post_init__(self)
        lifetimes_named(self.lifetimes, mean_s=self.mean_session_s, shape=self.shape)


@scenario(
    "churn",
    options=ChurnOptions,
    small=ChurnOptions(
        nodes=100, minutes=5, lookups_per_s=0.5, warm_up_minutes=2, mean_session_s=3600, mean_absence_s=900
    ),
    expects="99.9 % of lookups find their record, half within 0.3 s and 95 % within 1 s, at 200 bytes/s a node.",
)
async def churn(stage: Stage, options: ChurnOptions) -> None:
    """Nodes stay and stay away as long as measured ones do, most of them dying silently."""
    await stage.populate()
    stage.snapshot("before")
    turnover = Turnover(
        stage.population,
        lifetimes_named(options.lifetimes, mean_s=options.mean_session_s, shape=options.shape),
        lifetimes_named(options.lifetimes, mean_s=options.mean_absence_s, shape=options.shape),
        random=stream(options.seed, "churn"),
        share_polite=options.share_polite,
        newcomers=options.newcomers,
    )
    stage.mark("churn begins")
    async with beside(turnover.run()):
        await stage.watch(minutes=options.warm_up_minutes, phase="warm_up")
        stage.mark("warmed up")
        async with beside(picture_midway(stage, minutes=options.minutes)):
            await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    stage.figure("departures", turnover.departures)
    stage.figure("returns", turnover.returns)
    stage.figure("newcomers", turnover.newcomers)
    stage.expect("departures", at_least=1)
    expect_everyday(stage)
