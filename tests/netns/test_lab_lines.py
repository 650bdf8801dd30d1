"""Real lines of a laboratory delay, lose and limit as told."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

import pytest

from scripts.lab import Lab, LabError
from tests.netns.conftest import BuildLab

pytestmark = pytest.mark.integration

PORT = 9

SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("=qq")
"""linux/socket.h; Python has no names for them."""

LATE_MS = 10
"""How late the quickest of some packets may be on a busy machine."""

UDP_SEGMENT = 103
"""linux/udp.h; Python has no name for it."""

STRAY_FRAMES = 10
"""What the kernels at both ends say to each other besides: who has which address, who listens to which group."""


def receiver_at(lab: Lab, host: str) -> socket.socket:
    """Return a socket that waits at a host; the kernel notes when each datagram came, however busy this process is."""
    opened = lab.socket(host)
    opened.bind((lab.machine(host).host, PORT))
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    opened.settimeout(2)
    return opened


def times_between(lab: Lab, sender: str, target: str, count: int) -> list[float]:
    """Send packets one after another; return how long each was under way, in milliseconds."""
    times = []
    with lab.socket(sender) as source, receiver_at(lab, target) as sink:
        for number in range(count + 1):
            begun = time.time()
            source.sendto(b"%d" % number, (lab.machine(target).host, PORT))
            _, notes, _, _ = sink.recvmsg(100, 100)
            ((_, _, note),) = notes
            seconds, nanoseconds = TIMESPEC.unpack(note)
            times.append((seconds + nanoseconds / 1e9 - begun) * 1000)
    return times[1:]  # the first one waits for addresses to be resolved


def test_line_with_delay_delays_once_to_a_server_and_twice_to_a_peer(build_lab: BuildLab) -> None:
    """Never less than the delay, and little more when nothing gets in the way: one line to a server, two to a peer."""
    lab = build_lab(left="open", right="open", delay_ms=20, servers=1)
    to_server, to_peer = times_between(lab, "a", "s1", 15), times_between(lab, "a", "b", 15)
    assert 20 <= min(to_server) < 20 + LATE_MS
    assert 40 <= min(to_peer) < 40 + 2 * LATE_MS


def test_line_with_loss_loses_what_it_says_it_lost(build_lab: BuildLab) -> None:
    """Packets that were sent arrive or are counted as lost, and the share is as told."""
    lab = build_lab(left="open", right="open", loss=0.2, servers=1)
    count = 1000
    with lab.socket("a") as source, receiver_at(lab, "s1") as sink:
        lab.set_line("a", loss=0.0)
        source.sendto(b"first", (lab.servers[0].host, PORT))
        sink.recv(100)  # addresses are resolved now: from here on frames are ours, or nearly all of them
        before = lab.set_line("a", loss=0.2)
        for _ in range(count):
            source.sendto(b"x", (lab.servers[0].host, PORT))
        carried = lost = 0
        while carried + lost < count:  # the line answers each time
            after = lab.set_line("a")
            carried, lost = (after[name][0] - before[name][0] for name in ("carried", "lost"))
        sink.settimeout(0.2)
        arrived = 0
        with contextlib.suppress(TimeoutError):
            while sink.recv(100):
                arrived += 1
    assert 0 <= carried - arrived <= STRAY_FRAMES
    assert 0 <= lost - (count - arrived) <= STRAY_FRAMES
    assert 0.75 < arrived / count < 0.85


def test_line_with_rate_carries_a_burst_at_that_rate_and_drops_the_rest(build_lab: BuildLab) -> None:
    """A burst of 200 packets of 1,042 bytes leaves at 10 Mbit/s, as many as the queue has room for."""
    lab = build_lab(left="open", right="open", rate_mbit=10, queue=50, servers=1)
    with lab.socket("a") as source, receiver_at(lab, "s1") as sink:
        source.sendto(b"first", (lab.servers[0].host, PORT))
        sink.recv(100)
        begun = time.monotonic()
        for _ in range(200):
            source.sendto(bytes(1000), (lab.servers[0].host, PORT))
        arrived = 0
        last = begun
        sink.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sink.recv(2000):
                arrived, last = arrived + 1, time.monotonic()
    line_bytes = 1042
    assert 0 <= lab.set_line("a")["overflowed"][0] - (200 - arrived) <= STRAY_FRAMES
    assert arrived < 200
    assert last - begun >= 0.95 * arrived * line_bytes * 8 / 10e6


def test_line_cuts_a_train_of_datagrams_into_frames(build_lab: BuildLab) -> None:
    """What a program hands over as one train (UDP GSO) passes the line as datagrams, each with a right checksum."""
    lab = build_lab(left="portrestricted", right="open", delay_ms=1, servers=1)
    datagrams = [bytes([number]) * 1200 for number in range(20)]
    with lab.socket("a") as source, receiver_at(lab, "s1") as sink:
        size = (socket.IPPROTO_UDP, UDP_SEGMENT, (1200).to_bytes(2, sys.byteorder))
        source.sendmsg([b"".join(datagrams)], [size], 0, (lab.servers[0].host, PORT))
        assert datagrams == [sink.recv(2000) for _ in datagrams]
    assert lab.set_line("a")["carried"][0] >= len(datagrams)


def test_line_that_is_changed_while_it_carries_behaves_anew(build_lab: BuildLab) -> None:
    """A line that becomes slow is slow from then on; one that loses everything carries nothing."""
    lab = build_lab(left="open", right="open", delay_ms=1, servers=1)
    assert min(times_between(lab, "a", "s1", 10)) < 1 + LATE_MS
    lab.set_line("a", delay_ms=60)
    assert min(times_between(lab, "a", "s1", 5)) >= 60
    lab.set_line("a", loss=1.0)
    with pytest.raises(TimeoutError):
        times_between(lab, "a", "s1", 1)


def test_line_that_is_a_plain_cable_cannot_be_changed(build_lab: BuildLab) -> None:
    """Without delay, loss or rate there is no process that could be told."""
    lab = build_lab(left="open", right="open", servers=1)
    with pytest.raises(LabError, match="plain cable"):
        lab.set_line("a", delay_ms=5)
