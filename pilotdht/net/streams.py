"""The real TLS connections behind :class:`pilotdht.net.doors.StreamNetwork`: asyncio transports, directly or by proxy.

A connection that is accepted is handed over before its TLS handshake, so that whoever serves can count and refuse it
while it has cost nothing. What is read before anybody wants it is bounded by pausing the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import cast

from pilotdht.errors import ConfigError, LinkClosed, Unreachable
from pilotdht.net.addresses import endpoint_of
from pilotdht.net.doors import ByteStream, ConnectProxy, Incoming, StreamListener
from pilotdht.net.tls import client_context, server_context
from pilotdht.wire.endpoint import Endpoint

MAX_PROXY_REPLY_BYTES = 8192
"""A proxy says in a few lines whether it opens a connection; common web servers stop at 8 KiB of headers as well."""

EARLY_BYTES = 16_384
"""Read ahead at most while nobody has asked for more: one TLS record."""

TLS_TIMEOUT_S = 30.0
"""Last bound of a TLS handshake; whoever opens or serves a connection sets a shorter one."""

TLS_CLOSE_S = 1.0
"""How long a closed connection waits for the other end's word that it is closed."""

LOWAT_BYTES = 65_536
"""Bytes that the kernel keeps unsent: more would wait there as a queue that nobody can shorten. Half a train."""

EYEBALLS_S = 0.25
"""Time that one address of a name has before the next one is tried as well (RFC 8305, section 5)."""

BACKLOG = 128
"""Connections that the kernel keeps until they are accepted."""

_TCP_NOTSENT_LOWAT = 25
_HEAD_END = b"\r\n\r\n"
_UNKNOWN = Endpoint("0.0.0.0", 0)  # noqa: S104 - shown, never bound


