"""Traces: which part of a piece of work took how long, over several nodes."""
