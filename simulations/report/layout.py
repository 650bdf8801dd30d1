"""Where nodes stand in a picture of the network: a disc a region, discs packed like bubbles, the sides of a cut apart.

A node keeps its place within its disc from one snapshot to the next, so that pictures can be compared by eye.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulations.results.result import Snapshot

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
"""Turn from one seed of a sunflower to the next: fills a disc evenly whatever the number (Vogel, 1979)."""

_AIR = 0.2
_LEAST_RADIUS = 0.9
_DIRECTIONS = 48


@dataclass(frozen=True, slots=True)
class Disc:
    """The nodes of one region, or of its part on one side of a cut."""

    region: str
    """Name of the region."""
    side: int
    """Of the cut; 0 when there is none."""
    x: float
    """Middle, in units of the picture."""
    y: float
    """Middle, downwards."""
    radius: float
    """In units of the picture."""
    nodes: tuple[int, ...]
    """Numbers of its nodes, ascending."""


@dataclass(frozen=True, slots=True)
class Column:
    """The part of a picture that one side of a cut takes."""

    side: int
    """Of the cut; 0 when there is none."""
    name: str
    """``A``, ``B``, …; empty when there is no cut."""
    x: float
    """Left edge."""
    width: float
    """Its width."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands."""

    discs: tuple[Disc, ...]
    """All discs."""
    columns: tuple[Column, ...]
    """A column a side, from the left."""
    places: dict[int, tuple[float, float]]
    """Middle of each node by its number."""
    spacing: float
    """Distance between neighbours."""


def layout_of(snapshot: Snapshot, *, width: float, height: float, margin: float) -> Layout:
    """Place the nodes of a snapshot.

    Args:
        snapshot: the network.
        width: of the picture.
        height: of the picture.
        margin: kept free around each side's part, and three times that above it, for labels.
    """
    members: dict[int, dict[str, list[int]]] = {}
    for number, region, _state, side in snapshot.nodes:
        members.setdefault(side, {}).setdefault(region, []).append(number)
    columns = _columns({side: sum(map(len, regions.values())) for side, regions in sorted(members.items())}, width)
    packed = {column.side: _packed(members[column.side], column.width / height) for column in columns}
    # one scale for all sides: a dot is a node, wherever it is
    scales = [_scale(packed[column.side], column.width - 2 * margin, height - 4 * margin) for column in columns]
    scale = min(scales, default=1.0)
    discs, places = [], {}
    for column in columns:
        left, top, right, bottom = _bounds(list(packed[column.side].values()))
        x0 = column.x + column.width / 2 - scale * (left + right) / 2
        y0 = (height + 2 * margin) / 2 - scale * (top + bottom) / 2
        for region, (x, y, radius) in packed[column.side].items():
            nodes = sorted(members[column.side][region])
            disc = Disc(region, column.side, x0 + scale * x, y0 + scale * y, scale * radius, tuple(nodes))
            discs.append(disc)
            places.update(_sunflower(disc, scale))
    return Layout(tuple(discs), tuple(columns), places, 1.77 * scale)


def _columns(counts: dict[int, int], width: float) -> list[Column]:
    """Share the width among the sides by their nodes; none is narrower than half of an even share."""
    total = sum(counts.values()) or 1
    weights = {side: max(count / total, 0.5 / len(counts)) for side, count in counts.items()}
    columns: list[Column] = []
    x = 0.0
    for side, weight in weights.items():
        part = width * weight / sum(weights.values())
        name = chr(ord("A") + len(columns) % 26) if len(counts) > 1 else ""
        columns.append(Column(side, name, x, part))
        x += part
    return columns


def _packed(regions: dict[str, list[int]], aspect: float) -> dict[str, tuple[float, float, float]]:
    """Pack a disc a region around the middle, the largest first: middle and radius of each."""
    order = sorted(regions, key=lambda region: (-len(regions[region]), region))
    placed: dict[str, tuple[float, float, float]] = {}
    for region in order:
        radius = max(_LEAST_RADIUS, math.sqrt(len(regions[region])))
        placed[region] = (*_free_place(list(placed.values()), radius, aspect), radius)
    return placed


def _free_place(placed: Sequence[tuple[float, float, float]], radius: float, aspect: float) -> tuple[float, float]:
    """Return the free place beside the discs that lets the whole be drawn largest in a part of this aspect."""
    if not placed:
        return 0.0, 0.0
    air = _AIR * max(one[2] for one in placed) + 1.5
    now = _bounds(placed)
    best = (math.inf, math.inf, 0.0, 0.0)
    for x, y, other in placed:
        for step in range(_DIRECTIONS):
            angle = step * math.tau / _DIRECTIONS
            reach = other + radius + air
            at_x, at_y = x + reach * math.cos(angle), y + reach * math.sin(angle)
            if any(math.hypot(at_x - one_x, at_y - one_y) < one + radius + air - 1e-9 for one_x, one_y, one in placed):
                continue
            width = max(now[2], at_x + radius) - min(now[0], at_x - radius)
            height = max(now[3], at_y + radius) - min(now[1], at_y - radius)
            rank = (round(max(width / aspect, height), 6), round(math.hypot(at_x, at_y), 6), at_x, at_y)
            best = min(best, rank)
    return best[2], best[3]


def _bounds(discs: Sequence[tuple[float, float, float]]) -> tuple[float, float, float, float]:
    return (
        min(x - radius for x, _, radius in discs),
        min(y - radius for _, y, radius in discs),
        max(x + radius for x, _, radius in discs),
        max(y + radius for _, y, radius in discs),
    )


def _scale(discs: dict[str, tuple[float, float, float]], width: float, height: float) -> float:
    left, top, right, bottom = _bounds(list(discs.values()))
    return max(1e-6, min(width / (right - left), height / (bottom - top)))


def _sunflower(disc: Disc, scale: float) -> dict[int, tuple[float, float]]:
    places = {}
    for index, number in enumerate(disc.nodes):
        reach = scale * math.sqrt(index + 0.5)
        angle = index * GOLDEN_ANGLE
        places[number] = (disc.x + reach * math.cos(angle), disc.y + reach * math.sin(angle))
    return places
