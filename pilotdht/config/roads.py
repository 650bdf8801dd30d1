"""Tunables of roads: how a link finds a better way to its peer, and another one when its own is gone."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadConfig(Section):
    """What is tried, how often, and how long is waited."""

    probe_again_s: float = tunable(
        0.15, unit="s", low=0.01, high=5.0, reason="the first packet may come before the other side has opened its NAT"
    )
    """Wait for an endpoint that is tried, until it is tried again."""

    probe_silent_s: float = tunable(
        0.6, unit="s", low=0.02, high=10.0, reason="most of the world answers within it; who is farther is tried anew"
    )
    """Wait for an endpoint that is tried, until it counts as silent."""

    probe_rounds: int = tunable(
        2, low=1, high=10, reason="four small packets: of those pairs that meet at all nearly all do at the first try"
    )
    """How often each endpoint is tried in a row."""

    max_probes: int = tunable(16, low=1, high=256, reason="what a peer names and what is known of it, twice")
    """Endpoints of one peer that are tried at one time."""

    tries_per_host_s: float = tunable(
        0.5, unit="1/s", low=0.01, high=1000.0, reason="200 bytes a second: no victim notices what liars have us send"
    )
    """How often endpoints of one host are tried, on average, that peers without our trust name as theirs."""

    host_try_burst: int = tunable(
        32, low=1, high=10_000, reason="two meetings with all endpoints; 10 kB that a liar gets out of us, once"
    )
    """How often they are tried at once."""

    tries_per_s: float = tunable(
        20.0, unit="1/s", low=0.1, high=10_000, reason="7 kB a second, for all such peers of a busy node together"
    )
    """How often endpoints of any host are tried, on average, that peers without our trust name as theirs."""

    try_burst: int = tunable(256, low=1, high=100_000, reason="a service that starts has 30 callers that want to meet")
    """How often they are tried at once."""

    meet_timeout_s: float = tunable(
        2.0, unit="s", low=0.1, high=30.0, reason="a round trip through any relay, and one repetition"
    )
    """Wait for a peer's answer to where it may be met."""

    meet_pause_s: float = tunable(
        1.0, unit="s", low=0.0, high=60.0, reason="whoever asks us to send to endpoints may do so once a second"
    )
    """Least time between two meetings that one peer asks for."""

    improve_after_s: float = tunable(
        5.0, unit="s", low=0.1, high=600.0, reason="a NAT's state has changed by then, or it will not soon"
    )
    """Pause until a relayed link looks for a direct road again; doubles each time."""

    improve_most_s: float = tunable(
        300.0, unit="s", low=0.1, high=3600.0, reason="a pair that cannot meet costs a kilobyte in five minutes"
    )
    """Longest such pause."""

    rescue_pause_s: float = tunable(
        1.0, unit="s", low=0.05, high=60.0, reason="two rounds of probes; a link is given up after 30 s of silence"
    )
    """Least time between two searches for another road while one link is silent; doubles within one, up to 4 times."""

    rescue_most_s: float = tunable(
        30.0, unit="s", low=0.1, high=3600.0, reason="a silent link is given up by then, and nobody is left to rescue"
    )
    """How long another road is searched for a link that is silent."""

    calls_at_once: int = tunable(2, low=1, high=3, reason="one introducer may be gone; the quicker one counts")
    """Introducers of a peer that are called at the same time."""

    call_stagger_s: float = tunable(
        0.4, unit="s", low=0.01, high=10.0, reason="a live server has answered by then; a dead one costs no more"
    )
    """Wait for an introducer until another one is called beside it."""

    call_timeout_s: float = tunable(3.0, unit="s", low=0.1, high=30.0, reason="two transmissions to anywhere")
    """Wait for introducers."""

    # Random ports

    random_sockets: int = tunable(
        256, low=1, high=1024, reason="as many ports of our NAT as a thousand probes hit in 98 of 100 tries"
    )
    """Sockets that are opened behind a NAT with random ports."""

    random_probes: int = tunable(
        1024, low=1, high=4096, reason="each hits with a chance of 256 in 64,512; 46 kB in all, headers included"
    )
    """Ports of a peer's NAT that are probed in one try."""

    random_probes_per_s: float = tunable(
        200.0, unit="1/s", low=1.0, high=2000.0, reason="9 kB a second: a tenth of a phone call with picture"
    )
    """Rate of small datagrams of either side."""

    random_wait_s: float = tunable(
        8.0, unit="s", low=0.1, high=60.0, reason="the peer needs 5 s for its probes, and begins a little later"
    )
    """How long the sockets stay open when nobody hits them."""

    random_pause_s: float = tunable(
        20.0, unit="s", low=0.0, high=3600.0, reason="routers keep state for each port; theirs must not run full"
    )
    """Least time between two tries of one node."""
