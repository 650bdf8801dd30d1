"""The command line: ``python -m simulations``."""
