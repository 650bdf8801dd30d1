"""Attackers who come in numbers: they crowd into tables, name nobody but each other, deny that anything is there."""

from __future__ import annotations

import asyncio
import contextlib

from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.net.outcomes import Answered, Outcome, Sender
from pilotdht.net.pending import Deliver
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
)
from simulations.adversaries.conspiracy import Conspiracy
from simulations.adversaries.hostile import Hostile
from simulations.engine.streams import stream
from simulations.population.member import Identity

KNOCK_INTERVAL_S = 5.0
"""Each attacker pings somebody this often: faster gains little, as newcomers are verified at two a second at most."""

NEIGHBOURS = 32
"""An eclipsing node knocks at so many of the nodes next to its id: those are asked for the way to the besieged key."""


class Besieger(Hostile):
    """Forgets what it acknowledges, has nothing, names none but fellows, and knocks at honest nodes' doors for ever."""

    def __init__(self, node: Node, identity: Identity, conspiracy: Conspiracy) -> None:
        """Make it."""
        super().__init__(node, identity, conspiracy)
        self._random = stream(conspiracy.seed, "knocks", identity.number)

    def take_over(self) -> None:
        """Answer as an attacker, and begin to knock."""
        super().take_over()
        self._knock_later()

    def answer_node(self, request: FindNode, sender: Sender) -> Nodes:
        """Name fellows."""
        return Nodes(self._fellows_near(request.target), self.token(sender))

    def answer_record(self, request: FindRecord, sender: Sender) -> FoundRecord:
        """Deny the record, and name fellows."""
        return FoundRecord(None, self._fellows_near(request.key), self.token(sender))

    def answer_entries(self, request: FindEntries, sender: Sender) -> FoundEntries:
        """Deny that there are entries, and name fellows."""
        return FoundEntries((), 0, self._fellows_near(request.key), self.token(sender))

    def door(self) -> Contact | None:
        """Return at whose door to knock next; absent when nobody is known."""
        raise NotImplementedError

    def _fellows_near(self, target: bytes) -> tuple[Contact, ...]:
        near = self.conspiracy.fellows(self.behaviour).nearest(target, MAX_CONTACTS + 1)
        return tuple([one for one in near if one != self.contact][:MAX_CONTACTS])

    def _knock_later(self) -> None:
        delay_s = KNOCK_INTERVAL_S * self._random.uniform(0.5, 1.5)
        asyncio.get_running_loop().call_later(delay_s, self._knock)

    def _knock(self) -> None:
        door = self.door()
        if door is None or self._ping_twice(door):
            self._knock_later()  # else it was stopped

    def _ping_twice(self, contact: Contact) -> bool:
        """Ping, and again with the token that the answer brings: only who shows one is let into a table."""

        def answered(outcome: Outcome | NodeClosed) -> None:
            if isinstance(outcome, Answered):
                self._knock_at(contact, _ignore)

        return self._knock_at(contact, answered)

    def _knock_at(self, contact: Contact, deliver: Deliver) -> bool:
        """Send a ping; return false when this node runs no more."""
        self.rpc.is_client = False
        with contextlib.suppress(Overloaded):
            try:
                self.rpc.begin(contact, Ping(), deliver)
            except NodeClosed:
                return False
        return True


class Sybil(Besieger):
    """One of many ids of one owner: it gets into as many tables as let it in, and is to be found everywhere.

    Source: Douceur, "The Sybil attack", IPTPS 2002; Wang et al., "Attacking the Kad network", SecureComm 2008 (crowding
    into tables by asking); Steiner, En-Najjary and Biersack, "Exploiting KAD", 2007.
    """

    behaviour = "sybil"

    def __init__(self, node: Node, identity: Identity, conspiracy: Conspiracy) -> None:
        """Make it; whom it met while it still joined is told to the others."""
        super().__init__(node, identity, conspiracy)
        for known in self.dht.contacts():
            conspiracy.met(known.contact)

    def door(self) -> Contact | None:
        """Return anybody whom any of them met."""
        return self.conspiracy.someone(self._random)


class Eclipser(Besieger):
    """Its id was made to lie next to a record's key: it is to be among those that are asked for the record.

    Source: Cholez and Ignat, "Sybil attack strikes again: denying content access in IPFS with a single computer", ARES
    2024; Prünster et al., "Total eclipse of the heart", USENIX Security 2022; Singh et al., "Eclipse attacks on overlay
    networks", INFOCOM 2006.
    """

    behaviour = "eclipse"

    def door(self) -> Contact | None:
        """Return one of the honest nodes next to its id, and so to the besieged key."""
        fellows = self.conspiracy.fellows(self.behaviour)
        near = [one for one in self.dht.table.nearest(self.contact.node_id, NEIGHBOURS) if one not in fellows]
        return self._random.choice(near) if near else None


def _ignore(_: Outcome | NodeClosed) -> None:
    pass
