"""Made-up results of simulations: plausible shapes for tests of files, plots and pages, from one seed."""

from __future__ import annotations

import math
from random import Random

from simulations.results.result import Check, Mark, Result, Samples, Series, Snapshot

REGIONS = ("africa", "asia", "europe", "north-america", "oceania", "south-america")
CUT_S, HEALED_S, END_S = 1500.0, 2700.0, 4200.0


def made_result(
    *,
    scenario: str = "partition",
    implementation: str = "pilotdht",
    nodes: int = 300,
    seed: int = 1,
    is_complete: bool = True,
    adversaries: float = 0.0,
    lookups: int = 3000,
    **options: object,
) -> Result:
    """Return a result of a network that is cut in two for a while, worse for the baseline than for ours."""
    random = Random(f"{scenario} {implementation} {nodes} {seed}")
    is_ours = implementation == "pilotdht"
    began_s = nodes / 10 + 60
    end_s = began_s + (END_S - 300 if is_complete else 1800)
    result = Result(
        scenario=scenario,
        implementation=implementation,
        options={
            "nodes": nodes, "minutes": 65.0, "seed": seed, "implementation": implementation, "lookups_per_s": 2.0,
            "joins_per_s": 10.0, "network": "wan", **options,
        },
        version="0.5.0",
        commit="0123456789abcdef",
        python="CPython 3.11.7",
        started_unix=1_800_000_000.0,
        wall_s=93.5,
        cpu_s=91.25,
        virtual_s=end_s,
        is_complete=is_complete,
        trace_digest="9f" * 32,
    )  # fmt: skip
    _fill_series(result, random, began_s, end_s, nodes, is_ours)
    _fill_samples(result, random, (began_s, end_s), (lookups, lookups // 10, min(nodes, 1000)), is_ours)
    found = result.samples["lookup"]
    times = sorted(one for one, is_ok in zip(found.durations_s, found.are_ok, strict=True) if is_ok)
    result.figures = {
        "lookups": float(len(found.are_ok)),
        "lookup_success": round(sum(found.are_ok) / len(found.are_ok), 6),
        "lookup_wrong": 0.0,
        "lookup_p50_s": times[len(times) // 2],
        "lookup_p95_s": times[int(len(times) * 0.95)],
        "lookup_p99_s": times[int(len(times) * 0.99)],
        "bytes_per_node_s": 410.0 if is_ours else 705.5,
        "messages_per_node_s": 2.1 if is_ours else 3.4,
        "contacts": 92.0,
        "dead_contacts": 0.02 if is_ours else 0.19,
        "up": float(nodes),
        "heal_s": 48.0 if is_ours else None,
    }
    for figure, relation, bound in (("lookup_success", ">=", 0.9), ("heal_s", "<=", 120.0)):
        value = result.figures[figure]
        is_kept = value is not None and (value >= bound if relation == ">=" else value <= bound)
        result.checks.append(Check(figure=figure, relation=relation, bound=bound, value=value, is_kept=is_kept))
    result.marks = [Mark(time_s=CUT_S, label="partition in 2")]
    result.snapshots = [made_snapshot("before", random, nodes, time_s=began_s, adversaries=adversaries)]
    if is_complete:
        result.marks.append(Mark(time_s=HEALED_S, label="healed"))
        result.snapshots += [
            made_snapshot("during", random, nodes, time_s=CUT_S + 600, down=0.1, sides=2, adversaries=adversaries),
            made_snapshot("after", random, nodes, time_s=end_s, adversaries=adversaries),
        ]
    return result


def made_snapshot(
    label: str,
    random: Random,
    nodes: int,
    *,
    time_s: float = 0.0,
    down: float = 0.0,
    sides: int = 0,
    adversaries: float = 0.0,
    regions: tuple[str, ...] = REGIONS,
) -> Snapshot:
    """Return a picture of a network with nodes in regions, some of them down, or cut by region."""
    weights = [1.0 / (1 + number) for number in range(len(regions))]
    placed, states = Random("places"), Random("behaviours")
    made = []
    for number in range(nodes):
        region = placed.choices(regions, weights)[0]
        state = "droppers" if states.random() < adversaries else "up"
        state = "down" if random.random() < down else state
        made.append((number, region, state, 1 + regions.index(region) % sides if sides else 0))
    links = [(random.randrange(nodes), random.randrange(nodes)) for _ in range(min(4000, 4 * nodes))]
    return Snapshot(time_s=time_s, label=label, nodes=made, links=links)


def _fill_series(result: Result, random: Random, began_s: float, end_s: float, nodes: int, is_ours: bool) -> None:
    units = {
        "lookup_success": "share", "lookup_p50_s": "s", "lookup_p95_s": "s", "messages_per_node_s": "1/s",
        "bytes_per_node_s": "bytes/s", "contacts": "", "dead_contacts": "share", "up": "",
    }  # fmt: skip
    result.series = {name: Series(unit=unit) for name, unit in units.items()}
    healing = Series(unit="share")
    time_s = began_s
    while time_s < end_s:
        is_cut = CUT_S < time_s < HEALED_S
        after = max(0.0, time_s - HEALED_S)
        trouble = 1.0 if is_cut else math.exp(-after / (60 if is_ours else 900)) if after else 0.0
        success = min(1.0, 0.998 - trouble * (0.04 if is_ours else 0.45) - random.random() * 0.006)
        median_s = (0.18 if is_ours else 0.31) * (1 + 0.5 * trouble) * random.uniform(0.94, 1.06)
        values = {
            "lookup_success": success if is_ours else success - 0.02,
            "lookup_p50_s": median_s,
            "lookup_p95_s": median_s * (2.6 if is_ours else 9) * (1 + 4 * trouble),
            "messages_per_node_s": (2.0 if is_ours else 3.2) * (1 + 0.3 * trouble) * random.uniform(0.95, 1.05),
            "bytes_per_node_s": (390.0 if is_ours else 680.0) * (1 + 0.3 * trouble) * random.uniform(0.95, 1.05),
            "contacts": 90 + 4 * math.sin(time_s / 700) + random.random(),
            "dead_contacts": (0.01 if is_ours else 0.12) + 0.3 * trouble * (0.3 if is_ours else 1.0),
            "up": float(round(nodes * (1 - 0.02 * random.random()))),
        }
        for name, value in values.items():
            result.series[name].times_s.append(round(time_s, 3))
            result.series[name].values.append(round(value, 6))
        if time_s > HEALED_S:
            healing.times_s.append(round(time_s, 3))
            healing.values.append(round(1 - math.exp(-after / (40 if is_ours else 700)), 6))
        time_s += 60.0
    if healing.times_s:
        result.series["heal"] = healing


def _fill_samples(
    result: Result, random: Random, span_s: tuple[float, float], counts: tuple[int, int, int], is_ours: bool
) -> None:
    medians_s = {"lookup": 0.18, "publish": 0.4, "join": 0.3}
    for (name, median_s), count in zip(medians_s.items(), counts, strict=True):
        samples = result.samples[name] = Samples()
        first_s, last_s = (0.0, span_s[0] - 60) if name == "join" else span_s
        for number in range(count):
            time_s = first_s + (last_s - first_s) * number / count
            is_cut = CUT_S < time_s < HEALED_S
            is_ok = random.random() > (0.03 if is_ours else 0.3) * is_cut + (0.001 if is_ours else 0.02)
            spread = random.lognormvariate(0, 0.6 if is_ours else 1.1)
            samples.times_s.append(round(time_s, 6))
            samples.durations_s.append(round(median_s * spread * (1 if is_ours else 1.7) if is_ok else 20.0, 6))
            samples.are_ok.append(is_ok)
            samples.hops.append(1 + min(5, int(random.gammavariate(2, 0.7))) if is_ours and name == "lookup" else None)
            if not is_ok:
                code = "timed_out" if random.random() < 0.8 else "not_found"
                samples.errors[code] = samples.errors.get(code, 0) + 1
