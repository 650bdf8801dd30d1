"""What our endpoint looks like from outside, and whether we are reachable."""

from __future__ import annotations

from pilotdht.config.net import NetConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.observed import ObservedEndpoints
from pilotdht.net.reachability import Reachability
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

OURS = Endpoint("203.0.113.9", 4433)
WRONG = Endpoint("198.51.100.1", 1)


def peer(number: int, host: str) -> Contact:
    """Return peer ``number`` at ``host``."""
    return Contact(PublicKey(number.to_bytes(32, "big")), Endpoint(host, 4000 + number))


def test_observed_three_prefixes_agree_gives_the_endpoint() -> None:
    """Three peers on three networks are believed, two are not."""
    observed = ObservedEndpoints(NetConfig())
    found = []
    for number in range(3):
        observed.reported(peer(number, f"9.9.{number}.1"), OURS, now=0.0)
        found.append(observed.public_endpoint(now=0.0))
    assert [None, None, OURS] == found


def test_observed_many_peers_of_one_prefix_count_once() -> None:
    """A liar with a whole /24 has one voice."""
    observed = ObservedEndpoints(NetConfig())
    for number in range(50):
        observed.reported(peer(number, f"9.9.9.{number}"), WRONG, now=0.0)
    assert observed.public_endpoint(now=0.0) is None
    assert ((WRONG, 1),) == observed.candidates(now=0.0)


def test_observed_one_peer_repeating_itself_counts_once() -> None:
    """A key has one voice, also on loopback."""
    observed = ObservedEndpoints(NetConfig())
    for _ in range(10):
        observed.reported(peer(1, "127.0.0.1"), OURS, now=0.0)
    assert observed.public_endpoint(now=0.0) is None


def test_observed_laboratory_counts_keys() -> None:
    """On loopback all share one prefix, so three keys are enough."""
    observed = ObservedEndpoints(NetConfig())
    for number in range(3):
        observed.reported(peer(number, "127.0.0.1"), OURS, now=0.0)
    assert OURS == observed.public_endpoint(now=0.0)


def test_observed_majority_wins() -> None:
    """The endpoint that more independent peers name is believed."""
    observed = ObservedEndpoints(NetConfig())
    for number in range(3):
        observed.reported(peer(number, f"9.9.{number}.1"), WRONG, now=0.0)
    for number in range(10, 14):
        observed.reported(peer(number, f"9.9.{number}.1"), OURS, now=0.0)
    assert OURS == observed.public_endpoint(now=0.0)


def test_observed_old_reports_do_not_count() -> None:
    """What was said half an hour ago has expired."""
    observed = ObservedEndpoints(NetConfig(observed_lifetime_s=100.0))
    for number in range(3):
        observed.reported(peer(number, f"9.9.{number}.1"), OURS, now=0.0)
    assert observed.public_endpoint(now=100.0) is None


def test_observed_families_are_kept_apart() -> None:
    """An IPv4 endpoint is no answer to the question for an IPv6 one."""
    observed = ObservedEndpoints(NetConfig())
    for number in range(3):
        observed.reported(peer(number, f"9.9.{number}.1"), OURS, now=0.0)
    assert observed.public_endpoint(now=0.0, is_ipv6=True) is None


def test_observed_reports_are_bounded() -> None:
    """The oldest report goes."""
    observed = ObservedEndpoints(NetConfig(observed_reports=4))
    for number in range(100):
        observed.reported(peer(number, f"9.9.{number}.1"), OURS, now=0.0)
    assert 4 == len(observed)


def test_observed_tells_of_changes_and_of_nothing_else() -> None:
    """A new peer and a new word are signs of a change; a peer that repeats itself is none."""
    observed = ObservedEndpoints(NetConfig())
    told: list[None] = []
    observed.on_change = lambda: told.append(None)
    for seen, signs in ((OURS, 1), (OURS, 1), (WRONG, 2), (WRONG, 2)):
        observed.reported(peer(1, "9.9.1.1"), seen, now=0.0)
        assert (signs, ((seen, 1),)) == (len(told), observed.candidates(now=0.0))
    observed.reported(peer(2, "9.9.2.1"), WRONG, now=0.0)
    assert (3, ((WRONG, 2),)) == (len(told), observed.candidates(now=0.0))


