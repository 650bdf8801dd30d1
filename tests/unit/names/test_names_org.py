"""``host.org`` means the member of an org of this node, and nobody else."""

from __future__ import annotations

import pytest

from pilotdht.errors import Ambiguous, InvalidArgument, NotFound
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.names.own import Profile, node_record
from pilotdht.names.peer import Source
from pilotdht.names.resolve import Resolver
from pilotdht.trust.book import TrustBook
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import RecordKey, SignedRecord, sign_record
from tests.support.trust_pair import WallClock

NOW = 1_700_000_000.0
ALICE, MALLORY = (KeyPair.from_seed(bytes([number]) * 32) for number in (1, 2))


class Records:
    """A DHT that holds the NODE records of two; Mallory calls itself whatever it likes."""

    def __init__(self) -> None:
        self.reads = 0
        self._signed: dict[PublicKey, SignedRecord] = {}
        for keys, hostname in ((ALICE, "laptop"), (MALLORY, "alice")):
            profile = Profile(
                public_key=keys.public_key, hostname=hostname, tags=("mcp",), endpoints=(Endpoint("192.0.2.1", 4000),)
            )
            self._signed[keys.public_key] = sign_record(keys, node_record(profile, int(NOW * 1000)))

    async def get_record(
        self, key: RecordKey, *, signer: PublicKey | None = None, quorum: int | None = None
    ) -> SignedRecord | None:
        """Return the signer's record."""
        self.reads += 1
        return None if signer is None else self._signed.get(signer)

    async def get_entries(self, key: RecordKey, *, limit: int = 256) -> list[SignedRecord]:
        """Return nothing: names of orgs are not claimed."""
        raise AssertionError("a name of an org was looked for among the claims")

    async def get_tag(self, tag: str, *, limit: int = 256) -> list[SignedRecord]:
        """Return nothing."""
        return []


class Acme:
    """The org of this node, in which ``alice`` is one key and two call themselves ``twin``."""

    def key_named(self, name: str) -> PublicKey | None:
        """Return whom a name means."""
        hostname, _, org = name.rpartition(".")
        if org != "acme":
            return None
        if hostname == "twin":
            raise Ambiguous("2 members are called 'twin'")
        if hostname != "alice":
            raise NotFound(f"no member is called {hostname!r}")
        return ALICE.public_key

    def is_fellow(self, public_key: PublicKey) -> bool:
        """Return whether a key is a member."""
        return public_key == ALICE.public_key


def resolver(fellows: Acme | None) -> tuple[Resolver, Records]:
    """Return a resolver, and what it reads."""
    records = Records()
    book = TrustBook(None, unix_time=WallClock(NOW))
    return Resolver(records=records, known=book, unix_time=WallClock(NOW), fellows=fellows), records


@pytest.mark.asyncio
async def test_name_in_an_org_is_its_member() -> None:
    """Whatever the member calls itself elsewhere; members are trusted."""
    peer = await resolver(Acme())[0].find("alice.acme")

    assert (ALICE.public_key, "laptop", True, Source.ORG) == (
        peer.public_key,
        peer.hostname,
        peer.is_trusted,
        peer.source,
    )
    assert not (await resolver(None)[0].find(ALICE.did)).is_trusted


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "failure"), [("bob.acme", NotFound), ("twin.acme", Ambiguous), ("alice.umbrella", NotFound)]
)
async def test_name_that_means_nobody_is_looked_for_nowhere_else(name: str, failure: type[Exception]) -> None:
    """No claim in the DHT can stand in for a member."""
    here, records = resolver(Acme())
    with pytest.raises(failure):
        await here.find(name)

    assert 0 == records.reads


@pytest.mark.asyncio
async def test_node_without_orgs_says_what_is_missing() -> None:
    """The hint names the org."""
    with pytest.raises(NotFound, match="no org called 'acme'") as caught:
        await resolver(None)[0].find("alice.acme")

    assert "--org acme" in caught.value.hint


@pytest.mark.asyncio
@pytest.mark.parametrize("name", [".acme", "alice.", "Alice.acme", "a..b", "."])
async def test_malformed_name_in_an_org_is_the_callers_error(name: str) -> None:
    """Each label is a hostname."""
    with pytest.raises(InvalidArgument):
        await resolver(Acme())[0].find(name)
