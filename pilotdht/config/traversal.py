"""Tunables of the room ``traversal`` that are about this node's own place: NAT, changes of address, port mapping."""

from __future__ import annotations

import ipaddress

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TraversalConfig(Section):
    """How a node finds out where it stands, and how it asks its router for a way in."""

    nat_agreement: int = tunable(
        3, low=2, high=64, reason="two liars on two networks must not decide; as many as a public address takes"
    )
    """Least independent peers that must name one endpoint before the mapping is called endpoint-independent."""

    nat_samples_most: int = tunable(
        16,
        low=4,
        high=256,
        reason="five liars are outvoted, and after a router's restart seven new reports are enough to see it",
    )
    """Independent peers that are heard, those with the newest reports; more would make a change slower to see."""

    nat_report_age_s: float = tunable(
        900.0, unit="s", low=10.0, high=86_400.0, reason="a node that keeps attached asks its servers each 20 s"
    )
    """Reports older than this do not count when the NAT is judged."""

    filtering_wait_s: float = tunable(
        60.0, unit="s", low=1.0, high=3600.0, reason="peers that learn of a new node ask it something within seconds"
    )
    """Time in the mesh without a request from a stranger after which a filter is taken to stand between."""

    change_interval_s: float = tunable(
        2.0, unit="s", low=0.1, high=600.0, reason="a change is seen within seconds; one look costs 20 microseconds"
    )
    """How often the machine's own addresses and clocks are looked at."""

    sleep_jump_s: float = tunable(
        5.0, unit="s", low=0.5, high=3600.0, reason="above what a busy machine delays a timer, below any NAT's memory"
    )
    """A look that comes later than this by either clock means that the machine slept or the process was stopped."""

    knock_interval_s: float = tunable(
        600.0, unit="s", low=1.0, high=86_400.0, reason="a router's rules change seldom; six small packets each time"
    )
    """How often a node that strangers may not reach has others knock."""

    knock_retry_s: float = tunable(
        10.0, unit="s", low=0.1, high=3600.0, reason="servers to ask are found within seconds of the start"
    )
    """How soon it asks again when there was nobody to ask."""

    is_port_mapping: bool = tunable(
        True, reason="a router that maps a port makes a node behind it reachable; most homes have one that can"
    )
    """Whether the router is asked to let peers in, by PCP, NAT-PMP or, where ``miniupnpc`` is installed, UPnP."""

    gateway: str = tunable("", reason="the system's default gateway; to be set where it cannot be found out")
    """IPv4 address of the router to ask, or empty."""

    port_mapping_lifetime_s: int = tunable(
        7200,
        unit="s",
        low=120,
        high=86_400,
        reason="RFC 6886, section 3.3; a mapping left behind by a crash is gone after it",
    )
    """Lifetime that is asked for; renewed at half of what is granted."""

    port_mapping_check_s: float = tunable(
        60.0,
        unit="s",
        low=1.0,
        high=86_400.0,
        reason="two small datagrams a minute; a router that restarted is found out then, not at the next renewal",
    )
    """How often a router that mapped our port is asked whether it has forgotten."""

    port_mapping_pcp_wait_s: float = tunable(
        3.0, unit="s", low=0.01, high=60.0, reason="RFC 6887, section 8.1.1: initial retransmission time"
    )
    """Wait for an answer to a PCP request, and first pause before all is tried again; doubled after each failure."""

    port_mapping_natpmp_wait_s: float = tunable(
        0.25, unit="s", low=0.01, high=60.0, reason="RFC 6886, section 3.1: first retransmission"
    )
    """Wait for an answer to a first NAT-PMP request; doubled with each repetition."""

    port_mapping_natpmp_tries: int = tunable(
        4, low=1, high=9, reason="3.75 s in all; RFC 6886 allows 9, two minutes, but we come back by ourselves"
    )
    """How often a NAT-PMP request is sent before it is given up for this time."""

    port_mapping_pause_most_s: float = tunable(
        1024.0, unit="s", low=1.0, high=86_400.0, reason="RFC 6887, section 8.1.1: maximum retransmission time"
    )
    """Longest pause before a router that gave no answer is asked again."""

    port_mapping_refused_s: float = tunable(
        1800.0, unit="s", low=1.0, high=86_400.0, reason="RFC 6887, section 7.4: lifetime of a long-lived error"
    )
    """Longest pause before a router that refused is asked again, also when it says a longer one."""

    port_mapping_stop_wait_s: float = tunable(
        0.25, unit="s", low=0.0, high=5.0, reason="a router answers within milliseconds; stopping must not take long"
    )
    """Wait for the answer to a deletion, which is sent twice."""

    def __post_init__(self) -> None:
        """Check ranges, and that the gateway is an address.

        Raises:
            ConfigError: a value is out of range, malformed, or does not fit another.
        """
        Section.__post_init__(self)
        if self.nat_agreement > self.nat_samples_most:
            raise ConfigError("nat_agreement must not be above nat_samples_most")
        if self.gateway:
            try:
                ipaddress.IPv4Address(self.gateway)
            except ValueError as error:
                raise ConfigError(
                    f"gateway {self.gateway[:80]!r} is not an IPv4 address", hint="write it as 192.168.1.1"
                ) from error
