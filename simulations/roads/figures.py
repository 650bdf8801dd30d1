"""Figures and bounds of scenarios about tunnels."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from pilotdht.node.node import Node
from simulations.results.result import Links
from simulations.roads.dialler import ROADS, Dialler
from simulations.roads.kind import node_of
from simulations.roads.mix import SURROUNDINGS, can_meet, may_meet_by_chance
from simulations.roads.town import Town
from simulations.stage import LEAST_INTERVAL_S, SAMPLE_INTERVALS, Stage
from simulations.workload.statistics import quantile, share

CHANCE_S = 10.0
"""Time within which those that can meet only by chance are to have met."""

SOON_S = 5.0
"""Time within which those that NATs let meet are to have met."""


ROUND_TRIPS = 3.0
"""Median time to the first byte: one for QUIC's handshake, one for the answer, half of one to call a server between
the two, and as much for jitter."""

ROUND_TRIPS_SLOW = 5.0
"""The same for 95 %: a packet that was lost is sent again after two."""

BUSIEST_TIMES = 10.0
"""Channels of the busiest server over the mean of all: who attaches to it is a matter of ids, and they lie by chance.

Bytes are not held against it: few tunnels are relayed for long, so that one more or less makes all of a server's load.
"""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the network had carried at one moment."""

    at_s: float
    """Virtual seconds since the run began."""
    messages: int
    """Datagrams handed in."""
    size_bytes: int
    """Their bytes, headers included."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one node has carried for others."""

    channels: float
    """Channels opened through it."""
    size_bytes: float
    """Bytes of tunnels sent on."""


def traffic(stage: Stage) -> Traffic:
    """Return what the network has carried so far."""
    network = stage.world.network
    return Traffic(stage.now_s, network.sent, network.wire_bytes)


def add_traffic(stage: Stage, before: Traffic) -> None:
    """Add ``bytes_per_node_s`` and ``messages_per_node_s`` since an earlier moment."""
    now, nodes = traffic(stage), len(stage.population.up)
    node_seconds = (now.at_s - before.at_s) * nodes
    stage.figure("bytes_per_node_s", (now.size_bytes - before.size_bytes) / node_seconds)
    stage.figure("messages_per_node_s", (now.messages - before.messages) / node_seconds)


async def sample(stage: Stage, *, seconds: float) -> None:
    """Add points to the series ``messages_per_node_s``, ``bytes_per_node_s`` and ``up``, for ever.

    Args:
        stage: where they go.
        seconds: how long there is something to measure.
    """
    before = traffic(stage)
    while True:
        await asyncio.sleep(max(LEAST_INTERVAL_S, seconds / SAMPLE_INTERVALS))
        now, up = traffic(stage), len(stage.population.up)
        node_seconds = (now.at_s - before.at_s) * up
        stage.series("messages_per_node_s", (now.messages - before.messages) / node_seconds, unit="1/s")
        stage.series("bytes_per_node_s", (now.size_bytes - before.size_bytes) / node_seconds, unit="bytes/s")
        stage.series("up", float(up))
        before = now


