"""From text to peer: the order of sources, pins, and loud errors where a name is not certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotdht.errors import Ambiguous, InvalidArgument, KeyChanged, NotFound, Overloaded
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair, did_of
from pilotdht.names.own import Profile, node_record, own_records
from pilotdht.names.peer import Source
from pilotdht.names.resolve import FETCHES_AT_ONCE, Resolver
from pilotdht.trust.book import TrustBook
from pilotdht.trust.words import Word, WordKind
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import (
    MAX_RECORD_BYTES,
    MAX_TAGS,
    NodeFlags,
    NodeRecord,
    Record,
    RecordKey,
    Revocation,
    Service,
    SignedRecord,
    TagEntry,
    name_key,
    sign_record,
    signed_record_untrusted,
    tag_key,
)
from tests.support.trust_pair import WallClock

NOW = 1_700_000_000.0
ALICE, BOB, CAROL = (KeyPair.from_seed(bytes([number]) * 32) for number in (1, 2, 3))


class Records:
    """What a DHT would hold."""

    def __init__(self) -> None:
        self.single: dict[tuple[RecordKey, PublicKey], SignedRecord] = {}
        self.entries: dict[RecordKey, list[SignedRecord]] = {}
        self.reads = 0
        self.failure: Exception | None = None
        self.running = 0
        self.most_running = 0

    async def get_record(
        self, key: RecordKey, *, signer: PublicKey | None = None, quorum: int | None = None
    ) -> SignedRecord | None:
        """Return the newest record of the signer, or of anybody."""
        self.reads += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.running -= 1
        if self.failure is not None:
            raise self.failure
        found = [signed for (k, s), signed in self.single.items() if k == key and signer in (None, s)]
        return max(found, key=lambda signed: signed.record.sequence, default=None)

    async def get_entries(self, key: RecordKey, *, limit: int = 256) -> list[SignedRecord]:
        """Return the entries under a key."""
        return self.entries.get(key, [])[:limit]

    async def get_tag(self, tag: str, *, limit: int = 256) -> list[SignedRecord]:
        """Return a tag's entries."""
        return await self.get_entries(tag_key(tag), limit=limit)

    def put(self, keys: KeyPair, record: Record) -> None:
        """Hold a record."""
        signed = sign_record(keys, record)
        if isinstance(record, (NodeRecord, Revocation)):
            self.single[record.key, keys.public_key] = signed
        else:
            self.entries.setdefault(record.key, []).append(signed)

    def publish(self, keys: KeyPair, hostname: str = "", tags: tuple[str, ...] = ()) -> None:
        """Hold all that a node publishes."""
        profile = Profile(
            public_key=keys.public_key, hostname=hostname, tags=tags, endpoints=(Endpoint("192.0.2.1", 4000),)
        )
        for build in own_records(profile).values():
            self.put(keys, build(int(NOW * 1000)))


class World:
    """Records, a book and a resolver."""

    def __init__(self) -> None:
        self.records = Records()
        self.book = TrustBook(None, unix_time=WallClock(NOW))
        self.resolver = Resolver(records=self.records, known=self.book, unix_time=WallClock(NOW))

    def trust(self, keys: KeyPair, hostname: str) -> None:
        """Trust a peer that called itself something."""
        word = Word(kind=WordKind.REQUEST, sequence=1, seen=0, hostname=hostname)
        self.book.hear(keys.public_key, word)
        self.book.approve(keys.public_key)


@pytest.mark.asyncio
async def test_find_single_claim_is_taken_and_pinned() -> None:
    """The only live claim of a name is its owner, from then on."""
    world = World()
    world.records.publish(ALICE, "alpha", ("mcp",))
    peer = await world.resolver.find("alpha")
    assert (ALICE.public_key, Source.CLAIM, "alpha", ("mcp",)) == (
        peer.public_key,
        peer.source,
        peer.hostname,
        peer.tags,
    )
    assert (ALICE.address, ALICE.did, NOW, False) == (peer.address, peer.did, peer.issued_s, peer.is_trusted)
    assert (Endpoint("192.0.2.1", 4000),) == peer.endpoints
    assert ALICE.public_key == world.book.pin_of("alpha")
    assert Source.PIN is (await world.resolver.find("alpha")).source


@pytest.mark.asyncio
async def test_find_by_key_address_and_alias() -> None:
    """Literals and local aliases need no claim, and win over everything."""
    world = World()
    world.records.publish(ALICE, "alpha")
    world.records.publish(BOB, "boss")
    assert Source.KEY is (await world.resolver.find(ALICE.did)).source
    assert ALICE.public_key == (await world.resolver.find(str(ALICE.address).lower())).public_key
    world.book.set_alias("boss", ALICE.public_key)
    aliased = await world.resolver.find("boss")
    assert (ALICE.public_key, Source.ALIAS) == (aliased.public_key, aliased.source)


