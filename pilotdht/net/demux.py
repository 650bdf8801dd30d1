"""Tells the datagrams of the one socket apart by their first byte and hands each to whom it concerns.

All QUIC datagrams of a batch go to their handler at once, so that each link sends once a batch; so do relayed ones,
which are sent on or unpacked, unopened. Everything else passes the limit of its source prefix first, before anybody
spends cryptography on it, and a handler's error ends with the datagram that caused it.

Source: RFC 9443.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage
from pilotdht.net.datagrams import MAX_DATAGRAM_BYTES, QUIC_BIT, RELAYED, HandleDatagram
from pilotdht.net.doors import Batch, Receive
from pilotdht.net.limits import PrefixLimiter
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.prefixes import is_loopback, is_private, prefix_of
from pilotdht.wire.endpoint import DISCARD_PREFIX, Endpoint

_HOSTS_KEPT = 16_384

_logger = logging.getLogger(__name__)


class Demultiplexer:
    """Splits batches by kind of datagram."""

    def __init__(self, config: NetConfig, metrics: NetMetrics, *, now: Callable[[], float]) -> None:
        """Make one without handlers: all is dropped and counted.

        Args:
            config: limits.
            metrics: where everything is counted.
            now: the loop's clock.
        """
        self._metrics = metrics
        self._now = now
        self._is_loopback_limited = config.is_loopback_limited
        self._is_private_limited = config.is_private_limited
        self._limiter = PrefixLimiter(
            rate_per_s=config.datagrams_per_s, burst=config.datagram_burst, capacity=config.prefixes_tracked
        )
        self._quic: Receive | None = None
        self._relayed: Receive | None = None
        self._handlers: dict[int, HandleDatagram] = {}

    def set_quic_handler(self, handler: Receive | None) -> None:
        """Hand QUIC datagrams to ``handler``, a batch at a time; ``None`` drops them."""
        self._quic = handler

    def set_relayed_handler(self, handler: Receive | None) -> None:
        """Hand relayed datagrams to ``handler``, a batch at a time, unlimited; ``None`` drops them."""
        self._relayed = handler

    def set_handler(self, first_byte: int, handler: HandleDatagram) -> None:
        """Hand datagrams with this first byte to ``handler``, which may raise ``BadMessage`` to have one counted."""
        self._handlers[first_byte] = handler

    def receive(self, batch: Batch) -> None:
        """Take in what one readiness event delivered; never raises."""
        metrics = self._metrics
        metrics.datagrams_in += len(batch)
        quic: list[tuple[bytes, Endpoint]] = []
        relayed: list[tuple[bytes, Endpoint]] = []
        for item in batch:
            datagram, endpoint = item
            metrics.bytes_in += len(datagram)
            if datagram and datagram[0] & QUIC_BIT:
                quic.append(item)
            elif datagram and datagram[0] == RELAYED:
                relayed.append(item)
            else:
                self._receive_own(datagram, endpoint)
        if quic:
            self._hand_over(quic, self._quic, "quic_unserved")
        if relayed:
            self._hand_over(relayed, self._relayed, "relayed_unserved")

    def _receive_own(self, datagram: bytes, endpoint: Endpoint) -> None:
        try:
            if not datagram:
                raise BadMessage("empty")
            if len(datagram) > MAX_DATAGRAM_BYTES:
                raise BadMessage("oversized")
            handler = self._handlers.get(datagram[0])
            if handler is None:
                raise BadMessage("unknown_kind")
            source = _limited_source(endpoint.host, self._is_loopback_limited, self._is_private_limited)
            if source is not None and not self._limiter.take(source, self._now()):
                raise BadMessage("rate")
            handler(datagram, endpoint)
        except BadMessage as error:
            self._metrics.drop(error.reason)
        except Exception:
            self._metrics.handler_failures += 1
            _logger.exception("datagram handler failed", extra={"endpoint": str(endpoint)})

    def _hand_over(self, batch: Batch, handler: Receive | None, unserved: str) -> None:
        if handler is None:
            for _ in batch:
                self._metrics.drop(unserved)
            return
        try:
            handler(batch)
        except Exception:
            self._metrics.handler_failures += 1
            _logger.exception("handler of a batch failed", extra={"reason": unserved})


@lru_cache(_HOSTS_KEPT)
def _limited_source(host: str, is_loopback_limited: bool, is_private_limited: bool) -> str | bytes | None:
    """Return the prefix under which what comes from a host is limited; absent when it is not."""
    if host.startswith(DISCARD_PREFIX):
        return host  # each channel through a relay by itself: one that floods is no reason to drop what others carry
    if is_loopback(host):
        return prefix_of(host) if is_loopback_limited else None
    return prefix_of(host) if is_private_limited or not is_private(host) else None
