"""What a request to the page must look like, and what every answer says to the browser. Pure.

The attacks: a page of a stranger that sends requests to 127.0.0.1 (cross-site requests), one whose name is made to mean
127.0.0.1 after it was loaded (DNS rebinding), one that shows ours in a frame to steal clicks, and markup in what peers
say of themselves (script injection).
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotdht.errors import NotTrusted, UsageError

LOOPBACK = "127.0.0.1"
"""Where the page is served; never another address."""

PAGE_KEY_HEADER = "pilotdht-page-key"
"""Carries the page's key."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

SECURITY_HEADERS: tuple[tuple[str, str], ...] = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
"""On every answer: nothing but our own files runs, no inline script, no text becomes markup, no frame is around us."""

_OWN_SITES = ("same-origin", "none")


def check_request(method: str, headers: Mapping[str, str], *, port: int) -> None:
    """Refuse what does not come from our own page, or from somebody who typed its address.

    Args:
        method: of the request.
        headers: by lower-case name.
        port: that the page is served on.

    Raises:
        UsageError: it is meant for another host.
        NotTrusted: another page sent it.
    """
    host = f"{LOOPBACK}:{port}"
    if headers.get("host") != host:
        raise UsageError("this page is not served under that name", hint=f"open http://{host}/ itself")
    origin = headers.get("origin")
    if (origin is not None or method != "GET") and origin != f"http://{host}":
        raise NotTrusted("another page sent this request", hint="use the status page itself")
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES and headers.get("sec-fetch-mode") != "navigate":
        raise NotTrusted("another page sent this request", hint="use the status page itself")


def cookie_name(port: int) -> str:
    """Return the name of the cookie: daemons on other ports have others."""
    return f"pilotdht-{port}"


def set_cookie(port: int, value: str, *, lifetime_s: float) -> tuple[str, str]:
    """Return the header that gives a browser its cookie; with a lifetime of zero, takes it away."""
    return (
        "set-cookie",
        f"{cookie_name(port)}={value}; Path=/; Max-Age={int(lifetime_s)}; HttpOnly; SameSite=Strict",
    )


def cookie_of(headers: Mapping[str, str], *, port: int) -> str:
    """Return the value of our cookie, or empty."""
    wanted = cookie_name(port)
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""
