"""Puts the participants of a simulation behind NATs: some alone, some in households with a router in common."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pilotdht.wire.endpoint import Endpoint
from simulations.population.population import Population, Slot
from simulations.roads.mix import HOUSEHOLD, SURROUNDINGS
from simulations.world.nat import Nat
from simulations.world.network import MemoryNetwork
from simulations.world.places import PORT, address_of, private_address_of

MAPPING_LIVES_S = (30.0, 60.0, 120.0, 180.0, 300.0)
"""How long routers remember a mapping that is not used from inside; each router has one of these.

The spread is an estimate; RFC 4787 (REQ-5) asks for 120 s at least and recommends 300 s, and not all obey.
"""


class Town:
    """Who lives where."""

    def __init__(self, population: Population, kinds: Sequence[str], *, random: Random) -> None:
        """Make a participant for each kind of surroundings, and put it there; nobody is started.

        Args:
            population: who makes them.
            kinds: of :data:`simulations.roads.mix.SURROUNDINGS`.
            random: draws the lives of mappings.
        """
        self.slots: list[Slot] = []
        """Everybody, in the order of the kinds."""
        self._network: MemoryNetwork = population.world.network
        self._random = random
        self._kinds: dict[int, str] = {}
        self._homes: dict[int, list[Slot]] = {}
        self._household: list[Slot] = []
        self._router: Nat | None = None
        for kind in kinds:
            self._settle(population, kind)

    def kind_of(self, slot: Slot) -> str:
        """Return behind what a participant stands."""
        return self._kinds[slot.identity.number]

    def neighbours_of(self, slot: Slot) -> list[Slot]:
        """Return the others behind the same router."""
        return [one for one in self._homes.get(slot.identity.number, ()) if one is not slot]

    def router_of(self, slot: Slot) -> Nat | None:
        """Return the router that is next to a participant; absent in public."""
        return self._network.host_of(slot.identity.endpoint.host).behind

    def _settle(self, population: Population, kind: str) -> None:
        number = len(population.slots)
        nat = SURROUNDINGS[kind].nat
        if nat is None:
            slot = population.add()
        else:
            host = private_address_of(number)
            self._place(host, kind, nat, address_of(number))
            slot = population.add(endpoint=Endpoint(host, PORT))
        if kind == "shared":
            self._household.append(slot)
            self._homes[number] = self._household
        self._kinds[number] = kind
        self.slots.append(slot)

    def _place(self, host: str, kind: str, nat: str, outside: str) -> None:
        life_s = self._random.choice(MAPPING_LIVES_S)
        if kind != "shared":
            self._network.place_behind_kind(host, nat, outside, life_s=life_s)
        elif self._router is None or len(self._household) >= HOUSEHOLD:
            self._router = self._network.place_behind_kind(host, nat, outside, life_s=life_s)
            self._household = []
        else:
            self._network.place_behind(host, self._router)
