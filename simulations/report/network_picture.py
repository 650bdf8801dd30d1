"""Pictures of the network as SVG: a dot a node, coloured by its state, in discs by region, the sides of a cut apart.

Many nodes make one path of dots a state instead of an element each: 10,000 nodes take about 150 kB.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulations.report.canvas import shown
from simulations.report.layout import Column, Disc, Layout, layout_of
from simulations.report.palette import adversary_roles, role_of
from simulations.report.quantities import duration
from simulations.results.result import Result, Snapshot

WIDTH, HEIGHT, MARGIN = 10_000, 6_200, 260
"""Units of a picture: fine enough that whole numbers place a dot."""

FONT_SIZE = 250
"""Of labels, in units: readable where three pictures stand side by side."""

MOST_HOVERED = 400
"""Up to so many nodes each dot tells who it is when the pointer rests on it."""

DOTS_PER_PATH = 500
"""Browsers draw a stroke of very many pieces as a hairline, without the caps that make dots."""

_HONEST = ("up", "down")


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment of the network."""

    label: str
    """``before``, ``during``, ``after`` and the like."""
    time_s: float
    """Virtual seconds since the run began."""
    svg: str
    """An ``<svg>`` element; its colours are variables of the page."""
    counts: tuple[tuple[str, str, int], ...]
    """State, role of its colour, number of nodes."""


def pictures_of(result: Result) -> list[Picture]:
    """Return a picture of each snapshot of a run that shows anybody."""
    snapshots = [one for one in result.snapshots if one.nodes]
    behaviours = sorted(
        dict.fromkeys(state for one in snapshots for _, _, state, _ in one.nodes if state not in _HONEST)
    )
    roles = {"up": role_of(result.implementation), "down": "gone", **adversary_roles(behaviours)}
    return [_picture(one, roles) for one in snapshots]


def _picture(snapshot: Snapshot, roles: dict[str, str]) -> Picture:
    layout = layout_of(snapshot, width=WIDTH, height=HEIGHT, margin=MARGIN)
    by_state: dict[str, list[int]] = {}
    for number, _region, state, _side in snapshot.nodes:
        by_state.setdefault(state, []).append(number)
    states = sorted(by_state, key=lambda state: list(roles).index(state))
    counts = tuple((state, roles[state], len(by_state[state])) for state in states)
    words = ", ".join(f"{count:,} {state}" for state, _, count in counts)
    sides = len(layout.columns)
    cut = f", cut into {sides} sides" if sides > 1 else ""
    title = f"The network {shown(snapshot.label, 60)}: {words}{cut}"
    parts = [
        f'<svg class="network" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">',
        *_dividers(layout),
        *_links(snapshot, layout),
    ]
    diameter = min(160.0, max(16.0, layout.spacing * 0.66))
    # the dead lie below the living, adversaries on top
    for state in sorted(states, key=lambda state: ("down", "up").index(state) if state in _HONEST else 2):
        parts += _dots(snapshot, layout, state, roles[state], by_state[state], diameter)
    parts += _labels(layout)
    parts.append("</svg>")
    return Picture(snapshot.label, snapshot.time_s, "".join(parts), counts)


def _dots(
    snapshot: Snapshot, layout: Layout, state: str, role: str, numbers: Sequence[int], diameter: float
) -> list[str]:
    is_adversary = state not in _HONEST
    if state == "down":
        look, width = f'fill="var(--paper)" stroke="var(--{role})"', diameter * 0.28
    else:
        look, width = f'fill="var(--{role})" stroke="none"', 0.0
    if len(snapshot.nodes) <= MOST_HOVERED:
        regions = {number: region for number, region, _, _ in snapshot.nodes}
        radius = (diameter - width) / 2
        dots = []
        for number in numbers:
            x, y = layout.places[number]
            who = f"node {number}, {shown(regions[number], 40)}, {shown(state, 40)}"
            tip = f"<title>{html.escape(who)}</title>"
            if is_adversary:
                edge = radius * 1.8
                dots.append(
                    f'<rect x="{x - edge / 2:.0f}" y="{y - edge / 2:.0f}" '
                    f'width="{edge:.0f}" height="{edge:.0f}">{tip}</rect>'
                )
            else:
                dots.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}">{tip}</circle>')
        return [f'<g {look} stroke-width="{width:.0f}">', *dots, "</g>"]
    paths = [_points(layout, numbers[first : first + DOTS_PER_PATH]) for first in range(0, len(numbers), DOTS_PER_PATH)]
    cap = "square" if is_adversary else "round"
    across = diameter * (0.8 if is_adversary else 1.0)
    drawn = [_stroked(paths, role, across, cap)]
    if state == "down":  # a ring: the same dots once more, smaller, in the colour of the paper
        drawn.append(_stroked(paths, "paper", across * 0.5, cap))
    return drawn


