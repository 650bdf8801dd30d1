"""A process that is a cable: it carries Ethernet frames between two TAP interfaces as a :class:`Line` says.

Started with the two descriptors. It replaces what ``tc netem`` does where the kernel has no such thing. TAP interfaces
rather than packet sockets on virtual Ethernet: the kernel then cuts large segments and fills in checksums before it
hands a frame over, and no kernel answers ARP on the way.

Standard input takes a line of JSON at a time: a new quality, or ``{}``; each is answered by a line with the counters.
At its end the cable ends. One that is to be kept goes on in a process of its own; it ends when an interface is removed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import random
import select
import sys
import time
from dataclasses import replace

from scripts.lab.line import Line, Quality

FRAMES_PER_TURN = 64
"""Frames read from one end before the other end has its turn."""

HASTE = -20
"""Niceness: a line is punctual even when the programs at its ends take all processors."""

FRAME_BYTES = 2048
"""Room for a frame: an Ethernet frame has 1514 bytes."""

_GONE = {errno.EBADFD, errno.EIO, errno.ENODEV}


def main() -> int:
    """Carry frames until told to stop."""
    parser = argparse.ArgumentParser(prog="cable", description="Carry frames between two TAP descriptors.")
    parser.add_argument("ends", type=int, nargs=2)
    parser.add_argument("--quality", type=json.loads, default={})
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="go on in a process of its own, and heed no input")
    options = parser.parse_args()
    quality = Quality(**options.quality)
    lines = (Line(quality, random.Random(options.seed)), Line(quality, random.Random(options.seed + 1)))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, HASTE)
    if options.keep and os.fork():
        return 0
    if not options.keep:
        print(json.dumps(_counters(lines)), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            _carry(options.ends, lines, listens=not options.keep)
        except OSError as error:
            if error.errno not in _GONE:
                raise
    return 0


def _carry(ends: list[int], lines: tuple[Line, Line], *, listens: bool) -> None:
    """Carry frames until standard input ends or an interface is gone."""
    controls = [sys.stdin.fileno()] if listens else []
    routes = ((ends[0], ends[1], lines[0]), (ends[1], ends[0], lines[1]))
    while True:
        now = time.monotonic()
        dues = [line.next_due for line in lines if line.next_due is not None]
        wait = max(0.0, min(dues) - now) if dues else None
        # select(2), as its time-out is in microseconds: poll and epoll have milliseconds, a tenth of a short delay
        ready = select.select(ends + controls, [], [], wait)[0]
        now = time.monotonic()
        for begin, end, line in routes:
            if begin in ready:
                _take(begin, line, now)
            for frame in line.pull(now):
                _give(end, frame)
        if controls and controls[0] in ready and not _obey(lines):
            return


def _take(end: int, line: Line, now: float) -> None:
    """Read what has come to one end."""
    for _ in range(FRAMES_PER_TURN):
        try:
            frame = os.read(end, FRAME_BYTES)
        except BlockingIOError:
            return
        line.push(frame, now)


def _give(end: int, frame: bytes) -> None:
    """Write a frame to the other end; an interface that is down loses it, as a cable into a dead port would."""
    try:
        os.write(end, frame)
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EAGAIN, errno.ENOBUFS):
            raise


def _obey(lines: tuple[Line, Line]) -> bool:
    """Do what a line of standard input says, and answer; false at its end."""
    text = sys.stdin.readline()
    if not text:
        return False
    for line in lines:
        line.quality = replace(line.quality, **json.loads(text))
    print(json.dumps(_counters(lines)), flush=True)
    return True


def _counters(lines: tuple[Line, Line]) -> dict[str, list[int]]:
    """Return what became of the frames, each direction."""
    return {
        "carried": [line.carried for line in lines],
        "lost": [line.lost for line in lines],
        "overflowed": [line.overflowed for line in lines],
    }


if __name__ == "__main__":
    sys.exit(main())
