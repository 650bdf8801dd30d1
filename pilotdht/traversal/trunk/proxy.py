"""Which HTTP proxy a connection goes through, as operators write it in the environment. Pure.

``http://[USER:PASSWORD@]HOST[:PORT]``; exceptions as ``NO_PROXY`` has them: host names and domains (with or without a
leading dot, their subdomains included), addresses, networks in CIDR notation, ``*`` for all, names optionally with a
port. Only plain HTTP proxies are spoken to: what is sent through them is TLS from end to end.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from pilotdht.errors import ConfigError
from pilotdht.net.doors import ConnectProxy

DEFAULT_PORT = 80
"""Where a URL with the scheme ``http`` names none."""

_HINT = "write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; leave it empty to use no proxy"


def parse_proxy(url: str) -> ConnectProxy | None:
    """Return a proxy; absent for an empty text.

    Raises:
        ConfigError: no URL of an HTTP proxy; the message never repeats it, as it may hold a password.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("trunk.proxy is not a URL", hint=_HINT) from error
    if parts.scheme.lower() != "http" or not host or port == 0 or not host.isprintable() or " " in host:
        raise ConfigError(f"trunk.proxy is no HTTP proxy (scheme {parts.scheme[:16]!r})", hint=_HINT)
    authorization = ""
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(words.encode("utf-8")).decode("ascii")
    return ConnectProxy(host=host, port=port or DEFAULT_PORT, authorization=authorization)


def is_exempt(host: str, port: int, exceptions: Iterable[str]) -> bool:
    """Return whether a place is reached without the proxy."""
    return any(_matches(host.lower().rstrip("."), port, one.strip().lower()) for one in exceptions if one.strip())


def proxy_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that the usual variables of the environment stand for, by name.

    Small letters go before capitals, and ``https_proxy`` before ``all_proxy``, as curl has it.
    """
    found = {}
    proxy = _first(environment, "https_proxy", "all_proxy")
    if proxy.startswith("http://") or (proxy and "://" not in proxy):
        found["trunk.proxy"] = proxy  # a SOCKS proxy in ALL_PROXY is meant for others
    exceptions = _first(environment, "no_proxy")
    if exceptions:
        found["trunk.no_proxy"] = exceptions
    return found


def _first(environment: Mapping[str, str], *names: str) -> str:
    spellings = (spelling for name in names for spelling in (name, name.upper()))
    return next((environment[spelling] for spelling in spellings if environment.get(spelling)), "")


def _matches(host: str, port: int, exception: str) -> bool:
    if exception == "*":
        return True
    network = _network(exception)
    if network is not None:
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:
            return False
    name, separator, number = exception.rpartition(":")
    if separator and number.isdigit():
        if int(number) != port:
            return False
        exception = name.strip("[]")
        if exception == host:
            return True
    domain = exception.removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
