"""What our endpoint looks like from outside, as independent peers tell it. Pure.

A peer's word is a claim: it counts once a peer, and peers count as independent only when their prefixes differ (on
loopback and private ranges: their keys, as a laboratory has one prefix). Bounded and expiring.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from pilotdht.config.net import NetConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.prefixes import group_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class _Report(NamedTuple):
    seen: Endpoint
    group: str | bytes
    expires_at: float


class ObservedEndpoints:
    """Reports of peers about our own endpoint."""

    def __init__(self, config: NetConfig) -> None:
        self._capacity = config.observed_reports
        self._lifetime_s = config.observed_lifetime_s
        self._agreement = config.observed_agreement
        self._reports: OrderedDict[PublicKey, _Report] = OrderedDict()

    def reported(self, reporter: Contact, seen: Endpoint, *, now: float) -> None:
        """Take in that ``reporter``, asked by us, saw our datagram come from ``seen``."""
        group = group_of(reporter.endpoint.host, reporter.public_key)
        self._reports[reporter.public_key] = _Report(seen, group, now + self._lifetime_s)
        self._reports.move_to_end(reporter.public_key)
        if len(self._reports) > self._capacity:
            self._reports.popitem(last=False)

    def candidates(self, *, now: float) -> tuple[tuple[Endpoint, int], ...]:
        """Return each endpoint reported, with how many independent peers name it: most first, then by first report."""
        groups: dict[Endpoint, dict[str | bytes, None]] = {}
        for report in self._reports.values():
            if report.expires_at > now:
                groups.setdefault(report.seen, {})[report.group] = None
        counted = [(seen, len(members)) for seen, members in groups.items()]
        return tuple(sorted(counted, key=lambda item: -item[1]))

    def public_endpoint(self, *, now: float, is_ipv6: bool = False) -> Endpoint | None:
        """Return the endpoint of a family that enough independent peers agree on; absent when there is none."""
        for seen, count in self.candidates(now=now):
            if seen.is_ipv6 == is_ipv6:
                return seen if count >= self._agreement else None
        return None

    def __len__(self) -> int:
        """Return how many reports are kept."""
        return len(self._reports)
