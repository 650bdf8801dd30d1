"""Socket addresses and prefixes."""

from __future__ import annotations

import socket
from typing import cast

import pytest

from pilotdht.errors import InvalidArgument
from pilotdht.net.addresses import endpoint_of, socket_address_of
from pilotdht.net.prefixes import is_loopback, is_private, prefix_of
from pilotdht.wire.endpoint import Endpoint


def test_endpoint_of_mapped_address_is_written_as_ipv4() -> None:
    """No mapped address gets past the socket."""
    assert Endpoint("192.0.2.7", 4000) == endpoint_of(("::ffff:192.0.2.7", 4000, 0, 0))


@pytest.mark.parametrize("address", [("192.0.2.7", 0), ("fe80::1%eth0", 4000, 0, 2)])
def test_endpoint_of_unusable_address_is_absent(address: tuple[str, int]) -> None:
    """Port 0 cannot be answered, and a scoped address means nothing to others."""
    assert endpoint_of(address) is None


def test_socket_address_of_ipv4_on_a_socket_of_both_families_is_mapped() -> None:
    """The operating system wants the mapped form back."""
    expected = ("::ffff:192.0.2.7", 4000, 0, 0)
    assert expected == socket_address_of(Endpoint("192.0.2.7", 4000), socket.AF_INET6)


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("192.0.2.7", 0),
        Endpoint("192.0.2.7", 65_536),
        Endpoint("192.0.2.7", 99_999),
        Endpoint("192.0.2.7", -1),
        Endpoint("192.0.2.7", cast("int", "4000")),
        Endpoint("192.0.2.7", cast("int", True)),
        Endpoint("localhost", 4000),
        Endpoint("", 4000),
        Endpoint("192.0.2", 4000),
        Endpoint(cast("str", None), 4000),
        Endpoint("::1", 4000),
    ],
)
def test_socket_address_of_malformed_endpoint_is_refused(endpoint: Endpoint) -> None:
    """Bad ports, names, wrong types and the other family never reach the operating system."""
    with pytest.raises(InvalidArgument):
        socket_address_of(endpoint, socket.AF_INET)


def test_prefix_of_is_24_or_48_bits() -> None:
    """One prefix is what one owner is taken to hold."""
    assert prefix_of("192.0.2.7") == prefix_of("192.0.2.200") != prefix_of("192.0.3.7")
    assert prefix_of("2001:db8:1::1") == prefix_of("2001:db8:1:ffff::2") != prefix_of("2001:db8:2::1")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.0.3", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.1", "private"),
        ("192.168.1.1", "private"),
        ("169.254.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("fe80::1", "private"),
        ("172.32.0.1", "public"),
        ("100.128.0.1", "public"),
        ("8.8.8.8", "public"),
        ("2001:db8::1", "public"),
    ],
)
def test_range_of_host_is_told(host: str, expected: str) -> None:
    """Loopback, private and public ranges, in both families."""
    assert expected == ("loopback" if is_loopback(host) else "private" if is_private(host) else "public")
