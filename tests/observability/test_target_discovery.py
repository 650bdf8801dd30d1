"""Peers are asked where they may be scraped, and this node answers; strangers learn nothing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pilotdht.client.channel import ControlChannel
from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.discovery import TargetKeeper, announce_metrics
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.targets import OFFER_BYTES, encode_offer
from pilotdht.errors import NotTrusted, PilotError, Refused, TimedOut
from pilotdht.gossip.values import GroupKind
from pilotdht.identity.address import Address
from pilotdht.node.facts import Connection
from pilotdht.services.ports import WellKnownPort
from pilotdht.wire.endpoint import Endpoint
from tests.support.fake_daemon import fake_daemon
from tests.support.fake_node import ALPHA, HERE, OWN, FakeNode, FakeStream, stream_pair

pytestmark = pytest.mark.asyncio

CONFIG = DaemonConfig(target_timeout_s=1.0, targets_wait_s=2.0)


class Fleet(FakeNode):
    """Trusts one peer, whose answer the test decides."""

    def __init__(self, answer: bytes | PilotError | None, *, relay: Address | None = None) -> None:
        super().__init__()
        self.offer = answer
        """What the peer says; ``None``: nothing, for ever."""
        self.through = relay
        self.questions = 0

    async def connect(self, target: str, *, timeout_s: float = 10.0) -> Connection:
        """Return a link on a public address."""
        assert ALPHA.did == target
        return Connection(
            address=ALPHA.address, endpoint=Endpoint("192.0.2.9", 4433), relay=self.through, setup_s=0.0, rtt_s=0.0
        )

    async def dial(self, target: str, port: int, *, timeout_s: float = 10.0) -> FakeStream:
        """Answer as the test wants it."""
        assert (ALPHA.did, WellKnownPort.METRICS) == (target, port)
        self.questions += 1
        if isinstance(self.offer, PilotError):
            raise self.offer
        here, there = stream_pair(port)
        if self.offer is not None:
            await there.write(self.offer)
            await there.write_eof()
        return here


async def listed(node: Fleet) -> tuple[list[str], dict[str, float]]:
    """Return whom a keeper lists, and what it counted."""
    await node.approve("agent-alpha")
    metrics = DaemonMetrics(node.registry, version="0")
    keeper = TargetKeeper(node, config=CONFIG, metrics=metrics)
    targets = await keeper.targets()
    counted = {result: count.value for result, count in metrics.targets_asked.items() if count.value}
    return [str(target.endpoint) for target in targets], counted


async def test_trusted_peer_is_listed_where_its_key_was_proven() -> None:
    """The peer says the port; the host is the one that the tunnel leads to."""
    assert (["192.0.2.9:9464"], {"told": 1}) == await listed(Fleet(encode_offer(9464)))


async def test_peer_behind_relay_is_not_listed() -> None:
    """The relay's address is not the peer's: scraping it would read somebody else."""
    assert ([], {"relayed": 1}) == await listed(Fleet(encode_offer(9464), relay=OWN.address))


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Refused("nothing listens there"), "declined"),
        (NotTrusted("not for you"), "declined"),
        (TimedOut("silent"), "silent"),
        (b"", "declined"),
        (b"nonsense", "malformed"),
        (b"x" * (10 * OFFER_BYTES), "malformed"),
        (b'{"port": 70000}', "malformed"),
    ],
)
async def test_peer_without_offer_is_not_listed(answer: bytes | PilotError, result: str) -> None:
    """Whatever else a peer says, it is counted and not scraped."""
    assert ([], {result: 1}) == await listed(Fleet(answer))


async def test_stranger_is_never_asked() -> None:
    """A peer that asks for trust and has none is no target."""
    node = Fleet(encode_offer(9464))
    node.ask_for_trust("please")
    keeper = TargetKeeper(node, config=CONFIG, metrics=DaemonMetrics(node.registry, version="0"))
    assert ([], 0) == (await keeper.targets(), node.questions)


@pytest.mark.parametrize(
    ("kind", "expected"), [(GroupKind.ORG, ["192.0.2.9:9464"]), (GroupKind.OPEN, []), (GroupKind.INVITE, [])]
)
async def test_members_of_orgs_are_asked_and_those_of_other_groups_are_not(
    kind: GroupKind, expected: list[str]
) -> None:
    """An org's members trust one another; whoever knows an open group's name is a stranger."""
    node = Fleet(encode_offer(9464))
    await node.create_group("acme", kind=kind)
    keeper = TargetKeeper(node, config=CONFIG, metrics=DaemonMetrics(node.registry, version="0"))
    found = await keeper.targets()
    assert expected == [str(target.endpoint) for target in found]
    assert [("org", "agent-alpha.acme")] * len(expected) == [
        (target.candidate.relation, target.candidate.hostname) for target in found
    ]


async def test_own_endpoint_comes_first() -> None:
    """Whoever lists others lists itself."""
    node = Fleet(encode_offer(9464))
    await node.approve("agent-alpha")
    keeper = TargetKeeper(node, config=CONFIG, metrics=DaemonMetrics(node.registry, version="0"))
    keeper.own = Endpoint("127.0.0.1", 9000)
    found = await keeper.targets()
    assert [("self", "127.0.0.1:9000"), ("trusted", "192.0.2.9:9464")] == [
        (one.candidate.relation, str(one.endpoint)) for one in found
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - not bound
async def test_own_port_on_all_addresses_is_listed_where_the_node_is_found(host: str) -> None:
    """Nobody can scrape an unspecified address."""
    node = FakeNode()
    keeper = TargetKeeper(node, config=CONFIG, metrics=DaemonMetrics(node.registry, version="0"))
    keeper.own = Endpoint(host, 9000)
    assert [Endpoint(HERE.host, 9000)] == [one.endpoint for one in await keeper.targets()]


async def test_peers_are_not_asked_again_at_once() -> None:
    """A scraper that looks often costs the peers nothing."""
    node = Fleet(encode_offer(9464))
    await node.approve("agent-alpha")
    keeper = TargetKeeper(node, config=CONFIG, metrics=DaemonMetrics(node.registry, version="0"))
    for _ in range(5):
        await keeper.targets()
    assert 1 == node.questions


async def test_silent_peer_delays_the_list_no_longer_than_its_time() -> None:
    """A peer that takes the stream and says nothing is counted as silent."""
    node = Fleet(None)
    await node.approve("agent-alpha")
    metrics = DaemonMetrics(node.registry, version="0")
    config = replace(CONFIG, target_timeout_s=0.1)
    async with asyncio.timeout(5.0):
        assert [] == await TargetKeeper(node, config=config, metrics=metrics).targets()
    assert 1 == metrics.targets_asked["silent"].value


async def asked(metrics: Endpoint) -> bytes:
    """Return what a peer on loopback hears that asks where this node may be scraped."""
    node = FakeNode()
    up = asyncio.Event()
    async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
        task = group.create_task(announce_metrics(node, metrics, timeout_s=5.0, is_up=up.set))
        await up.wait()
        here, there = stream_pair(WellKnownPort.METRICS)
        node.incoming.put_nowait(here)
        heard = b""
        while piece := await there.read():
            heard += piece
        task.cancel()
    return heard


async def test_who_asks_is_told_the_port() -> None:
    """The answer is short and has no host."""
    assert encode_offer(9464) == await asked(Endpoint("0.0.0.0", 9464))  # noqa: S104 - not bound


async def test_peer_that_takes_nothing_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """One who gives no credit is given up; those behind it are answered meanwhile."""
    node = FakeNode()
    stuck, _ = stream_pair(WellKnownPort.METRICS)

    async def write(_: bytes) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(stuck, "write", write)  # no credit, ever
    here, there = stream_pair(WellKnownPort.METRICS)
    for stream in (stuck, here):
        node.incoming.put_nowait(stream)
    async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
        task = group.create_task(announce_metrics(node, Endpoint("127.0.0.1", 9464), timeout_s=0.05))
        assert encode_offer(9464) == await there.read()
        await stuck.closed.wait()
        task.cancel()
    assert stuck.is_aborted


async def test_port_on_loopback_is_told_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody elsewhere is told of a port that only this machine reaches."""
    on_loopback = await asked(Endpoint("127.0.0.1", 9464))
    links = FakeNode().connections()
    far = [replace(link, endpoint=Endpoint("192.0.2.7", 4433)) for link in links]
    monkeypatch.setattr(FakeNode, "connections", lambda _: far)
    elsewhere = await asked(Endpoint("127.0.0.1", 9464))
    monkeypatch.setattr(FakeNode, "connections", lambda _: [replace(link, relay=OWN.address) for link in links])
    relayed = await asked(Endpoint("127.0.0.1", 9464))
    assert (encode_offer(9464), b"", b"") == (on_loopback, elsewhere, relayed)


