"""Telling datagrams apart, and limiting them before anything else is done with them."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage
from pilotdht.net.demux import Demultiplexer
from pilotdht.net.metrics import NetMetrics
from pilotdht.wire.endpoint import Endpoint

PUBLIC = Endpoint("203.0.113.5", 4000)


class Scene:
    """A demultiplexer with a handler for sealed datagrams and one for QUIC, both of which only note what they get."""

    def __init__(self, config: NetConfig | None = None) -> None:
        self.metrics = NetMetrics(CollectorRegistry())
        self.now = 0.0
        self.sealed: list[bytes] = []
        self.quic: list[list[tuple[bytes, Endpoint]]] = []
        self.demultiplexer = Demultiplexer(config or NetConfig(), self.metrics, now=lambda: self.now)
        self.demultiplexer.set_handler(0x20, lambda datagram, _endpoint: self.sealed.append(datagram))
        self.demultiplexer.set_quic_handler(lambda batch: self.quic.append(list(batch)))

    def receive(self, *datagrams: bytes, source: Endpoint = PUBLIC) -> None:
        """Take in one batch."""
        self.demultiplexer.receive([(datagram, source) for datagram in datagrams])


def test_demux_mixed_batch_gives_quic_as_one_batch_and_the_rest_singly() -> None:
    """Every byte with bit 0x40 is QUIC's; the order inside each kind stays."""
    scene = Scene()
    scene.receive(b"\x40a", b"\x20b", b"\xc0c", b"\x20d", b"\xffe")
    assert [[b"\x40a", b"\xc0c", b"\xffe"]] == [[datagram for datagram, _ in batch] for batch in scene.quic]
    assert [b"\x20b", b"\x20d"] == scene.sealed


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "empty"),
        (b"\x00", "unknown_kind"),
        (b"\x24", "unknown_kind"),
        (b"\x23", "relayed_unserved"),
        (b"\x20" * 1201, "oversized"),
    ],
)
def test_demux_datagram_that_is_nothing_is_dropped_by_reason(datagram: bytes, reason: str) -> None:
    """Nothing is dropped without being counted."""
    scene = Scene()
    scene.receive(datagram)
    assert ({reason: 1}, []) == (scene.metrics.dropped, scene.sealed)


def test_demux_quic_without_a_handler_is_counted() -> None:
    """A node whose tunnels are not up yet drops QUIC."""
    scene = Scene()
    scene.demultiplexer.set_quic_handler(None)
    scene.receive(b"\x40", b"\xc0")
    assert {"quic_unserved": 2} == scene.metrics.dropped


def test_demux_handler_that_raises_loses_its_datagram_only() -> None:
    """A handler's bug and a malformed message end with the datagram that caused them."""
    scene = Scene()

    def handler(datagram: bytes, _endpoint: Endpoint) -> None:
        if datagram == b"\x20bad":
            raise BadMessage("made_up")
        if datagram == b"\x20bug":
            raise ZeroDivisionError
        scene.sealed.append(datagram)

    scene.demultiplexer.set_handler(0x20, handler)
    scene.receive(b"\x20bad", b"\x20bug", b"\x20good")
    assert [b"\x20good"] == scene.sealed
    assert ({"made_up": 1}, 1) == (scene.metrics.dropped, scene.metrics.handler_failures)


def test_demux_quic_handler_that_raises_is_counted() -> None:
    """The socket's callback never sees an error."""
    scene = Scene()

    def handler(_batch: object) -> None:
        raise ZeroDivisionError

    scene.demultiplexer.set_quic_handler(handler)
    scene.receive(b"\x40")
    assert 1 == scene.metrics.handler_failures


def test_demux_flood_from_one_prefix_is_cut_before_the_handler() -> None:
    """What exceeds the allowance costs no cryptography; another prefix is served as before."""
    scene = Scene(NetConfig(datagrams_per_s=1, datagram_burst=10))
    for number in range(100):
        scene.receive(b"\x20", source=Endpoint(f"203.0.113.{number}", 4000))
    scene.receive(b"\x20", source=Endpoint("198.51.100.1", 4000))
    assert (11, {"rate": 90}) == (len(scene.sealed), scene.metrics.dropped)


def test_demux_allowance_comes_back_with_time() -> None:
    """A prefix that paused is served again."""
    scene = Scene(NetConfig(datagrams_per_s=1, datagram_burst=10))
    scene.receive(*[b"\x20"] * 20)
    scene.now = 5.0
    scene.receive(*[b"\x20"] * 20)
    assert 15 == len(scene.sealed)


def test_demux_quic_is_not_limited_here() -> None:
    """Bulk data comes as QUIC; its handler has its own defence."""
    scene = Scene(NetConfig(datagrams_per_s=1, datagram_burst=1))
    scene.receive(*[b"\x40"] * 50)
    assert [50] == [len(batch) for batch in scene.quic]


@pytest.mark.parametrize(
    ("host", "config", "expected"),
    [
        ("127.0.0.1", NetConfig(datagrams_per_s=1, datagram_burst=1), 50),
        ("::1", NetConfig(datagrams_per_s=1, datagram_burst=1), 50),
        ("127.0.0.1", NetConfig(datagrams_per_s=1, datagram_burst=1, is_loopback_limited=True), 1),
        ("10.0.0.1", NetConfig(datagrams_per_s=1, datagram_burst=1), 1),
        ("10.0.0.1", NetConfig(datagrams_per_s=1, datagram_burst=1, is_private_limited=False), 50),
    ],
)
def test_demux_local_ranges_are_limited_as_configured(host: str, config: NetConfig, expected: int) -> None:
    """Laboratories run many nodes behind one prefix."""
    scene = Scene(config)
    scene.receive(*[b"\x20"] * 50, source=Endpoint(host, 4000))
    assert expected == len(scene.sealed)


def test_metrics_are_exported_with_reasons_and_types() -> None:
    """What was counted as integers comes out as prometheus metrics."""
    registry = CollectorRegistry()
    metrics = NetMetrics(registry)
    metrics.drop("rate")
    metrics.of_request(Scene).sent += 3
    metrics.measured(0.002)
    assert 1.0 == registry.get_sample_value("pilotdht_net_dropped_total", {"reason": "rate"})
    assert 3.0 == registry.get_sample_value("pilotdht_net_requests_total", {"type": "Scene", "result": "sent"})
    assert 1.0 == registry.get_sample_value("pilotdht_net_rtt_seconds_count")
    assert 0.0 == registry.get_sample_value("pilotdht_net_rtt_seconds_bucket", {"le": "0.001"})


def test_demux_limits_each_channel_by_itself() -> None:
    """One that floods takes nothing from another, nor from real addresses."""
    scene = Scene(NetConfig(datagram_burst=2))
    first, second = Endpoint("100::1", 1), Endpoint("100::2", 1)
    scene.receive(*[b"\x20"] * 5, source=first)
    scene.receive(b"\x20", source=second)
    assert 3 == len(scene.sealed)
    assert {"rate": 3} == scene.metrics.dropped
