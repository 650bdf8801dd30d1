"""Nodes that lie, swallow, flood or besiege."""
