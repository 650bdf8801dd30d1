"""One place where hosts are at home: its local network, its router, the carrier's router, and the line outwards.

Addresses are made of the number of the place, which is another one after each move to another provider:

    host 192.168.g.n -- in0 [home] out0 -------------------------- 11.p.0.2 -- line -- 11.p.0.1 [core]
    host 192.168.g.n -- in0 [home] out0 100.64.p.2 -- [carrier] -- 11.p.0.2 -- line -- 11.p.0.1 [core]
    host 11.p.1.n    -- in0 [home] out0 -------------------------- 11.p.0.2 -- line -- 11.p.0.1 [core]    no NAT
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from scripts.lab.kinds import MAPPING_LIFE_S, Kind
from scripts.lab.line import Quality
from scripts.lab.namespaces import LabError, batch, forget_flows, load_rules, open_tap, remove, set_kernel

IPV4 = "11"
"""First byte of all public addresses: 11.0.0.0/8 counts as public everywhere, and is announced nowhere."""

IPV6 = "2d00"
"""First group of all public IPv6 addresses: of 2000::/3, which is public, a part that nobody was given."""

FIRST_PLACE = 100
"""Number of the first place; servers have lower ones."""

MAX_MOVES = 14
"""Moves to another provider: the number of a place is one byte."""

CABLE_TIMEOUT_S = 10.0
"""A process starts in a tenth of a second, on a busy machine in some."""

HOST_TUNABLES = {
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/accept_ra": 0,
}
"""Of every namespace: addresses are usable at once, and no packet is dropped for the way that it came."""

ROUTER_TUNABLES = HOST_TUNABLES | {
    "ipv4/ip_forward": 1,
    "ipv4/conf/all/send_redirects": 0,
    "ipv4/conf/default/send_redirects": 0,
    "ipv6/conf/all/forwarding": 1,
    "bridge/bridge-nf-call-iptables": 0,
    "bridge/bridge-nf-call-ip6tables": 0,
}
"""Of a namespace that forwards.

A redirect would have hosts behind a hairpin talk past their router; and where bridges filter, a packet that turns round
in the router is sent on by the bridge beneath it, which never returns a packet to the port that it came from.
"""

_MAPPING_LIVES = ("netfilter/nf_conntrack_udp_timeout", "netfilter/nf_conntrack_udp_timeout_stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A namespace in which programs run, and how others reach it."""

    name: str
    """``a``, ``b``, ``s1`` and so on."""
    namespace: str
    """Its namespace."""
    host: str
    """Its own IPv4 address; empty when it has none."""
    host6: str
    """Its own public IPv6 address; empty when it has none."""
    gateway: str
    """Its router's IPv4 address."""
    gateway6: str
    """Its router's IPv6 address."""


