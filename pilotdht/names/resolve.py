"""From what a person writes to a key: the resolution order, pins, and loud errors where a name is not certain.

The order: did:key or address literal, local alias, name of a trusted peer, then claims in the DHT. A name with a dot,
``host.org``, is asked of the org alone, when this node is in it: nobody else can claim such a name. A claim counts when
the claimer's own live record carries the same hostname. A single claim is taken and pinned, as ssh pins host keys; a
pin decides among several; without one, several claims are an error that lists them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pilotdht.errors import Ambiguous, InvalidArgument, KeyChanged, NotFound, PilotError
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of, parse_did
from pilotdht.identity.names import check_hostname, check_tag
from pilotdht.names.peer import Peer, Source, peer_of
from pilotdht.wire.records import (
    NameClaim,
    NodeRecord,
    RecordKey,
    Revocation,
    SignedRecord,
    TagEntry,
    name_key,
    node_key,
)

MAX_CLAIMS = 16
"""Claims of one name that are looked into; whoever floods a name with claims makes it ambiguous, not slow."""

FETCHES_AT_ONCE = 16
"""Records of tagged peers read at once."""


class RecordSource(Protocol):
    """What resolving needs of the DHT."""

    async def get_record(
        self, key: RecordKey, *, signer: PublicKey | None = None, quorum: int | None = None
    ) -> SignedRecord | None:
        """Return the newest live record under a key."""
        ...

    async def get_entries(self, key: RecordKey, *, limit: int = 256) -> list[SignedRecord]:
        """Return live entries under a key."""
        ...

    async def get_tag(self, tag: str, *, limit: int = 256) -> list[SignedRecord]:
        """Return live entries of a tag."""
        ...


class KnownNames(Protocol):
    """What this node itself remembers of names: its trust book."""

    def alias_key(self, alias: str) -> PublicKey | None:
        """Return the key that a local alias stands for."""
        ...

    def keys_at(self, address: Address) -> Sequence[PublicKey]:
        """Return the keys with this address that are trusted, pinned or have an alias; trusted ones first."""
        ...

    def keys_named(self, hostname: str) -> Sequence[PublicKey]:
        """Return the trusted keys last seen under a hostname."""
        ...

    def is_trusted(self, public_key: PublicKey) -> bool:
        """Return whether this node trusts a key."""
        ...

    def pin_of(self, hostname: str) -> PublicKey | None:
        """Return the key that a hostname is pinned to."""
        ...

    def pin(self, hostname: str, public_key: PublicKey, *, now: float) -> None:
        """Pin a hostname to a key."""
        ...


class Fellows(Protocol):
    """What this node knows of the members of its orgs."""

    def key_named(self, name: str) -> PublicKey | None:
        """Return the key of the member that ``host.org`` means; absent when the node is in no org of that name.

        Raises:
            NotFound: nobody in the org has that name.
            Ambiguous: several do.
        """
        ...

    def is_fellow(self, public_key: PublicKey) -> bool:
        """Return whether a key is a member of an org of this node: those trust one another."""
        ...


class Resolver:
    """Finds peers for one node."""

    def __init__(
        self,
        *,
        records: RecordSource,
        known: KnownNames,
        unix_time: Callable[[], float],
        network: int = 0,
        fellows: Fellows | None = None,
    ) -> None:
        """Make it.

        Args:
            records: the DHT.
            known: aliases, trust and pins.
            unix_time: for the dates of pins.
            network: the mesh to look in.
            fellows: members of orgs; absent: there are none.
        """
        self._fellows = fellows
        self._records = records
        self._known = known
        self._unix_time = unix_time
        self._network = network

    async def find(self, target: str) -> Peer:
        """Return the peer that ``target`` means.

        Args:
            target: a did:key, an address, an alias, a hostname or ``host.org``.

        Raises:
            InvalidArgument: none of these forms.
            NotFound: nobody live is found under it.
            Ambiguous: several keys claim the hostname.
            KeyChanged: the hostname is pinned to a key that does not claim it any more while another does, or the key
                was revoked.
        """
        if target.startswith("did:"):
            return await self._by_key(parse_did(target), Source.KEY, target)
        if ":" in target:
            return await self._by_address(Address.parse(target))
        aliased = self._known.alias_key(target)
        if aliased is not None:
            return await self._by_key(aliased, Source.ALIAS, target)
        if "." in target:
            return await self._by_org(target)
        hostname = check_hostname(target)
        return await self._by_trust(hostname) or await self._by_claims(hostname)

    async def with_tag(self, tag: str, *, limit: int = 256) -> list[Peer]:
        """Return the live peers that carry a tag, in the order of their addresses.

        Raises:
            InvalidArgument: the tag is malformed.
        """
        entries = await self._records.get_tag(check_tag(tag), limit=limit)
        keys = dict.fromkeys(e.record.public_key for e in entries if isinstance(e.record, TagEntry))
        found = [record for record in await self._node_records(keys) if tag in record.tags]
        peers = [self._peer(record, Source.TAG) for record in found]
        return sorted(peers, key=lambda peer: (peer.address, peer.public_key))

    async def _by_key(self, public_key: PublicKey, source: Source, target: str) -> Peer:
        record = await self._node_record(public_key)
        if record is None:
            raise NotFound(f"{target} has no live record", hint="the peer is offline, or has not joined this mesh")
        return self._peer(record, source)

    async def _by_org(self, name: str) -> Peer:
        """Return the member of an org that ``host.org`` means."""
        for label in name.split("."):
            check_hostname(label)
        key = None if self._fellows is None else self._fellows.key_named(name)
        if key is None:
            org = name.rpartition(".")[2]
            raise NotFound(
                f"{name!r} is nobody's name: this node is in no org called {org!r}",
                hint=f"join it with 'pilotdht join --org {org}', or use the peer's own hostname",
            )
        return await self._by_key(key, Source.ORG, name)

    async def _by_trust(self, hostname: str) -> Peer | None:
        """Return the trusted peer of that name; absent when there is none, or it calls itself otherwise by now.

        A pin is older than the name that a trusted peer gave itself later: trust does not let it take over names.
        """
        trusted = list(self._known.keys_named(hostname))
        pinned = self._known.pin_of(hostname)
        if pinned is not None:
            trusted = [key for key in trusted if key == pinned]
        if len(trusted) > 1:
            raise _ambiguous(hostname, trusted, self._network)
        if not trusted:
            return None
        peer = await self._by_key(trusted[0], Source.TRUST, hostname)
        return peer if peer.hostname == hostname else None

    async def _by_address(self, address: Address) -> Peer:
        if address.network != self._network:
            raise InvalidArgument(
                f"{address} belongs to network {address.network}", hint=f"this node is on network {self._network}"
            )
        same = self._known.keys_at(address)
        if same:  # an address is short: somebody else could have ground one like it
            return await self._by_key(same[0], Source.ADDRESS, str(address))
        signed = await self._records.get_record(node_key(address))
        record = _live_node(signed)
        if record is None:
            raise NotFound(f"{address} has no live record", hint="the peer is offline, or has not joined this mesh")
        return self._peer(record, Source.ADDRESS)

    async def _by_claims(self, hostname: str) -> Peer:
        claims = await self._records.get_entries(name_key(hostname, network=self._network), limit=MAX_CLAIMS)
        keys = dict.fromkeys(c.record.public_key for c in claims if isinstance(c.record, NameClaim))
        pinned = self._known.pin_of(hostname)
        if pinned is not None:  # the pinned key is asked even when somebody crowds out its claim
            keys = dict.fromkeys([pinned, *keys])
        live = [record for record in await self._node_records(keys) if record.hostname == hostname]
        by_key = {record.public_key: record for record in live}
        if pinned in by_key:
            return self._peer(by_key[pinned], Source.PIN)
        if not live:
            if pinned is not None:
                await self._node_record(pinned)  # says so when the key was revoked
            raise NotFound(f"nobody is known as {hostname!r}")
        if pinned is not None:
            await self._node_record(pinned)
            raise KeyChanged(
                f"{hostname!r} was {did_of(pinned)} and is now claimed by {', '.join(did_of(key) for key in by_key)}"
            )
        if len(live) > 1:
            live = [record for record in live if self._known.is_trusted(record.public_key)]
        if len(live) != 1:
            raise _ambiguous(hostname, list(by_key), self._network)
        self._known.pin(hostname, live[0].public_key, now=self._unix_time())
        return self._peer(live[0], Source.CLAIM)

    async def _node_records(self, keys: Iterable[PublicKey]) -> list[NodeRecord]:
        """Return the live NODE records of keys, in the order of the keys."""
        found: dict[PublicKey, NodeRecord] = {}
        failures: list[PilotError] = []
        gate = asyncio.Semaphore(FETCHES_AT_ONCE)

        async def fetch(key: PublicKey) -> None:
            address = Address.of_public_key(key, network=self._network)
            try:
                async with gate:
                    signed = await self._records.get_record(node_key(address), signer=key)
            except PilotError as error:
                failures.append(error)
                return
            if signed is not None and isinstance(signed.record, NodeRecord):
                found[key] = signed.record

        ordered = list(keys)
        async with asyncio.TaskGroup() as group:
            for key in ordered:
                group.create_task(fetch(key))
        if failures:  # half an answer could name the wrong one as the only one
            raise failures[0]
        return [found[key] for key in ordered if key in found]

    async def _node_record(self, public_key: PublicKey) -> NodeRecord | None:
        address = Address.of_public_key(public_key, network=self._network)
        return _live_node(await self._records.get_record(node_key(address), signer=public_key))

    def _peer(self, record: NodeRecord, source: Source) -> Peer:
        return peer_of(record, source=source, is_trusted=self._is_trusted(record.public_key))

    def _is_trusted(self, public_key: PublicKey) -> bool:
        is_fellow = self._fellows is not None and self._fellows.is_fellow(public_key)
        return is_fellow or self._known.is_trusted(public_key)


def _live_node(signed: SignedRecord | None) -> NodeRecord | None:
    if signed is None:
        return None
    record = signed.record
    if isinstance(record, Revocation):
        successor = f"use {did_of(record.successor)}" if record.successor else "ask the peer's owner for its new key"
        raise KeyChanged(
            f"the key of {record.address} was revoked: {record.reason or 'no reason given'}", hint=successor
        )
    return record if isinstance(record, NodeRecord) else None


def _ambiguous(hostname: str, keys: Sequence[PublicKey], network: int) -> Ambiguous:
    claims = tuple(f"{Address.of_public_key(key, network=network)} {did_of(key)}" for key in keys)
    return Ambiguous(f"{len(keys)} keys claim the name {hostname!r}: {'; '.join(claims)}", claims=claims)
