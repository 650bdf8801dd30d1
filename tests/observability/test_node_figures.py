"""What nodes count and show: losses, roads, NATs, delays, the lag of the loop; and what no label may hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pilotdht.daemon.lag import SAMPLE_INTERVAL_S, lag_watched
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.node.gauges import ROADS, road_kind
from pilotdht.node.node import Node
from pilotdht.tunnel.metrics import LiveLinks, TunnelMetrics
from pilotdht.wire.endpoint import Endpoint
from tests.support.nodes import befriend, mesh

VALUE = re.compile(r"[A-Za-z0-9_.+ ()-]{0,64}")
"""All that the value of a label may be: a constant of the code, a number or a version."""


def value_of(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Return one sample."""
    value = registry.get_sample_value(name, labels)
    assert value is not None, f"there is no {name} {labels}"
    return value


def families(node: Node) -> Iterator[Metric]:
    """Return all metrics of a node."""
    return iter(node.registry.collect())


@pytest.mark.parametrize(
    ("host", "road"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "lan"),
        ("fe80::1", "lan"),
        ("203.0.113.5", "direct"),
        ("2001:db8::1", "direct"),
    ],
)
def test_road_of_endpoint_is_told_by_its_address(host: str, road: str) -> None:
    """Each address belongs to one road."""
    assert road in ROADS
    assert road == road_kind(Endpoint(host, 4433))


def test_losses_of_ended_links_and_live_ones_add_up() -> None:
    """A counter never falls when a link ends."""
    registry = CollectorRegistry()
    metrics = TunnelMetrics(registry)
    metrics.live = lambda: LiveLinks(streams=2, lost_packets=5, lost_bytes=6000)
    before = value_of(registry, "pilotdht_tunnel_lost_packets_total")
    metrics.lost_packets, metrics.lost_bytes, metrics.live = 5, 6000, LiveLinks
    after = value_of(registry, "pilotdht_tunnel_lost_packets_total")
    assert (5, 5, 6000) == (before, after, value_of(registry, "pilotdht_tunnel_lost_bytes_total"))


@pytest.mark.asyncio
@pytest.mark.integration
async def test_linked_nodes_show_road_mesh_and_nat() -> None:
    """Two nodes with a link count it once each, as loopback; each has one kind of NAT a family."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await befriend(alpha, beta)
        await alpha.ping("beta")
        registry = alpha.registry
        assert 1 == value_of(registry, "pilotdht_node_joined")
        assert 1 <= value_of(registry, "pilotdht_road_links", road="loopback")
        assert 0 == value_of(registry, "pilotdht_road_links", road="relayed")
        kinds = [one for one in families(alpha) if one.name in ("pilotdht_nat_mapping", "pilotdht_nat_filtering")]
        assert [2, 2] == [sum(sample.value for sample in kind.samples) for kind in kinds]
        assert value_of(registry, "pilotdht_dht_live_contacts") == value_of(registry, "pilotdht_dht_contacts") > 0
        assert value_of(registry, "pilotdht_dht_store_limit_bytes") > value_of(registry, "pilotdht_dht_record_bytes")


@pytest.mark.asyncio
@pytest.mark.integration
async def test_message_to_group_is_timed_where_it_arrives() -> None:
    """Each member but its sender observes how long a message was on the way."""
    async with mesh("alpha", "beta") as (alpha, beta):
        group = await alpha.create_group("watchers")
        other = await beta.join_group("watchers")
        async with asyncio.timeout(10.0), other.subscribe() as events:
            while len(other.members()) < 2:  # noqa: ASYNC110 - membership is told by gossip
                await asyncio.sleep(0)
            await group.publish("news", b"hello")
            await anext(aiter(events))
        observed = [value_of(one.registry, "pilotdht_broadcast_delay_seconds_count") for one in (alpha, beta)]
        assert [0, 1] == observed


@pytest.mark.asyncio
@pytest.mark.integration
async def test_no_label_holds_what_others_choose() -> None:
    """Names of nodes and groups, addresses and keys are in no label; what is there is short and plain."""
    async with mesh("alpha", "beta", "gamma") as (alpha, beta, gamma):
        DaemonMetrics(alpha.registry, version="0.1.0")
        await befriend(alpha, beta)
        await alpha.ping("beta")
        await alpha.create_group("secret-plans")
        await beta.join_group("secret-plans")
        secrets = [text for node in (alpha, beta, gamma) for text in (node.hostname, node.did, str(node.address))]
        secrets += ["secret-plans", *(str(endpoint) for node in (alpha, beta) for endpoint in node.endpoints)]
        samples = [sample for family in families(alpha) for sample in family.samples]
    assert 500 < len(samples) < 3000  # a mesh of three, and a thousand nodes of any other size, have as many series
    for sample in samples:
        for value in sample.labels.values():
            assert VALUE.fullmatch(value), sample
            assert not any(secret in value for secret in secrets), sample


@pytest.mark.asyncio
@pytest.mark.integration
async def test_metrics_can_be_read_in_both_formats_and_after_the_end() -> None:
    """What is served obeys OpenMetrics; a registry that outlives its node raises nothing."""
    async with mesh("alpha", "beta") as (alpha, _):
        text = generate_openmetrics(alpha.registry).decode()  # type: ignore[no-untyped-call]  # as the library has it
    names = [family.name for family in text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]  # as the library has it
    assert len(names) == len(set(names)) > 100
    assert generate_latest(alpha.registry).startswith(b"# HELP")


@pytest.mark.asyncio
async def test_blocked_loop_is_seen_as_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that comes to its timer a quarter of a second late says so; afterwards nothing is observed any more."""
    loop = asyncio.get_running_loop()
    clock = [100.0]
    monkeypatch.setattr(loop, "time", lambda: clock[0])
    seen: list[float] = []
    with lag_watched(seen.append):
        for step_s in (SAMPLE_INTERVAL_S + 0.25, SAMPLE_INTERVAL_S / 2, SAMPLE_INTERVAL_S / 2):
            clock[0] += step_s
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    clock[0] += 10 * SAMPLE_INTERVAL_S
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [0.25, 0.0] == seen
