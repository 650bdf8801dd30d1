"""Measurements, each beside a baseline run in the same call; ``scripts/bench`` starts them."""
