"""The real UDP socket behind :class:`pilotdht.net.doors.DatagramNetwork`.

Non-blocking, read in batches of up to 32 datagrams a readiness event. Where the kernel can, it hands over several
datagrams of one sender in one read (GRO) and takes several for one receiver in one write (GSO). Nothing that is sent or
received can close it: what cannot be sent is lost and counted, errors that the network reports are ignored, and a
receiver that raises loses its batch only.

Source: udp(7), ip(7); kernel documentation, "Segmentation Offloads".
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import struct
import sys
from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from pilotdht.config.net import NetConfig
from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.net.addresses import SocketAddress, endpoint_of, local_endpoints_of, socket_address_of
from pilotdht.net.doors import DatagramSocket, Receive
from pilotdht.net.socket_transport import TransportSocket
from pilotdht.wire.endpoint import Endpoint

_UDP_SEGMENT = 103
_UDP_GRO = 104
_SEGMENT_SIZE = struct.Struct("=H")
_GRO_SIZE = struct.Struct("=i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_GRO_SIZE.size) if hasattr(socket, "CMSG_SPACE") else 0
_READ_BYTES = 65_536
_TRAIN_SEGMENTS = 64
_TRAIN_BYTES = 65_000
_DISCARD_PORT = 9  # RFC 863; nothing is sent there
_NO_OFFLOAD = frozenset((errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP))

_logger = logging.getLogger(__name__)


class UdpNetwork:
    """Opens real UDP sockets."""

    def __init__(self, config: NetConfig | None = None, *, has_offload: bool = True) -> None:
        """Make the network.

        Args:
            config: buffers and bounds.
            has_offload: use GRO and GSO where the kernel has them.
        """
        self._config = NetConfig() if config is None else config
        self._has_offload = has_offload

    async def open(self, listen: Endpoint, receive: Receive) -> DatagramSocket:
        """Bind to ``listen`` and deliver what arrives to ``receive``, once for each readiness event.

        Raises:
            ConfigError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        bound = _bound_socket(listen, self._config)
        try:
            return UdpSocket(loop, bound, receive, self._config, has_offload=self._has_offload)
        except NotImplementedError:  # a proactor loop
            return await TransportSocket.open(loop, bound, receive)
        except BaseException:
            bound.close()
            raise


