"""The colours of every plot, page and picture, defined once and safe for the colour-blind.

An implementation has the same colour everywhere. Colour is never the only carrier: lines are labelled, adversaries
are squares among dots. Hues follow Okabe and Ito (2008), "Color universal design", darkened to be readable as text.
"""

from __future__ import annotations

from collections.abc import Sequence

LIGHT = {
    "ink": "#1b1f24",
    "soft": "#5b636d",
    "line": "#c9ced6",
    "grid": "#e9ecf0",
    "paper": "#ffffff",
    "panel": "#f6f7f9",
    "ours": "#0067a6",
    "baseline": "#c2560a",
    "third": "#4c7a3d",
    "fourth": "#7a5ca8",
    "adversary": "#b0257b",
    "adversary2": "#7a2fd0",
    "adversary3": "#8a6d00",
    "good": "#1a7f4b",
    "bad": "#c0262d",
    "gone": "#b6bcc5",
}
"""Colours by role on white paper."""

DARK = {
    "ink": "#e8ebef",
    "soft": "#a2abb7",
    "line": "#48505b",
    "grid": "#2a3038",
    "paper": "#14181d",
    "panel": "#1c2128",
    "ours": "#62b5f0",
    "baseline": "#f59a4c",
    "third": "#9acb84",
    "fourth": "#bfa5ea",
    "adversary": "#f07ac0",
    "adversary2": "#b794ff",
    "adversary3": "#dcc24a",
    "good": "#5fce94",
    "bad": "#ff7b80",
    "gone": "#5a636f",
}
"""Colours by role on black."""

_ROLES = {"pilotdht": "ours", "kademlia": "baseline"}
_OTHER_ROLES = ("third", "fourth")
_ADVERSARIES = ("adversary", "adversary2", "adversary3")


def role_of(implementation: str) -> str:
    """Return the role whose colour an implementation has everywhere."""
    known = _ROLES.get(implementation)
    return _OTHER_ROLES[sum(implementation.encode()) % len(_OTHER_ROLES)] if known is None else known


def colour_of(implementation: str) -> str:
    """Return an implementation's colour on white, ``#rrggbb``."""
    return LIGHT[role_of(implementation)]


def adversary_roles(behaviours: Sequence[str]) -> dict[str, str]:
    """Return a role for each behaviour, in the order given; roles repeat when there are more than three."""
    return {name: _ADVERSARIES[number % len(_ADVERSARIES)] for number, name in enumerate(behaviours)}


def css_variables(colours: dict[str, str]) -> str:
    """Return declarations ``--role:#rrggbb;`` for a style sheet."""
    return "".join(f"--{role}:{colour};" for role, colour in colours.items())


def with_css_variables(svg: str) -> str:
    """Return an SVG drawn on white whose colours follow the style sheet of the page that it is put into."""
    for role, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{role})")
    return svg