class TcpStream(asyncio.Protocol):
    """One TCP connection, secured by TLS before anything of ours goes over it."""

    def __init__(self, accepted: Callable[[TcpStream], None] | None = None) -> None:
        """Make it, to be connected by the loop.

        Args:
            accepted: takes the connection once it stands, still without TLS; absent for one that we open.
        """
        self._accepted = accepted
        self._transport: asyncio.Transport | None = None
        self._context: ssl.SSLContext | None = None
        self._certificate = b""
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._received: Callable[[bytes], None] | None = None
        self._ended: Callable[[], None] | None = None
        self._is_over = False
        self._remote = self._local = _UNKNOWN

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; an accepted connection reads nothing before its TLS handshake begins."""
        self._transport = cast("asyncio.Transport", transport)
        self._remote = _endpoint(transport, "peername")
        self._local = _endpoint(transport, "sockname")
        with contextlib.suppress(OSError, AttributeError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, LOWAT_BYTES)
        if self._accepted is not None:
            self._transport.pause_reading()
            self._accepted(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes on, or keep them until somebody asks."""
        if self._is_over:
            return
        if self._received is not None:
            self._received(data)
            return
        self._buffer += data
        if len(self._buffer) > EARLY_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever reads that it is over."""
        is_told, self._is_over = self._is_over, True
        self._arrived.set()
        if self._ended is not None and not is_told:
            self._ended()

    # What ByteStream and Incoming want.

    @property
    def remote(self) -> Endpoint:
        """Where the other end is."""
        return self._remote

    @property
    def local(self) -> Endpoint:
        """This end's own address and port."""
        return self._local

    @property
    def certificate(self) -> bytes:
        """The server's certificate (DER)."""
        return self._certificate

    @property
    def backlog_bytes(self) -> int:
        """Bytes written that the system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    async def read_exactly(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            LinkClosed: the connection ended before.
        """
        while len(self._buffer) < count:
            await self._more()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def read_head(self) -> bytes:
        """Return what an HTTP server says before its content.

        Raises:
            LinkClosed: the connection ended before, or the head is too long.
        """
        while (end := self._buffer.find(_HEAD_END)) < 0:
            if len(self._buffer) > MAX_PROXY_REPLY_BYTES:
                raise LinkClosed("the proxy's answer is too long")
            await self._more()
        return await self.read_exactly(end + len(_HEAD_END))

    def deliver(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Hand over what arrives from now on, and tell once when the connection has ended."""
        self._received, self._ended = received, ended
        early, self._buffer = bytes(self._buffer), bytearray()
        if self._transport is not None:
            self._transport.resume_reading()
        if early:
            received(early)
        if self._is_over:
            ended()

    def write(self, data: bytes) -> None:
        """Send bytes; never raises, never blocks."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what waits, and close; safe to call twice."""
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; safe to call twice."""
        self._is_over = True
        if self._transport is not None:
            self._transport.abort()

    # Securing

    def accept_with(self, context: ssl.SSLContext, certificate: bytes) -> None:
        """Do the TLS handshake of an accepted connection with this, once it is asked for."""
        self._context, self._certificate = context, certificate

    async def secure(self) -> ByteStream:
        """Do the TLS handshake of an accepted connection.

        Raises:
            LinkClosed: the other end does not speak TLS 1.3, or went away.
        """
        assert self._context is not None, "accepted connections were given one"
        await self._start_tls(self._context, is_server=True)
        return self

    async def secure_as_client(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """Do the TLS handshake of a connection that we opened.

        Raises:
            LinkClosed: the other end does not speak TLS 1.3, or went away.
        """
        await self._start_tls(context, is_server=False, server_name=server_name)
        assert self._transport is not None, "a secured connection has a transport"
        self._certificate = self._transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""

    async def _start_tls(self, context: ssl.SSLContext, *, is_server: bool, server_name: str | None = None) -> None:
        plain = self._transport
        if plain is None or plain.is_closing():
            raise LinkClosed("the connection ended before TLS began")
        try:
            secured = await asyncio.get_running_loop().start_tls(
                plain,
                self,
                context,
                server_side=is_server,
                server_hostname=server_name,
                ssl_handshake_timeout=TLS_TIMEOUT_S,
                ssl_shutdown_timeout=TLS_CLOSE_S,
            )
        except (OSError, RuntimeError) as error:  # an SSLError is an OSError; RuntimeError: it was closed just now
            plain.abort()
            raise LinkClosed(f"TLS could not be set up: {str(error) or 'the other end closed it'}") from error
        if secured is None:
            raise LinkClosed("the connection ended while TLS was set up")
        self._transport = secured

    async def _more(self) -> None:
        """Wait for bytes."""
        if self._is_over:
            raise LinkClosed("the other end closed the connection")
        self._arrived.clear()
        if self._transport is not None:
            self._transport.resume_reading()
        await self._arrived.wait()


class TcpListener:
    """One open TCP port."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        found = (endpoint_of(bound.getsockname()) for bound in server.sockets)
        self._local_endpoints = tuple(endpoint for endpoint in found if endpoint is not None)

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to."""
        return self._local_endpoints

    async def close(self) -> None:
        """Accept nobody any more; safe to call twice."""
        self._server.close()


class TcpNetwork:
    """Opens real connections."""

    async def connect(self, host: str, port: int, *, proxy: ConnectProxy | None = None) -> ByteStream:
        """Open a connection, whoever answers; the caller bounds the time.

        Raises:
            Unreachable: nobody answers there with TLS 1.3, or the proxy refuses.
        """
        loop = asyncio.get_running_loop()
        to = (host, port) if proxy is None else (proxy.host, proxy.port)
        try:
            _, stream = await loop.create_connection(TcpStream, *to, happy_eyeballs_delay=EYEBALLS_S)
        except (OSError, UnicodeError) as error:  # a name that cannot be written in DNS
            at = f"{host}:{port}" if proxy is None else f"the proxy {proxy.host}:{proxy.port}"
            raise Unreachable(f"no TCP connection to {at}: {error}") from error
        try:
            if proxy is not None:
                await _ask_proxy(stream, proxy, host, port)
            await stream.secure_as_client(client_context(), None if _is_literal(host) else host)
        except LinkClosed as error:
            stream.abort()
            raise Unreachable(f"no TLS 1.3 at {host}:{port}: {error.message}") from error
        except BaseException:
            stream.abort()
            raise
        return stream

    async def listen(
        self, listen: Endpoint, accept: Callable[[Incoming], None], *, certificate_file: str, key_file: str, seed: bytes
    ) -> StreamListener:
        """Hand over connections that others open.

        Raises:
            ConfigError: the address cannot be bound, or a file cannot be used.
        """
        context, certificate = server_context(certificate_file=certificate_file, key_file=key_file, seed=seed)

        def accepted(stream: TcpStream) -> None:
            stream.accept_with(context, certificate)
            accept(stream)

        loop = asyncio.get_running_loop()
        bound = _bound_socket(listen)
        try:
            return TcpListener(await loop.create_server(lambda: TcpStream(accepted), sock=bound, backlog=BACKLOG))
        except BaseException:
            bound.close()
            raise


async def _ask_proxy(stream: TcpStream, proxy: ConnectProxy, host: str, port: int) -> None:
    """Have a proxy open a connection.

    Raises:
        LinkClosed: it refuses, or is no proxy.

    Source: RFC 9110, section 9.3.6.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    stream.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    status = (await stream.read_head()).split(b"\r\n", 1)[0].split(b" ", 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].isdigit() or len(status[1]) != 3:
        raise LinkClosed(f"{proxy.host}:{proxy.port} is no HTTP proxy")
    if not status[1].startswith(b"2"):
        wants = "; it wants a user and a password" if status[1] == b"407" else ""
        raise LinkClosed(f"the proxy {proxy.host}:{proxy.port} refuses with status {status[1].decode()}{wants}")


def _bound_socket(listen: Endpoint) -> socket.socket:
    """Return a TCP socket that is bound; ``::`` takes both families.

    Raises:
        ConfigError: it cannot be bound.
    """
    family = socket.AF_INET6 if listen.is_ipv6 else socket.AF_INET
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if listen.host == "::" and error.errno == errno.EAFNOSUPPORT:  # a machine without IPv6
            return _bound_socket(Endpoint("0.0.0.0", listen.port))  # noqa: S104 - as the caller asked
        raise ConfigError(f"no TCP socket for {listen}: {error.strerror}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(listen.host != "::"))
        bound.bind((listen.host, listen.port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"TCP {listen} cannot be bound: {error.strerror}",
            hint="ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE), and must be free",
        ) from error
    bound.setblocking(False)
    return bound


def _endpoint(transport: asyncio.BaseTransport, which: str) -> Endpoint:
    name = transport.get_extra_info(which)
    return (endpoint_of(name) if isinstance(name, tuple) else None) or _UNKNOWN


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
