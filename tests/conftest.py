"""How many examples hypothesis draws: 200, or 20,000 with ``--hypothesis-profile nightly``; fixed ones in CI."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline an example: the machine's load must not decide whether a test passes.
settings.register_profile("default", max_examples=200, deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("nightly", max_examples=20_000, deadline=None, derandomize=False)
settings.load_profile("default")
