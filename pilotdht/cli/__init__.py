"""The command line: ``pilotdht``, also installed as ``pilotctl``."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    from pilotdht.cli.program import program

    program.main()
    raise SystemExit(0)  # not reached: a standalone command exits by itself
