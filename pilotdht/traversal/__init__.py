"""Reaching peers behind NATs: where this node stands, servers it is attached to, relays, roads."""
