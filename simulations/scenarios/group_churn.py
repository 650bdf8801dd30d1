"""Members of a group come and go as nodes do in measured networks."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.lifetimes import lifetimes_named
from simulations.churn.targets import picture_midway
from simulations.churn.turnover import Turnover
from simulations.engine.streams import stream
from simulations.groups.company import Company
from simulations.groups.kind import GroupKind
from simulations.groups.options import GroupOptions
from simulations.scenarios.scenario import Subject, scenario
from simulations.stage import Stage

AGREED = 0.99
"""Share of pairs that are right: who crashed is seen for the length of a suspicion, all else is known soon."""

BYTES_PER_NODE_S = 1_500.0
"""Traffic of a member while members come and go without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChurnOptions(GroupOptions):
    """How members come and go."""

    nodes: int = tunable(300, low=5, high=10_000, reason="a large group; each member knows all others")
    """Members that are there on average."""
    lifetimes: str = tunable("weibull", reason="measured sessions are Weibull-distributed (Stutzbach and Rejaie, 2006)")
    """``weibull``, ``lognormal``, ``exponential`` or ``fixed``: distribution of sessions and absences."""
    shape: float = tunable(0.5, low=0.2, high=5, reason="the usual setting; 0.34..0.59 were measured, 1 is exponential")
    """Shape of Weibull's distribution; the others have none."""
    mean_session_s: float = tunable(
        10_000.0, unit="s", low=10, high=1e7, reason="the usual setting; studies sweep 1,000..30,000"
    )
    """Mean time that a member stays."""
    mean_absence_s: float = tunable(
        2_500.0, unit="s", low=5, high=1e7, reason="with the sessions above, a fifth of all members is away"
    )
    """Mean time that a member is away."""
    share_polite: float = tunable(
        0.3, low=0, high=1, reason="programs that end say so; machines that sleep, and networks that fail, do not"
    )
    """Share of departures that are announced, 0..1."""

    def __post_init__(self) -> None:
        """Check ranges and the distribution's name.

        Raises:
            ConfigError: a value is out of range.
            InvalidArgument: there is no such distribution.
        """
        GroupOptions.__post_init__(self)
        lifetimes_named(self.lifetimes, mean_s=self.mean_session_s, shape=self.shape)


@scenario(
    "group-churn",
    options=GroupChurnOptions,
    small=GroupChurnOptions(nodes=40, minutes=4, mean_session_s=1200, mean_absence_s=300),
    expects="99 % of what members see of each other is right, every crash is noticed by all, nobody is held for dead.",
    members=GroupKind,
    subject=Subject.GROUPS,
)
async def group_churn(stage: Stage, options: GroupChurnOptions) -> None:
    """Members stay and stay away as long as measured nodes do, most of them dying silently."""
    company = Company(stage)
    await stage.populate()
    stage.snapshot("before")
    turnover = Turnover(
        stage.population,
        lifetimes_named(options.lifetimes, mean_s=options.mean_session_s, shape=options.shape),
        lifetimes_named(options.lifetimes, mean_s=options.mean_absence_s, shape=options.shape),
        random=stream(options.seed, "churn"),
        share_polite=options.share_polite,
    )
    stage.mark("churn begins")
    async with beside(turnover.run(), picture_midway(stage, minutes=options.minutes)):
        await company.watch(minutes=options.minutes)
    stage.snapshot("after")
    stage.figure("departures", turnover.departures)
    stage.figure("returns", turnover.returns)
    stage.expect("departures", at_least=1)
    stage.expect("agreement", at_least=AGREED)
    stage.expect("unnoticed", at_most=0)
    stage.expect("false_alarms", at_most=0)
    stage.expect("bytes_per_node_s", at_most=BYTES_PER_NODE_S)