@pytest.mark.asyncio
async def test_find_several_claims_is_ambiguous_and_lists_them() -> None:
    """Nobody is chosen by chance; a pin or trust decides."""
    world = World()
    world.records.publish(ALICE, "alpha")
    world.records.publish(BOB, "alpha")
    with pytest.raises(Ambiguous) as caught:
        await world.resolver.find("alpha")
    assert {f"{keys.address} {keys.did}" for keys in (ALICE, BOB)} == set(caught.value.claims)
    assert world.book.pin_of("alpha") is None
    world.trust(BOB, "")
    assert BOB.public_key == (await world.resolver.find("alpha")).public_key
    world.book.untrust(BOB.public_key)
    world.book.pin("alpha", ALICE.public_key, now=NOW)
    assert ALICE.public_key == (await world.resolver.find("alpha")).public_key


@pytest.mark.asyncio
async def test_find_claim_without_matching_record_does_not_count() -> None:
    """Squatting a name needs a live node that stands by it."""
    world = World()
    world.records.publish(ALICE, "alpha")
    world.records.publish(BOB, "alpha")
    world.records.publish(BOB, "other")
    world.records.publish(CAROL, "alpha")
    world.records.single = {k: s for k, s in world.records.single.items() if k[1] != CAROL.public_key}
    assert ALICE.public_key == (await world.resolver.find("alpha")).public_key


@pytest.mark.asyncio
async def test_find_pinned_name_with_another_key_is_loud() -> None:
    """A changed key is an error that names both, until the pin is forgotten."""
    world = World()
    world.records.publish(ALICE, "alpha")
    await world.resolver.find("alpha")
    world.records.publish(ALICE, "renamed")
    world.records.publish(BOB, "alpha")
    with pytest.raises(KeyChanged, match=f"{ALICE.did}.*{BOB.did}"):
        await world.resolver.find("alpha")
    world.book.untrust(ALICE.public_key)
    assert BOB.public_key == (await world.resolver.find("alpha")).public_key


@pytest.mark.asyncio
async def test_find_pinned_peer_is_found_though_claims_are_crowded_out() -> None:
    """Flooding a name with claims does not hide the pinned owner."""
    world = World()
    world.records.publish(ALICE, "alpha")
    await world.resolver.find("alpha")
    world.records.entries[name_key("alpha")].clear()
    for number in range(10, 40):
        world.records.publish(KeyPair.from_seed(bytes([number]) * 32), "alpha")
    assert ALICE.public_key == (await world.resolver.find("alpha")).public_key


@pytest.mark.asyncio
async def test_find_trusted_name_wins_over_claims() -> None:
    """A stranger's claim does not make a trusted peer's name ambiguous."""
    world = World()
    world.trust(ALICE, "alpha")
    world.records.publish(BOB, "alpha")
    with pytest.raises(NotFound, match="no live record"):
        await world.resolver.find("alpha")
    world.records.publish(ALICE, "alpha")
    peer = await world.resolver.find("alpha")
    assert (ALICE.public_key, Source.TRUST, True) == (peer.public_key, peer.source, peer.is_trusted)


@pytest.mark.asyncio
async def test_find_trusted_peer_cannot_take_over_a_pinned_name() -> None:
    """Trust in one peer does not let it pose as another."""
    world = World()
    world.records.publish(ALICE, "bank")
    await world.resolver.find("bank")
    world.trust(BOB, "bank")
    world.records.publish(BOB, "bank")
    assert ALICE.public_key == (await world.resolver.find("bank")).public_key


@pytest.mark.asyncio
async def test_find_trusted_peers_of_one_name_are_ambiguous() -> None:
    """Two trusted peers of one name are listed; a peer that renamed itself does not count."""
    world = World()
    for keys in (ALICE, BOB):
        world.trust(keys, "alpha")
        world.records.publish(keys, "alpha")
    with pytest.raises(Ambiguous):
        await world.resolver.find("alpha")
    world.book.untrust(BOB.public_key)
    world.records.publish(ALICE, "renamed")
    assert BOB.public_key == (await world.resolver.find("alpha")).public_key


@pytest.mark.asyncio
@pytest.mark.parametrize("successor", [None, BOB.public_key])
async def test_find_revoked_key_is_refused_with_successor(successor: PublicKey | None) -> None:
    """A revoked key is an error by every way to it, and the successor is named."""
    world = World()
    world.records.publish(ALICE, "alpha")
    await world.resolver.find("alpha")
    world.records.put(
        ALICE,
        Revocation(
            public_key=ALICE.public_key, issued_ms=int(NOW * 1000), ttl_s=7200, reason="stolen", successor=successor
        ),
    )
    for target in (ALICE.did, str(ALICE.address), "alpha"):
        with pytest.raises(KeyChanged, match="stolen") as caught:
            await world.resolver.find(target)
        assert successor is None or did_of(successor) in caught.value.hint


