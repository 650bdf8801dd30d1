"""What our endpoint looks like from outside, as independent peers tell it. Pure.

A peer's word is a claim: it counts once a peer, and peers count as independent only when their prefixes differ (on
loopback and private ranges: their keys, as a laboratory has one prefix). Bounded and expiring.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
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
        self.on_change: Callable[[], None] = _ignore
        """Called when a report may have changed what :meth:`candidates` returns; expiry tells nobody."""
        self._capacity = config.observed_reports
        self._lifetime_s = config.observed_lifetime_s
        self._agreement = config.observed_agreement
        self._reports: OrderedDict[PublicKey, _Report] = OrderedDict()  # the one that expires first comes first
        self._candidates: tuple[tuple[Endpoint, int], ...] | None = ()

    def reported(self, reporter: Contact, seen: Endpoint, *, now: float) -> None:
        """Take in that ``reporter``, asked by us, saw our datagram come from ``seen``."""
        before = self._reports.get(reporter.public_key)
        report = _Report(seen, group_of(reporter.endpoint.host, reporter.public_key), now + self._lifetime_s)
        self._reports[reporter.public_key] = report
        self._reports.move_to_end(reporter.public_key)
        if len(self._reports) > self._capacity:
            self._reports.popitem(last=False)
        is_known = self._candidates is not None and len(self._candidates) == 1  # with two, the order may have changed
        if not is_known or before is None or before.seen != seen or before.group != report.group:
            self._candidates = None
            self.on_change()

    def candidates(self, *, now: float) -> tuple[tuple[Endpoint, int], ...]:
        """Return each endpoint reported, with how many independent peers name it: most first, then by first report."""
        while self._reports and next(iter(self._reports.values())).expires_at <= now:
            self._reports.popitem(last=False)
            self._candidates = None
        if self._candidates is None:
            groups: dict[Endpoint, dict[str | bytes, None]] = {}
            for report in self._reports.values():
                groups.setdefault(report.seen, {})[report.group] = None
            counted = [(seen, len(members)) for seen, members in groups.items()]
            self._candidates = tuple(sorted(counted, key=lambda item: -item[1]))
        return self._candidates

    def public_endpoint(self, *, now: float, is_ipv6: bool = False) -> Endpoint | None:
        """Return the endpoint of a family that enough independent peers agree on; absent when there is none."""
        for seen, count in self.candidates(now=now):
            if seen.is_ipv6 == is_ipv6:
                return seen if count >= self._agreement else None
        return None

    def __len__(self) -> int:
        """Return how many reports are kept."""
        return len(self._reports)


def _ignore() -> None:
    pass
