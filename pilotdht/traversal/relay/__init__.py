"""Servers that nodes behind NATs attach to, and the channels through them, from both sides.

A server knows the keys of the two ends of a channel and how many bytes went through it, and nothing else: what it
carries is sealed end to end.
"""
