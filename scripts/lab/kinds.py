"""The kinds of access to the network that a host can have: what each does, and its firewall rules. Pure.

Words are those of RFC 4787. *Mapping*: which destinations see one inside port as the same outside port: all
(``endpoint-independent``) or none but one (``address-and-port-dependent``); ``none`` when nothing is translated.
*Filtering*: who may answer to such a port: all, addresses that it has sent to (``address-dependent``), or addresses and
ports that it has sent to (``address-and-port-dependent``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAPPING_LIFE_S = 120
"""How long a mapping outlives its last packet from inside: two minutes at least (RFC 4787, REQ-5)."""

OPEN = "none"
INDEPENDENT = "endpoint-independent"
ADDRESS = "address-dependent"
ADDRESS_AND_PORT = "address-and-port-dependent"
NO_UDP = "no UDP"

SHIFTED_PORTS = (30_000, 30_999)
"""Outside ports of the kind that keeps none."""

WEB_PORTS = (80, 443)
"""What a strict firewall lets out."""

Rules = Callable[[str, int], str]
"""From a router's outside address and the life of a mapping in seconds to an nftables script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of access."""

    name: str
    """How it is asked for."""
    story: str
    """Where one meets it."""
    mapping: str
    """What the probe must find."""
    filtering: str
    """What the probe must find."""
    keeps_port: bool = True
    """Whether the outside port is the inside port while nobody else has it."""
    keeps_mapping: bool = True
    """Whether a peer's packet that came before ours leaves the mapping towards that peer as it is."""
    hairpins: bool = False
    """Whether inside hosts reach one another by their outside endpoints."""
    tcp: str = "yes"
    """``yes``, or ``web`` when only the ports of the web are open."""
    rules: Rules
    """Of the router that stands between home and the public network."""
    carrier_rules: Rules | None = None
    """Of the carrier's router behind which the home router stands; absent: the home router is on the public network."""
    has_ipv4: bool = True
    """Whether hosts have IPv4."""
    has_ipv6: bool = False
    """Whether hosts have public IPv6 addresses."""

    @property
    def is_translated(self) -> bool:
        """Whether hosts have private IPv4 addresses."""
        return self.has_ipv4 and self.mapping != OPEN

    @property
    def shape(self) -> tuple[bool, bool, bool, bool]:
        """What a change of rules alone cannot change: addresses, families, and whether there is a carrier's router."""
        return (self.is_translated, self.has_ipv4, self.has_ipv6, self.carrier_rules is not None)


# A packet from outside that nobody asked for must be dropped by a filter. If it is delivered to the router itself, even
# to be refused there, the connection tracker keeps its flow, which then owns the outside port towards that peer, and
# the inside host's own packet to that peer leaves from another port: punching fails.
_DROP_UNASKED = """
table inet wall {
  chain to_router { type filter hook input priority 0; policy accept; iifname "out0" ct state new counter drop; }
  chain through { type filter hook forward priority 0; policy accept; iifname "out0" ct state new counter drop; }
}
"""

_DROP_UNTRANSLATED = """
table inet wall {
  chain to_router { type filter hook input priority 0; policy accept; iifname "out0" ct state new counter drop; }
  chain through { type filter hook forward priority 0; policy accept;
    iifname "out0" ct state new ct status dnat accept;
    iifname "out0" ct state new counter drop;
  }
}
"""


def _translate(how: str) -> str:
    """Return the table that translates what goes out."""
    return f"""
table ip nat {{
  chain going {{ type nat hook postrouting priority 100; policy accept; oifname "out0" {how}; }}
}}
"""


def _open(outside: str, life_s: int) -> str:
    return ""


def _firewalled(outside: str, life_s: int) -> str:
    return _DROP_UNASKED


def _port_restricted(outside: str, life_s: int) -> str:
    return _translate("masquerade") + _DROP_UNASKED


def _leaky(outside: str, life_s: int) -> str:
    return _translate("masquerade")


def _shifted(outside: str, life_s: int) -> str:
    first, last = SHIFTED_PORTS
    return _translate(f"meta l4proto {{ tcp, udp }} snat to {outside}:{first}-{last}") + _DROP_UNASKED


def _symmetric(outside: str, life_s: int) -> str:
    return _translate("meta l4proto { tcp, udp } masquerade to :1024-65535 fully-random") + _DROP_UNASKED


def _cone(outside: str, life_s: int, *, admits: str, hairpins: bool = False) -> str:
    """Return the rules of a NAT whose mappings are open for strangers: whom ``admits`` says.

    The tracker's own mappings are open for the one peer alone. So what leaves is noted after its translation, and what
    comes in for a noted port is sent to its owner. Answers to what came in so prolong the mapping as well (REQ-6).
    """
    hairpin_in = f'iifname != "out0" ip daddr {outside} dnat ip to udp dport map @owner;' if hairpins else ""
    hairpin_out = f'iifname != "out0" oifname != "out0" ct status dnat snat to {outside};' if hairpins else ""
    noted = 'iifname != "out0" oifname != "out0" ct status snat' if hairpins else ""
    learn = "\n".join(
        f"""
    {where} ct direction original update @owner {{ udp sport : ct original ip saddr . ct original proto-src }};
    {where} ct direction reply update @owner {{ udp sport : ct reply ip saddr . ct reply proto-src }};
    {where} update @seen {{ udp sport . ip daddr }};"""
        for where in ('oifname "out0"', noted)
        if where
    )
    return (
        f"""
table ip nat {{
  map owner {{
    type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout {life_s}s; size 65535;
  }}
  set seen {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout {life_s}s; size 65535; }}
  chain learn {{ type filter hook postrouting priority 150; policy accept;{learn}
  }}
  chain coming {{ type nat hook prerouting priority -100; policy accept;
    iifname "out0" ip daddr {outside} {admits} dnat ip to udp dport map @owner;
    {hairpin_in}
  }}
  chain going {{ type nat hook postrouting priority 100; policy accept;
    oifname "out0" masquerade;
    {hairpin_out}
  }}
}}
"""
        + _DROP_UNTRANSLATED
    )