def test_observed_reports_expire_one_by_one() -> None:
    """A report that was renewed outlives those that were not, also when somebody looked in between."""
    observed = ObservedEndpoints(NetConfig(observed_lifetime_s=100.0))
    for number in range(3):
        observed.reported(peer(number, f"9.9.{number}.1"), OURS, now=0.0)
    assert ((OURS, 3),) == observed.candidates(now=50.0)
    observed.reported(peer(0, "9.9.0.1"), OURS, now=60.0)
    assert (((OURS, 3),), ((OURS, 1),), ()) == tuple(observed.candidates(now=now) for now in (99.0, 100.0, 160.0))


def test_reachability_two_strangers_on_two_networks_make_us_reachable() -> None:
    """One is not enough, two are."""
    reachability = Reachability(NetConfig())
    reachability.heard_from(peer(1, "9.9.1.1"), now=0.0)
    first = reachability.is_reachable(now=0.0)
    reachability.heard_from(peer(2, "9.9.2.1"), now=0.0)
    assert (False, True) == (first, reachability.is_reachable(now=0.0))


def test_reachability_two_strangers_on_one_network_are_one() -> None:
    """Both could be neighbours behind our own NAT."""
    reachability = Reachability(NetConfig())
    reachability.heard_from(peer(1, "9.9.1.1"), now=0.0)
    reachability.heard_from(peer(2, "9.9.1.2"), now=0.0)
    assert not reachability.is_reachable(now=0.0)


def test_reachability_host_we_sent_to_shows_nothing_at_any_port() -> None:
    """A NAT may let in whatever comes from a host we sent to."""
    reachability = Reachability(NetConfig())
    for number in (1, 2):
        reachability.sent_to(Endpoint(f"9.9.{number}.1", 1), now=0.0)
        reachability.heard_from(peer(number, f"9.9.{number}.1"), now=0.0)
    assert not reachability.is_reachable(now=0.0)


def test_reachability_laboratory_counts_endpoints_and_keys() -> None:
    """On loopback one host holds all peers, so a datagram to one of them says nothing of the others."""
    reachability = Reachability(NetConfig())
    reachability.sent_to(peer(1, "127.0.0.1").endpoint, now=0.0)
    for number in (1, 2):
        reachability.heard_from(peer(number, "127.0.0.1"), now=0.0)
    alone = reachability.is_reachable(now=0.0)
    reachability.heard_from(peer(3, "127.0.0.1"), now=0.0)
    assert (False, True) == (alone, reachability.is_reachable(now=0.0))


def test_reachability_host_we_sent_to_long_ago_comes_unasked() -> None:
    """A NAT has forgotten the flow by then; in a small mesh everybody was sent something once."""
    config = NetConfig(nat_memory_s=600.0)
    reachability = Reachability(config)
    for number in (1, 2):
        reachability.sent_to(Endpoint(f"9.9.{number}.1", 1), now=0.0)
        reachability.heard_from(peer(number, f"9.9.{number}.1"), now=599.0)
    before = reachability.is_reachable(now=599.0)
    for number in (1, 2):
        reachability.heard_from(peer(number, f"9.9.{number}.1"), now=601.0)
    assert (False, True) == (before, reachability.is_reachable(now=601.0))


def test_reachability_expires() -> None:
    """Having been reachable once is not being reachable."""
    reachability = Reachability(NetConfig(reachable_lifetime_s=100.0))
    for number in (1, 2):
        reachability.heard_from(peer(number, f"9.9.{number}.1"), now=0.0)
    assert not reachability.is_reachable(now=100.0)


def test_reachability_families_are_told_apart() -> None:
    """A firewall may stand before one of them; one stranger in each is enough to be reachable at all."""
    reachability = Reachability(NetConfig())
    for number, host in ((1, "9.9.1.1"), (2, "2001:db8:2::1")):
        reachability.heard_from(peer(number, host), now=0.0)
    found = [reachability.is_reachable(now=0.0, is_ipv6=is_ipv6) for is_ipv6 in (None, False, True)]
    assert [True, False, False] == found
    reachability.heard_from(peer(3, "2001:db8:3::1"), now=0.0)
    found = [reachability.is_reachable(now=0.0, is_ipv6=is_ipv6) for is_ipv6 in (None, False, True)]
    assert [True, False, True] == found
