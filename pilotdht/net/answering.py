"""Answers requests: whose handler, how long the reply may be, and which tokens go with it.

A reply is never longer than its request until the requester has shown, by an address token, that it receives where it
says: whoever forges the sender of a request gains nothing by making us answer somebody else. Where a reply must be cut
for that reason, it brings a token, and an honest requester asks again.

Handlers are plain functions, called from the socket's callback; what they raise ends with the request.

Source: RFC 9000, section 8.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias, TypeVar, cast

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage
from pilotdht.net.datagrams import MAX_DATAGRAM_BYTES
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.outcomes import Deferred, Sender
from pilotdht.net.reachability import Reachability
from pilotdht.net.sealing import SealedSender
from pilotdht.net.switchboard import HIDDEN, is_virtual
from pilotdht.net.tokens import Purpose, Standing, TokenMint
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping, Pong
from pilotdht.wire.envelope import Envelope
from pilotdht.wire.message import Flags, Reply, Request
from pilotdht.wire.seal import NONCE_BYTES, SEAL_OVERHEAD_BYTES

RequestT = TypeVar("RequestT", bound=Request)

Handler: TypeAlias = Callable[[Request, Sender], Reply | Deferred | None]
"""Answers one request, now or later, or does not."""

_logger = logging.getLogger(__name__)


class Answerer:
    """Answers the requests of other nodes."""

    def __init__(
        self,
        sender: SealedSender,
        reachability: Reachability,
        config: NetConfig,
        metrics: NetMetrics,
        *,
        token_bytes: Callable[[int], bytes],
        now: Callable[[], float],
    ) -> None:
        """Make one that answers ``Ping`` and nothing else.

        Args:
            sender: the way out.
            reachability: told of every request.
            config: how long tokens live.
            metrics: where everything is counted.
            token_bytes: source of unpredictable bytes.
            now: the loop's clock.
        """
        self._sender = sender
        self._reachability = reachability
        self._metrics = metrics
        self._token_bytes = token_bytes
        self._now = now
        self._mint = TokenMint(token_bytes=token_bytes, lifetime_s=config.token_lifetime_s)
        self._handlers: dict[type[Request], Handler] = {Ping: _pong}
        self._on_heard: list[Callable[[Sender], None]] = []

    def serve(self, kind: type[RequestT], handler: Callable[[RequestT, Sender], Reply | Deferred | None]) -> None:
        """Answer requests of a type with what ``handler`` returns."""
        self._handlers[kind] = cast("Handler", handler)

    def on_heard(self, callback: Callable[[Sender], None]) -> None:
        """Call ``callback(sender)`` after each request from a validated sender."""
        self._on_heard.append(callback)

    def store_token(self, sender: Sender) -> bytes:
        """Return the token that lets ``sender`` write to our store."""
        contact = sender.contact
        return self._mint.issue(Purpose.STORE, contact.endpoint, contact.public_key, now=self._now())

    def check_store_token(self, sender: Sender, token: bytes) -> bool:
        """Return whether ``token`` lets ``sender`` write to our store."""
        contact = sender.contact
        standing = self._mint.check(token, Purpose.STORE, contact.endpoint, contact.public_key, now=self._now())
        return standing is not Standing.NONE

    def receive_untrusted(self, envelope: Envelope, message: Request, contact: Contact, size_bytes: int) -> None:
        """Answer a request that came from ``contact`` in a datagram of ``size_bytes``.

        Raises:
            BadMessage: nobody serves its type, or no reply fits.
        """
        handler = self._handlers.get(type(message))
        if handler is None:
            raise BadMessage("request_unserved")
        now = self._now()
        is_from_outside = not is_virtual(contact.endpoint)
        if is_from_outside:
            self._reachability.heard_from(contact, now=now)
        standing = self._mint.check(envelope.token, Purpose.ADDRESS, contact.endpoint, contact.public_key, now=now)
        is_validated = standing is not Standing.NONE
        sender = Sender(contact, is_validated, envelope.flags is Flags.CLIENT)
        try:
            reply = handler(message, sender)
        except Exception:
            self._metrics.handler_failures += 1
            _logger.exception("handler of a request failed", extra={"operation": type(message).__name__})
            return
        if reply is not None:
            token = b""
            if standing is not Standing.CURRENT:
                token = self._mint.issue(Purpose.ADDRESS, contact.endpoint, contact.public_key, now=now)
            limit = MAX_DATAGRAM_BYTES if is_validated else min(size_bytes, MAX_DATAGRAM_BYTES)
            limit -= SEAL_OVERHEAD_BYTES
            if isinstance(reply, Deferred):
                reply.bind(self._later(envelope.request_id, token, contact, limit))
            else:
                self._reply_untrusted(reply, envelope.request_id, token, contact, limit)
            self._metrics.of_request(type(message)).served += 1
        if is_validated and is_from_outside:
            self._tell(sender)

    def _reply_untrusted(
        self, reply: Reply, request_id: bytes, token: bytes, contact: Contact, limit_bytes: int
    ) -> None:
        seen = HIDDEN if is_virtual(contact.endpoint) else contact.endpoint
        for _ in range(3):  # a shortened list may need a longer header elsewhere, so one cut is not always enough
            plaintext = Envelope(reply, request_id, self._sender.flags, token, seen).encoded()
            excess_bytes = len(plaintext) - limit_bytes
            if excess_bytes <= 0:
                self._sender.send(contact, plaintext, self._token_bytes(NONCE_BYTES))
                return
            reply = reply.shortened(excess_bytes)
        raise BadMessage("reply_too_long")

    def _later(self, request_id: bytes, token: bytes, contact: Contact, limit_bytes: int) -> Callable[[Reply], None]:
        def send(reply: Reply) -> None:
            try:
                self._reply_untrusted(reply, request_id, token, contact, limit_bytes)
            except BadMessage as error:
                self._metrics.drop(error.reason)

        return send

    def _tell(self, sender: Sender) -> None:
        for heard in self._on_heard:
            try:
                heard(sender)
            except Exception:
                self._metrics.handler_failures += 1
                _logger.exception("callback after a request failed")


def _pong(_request: Request, _sender: Sender) -> Pong:
    return Pong()