def _stroked(paths: Sequence[str], role: str, width: float, cap: str) -> str:
    inner = "".join(f'<path d="{path}"/>' for path in paths)
    return f'<g fill="none" stroke="var(--{role})" stroke-width="{width:.0f}" stroke-linecap="{cap}">{inner}</g>'


def _points(layout: Layout, numbers: Sequence[int]) -> str:
    """Return a path of lines of length 1, which round caps make dots; relative steps, sorted, are short."""
    places = sorted((round(x), round(y)) for x, y in (layout.places[number] for number in numbers))
    steps, at_x, at_y = [], 0, 0
    for x, y in places:
        steps.append(f"m{x - at_x}{y - at_y:+d}h1" if y < at_y else f"m{x - at_x} {y - at_y}h1")
        at_x, at_y = x + 1, y
    return "".join(steps)


def _links(snapshot: Snapshot, layout: Layout) -> list[str]:
    """Draw who knows whom, thin and pale; knowledge of nodes that are down is in another colour."""
    down = {number for number, _, state, _ in snapshot.nodes if state == "down"}
    lines: dict[str, list[str]] = {"line": [], "bad": []}
    for first, second in snapshot.links:
        if first not in layout.places or second not in layout.places or first == second:
            continue
        (x, y), (to_x, to_y) = layout.places[first], layout.places[second]
        lines["bad" if second in down else "line"].append(f"M{x:.0f} {y:.0f}L{to_x:.0f} {to_y:.0f}")
    total = sum(map(len, lines.values()))
    strength = min(0.6, max(0.1, 9 / math.sqrt(total + 1)))
    width = min(12, max(4, round(layout.spacing * 0.05)))
    return [
        f'<path d="{"".join(found)}" fill="none" stroke="var(--{role})" stroke-width="{width}" '
        f'stroke-opacity="{strength:.2f}"/>'
        for role, found in lines.items()
        if found
    ]


def _labels(layout: Layout) -> list[str]:
    named = [disc for disc in layout.discs if disc.region]
    if len(dict.fromkeys(disc.region for disc in named)) < 2:
        return []
    columns = {column.side: column for column in layout.columns}
    return [
        f'<text x="{_label_x(disc, columns[disc.side]):.0f}" y="{disc.y - disc.radius - 75:.0f}" class="region">'
        f"{html.escape(shown(disc.region, 24))}"
        f'<tspan class="count"> {len(disc.nodes):,}</tspan></text>'
        for disc in named
    ]


def _label_x(disc: Disc, column: Column) -> float:
    """Return where a label is centred: over its disc, as far as its side of the picture has room."""
    half = min(column.width / 2, 0.29 * FONT_SIZE * len(shown(disc.region, 24)) + 60)
    return min(max(disc.x, column.x + half), column.x + column.width - half)


def _dividers(layout: Layout) -> list[str]:
    if len(layout.columns) < 2:
        return []
    parts = []
    for column in layout.columns:
        parts.append(f'<text x="{column.x + column.width / 2:.0f}" y="240" class="side">side {column.name}</text>')
        if column.x > 0:
            parts.append(f'<path d="M{column.x:.0f} 60V{HEIGHT - 60}" class="cut"/>')
    return parts


def moment(picture: Picture) -> str:
    """Return when a picture was taken, in words."""
    return f"{duration(picture.time_s)} after the run began"
