"""What peers say of a node's endpoint behind NATs of each kind."""

from __future__ import annotations

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.observed import Sighting
from pilotdht.net.prefixes import group_of
from pilotdht.traversal.behaviour import NatBehaviour, Standing, judge
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping

LOCAL = Endpoint("192.168.1.2", 4433)
OUTSIDE = "203.0.113.9"
CONE = Endpoint(OUTSIDE, 4433)
NOW = 10_000.0


def reporter(number: int, *, port: int = 4000) -> Endpoint:
    """Return peer ``number``, each on a network of its own."""
    return Endpoint(f"9.{number // 250}.{number % 250}.1", port)


def word(number: int, seen: Endpoint, *, age_s: float = 0.0, at: Endpoint | None = None) -> Sighting:
    """Return what peer ``number`` says, asked at ``at``."""
    asked = reporter(number) if at is None else at
    return Sighting(seen, asked, group_of(asked.host, number.to_bytes(32, "big")), NOW - age_s)


def seen_through(mapping: NatMapping, asked: Endpoint) -> Endpoint:
    """Return where ``asked`` sees the node through a NAT of a kind."""
    if mapping is NatMapping.NONE:
        return LOCAL
    if mapping is NatMapping.ENDPOINT_INDEPENDENT:
        return CONE
    octets = [int(part) for part in asked.host.split(".")]
    place = octets[1] * 250 + octets[2]
    port = asked.port % 100 if mapping is NatMapping.ADDRESS_AND_PORT_DEPENDENT else 0
    return Endpoint(OUTSIDE, 20_000 + place * 100 + port)


def judged(
    words: list[Sighting], *, standing: Standing | None = None, config: TraversalConfig | None = None
) -> NatBehaviour:
    """Return the verdict over IPv4 of a node on a home network, which hears the words in the order of their times."""
    words = sorted(words, key=lambda word: -word.said_at)
    return judge(words, standing or Standing(local=(LOCAL,)), TraversalConfig() if config is None else config, now=NOW)
