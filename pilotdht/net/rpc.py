"""Sealed requests and replies between nodes: who was asked what, how long to wait, and which reply counts.

Rules that hold here, so that no caller has to think of them:

* A reply counts only when it carries the id of a waiting request and comes from the key and endpoint that were asked.
  Whatever arrives unasked is counted and dropped, and changes nothing about where we send.
* A request without a token for our address is padded to the longest reply, as the peer may not send more than it got. A
  reply that brings a fresh token although we sent one may have been cut short for that reason: the request is then
  repeated once, padded.
* Requests are idempotent: one is sent again when its adaptive time-out passes, and a replayed one does no harm.
* No task and no timer a request.

How requests are answered stands in :mod:`pilotdht.net.answering`.

Source: RFC 9000, section 8.1 (amplification); dht-rpc and libtorrent (slow requests free their slot).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage, NodeClosed, Overloaded, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.answering import Answerer, RequestT
from pilotdht.net.calls import Calls
from pilotdht.net.datagrams import MAX_DATAGRAM_BYTES, Transmit
from pilotdht.net.doors import Doors
from pilotdht.net.hello import Greeter
from pilotdht.net.limits import TokenBucket
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.observed import ObservedEndpoints
from pilotdht.net.outcomes import Answer, Answered, Deferred, Outcome, Sender, Silent, Slow
from pilotdht.net.peers import KnownPeer, KnownPeers
from pilotdht.net.pending import Deliver, Pending, PendingTable
from pilotdht.net.reachability import Reachability
from pilotdht.net.rtt import RecentRoundTrips, Waits, waits_for
from pilotdht.net.sealing import LEAST_BYTES, PADDED_BYTES, SealedSender
from pilotdht.net.switchboard import is_virtual
from pilotdht.wire.contact import Contact, interned
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import REPLY_OF, Envelope, envelope_untrusted
from pilotdht.wire.message import REQUEST_ID_BYTES, Flags, Reply, Request
from pilotdht.wire.seal import NONCE_BYTES, Sealer

_logger = logging.getLogger(__name__)


class Rpc:
    """Asks other nodes and answers them, over whatever sends and receives datagrams."""

    def __init__(self, keys: KeyPair, doors: Doors, config: NetConfig, metrics: NetMetrics, *, salt: bytes) -> None:
        """Make it; :meth:`open` connects it.

        Args:
            keys: who we are.
            doors: clock of other nodes, entropy.
            config: bounds and waits.
            metrics: where everything is counted.
            salt: the mesh's, :func:`pilotdht.wire.seal.network_salt`.
        """
        self.observed = ObservedEndpoints(config)
        """What others say our endpoint is."""
        self.reachability = Reachability(config)
        """Who reached us unasked."""
        self.on_role: Callable[[], None] = _ignore
        """Called when what we say of our reachability has changed."""
        self._is_unreached = False
        self._must_be_client = False
        self._own_key = keys.public_key
        self._config = config
        self._metrics = metrics
        self._unix_time = doors.unix_time
        self._token_bytes = doors.token_bytes
        self._sealer = Sealer(keys, salt=salt, capacity=config.sealing_keys)
        self._sender = SealedSender(self._sealer, unix_time=doors.unix_time)
        self._answerer = Answerer(
            self._sender, self.reachability, config, metrics, token_bytes=doors.token_bytes, now=self._now
        )
        self._peers = KnownPeers(capacity=config.peers_known)
        self._recent = RecentRoundTrips()
        self._pending = PendingTable(
            capacity=config.pending_requests,
            late_capacity=config.late_requests,
            lag_s=config.timer_lag_s,
            on_due=self._due,
        )
        self.greeter = Greeter(
            keys, config, metrics, salt=salt, token_bytes=doors.token_bytes, observed=self._note_observed
        )
        """Sends and answers greetings."""
        self._strangers: TokenBucket | None = None
        self._on_reachable: list[Callable[[Contact, float], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_client(self) -> bool:
        """What we say of ourselves in each message: not known to be reachable from outside."""
        return self._sender.flags is Flags.CLIENT

    @is_client.setter
    def is_client(self, value: bool) -> None:
        self._is_unreached = value
        self._say_role()

    @property
    def must_be_client(self) -> bool:
        """Whether we say that we are not reachable, whatever is known: we are where we are as somebody's guest."""
        return self._must_be_client

    @must_be_client.setter
    def must_be_client(self, value: bool) -> None:
        self._must_be_client = value
        self._say_role()

    def _say_role(self) -> None:
        is_client = self._is_unreached or self._must_be_client
        if is_client != self.is_client:
            self._sender.flags = Flags.CLIENT if is_client else Flags.NONE
            self.on_role()

    def open(self, transmit: Transmit) -> None:
        """Send through ``transmit`` from now on, with the timers of the running loop."""
        self._loop = asyncio.get_running_loop()
        self._pending.open(self._loop)
        self._sender.transmit = transmit
        self.greeter.open(self._greet)

    def close(self) -> None:
        """End everything that waits with ``NodeClosed``, and answer nothing any more; safe to call twice."""
        self._sender.transmit = None
        self.greeter.close()
        for pending in self._pending.close():
            pending.deliver(NodeClosed("the node was closed while a request waited"))
        self._metrics.pending = 0

    # Asking

    async def request(self, contact: Contact, message: Request, *, timeout_s: float | None = None) -> Answer:
        """Ask one contact and return its answer.

        Args:
            contact: key and endpoint.
            message: what to ask.
            timeout_s: give up after this long at most; absent: as the contact's round-trip time suggests.

        Raises:
            TimedOut: no answer in time, or no answer is possible because the contact's key is unusable.
            Overloaded: as many requests wait as may.
            NodeClosed: the node is not open, or was closed meanwhile.
        """
        future: asyncio.Future[Outcome | NodeClosed] = asyncio.get_running_loop().create_future()

        def deliver(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is not Slow and not future.done():
                future.set_result(outcome)

        pending = self.begin(contact, message, deliver)
        try:
            if timeout_s is None:
                outcome = await future
            else:
                async with asyncio.timeout(timeout_s):
                    outcome = await future
        except TimeoutError:
            outcome = Silent(contact)
        finally:
            if pending is not None:
                self.abandon(pending)
        if type(outcome) is Answered:
            return outcome.answer
        if isinstance(outcome, NodeClosed):
            raise outcome
        raise TimedOut(f"{contact.endpoint} does not answer")

    def calls(self) -> Calls:
        """Return a group of requests, to be opened by ``async with``."""
        return Calls(self)

    async def hello(self, endpoint: Endpoint) -> Contact:
        """Return who answers at ``endpoint``; see :meth:`pilotdht.net.hello.Greeter.hello`.

        Raises:
            TimedOut: nobody of this mesh answered.
            Overloaded: too many greetings wait already.
            NodeClosed: the node is not open.
        """
        return await self.greeter.hello(endpoint)

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Send a request and call ``deliver`` with each of its outcomes.

        Args:
            contact: key and endpoint.
            message: what to ask.
            deliver: takes the outcomes.
            waits: when to send it again and when to give up; absent: as the contact's round-trip time suggests.

        Returns:
            What :meth:`abandon` takes; absent when the contact's key is unusable, and ``Silent`` was delivered already.

        Raises:
            Overloaded: as many requests wait as may.
            NodeClosed: the node is not open.
        """
        if self._sender.transmit is None:
            raise NodeClosed("the node is not open")
        if self._pending.is_full:
            self._metrics.rejected += 1
            raise Overloaded("too many requests wait for an answer")
        peer = self._peers.find(contact)
        expected = REPLY_OF.get(type(message)) or Reply
        pending = Pending(contact, message, expected, deliver, waits=waits)
        self._pending.add(pending)
        is_sent = False
        try:
            is_sent = self._send_request(pending, peer, is_padded=False)
        finally:
            if not is_sent:
                self._pending.remove(pending)
        if not is_sent:
            deliver(Silent(contact))
            return None
        self._metrics.of_request(type(message)).sent += 1
        self._metrics.pending = len(self._pending)
        self._pending.set_deadline(pending, pending.sent[0][1] + self._waits(pending, peer).slow_s)
        return pending

    def tell(self, contact: Contact, message: Request) -> bool:
        """Send a message that nobody answers; return whether it went out. What is lost is lost.

        Nothing is padded: who is told something sends nothing back.
        """
        if self._sender.transmit is None or contact.public_key == self._own_key:
            return False
        peer = self._peers.find(contact)
        entropy = self._token_bytes(REQUEST_ID_BYTES + NONCE_BYTES)
        request_id, nonce = entropy[:REQUEST_ID_BYTES], entropy[REQUEST_ID_BYTES:]
        token = b"" if peer is None else peer.address_token
        plaintext = Envelope(message, request_id, self._sender.flags, token).encoded()
        is_sent = self._sender.send(contact, plaintext, nonce) > 0
        if is_sent:
            self.reachability.sent_to(contact.endpoint, now=self._now())
            self._metrics.of_request(type(message)).sent += 1
        return is_sent

    def abandon(self, pending: Pending) -> None:
        """Forget a request: no outcome of it is delivered any more. Safe when it ended already."""
        self._end(pending)

    def __len__(self) -> int:
        """Return how many requests wait for an answer."""
        return len(self._pending)

    @property
    def deadlines_kept(self) -> int:
        """How many deadlines are kept, those of answered requests included; at most twice what waits, and 64."""
        return self._pending.heap_size

    # Answering

    def serve(self, kind: type[RequestT], handler: Callable[[RequestT, Sender], Reply | Deferred | None]) -> None:
        """Answer requests of a type with what ``handler`` returns; ``None`` answers nothing.

        The handler runs inside the socket's callback: it must be short. Whatever it raises is logged and counted, and
        nothing is answered. A second handler for a type replaces the first. ``Ping`` is answered without one.
        """
        self._answerer.serve(kind, handler)

    def on_heard(self, callback: Callable[[Sender], None]) -> None:
        """Call ``callback(sender)`` after each request from a validated sender."""
        self._answerer.on_heard(callback)

    def store_token(self, sender: Sender) -> bytes:
        """Return the token that ``sender`` must send back, from the same address and key, with a write."""
        return self._answerer.store_token(sender)

    def check_store_token(self, sender: Sender, token: bytes) -> bool:
        """Return whether ``token`` was given to ``sender`` less than two token lifetimes ago."""
        return self._answerer.check_store_token(sender, token)

    # Receiving

    def rtt_of(self, contact: Contact) -> float | None:
        """Return the smoothed round-trip time of a contact in seconds; absent when it never answered there."""
        peer = self._peers.find(contact)
        return None if peer is None else peer.estimate.srtt_s

    def on_reachable(self, callback: Callable[[Contact, float], None]) -> None:
        """Call ``callback(contact, rtt_s)`` after each request of ours that was answered: the contact is verified."""
        self._on_reachable.append(callback)

    def receive_untrusted(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Take in a sealed datagram that came from ``endpoint``.

        Raises:
            BadMessage: it does not obey the protocol, or nobody asked for it.
        """
        if self._sender.transmit is None:
            raise BadMessage("closed")
        public_key, plaintext = self._sealer.open_untrusted(datagram, unix_time=self._unix_time(), admit=self._admit)
        envelope = envelope_untrusted(plaintext)
        message = envelope.message
        if isinstance(message, Reply):
            self._receive_reply_untrusted(envelope, message, public_key, endpoint, len(datagram))
        elif isinstance(message, Request):
            self._answerer.receive_untrusted(envelope, message, interned(public_key, endpoint), len(datagram))

    def _admit(self) -> None:
        """Bound what strangers cost, whatever addresses they forge: the first datagram under a key costs an agreement.

        A flood of forged keys keeps newcomers out while it lasts, and nobody who is known.

        Raises:
            BadMessage: too many of late.
        """
        now = self._now()
        if self._strangers is None:
            rate, burst = self._config.strangers_per_s, self._config.stranger_burst
            self._strangers = TokenBucket(rate_per_s=rate, burst=burst, now=now)
        if not self._strangers.take(now):
            raise BadMessage("strangers_rate")

    def _receive_reply_untrusted(
        self, envelope: Envelope, message: Reply, public_key: PublicKey, endpoint: Endpoint, size_bytes: int
    ) -> None:
        request_id = envelope.request_id
        pending = self._pending.find(request_id)
        is_late = pending is None
        if pending is None:
            pending = self._pending.find_late(request_id)
            if pending is None:
                raise BadMessage("reply_unasked")
        contact = pending.contact
        if public_key != contact.public_key:
            raise BadMessage("reply_key")
        if endpoint != contact.endpoint:
            raise BadMessage("reply_endpoint")
        if not isinstance(message, pending.expected):
            raise BadMessage("reply_type")
        now = self._now()
        request_bytes = self._measure(pending, request_id, envelope.token, now)
        if is_late:
            self._pending.forget_late(pending)
            raise BadMessage("reply_late")
        is_cut = envelope.token != b"" and size_bytes <= request_bytes < MAX_DATAGRAM_BYTES and message.may_be_cut
        if is_cut and not pending.is_repeated:
            self._repeat(pending, now)
            return
        self._end(pending)
        self._answered(pending, envelope, message, now)

    def _measure(self, pending: Pending, request_id: bytes, token: bytes, now: float) -> int:
        """Learn from a reply how long its transmission took; return the size of what it answers."""
        sent_at, request_bytes = next((at, size) for known, at, size in pending.sent if known == request_id)
        peer = self._peers.answered(pending.contact)
        if token:
            peer.address_token = token
        peer.estimate.measured(now - sent_at)
        is_first = self._recent.longest_s is None
        self._recent.measured(now - sent_at)
        if is_first:
            self._hasten()
        return request_bytes

    def _hasten(self) -> None:
        """Wait no longer than the first answer suggests for those who were asked before anything was known."""
        for pending in self._pending.waiting():
            if not pending.is_slow and pending.sent:
                waits = self._waits(pending, self._peers.find(pending.contact))
                self._pending.set_deadline(pending, pending.sent[0][1] + waits.slow_s)

    def _answered(self, pending: Pending, envelope: Envelope, message: Reply, now: float) -> None:
        contact, observed = pending.contact, envelope.observed
        assert observed is not None, "the decoder of replies sees to it"
        rtt_s = now - pending.sent[0][1]
        is_outside = not is_virtual(contact.endpoint)
        if is_outside:
            self.observed.reported(contact, observed, now=now)
        self._metrics.of_request(type(pending.message)).answered += 1
        self._metrics.measured(rtt_s)
        is_client = envelope.flags is Flags.CLIENT
        pending.deliver(Answered(contact, Answer(message, observed, rtt_s, contact, is_client)))
        for reachable in self._on_reachable if is_outside else ():
            try:
                reachable(contact, rtt_s)
            except Exception:
                self._metrics.handler_failures += 1
                _logger.exception("callback after an answer failed")

    def _note_observed(self, contact: Contact, seen: Endpoint) -> None:
        self.observed.reported(contact, seen, now=self._now())

    # Time

    def _due(self, pending: Pending, now: float) -> None:
        """Send a request the second time, or give its contact up."""
        counts = self._metrics.of_request(type(pending.message))
        if not pending.is_slow:
            pending.is_slow = True
            counts.slow += 1
            peer = self._peers.find(pending.contact)
            waits = self._waits(pending, peer)
            self._pending.set_deadline(pending, now + waits.silent_s - waits.slow_s)
            self._send_request(pending, peer, is_padded=pending.is_repeated)
            pending.deliver(Slow(pending.contact))
        else:
            counts.silent += 1
            self._end(pending, is_given_up=True)
            pending.deliver(Silent(pending.contact))

    def _repeat(self, pending: Pending, now: float) -> None:
        """Ask again, padded, what was answered shortly."""
        pending.is_repeated = True
        self._pending.forget_transmissions(pending)
        peer = self._peers.find(pending.contact)
        if self._send_request(pending, peer, is_padded=True):
            waits = self._waits(pending, peer)
            after_s = waits.silent_s if pending.is_slow else waits.slow_s
            self._pending.set_deadline(pending, now + after_s)

    def _end(self, pending: Pending, *, is_given_up: bool = False) -> None:
        self._pending.remove(pending, is_given_up=is_given_up)
        self._metrics.pending = len(self._pending)

    def _waits(self, pending: Pending, peer: KnownPeer | None) -> Waits:
        if pending.waits is not None:
            return pending.waits
        return waits_for(None if peer is None else peer.estimate, self._recent, self._config)

    def _now(self) -> float:
        assert self._loop is not None, "open() was called"
        return self._loop.time()

    # Sending

    def _send_request(self, pending: Pending, peer: KnownPeer | None, *, is_padded: bool) -> bool:
        """Transmit under a fresh id; false when the contact's key is unusable, or our own."""
        contact = pending.contact
        if contact.public_key == self._own_key:
            return False
        token = b"" if peer is None else peer.address_token
        is_roomy = is_padded or (not token and pending.message.wants_room)
        size_bytes = PADDED_BYTES if is_roomy else LEAST_BYTES
        entropy = self._token_bytes(REQUEST_ID_BYTES + NONCE_BYTES)
        request_id, nonce = entropy[:REQUEST_ID_BYTES], entropy[REQUEST_ID_BYTES:]
        plaintext = Envelope(pending.message, request_id, self._sender.flags, token).encoded(size_bytes=size_bytes)
        sent_bytes = self._sender.send(contact, plaintext, nonce)
        if sent_bytes:
            self.reachability.sent_to(contact.endpoint, now=self._now())
            self._pending.transmitted(pending, request_id, self._now(), sent_bytes)
        return sent_bytes > 0

    def _greet(self, datagram: bytes, endpoint: Endpoint) -> None:
        if self._sender.transmit is not None:
            self.reachability.sent_to(endpoint, now=self._now())
            self._sender.transmit(datagram, endpoint)


def _ignore() -> None:
    pass
