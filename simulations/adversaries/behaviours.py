"""The ways to misbehave by name, and how a running node of ours is turned to one."""

from __future__ import annotations

from pilotdht.errors import InvalidArgument
from pilotdht.node.node import Node
from simulations.adversaries.besiegers import Eclipser, Sybil
from simulations.adversaries.conspiracy import Conspiracy
from simulations.adversaries.hostile import Dropper, Hostile, Polluter
from simulations.population.member import Identity

__all__ = ["BEHAVIOURS", "HONEST", "Conspiracy", "corrupt"]

HONEST = "honest"
"""The behaviour of whoever follows the protocol."""

BEHAVIOURS: dict[str, type[Hostile]] = {one.behaviour: one for one in (Dropper, Polluter, Sybil, Eclipser)}
"""Attackers by the name of what they do."""


def corrupt(node: Node, identity: Identity, behaviour: str, conspiracy: Conspiracy) -> None:
    """Make a running node that has joined an attacker; nothing turns it back.

    Args:
        node: running.
        identity: who it is.
        behaviour: a name of :data:`BEHAVIOURS`.
        conspiracy: all attackers of its population.

    Raises:
        InvalidArgument: there is no such behaviour.
    """
    kind = BEHAVIOURS.get(behaviour)
    if kind is None:
        raise InvalidArgument(f"{behaviour[:80]!r} is no behaviour", hint=f"there are {', '.join(BEHAVIOURS)}")
    kind(node, identity, conspiracy).take_over()
