"""Names of figures and series in words, values with units, and which way is better."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Better(enum.Enum):
    """Which way of a figure is good."""

    HIGHER = "higher"
    """Success."""
    LOWER = "lower"
    """Time, traffic, wrong answers."""
    NEITHER = "neither"
    """A plain fact, such as the number of nodes."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a figure is."""

    words: str
    """Its name for people, lower case."""
    unit: str
    """``s``, ``1/s``, ``bytes/s``, ``share``, or empty for counts."""
    better: Better
    """Which way is good."""


_KNOWN = {
    "lookups": Quantity("lookups measured", "", Better.NEITHER),
    "lookup_success": Quantity("lookups that found", "share", Better.HIGHER),
    "lookup_wrong": Quantity("false or outdated answers", "", Better.LOWER),
    "lookup_p50_s": Quantity("lookup, median", "s", Better.LOWER),
    "lookup_p95_s": Quantity("lookup, 95th percentile", "s", Better.LOWER),
    "lookup_p99_s": Quantity("lookup, 99th percentile", "s", Better.LOWER),
    "lookup_hops": Quantity("hops of a lookup", "", Better.LOWER),
    "publish_success": Quantity("writes that succeeded", "share", Better.HIGHER),
    "publish_p50_s": Quantity("write, median", "s", Better.LOWER),
    "publish_p95_s": Quantity("write, 95th percentile", "s", Better.LOWER),
    "bytes_per_node_s": Quantity("bytes sent a node", "bytes/s", Better.LOWER),
    "messages_per_node_s": Quantity("messages sent a node", "1/s", Better.LOWER),
    "contacts": Quantity("contacts in a routing table", "", Better.NEITHER),
    "dead_contacts": Quantity("dead contacts", "share", Better.LOWER),
    "up": Quantity("nodes up", "", Better.NEITHER),
    "agreement": Quantity("members seen rightly", "share", Better.HIGHER),
    "agreement_least": Quantity("members seen rightly, worst moment", "share", Better.HIGHER),
    "agreement_whole": Quantity("members that see everybody rightly", "share", Better.HIGHER),
    "notice_first_s": Quantity("crash noticed by the first", "s", Better.LOWER),
    "notice_all_s": Quantity("crash noticed by all", "s", Better.LOWER),
    "notice_p50_s": Quantity("crash noticed, median", "s", Better.LOWER),
    "notice_p99_s": Quantity("crash noticed, 99th percentile", "s", Better.LOWER),
    "join_all_s": Quantity("join known to all", "s", Better.LOWER),
    "update_all_s": Quantity("change known to all", "s", Better.LOWER),
    "whole_before": Quantity("members that saw everybody before", "share", Better.HIGHER),
    "whole_cut": Quantity("members that saw their side, and it alone", "share", Better.HIGHER),
    "whole_healed": Quantity("members that see everybody in the end", "share", Better.HIGHER),
    "times_fewer_about_healthy": Quantity("times fewer than plain SWIM", "", Better.HIGHER),
    "times_fewer_at_healthy": Quantity("the same, at healthy members", "", Better.HIGHER),
    "false_alarm_longest_s": Quantity("longest false alarm", "s", Better.LOWER),
    "unnoticed": Quantity("crashes that somebody did not notice", "", Better.LOWER),
    "false_alarms": Quantity("false alarms", "", Better.LOWER),
    "false_about_healthy": Quantity("healthy members held for dead", "", Better.LOWER),
    "false_at_healthy": Quantity("the same by healthy ones", "", Better.LOWER),
    "false_about_stalled": Quantity("stalled members held for dead", "", Better.LOWER),
    "reached": Quantity("members that a message reached", "share", Better.HIGHER),
    "first_reached": Quantity("members that the first message reached", "share", Better.HIGHER),
    "reached_least": Quantity("members that the worst message reached", "share", Better.HIGHER),
    "coverage": Quantity("members that a message reached", "share", Better.HIGHER),
    "spread_p50_s": Quantity("message read, median", "s", Better.LOWER),
    "spread_p99_s": Quantity("message read, 99th percentile", "s", Better.LOWER),
    "tunnels": Quantity("tunnels dialled", "", Better.NEITHER),
    "kept_tunnels": Quantity("tunnels that were kept", "", Better.NEITHER),
    "reboot_tunnels": Quantity("kept tunnels with a rebooted router", "", Better.NEITHER),
    "connect_success": Quantity("tunnels that connected", "share", Better.HIGHER),
    "resolve_p50_s": Quantity("name answered, median", "s", Better.LOWER),
    "first_byte_p50_s": Quantity("first byte, median", "s", Better.LOWER),
    "first_byte_p95_s": Quantity("first byte, 95th percentile", "s", Better.LOWER),
    "open_round_trips_p50": Quantity("round trips to the first byte where strangers get in, median", "", Better.LOWER),
    "open_round_trips_p95": Quantity("the same, 95th percentile", "", Better.LOWER),
    "closed_round_trips_p50": Quantity("round trips to the first byte where they do not, median", "", Better.LOWER),
    "closed_round_trips_p95": Quantity("the same where they do not, 95th percentile", "", Better.LOWER),
    "direct_p50_s": Quantity("direct, median", "s", Better.LOWER),
    "direct_p95_s": Quantity("direct, 95th percentile", "s", Better.LOWER),
    "local_share": Quantity("roads: in one network", "share", Better.NEITHER),
    "direct_share": Quantity("roads: direct", "share", Better.NEITHER),
    "punched_share": Quantity("roads: punched", "share", Better.NEITHER),
    "chance_share": Quantity("roads: by chance", "share", Better.NEITHER),
    "relayed_share": Quantity("roads: through a server", "share", Better.LOWER),
    "relayed_first_share": Quantity("first byte through a server", "share", Better.NEITHER),
    "meetable_direct_success": Quantity("direct within 5 s, where NATs let meet", "share", Better.HIGHER),
    "chance_direct_success": Quantity("direct within 10 s, by chance alone", "share", Better.HIGHER),
    "relay_busiest_share": Quantity("relayed bytes on the busiest server", "share", Better.LOWER),
    "relay_busiest_times": Quantity("busiest server over the mean one", "", Better.LOWER),
    "broken": Quantity("pings without an answer", "", Better.LOWER),
    "idle_success": Quantity("tunnels that outlived their idleness", "share", Better.HIGHER),
    "reboot_success": Quantity("tunnels that work 5 s after a reboot", "share", Better.HIGHER),
    "reboot_p50_s": Quantity("tunnel works after a reboot, median", "s", Better.LOWER),
    "reboot_p95_s": Quantity("tunnel works after a reboot, 95th percentile", "s", Better.LOWER),
    "return_success": Quantity("nodes reached 30 s after a reboot", "share", Better.HIGHER),
    "redundancy": Quantity("copies beyond the one needed", "", Better.LOWER),
}

