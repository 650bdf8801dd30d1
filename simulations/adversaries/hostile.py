"""What all attackers of our kind have in common: a real node whose answers are replaced once it has joined.

It goes on keeping its table, refreshing its own records and answering pings, so that honest nodes see a well-behaved
contact; and it always says that it can be reached, whatever the network tells it.
"""

from __future__ import annotations

from typing import TypeVar

from pilotdht.names.own import NODE_PUBLICATION
from pilotdht.net.outcomes import Sender
from pilotdht.node.node import Node
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import (
    MAX_CONTACTS,
    FindEntries,
    FindNode,
    FindRecord,
    FoundEntries,
    FoundRecord,
    Nodes,
    Ping,
    Pong,
    Store,
    StoreCode,
    Stored,
    StoreEntry,
)
from pilotdht.wire.message import Reply, Request
from simulations.adversaries.conspiracy import Conspiracy
from simulations.population.member import Identity

RequestT = TypeVar("RequestT", bound=Request)


class Hostile:
    """One attacker. This base acknowledges every write and forgets it, and swallows every question."""

    behaviour = ""
    """The name it goes by."""

    def __init__(self, node: Node, identity: Identity, conspiracy: Conspiracy) -> None:
        """Make it; :meth:`take_over` begins the attack.

        Args:
            node: running, and joined.
            identity: who it is.
            conspiracy: all attackers of its population.
        """
        self.identity = identity
        """Who it is."""
        self.conspiracy = conspiracy
        """All attackers."""
        self.contact = Contact(node.public_key, identity.endpoint)
        """Where it answers."""
        self.dht = node.rooms.dht
        """Its own honest part, which knows the way."""
        self.rpc = node.rooms.socket.rpc
        """What it asks and answers with."""
        conspiracy.join(self.behaviour, self.contact)

    def take_over(self) -> None:
        """Answer as an attacker from now on."""
        self.dht.store.clear()
        self.rpc.serve(Ping, self._ping)
        self.rpc.serve(FindNode, self._find_node)
        self.rpc.serve(FindRecord, self._find_record)
        self.rpc.serve(FindEntries, self._find_entries)
        self.rpc.serve(Store, self._store)
        self.rpc.serve(StoreEntry, self._store_entry)

    def answer_node(self, request: FindNode, sender: Sender) -> Reply | None:
        """Answer a question for contacts, or swallow it."""
        return None

    def answer_record(self, request: FindRecord, sender: Sender) -> Reply | None:
        """Answer a question for a record, or swallow it."""
        return None

    def answer_entries(self, request: FindEntries, sender: Sender) -> Reply | None:
        """Answer a question for entries, or swallow it."""
        return None

    def written(self, wire: bytes) -> None:
        """Take in what it was told to store; it is acknowledged in any case."""

    def token(self, sender: Sender) -> bytes:
        """Return what makes ``sender`` choose this node as a holder."""
        return self.rpc.store_token(sender)

    def known_near(self, target: bytes, sender: Sender) -> tuple[Contact, ...]:
        """Return the honest answer: the closest contacts in the table, the asker left out."""
        near = self.dht.table.nearest(target, MAX_CONTACTS + 1, with_failing=False)
        return tuple([one for one in near if one.node_id != sender.contact.node_id][:MAX_CONTACTS])

    def _heard(self, sender: Sender) -> None:
        self.rpc.is_client = False
        self.conspiracy.met(sender.contact)

    def _ping(self, _request: Ping, sender: Sender) -> Pong:
        self._heard(sender)
        return Pong()

    def _find_node(self, request: FindNode, sender: Sender) -> Reply | None:
        self._heard(sender)
        return self.answer_node(request, sender)

    def _find_record(self, request: FindRecord, sender: Sender) -> Reply | None:
        self._heard(sender)
        return self.answer_record(request, sender)

    def _find_entries(self, request: FindEntries, sender: Sender) -> Reply | None:
        self._heard(sender)
        return self.answer_entries(request, sender)

    def _store(self, request: Store, _sender: Sender) -> Stored:
        self.written(request.record)
        return Stored(StoreCode.STORED)

    def _store_entry(self, request: StoreEntry, _sender: Sender) -> Stored:
        self.written(request.entry)
        return Stored(StoreCode.STORED)


