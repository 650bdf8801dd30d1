"""Each verb of the control API does what its name says, and tells it in the declared shape."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pilotdht.client.channel import ControlChannel
from pilotdht.daemon import shapes
from pilotdht.errors import Ambiguous, InvalidArgument, NotFound, NotTrusted, PilotError, TimedOut, UsageError
from tests.support.fake_daemon import fake_daemon
from tests.support.fake_node import ALPHA

ADDRESS = str(ALPHA.address)
TARGET = {"target": "agent-alpha"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/info", shapes.InfoShape),
        ("/v1/peers", shapes.ContactsShape),
        ("/v1/netcheck", shapes.NetCheckShape),
        ("/v1/connections", shapes.ConnectionsShape),
        ("/v1/hostnames", shapes.HostnamesShape),
        ("/v1/aliases", shapes.AliasesShape),
        ("/v1/trust", shapes.TrustedShape),
        ("/v1/trust/pending", shapes.PendingShape),
    ],
)
async def test_reader_answers_in_its_shape(tmp_path: Path, path: str, shape: type) -> None:
    """What the daemon tells has exactly the declared keys."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        answer = await channel.get(path)

    assert isinstance(answer, dict)
    assert set(shape.__annotations__) == set(answer)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "fields", "shape"),
    [
        ("/v1/hostname", {"hostname": "other"}, shapes.InfoShape),
        ("/v1/tags", {"tags": ["a", "b"]}, shapes.InfoShape),
        ("/v1/find", TARGET, shapes.PeerShape),
        ("/v1/find", {**TARGET, "fresh": False}, shapes.PeerShape),
        ("/v1/alias/set", {**TARGET, "alias": "friend"}, shapes.AliasShape),
        ("/v1/alias/remove", {"alias": "friend"}, shapes.AliasRemovedShape),
        ("/v1/lookup", {"tag": "finance"}, shapes.PeersShape),
        ("/v1/ping", TARGET, shapes.PingShape),
        ("/v1/traceroute", TARGET, shapes.TraceShape),
        ("/v1/connect", TARGET, shapes.TunnelShape),
        ("/v1/disconnect", TARGET, shapes.DisconnectedShape),
        ("/v1/request", {**TARGET, "message_base64": "aGk="}, shapes.AnswerShape),
        ("/v1/send", {**TARGET, "message_base64": "aGk=", "port": 1001}, shapes.SentShape),
        ("/v1/trust/handshake", {**TARGET, "reason": "work"}, shapes.TrustShape),
        ("/v1/trust/approve", TARGET, shapes.TrustShape),
        ("/v1/trust/reject", {**TARGET, "reason": "no"}, shapes.TrustShape),
        ("/v1/trust/untrust", TARGET, shapes.TrustShape),
        ("/v1/dht/lookup", TARGET, shapes.LookupShape),
        ("/v1/dht/get", TARGET, shapes.RecordsShape),
        ("/v1/stop", {}, shapes.StoppedShape),
    ],
)
async def test_doer_answers_in_its_shape(tmp_path: Path, path: str, fields: dict[str, object], shape: type) -> None:
    """The outcome of an act has exactly the declared keys."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        answer = await channel.post(path, fields)

    assert isinstance(answer, dict)
    assert set(shape.__annotations__) == set(answer)


@pytest.mark.asyncio
async def test_stop_tells_the_daemon(tmp_path: Path) -> None:
    """A stop request sets what the daemon waits for."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        await channel.post("/v1/stop", {})

        assert daemon.stopping.is_set()