class UdpSocket:
    """One open UDP socket on a loop that watches file descriptors."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bound: socket.socket,
        receive: Receive,
        config: NetConfig,
        *,
        has_offload: bool,
    ) -> None:
        """Start to read.

        Args:
            loop: the running loop.
            bound: a bound, non-blocking socket, owned from now on.
            receive: takes each batch.
            config: bounds.
            has_offload: use GRO and GSO where the kernel has them.

        Raises:
            NotImplementedError: the loop cannot watch file descriptors.
        """
        self._loop = loop
        self._socket = bound
        self._receive = receive
        self._reads_per_event = config.reads_per_event
        self._send_backlog = config.send_backlog
        self._backlog: deque[tuple[bytes, SocketAddress]] = deque()
        self._is_closed = False
        self._endpoint_of = lru_cache(config.addresses_cached)(endpoint_of)
        family = bound.family
        self._address_of = lru_cache(config.addresses_cached)(lambda endpoint: socket_address_of(endpoint, family))
        self.lost: dict[str, int] = {}
        """Datagrams that could not be sent, by reason."""
        self.receive_errors = 0
        """Errors that the network reported on reading; ignored."""
        self.receiver_failures = 0
        """Errors out of the receiver; logged."""
        self.reads = 0
        """System calls that read something."""
        self.writes = 0
        """System calls that sent something."""
        self.has_gro = has_offload and _enable_gro(bound)
        """The kernel may hand over several datagrams at once."""
        self.has_gso = has_offload and sys.platform.startswith("linux")
        """Trains are tried in one system call; turned off when the kernel refuses."""
        self._local_endpoints = local_endpoints_of(bound)
        loop.add_reader(bound.fileno(), self._readable)

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to; a socket of both families has two, unspecified addresses stay unspecified."""
        return self._local_endpoints

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send one datagram; never raises, never blocks: what cannot be sent is lost, and counted."""
        address = self._address(endpoint)
        if address is None:
            return
        if self._backlog:
            self._keep(datagram, address)
            return
        try:
            self._socket.sendto(datagram, address)
            self.writes += 1
        except BlockingIOError:
            self._keep(datagram, address)
        except OSError as error:
            self._lose(error)

    def send_train(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send datagrams to one endpoint in their order, in as few system calls as the kernel allows."""
        start = 0
        while start < len(datagrams):
            end = _train_end(datagrams, start) if self.has_gso and not self._backlog else start + 1
            if end - start < 2 or not self._send_segments(datagrams[start:end], endpoint):
                for datagram in datagrams[start:end]:
                    self.send(datagram, endpoint)
            start = end

    async def close(self) -> None:
        """Close it; safe to call twice. What waits to be sent is lost."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._backlog.clear()
        self._socket.close()

    def _send_segments(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> bool:
        """Send a train in one call; false when its datagrams must be sent one by one."""
        address = self._address(endpoint)
        if address is None:
            return True  # lost, and counted
        ancillary = [(socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(len(datagrams[0])))]
        try:
            self._socket.sendmsg(datagrams, ancillary, 0, address)
        except BlockingIOError:
            for datagram in datagrams:
                self._keep(datagram, address)
        except OSError as error:
            self.has_gso = error.errno not in _NO_OFFLOAD
            return False
        self.writes += 1
        return True

    def _address(self, endpoint: Endpoint) -> SocketAddress | None:
        if self._is_closed:
            return None
        try:
            return self._address_of(endpoint)
        except (InvalidArgument, TypeError):  # the latter when it is not even hashable
            self._count("endpoint")
            return None

    def _keep(self, datagram: bytes, address: SocketAddress) -> None:
        if len(self._backlog) >= self._send_backlog:
            self._count("backlog")
            return
        if not self._backlog:
            self._loop.add_writer(self._socket.fileno(), self._writable)
        self._backlog.append((datagram, address))

    def _writable(self) -> None:
        while self._backlog:
            datagram, address = self._backlog[0]
            try:
                self._socket.sendto(datagram, address)
                self.writes += 1
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(error)
            self._backlog.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _lose(self, error: OSError) -> None:
        self._count(errno.errorcode.get(error.errno or 0, "other").lower())

    def _count(self, reason: str) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + 1

    def _readable(self) -> None:
        batch: list[tuple[bytes, Endpoint]] = []
        read = self._read_segments if self.has_gro else self._read_one
        for _ in range(self._reads_per_event):
            try:
                read(batch)
                self.reads += 1
            except BlockingIOError:
                break
            except OSError:  # an ICMP error about something sent earlier
                self.receive_errors += 1
        if batch:
            try:
                self._receive(batch)
            except Exception:
                self.receiver_failures += 1
                _logger.exception("receiver of datagrams failed")

    def _read_one(self, batch: list[tuple[bytes, Endpoint]]) -> None:
        datagram, address = self._socket.recvfrom(_READ_BYTES)
        endpoint = self._endpoint_of(address)
        if endpoint is None:
            self.receive_errors += 1
        else:
            batch.append((datagram, endpoint))

    def _read_segments(self, batch: list[tuple[bytes, Endpoint]]) -> None:
        data, ancillary, _, address = self._socket.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
        endpoint = self._endpoint_of(address)
        if endpoint is None:
            self.receive_errors += 1
            return
        if ancillary:
            for level, kind, value in ancillary:
                if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
                    size = _GRO_SIZE.unpack_from(value)[0]
                    if 0 < size < len(data):
                        batch.extend((data[start : start + size], endpoint) for start in range(0, len(data), size))
                        return
        batch.append((data, endpoint))


def _train_end(datagrams: Sequence[bytes], start: int) -> int:
    """Return where the train that begins at ``start`` ends: equal sizes, a shorter one may close it."""
    size = len(datagrams[start])
    if not size:
        return start + 1
    most = min(len(datagrams), start + min(_TRAIN_SEGMENTS, _TRAIN_BYTES // size))
    end = start + 1
    while end < most and len(datagrams[end]) == size:
        end += 1
    if end < most and 0 < len(datagrams[end]) < size:
        end += 1
    return end


def _bound_socket(listen: Endpoint, config: NetConfig) -> socket.socket:
    try:
        return _bind(listen, config)
    except OSError as error:
        if listen.host == "::":
            try:
                return _bind(Endpoint("0.0.0.0", listen.port), config)  # noqa: S104 - what "::" asks for, without IPv6
            except OSError:
                pass
        raise ConfigError(
            f"cannot listen on {listen}: {error.strerror or error}",
            hint="another program may hold the port; choose another one, or port 0 for any",
        ) from error


def _bind(listen: Endpoint, config: NetConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        for option, size_bytes in (
            (socket.SO_RCVBUF, config.receive_buffer_bytes),
            (socket.SO_SNDBUF, config.send_buffer_bytes),
        ):
            try:
                bound.setsockopt(socket.SOL_SOCKET, option, size_bytes)
            except OSError:  # the kernel's bound is lower: its own size stays
                continue
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(listen.host != "::"))
        address = (listen.host, listen.port, 0, 0) if family == socket.AF_INET6 else (listen.host, listen.port)
        bound.bind(address)
    except (OverflowError, TypeError, ValueError) as error:
        bound.close()
        raise OSError(errno.EINVAL, str(error)) from error
    except BaseException:
        bound.close()
        raise
    return bound


def _enable_gro(bound: socket.socket) -> bool:
    if not _ANCILLARY_BYTES:
        return False
    try:
        bound.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def local_address(towards: str) -> str | None:
    """Return the own address that the system sends from to an IP literal; absent when it has no way there.

    Connecting a UDP socket chooses the route and sends nothing. What is no literal has no way: it would be looked up.
    """
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    try:
        socket.inet_pton(family, towards)
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.connect((towards, _DISCARD_PORT))
            host = str(asking.getsockname()[0]).partition("%")[0]
    except (OSError, ValueError):
        return None
    return None if ipaddress.ip_address(host).is_unspecified else host
