"""Greetings: learn the public key behind ``host:port``, and nothing more.

Both datagrams have the same size, so an answer never amplifies::

    HELLO        0x21 | nonce 16 | dialled endpoint 19 | zero padding | MAC 16
    HELLO-REPLY  0x22 | nonce 16 | dialled endpoint 19 | observed endpoint 19 | public key 32 | signature 64 | MAC 16

An endpoint is its packed form behind one byte of length, padded with zeros to 19 bytes. The MAC (HMAC-SHA256 under the
network's salt, cut to 16 bytes) keeps meshes apart: nodes of another one stay silent, and for a mesh with a key nobody
outside can even ask. The signature covers the salt and all that stands before it: nonce, the address that was dialled
as the asker states it, the asker's address as it was seen, and the key.

What it proves: the owner of the key signed this nonce now. Not that the endpoint is the owner's: somebody in between
may pass greetings on. What is sealed for the key afterwards only the owner reads, wherever it passes through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage, InvalidArgument, NodeClosed, Overloaded, TimedOut
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, verify
from pilotdht.net.datagrams import HELLO, HELLO_REPLY, Transmit
from pilotdht.net.limits import TokenBucket
from pilotdht.net.metrics import NetMetrics
from pilotdht.wire.contact import Contact, interned
from pilotdht.wire.endpoint import PACKED_IPV6_BYTES, Endpoint, unpack_endpoint_untrusted

NONCE_BYTES = 16
MAC_BYTES = 16
_ENDPOINT_BYTES = 1 + PACKED_IPV6_BYTES
_DIALLED_AT = 1 + NONCE_BYTES
_OBSERVED_AT = _DIALLED_AT + _ENDPOINT_BYTES
_KEY_AT = _OBSERVED_AT + _ENDPOINT_BYTES
_SIGNATURE_AT = _KEY_AT + PUBLIC_KEY_BYTES
_MAC_AT = _SIGNATURE_AT + SIGNATURE_BYTES
HELLO_BYTES = _MAC_AT + MAC_BYTES
"""Size of either datagram."""

_LABEL = b"pilotdht/1 hello"


class Greeter:
    """Greets others and answers greetings."""

    def __init__(
        self,
        keys: KeyPair,
        config: NetConfig,
        metrics: NetMetrics,
        *,
        salt: bytes,
        token_bytes: Callable[[int], bytes],
        observed: Callable[[Contact, Endpoint], None],
    ) -> None:
        """Make a greeter.

        Args:
            keys: who we are.
            config: tries, waits and bounds.
            metrics: where greetings are counted.
            salt: the mesh's, :func:`pilotdht.wire.seal.network_salt`.
            token_bytes: source of unpredictable bytes.
            observed: told what our endpoint looks like to whoever answered.
        """
        self._keys = keys
        self._config = config
        self._metrics = metrics
        self._salt = salt
        self._token_bytes = token_bytes
        self._observed = observed
        self._waiting: dict[bytes, tuple[Endpoint, asyncio.Future[Contact]]] = {}
        self._signatures: TokenBucket | None = None
        self._transmit: Transmit | None = None

    def open(self, transmit: Transmit) -> None:
        """Send through ``transmit`` from now on."""
        self._transmit = transmit

    def close(self) -> None:
        """End every greeting with ``NodeClosed``; safe to call twice."""
        self._transmit = None
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(NodeClosed("the node was closed while it greeted a peer"))

    def __len__(self) -> int:
        """Return how many transmitted greetings wait for an answer."""
        return len(self._waiting)

    async def hello(self, endpoint: Endpoint) -> Contact:
        """Return who answers at ``endpoint``.

        Raises:
            TimedOut: nobody of this mesh answered any of the greetings.
            Overloaded: too many greetings wait already.
            InvalidArgument: ``endpoint`` is not an IP literal with a port.
            NodeClosed: the node is not open.
        """
        if len(self._waiting) >= self._config.hellos_pending:
            raise Overloaded("too many greetings wait for an answer")
        try:
            endpoint.packed()
        except (OSError, OverflowError, TypeError, ValueError) as error:
            raise InvalidArgument(f"{endpoint} is not an IP literal with a port") from error
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Contact] = loop.create_future()
        nonces: list[bytes] = []
        try:
            for _ in range(self._config.hello_tries):
                if self._transmit is None:
                    raise NodeClosed("the node is not open")
                nonce = self._token_bytes(NONCE_BYTES)
                nonces.append(nonce)
                self._waiting[nonce] = (endpoint, future)
                self._metrics.hellos_sent += 1
                self._transmit(self._encoded(nonce, endpoint), endpoint)
                try:
                    async with asyncio.timeout(self._config.hello_timeout_s):
                        return await asyncio.shield(future)
                except TimeoutError:
                    continue
            raise TimedOut(
                f"nobody of this network answers at {endpoint}",
                hint="check the address and port, and that both nodes use the same network and network key",
            )
        finally:
            for nonce in nonces:  # answers to earlier greetings count as long as we wait
                self._waiting.pop(nonce, None)
            future.cancel()

    def answer_untrusted(self, datagram: bytes, endpoint: Endpoint, now: float) -> bytes:
        """Return the reply to a HELLO that came from ``endpoint``.

        Raises:
            BadMessage: malformed, of another mesh, or more than may be signed now.
        """
        self._check_untrusted(datagram)
        if any(datagram[_OBSERVED_AT:_MAC_AT]):
            raise BadMessage("hello_padding")
        _unpack_untrusted(datagram[_DIALLED_AT:_OBSERVED_AT])
        if self._signatures is None:
            rate, burst = self._config.hello_signatures_per_s, self._config.hello_signature_burst
            self._signatures = TokenBucket(rate_per_s=rate, burst=burst, now=now)
        if not self._signatures.take(now):
            raise BadMessage("hello_rate")
        body = b"".join((bytes([HELLO_REPLY]), datagram[1:_OBSERVED_AT], _packed(endpoint), self._keys.public_key))
        body += self._keys.sign(self._signed(body))
        self._metrics.hellos_answered += 1
        return body + self._mac(body)

    def receive_reply_untrusted(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Take in a HELLO-REPLY that came from ``endpoint``.

        Raises:
            BadMessage: malformed, of another mesh, unasked, from elsewhere than was greeted, or wrongly signed.
        """
        self._check_untrusted(datagram)
        entry = self._waiting.get(datagram[1:_DIALLED_AT])
        if entry is None:
            raise BadMessage("hello_unasked")
        greeted, future = entry
        dialled = _unpack_untrusted(datagram[_DIALLED_AT:_OBSERVED_AT])
        if endpoint != greeted or dialled != greeted:
            raise BadMessage("hello_endpoint")
        observed = _unpack_untrusted(datagram[_OBSERVED_AT:_KEY_AT])
        public_key = PublicKey(datagram[_KEY_AT:_SIGNATURE_AT])
        if not verify(public_key, self._signed(datagram[:_SIGNATURE_AT]), datagram[_SIGNATURE_AT:_MAC_AT]):
            raise BadMessage("hello_signature")
        if not future.done():
            contact = interned(public_key, endpoint)
            future.set_result(contact)
            if public_key != self._keys.public_key:
                self._observed(contact, observed)

    def _encoded(self, nonce: bytes, endpoint: Endpoint) -> bytes:
        body = b"".join((bytes([HELLO]), nonce, _packed(endpoint))).ljust(_MAC_AT, b"\0")
        return body + self._mac(body)

    def _check_untrusted(self, datagram: bytes) -> None:
        if len(datagram) != HELLO_BYTES:
            raise BadMessage("hello_size")
        if not compare_digest(self._mac(datagram[:_MAC_AT]), datagram[_MAC_AT:]):
            raise BadMessage("hello_mac")

    def _mac(self, body: bytes) -> bytes:
        return hmac_digest(self._salt, _LABEL + b" mac" + body, sha256)[:MAC_BYTES]

    def _signed(self, body: bytes) -> bytes:
        return _LABEL + b" reply" + self._salt + body


def _packed(endpoint: Endpoint) -> bytes:
    packed = endpoint.packed()
    return (bytes([len(packed)]) + packed).ljust(_ENDPOINT_BYTES, b"\0")


def _unpack_untrusted(data: bytes) -> Endpoint:
    size = data[0]
    if any(data[1 + size :]):
        raise BadMessage("endpoint")
    return unpack_endpoint_untrusted(data[1 : 1 + size])