NOT_THERE = "\N{EN DASH}"
"""What stands for a number that was not measured."""

KEY_FIGURES = ("lookup_success", "lookup_p50_s", "lookup_p95_s", "bytes_per_node_s", "messages_per_node_s")
"""What is compared first."""


def quantity_of(name: str) -> Quantity:
    """Return what a figure or series is; unknown names are read by the rules that names follow here.

    A known name after a prefix belongs to a phase: ``partition_lookup_success``.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    for end, words in (("_formula_s", "by the formula"), ("_ratio", "measured over the formula")):
        stem = f"{name.removesuffix(end)}_s"
        if name.endswith(end) and stem in _KNOWN:
            unit = "s" if end.endswith("_s") else ""
            return Quantity(f"{_KNOWN[stem].words}, {words}", unit, Better.LOWER if not unit else Better.NEITHER)
    phase, own = phase_of(name)
    if phase:
        quantity = _KNOWN[own]
        return Quantity(f"{phase.replace('_', ' ')}: {quantity.words}", quantity.unit, quantity.better)
    words = name.replace("_", " ")
    if name.endswith(("_bytes_s", "bytes_per_s")):
        return Quantity(words.removesuffix(" s"), "bytes/s", Better.LOWER)
    if name.endswith(("_per_s", "_per_node_s")):
        return Quantity(words.removesuffix(" s"), "1/s", Better.LOWER)
    if name.endswith("_s"):
        return Quantity(words.removesuffix(" s"), "s", Better.LOWER)
    if name.endswith(("_success", "_available", "_availability", "_found", "_kept", "_reachable", "_share")):
        better = Better.NEITHER if name.endswith("_share") else Better.HIGHER
        return Quantity(words, "share", better)
    return Quantity(words, "", Better.NEITHER)


def phase_of(name: str) -> tuple[str, str]:
    """Return the phase of a figure, empty for none, and the figure's own name: ``cut`` and ``lookup_success``."""
    for known in _KNOWN:
        if name.endswith(f"_{known}") and not _known_within(name, known):
            return name.removesuffix(f"_{known}"), known
    return "", name


