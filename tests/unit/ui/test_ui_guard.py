"""Requests that another page, or another name, made are refused."""

from __future__ import annotations

import pytest

from pilotdht.errors import NotTrusted, UsageError
from pilotdht.ui.guard import SECURITY_HEADERS, check_request, cookie_name, cookie_of, set_cookie

PORT = 4600
HOST = "127.0.0.1:4600"
ORIGIN = "http://127.0.0.1:4600"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("GET", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}),
        ("GET", {"origin": ORIGIN}),
        ("POST", {"origin": ORIGIN, "sec-fetch-site": "same-origin"}),
        ("POST", {"origin": ORIGIN}),
    ],
)
def test_check_request_of_own_page_passes(method: str, headers: dict[str, str]) -> None:
    """Our own page, a typed address and a link on another page may ask; the last gets the empty frame alone."""
    check_request(method, {"host": HOST, **headers}, port=PORT)


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1", "localhost:4600", "127.0.0.1:4601", "evil.example:4600", "127.0.0.1:4600.evil.example"]
)
def test_check_request_with_foreign_host_is_refused(host: str) -> None:
    """A name that was made to mean this machine does not lead here."""
    with pytest.raises(UsageError):
        check_request("GET", {"host": host}, port=PORT)


def test_check_request_without_host_is_refused() -> None:
    """HTTP/1.0 without a host does not lead here either."""
    with pytest.raises(UsageError):
        check_request("GET", {}, port=PORT)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("POST", {"origin": "null"}),
        ("POST", {"origin": "http://127.0.0.1:9999"}),
        ("POST", {"origin": "https://127.0.0.1:4600"}),
        ("POST", {"origin": "http://evil.example"}),
        ("GET", {"origin": "http://evil.example"}),
        ("PUT", {}),
        ("POST", {"origin": ORIGIN, "sec-fetch-site": "cross-site"}),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}),
    ],
)
def test_check_request_of_another_page_is_refused(method: str, headers: dict[str, str]) -> None:
    """Pages of strangers, and of other ports of this machine, may neither send nor read."""
    with pytest.raises(NotTrusted):
        check_request(method, {"host": HOST, **headers}, port=PORT)


def test_cookie_is_found_among_others() -> None:
    """Daemons on other ports, and other programs, have cookies of their own."""
    headers = {"cookie": "a=b; pilotdht-4601=other; pilotdht-4600=mine=; c"}
    assert "mine=" == cookie_of(headers, port=PORT)
    assert "" == cookie_of({"cookie": "pilotdht-46000=x"}, port=PORT)
    assert "" == cookie_of({}, port=PORT)


def test_set_cookie_is_out_of_reach() -> None:
    """No script reads it, no other site sends it."""
    name, value = set_cookie(PORT, "secret", lifetime_s=60.0)
    assert ("set-cookie", "pilotdht-4600=secret; Path=/; Max-Age=60; HttpOnly; SameSite=Strict") == (name, value)
    assert cookie_name(PORT) in value


def test_policy_forbids_everything_inline() -> None:
    """No exception from the policy has crept in."""
    policy = dict(SECURITY_HEADERS)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