class Dropper(Hostile):
    """Answers pings, which keeps it in tables, and swallows reads; every second one draws writes in to lose them.

    Those with an odd number swallow lookups of every kind: each costs a walk a time-out. Those with an even number are
    selective: they answer lookups of nodes honestly and give a token, so that writers choose them as holders,
    acknowledge what is written, forget it, and swallow every read.

    Source: Castro et al., "Secure routing for structured peer-to-peer overlay networks", OSDI 2002, section 2 (messages
    dropped on the way); Karlof and Wagner, "Secure routing in wireless sensor networks", 2003 (selective forwarding).
    """

    behaviour = "dropper"

    def answer_node(self, request: FindNode, sender: Sender) -> Nodes | None:
        """Answer when selective, with a token."""
        if self.identity.number % 2:
            return None
        return Nodes(self.known_near(request.target, sender), self.token(sender))


class Polluter(Hostile):
    """Acknowledges writes, answers every read with something false, and names contacts that do not exist.

    Reads are answered in turn with an old version that is still valid (every second time: it is the one lie whose
    signature holds), the newest with a damaged signature, a record signed by another key, and an expired version.
    Contacts are half fellows and half inventions near the target at places of many networks, so that no limit a prefix
    sees them.

    Source: Liang, Naoumov and Ross, "The index poisoning attack in P2P file sharing systems", INFOCOM 2006; Wang et
    al., "Attacking the Kad network", SecureComm 2008 (false contacts closer than any real one); BEP 44 (old sequence
    numbers).
    """

    behaviour = "polluter"

    def __init__(self, node: Node, identity: Identity, conspiracy: Conspiracy) -> None:
        """Make it; what it was given to store while it still joined goes to the others too."""
        super().__init__(node, identity, conspiracy)
        self._turn = identity.number
        for held in self.dht.store:
            conspiracy.archive.keep(held.wire)

    def answer_node(self, request: FindNode, sender: Sender) -> Nodes:
        """Name fellows and inventions."""
        return Nodes(self._false_contacts(request.target), self.token(sender))

    def answer_record(self, request: FindRecord, sender: Sender) -> FoundRecord:
        """Return a lie, and the wrong way."""
        return FoundRecord(self._lie(request), self._false_contacts(request.key), self.token(sender))

    def answer_entries(self, request: FindEntries, sender: Sender) -> FoundEntries:
        """Return an entry that nobody signed, claim that there are many, and tell the wrong way."""
        newest = self.conspiracy.archive.newest(request.key, None)
        entries = () if newest is None else (_damaged(newest),)
        return FoundEntries(entries, 256, self._false_contacts(request.key), self.token(sender))

    def written(self, wire: bytes) -> None:
        """Remember every version: the oldest that is still valid is what readers will get."""
        self.conspiracy.archive.keep(wire)

    def _lie(self, request: FindRecord) -> bytes | None:
        self._turn += 1
        archive, now = self.conspiracy.archive, self.conspiracy.unix_time()
        if self._turn % 2:
            return archive.rolled_back(request.key, request.signer, now)
        if self._turn % 6 == 0:
            newest = archive.newest(request.key, request.signer)
            return None if newest is None else _damaged(newest)
        if self._turn % 6 == 2:
            own = self.dht.published(NODE_PUBLICATION)
            return None if own is None else own.wire
        return archive.expired(request.key, request.signer, now)

    def _false_contacts(self, target: bytes) -> tuple[Contact, ...]:
        half = MAX_CONTACTS // 2
        fellows = self.conspiracy.fellows(self.behaviour).nearest(target, half + 1)
        fellows = [one for one in fellows if one != self.contact][:half]
        decoys = self.conspiracy.decoys(target, MAX_CONTACTS - len(fellows), turn=self.identity.number)
        point = int.from_bytes(target, "big")
        return tuple(sorted(fellows + decoys, key=lambda one: one.point ^ point))


def _damaged(wire: bytes) -> bytes:
    """Return a record whose signature does not hold."""
    return wire[:-1] + bytes([wire[-1] ^ 1])