class Site:
    """A place of one or more hosts."""

    def __init__(
        self,
        *,
        prefix: str,
        letter: str,
        index: int,
        hosts: dict[str, int],
        kind: Kind,
        quality: Quality,
        seed: int,
        mapping_life_s: int | None,
        is_kept: bool,
        carrier_of: Site | None = None,
    ) -> None:
        """Describe it; nothing is built yet.

        Args:
            prefix: begins the names of all namespaces.
            letter: the place's name.
            index: 1 to 9.
            hosts: names of the hosts, with the last byte of their addresses.
            kind: what access they have.
            quality: of the line to the public network.
            seed: of what the line draws.
            mapping_life_s: how long mappings live; absent: as the kernel does.
            is_kept: whether the line outlives this process.
            carrier_of: the place behind whose carrier's router this one stands; it has no line of its own.
        """
        self.kind = kind
        """What access the hosts have."""
        self.quality = quality
        """Of the line to the public network, each direction."""
        self.moves = 0
        """How often it has moved to another provider."""
        self.letter = letter
        """Its name."""
        self.hosts = hosts
        """Names of its hosts, with the last byte of their addresses."""
        self._prefix = prefix
        self._index = index
        self._seed = seed
        self._mapping_life_s = mapping_life_s
        self._is_kept = is_kept
        self.carrier_of = carrier_of
        """The place behind whose carrier's router it stands; mostly absent."""
        self._cable: subprocess.Popen[str] | None = None

    @property
    def place(self) -> int:
        """The number in its addresses."""
        return FIRST_PLACE + self._index + 10 * self.moves

    @property
    def outside(self) -> str:
        """The public IPv4 address behind which its hosts are, or of its router when they have their own."""
        return self.carrier_of.outside if self.carrier_of else f"{IPV4}.{self.place}.0.2"

    @property
    def routers(self) -> list[str]:
        """Its namespaces that forward: home first, then the carrier's, when it has one of its own."""
        return [self._home] + ([self._carrier] if self._has_carrier else [])

    @property
    def _home(self) -> str:
        return f"{self._prefix}r{self.letter}"

    @property
    def _carrier(self) -> str:
        return f"{self._prefix}c{self.letter}"

    @property
    def _core(self) -> str:
        return f"{self._prefix}core"

    @property
    def _has_carrier(self) -> bool:
        return self.kind.carrier_rules is not None and self.carrier_of is None

    def machine(self, name: str) -> Machine:
        """Return one of its hosts as it is now."""
        last = self.hosts[name]
        network = f"192.168.{1 + self.moves}" if self.kind.is_translated else f"{IPV4}.{self.place}.1"
        network6 = f"{IPV6}:{self.place}:1:"
        return Machine(
            name=name,
            namespace=f"{self._prefix}{name}",
            host=f"{network}.{last}" if self.kind.has_ipv4 else "",
            host6=f"{network6}:{last}" if self.kind.has_ipv6 else "",
            gateway=f"{network}.1" if self.kind.has_ipv4 else "",
            gateway6=f"{network6}:1" if self.kind.has_ipv6 else "",
        )

    def build(self) -> None:
        """Make routers, line and local network; the hosts' namespaces are there.

        Raises:
            LabError: it could not be built.
        """
        batch(None, [f"netns add {router}" for router in self.routers])
        for router in self.routers:
            set_kernel(router, ROUTER_TUNABLES)
            if self._mapping_life_s is not None:
                set_kernel(router, dict.fromkeys(_MAPPING_LIVES, self._mapping_life_s))
        self._connect()
        self._join_hosts()
        self.apply_rules()

    def tear(self) -> None:
        """Remove routers, line and local network. The hosts stay, with no network."""
        for name in self.hosts:
            with contextlib.suppress(LabError):
                batch(f"{self._prefix}{name}", ["link del dev e0"])
        if self.carrier_of is None:
            with contextlib.suppress(LabError):
                batch(self._core, [f"link del dev {self.letter}"])  # the cable's process ends by that
            self._end_cable()
        else:
            with contextlib.suppress(LabError):
                batch(self.carrier_of._carrier, [f"link del dev {self.letter}"])
        remove(self.routers)

    def apply_rules(self) -> None:
        """Load the kind's rules into the routers, which forget all mappings and whom they have seen."""
        life = self._mapping_life_s or MAPPING_LIFE_S
        if self.carrier_of is None and self.kind.carrier_rules is None:
            load_rules(self._home, self.kind.rules(self.outside, life))
        else:
            load_rules(self._home, self.kind.rules(f"100.64.{self.place}.2", life))
        if self._has_carrier and self.kind.carrier_rules is not None:
            load_rules(self._carrier, self.kind.carrier_rules(self.outside, life))
        for router in self.routers:
            forget_flows(router)

    def set_quality(self, quality: Quality) -> dict[str, list[int]]:
        """Change the line, and return what it has carried, lost and dropped in each direction, outwards first.

        Raises:
            LabError: the line was built as a perfect one, or is kept by another process.
        """
        cable = self._cable
        if cable is None or cable.stdin is None or cable.stdout is None:
            raise LabError("this line is a plain cable: build the laboratory with a delay, a loss or a rate")
        self.quality = quality
        cable.stdin.write(json.dumps(asdict(quality)) + "\n")
        cable.stdin.flush()
        return _answer(cable.stdout)

    def _connect(self) -> None:
        """Lay the line outwards and give the routers their addresses."""
        edge = self._carrier if self._has_carrier else self._home
        place, public = self.place, f"{IPV4}.{self.place}.0"
        if self._has_carrier or self.carrier_of is not None:
            carrier, port = (
                (self._carrier, "in0") if self.carrier_of is None else (self.carrier_of._carrier, self.letter)
            )
            batch(None, [f"link add out0 netns {self._home} type veth peer name {port} netns {carrier}"])
            batch(
                carrier, [f"addr add 100.64.{place}.1/24 dev {port}", f"link set dev {port} up", "link set dev lo up"]
            )
            batch(
                self._home,
                [
                    f"addr add 100.64.{place}.2/24 dev out0",
                    "link set dev out0 up",
                    f"route add default via 100.64.{place}.1",
                ],
            )
        if self.carrier_of is not None:
            return
        if self.quality.is_perfect:
            batch(None, [f"link add out0 netns {edge} type veth peer name {self.letter} netns {self._core}"])
        else:
            self._start_cable(edge)
        network6, lan6 = f"{IPV6}:{place}:", f"{IPV6}:{place}:1::/64"
        core = [f"addr add {public}.1/24 dev {self.letter}", f"addr add {network6}:1/64 dev {self.letter} nodad"]
        core += [f"link set dev {self.letter} txqueuelen 10000 up"]
        if self.kind.has_ipv4 and not self.kind.is_translated:
            core.append(f"route add {IPV4}.{place}.1.0/24 via {public}.2")
        if self.kind.has_ipv6:
            core.append(f"route add {lan6} via {network6}:2")
        batch(self._core, core)
        outwards = [f"addr add {public}.2/24 dev out0", f"addr add {network6}:2/64 dev out0 nodad"]
        outwards += ["link set dev out0 txqueuelen 10000 up", f"route add default via {public}.1"]
        outwards += [f"route add default via {network6}:1"]
        batch(edge, outwards)

    def _join_hosts(self) -> None:
        """Make the local network, and give the hosts their addresses."""
        batch(
            None,
            [
                f"link add e0 netns {self._prefix}{name} type veth peer name {name} netns {self._home}"
                for name in self.hosts
            ],
        )
        first = self.machine(next(iter(self.hosts)))
        home = ["link set dev lo up", "link add in0 type bridge", "link set dev in0 up"]
        home += [f"addr add {first.gateway}/24 dev in0"] if first.gateway else []
        home += [f"addr add {first.gateway6}/64 dev in0 nodad"] if first.gateway6 else []
        for name in self.hosts:
            home += [f"link set dev {name} master in0 up"]
        batch(self._home, home)
        for name in self.hosts:
            batch(f"{self._prefix}{name}", addressing(self.machine(name)))

    def _start_cable(self, edge: str) -> None:
        """Start the process that carries frames between the edge and the core."""
        ends = [open_tap(edge, "out0")]
        try:
            ends.append(open_tap(self._core, self.letter))
            command = [sys.executable, "-m", "scripts.lab.cable", *map(str, ends)]
            command += ["--quality", json.dumps(asdict(self.quality)), "--seed", str(self._seed)]
            options: dict[str, Any] = {"pass_fds": ends, "cwd": Path(__file__).parents[2], "start_new_session": True}
            if self._is_kept:
                quiet = subprocess.DEVNULL
                command.append("--keep")  # it lives on in a process that is nobody's child
                try:
                    subprocess.run(
                        command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=CABLE_TIMEOUT_S, check=True, **options
                    )
                except subprocess.SubprocessError as error:
                    raise LabError(f"a line's process did not start: {error}") from error
                return
            self._cable = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
            assert self._cable.stdout is not None
            _answer(self._cable.stdout)
        finally:
            for end in ends:
                os.close(end)

    def _end_cable(self) -> None:
        """End the cable's process, if there is one."""
        cable, self._cable = self._cable, None
        if cable is None:
            return
        assert cable.stdin is not None
        assert cable.stdout is not None
        with contextlib.suppress(OSError):
            cable.stdin.close()
        try:
            cable.wait(CABLE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            cable.kill()
            cable.wait()
        cable.stdout.close()


def addressing(machine: Machine) -> list[str]:
    """Return the lines for ``ip`` that give a machine its addresses and routes, and its interface a link."""
    lines = ["link set dev lo up", "link set dev e0 up"]
    if machine.host:
        lines += [f"addr replace {machine.host}/24 dev e0", f"route replace default via {machine.gateway}"]
    if machine.host6:
        lines += [f"addr replace {machine.host6}/64 dev e0 nodad", f"route replace default via {machine.gateway6}"]
    return lines


def _answer(stream: IO[str]) -> dict[str, list[int]]:
    """Return what a cable says."""
    line = stream.readline()
    if not line:
        raise LabError("a line's process has ended")
    counters: dict[str, list[int]] = json.loads(line)
    return counters
