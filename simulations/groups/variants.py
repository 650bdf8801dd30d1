"""Failure detection with less in it than we have: to show what each part is good for. Pure."""

from __future__ import annotations

from dataclasses import replace

from pilotdht.config.gossip import GossipConfig

NEVER_UNRELIABLE = 1000
"""Nobody's accusations are discounted before so many of them were refuted."""

VARIANTS = ("plain", "lifeguard", "default")
"""SWIM with suspicions; with Lifeguard's health, dynamic suspicion and buddies; and with our count of false alarms."""


def config_of(variant: str) -> GossipConfig:
    """Return the configuration of a variant."""
    config = GossipConfig()
    if variant == "default":
        return config
    config = replace(config, false_alarms=NEVER_UNRELIABLE)
    return config.without_lifeguard() if variant == "plain" else config
