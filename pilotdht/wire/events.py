"""Messages to a group, signed by their senders: what travels, and what is kept of it.

On the wire an event is ``[body bytes, signature 64]``; the signature covers ``domain || body`` exactly as received, so
whoever passes an event on can change nothing of it. Each is named by its sender, the moment at which the sender began
to count, and its number. Short content stands in the event itself; of longer content its size and SHA-256 do, and it is
fetched over a tunnel.

Invariant: sizes are checked before signatures; nothing but :class:`BadMessage` leaves a reader.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId, PublicKey, node_id_of
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.codec import (
    bytes_untrusted,
    decode_list_untrusted,
    encode,
    integer_untrusted,
    list_untrusted,
    text_untrusted,
)
from pilotdht.wire.gossip_messages import group_untrusted
from pilotdht.wire.groups import GroupId
from pilotdht.wire.verified import VerifiedSignatures

EVENT_VERSION = 1
MAX_EVENT_BYTES = 1_048
"""An event and what surrounds it fit in one datagram of 1,200 bytes."""

MAX_BODY_BYTES = 2**20
"""Content that is fetched: 1 MiB."""

MAX_TOPIC_CHARS = 128
MAX_SEQUENCE = 2**32 - 1
"""One sender's events since it began to count; at 50 a second they last for two and a half years."""

MAX_UNIX_MS = 2**48 - 1
"""The year 10889."""

DIGEST_BYTES = 32
EVENT_ID_BYTES = NODE_ID_BYTES + 6 + 4

_DOMAIN = b"pilotdht/1 event"
_SIGNATURES_KEPT = 4096
_TOPIC = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")

event_signatures = VerifiedSignatures(_SIGNATURES_KEPT)
"""Those of events, for all nodes of this process."""


class EventId(NamedTuple):
    """What names one event."""

    sender: NodeId
    """Id of the member that signed it."""
    epoch_ms: int
    """When that member began to count: Unix time in milliseconds."""
    sequence: int
    """Its number since then, from 1."""

    def packed(self) -> bytes:
        """Return the wire form: 30 bytes."""
        return self.sender + self.epoch_ms.to_bytes(6, "big") + self.sequence.to_bytes(4, "big")


def event_id_untrusted(value: object) -> EventId:
    """Read what :meth:`EventId.packed` writes.

    Raises:
        BadMessage: not 30 bytes, or a sequence of 0.
    """
    data = bytes_untrusted(value, size=EVENT_ID_BYTES)
    sequence = int.from_bytes(data[NODE_ID_BYTES + 6 :], "big")
    if sequence == 0:
        raise BadMessage("event_sequence")
    return EventId(
        NodeId(data[:NODE_ID_BYTES]), int.from_bytes(data[NODE_ID_BYTES : NODE_ID_BYTES + 6], "big"), sequence
    )


def is_topic(text: str) -> bool:
    """Return whether a text is a topic: words of lower-case letters, digits, ``_`` and ``-``, joined by dots."""
    return len(text) <= MAX_TOPIC_CHARS and _TOPIC.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBody:
    """What a sender says."""

    group: GroupId
    """To which group."""
    topic: str
    """What it is about: words joined by dots, up to 128 characters."""
    sender: PublicKey
    """Who says it, and who signs."""
    epoch_ms: int
    """Unix time in milliseconds at which the sender began to count."""
    sequence: int
    """Its number since then, from 1."""
    sent_ms: int
    """Unix time of signing in milliseconds, not before ``epoch_ms``."""
    data: bytes = b""
    """Its content; empty when that is fetched."""
    size_bytes: int = 0
    """Size of content that is fetched; 0: ``data`` is all there is."""
    digest: bytes = b""
    """SHA-256 of content that is fetched; empty otherwise."""

    def encoded(self) -> bytes:
        """Return the bytes that are signed."""
        content: object = [self.size_bytes, self.digest] if self.size_bytes else self.data
        return encode(
            [
                EVENT_VERSION,
                self.group,
                self.topic,
                self.sender,
                self.epoch_ms,
                self.sequence,
                self.sent_ms,
                content,
            ]
        )