def with_unit(value: float | None, unit: str) -> str:
    """Return a value for people, unit included; a dash for what was not measured."""
    if value is None or not math.isfinite(value):
        return NOT_THERE
    if unit == "share":
        return _percent(value)
    if unit == "s":
        return duration(value)
    if unit == "bytes/s":
        return _bytes(value) + "/s"
    if unit == "1/s":
        return f"{number(value)}/s"
    return number(value) + (f" {unit}" if unit else "")


def number(value: float) -> str:
    """Return a number with three digits that matter, and commas for thousands."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    if size < 0.001:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    size = abs(seconds)
    if size == 0:
        return "0 s"
    if size < 0.001:
        return f"{number(seconds * 1e6)} µs"
    if size < 1:
        return f"{number(seconds * 1e3)} ms"
    if size < 120:
        return f"{number(seconds)} s"
    if size < 2 * 3600:
        return f"{number(seconds / 60)} min"
    if size < 2 * 86400:
        return f"{number(seconds / 3600)} h"
    return f"{number(seconds / 86400)} d"


def ratio_in_words(ours: float | None, baseline: float | None, quantity: Quantity) -> str:
    """Return how a figure compares with the baseline's: ``3.2 times less``, ``+4.1 points``; a dash where it cannot."""
    if ours is None or baseline is None:
        return NOT_THERE
    if quantity.unit == "share":
        points = (ours - baseline) * 100
        return "equal" if abs(points) < 0.005 else f"{points:+.{1 if abs(points) >= 1 else 2}f} points"
    if ours == baseline:
        return "equal"
    if ours <= 0 or baseline <= 0:
        return NOT_THERE
    factor = max(ours, baseline) / min(ours, baseline)
    return f"{number(factor)} times {'less' if ours < baseline else 'more'}"


def is_better(ours: float | None, baseline: float | None, quantity: Quantity) -> bool | None:
    """Return whether a figure is better than the baseline's; absent where neither is."""
    if ours is None or baseline is None or ours == baseline or quantity.better is Better.NEITHER:
        return None
    return (ours > baseline) is (quantity.better is Better.HIGHER)


def _known_within(name: str, shorter: str) -> bool:
    """Return whether another known name, longer than this one, ends the name as well."""
    return any(len(known) > len(shorter) and (name == known or name.endswith(f"_{known}")) for known in _KNOWN)


def _percent(value: float) -> str:
    shown = value * 100
    if shown != 0 and (abs(shown) < 0.1 or 99.9 < shown < 100):
        return f"{math.floor(shown * 1000) / 1000:.3f} %" if shown > 50 else f"{shown:.3f} %"
    # rounding must not make a loss invisible: 99.96 % is not 100 %
    text = f"{math.floor(shown * 10 + 1e-9) / 10:.1f}" if shown > 50 else f"{shown:.1f}"
    return f"{text.removesuffix('.0')} %"


def _bytes(value: float) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= size:
            return f"{number(value / size)} {unit}"
    return f"{number(value)} B"
