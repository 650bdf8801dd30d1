"""How many examples hypothesis draws: 200, or 20,000 with ``--hypothesis-profile nightly``; fixed ones in CI."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline an example: the machine's load must not decide whether a test passes.
settings.register_profile("default", max_examples=200, deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("nightly", max_examples=20_000, deadline=None, derandomize=False)
settings.load_profile("default")