def _full_cone(outside: str, life_s: int) -> str:
    return _cone(outside, life_s, admits="")


def _restricted(outside: str, life_s: int) -> str:
    return _cone(outside, life_s, admits="udp dport . ip saddr @seen")


def _hairpin(outside: str, life_s: int) -> str:
    return _cone(outside, life_s, admits="", hairpins=True)


def _udp_blocked(outside: str, life_s: int) -> str:
    return (
        _translate("masquerade")
        + """
table inet wall {
  chain to_router { type filter hook input priority 0; policy accept; iifname "out0" ct state new counter drop; }
  chain through { type filter hook forward priority 0; policy accept;
    meta l4proto udp counter drop;
    iifname "out0" ct state new counter drop;
  }
}
"""
    )


def _web_only(outside: str, life_s: int) -> str:
    ports = ", ".join(str(port) for port in WEB_PORTS)
    return (
        _translate("masquerade")
        + f"""
table inet wall {{
  chain to_router {{ type filter hook input priority 0; policy accept; iifname "out0" ct state new counter drop; }}
  chain through {{ type filter hook forward priority 0; policy drop;
    ct state established,related accept;
    iifname != "out0" tcp dport {{ {ports} }} accept;
  }}
}}
"""
    )


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(name="open", story="a server with a public address", mapping=OPEN, filtering=INDEPENDENT, rules=_open),
        Kind(
            name="firewalled",
            story="a public address behind a firewall that lets answers in only",
            mapping=OPEN,
            filtering=ADDRESS_AND_PORT,
            rules=_firewalled,
        ),
        Kind(
            name="fullcone",
            story="a home router after UPnP, or an old one",
            mapping=INDEPENDENT,
            filtering=INDEPENDENT,
            rules=_full_cone,
        ),
        Kind(
            name="restricted",
            story="a router that looks at the sender's address only",
            mapping=INDEPENDENT,
            filtering=ADDRESS,
            rules=_restricted,
        ),
        Kind(
            name="portrestricted",
            story="most home routers",
            mapping=INDEPENDENT,
            filtering=ADDRESS_AND_PORT,
            rules=_port_restricted,
        ),
        Kind(
            name="portshift",
            story="a home router that gives each inside port another outside port",
            mapping=INDEPENDENT,
            filtering=ADDRESS_AND_PORT,
            keeps_port=False,
            rules=_shifted,
        ),
        Kind(
            name="leaky",
            story="a bare Linux masquerade: whoever knocks first spoils the mapping",
            mapping=INDEPENDENT,
            filtering=ADDRESS_AND_PORT,
            keeps_mapping=False,
            rules=_leaky,
        ),
        Kind(
            name="hairpin",
            story="a router that lets two of its hosts meet at their outside endpoints",
            mapping=INDEPENDENT,
            filtering=INDEPENDENT,
            hairpins=True,
            rules=_hairpin,
        ),
        Kind(
            name="symmetric",
            story="company firewalls, some carriers: another random port for each destination",
            mapping=ADDRESS_AND_PORT,
            filtering=ADDRESS_AND_PORT,
            keeps_port=False,
            keeps_mapping=True,
            rules=_symmetric,
        ),
        Kind(
            name="cgnat",
            story="a home router behind a carrier's NAT (RFC 6888)",
            mapping=INDEPENDENT,
            filtering=ADDRESS_AND_PORT,
            rules=_port_restricted,
            carrier_rules=_port_restricted,
        ),
        Kind(
            name="cgnat-symmetric",
            story="a home router behind a carrier's symmetric NAT: many mobile networks",
            mapping=ADDRESS_AND_PORT,
            filtering=ADDRESS_AND_PORT,
            keeps_port=False,
            rules=_port_restricted,
            carrier_rules=_symmetric,
        ),
        Kind(name="udpblocked", story="no UDP at all, TCP works", mapping=NO_UDP, filtering=NO_UDP, rules=_udp_blocked),
        Kind(
            name="webonly",
            story="nothing gets out but TCP to ports 80 and 443",
            mapping=NO_UDP,
            filtering=NO_UDP,
            tcp="web",
            rules=_web_only,
        ),
        Kind(
            name="ipv6only",
            story="public IPv6 behind a home firewall (RFC 6092), no IPv4",
            mapping=OPEN,
            filtering=ADDRESS_AND_PORT,
            rules=_firewalled,
            has_ipv4=False,
            has_ipv6=True,
        ),
        Kind(
            name="dualstack",
            story="IPv4 behind a home router, public IPv6 behind its firewall",
            mapping=INDEPENDENT,
            filtering=ADDRESS_AND_PORT,
            rules=_port_restricted,
            has_ipv6=True,
        ),
    )
}
"""All kinds by name, from open to closed."""

KINDS_COMPARED = ("open", "fullcone", "portrestricted", "symmetric", "cgnat", "udpblocked")
"""Those that decide who reaches whom: the others behave like one of them, or test a detail."""
