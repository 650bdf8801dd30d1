"""Tunables of messages to groups: neighbours, the tree along which messages travel, what is kept, and what is refused.

A member keeps the same few neighbours and the same bounded memory whether its group has ten members or ten thousand.
"""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastConfig(Section):
    """Everything about messages to groups that can be set."""

    # Neighbours

    active_size: int = tunable(5, low=2, high=32, reason="HyParView: log10 of 10,000 members, and one more")
    """Neighbours; a member looks for others while it has fewer than one less, and takes in others up to this."""

    passive_size: int = tunable(
        60, low=4, high=1000, reason="twice HyParView's: of 95 % killed at once, three are left and one in 25 loses all"
    )
    """Members remembered to replace neighbours."""

    join_walk: int = tunable(
        6, low=0, high=16, reason="HyParView: as many steps as end at a random member of thousands"
    )
    """Steps that the news of a newcomer walks."""

    passive_walk: int = tunable(3, low=0, high=16, reason="HyParView: half of the walk")
    """Steps left at which a newcomer is remembered on the way."""

    shuffle_interval_s: float = tunable(
        30.0, unit="s", low=0.1, high=3600.0, reason="the dead leave all memories within minutes, for 30 bytes a second"
    )
    """Time between two exchanges of contacts."""

    shuffle_active: int = tunable(3, low=0, high=4, reason="HyParView: three neighbours, which are surely alive")
    """Neighbours named in an exchange."""

    shuffle_passive: int = tunable(
        4, low=0, high=4, reason="HyParView: four others; with ourselves they fill a message"
    )
    """Others named in an exchange."""

    refresh_interval_s: float = tunable(
        15.0,
        unit="s",
        low=0.1,
        high=3600.0,
        reason="messages notice a dead neighbour at once; this is for idle groups: 45 bytes a second",
    )
    """Silence after which a neighbour is asked whether it still is one."""

    max_asked: int = tunable(
        20, low=1, high=256, reason="with 95 % dead, one of twenty answers: a neighbour a second, for 50 kB of requests"
    )
    """Members asked at one time to be neighbours, while nobody answers."""

    seek_pause_s: float = tunable(
        1.0, unit="s", low=0.01, high=60.0, reason="the refused find others; their number halves with each round"
    )
    """Pause after everybody known was asked in vain to be a neighbour; doubles each time."""

    seek_most_s: float = tunable(
        30.0, unit="s", low=0.01, high=3600.0, reason="the last member of a group costs nothing while it waits"
    )
    """Longest such pause."""

    link_slow_s: float = tunable(0.3, unit="s", low=0.01, high=10.0, reason="longer than nine of ten round trips")
    """Wait for a member that never answered before, until it is asked again."""

    link_silent_s: float = tunable(
        1.0, unit="s", low=0.02, high=30.0, reason="after a mass failure members try many dead ones, one after another"
    )
    """Wait for a member that never answered before, until it is given up."""

    shun_s: float = tunable(
        600.0, unit="s", low=0.0, high=86_400.0, reason="whoever passed on a forgery did so knowingly, or is broken"
    )
    """How long a member that passed on a forged event is no neighbour."""

    max_shunned: int = tunable(256, low=1, high=100_000, reason="100 bytes each; the one shunned longest is forgotten")
    """Members shunned at one time."""

    # The tree

    announce_interval_s: float = tunable(
        0.1, unit="s", low=0.0, high=10.0, reason="ten announcements a second and link however many events there are"
    )
    """How long ids are gathered before they are announced."""

    max_announced: int = tunable(512, low=1, high=100_000, reason="17 full datagrams at once; the rest is compared")
    """Ids that wait to be announced to one neighbour; the oldest go."""

    graft_after_s: float = tunable(
        0.6, unit="s", low=0.01, high=60.0, reason="an announced event is on its way down the tree: some round trips"
    )
    """Wait for an event that was announced before it is asked for."""

    graft_again_s: float = tunable(
        0.5, unit="s", low=0.01, high=60.0, reason="a round trip around the world, and the patience for one retry"
    )
    """Wait for an event that was asked for before another one who announced it is asked."""

    optimise_hops: int = tunable(
        3, low=1, high=255, reason="Plumtree: lower values change the tree for the sake of chance"
    )
    """So many hops shorter must another way be before it takes the place of the present one."""

    max_missing: int = tunable(
        2048, low=16, high=1_000_000, reason="400 bytes each; announced, never delivered: what a liar can make us keep"
    )
    """Announced events that are waited for; a quarter of them may be one neighbour's word alone."""

    max_announcers: int = tunable(4, low=1, high=32, reason="if four who have it cannot deliver, comparing will")
    """Members remembered for an announced event."""

    recent_s: float = tunable(
        20.0, unit="s", low=0.0, high=600.0, reason="what failed neighbours were to have passed on is seconds old"
    )
    """Events up to this age are told to a new neighbour."""

    # Memory

    retention_s: float = tunable(
        3600.0, unit="s", low=1.0, high=86_400.0, reason="a partition of half an hour, found and mended"
    )
    """Age up to which events are taken, kept, and handed to members that come late; the same in the whole group."""

    max_events: int = tunable(4096, low=16, high=1_000_000, reason="with their bookkeeping 2.5 kB each: 10 MB")
    """Events kept; the oldest go."""

    max_history_bytes: int = tunable(
        32 * 2**20, unit="bytes", low=2**20, high=2**34, reason="what an agent can spare; fetched content counts too"
    )
    """Bytes of events and of their fetched contents kept; the oldest go."""

    sender_share: int = tunable(
        4, low=1, high=1000, reason="it takes four who flood at the same time to wash out what others said"
    )
    """One sender's events take at most one part of so many of the number and of the bytes kept."""

    clock_skew_s: float = tunable(
        60.0, unit="s", low=1.0, high=600.0, reason="clocks that keep time by the network differ by less than a second"
    )
    """How far ahead of ours a sender's clock may be: more would stretch the retention."""

    max_streams: int = tunable(
        4096, low=16, high=1_000_000, reason="500 bytes each; senders in the retention. When full, new ones are refused"
    )
    """Senders whose position is remembered."""

    max_held: int = tunable(
        2048, low=16, high=1_000_000, reason="events that wait for earlier ones, of all senders: 2 MB"
    )
    """Events held back."""

    max_held_per_sender: int = tunable(
        256, low=1, high=100_000, reason="a sender that leaves gaps on purpose shall not take everybody's room"
    )
    """Events of one sender held back; when full, the gap is given up."""

    first_wait_s: float = tunable(
        2.0, unit="s", low=0.0, high=60.0, reason="a newcomer learns of a sender's earlier events in a few round trips"
    )
    """Wait for earlier events of a sender that was never heard before."""

    gap_wait_s: float = tunable(
        15.0, unit="s", low=0.1, high=3600.0, reason="several members were asked by then, and one comparison was made"
    )
    """Age at which a gap is given up, and later events are delivered."""

    gap_chase_s: float = tunable(
        0.5, unit="s", low=0.01, high=60.0, reason="events of one sender overtake one another by less"
    )
    """Age at which a missing event is asked for; doubles with each try."""

    subscription_events: int = tunable(
        1024, low=1, high=1_000_000, reason="a program that sleeps loses the oldest, and is told how many"
    )
    """Events that wait for one reader."""

    subscription_bytes: int = tunable(
        16 * 2**20, unit="bytes", low=2**20, high=2**34, reason="sixteen of the largest contents"
    )
    """Bytes that wait for one reader; the newest event is kept in any case."""

    max_subscriptions: int = tunable(256, low=1, high=100_000, reason="each is asked about every event")
    """Readers of one group on this node."""

    # Comparing

    compare_interval_s: float = tunable(
        20.0,
        unit="s",
        low=0.1,
        high=3600.0,
        reason="repairs what was lost on all ways; equal members exchange 600 bytes",
    )
    """Time between two comparisons with some member."""

    compare_soon_s: float = tunable(
        1.0, unit="s", low=0.01, high=3600.0, reason="who lacked something may lack more: a healed partition"
    )
    """Time until the next comparison after one that found something."""

    compare_requests: int = tunable(
        256, low=4, high=100_000, reason="a newcomer gets thousands of events at once, and others are not kept waiting"
    )
    """Requests that one comparison may send."""

    max_repairs: int = tunable(64, low=1, high=10_000, reason="each is one sender's gap; gaps that find no room wait")
    """Comparisons and chases that wait for their turn."""

    # Floods

    publish_per_s: float = tunable(
        50.0, unit="1/s", low=0.01, high=1e6, reason="half of what others take, as their clocks and queues differ"
    )
    """Events published over time."""

    publish_burst: int = tunable(400, low=1, high=1_000_000, reason="half of what others take")
    """Events published at once."""

    events_per_s: float = tunable(
        100.0, unit="1/s", low=0.01, high=1e6, reason="one member may take one percent of a processor core of each"
    )
    """Events taken from one sender over time, whoever passes them on."""

    events_burst: int = tunable(800, low=1, high=1_000_000, reason="a burst of publishing, twice")
    """Events taken from one sender at once."""

    pushes_per_s: float = tunable(
        500.0, unit="1/s", low=0.1, high=1e6, reason="five busy senders; signatures of a flood cost 5 % of a core"
    )
    """Events taken from one neighbour over time."""

    pushes_burst: int = tunable(2000, low=1, high=1_000_000, reason="what waited while a neighbour stalled")
    """Events taken from one neighbour at once."""

    questions_per_s: float = tunable(
        50.0, unit="1/s", low=0.1, high=1e6, reason="a newcomer's comparison; handing out an event costs no signature"
    )
    """All other messages taken from one member over time."""

    questions_burst: int = tunable(600, low=1, high=1_000_000, reason="two whole comparisons")
    """All other messages taken from one member at once."""

    max_limited: int = tunable(1024, low=16, high=1_000_000, reason="150 bytes each; the rest share one allowance")
    """Members whose rates are remembered."""

    # Fetched contents

    max_body_bytes: int = tunable(
        2**20, unit="bytes", low=1, high=2**20, reason="larger things are files: send a reference to them"
    )
    """Longest content of an event."""

    body_fetches: int = tunable(4, low=1, high=256, reason="four at once fill a home's line")
    """Contents fetched at one time."""

    max_bodies_waiting: int = tunable(64, low=1, high=10_000, reason="64 MB if all come; the rest is compared later")
    """Contents that wait to be fetched."""

    body_timeout_s: float = tunable(
        30.0, unit="s", low=0.1, high=600.0, reason="dialling through NATs, and 1 MiB at 1 Mbit/s"
    )
    """Time to fetch or to hand out one content."""

    bodies_served: int = tunable(16, low=1, high=10_000, reason="five neighbours fetch at once, several contents each")
    """Contents handed out at one time; more are refused."""

    bodies_per_s: float = tunable(2.0, unit="1/s", low=0.01, high=1e6, reason="16 Mbit/s of the longest, to one member")
    """Contents handed out to one member over time."""

    bodies_burst: int = tunable(64, low=1, high=1_000_000, reason="what a newcomer fetches of the history")
    """Contents handed out to one member at once."""

    def __post_init__(self) -> None:
        """Check ranges and that times and bounds fit each other.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.link_slow_s >= self.link_silent_s:
            raise ConfigError("link_slow_s must be below link_silent_s")
        if self.gap_wait_s >= self.retention_s:
            raise ConfigError("gap_wait_s must be below retention_s")
        if self.passive_walk > self.join_walk:
            raise ConfigError("passive_walk must not be above join_walk")
        if self.seek_pause_s > self.seek_most_s:
            raise ConfigError("seek_pause_s must not be above seek_most_s")