class SignedEvent:
    """An event with its exact bytes, and what is asked of it over and over. Treat it as frozen."""

    __slots__ = ("_encoded", "_signature", "body", "event_id", "item")

    def __init__(self, body: EventBody, item: bytes, encoded: bytes, signature: bytes) -> None:
        self.body = body
        """What is said."""
        self.item = item
        """``[body, signature]``: as it travels."""
        self.event_id = EventId(node_id_of(body.sender), body.epoch_ms, body.sequence)
        """What names it."""
        self._encoded = encoded
        self._signature = signature

    def __repr__(self) -> str:
        """Show the start of the sender's id, the number and the topic."""
        return f"<SignedEvent {self.event_id.sender.hex()[:8]}/{self.body.sequence} {self.body.topic}>"

    def is_genuine(self) -> bool:
        """Return whether the sender signed it."""
        return event_signatures.verify(self.body.sender, _DOMAIN + self._encoded, self._signature)

    def is_content(self, data: bytes) -> bool:
        """Return whether ``data`` is the content that is to be fetched."""
        return len(data) == self.body.size_bytes and sha256(data).digest() == self.body.digest


def sign_event(keys: KeyPair, body: EventBody) -> SignedEvent:
    """Sign what a member says to its group.

    Raises:
        ValueError: the event names another key.
    """
    if body.sender != keys.public_key:
        raise ValueError("an event is signed by its sender")
    encoded = body.encoded()
    signature = keys.sign(_DOMAIN + encoded)
    return SignedEvent(body, encode([encoded, signature]), encoded, signature)


def claimed_event_untrusted(item: bytes) -> SignedEvent:
    """Read an event without its signature: to see whether it is known, before any cryptography.

    Raises:
        BadMessage: malformed or too long.
    """
    if len(item) > MAX_EVENT_BYTES:
        raise BadMessage("event_size")
    parts = decode_list_untrusted(item)
    if len(parts) != 2:
        raise BadMessage("event")
    encoded, signature = bytes_untrusted(parts[0]), bytes_untrusted(parts[1], size=SIGNATURE_BYTES)
    values = decode_list_untrusted(encoded)
    if len(values) < 8 or type(values[0]) is not int or values[0] != EVENT_VERSION:
        raise BadMessage("event_version")
    _, group, topic, sender, epoch_ms, sequence, sent_ms, content = values[:8]
    topic = text_untrusted(topic, most_chars=MAX_TOPIC_CHARS)
    if not is_topic(topic):
        raise BadMessage("event_topic")
    data, size_bytes, digest = b"", 0, b""
    if type(content) is list:
        size, hashed = (*list_untrusted(content, most=2), None, None)[:2]
        size_bytes = integer_untrusted(size, low=1, high=MAX_BODY_BYTES)
        digest = bytes_untrusted(hashed, size=DIGEST_BYTES)
    else:
        data = bytes_untrusted(content)
    body = EventBody(
        group=group_untrusted(group),
        topic=topic,
        sender=public_key_untrusted(sender),
        epoch_ms=integer_untrusted(epoch_ms, low=1, high=MAX_UNIX_MS),
        sequence=integer_untrusted(sequence, low=1, high=MAX_SEQUENCE),
        sent_ms=integer_untrusted(sent_ms, low=1, high=MAX_UNIX_MS),
        data=data,
        size_bytes=size_bytes,
        digest=digest,
    )
    if body.sent_ms < body.epoch_ms:
        raise BadMessage("event_epoch")
    return SignedEvent(body, item, encoded, signature)


def signed_event_untrusted(item: bytes) -> SignedEvent:
    """Read and verify an event; whether its sender is a member and its time plausible is for the caller to ask.

    Raises:
        BadMessage: malformed, too long, or wrongly signed.
    """
    event = claimed_event_untrusted(item)
    if not event.is_genuine():
        raise BadMessage("event_signature")
    return event
