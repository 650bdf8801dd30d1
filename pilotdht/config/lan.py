"""Tunables of finding neighbours on the same link by multicast DNS: the section ``mdns``."""

from __future__ import annotations

import ipaddress

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass

LAN_MODES = ("off", "listen", "on")
"""What :attr:`LanConfig.mode` may be."""

MAX_INTERFACES = 8
"""Interfaces that are listened and told on: a machine with more has virtual ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanConfig(Section):
    """What is told on the local network, and what is taken from there. Needs the extra ``lan``; without it: nothing."""

    mode: str = tunable(
        "on", reason="neighbours find each other without any server; told are public key, mesh, address and port"
    )
    """``on``: be found and find others; ``listen``: find others and tell nothing; ``off``: neither."""

    interfaces: tuple[str, ...] = tunable((), reason="all but loopback, where nobody else can listen")
    """Own addresses of the interfaces to use; empty: those that the node's socket is bound to. A node that is bound to
    loopback uses none, unless its address is named here."""

    max_neighbours: int = tunable(
        256, low=1, high=65_536, reason="more than a /24 holds; who announces thousands is a flood, and costs 100 kB"
    )
    """Neighbours that are remembered. When there are more, silent ones go, then any that has not answered yet."""

    names_per_key: int = tunable(
        2, low=1, high=16, reason="a node that was restarted, and its former self; others only claim the key"
    )
    """Announcements that may name one key; each is tried when the key is dialled."""

    endpoints_per_neighbour: int = tunable(
        4, low=1, high=16, reason="two address families on two networks; each is one more packet when it is dialled"
    )
    """Endpoints that are taken from one announcement."""

    notices_per_s: float = tunable(
        50.0, unit="1/s", low=0.1, high=1e6, reason="a /24 that is switched on at once is heard within five seconds"
    )
    """Announcements that are looked at; others are dropped, and heard again when they are repeated."""

    notice_burst: int = tunable(256, low=1, high=1 << 20, reason="a whole table")
    """How many may come at once."""

    greeted_most: int = tunable(
        16, low=0, high=4096, reason="enough to join through; parts of a mesh that ask so many of each other are one"
    )
    """Neighbours that are greeted without need, of those who answer; any may be dialled later."""

    greetings_at_once: int = tunable(
        4, low=1, high=64, reason="some silent ones in front must not keep a node out for long"
    )
    """Greetings under way."""

    silent_pause_s: float = tunable(
        60.0, unit="s", low=0.1, high=86_400.0, reason="who announces and does not answer is a firewall, or a flood"
    )
    """How long a neighbour that did not answer is left alone."""

    retry_s: float = tunable(
        60.0, unit="s", low=0.1, high=86_400.0, reason="an interface that was missing; a cable is noticed earlier"
    )
    """How long is waited until the interfaces are opened again when that failed."""

    stop_wait_s: float = tunable(
        0.5, unit="s", low=0.0, high=10.0, reason="telling that one leaves is a courtesy; entries expire by themselves"
    )
    """How long stopping waits for that."""

    def __post_init__(self) -> None:
        """Check ranges, mode and addresses.

        Raises:
            ConfigError: a value is out of range or malformed.
        """
        Section.__post_init__(self)
        if self.mode not in LAN_MODES:
            raise ConfigError(f"mdns.mode {self.mode!r:.80} is none", hint=f"it is one of {', '.join(LAN_MODES)}")
        if len(self.interfaces) > MAX_INTERFACES:
            raise ConfigError(f"mdns.interfaces names more than {MAX_INTERFACES}")
        for host in self.interfaces:
            try:
                ipaddress.ip_address(host)
            except ValueError as error:
                raise ConfigError(
                    f"mdns.interfaces: {host[:80]!r} is not an address", hint="write own addresses, as 192.168.1.2"
                ) from error
