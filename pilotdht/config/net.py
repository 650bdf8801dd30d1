"""Tunables of the room ``net``: the socket, its limits, and how long to wait for an answer."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConfig(Section):
    """What the one UDP socket and the requests on it may use."""

    receive_buffer_bytes: int = tunable(
        4 << 20, unit="bytes", low=0, high=1 << 30, reason="a burst of 4 MiB waits while the loop is busy for 30 ms"
    )
    """Asked from the kernel, which may grant less."""

    send_buffer_bytes: int = tunable(
        4 << 20,
        unit="bytes",
        low=0,
        high=1 << 30,
        reason="as many whole trains as a link sends in one turn of the loop",
    )
    """Asked from the kernel, which may grant less."""

    reads_per_event: int = tunable(
        32, low=1, high=1024, reason="one system call each; more would let a flood keep timers waiting"
    )
    """Reads from the socket before other work of the loop gets its turn."""

    send_backlog: int = tunable(
        1024, low=1, high=65_536, reason="one full send buffer's worth; what is older than that is better sent anew"
    )
    """Datagrams kept while the kernel's send buffer is full; later ones are lost and counted."""

    addresses_cached: int = tunable(
        4096,
        low=16,
        high=1 << 20,
        reason="about 1 MB; a miss costs one microsecond, so a flood of addresses gains nothing",
    )
    """Socket addresses whose endpoint is remembered, each way."""

    datagrams_per_s: float = tunable(
        1000.0,
        unit="1/s",
        low=1,
        high=1e9,
        reason="opening 1,000 sealed datagrams costs 6 % of a core when keys are known",
    )
    """Datagrams other than QUIC accepted from one source prefix (/24, /48), on average."""

    datagram_burst: int = tunable(
        2000, low=1, high=1 << 30, reason="two seconds' worth: a lookup's answers come in bursts, from many prefixes"
    )
    """Datagrams other than QUIC accepted from one source prefix at once."""

    prefixes_tracked: int = tunable(
        8192, low=1, high=1 << 24, reason="about 2 MB; prefixes beyond it share one bucket, so none can be washed out"
    )
    """Source prefixes with a bucket of their own."""

    is_loopback_limited: bool = tunable(
        False, reason="whole networks run on 127.0.0.1; who can send there owns the host"
    )
    """Whether loopback addresses are subject to the limit a prefix."""

    is_private_limited: bool = tunable(
        True, reason="behind one NAT many strangers may share a private range; a lab may switch it off"
    )
    """Whether private and link-local addresses are subject to the limit a prefix."""

    first_timeout_s: float = tunable(
        0.8, unit="s", low=0.001, high=60, reason="longer than 99 % of round trips on the Internet, satellites excepted"
    )
    """How long the first request of a node that has measured nothing yet waits before it is sent again."""

    min_timeout_s: float = tunable(
        0.15, unit="s", low=0.001, high=60, reason="a busy peer's scheduler and collector pauses stay below it"
    )
    """Least wait after the retransmission before a peer is given up."""

    max_timeout_s: float = tunable(
        2.0, unit="s", low=0.001, high=600, reason="longer waits would hold whole lookups up"
    )
    """Longest wait for either transmission."""

    slow_floor_s: float = tunable(
        0.025, unit="s", low=0.0001, high=60, reason="above the pauses of a busy loop, far below what a person notices"
    )
    """Least wait before a request counts as slow, frees its slot and is sent again."""

    timer_lag_s: float = tunable(
        0.005,
        unit="s",
        low=0.0,
        high=60,
        reason="below it a late timer is noise; above, answers may lie unread in the socket",
    )
    """A time-out that fires later than this is looked at a second time before a peer is blamed."""

    pending_requests: int = tunable(
        4096, low=1, high=1 << 20, reason="about 2 MB; 60 lookups at their bound of 64 requests"
    )
    """Requests without an answer yet; more raise ``Overloaded``."""

    late_requests: int = tunable(
        256, low=0, high=65_536, reason="their answers still tell how slow the network has become"
    )
    """Requests given up whose late answers are still recognised, to be measured and dropped."""

    peers_known: int = tunable(
        4096,
        low=1,
        high=1 << 24,
        reason="about 2 MB: several routing tables' worth of round-trip times and address tokens",
    )
    """Peers whose round-trip time and address token are remembered."""

    sealing_keys: int = tunable(4096, low=1, high=1 << 24, reason="derived keys cost 60 us to make and 1 kB to keep")
    """Peers whose sealing keys are kept."""

    strangers_per_s: float = tunable(
        2000.0,
        unit="1/s",
        low=1,
        high=1e9,
        reason="a key agreement costs 60 us: 12 % of a core at most goes to strangers",
    )
    """Sealed datagrams from keys not kept that are opened, on average, whatever addresses they come from."""

    stranger_burst: int = tunable(
        4000, low=1, high=1 << 30, reason="a network that starts at once meets itself at once"
    )
    """Sealed datagrams from keys not kept that are opened at once."""

    token_lifetime_s: float = tunable(
        600.0,
        unit="s",
        low=1,
        high=86_400,
        reason="NAT mappings of 10 minutes are common; a stolen token is soon useless",
    )
    """How long one secret for address and store tokens is in use; it is accepted for as long again."""

    hello_tries: int = tunable(
        3, low=1, high=20, reason="at 10 % loss one in 125 fails; a lost datagram must not isolate a node"
    )
    """How often a greeting is sent before a host is given up."""

    hello_timeout_s: float = tunable(0.8, unit="s", low=0.001, high=60, reason="as the first time-out of a request")
    """Wait after each greeting."""

    hellos_pending: int = tunable(64, low=1, high=65_536, reason="bootstrap lists are short")
    """Greetings without an answer yet; more raise ``Overloaded``."""

    hello_signatures_per_s: float = tunable(
        500.0, unit="1/s", low=0.1, high=1e6, reason="a signature costs 40 us: 2 % of a core at most goes to strangers"
    )
    """Greetings answered, on average, whoever sends them."""

    hello_signature_burst: int = tunable(
        500, low=1, high=1 << 20, reason="a network that starts at once greets its bootstrap at once"
    )
    """Greetings answered at once."""

    observed_reports: int = tunable(256, low=1, high=65_536, reason="one a peer; more add no certainty")
    """Peers whose word about our own address is remembered."""

    observed_lifetime_s: float = tunable(
        1800.0, unit="s", low=1, high=86_400, reason="addresses of homes change daily at most"
    )
    """How long such a word counts."""

    observed_agreement: int = tunable(3, low=1, high=1024, reason="two liars on two networks must not move a node")
    """Independent peers that must name the same address before it is believed."""

    nat_memory_s: float = tunable(
        600.0,
        unit="s",
        low=1,
        high=86_400,
        reason="NATs forget a flow after 2 to 5 minutes (RFC 4787, REQ-5), twice that",
    )
    """Who was sent nothing for so long comes in unasked."""

    reachable_lifetime_s: float = tunable(
        7200.0, unit="s", low=1, high=604_800, reason="peers prove their contacts each hour: two may miss it"
    )
    """How long it counts that somebody reached us unasked."""

    reachable_peers: int = tunable(2, low=1, high=1024, reason="one could be a neighbour behind the same NAT")
    """Independent peers that must have reached us unasked before we call ourselves reachable."""
