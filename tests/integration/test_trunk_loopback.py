"""Trunks over real connections on loopback: whole nodes, proxies, certificates, and what strangers try."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pilotdht.config.config import Config
from pilotdht.config.dht import DhtConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import ConfigError, LinkClosed, Unreachable
from pilotdht.identity.certificate import make_certificate
from pilotdht.net.doors import ConnectProxy, Incoming
from pilotdht.net.streams import TcpNetwork
from pilotdht.node.node import Node
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from tests.support.net_nodes import key_pair
from tests.support.nodes import befriend

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

LOOPBACK = Endpoint("127.0.0.1", 0)
PORT = 3000
SIZE = 10_000_000


@contextlib.contextmanager
def busy_port() -> Iterator[int]:
    """Hold a TCP port that nobody else can bind."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@asynccontextmanager
async def serving(count: int = 1) -> AsyncIterator[list[Node]]:
    """Start servers whose wished port is taken: they serve trunks at the number of their UDP port."""
    async with contextlib.AsyncExitStack() as stack:
        wished = Endpoint("127.0.0.1", stack.enter_context(busy_port()))
        servers: list[Node] = []
        for number in range(count):
            config = Config(
                hostname=f"server-{number}",
                listen=LOOPBACK,
                bootstrap=tuple(str(server.endpoints[0]) for server in servers),
                dht=DhtConfig(mode="server"),
                trunk=TrunkConfig(listen=wished),
            )
            servers.append(await stack.enter_async_context(Node(config)))
            (served,) = servers[-1].rooms.trunks.served_at
            assert served == servers[-1].rooms.socket.local_endpoints[0]
        yield servers


def agent(servers: list[Node], name: str, **trunk: object) -> Node:
    """Return a node that goes onto a trunk at once, unless told otherwise."""
    return Node(
        Config(
            hostname=name,
            listen=LOOPBACK,
            bootstrap=tuple(str(server.rooms.socket.local_endpoints[0]) for server in servers),
            trunk=TrunkConfig(**({"mode": "always"} | trunk)),  # type: ignore[arg-type]
        )
    )


async def until(is_so: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for raises no event
            await asyncio.sleep(0.01)


class Sink:
    """Takes what comes on a stream, and says its hash at the end."""

    def __init__(self) -> None:
        self.size = 0
        self.longest_pause_s = 0.0
        self._at = 0.0

    async def __call__(self, stream: Stream) -> None:
        """Serve one stream."""
        digest, loop = hashlib.sha256(), asyncio.get_running_loop()
        self._at = loop.time()
        async for chunk in stream:
            digest.update(chunk)
            self.size += len(chunk)
            self.longest_pause_s = max(self.longest_pause_s, loop.time() - self._at)
            self._at = loop.time()
        await stream.write(digest.digest())


async def sent(stream: Stream, size: int, *, halfway: Callable[[], object] = lambda: None) -> bool:
    """Send random bytes; return whether their hash came back."""
    digest = hashlib.sha256()
    for number in range(size // 100_000):
        if number == size // 200_000:
            halfway()
        chunk = os.urandom(100_000)
        digest.update(chunk)
        await stream.write(chunk)
    await stream.write_eof()
    return await stream.read_exactly(32) == digest.digest()


@pytest.mark.timeout(120)
async def test_ten_megabytes_go_through_two_trunks_intact() -> None:
    """Between two nodes that are both on one; the road says so, and nothing else was carried for anybody."""
    async with serving() as servers, agent(servers, "one") as one, agent(servers, "other") as other:
        await until(lambda: one.info().is_joined and other.info().is_joined)
        await befriend(one, other)
        sink = Sink()
        other.rooms.tunnels.listen(PORT, sink)
        async with await one.dial("other", PORT) as stream:
            assert await sent(stream, SIZE)
        assert SIZE == sink.size
        links = [link for link in one.connections() if link.address == other.address]  # both may have dialled
        assert {servers[0].address} == {link.trunk for link in links}
        assert not one.info().is_server


@pytest.mark.timeout(120)
async def test_transfer_goes_on_when_the_server_of_its_trunk_dies() -> None:
    """Another trunk stands within five seconds; the bytes arrive once and in order."""
    async with serving(3) as servers, agent(servers, "one") as one, agent(servers, "other", mode="off") as other:
        await until(lambda: one.info().is_joined and other.info().is_joined)
        await befriend(one, other)
        sink = Sink()
        other.rooms.tunnels.listen(PORT, sink)
        first = one.info().trunk
        (serving_it,) = [server for server in servers if server.address == first]
        killing: list[asyncio.Task[None]] = []
        async with await one.dial("other", PORT) as stream:
            assert await sent(stream, SIZE, halfway=lambda: killing.append(asyncio.ensure_future(serving_it.abort())))
        await asyncio.gather(*killing)
        assert SIZE == sink.size
        assert sink.longest_pause_s < 5.0
        assert one.info().trunk not in (None, first)


# Proxies


class Proxy:
    """A small HTTP CONNECT proxy."""

    def __init__(self, *, user: str = "") -> None:
        self._wanted = base64.b64encode(user.encode()).decode() if user else ""
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head.split("\r\n")[0])
            if self._wanted and f"Proxy-Authorization: Basic {self._wanted}" not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            host, _, port = head.split(" ")[1].rpartition(":")
            try:
                there, back = await asyncio.open_connection(host, int(port))
                self._writers.append(back)
            except OSError:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                return
            writer.write(b"HTTP/1.1 200 Connection established\r\nX-By: test\r\n\r\n")
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, back))
                group.create_task(_copy(there, writer))
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("user", ["", "agent:p@ss word"])
async def test_trunk_goes_through_an_http_proxy(user: str) -> None:
    """With and without credentials, as the environment would name it; everything is asked of the proxy."""
    async with serving() as servers, Proxy(user=user) as proxy:
        credentials = user.replace("@", "%40").replace(" ", "%20") + "@" if user else ""
        url = f"http://{credentials}127.0.0.1:{proxy.port}"
        async with agent(servers, "one", proxy=url) as one, agent(servers, "other", mode="off") as other:
            await until(lambda: one.info().is_joined and other.info().is_joined)
            await befriend(one, other)
            await one.ping("other")
            assert servers[0].address == one.info().trunk
        port = servers[0].rooms.socket.local_endpoints[0].port
        assert f"CONNECT 127.0.0.1:{port} HTTP/1.1" in proxy.asked


