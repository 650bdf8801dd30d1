"""How late the event loop is: a timer that notes by how much it came too late.

Whatever occupies the loop, be it a long calculation, a blocking call or too little processor time, delays everything a
node does, and this timer with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

SAMPLE_INTERVAL_S = 1.0
"""Once a second is 10 µs a second, and sees what lasts; a shorter interval would keep an idle processor awake."""


@contextlib.contextmanager
def lag_watched(observe: Callable[[float], None]) -> Iterator[None]:
    """Tell ``observe`` once a second how many seconds late the running loop was, while the block runs."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look(due: float) -> None:
        nonlocal timer
        now = loop.time()
        observe(max(0.0, now - due))
        timer = loop.call_at(now + SAMPLE_INTERVAL_S, look, now + SAMPLE_INTERVAL_S)

    timer = loop.call_later(SAMPLE_INTERVAL_S, look, loop.time() + SAMPLE_INTERVAL_S)
    try:
        yield
    finally:
        timer.cancel()