def add_links(stage: Stage, dialler: Dialler) -> None:
    """Add figures of all tunnels that were dialled.

    Of all: ``tunnels``, ``connect_success`` (share that answered a ping), ``resolve_p50_s`` (until the name's answer),
    ``first_byte_p50_s``, ``…_p95_s`` (from there to the first answer), ``broken`` (pings on watched tunnels without
    an answer).

    In round trips of the first road that there can be: ``open_round_trips_p50``, ``…_p95`` (to those that strangers
    reach), ``closed_round_trips_p50``, ``…_p95`` (to others, through a server; neighbours left out).

    Of roads: ``relayed_first_share``, and ``ROAD_share`` for each kind of road in the end; ``direct_p50_s``,
    ``…_p95_s`` (until both ends sent directly, of those that did); ``meetable_direct_success`` (of pairs that NATs let
    meet, the share that was direct within 5 s); ``chance_pairs``, ``chance_direct_success`` (of trusted pairs that meet
    only by chance, the share that was direct within 10 s).
    """
    links = dialler.links
    count = len(links.times_s)
    connected = [row for row in range(count) if links.first_byte_s[row] is not None]
    stage.figure("tunnels", float(count))
    stage.figure("connect_success", share([links.first_byte_s[row] is not None for row in range(count)]))
    stage.figure("resolve_p50_s", quantile(_there(links.resolve_s), 0.5))
    for name, rank in (("p50", 0.5), ("p95", 0.95)):
        stage.figure(f"first_byte_{name}_s", quantile(_there(links.first_byte_s), rank))
        for words, is_open in (("open", True), ("closed", False)):
            rows = [row for row in connected if SURROUNDINGS[links.called[row]].is_open is is_open]
            trips = _there([links.round_trips[row] for row in rows if links.first_roads[row] != "local"])
            stage.figure(f"{words}_round_trips_{name}", quantile(trips, rank))
        stage.figure(f"direct_{name}_s", quantile(_there(links.direct_s), rank))
    stage.figure("relayed_first_share", share([links.first_roads[row] == "relayed" for row in connected]))
    for road in ROADS:
        stage.figure(f"{road}_share", share([links.roads[row] == road for row in connected]))
    meetable = [row for row in connected if can_meet(links.callers[row], links.called[row])]
    stage.figure("meetable_direct_success", share([_is_direct(links, row, SOON_S) for row in meetable]))
    chances = list(_chances(links, connected))
    stage.figure("chance_pairs", float(len(chances)))
    stage.figure("chance_direct_success", share([_is_direct(links, row, CHANCE_S) for row in chances]))
    stage.figure("broken", float(dialler.broken))


def add_relays(stage: Stage, town: Town) -> None:
    """Add figures of what servers carry.

    ``servers``, ``relays_used``, ``relay_channels``, ``relay_bytes``, ``relay_busiest_share`` (of these bytes, on one
    server), ``relay_busiest_times`` (channels of the busiest server over the mean of all).
    """
    loads = [
        load_of(node_of(slot)) for slot in town.slots if slot.is_up and not node_of(slot).rooms.socket.rpc.is_client
    ]
    total = sum(load.size_bytes for load in loads)
    stage.figure("servers", float(len(loads)))
    stage.figure("relays_used", float(sum(1 for load in loads if load.size_bytes)))
    stage.figure("relay_channels", sum(load.channels for load in loads))
    stage.figure("relay_bytes", total)
    stage.figure("relay_busiest_share", max(load.size_bytes for load in loads) / total if total else 0.0)
    mean_channels = sum(load.channels for load in loads) / len(loads)
    stage.figure("relay_busiest_times", max(load.channels for load in loads) / mean_channels if mean_channels else 0.0)


def load_of(node: Node) -> Load:
    """Return what a node has carried for others, by its own metrics."""
    read = node.registry.get_sample_value
    channels = read("pilotdht_relay_calls_total", {"result": "ok"})
    return Load(channels or 0.0, read("pilotdht_relay_forwarded_bytes_total") or 0.0)


def expect_all(stage: Stage) -> None:
    """Hold the figures against what is promised."""
    stage.expect("connect_success", at_least=0.995)
    for called in ("open", "closed"):
        stage.expect(f"{called}_round_trips_p50", at_most=ROUND_TRIPS)
        stage.expect(f"{called}_round_trips_p95", at_most=ROUND_TRIPS_SLOW)
    stage.expect("meetable_direct_success", at_least=0.99)
    stage.expect("chance_direct_success", at_least=0.9)
    stage.expect("relay_busiest_times", at_most=BUSIEST_TIMES)
    stage.expect("broken", at_most=0)
    stage.expect("idle_success", at_least=0.99)
    stage.expect("reboot_success", at_least=0.95)
    stage.expect("return_success", at_least=0.99)


def _chances(links: Links, rows: list[int]) -> Iterator[int]:
    """Yield the rows of trusted pairs that can meet only by chance."""
    for row in rows:
        if links.are_trusted[row] and may_meet_by_chance(links.callers[row], links.called[row]):
            yield row


def _is_direct(links: Links, row: int, within_s: float) -> bool:
    direct_s = links.direct_s[row]
    return direct_s is not None and direct_s <= within_s


def _there(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