@pytest.mark.asyncio
async def test_send_hands_the_message_to_the_node(tmp_path: Path) -> None:
    """The bytes that arrive at the node are those that were sent."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        await channel.post("/v1/send", {**TARGET, "message_base64": "AP8=", "port": 1001})

        assert [("agent-alpha", b"\x00\xff", 1001)] == daemon.node.sent


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        ("/v1/ping", {}, "target"),
        ("/v1/ping", {"target": ""}, "target"),
        ("/v1/ping", {"target": 5}, "target"),
        ("/v1/ping", {"target": "x" * 300}, "target"),
        ("/v1/ping", {**TARGET, "timeout_s": 0}, "timeout_s"),
        ("/v1/ping", {**TARGET, "timeout_s": "soon"}, "timeout_s"),
        ("/v1/ping", {**TARGET, "timeout_s": True}, "timeout_s"),
        ("/v1/ping", {**TARGET, "timeout": 3}, "timeout"),
        ("/v1/send", {**TARGET, "message_base64": "%%"}, "message_base64"),
        ("/v1/send", {**TARGET, "message_base64": 7}, "message_base64"),
        ("/v1/send", {**TARGET, "message_base64": "", "port": 0}, "port"),
        ("/v1/send", {**TARGET, "message_base64": "", "port": 65536}, "port"),
        ("/v1/send", {**TARGET, "message_base64": "", "port": 7.5}, "port"),
        ("/v1/tags", {"tags": "a"}, "tags"),
        ("/v1/tags", {"tags": [1]}, "tags"),
        ("/v1/tags", {"tags": ["a"] * 9}, "tags"),
        ("/v1/receive", {"count": 0}, "count"),
        ("/v1/listen", {}, "port"),
        ("/v1/listen?port=x", {}, "port"),
        ("/v1/listen?port=0", {}, "port"),
        ("/v1/dial?port=7", {}, "target"),
        ("/v1/dial?target=x&port=7&prt=8", {}, "prt"),
        ("/v1/stop", {"now": True}, "now"),
    ],
)
async def test_wrong_field_is_named(tmp_path: Path, path: str, fields: dict[str, object], named: str) -> None:
    """A field that is missing, malformed or unknown is an error that names it."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        with pytest.raises(InvalidArgument, match=named):
            async for _ in channel.lines(path, fields):
                pass


@pytest.mark.asyncio
async def test_unknown_field_is_told_with_the_nearest_known(tmp_path: Path) -> None:
    """A misspelt field is answered with a hint."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        with pytest.raises(InvalidArgument) as caught:
            await channel.post("/v1/ping", {**TARGET, "timeouts": 3})

    assert "did you mean 'timeout_s'?" == caught.value.hint


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error",
    [
        NotFound("nobody"),
        TimedOut("late", hint="wait"),
        NotTrusted("no"),
        Ambiguous("two", claims=("did:key:one", "did:key:two")),
    ],
)
async def test_error_of_the_node_keeps_class_message_and_hint(tmp_path: Path, error: PilotError) -> None:
    """The client raises what the node raised."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        daemon.node.failure = error

        with pytest.raises(type(error)) as caught:
            await channel.post("/v1/find", TARGET)

    assert (error.message, error.hint) == (caught.value.message, caught.value.hint)
    assert getattr(error, "claims", None) == getattr(caught.value, "claims", None)


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/nothing", "/v2/info", "/v1/ping/", "/"])
async def test_unknown_path_is_an_error_with_a_hint(tmp_path: Path, path: str) -> None:
    """A verb that this daemon does not have is told as such."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        with pytest.raises(UsageError, match="no verb"):
            await channel.post(path, {})


@pytest.mark.asyncio
async def test_wrong_method_is_an_error(tmp_path: Path) -> None:
    """Acting by GET is refused."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        with pytest.raises(UsageError, match="no verb GET /v1/stop"):
            await channel.get("/v1/stop")

        assert not daemon.stopping.is_set()


@pytest.mark.asyncio
async def test_ping_that_finds_nobody_in_time_times_out(tmp_path: Path) -> None:
    """Resolving counts against the time-out."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        daemon.node.is_stuck = True

        with pytest.raises(TimedOut):
            await channel.post("/v1/ping", {**TARGET, "timeout_s": 0.05})


@pytest.mark.asyncio
async def test_metrics_are_served_as_text(tmp_path: Path) -> None:
    """The control socket serves the registry, the daemon's own counters included."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        await channel.get("/v1/info")
        text = await channel.text("/metrics")

    assert re.search(r'^pilotdht_build_info\{python="3[.0-9a-z+]+",version="0.1.0"} 1.0$', text, re.MULTILINE)
    assert 'pilotdht_daemon_requests_total{outcome="ok"} 1.0' in text