async def fetched(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of a plain request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


async def test_targets_are_off_unless_switched_on(tmp_path: Path, unused_tcp_port: int) -> None:
    """The metrics port tells nobody whom this node trusts, unless its owner says so; the control socket does."""
    config = replace(CONFIG, metrics=Endpoint("127.0.0.1", unused_tcp_port))
    async with fake_daemon(tmp_path, config=config) as daemon, ControlChannel(daemon.socket) as channel:
        status, _ = await fetched(unused_tcp_port, "/targets")
        listed_here = await channel.get("/v1/metrics/targets")
    assert 404 == status
    assert isinstance(listed_here, dict)
    assert [[f"127.0.0.1:{unused_tcp_port}"]] == [one["targets"] for one in listed_here["targets"]]


async def test_targets_are_served_as_prometheus_wants_them(tmp_path: Path, unused_tcp_port: int) -> None:
    """A list of objects with ``targets`` and ``labels``, and nothing around it."""
    config = replace(CONFIG, metrics=Endpoint("127.0.0.1", unused_tcp_port), is_listing_targets=True)
    async with fake_daemon(tmp_path, config=config):
        status, body = await fetched(unused_tcp_port, "/targets")
    (own,) = json.loads(body)
    assert (200, {"targets", "labels"}, "self") == (status, set(own), own["labels"]["__meta_pilotdht_relation"])
