"""Tunables of the room ``gossip``: how members of a group notice who is there, and how news spread.

Defaults follow those that memberlist uses in one data centre, which its authors run with thousands of members; slower
networks are met by round-trip times and local health rather than by other defaults.
"""

from __future__ import annotations

from dataclasses import replace

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipConfig(Section):
    """Everything about membership that can be set."""

    probe_interval_s: float = tunable(
        1.0, unit="s", low=0.02, high=600.0, reason="a crash is noticed within 1.6 s, at 300 bytes a second a member"
    )
    """Time between two probes of one member by this node; longer while this node doubts itself."""

    probe_timeout_s: float = tunable(
        0.5, unit="s", low=0.01, high=60.0, reason="longer than a round trip around the world"
    )
    """Wait for a direct answer before others are asked to probe."""

    indirect_probes: int = tunable(3, low=0, high=16, reason="SWIM: beyond three false alarms hardly become rarer")
    """Members asked to probe one that was silent."""

    gossip_interval_s: float = tunable(
        0.2, unit="s", low=0.01, high=60.0, reason="100 members know everything after a second"
    )
    """Time between two rounds of gossip while there is news."""

    gossip_fan_out: int = tunable(3, low=1, high=32, reason="each more costs a datagram a round and gains little time")
    """Members told in one round."""

    retransmit_factor: int = tunable(
        4,
        low=1,
        high=16,
        reason="passed on 4 log10 n times, news miss one member in e^8 to e^16, and comparing repairs it",
    )
    """News are passed on this many times the decimal logarithm of the number of members."""

    suspicion_factor: int = tunable(
        4, low=1, high=64, reason="a refutation needs log n rounds there and back; 4 leaves room for a busy member"
    )
    """Shortest suspicion: this many probe intervals times the decimal logarithm of the number of members."""

    suspicion_spread: int = tunable(
        6, low=1, high=64, reason="one accuser alone may be the sick one: it must wait longer for others to agree"
    )
    """Longest suspicion, as a multiple of the shortest; 1: no difference (plain SWIM)."""

    max_health: int = tunable(8, low=0, high=64, reason="Lifeguard: a sick member waits up to 9 times longer")
    """Worst local health; 0: a node never doubts itself (plain SWIM)."""

    is_buddy: bool = tunable(True, reason="whoever is suspected should be the first to know")
    """Whether a probe of a suspected member tells it so (Lifeguard's buddy system)."""

    compare_interval_s: float = tunable(
        30.0, unit="s", low=0.1, high=3600.0, reason="repairs what gossip missed; equal members exchange 300 bytes"
    )
    """Time between two comparisons with some member, for up to 32 members; grows with log2 of their number."""

    compare_soon_s: float = tunable(
        2.0, unit="s", low=0.05, high=3600.0, reason="after a partition healed, members differ in half of all they know"
    )
    """Time until the next comparison after one that found differences."""

    retry_interval_s: float = tunable(
        5.0,
        unit="s",
        low=0.05,
        high=3600.0,
        reason="30 bytes a second while members are dead; a partition heals in seconds",
    )
    """Time between two tries to reach some member that is held for dead."""

    gossip_to_dead_s: float = tunable(
        30.0, unit="s", low=0.0, high=3600.0, reason="who was only slow learns what is said of it and objects"
    )
    """How long a member that was declared dead is still told the news."""

    fact_lifetime_s: float = tunable(
        86_400.0, unit="s", low=60.0, high=30 * 86_400.0, reason="one signature and one spread a day and member"
    )
    """What a member says of itself is void after so long; it signs anew at half of it. The dead are remembered as long,
    so that nothing that is still valid can bring them back."""

    max_members: int = tunable(20_000, low=2, high=1_000_000, reason="2 kB each; larger groups want a hierarchy")
    """Members of one group, the dead and departed included."""

    max_groups: int = tunable(64, low=1, high=10_000, reason="each costs its probes and its gossip")
    """Groups that this node may be in."""

    max_helped: int = tunable(32, low=1, high=10_000, reason="three a second is usual; nobody uses us to flood others")
    """Probes for others under way."""

    items_per_s: float = tunable(
        500.0, unit="1/s", low=1.0, high=1e6, reason="what one member may make us verify: 50 ms of CPU a second"
    )
    """New facts and suspicions taken from one member over time."""

    items_burst: int = tunable(
        4_000, low=1, high=10_000_000, reason="a healed partition of thousands arrives within seconds"
    )
    """New facts and suspicions taken from one member at once."""

    false_alarms: int = tunable(
        3, low=1, high=1000, reason="everybody errs once; a liar and a sick member err again and again"
    )
    """Refuted accusations after which a member's accusations only make us probe for ourselves."""

    false_alarms_window_s: float = tunable(
        300.0, unit="s", low=1.0, high=86_400.0, reason="a member that was sick is well again after minutes"
    )
    """How long a refuted accusation counts."""

    updates_per_s: float = tunable(
        0.1, unit="1/s", low=0.001, high=1000.0, reason="a load that is shown every ten seconds is fresh enough"
    )
    """How often a member tells of changes of what it says about itself, over time."""

    updates_burst: int = tunable(5, low=1, high=1000, reason="a program that starts declares one thing after another")
    """Such changes told at once."""

    rendezvous_interval_s: float = tunable(
        120.0, unit="s", low=1.0, high=86_400.0, reason="finds halves of a group that never met"
    )
    """Time between two readings of the group's entries in the DHT, by all members together up to 32 of them."""

    publishers: int = tunable(
        24, low=1, high=1000, reason="newcomers need a few members; thousands of entries would only fill the holders"
    )
    """Members that keep an entry of the group in the DHT: those whose ids are nearest to it."""

    join_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=600.0, reason="a lookup, a round trip, and the list of members"
    )
    """How long joining waits for the first member; it goes on in the background."""

    max_changes_queued: int = tunable(1024, low=1, high=1_000_000, reason="a reader that sleeps loses the oldest")
    """Changes of membership kept for a program that reads them."""

    def __post_init__(self) -> None:
        """Check ranges and that times fit each other.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.probe_timeout_s >= self.probe_interval_s:
            raise ConfigError("probe_timeout_s must be below probe_interval_s")

    def without_lifeguard(self) -> GossipConfig:
        """Return the same with all that Lifeguard adds to SWIM switched off: to measure what it is good for."""
        return replace(self, max_health=0, suspicion_spread=1, is_buddy=False)
