"""Whatever comes over the control socket, the daemon answers in its form or closes, and goes on serving others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from pilotdht.client.channel import ControlChannel
from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.credentials import may_control, peer_user_id
from pilotdht.daemon.unix_socket import bind_control_socket
from pilotdht.errors import AlreadyExists, ConfigError, NoDaemon
from pilotdht.wire.endpoint import Endpoint
from tests.support.fake_daemon import FakeDaemon, fake_daemon

GET_INFO = b"GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n"


async def exchange(daemon: FakeDaemon, *pieces: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the daemon closes."""
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    try:
        for piece in pieces:
            writer.write(piece)
            with contextlib.suppress(OSError):
                await writer.drain()
        async with asyncio.timeout(10):
            return await read_until_closed(reader)
    finally:
        writer.close()


async def read_until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what arrives until the end, a reset included."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            data += piece
    return data


def envelope(answer: bytes) -> dict[str, str]:
    """Return the JSON body of an answer."""
    content = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert isinstance(content, dict)
    return content


async def assert_serves(daemon: FakeDaemon) -> None:
    """The daemon still answers."""
    async with ControlChannel(daemon.socket) as channel:
        assert await channel.get("/v1/info")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET /v1/info HTTP/x\r\n\r\n",
        b"GET /v1/info HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /v1/info HTTP/1.1\r\n\r\n",
        b"POST /v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\0" * 70_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000,
    ],
)
async def test_malformed_request_is_refused_in_the_form_of_every_error(tmp_path: Path, garbage: bytes) -> None:
    """What is no HTTP, or too long, gets an envelope and is closed."""
    async with fake_daemon(tmp_path) as daemon:
        answer = await exchange(daemon, garbage)

        assert answer.startswith(b"HTTP/1.1 400")
        assert "invalid_argument" == envelope(answer)["code"]
        await assert_serves(daemon)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"null", b"1"])
async def test_body_that_is_no_json_object_is_an_error(tmp_path: Path, body: bytes) -> None:
    """Only a JSON object is a request."""
    async with fake_daemon(tmp_path) as daemon:
        head = b"POST /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        answer = await exchange(daemon, head, body)

        assert answer.startswith(b"HTTP/1.1 400")
        assert "invalid_argument" == envelope(answer)["code"]
        await assert_serves(daemon)


@pytest.mark.asyncio
async def test_body_above_the_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A long body is answered with an error, and not kept."""
    async with fake_daemon(tmp_path, config=DaemonConfig(max_body_bytes=1024)) as daemon:
        head = b"POST /v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
        answer = await exchange(daemon, head + b"x" * 5000)

        assert answer.startswith(b"HTTP/1.1 400")
        assert "longer than 1024 bytes" in envelope(answer)["message"]
        await assert_serves(daemon)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sent", [b"", b"GET /v1/in", b"POST /v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_half_a_request_ends_after_its_time(tmp_path: Path, sent: bytes) -> None:
    """A client that stops in the middle does not hold its connection for ever."""
    config = DaemonConfig(request_timeout_s=0.1, idle_connection_s=1.0)
    async with fake_daemon(tmp_path, config=config) as daemon:
        answer = await exchange(daemon, sent)

        assert not sent or answer.startswith(b"HTTP/1.1 504")
        await assert_serves(daemon)


@pytest.mark.asyncio
async def test_connections_above_the_bound_are_refused(tmp_path: Path) -> None:
    """The bound holds, says so, and frees its places again."""
    async with fake_daemon(tmp_path, config=DaemonConfig(max_connections=4)) as daemon:
        held = [await asyncio.open_unix_connection(str(daemon.socket)) for _ in range(4)]
        for reader, writer in held:
            writer.write(GET_INFO)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        answer = await exchange(daemon)
        for _, writer in held:
            writer.close()
            await writer.wait_closed()

        assert answer.startswith(b"HTTP/1.1 503")
        assert "overloaded" == envelope(answer)["code"]
        await assert_serves(daemon)


@pytest.mark.asyncio
async def test_client_that_goes_away_stops_the_work(tmp_path: Path) -> None:
    """A verb whose client has closed its connection is cancelled."""
    async with fake_daemon(tmp_path) as daemon:
        daemon.node.is_stuck = True
        async with ControlChannel(daemon.socket) as channel:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await channel.post("/v1/find", {"target": "agent-alpha"})
        async with asyncio.timeout(5):
            await daemon.node.was_cancelled.wait()
        daemon.node.is_stuck = False
        await assert_serves(daemon)


@pytest.mark.asyncio
async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """Several requests sent at once get their answers one after the other."""
    async with fake_daemon(tmp_path) as daemon:
        last = GET_INFO.replace(b"Host: x", b"Host: x\r\nConnection: close")
        answer = await exchange(daemon, GET_INFO + GET_INFO.replace(b"info", b"peers") + last)

    assert 3 == answer.count(b"HTTP/1.1 200")


@pytest.mark.asyncio
async def test_stop_ends_stuck_requests_within_a_bound(tmp_path: Path) -> None:
    """Closing the daemon does not wait for a verb that never ends."""
    async with asyncio.timeout(5):
        async with fake_daemon(tmp_path) as daemon:
            daemon.node.is_stuck = True
            reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
            body = b'{"target": "agent-alpha"}'
            writer.write(b"POST /v1/find HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            idle_reader, idle_writer = await asyncio.open_unix_connection(str(daemon.socket))
            idle_writer.write(GET_INFO)
            assert (await idle_reader.readline()).startswith(b"HTTP/1.1 200")
        assert not (await read_until_closed(idle_reader)).startswith(b"HTTP")
        assert b"" == await read_until_closed(reader)
        writer.close()
        idle_writer.close()


@pytest.mark.asyncio
async def test_socket_and_its_directory_are_private(tmp_path: Path) -> None:
    """Nobody else can reach the socket."""
    async with fake_daemon(tmp_path) as daemon:
        assert 0o600 == stat.S_IMODE(daemon.socket.stat().st_mode)
        assert 0o700 == stat.S_IMODE(daemon.socket.parent.stat().st_mode)
    assert not daemon.socket.exists()


@pytest.mark.asyncio
async def test_second_daemon_on_one_socket_is_refused(tmp_path: Path) -> None:
    """A live daemon's socket is not taken from it."""
    async with fake_daemon(tmp_path) as daemon:
        with pytest.raises(AlreadyExists):
            async with fake_daemon(tmp_path):
                pass
        await assert_serves(daemon)