async def test_proxy_that_wants_credentials_is_told_of() -> None:
    """Whoever runs the node reads what to do, and never the password."""
    async with serving() as servers, Proxy(user="agent:right") as proxy:
        url = f"http://agent:wrong@127.0.0.1:{proxy.port}"
        async with agent(servers, "one", proxy=url) as one:
            await until(lambda: one.rooms.trunks.failure != "")
            assert "407" in one.rooms.trunks.failure
            assert "password" in one.rooms.trunks.failure
            assert "wrong" not in one.rooms.trunks.failure
            assert "wrong" not in repr(one.config)


async def test_exceptions_of_the_proxy_are_reached_without_it() -> None:
    """As NO_PROXY names them."""
    async with serving() as servers, Proxy() as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with agent(servers, "one", proxy=url, no_proxy=("127.0.0.0/8",)) as one:
            await until(lambda: one.info().trunk is not None)
            assert [] == proxy.asked


async def test_what_is_no_proxy_is_refused() -> None:
    """Another server, one that says too much, one that hangs up."""
    answers = [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, b""]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        while answers:
            with pytest.raises(Unreachable):
                await TcpNetwork().connect("198.51.100.1", 443, proxy=ConnectProxy(host="127.0.0.1", port=port))


# Connections


async def test_connection_has_the_same_certificate_at_both_ends(tmp_path: Path) -> None:
    """One that is made, and the operator's own; TLS 1.2 is refused, and bytes that are no TLS."""
    keys = key_pair(9)
    certificate, private = tmp_path / "certificate", tmp_path / "key"
    certificate.write_bytes(make_certificate(keys).public_bytes(Encoding.PEM))
    private.write_bytes(keys.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for files in (("", ""), (str(certificate), str(private))):
        accepted: asyncio.Queue[Incoming] = asyncio.Queue()
        network = TcpNetwork()
        listener = await network.listen(
            LOOPBACK, accepted.put_nowait, certificate_file=files[0], key_file=files[1], seed=b"s" * 32
        )
        (place,) = listener.local_endpoints
        connecting = asyncio.ensure_future(network.connect(place.host, place.port))
        server = await (await accepted.get()).secure()
        client = await connecting
        assert server.certificate == client.certificate != b""
        client.write(b"there")
        server.write(b"back and forth")
        assert (b"there", b"back") == (await server.read_exactly(5), await client.read_exactly(4))
        got: list[bytes] = []
        ended = asyncio.Event()
        client.deliver(got.append, ended.set)
        server.close()
        await asyncio.wait_for(ended.wait(), 5)
        assert b" and forth" == b"".join(got)
        await _speak_wrongly(place, accepted)
        client.abort()
        await listener.close()
        await listener.close()


async def _speak_wrongly(place: Endpoint, accepted: asyncio.Queue[Incoming]) -> None:
    """Open connections that are no TLS 1.3."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode, old.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
    trying = asyncio.ensure_future(asyncio.open_connection(place.host, place.port, ssl=old))
    with pytest.raises(LinkClosed):
        await (await accepted.get()).secure()
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await trying
    _, writer = await asyncio.open_connection(place.host, place.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(LinkClosed):
        await (await accepted.get()).secure()
    writer.close()


async def test_certificate_that_cannot_be_used_is_told_of(tmp_path: Path) -> None:
    """A missing file, and one that holds something else."""
    (tmp_path / "empty").write_text("nothing")
    for name in ("missing", "empty"):
        path = str(tmp_path / name)
        with pytest.raises(ConfigError, match="cannot be used"):
            await TcpNetwork().listen(LOOPBACK, _nobody, certificate_file=path, key_file=path, seed=b"s" * 32)


async def test_no_key_of_tls_stays_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes it from a file, which is deleted at once."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    listener = await TcpNetwork().listen(LOOPBACK, _nobody, certificate_file="", key_file="", seed=b"s" * 32)
    assert [] == os.listdir(tmp_path)
    await listener.close()


def _nobody(incoming: Incoming) -> None:
    incoming.abort()


async def test_connection_that_never_begins_tls_is_closed() -> None:
    """It holds a place for as long as a handshake may take, and no longer."""
    async with serving() as servers:
        config = replace(servers[0].config, trunk=TrunkConfig(listen=LOOPBACK, handshake_timeout_s=0.3))
        async with Node(config) as server:
            (place,) = server.rooms.trunks.served_at
            reader, writer = await asyncio.open_connection(place.host, place.port)
            writer.write(b"\x16\x03")
            with contextlib.suppress(ConnectionResetError):
                assert b"" == await asyncio.wait_for(reader.read(100), 5)
            writer.close()
