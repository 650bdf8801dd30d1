"""What is said about members of a group, signed: facts by the member they are about, suspicions by whoever has them.

On the wire each is ``[body bytes, signature 64]`` behind one byte that tells its type; the signature covers
``domain || body`` exactly as received. Nobody can say a fact about another member: that somebody died is never said,
only suspected, and each member decides for itself when a suspicion has waited long enough.

An incarnation is the Unix time in milliseconds at which its fact was signed, and grows with each. So facts have an age,
and one that is older than the memory of the dead cannot bring anybody back.

Source: SWIM (2002), section 4.2 (incarnations); the signatures are ours.
"""

from __future__ import annotations

from enum import IntEnum

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.identity.names import is_hostname, is_tag
from pilotdht.values import dataclass
from pilotdht.wire.certificates import MAX_CHAIN_BYTES
from pilotdht.wire.codec import (
    bytes_untrusted,
    decode_list_untrusted,
    encode,
    integer_untrusted,
    list_untrusted,
    text_untrusted,
)
from pilotdht.wire.contact import Contact, contacts_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted
from pilotdht.wire.gossip_messages import group_untrusted
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import key_untrusted
from pilotdht.wire.verified import VerifiedSignatures

FACT_VERSION = 1
MAX_FACT_BYTES = 960
"""A fact fits in one datagram."""

MAX_SUSPICION_BYTES = 192
MAX_FACT_ENDPOINTS = 3
MAX_FACT_INTRODUCERS = 2
MAX_FACT_TAGS = 8
MAX_CAPABILITIES = 16
MAX_VERSION_CHARS = 16
MAX_INCARNATION = 2**53

_DOMAIN = b"pilotdht/1 member"
_SIGNATURES_KEPT = 4096

membership_signatures = VerifiedSignatures(_SIGNATURES_KEPT)
"""Those of facts and suspicions, for all nodes of this process."""


class ItemType(IntEnum):
    """What an item of gossip is: its first byte."""

    FACT = 1
    """A member about itself: :class:`MemberFact`."""
    SUSPICION = 2
    """One member about another: :class:`Suspicion`."""
    REVOCATION = 3
    """That a certificate is void: :mod:`pilotdht.wire.revocations`."""
    ROTATION = 4
    """That the group has another key: :mod:`pilotdht.wire.rotations`."""


class FactKind(IntEnum):
    """What a member says of itself; of two with one incarnation the higher counts."""

    ALIVE = 1
    """It is there."""
    LEFT = 2
    """It has left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFact:
    """What a member says about itself."""

    group: GroupId
    """Which group it is about."""
    public_key: PublicKey
    """Who says it, and who signs."""
    kind: FactKind = FactKind.ALIVE
    """There, or gone."""
    incarnation: int
    """Unix time of signing in milliseconds; grows."""
    endpoints: tuple[Endpoint, ...] = ()
    """Up to 3 endpoints where it says it answers, best first."""
    introducers: tuple[Contact, ...] = ()
    """Up to 2 servers through which it is called, because its endpoints do not answer strangers; empty: they do."""
    hostname: str = ""
    """What it calls itself, or empty."""
    tags: tuple[str, ...] = ()
    """Up to 8 tags."""
    capabilities: tuple[str, ...] = ()
    """Up to 16 words for what it can answer."""
    load: int | None = None
    """How busy it is, 0..100 percent; absent when it does not say."""
    version: str = ""
    """Version of its software, up to 16 characters."""
    chain: bytes = b""
    """Its certificates, from the group key to it; empty in an open group."""

    @property
    def is_somewhere(self) -> bool:
        """Whether it says how it is reached."""
        return bool(self.endpoints or self.introducers)

    def body(self) -> bytes:
        """Return the bytes that are signed."""
        return encode(
            [
                FACT_VERSION,
                self.group,
                self.public_key,
                int(self.kind),
                self.incarnation,
                [endpoint.packed() for endpoint in self.endpoints],
                self.hostname,
                list(self.tags),
                list(self.capabilities),
                self.load,
                self.version,
                self.chain,
                *([[contact.packed() for contact in self.introducers]] if self.introducers else []),
            ]
        )


class SignedFact:
    """A fact with its exact bytes, and what is asked of it over and over. Treat it as frozen."""

    __slots__ = ("fact", "item", "node_id", "order")

    def __init__(self, fact: MemberFact, item: bytes) -> None:
        self.fact = fact
        """What is said."""
        self.item = item
        """Type byte and ``[body, signature]``: as it travels."""
        self.node_id: NodeId = node_id_of(fact.public_key)
        """Whom it is about."""
        self.order: tuple[int, int, bytes] = (fact.incarnation, int(fact.kind), item)
        """Of two facts about a member the one with the higher order counts, whatever came first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """That a member did not answer."""

    group: GroupId
    """Which group."""
    suspect: NodeId
    """Who did not answer."""
    incarnation: int
    """The incarnation that the accuser knew: a higher one refutes this."""
    accuser: PublicKey
    """Who says it, and who signs."""

    def body(self) -> bytes:
        """Return the bytes that are signed."""
        return encode([FACT_VERSION, self.group, self.suspect, self.incarnation, self.accuser])


class SignedSuspicion:
    """A suspicion with its exact bytes. Treat it as frozen."""

    __slots__ = ("accuser_id", "item", "suspicion")

    def __init__(self, suspicion: Suspicion, item: bytes) -> None:
        self.suspicion = suspicion
        """What is said."""
        self.item = item
        """Type byte and ``[body, signature]``: as it travels."""
        self.accuser_id: NodeId = node_id_of(suspicion.accuser)
        """Whose suspicion it is."""


