"""Behind what the nodes of a mesh stand, and how many behind each: a mix that can be typed. Pure.

No measurement has counted all of this, least of all for machines that run agents. Known is:

* more than nine in ten DSL lines have a NAT, and up to half of them several hosts behind it (Maier, Schneider,
  Feldmann, "NAT usage in residential broadband networks", PAM 2011);
* more than nine in ten cellular networks share addresses among customers (Richter et al., "A multi-perspective
  analysis of carrier-grade NAT deployment", IMC 2016);
* of the tries of two peers behind NATs to meet, over 80 % succeeded in one file-sharing network (Halkes and Pouwelse,
  "UDP NAT and firewall puncturing in the wild", 2010), and 70 % with a deviation of 7.1 in another (Trautwein et al.,
  "Challenging tribal knowledge", 2025), those that block UDP included.

The shares of :data:`USUAL_MIX` are an estimate that agrees with it: of two of its nodes that both stand behind a NAT
which filters, 80 % can meet without guessing ports. Who may send no UDP at all is left out, as nothing but UDP is
simulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from pilotdht.errors import InvalidArgument

LANDMARKS = 5
"""Nodes in public that all others join through: three networks to be asked, and two that may be lost."""

HOUSEHOLD = 3
"""Nodes behind one router, where several are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stands between a node and the world."""

    nat: str | None
    """The kind of NAT, by :data:`simulations.world.nat.NAT_KINDS`; absent: nothing."""
    is_open: bool = False
    """Whether strangers reach it there."""
    is_random: bool = False
    """Whether each peer sees it at another port."""
    filters_ports: bool = False
    """Whether only the very endpoints that it sent to reach it."""


SURROUNDINGS: dict[str, Surroundings] = {
    "public": Surroundings(nat=None, is_open=True),
    "open": Surroundings(nat="open", is_open=True),
    "full_cone": Surroundings(nat="full_cone", is_open=True),
    "restricted": Surroundings(nat="restricted"),
    "port_restricted": Surroundings(nat="port_restricted", filters_ports=True),
    "shared": Surroundings(nat="port_restricted", filters_ports=True),
    "symmetric": Surroundings(nat="symmetric", is_random=True, filters_ports=True),
    "cgnat": Surroundings(nat="cgnat", filters_ports=True),
}
"""By name, from those that are easily reached to those that are not.

``open`` is a cloud machine whose public address is translated one to one; ``shared`` are several nodes behind one
port-restricted router; ``cgnat`` is a home router behind a carrier's NAT.
"""

USUAL_MIX = (
    "public=0.1,open=0.05,full_cone=0.08,restricted=0.07,port_restricted=0.38,shared=0.1,symmetric=0.1,cgnat=0.12"
)
"""The mix that stands for the Internet here: an estimate, see above."""


def parsed_mix(text: str) -> dict[str, float]:
    """Return the share of each kind of surroundings, in the order of :data:`SURROUNDINGS`.

    Args:
        text: ``public=0.2,port_restricted=0.8``; what is not named has no share.

    Raises:
        InvalidArgument: a kind is unknown or named twice, a share is no number above 0, or they are not 1 together.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in SURROUNDINGS or name in found:
            problem = "is named twice" if name in found else "is nothing that a node stands behind"
            raise InvalidArgument(f"{name[:40]!r} {problem}", hint=f"there are {', '.join(SURROUNDINGS)}")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = math.nan
        if not 0 < found[name] <= 1:
            raise InvalidArgument(f"{value[:40]!r} is no share of {name}", hint="write a number above 0, up to 1")
    if abs(sum(found.values()) - 1) > 1e-6:
        raise InvalidArgument(f"the shares of the mix are {sum(found.values()):g} together", hint="make them 1")
    return {name: found[name] for name in SURROUNDINGS if name in found}


def counted(mix: dict[str, float], count: int) -> dict[str, int]:
    """Return how many of ``count`` nodes have which surroundings, as near to the shares as whole numbers can be."""
    exact = {name: part * count for name, part in mix.items()}
    whole = {name: int(number) for name, number in exact.items()}
    by_rest = sorted(exact, key=lambda name: whole[name] - exact[name])
    for name in by_rest[: count - sum(whole.values())]:
        whole[name] += 1
    return whole


def drawn_surroundings(mix: dict[str, float], count: int, random: Random) -> list[str]:
    """Return the surroundings of each of ``count`` nodes: the landmarks are in public, the rest is shuffled.

    Raises:
        InvalidArgument: fewer than :data:`LANDMARKS` of them are in public.
    """
    counts = counted(mix, count)
    if counts.get("public", 0) < LANDMARKS:
        raise InvalidArgument(
            f"{counts.get('public', 0)} of {count} nodes would be in public, and {LANDMARKS} are needed",
            hint="raise the share of public, or the number of nodes",
        )
    counts["public"] -= LANDMARKS
    rest = [name for name, number in counts.items() for _ in range(number)]
    random.shuffle(rest)
    return ["public"] * LANDMARKS + rest


def can_meet(one: str, other: str) -> bool:
    """Return whether two kinds of surroundings let their nodes meet directly without guessing ports.

    A random port is learned from the first packet; the side that is to learn it must let that packet in.
    """
    sides = SURROUNDINGS[one], SURROUNDINGS[other]
    return not any(side.is_random and peer.filters_ports for side, peer in (sides, sides[::-1]))


def may_meet_by_chance(one: str, other: str) -> bool:
    """Return whether two kinds meet only when many ports are tried: one is random, the other can be foreseen."""
    return not can_meet(one, other) and SURROUNDINGS[one].is_random != SURROUNDINGS[other].is_random


def needs_punching(one: str, other: str) -> bool:
    """Return whether neither side lets strangers in."""
    return not SURROUNDINGS[one].is_open and not SURROUNDINGS[other].is_open
