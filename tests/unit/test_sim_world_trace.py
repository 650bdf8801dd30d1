"""The trace of a simulation: digest, what is kept of it, how it is read back and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotdht.errors import InvalidArgument
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.trace import BLOCK_VALUES, Event, Trace, TraceWriter, What, format_event, read_trace

ONE, OTHER = Endpoint("20.0.3.1", 4433), Endpoint("2001:db8::1", 4433)
BEGAN = 1_000_000_000


def traced(writer: TraceWriter | None, count: int = 10) -> str:
    """Write a note, two endpoints, and so many datagrams, one a millisecond; return the digest."""
    trace = Trace(writer)
    trace.begin(BEGAN)
    trace.note("begin", BEGAN)
    for number, endpoint in enumerate((ONE, OTHER)):
        trace.name(number, endpoint, BEGAN)
    for number in range(count):
        trace.values.extend((BEGAN + 1000 * number, 0, 1, 300 + number % 50, What.SENT, 0x20))
        if len(trace.values) >= BLOCK_VALUES:
            trace.settle()
    trace.note("ends", BEGAN + 1000 * count)
    digest = trace.hexdigest()
    trace.close()
    trace.close()
    return digest


def test_trace_that_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    """Times are those since the run began, endpoints are whole again, notes stand where they were made."""
    path = tmp_path / "run.trace"
    traced(TraceWriter(path), 10_000)
    events = list(read_trace(path))
    assert events[0] == Event(0.0, "note", None, None, "", 0, "begin")
    assert events[8] == Event(0.007, "sent", ONE, OTHER, "sealed", 307, "")
    assert events[-1] == Event(10.0, "note", None, None, "", 0, "ends")
    assert len(events) == 10_002
    assert path.stat().st_size < 100_000


def test_events_are_shown_in_one_line_each() -> None:
    """The lines can be compared by any tool."""
    writer = TraceWriter()
    traced(writer)
    lines = [format_event(event) for event in writer.events()]
    assert lines[0] == "0.000000 note begin"
    assert lines[1] == "0.000000 sent 20.0.3.1:4433 > [2001:db8::1]:4433 sealed 300"
    assert lines[-1] == "0.010000 note ends"


@pytest.mark.parametrize(("kind", "shown"), [(0x40, "quic"), (0xC0, "quic-long"), (255, "empty"), (0x07, "0x07")])
def test_kinds_are_shown_by_name_where_they_have_one(kind: int, shown: str) -> None:
    """A first byte without a meaning here is shown as it is."""
    writer = TraceWriter()
    trace = Trace(writer)
    trace.begin(0)
    trace.name(0, ONE, 0)
    trace.values.extend((5, 0, 0, 1, What.LOST, kind))
    trace.close()
    assert [Event(5e-6, "lost", ONE, ONE, shown, 1, "")] == list(writer.events())


def test_window_keeps_what_is_in_it_and_every_name(tmp_path: Path) -> None:
    """Both ends belong to it; endpoints that got their number earlier are still known."""
    path = tmp_path / "window.trace"
    traced(TraceWriter(path, window=(4.5, 4.6)), 10_000)
    events = list(read_trace(path))
    assert [4.5, 4.6] == [events[0].time_s, events[-1].time_s]
    assert len(events) == 101
    assert {event.target for event in events} == {OTHER}


def test_window_that_ends_before_it_begins_is_refused() -> None:
    """It is told which way round."""
    with pytest.raises(InvalidArgument):
        TraceWriter(window=(5.0, 4.0))


def test_digest_does_not_depend_on_what_is_kept(tmp_path: Path) -> None:
    """Keeping all, some or nothing of a run does not change what it was; one event more does."""
    digests = {
        traced(None, 7000),
        traced(TraceWriter(), 7000),
        traced(TraceWriter(tmp_path / "window", window=(1.0, 2.0)), 7000),
    }
    assert len(digests) == 1
    assert traced(None, 7001) not in digests


def test_digest_does_not_depend_on_when_it_is_asked_for() -> None:
    """Asking in the middle settles what waits and changes nothing."""
    patient, curious = Trace(), Trace()
    for number in range(50):
        for trace in (patient, curious):
            trace.values.extend((number, 0, 1, 100, What.SENT, 0x20))
        curious.hexdigest()
    assert patient.hexdigest() == curious.hexdigest()


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.999])
def test_trace_that_ends_in_the_middle_is_told(tmp_path: Path, kept: float) -> None:
    """The error says what happened instead of how it was noticed."""
    path = tmp_path / "cut.trace"
    traced(TraceWriter(path), 20_000)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InvalidArgument, match=r"ends in the middle") as raised:
        list(read_trace(path))
    assert "run it again" in str(raised.value.hint)


def test_trace_of_whole_blocks_without_its_end_is_told(tmp_path: Path) -> None:
    """A run that was killed leaves whole blocks: they are read, and the missing end is told."""
    path = tmp_path / "killed.trace"
    traced(TraceWriter(path), 20_000)
    path.write_bytes(path.read_bytes()[:-4])
    reading = read_trace(path)
    assert format_event([next(reading) for _ in range(20_002)][-1]) == "20.000000 note ends"
    with pytest.raises(InvalidArgument, match=r"ends in the middle"):
        next(reading)


@pytest.mark.parametrize("content", [b"", b"pilot", b"{}" * 50])
def test_other_file_is_no_trace(tmp_path: Path, content: bytes) -> None:
    """It is told which file, and what to name instead."""
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"other\.json is no trace"):
        list(read_trace(path))


def test_missing_file_is_told(tmp_path: Path) -> None:
    """As the caller's mistake, not as one of the machine."""
    with pytest.raises(InvalidArgument, match="cannot read"):
        list(read_trace(tmp_path / "nowhere"))
