"""Tunables of the room ``dht``: the routing table, lookups, the store, and what keeps them fresh."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass

MODES = ("auto", "server", "client")
"""Values that ``mode`` accepts."""

_KIB = 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DhtConfig(Section):
    """Everything about routing, lookups and records that can be set."""

    mode: str = tunable("auto", reason="auto: serve once two independent peers reached this node unasked, or in a lab")
    """One of ``auto``, ``server``, ``client``."""

    bucket_size: int = tunable(20, low=2, high=128, reason="k of the Kademlia paper: 20 rarely die together in an hour")
    """Contacts a bucket."""

    split_bits: int = tunable(
        5, low=1, high=8, reason="b of the Kademlia paper, section 4.2: fewer hops; a mesh of 500 is known in full"
    )
    """Buckets split down to prefix lengths that are a multiple of this."""

    replacements_per_bucket: int = tunable(
        8, low=0, high=128, reason="spare contacts of a full bucket; later ones push the oldest out"
    )
    """Verified contacts kept to fill gaps of a full bucket."""

    max_failures: int = tunable(
        3, low=1, high=100, reason="at 10 % loss a live contact fails thrice in a row once in 1,000"
    )
    """Failed requests in a row after which a contact is evicted."""

    repin_after_s: float = tunable(
        60.0, unit="s", low=0.0, high=86_400, reason="a contact that answered a minute ago need not prove itself again"
    )
    """Age of the last success from which the oldest of a full bucket is pinged for a newcomer."""

    same_prefix_per_bucket: int = tunable(
        2, low=1, high=1_000_000, reason="a /24 is cheap: one owner must not fill a bucket"
    )
    """Contacts of one /24 or /48 a bucket."""

    same_prefix_per_table: int = tunable(10, low=1, high=1_000_000, reason="nor a table")
    """Contacts of one /24 or /48 in the whole table."""

    same_prefix_per_answer: int = tunable(
        2, low=1, high=1_000_000, reason="a lookup must not end on the word of one owner's nodes"
    )
    """Contacts of one /24 or /48 among those whose answers end a lookup."""

    are_private_prefixes_exempt: bool = tunable(
        True, reason="private and loopback addresses answer only inside their own network, which may be a lab"
    )
    """Whether limits a prefix leave out private, link-local and loopback ranges."""

    replicas: int = tunable(
        8, low=1, high=64, reason="half of them may vanish between two refreshes and a record lives on"
    )
    """Closest nodes that a record is written to, and whose answers end a lookup."""

    parallel: int = tunable(
        5,
        low=1,
        high=64,
        reason="more than the 3 of the Kademlia paper, as the others wait for a busy one; slow ones do not count",
    )
    """Requests of a lookup that wait for an answer at once; slow ones do not count."""

    parallel_read: int = tunable(
        16,
        low=1,
        high=64,
        reason="the quickest of many leads on: a third less time than 5 on a simulated WAN, for 40 % more",
    )
    """The same for reads that compare several holders."""

    parallel_first: int = tunable(
        2, low=1, high=64, reason="who takes the first valid record asks few at once: slow ones free their place anyway"
    )
    """The same for reads that take the first valid record."""

    paths: int = tunable(
        2, low=1, high=8, reason="d of S/Kademlia, section 4.4: one captured path does not capture a write"
    )
    """Disjoint paths of writes and of quorum reads."""

    proximity_choice: int = tunable(
        4, low=1, high=64, reason="the nearest of a few that are about as close to the key; more cost hops"
    )
    """Closest contacts of a lookup that are compared by round-trip time before one is asked; 1 compares none."""

    max_candidates: int = tunable(100, low=8, high=10_000, reason="five replies' worth; farther ones are dropped")
    """Contacts that a lookup keeps in mind."""

    silence_doubt_s: float = tunable(
        60.0, unit="s", low=0.0, high=3600, reason="long enough that all neighbours notice a death, short for a restart"
    )
    """Time for which lookups ask a contact that was given up without waiting for it."""

    silences_kept: int = tunable(1024, low=0, high=1_000_000, reason="more deaths than lookups of one minute meet")
    """Given-up contacts remembered."""

    max_requests: int = tunable(64, low=1, high=10_000, reason="four times what lookups among 10,000 nodes need")
    """Requests of one lookup."""

    lookup_timeout_s: float = tunable(10.0, unit="s", low=0.1, high=600, reason="nobody waits longer for a name")
    """Longest duration of a lookup."""

    contacts_used_per_reply: int = tunable(
        20, low=1, high=20, reason="all that a reply holds; a smaller number limits what one liar can plant"
    )
    """Contacts taken from one reply."""

    contacts_per_node_reply: int = tunable(
        20, low=1, high=20, reason="joining nodes fill their tables from them; they fit in 1,200 bytes"
    )
    """Contacts given when asked for nodes."""

    contacts_per_value_reply: int = tunable(
        8, low=1, high=20, reason="the replicas; a reader needs the way, not the map"
    )
    """Contacts given when asked for a record or entries."""

    quorum: int = tunable(
        4, low=1, high=64, reason="the quickest four of eight are all hostile once in 600 reads when a fifth of all are"
    )
    """Holders whose records are compared when the caller does not say."""

    write_acks: int = tunable(
        3, low=1, high=64, reason="a write returns then; the other replicas are written meanwhile"
    )
    """Holders that must have kept a record before a write returns."""

    max_spills: int = tunable(
        8, low=0, high=64, reason="a hot region's neighbours take over; farther nodes would only cache"
    )
    """Further nodes tried in place of replicas that are full or silent."""

    repair_skip_holders: int = tunable(
        8, low=0, high=64, reason="more than the replicas carry it: nothing to repair (BEP 44)"
    )
    """Holders of the newest record above which a reader repairs nobody."""

    background_writes: int = tunable(
        64, low=0, high=4096, reason="repairs and path caching are courtesies; more are dropped"
    )
    """Writes under way that nobody waits for."""

    path_cache_misses: int = tunable(
        4, low=1, high=64, reason="a key that is found at once needs no cache; one asked for past many nodes does"
    )
    """Nodes without the value that a read must have met before it caches the value at the closest of them."""

    max_entries_read: int = tunable(1024, low=1, high=65_536, reason="135 us of signature checks each")
    """Entries that one read returns at most."""

    max_pages: int = tunable(192, low=1, high=4096, reason="256 entries of three holders, and some shards")
    """Further pages of entries that one read asks for."""

    max_shards: int = tunable(16, low=1, high=256, reason="16 times 256 carriers of one tag")
    """Parts into which the entries of a popular tag are spread."""

    store_bytes: int = tunable(
        64 * _MIB, unit="bytes", low=16 * _KIB, high=64 * 1024 * _MIB, reason="120,000 records of usual size"
    )
    """Memory for records of others."""

    cache_bytes: int = tunable(
        4 * _MIB, unit="bytes", low=0, high=1024 * _MIB, reason="evicted first, part of the store's memory"
    )
    """Share of it for copies cached along lookup paths."""

    cache_lifetime_s: float = tunable(
        300.0, unit="s", low=0.0, high=7200, reason="halves with each bit of distance (Kademlia paper, section 2.3)"
    )
    """Longest lifetime of a cached copy."""

    records_per_key: int = tunable(
        4, low=1, high=256, reason="addresses of 48 bits may collide by work; four keys, no flood"
    )
    """Signers whose NODE records are kept under one key."""

    entries_per_key: int = tunable(
        256, low=1, high=65_536, reason="one popular tag must not fill a holder; it is spread over shards"
    )
    """Signers whose entries are kept under one key."""

    entries_per_signer: int = tunable(
        64, low=1, high=65_536, reason="8 tags, a name, and their neighbours in the key space"
    )
    """Entries of one signer."""

    source_share: float = tunable(0.05, low=0.0001, high=1.0, reason="twenty networks are needed to fill a store")
    """Share of the store that writers of one /24 or /48 may use."""

    handover_interval_s: float = tunable(
        0.05, unit="s", low=0.0, high=3600, reason="a mesh that doubles at once spreads its records over minutes"
    )
    """Least time between two newcomers that are given records."""

    handover_records: int = tunable(
        32, low=0, high=4096, reason="what one newcomer is given; publishers refresh the rest"
    )
    """Records given to one newcomer."""

    handover_queue: int = tunable(256, low=0, high=65_536, reason="further newcomers wait for the publishers' refresh")
    """Newcomers waiting to be given records."""

    bucket_refresh_s: float = tunable(3600.0, unit="s", low=1, high=86_400, reason="as the Kademlia paper, section 2.3")
    """Age from which a part of the table that no lookup touched is refreshed."""

    self_lookup_s: float = tunable(
        600.0, unit="s", low=1, high=86_400, reason="new neighbours are found within ten minutes"
    )
    """Interval of lookups of this node's own id."""

    stale_contact_s: float = tunable(
        900.0, unit="s", low=1, high=86_400, reason="half the uptime that half of all peers reach"
    )
    """Least age of the last success from which a contact is pinged."""

    stale_age_share: float = tunable(
        0.5, low=0.0, high=10.0, reason="sessions are heavy-tailed: who was up for two hours is so in an hour by 4 to 1"
    )
    """The same as a share of the time over which a contact has been known."""

    stale_contact_max_s: float = tunable(
        3600.0, unit="s", low=1, high=604_800, reason="a whole table is proved again each hour at least"
    )
    """Greatest age of the last success from which a contact is pinged."""

    maintenance_tick_s: float = tunable(15.0, unit="s", low=0.01, high=3600, reason="resolution of the times above")
    """Interval at which upkeep looks for work."""

    stale_pings_per_tick: int = tunable(
        16, low=0, high=1024, reason="a table of 900 is checked in a quarter of an hour"
    )
    """Stale contacts pinged at a time."""

    refreshes_per_tick: int = tunable(1, low=0, high=64, reason="spreads refreshes")
    """Stale buckets refreshed at a time."""

    newcomers_per_refresh: int = tunable(
        4, low=1, high=20, reason="a table fills over some hours, for a tenth of what looking each region up would cost"
    )
    """Contacts heard of in a refresh that are pinged."""

    lost_contacts_kept: int = tunable(
        128, low=0, high=65_536, reason="any one of them that answers after a cut leads to the others"
    )
    """Given-up contacts that are asked again now and then."""

    lost_contact_keep_s: float = tunable(
        6 * 3600.0, unit="s", low=0.0, high=604_800, reason="cuts that last longer are healed by seeds and restarts"
    )
    """How long they are kept."""

    split_window_s: float = tunable(
        900.0, unit="s", low=1, high=86_400, reason="within it a contact on the other side of a cut is found out"
    )
    """Contacts given up within so long count as lost together."""

    split_share: float = tunable(
        0.15, low=0.0, high=1.0, reason="churn takes a tenth of a table in that time, a cut a third and more"
    )
    """Share of all contacts that must be lost together for a cut to be suspected."""

    split_probe_s: float = tunable(
        5.0, unit="s", low=0.1, high=3600, reason="a healed cut is noticed in seconds; one small datagram each"
    )
    """Interval at which a lost contact is asked while a cut is suspected."""

    lost_probe_s: float = tunable(
        120.0, unit="s", low=0.1, high=86_400, reason="the same when nothing is suspected: nearly always in vain"
    )
    """Interval at which a lost contact is asked otherwise."""

    candidate_queue: int = tunable(
        256, low=0, high=65_536, reason="heard of, not verified; the newest are dropped when full"
    )
    """Contacts heard of that wait to be pinged."""

    candidate_pings_per_s: float = tunable(
        2.0,
        unit="1/s",
        low=0.01,
        high=10_000,
        reason="fills a table in minutes; a flood of strangers costs 0.1 % of a core",
    )
    """Contacts heard of that are pinged, on average; those nearest to this node first."""

    candidate_ping_burst: int = tunable(40, low=1, high=10_000, reason="two buckets of neighbours that start at once")
    """Contacts heard of that are pinged at once."""

    join_refreshes: int = tunable(
        2, low=0, high=160, reason="far buckets hold the most nodes; the nearer come from the own lookup"
    )
    """Random lookups in other parts of the key space when joining."""

    jitter: float = tunable(0.1, low=0.0, high=0.9, reason="nodes that started together must not act together for ever")
    """Share by which intervals vary at random."""

    node_ttl_s: int = tunable(7200, unit="s", low=2, high=7200, reason="outlives a missed refresh")
    """Lifetime of published NODE records."""

    entry_ttl_s: int = tunable(
        3600, unit="s", low=2, high=3600, reason="names and tags are cheaper to hold on to, so they go sooner"
    )
    """Lifetime of published names and tags."""

    refresh_share: float = tunable(
        0.5, low=0.05, high=0.95, reason="one refresh may fail and the next still comes in time"
    )
    """Share of its lifetime after which a record is published anew."""

    publish_retry_s: float = tunable(
        5.0, unit="s", low=0.05, high=3600, reason="first retry of a failed publication; doubles"
    )
    """Delay after a failed publication."""

    saved_contacts: int = tunable(256, low=0, high=65_536, reason="any ten that still live are enough to join again")
    """Contacts in a snapshot."""

    saved_records: int = tunable(2000, low=0, high=1_000_000, reason="checking them again takes a third of a second")
    """Records in a snapshot."""

    def __post_init__(self) -> None:
        """Check ranges and names.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}")
        if self.cache_bytes > self.store_bytes:
            raise ConfigError("cache_bytes is a part of store_bytes")
