"""The command line: ``pilotdht``, also installed as ``pilotctl``."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    from pilotdht.cli.program import program

    name = os.path.basename(sys.argv[0])
    program.main(prog_name="pilotdht" if name == "__main__.py" else name)
    raise SystemExit(0)  # not reached: a standalone command exits by itself
