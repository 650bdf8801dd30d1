"""``python -m pilotdht.daemon``: what ``pilotdht daemon start`` puts into the background.

Arguments are ``--socket=PATH``, ``--config=FILE``, ``--ready=DESCRIPTOR`` and settings as ``name=value``. When a
descriptor is given, one JSON envelope is written to it: the facts of the running daemon, or why it did not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import cast

from pilotdht.config.config import Config
from pilotdht.daemon.envelope import error_envelope, ok_envelope
from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.page import StatusPageLike
from pilotdht.daemon.service import DaemonOptions, run_daemon
from pilotdht.daemon.shapes import StartedShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import InternalError, PilotError
from pilotdht.identity.keys import KeyPair

_logger = logging.getLogger(__name__)


def open_real_node(config: Config, keys: KeyPair) -> AbstractAsyncContextManager[NodeVerbs]:
    """Return the node, to be opened."""
    from pilotdht.node.node import Node

    return cast("AbstractAsyncContextManager[NodeVerbs]", Node(config, keys=keys))


def make_status_page(node: NodeVerbs, config: Config, around: Surroundings, metrics: DaemonMetrics) -> StatusPageLike:
    """Return the status page, to be opened; loaded only when somebody wants to see it."""
    from pilotdht.ui.server import StatusPage

    return StatusPage(node, config=config, around=around, metrics=metrics)


def main(arguments: Sequence[str]) -> int:
    """Run a detached daemon and return its exit code."""
    faulthandler.enable()  # a crash of the interpreter itself is told in the log too
    flags = dict(text[2:].split("=", 1) for text in arguments if text.startswith("--"))
    settings = dict(text.split("=", 1) for text in arguments if not text.startswith("--"))
    ready = int(flags["ready"]) if "ready" in flags else None
    options = DaemonOptions(
        overrides=settings, socket=flags.get("socket"), config_file=flags.get("config"), is_foreground=False
    )

    def tell(content: object) -> None:
        if ready is not None:
            with contextlib.suppress(OSError):  # the parent does not wait any more
                os.write(ready, json.dumps(content).encode() + b"\n")
                os.close(ready)

    def on_ready(started: StartedShape) -> None:
        tell(ok_envelope(started))

    try:
        asyncio.run(
            run_daemon(
                options,
                environment=os.environ,
                open_node=open_real_node,
                on_ready=on_ready,
                make_page=make_status_page,
            )
        )
    except PilotError as error:
        _logger.error("daemon failed", extra={"reason": error.message})
        tell(error_envelope(error))
        return 1
    except Exception as error:
        _logger.exception("daemon failed")
        tell(error_envelope(InternalError(f"the daemon failed: {error!r}", hint="the daemon's log has the details")))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
