"""The dashboards, one module each, in the order in which one looks at them."""

from __future__ import annotations

from scripts.observability.dashboards import dht, groups, mesh, node, relays, tunnels
from scripts.observability.panels import Page

PAGES: tuple[Page, ...] = (mesh.PAGE, node.PAGE, dht.PAGE, tunnels.PAGE, groups.PAGE, relays.PAGE)
"""All of them."""
