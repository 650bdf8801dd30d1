"""Nodes as an implementation for scenarios that only ours can play: those about tunnels."""

from __future__ import annotations

from pilotdht.node.node import Node
from pilotdht.wire.verified import record_signatures
from simulations.population.pilot import PilotKind, PilotMember
from simulations.population.population import Slot
from simulations.world.world import World

SIGNATURES_REMEMBERED = 200_000
"""As for all scenarios about nodes: each record is checked by holders that are all in this process."""


class TunnelKind(PilotKind):
    """Makes participants that run our node; the baseline has no tunnels."""

    def __init__(self, world: World) -> None:
        """Make it.

        Args:
            world: where they live.
        """
        record_signatures.set_capacity(SIGNATURES_REMEMBERED)
        super().__init__(world)


def node_of(slot: Slot) -> Node:
    """Return the node of a participant that is up."""
    assert isinstance(slot.member, PilotMember), "who takes part runs our node"
    assert slot.member.node is not None, "who is up has started"
    return slot.member.node


def make_friends(one: Node, other: Node) -> None:
    """Have two nodes trust each other: they hear the words of the handshake without any datagram."""
    if not one.rooms.book.is_trusted(other.public_key):
        one.rooms.book.ask(other.public_key)
        _tell(one, other)
        other.rooms.book.approve(one.public_key)
        _tell(other, one)


def _tell(speaker: Node, hearer: Node) -> None:
    word = speaker.rooms.book.entry(hearer.public_key).word("")
    assert word is not None, "whoever asked or approved owes a word"
    _, answer = hearer.rooms.book.hear(speaker.public_key, word)
    speaker.rooms.book.learn(hearer.public_key, word, answer)
