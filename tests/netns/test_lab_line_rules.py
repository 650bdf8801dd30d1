"""What a line does to frames, by its rules alone: needs no laboratory."""

from __future__ import annotations

import itertools
import random

import pytest

from scripts.lab.line import FULL_FRAME_BYTES, Line, Quality


def frames(count: int, size: int = FULL_FRAME_BYTES) -> list[bytes]:
    """Return frames that can be told apart."""
    return [number.to_bytes(4, "big").ljust(size, b"x") for number in range(count)]


def arrivals(line: Line, sent: list[bytes], *, every_s: float = 0.0) -> list[tuple[float, bytes]]:
    """Send frames at even intervals; return when each came out, to a tenth of a millisecond."""
    came: list[tuple[float, bytes]] = []
    for number, frame in enumerate(sent):
        line.push(frame, number * every_s)
    tick = 0
    while line.next_due is not None:
        now = tick / 10_000
        came += [(now, frame) for frame in line.pull(now)]
        tick += 1
    return came


def test_line_with_delay_and_jitter_keeps_order_and_bounds() -> None:
    """Frames come in order, none before the delay, none after delay and jitter."""
    sent = frames(500)
    came = arrivals(Line(Quality(delay_ms=20, jitter_ms=10), random.Random(1)), sent, every_s=0.001)
    assert sent == [frame for _, frame in came]
    times = [at - number * 0.001 for number, (at, _) in enumerate(came)]
    assert min(times) >= 0.0199
    assert max(times) <= 0.0302
    assert max(times) - min(times) > 0.005


def test_line_with_loss_loses_that_share_and_counts_it() -> None:
    """One frame in five is lost, the same ones for the same seed."""
    sent = frames(5000, size=60)
    lines = [Line(Quality(loss=0.2), random.Random(7)) for _ in range(2)]
    came = [[frame for _, frame in arrivals(line, sent)] for line in lines]
    assert came[0] == came[1]
    assert len(sent) == lines[0].carried + lines[0].lost
    assert 0.17 < lines[0].lost / len(sent) < 0.23


def test_line_with_rate_spaces_frames_and_drops_beyond_its_queue() -> None:
    """A burst leaves at the rate; what does not fit into the queue is dropped and counted."""
    line = Line(Quality(rate_mbit=10, queue=20), random.Random(1))
    came = arrivals(line, frames(50))
    assert 20 <= len(came) <= 21
    assert 50 == line.carried + line.overflowed
    frame_s = FULL_FRAME_BYTES * 8 / 10e6
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(came)]
    assert all(abs(gap - frame_s) <= 0.0002 for gap in gaps)


def test_line_that_gets_better_lets_nothing_overtake() -> None:
    """A frame that is sent after the delay has shrunk waits for those before it."""
    line = Line(Quality(delay_ms=50), random.Random(1))
    first, second = frames(2)
    line.push(first, 0.0)
    line.quality = Quality(delay_ms=1)
    line.push(second, 0.01)
    assert [] == list(line.pull(0.04))
    assert [first, second] == list(line.pull(0.05))


@pytest.mark.parametrize("wrong", [{"delay_ms": -1}, {"loss": 1.5}, {"rate_mbit": -1}, {"queue": 0}])
def test_quality_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    """No line loses more than everything or arrives before it was sent."""
    with pytest.raises(ValueError, match="no line is like this"):
        Quality(**wrong)
