"""How attacks are laid out in the world: who attackers are, where they live, and honest churn that goes on meanwhile.

Scenarios use this and know nothing of an implementation; what differs between implementations is decided here.
"""

from __future__ import annotations

from collections.abc import Container, Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pilotdht.config.fields import tunable
from pilotdht.identity.address import Address
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import node_key
from simulations.adversaries.grinding import bits_for, grind, pilot_id_of
from simulations.baseline.records import seeds_near, stock_key_of
from simulations.churn.lifetimes import Weibull
from simulations.churn.turnover import keep_churning
from simulations.engine.streams import stream
from simulations.population.member import Identity
from simulations.population.population import Slot
from simulations.scenarios.scenario import Options
from simulations.stage import Stage
from simulations.world.places import address_of, endpoint_of

ATTACK_PLACES = 1_000_000
"""Number of the first prefix that attackers with few addresses live in: far above those of honest participants."""

HOSTS_PER_PREFIX = 254
"""Addresses of a /24 that can be used."""

SESSION_SHAPE = 0.5
"""Of the Weibull distribution of sessions and absences: many are short, few are very long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackOptions(Options):
    """What all attacks have in common: honest nodes come and go while they last."""

    mean_session_s: float = tunable(
        10_000.0,
        unit="s",
        low=10,
        high=1e7,
        reason="as in the scenario churn: attacks were measured without any so far",
    )
    """Mean time that an honest node stays."""
    mean_absence_s: float = tunable(
        2_500.0, unit="s", low=5, high=1e7, reason="with it a fifth of honest nodes is away"
    )
    """Mean time that an honest node is away."""
    landmarks: int = tunable(
        3, low=1, high=100, reason="a seed list of well-kept servers: who is told of liars alone cannot join anything"
    )
    """First participants, honest and always there, that all others join through."""


def settle_landmarks(stage: Stage, options: AttackOptions) -> range:
    """Have everybody join through the landmarks; return their numbers, which churn leaves alone."""
    stage.population.landmarks = options.landmarks
    return range(options.landmarks)


def honest_churn(
    stage: Stage, options: AttackOptions, *, name: str, excluded: Container[int]
) -> Coroutine[Any, Any, None]:
    """Return the coming and going of honest participants, for ever.

    Args:
        stage: whose population.
        options: how long they stay.
        name: of the stream that it draws from: one a part of a scenario.
        excluded: numbers of those that stay.
    """
    return keep_churning(
        stage.population,
        Weibull.with_mean(options.mean_session_s, shape=SESSION_SHAPE),
        Weibull.with_mean(options.mean_absence_s, shape=SESSION_SHAPE),
        random=stream(options.seed, "churn", name),
        excluded=excluded,
    )


def key_of(identity: Identity, implementation: str) -> bytes:
    """Return the 20-byte key under which a participant's record lies."""
    if implementation == "kademlia":
        return stock_key_of(identity)
    public_key = KeyPair.from_seed(identity.seed).public_key
    return node_key(Address.of_public_key(public_key))


def seeds_beside(
    victims: Sequence[Identity], *, count: int, nodes: int, random: Random, implementation: str
) -> list[list[bytes]]:
    """Return seeds of attackers whose ids lie next to each victim's record key, nearer than honest ones do.

    Stock ids are chosen, and so as near as can be; ours have to be ground.

    Args:
        victims: whose records are besieged.
        count: attackers a victim.
        nodes: participants of the network.
        random: where seeds are drawn from.
        implementation: ``pilotdht`` or ``kademlia``.
    """
    keys = [key_of(victim, implementation) for victim in victims]
    if implementation == "kademlia":
        return [seeds_near(key, count) for key in keys]
    return grind(keys, bits=bits_for(nodes), count=count, random=random, id_of=pilot_id_of)


def attack_place(prefix: int, index: int) -> Endpoint:
    """Return where the ``index``-th attacker of a prefix listens; beyond 254 they share addresses, not ports."""
    layer, host = divmod(index, HOSTS_PER_PREFIX)
    number = ATTACK_PLACES + prefix
    return Endpoint(address_of(number, host=host + 1), endpoint_of(number).port + layer)


def sybil_contacts(slots: Sequence[Slot], attackers: Container[Endpoint]) -> float | None:
    """Return the share of attackers among the contacts in the tables of honest participants; absent without any."""
    tables = [slot.member.contacts() for slot in slots if slot.member is not None and slot.is_up and slot.is_honest]
    total = sum(len(table) for table in tables)
    return sum(contact in attackers for table in tables for contact in table) / total if total else None