@pytest.mark.asyncio
async def test_find_address_of_known_key_is_not_taken_from_strangers() -> None:
    """Of two keys with one short address the known one is meant."""
    world = World()
    world.records.publish(ALICE)
    world.book.pin("alpha", ALICE.public_key, now=NOW)
    twin = NodeRecord(public_key=BOB.public_key, issued_ms=int(NOW * 1000) + 5, ttl_s=60)
    world.records.single[NodeRecord(public_key=ALICE.public_key, issued_ms=1, ttl_s=1).key, BOB.public_key] = (
        sign_record(BOB, twin)
    )
    assert ALICE.public_key == (await world.resolver.find(str(ALICE.address))).public_key


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["", "Alpha", "a b", "did:web:x", "0:12", "1:0000.0000.0000", "-a", "x" * 64])
async def test_find_malformed_target_is_the_callers_error(target: str) -> None:
    """What cannot be a name asks nobody."""
    world = World()
    with pytest.raises(InvalidArgument):
        await world.resolver.find(target)
    assert 0 == world.records.reads


@pytest.mark.asyncio
async def test_find_unknown_is_not_found() -> None:
    """Nobody is invented."""
    world = World()
    for target in ("alpha", ALICE.did, str(ALICE.address)):
        with pytest.raises(NotFound):
            await world.resolver.find(target)


@pytest.mark.asyncio
async def test_find_failing_reads_are_the_packages_errors() -> None:
    """An overloaded node says so, whatever runs at once underneath."""
    world = World()
    world.records.publish(ALICE, "alpha", ("mcp",))
    world.records.failure = Overloaded("too many requests")
    with pytest.raises(Overloaded):
        await world.resolver.find("alpha")
    with pytest.raises(Overloaded):
        await world.resolver.with_tag("mcp")


@pytest.mark.asyncio
async def test_with_tag_lists_live_carriers_once() -> None:
    """Only peers whose own record still carries the tag are listed, in order of address."""
    world = World()
    for number in range(1, 41):
        world.records.publish(KeyPair.from_seed(bytes([number]) * 32), tags=("mcp",))
    world.records.put(ALICE, TagEntry(public_key=ALICE.public_key, issued_ms=int(NOW * 1000), ttl_s=60, tag="mcp"))
    world.records.publish(BOB, tags=("other",))
    peers = await world.resolver.with_tag("mcp")
    assert 39 == len({peer.public_key for peer in peers}) == len(peers)
    assert BOB.public_key not in {peer.public_key for peer in peers}
    assert sorted(peer.address for peer in peers) == [peer.address for peer in peers]
    assert world.records.most_running <= FETCHES_AT_ONCE
    with pytest.raises(InvalidArgument):
        await world.resolver.with_tag("No Tag")


def test_own_records_say_what_the_node_is() -> None:
    """NODE first, then the name, then each tag; all signed and read back."""
    profile = Profile(public_key=ALICE.public_key, hostname="alpha", tags=("mcp", "finance"), is_server=True, network=3)
    built = own_records(profile)
    assert ["node", "name alpha", "tag mcp", "tag finance"] == list(built)
    records = [signed_record_untrusted(sign_record(ALICE, build(5)).wire).record for build in built.values()]
    assert [3, 3, 3, 3] == [record.network for record in records]
    assert ["mcp", "finance"] == [record.tag for record in records if isinstance(record, TagEntry)]
    assert isinstance(records[0], NodeRecord)
    assert NodeFlags.SERVER is records[0].flags
    assert ["node"] == list(own_records(replace(profile, hostname="", tags=())))


def test_node_record_too_large_drops_services_then_last_endpoints() -> None:
    """The most that a node can say still fits, and reads back."""
    profile = Profile(
        public_key=ALICE.public_key,
        hostname="h" * 63,
        tags=tuple(f"{number}" + "t" * 31 for number in range(9)),
        endpoints=tuple(Endpoint(f"2001:db8::{number}", 4000) for number in range(1, 13)),
        services=tuple(Service(name=f"{number:02}" + "s" * 30, port=65535) for number in range(12)),
    )
    record = node_record(profile, 2**53)
    signed = sign_record(ALICE, record)
    assert len(signed.wire) <= MAX_RECORD_BYTES
    assert signed_record_untrusted(signed.wire).record == record
    assert MAX_TAGS == len(record.tags)
    assert record.endpoints
    assert profile.endpoints[: len(record.endpoints)] == record.endpoints
    assert Address.of_public_key(ALICE.public_key) == record.address
