"""The page ``docs/metrics.md``: every metric of a daemon with its help, by the room that counts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from scripts.observability.catalogue import Described

_HEAD = """\
# Metrics

What a daemon tells Prometheus. This page is made from the code by `scripts/dashboards write`; a test holds it to that.
How to collect it, dashboards, alerts: [operations.md](operations.md#prometheus-and-grafana). What to do when an alert
fires: [runbooks.md](runbooks.md).

Names are `pilotdht_<part>_<what>_<unit>`: base units (seconds, bytes), counters end in `_total`, and start at zero with
the process. Each series counts for the whole node. **No label tells a peer, an address, a hostname or a group**: others
choose those, so they would be unbounded, and would tell whoever reads the metrics whom a node talks to. Labels have the
few values that stand here, or constants of the code (`reason`, `type`, `outcome`). Hostnames and addresses of peers are
in one place alone, the list for service discovery, which is off unless switched on; there they are cut at 128
characters, and controls, marks of writing direction and line ends are replaced.

Numbers are counted as plain integers where datagrams pass, and read when they are asked for: what a scrape costs is
paid by whoever scrapes.
"""

_ROOMS: Mapping[str, str] = {
    "node": "The node",
    "net": "The socket, requests",
    "dht": "The DHT",
    "tunnel": "Tunnels",
    "road": "Roads of links",
    "nat": "The NAT in front",
    "portmap": "Port mapping",
    "relay": "Relaying",
    "trunk": "Trunks, where UDP is blocked",
    "lan": "Neighbours on the local network",
    "letters": "Letters to those who are away",
    "gossip": "Membership of groups",
    "broadcast": "Messages to groups",
    "names": "Names",
    "trust": "Trust",
    "services": "Messages to ports without a program",
    "query": "Questions and answers",
    "daemon": "The daemon",
    "targets": "Service discovery",
    "build": "What runs",
    "loop": "The event loop",
}

_TAIL = """
## The process

What the Prometheus client library tells of every Python process, with its own names:

"""


def page(metrics: Mapping[str, Described]) -> str:
    """Return the page."""
    ours = [one for one in metrics.values() if one.name.startswith("pilotdht_")]
    others = [one for one in metrics.values() if not one.name.startswith("pilotdht_")]
    order = {part: index for index, part in enumerate(_ROOMS)}
    ours.sort(key=lambda one: (order.get(_part(one), len(order)), one.name))
    sections = []
    for part, found in groupby(ours, key=_part):
        sections.append(f"\n## {_ROOMS.get(part, part.capitalize())}\n\n{_table(found)}")
    return _HEAD + "".join(sections) + _TAIL + _table(sorted(others, key=lambda one: one.name))


def _part(one: Described) -> str:
    return one.name.split("_")[1]


def _table(found: Iterable[Described]) -> str:
    lines = ["| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    for one in found:
        labels = "; ".join(_label(name, one.values.get(name, ())) for name in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.text.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def _label(name: str, values: tuple[str, ...]) -> str:
    """Return a label with its values; those of a build or a number of versions are not fixed."""
    if not values or name in ("version", "python", "implementation", "major", "minor", "patchlevel"):
        return f"`{name}`"
    return f"`{name}`: {', '.join(value or '(empty)' for value in values)}"
