"""The envelope of a message in a sealed datagram: type, request id, flags, tokens.

A sealed datagram's plaintext is ``length (2 bytes) | msgpack list | zero padding``. The list is

* request: ``[type, request id, flags, address token, …fields]``
* reply: ``[type, request id, flags, observed endpoint, address token, …fields]``

Every request is idempotent, which is the rule against replays.

Invariant: decoding what was encoded gives an equal value; nothing but :class:`BadMessage` leaves a decoder.
"""

from __future__ import annotations

from pilotdht.errors import BadMessage
from pilotdht.values import dataclass
from pilotdht.wire.broadcast_messages import (
    Announce,
    Events,
    FetchEvents,
    FetchStreams,
    Graft,
    Grafted,
    Neighbour,
    Neighbourhood,
    Push,
    Pushed,
    Relink,
    Streams,
    Walk,
)
from pilotdht.wire.codec import decode_list_untrusted, encode, integer_untrusted
from pilotdht.wire.dht_messages import (
    FindEntries,
    FindNode,
    FindRecord,
    FoundEntries,
    FoundRecord,
    Nodes,
    Ping,
    Pong,
    Store,
    Stored,
    StoreEntry,
)
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted
from pilotdht.wire.gossip_messages import (
    Facts,
    FetchFacts,
    Gossip,
    Probe,
    ProbeAck,
    ProbeFor,
    ProbeOutcome,
    Summaries,
    Summarise,
)
from pilotdht.wire.letter_messages import Collect, Leave, Left, Letters, LettersWait
from pilotdht.wire.message import REQUEST_ID_BYTES, Flags, Message, Reply, Request, token_untrusted
from pilotdht.wire.renewal_messages import Renew, Renewed
from pilotdht.wire.traversal_messages import (
    Attach,
    Attached,
    Call,
    Called,
    HangUp,
    KnockFor,
    Knocking,
    Meet,
    Met,
    Ring,
    Rung,
    SendKnocks,
)

_LENGTH_BYTES = 2
_FLAGS = (Flags.NONE, Flags.CLIENT)

REPLY_OF: dict[type[Request], type[Reply] | None] = {
    Ping: Pong,
    FindNode: Nodes,
    FindRecord: FoundRecord,
    FindEntries: FoundEntries,
    Store: Stored,
    StoreEntry: Stored,
    Probe: ProbeAck,
    ProbeFor: ProbeOutcome,
    Gossip: None,
    Summarise: Summaries,
    FetchFacts: Facts,
    Renew: Renewed,
    Push: Pushed,
    Announce: None,
    Graft: Grafted,
    FetchEvents: Events,
    FetchStreams: Streams,
    Neighbour: Neighbourhood,
    Walk: None,
    Relink: None,
    Attach: Attached,
    Call: Called,
    Ring: Rung,
    Meet: Met,
    HangUp: None,
    SendKnocks: Knocking,
    KnockFor: None,
    Leave: Left,
    Collect: Letters,
    LettersWait: None,
}
"""What answers each type of request; ``None``: nothing does."""

REQUESTS: dict[int, type[Request]] = {kind.code: kind for kind in REPLY_OF}
"""Request types by number."""

REPLIES: dict[int, type[Reply]] = {kind.code: kind for kind in REPLY_OF.values() if kind is not None}
"""Reply types by number."""


@dataclass(slots=True, unsafe_hash=True)
class Envelope:
    """A message with what surrounds it in a sealed datagram."""

    message: Message
    """What is said."""
    request_id: bytes
    """8 bytes, chosen by whoever asks."""
    flags: Flags = Flags.NONE
    """What the sender says of itself."""
    token: bytes = b""
    """Address token: in a request the one received before, in a reply a fresh one; may be empty."""
    observed: Endpoint | None = None
    """In replies: the requester's endpoint as the answering node saw it."""

    def encoded(self, *, size_bytes: int = 0) -> bytes:
        """Return the plaintext, padded with zeros to at least ``size_bytes``."""
        message = self.message
        head: list[object] = [message.code, self.request_id, int(self.flags)]
        if self.observed is not None:
            head.append(self.observed.packed())
        head.append(self.token)
        body = encode(head + message.fields())
        plaintext = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        return plaintext if len(plaintext) >= size_bytes else plaintext.ljust(size_bytes, b"\0")


def envelope_untrusted(plaintext: bytes) -> Envelope:
    """Read what :meth:`Envelope.encoded` writes.

    Raises:
        BadMessage: malformed in any way, or of an unknown type.
    """
    end = _LENGTH_BYTES + int.from_bytes(plaintext[:_LENGTH_BYTES], "big")
    if end == _LENGTH_BYTES or len(plaintext) < end:
        raise BadMessage("length")
    values = decode_list_untrusted(plaintext[_LENGTH_BYTES:end])
    if len(values) < 4:
        raise BadMessage("fields")
    code, request_id = values[0], values[1]
    if type(request_id) is not bytes or len(request_id) != REQUEST_ID_BYTES:
        raise BadMessage("bytes")
    flags = _FLAGS[integer_untrusted(values[2], high=255) & 1]  # unknown flags are later versions'
    if type(code) is not int:
        raise BadMessage("type")
    request_type = REQUESTS.get(code)
    if request_type is not None:
        return Envelope(request_type.from_fields_untrusted(values[4:]), request_id, flags, token_untrusted(values[3]))
    reply_type = REPLIES.get(code)
    if reply_type is None or len(values) < 5:
        raise BadMessage("type")
    observed = unpack_endpoint_untrusted(values[3])
    return Envelope(
        reply_type.from_fields_untrusted(values[5:]), request_id, flags, token_untrusted(values[4]), observed
    )