def sign_fact(keys: KeyPair, fact: MemberFact) -> SignedFact:
    """Sign what a member says about itself.

    Raises:
        ValueError: the fact names another key, or is longer than 960 bytes.
    """
    if fact.public_key != keys.public_key:
        raise ValueError("a fact is signed by the member it is about")
    item = _signed(keys, ItemType.FACT, fact.body())
    if len(item) > MAX_FACT_BYTES:
        raise ValueError(f"a fact has at most {MAX_FACT_BYTES} bytes, not {len(item)}")
    return SignedFact(fact, item)


def sign_suspicion(keys: KeyPair, suspicion: Suspicion) -> SignedSuspicion:
    """Sign a suspicion.

    Raises:
        ValueError: it names another accuser.
    """
    if suspicion.accuser != keys.public_key:
        raise ValueError("a suspicion is signed by its accuser")
    return SignedSuspicion(suspicion, _signed(keys, ItemType.SUSPICION, suspicion.body()))


def signed_fact_untrusted(item: bytes) -> SignedFact:
    """Read and verify a fact; whether it is live and its author admitted is for the caller to ask.

    Raises:
        BadMessage: malformed, too long, or wrongly signed.
    """
    body, signature = _parts_untrusted(item, ItemType.FACT, MAX_FACT_BYTES)
    values = decode_list_untrusted(body)
    if len(values) < 12 or values[0] != FACT_VERSION or type(values[0]) is not int:
        raise BadMessage("fact_version")
    _, group, key, kind, incarnation, endpoints, hostname, tags, capabilities, load, version, chain = values[:12]
    if hostname != "" and not is_hostname(hostname):
        raise BadMessage("fact_hostname")
    fact = MemberFact(
        group=group_untrusted(group),
        public_key=public_key_untrusted(key),
        kind=_KINDS[integer_untrusted(kind, low=1, high=len(_KINDS)) - 1],
        incarnation=integer_untrusted(incarnation, low=1, high=MAX_INCARNATION),
        endpoints=tuple(unpack_endpoint_untrusted(e) for e in list_untrusted(endpoints, most=MAX_FACT_ENDPOINTS)),
        hostname=str(hostname),
        tags=_words_untrusted(tags, MAX_FACT_TAGS),
        capabilities=_words_untrusted(capabilities, MAX_CAPABILITIES),
        load=None if load is None else integer_untrusted(load, high=100),
        version=_printable_untrusted(version),
        chain=bytes_untrusted(chain, most=MAX_CHAIN_BYTES),
        introducers=_introducers_untrusted(values[12]) if len(values) > 12 else (),
    )
    if not membership_signatures.verify(fact.public_key, _domain(ItemType.FACT) + body, signature):
        raise BadMessage("fact_signature")
    return SignedFact(fact, item)


def signed_suspicion_untrusted(item: bytes) -> SignedSuspicion:
    """Read and verify a suspicion.

    Raises:
        BadMessage: malformed, too long, or wrongly signed.
    """
    body, signature = _parts_untrusted(item, ItemType.SUSPICION, MAX_SUSPICION_BYTES)
    values = decode_list_untrusted(body)
    if len(values) < 5 or values[0] != FACT_VERSION or type(values[0]) is not int:
        raise BadMessage("suspicion_version")
    _, group, suspect, incarnation, accuser = values[:5]
    suspicion = Suspicion(
        group=group_untrusted(group),
        suspect=NodeId(key_untrusted(suspect)),
        incarnation=integer_untrusted(incarnation, low=1, high=MAX_INCARNATION),
        accuser=public_key_untrusted(accuser),
    )
    if not membership_signatures.verify(suspicion.accuser, _domain(ItemType.SUSPICION) + body, signature):
        raise BadMessage("suspicion_signature")
    return SignedSuspicion(suspicion, item)


def _introducers_untrusted(value: object) -> tuple[Contact, ...]:
    return contacts_untrusted(list_untrusted(value, most=MAX_FACT_INTRODUCERS))


_KINDS = (FactKind.ALIVE, FactKind.LEFT)


def _domain(kind: ItemType) -> bytes:
    return _DOMAIN + bytes([kind])


def _signed(keys: KeyPair, kind: ItemType, body: bytes) -> bytes:
    return bytes([kind]) + encode([body, keys.sign(_domain(kind) + body)])


def _parts_untrusted(item: bytes, kind: ItemType, most_bytes: int) -> tuple[bytes, bytes]:
    if len(item) > most_bytes:
        raise BadMessage("item_size")
    if item[:1] != bytes([kind]):
        raise BadMessage("item_type")
    parts = decode_list_untrusted(item[1:])
    if len(parts) != 2:
        raise BadMessage("item")
    body, signature = bytes_untrusted(parts[0]), bytes_untrusted(parts[1], size=SIGNATURE_BYTES)
    if encode([body, signature]) != item[1:]:  # else whoever passes it on could make it look newer than itself
        raise BadMessage("item")
    return body, signature


def _words_untrusted(value: object, most: int) -> tuple[str, ...]:
    words = list_untrusted(value, most=most)
    if not all(is_tag(word) for word in words):
        raise BadMessage("fact_word")
    return tuple(str(word) for word in words)


def _printable_untrusted(value: object) -> str:
    text = text_untrusted(value, most_chars=MAX_VERSION_CHARS)
    if not text.isprintable():  # it is shown on terminals
        raise BadMessage("fact_text")
    return text
