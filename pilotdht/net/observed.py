"""What our endpoint looks like from outside, as independent peers tell it. Pure.

A peer's word is a claim: it counts once a peer, and peers count as independent only when their prefixes differ (on
loopback and private ranges: their keys, as a laboratory has one prefix). Bounded and expiring.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pilotdht.config.net import NetConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.prefixes import group_of, is_local
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class Sighting(NamedTuple):
    """One peer's newest word about our endpoint."""

    seen: Endpoint
    """Where our datagram came from, as it says."""
    reporter: Endpoint
    """Where the peer that says it was asked."""
    group: str | bytes
    """What makes the peer independent of others: :func:`pilotdht.net.prefixes.group_of`."""
    said_at: float
    """When it said so last, in the time of the loop."""


class _Report:
    __slots__ = ("expires_at", "group", "reporter", "seen")

    def __init__(self, seen: Endpoint, reporter: Endpoint, group: str | bytes, expires_at: float) -> None:
        self.seen = seen
        self.reporter = reporter
        self.group = group
        self.expires_at = expires_at


class ObservedEndpoints:
    """Reports of peers about our own endpoint."""

    def __init__(self, config: NetConfig) -> None:
        self.on_change: Callable[[], None] = _ignore
        """Called when a report may have changed what :meth:`candidates` returns; expiry tells nobody."""
        self._capacity = config.observed_reports
        self._lifetime_s = config.observed_lifetime_s
        self._agreement = config.observed_agreement
        self._reports: OrderedDict[PublicKey, _Report] = OrderedDict()  # the one that expires first comes first
        self._candidates: tuple[tuple[Endpoint, int], ...] | None = ()

    def reported(self, reporter: Contact, seen: Endpoint, *, now: float) -> None:
        """Take in that ``reporter``, asked by us, saw our datagram come from ``seen``."""
        reports, key = self._reports, reporter.public_key
        endpoint = reporter.endpoint
        group, expires_at = group_of(endpoint.host, key), now + self._lifetime_s
        report = reports.get(key)
        if report is None:
            reports[key] = _Report(seen, endpoint, group, expires_at)
            if len(reports) > self._capacity:
                reports.popitem(last=False)
        else:
            reports.move_to_end(key)
            report.expires_at = expires_at
            report.reporter = endpoint
            is_same = report.seen == seen and report.group == group
            if is_same and self._candidates is not None and len(self._candidates) == 1:
                return  # with two candidates the order may have changed
            report.seen, report.group = seen, group
        self._candidates = None
        self.on_change()

    def candidates(self, *, now: float) -> tuple[tuple[Endpoint, int], ...]:
        """Return each endpoint reported, with how many independent peers name it: most first, then by first report.

        What is named by peers on private addresses alone comes last: they share our network, however many they are,
        and see us inside of it.
        """
        self._expire(now)
        if self._candidates is None:
            groups: dict[Endpoint, dict[str | bytes, None]] = {}
            outside: dict[Endpoint, None] = {}
            for report in self._reports.values():
                groups.setdefault(report.seen, {})[report.group] = None
                if not is_local(report.reporter.host):
                    outside[report.seen] = None
            counted = [(seen, len(members)) for seen, members in groups.items()]
            self._candidates = tuple(sorted(counted, key=lambda item: (item[0] not in outside, -item[1])))
        return self._candidates

    def public_endpoint(self, *, now: float, is_ipv6: bool = False) -> Endpoint | None:
        """Return the endpoint of a family that enough independent peers agree on; absent when there is none."""
        for seen, count in self.candidates(now=now):
            if seen.is_ipv6 == is_ipv6:
                return seen if count >= self._agreement else None
        return None

    def forget(self) -> None:
        """Forget all words: they are about an address that this node has left."""
        self._reports.clear()
        self._candidates = None
        self.on_change()

    def sightings(self, *, now: float) -> Iterator[Sighting]:
        """Yield the newest word of each peer, the one said last first; to be used up before anything is reported."""
        self._expire(now)
        for report in reversed(self._reports.values()):
            yield Sighting(report.seen, report.reporter, report.group, report.expires_at - self._lifetime_s)

    def __len__(self) -> int:
        """Return how many reports are kept."""
        return len(self._reports)

    def _expire(self, now: float) -> None:
        while self._reports and next(iter(self._reports.values())).expires_at <= now:
            self._reports.popitem(last=False)
            self._candidates = None


def _ignore() -> None:
    pass