@pytest.mark.asyncio
async def test_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    """What a killed daemon left behind does not stop the next one."""
    path = tmp_path / "run" / "control.sock"
    bind_control_socket(path).close()
    async with fake_daemon(tmp_path) as daemon:
        await assert_serves(daemon)


def test_file_in_the_socket_s_place_is_left_alone(tmp_path: Path) -> None:
    """A file that is no socket is never removed."""
    path = tmp_path / "run" / "control.sock"
    path.parent.mkdir()
    path.write_text("precious")

    with pytest.raises(ConfigError, match="not a socket"):
        bind_control_socket(path)
    assert "precious" == path.read_text()


def test_credentials_of_the_other_end_are_read() -> None:
    """The kernel tells who is at the other end of a socket pair."""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert os.geteuid() == peer_user_id(one)


def test_strangers_may_not_control() -> None:
    """Root and the own user may give orders, nobody else."""
    own = os.geteuid()
    assert [True, True, False] == [may_control(own), may_control(0), may_control(own + 4711)]


@pytest.mark.asyncio
async def test_connection_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever passes the file modes is still asked who they are."""
    monkeypatch.setattr("pilotdht.daemon.control.peer_user_id", lambda connection: os.geteuid() + 4711)
    async with fake_daemon(tmp_path) as daemon:
        answer = await exchange(daemon, GET_INFO)

    assert answer.startswith(b"HTTP/1.1 403")
    assert "not_trusted" == envelope(answer)["code"]


@pytest.mark.asyncio
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_kernel_s_word_on_another_user_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with every file mode open, a connection made by another user is refused."""
    async with fake_daemon(tmp_path) as daemon:
        directory = daemon.socket.parent
        directory.chmod(0o755)
        daemon.socket.chmod(0o666)
        monkeypatch.chdir(directory)
        connection = socket.socket(socket.AF_UNIX)
        os.seteuid(65534)
        try:
            connection.connect(daemon.socket.name)
        finally:
            os.seteuid(0)
        connection.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        answer = await read_until_closed(reader)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 403")


@pytest.mark.asyncio
async def test_unexpected_failure_is_an_internal_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a verb is told as one, logged, and ends nothing else."""
    async with fake_daemon(tmp_path) as daemon:
        daemon.node.info = None  # type: ignore[assignment, method-assign]
        answer = await exchange(daemon, GET_INFO.replace(b"Host: x", b"Host: x\r\nConnection: close"))

    assert answer.startswith(b"HTTP/1.1 500")
    assert "internal" == envelope(answer)["code"]
    assert "control request failed" in caplog.text


@pytest.mark.asyncio
async def test_metrics_port_serves_metrics_and_nothing_else(tmp_path: Path, unused_tcp_port: int) -> None:
    """The TCP port gives no orders."""
    config = DaemonConfig(metrics=Endpoint("127.0.0.1", unused_tcp_port))
    async with fake_daemon(tmp_path, config=config):
        answers = []
        for path in (b"/metrics", b"/v1/info", b"/v1/stop"):
            reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
            writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
            answers.append((await read_until_closed(reader))[:12])
            writer.close()

    assert [b"HTTP/1.1 200", b"HTTP/1.1 404", b"HTTP/1.1 404"] == answers


@pytest.mark.asyncio
async def test_missing_daemon_is_told_with_a_hint(tmp_path: Path) -> None:
    """A client without a daemon says how to start one."""
    async with ControlChannel(tmp_path / "control.sock") as channel:
        with pytest.raises(NoDaemon) as caught:
            await channel.get("/v1/info")

    assert "daemon start" in caught.value.hint
