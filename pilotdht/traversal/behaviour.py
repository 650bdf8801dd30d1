"""What the NAT in front of this node does, judged from what peers report. Pure.

Words and classes are those of RFC 4787, sections 4.1 and 5. Judged for one address family at a time, from the newest
word of each of the most recently heard independent peers (prefixes), :attr:`TraversalConfig.nat_samples_most` of them.
With ``n`` of them, of which ``k = (n - 1) // 3`` may lie in one voice:

* **Endpoint-independent**: going back from the newest word, the first run of words in which more than two thirds, and
  at least ``k + 2``, name one endpoint. ``k`` liars that repeat what one honest peer sees behind a random NAT are
  ``k + 1``. That the shortest run counts is what makes a change of address harmless: once ``k + 2`` peers name the new
  endpoint, those that were not asked since are not looked at.
* **Dependent**: more than two thirds of all words differ, and at least ``k + 3``. Behind a predictable NAT ``k`` liars
  and one change of address make ``k + 2`` different words at most.
* **Unknown**: neither, as in the middle of a change, or too few words.

So liars can at worst make the verdict unknown, and that only where four words are all there is. What this does not
tell apart: a NAT that changed its address several times within as many words is dependent on something as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import IntEnum

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.observed import Sighting
from pilotdht.net.prefixes import is_local, prefix_of
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping


class Filtering(IntEnum):
    """Whose datagrams come in (RFC 4787, section 5)."""

    UNKNOWN = 0
    """No stranger was heard yet, nor waited for long enough."""
    ENDPOINT_INDEPENDENT = 1
    """Anybody's: strangers reached us."""
    DEPENDENT = 2
    """Only theirs to whom something was sent: by host, or by host and port, which cannot be told from inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a node knows of itself besides the words of its peers."""

    local: tuple[Endpoint, ...] = ()
    """Endpoints of its socket: each own address with the bound port; unspecified ones are of no use."""
    is_reachable: bool = False
    """Independent peers reached it unasked: :class:`pilotdht.net.reachability.Reachability`."""
    in_mesh_since: float | None = None
    """Since when peers have known this address, in the time of the loop; absent: not yet."""
    moved_at: float | None = None
    """When its own address changed last, so that all words before are of no use; absent: never."""
    mapped: Endpoint | None = None
    """What the router says it mapped, see :mod:`pilotdht.traversal.portmap`; a claim until peers confirm its host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatBehaviour:
    """What is in front of a node, in one address family."""

    mapping: NatMapping = NatMapping.UNKNOWN
    """Which outside endpoint it gives us; address-and-port-dependent also when it cannot be told from the narrower
    class, as nothing works with the one that does not work with the other."""
    filtering: Filtering = Filtering.UNKNOWN
    """Whom it lets in."""
    are_ports_kept: bool | None = None
    """Most peers see the port that the socket has; absent when nothing is known of either."""
    public: Endpoint | None = None
    """Where anybody sees us; absent when unknown, or when it depends on who looks."""
    public_host: str | None = None
    """The address alone that most peers see, also behind a random NAT; absent when there is no majority."""
    mapped: Endpoint | None = None
    """The endpoint that the router mapped, when most peers see us at its address; absent: none, or not confirmed."""
    samples: int = 0
    """Peers whose words were heard."""
    prefixes: int = 0
    """Independent groups of them that were heard."""
    confidence: float = 0.0
    """0..1: the share of the words that agree with the verdict, times ``n / (n + 1)`` for their number."""

    @property
    def is_predictable(self) -> bool:
        """Whether a peer that was never sent anything can be told where our datagrams will come from."""
        return self.mapping in (NatMapping.NONE, NatMapping.ENDPOINT_INDEPENDENT)

    @property
    def is_open(self) -> bool:
        """Whether anybody can send to us without our help."""
        return self.filtering is Filtering.ENDPOINT_INDEPENDENT


def judge(
    sightings: Iterable[Sighting], standing: Standing, config: TraversalConfig, *, now: float, is_ipv6: bool = False
) -> NatBehaviour:
    """Return what is in front of this node.

    Args:
        sightings: the newest word of each peer, the one said last first, of both families.
        standing: what the node knows of itself.
        config: bounds.
        now: time of the loop, as in the sightings.
        is_ipv6: which family to judge.
    """
    local = tuple(endpoint for endpoint in standing.local if endpoint.is_ipv6 == is_ipv6)
    words, heard = _heard(sightings, standing, config, now=now, is_ipv6=is_ipv6)
    mapping, public, agreeing = _mapping(heard, words, local, config)
    count = len(heard)
    host = _majority([word.seen.host for word in heard], config)
    mapped = standing.mapped
    if mapped is not None and (mapped.is_ipv6 != is_ipv6 or mapped.host != host):
        mapped = None
    return NatBehaviour(
        mapping=mapping,
        filtering=_filtering(standing, mapping, config, now),
        are_ports_kept=_are_ports_kept(heard, local, config),
        public=public,
        public_host=host,
        mapped=mapped,
        samples=len(words),
        prefixes=count,
        confidence=agreeing * count / (count + 1),
    )


def _heard(
    sightings: Iterable[Sighting], standing: Standing, config: TraversalConfig, *, now: float, is_ipv6: bool
) -> tuple[list[Sighting], list[Sighting]]:
    """Return the words that count, newest first, and of each group the newest; no further back than is needed.

    Whoever shares our network sees us inside of it, so words of private reporters count only when there are no others;
    and no public peer can see us at a private address that is not our own.
    """
    oldest = now - config.nat_report_age_s
    if standing.moved_at is not None:
        oldest = max(oldest, standing.moved_at)
    outside: list[Sighting] = []
    inside: list[Sighting] = []
    groups: dict[str | bytes, Sighting] = {}
    for word in sightings:
        if word.said_at < oldest:
            break
        if word.seen.is_ipv6 != is_ipv6:
            continue
        if is_local(word.reporter.host):
            inside.append(word)
        elif not is_local(word.seen.host) or word.seen in standing.local:
            outside.append(word)
            groups.setdefault(word.group, word)
            if len(groups) >= config.nat_samples_most:
                break
    if not outside:
        for word in inside:
            groups.setdefault(word.group, word)
        return inside, list(groups.values())[: config.nat_samples_most]
    return outside, list(groups.values())


def _mapping(
    heard: Sequence[Sighting], words: Sequence[Sighting], local: Sequence[Endpoint], config: TraversalConfig
) -> tuple[NatMapping, Endpoint | None, float]:
    """Return the mapping, the one endpoint if there is one, and the share of the words that agree."""
    count = len(heard)
    liars = max(0, count - 1) // 3
    needed = max(config.nat_agreement, liars + 2)
    named: dict[Endpoint, int] = {}
    for run, word in enumerate(heard, 1):
        endpoint = word.seen
        named[endpoint] = votes = named.get(endpoint, 0) + 1
        if votes >= needed and 3 * votes > 2 * run:  # no other endpoint can have come this far with this word
            is_own = endpoint in local
            return NatMapping.NONE if is_own else NatMapping.ENDPOINT_INDEPENDENT, endpoint, votes / run
    different = len(named)
    if count > config.nat_agreement and different >= liars + 3 and 3 * different > 2 * count:
        return _kind_of_dependence(words), None, different / count
    return NatMapping.UNKNOWN, None, 0.0


def _kind_of_dependence(words: Sequence[Sighting]) -> NatMapping:
    """Tell by hosts at which two peers with different ports were asked: does the port matter?

    Each prefix has one vote. Two words of one host may differ because the mapping was made anew in between; then the
    wider class is said.
    """
    by_host: dict[str, list[Sighting]] = {}
    for word in words:
        by_host.setdefault(word.reporter.host, []).append(word)
    votes: dict[str | bytes, bool] = {}
    for host, told in by_host.items():
        if len({word.reporter.port for word in told}) > 1:
            prefix = prefix_of(host)
            votes[prefix] = votes.get(prefix, True) and len({word.seen for word in told}) == 1
    return (
        NatMapping.ADDRESS_DEPENDENT if 2 * sum(votes.values()) > len(votes) else NatMapping.ADDRESS_AND_PORT_DEPENDENT
    )


def _filtering(standing: Standing, mapping: NatMapping, config: TraversalConfig, now: float) -> Filtering:
    if standing.is_reachable:
        return Filtering.ENDPOINT_INDEPENDENT
    since = standing.in_mesh_since
    if mapping is not NatMapping.UNKNOWN and since is not None:
        since = since if standing.moved_at is None else max(since, standing.moved_at)
        if now - since >= config.filtering_wait_s:
            return Filtering.DEPENDENT
    return Filtering.UNKNOWN


def _are_ports_kept(heard: Sequence[Sighting], local: Sequence[Endpoint], config: TraversalConfig) -> bool | None:
    ports = sorted({endpoint.port for endpoint in local})
    if not ports or len(heard) < config.nat_agreement:
        return None
    return 2 * sum(word.seen.port in ports for word in heard) > len(heard)


def _majority(hosts: Sequence[str], config: TraversalConfig) -> str | None:
    """Return the address that more than half name; absent when there is none or too few speak."""
    if not hosts:
        return None
    host, votes = Counter(hosts).most_common(1)[0]
    return host if votes >= config.nat_agreement and 2 * votes > len(hosts) else None
