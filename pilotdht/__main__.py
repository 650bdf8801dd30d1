"""``python -m pilotdht``: the command line."""

from pilotdht.cli import main

main()
