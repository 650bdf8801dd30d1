"""The laboratory: hosts behind NATs, public servers, and what can be done to all of them while programs run.

a -- [ra] -- line --.                       .-- s1 .. s4
                    |-- [core, no NAT] -----|
b -- [rb] -- line --'                       '-- each on a /16 of its own

There may be more homes than the two: c, d and so on, each as if it were a right side of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, Self

from scripts.lab.kinds import KINDS, Kind
from scripts.lab.line import Quality
from scripts.lab.namespaces import LabError, batch, inside, require_lab, set_kernel
from scripts.lab.owners import PREFIX, Claim, dismantle, sweep
from scripts.lab.site import HOST_TUNABLES, IPV4, IPV6, MAX_MOVES, ROUTER_TUNABLES, Machine, Site, addressing

SAME = "same"
"""As the right side: the second host is beside the first one, behind the same router."""

NEIGHBOUR = "neighbour"
"""As the right side: the second host is at another home of the same carrier, whose router both stand behind."""

MAX_SERVERS = 99
"""Numbers from 100 are those of homes."""

MAX_HOMES = 9
"""The number of a home is one digit in the number of its place."""

LETTERS = "abcdefghi"
"""Names of hosts at homes, and of the homes."""

STOP_TIMEOUT_S = 5.0
"""How long a program may take to end before it is killed."""

_numbers = itertools.count()


class Lab:
    """Builds a laboratory when entered, and removes it and all that runs in it when left."""

    def __init__(
        self,
        prefix: str | None = None,
        *,
        left: str = "portrestricted",
        right: str = "portrestricted",
        more: Sequence[str] = (),
        delay_ms: float = 0.0,
        jitter_ms: float = 0.0,
        loss: float = 0.0,
        rate_mbit: float = 0.0,
        queue: int = 100,
        seed: int = 1,
        servers: int = 4,
        mapping_life_s: int | None = None,
        is_kept: bool = False,
    ) -> None:
        """Describe it; nothing is built yet.

        Args:
            prefix: its name, part of all namespaces' names; by default one that no other laboratory has.
            left: kind of access of host ``a``.
            right: kind of access of host ``b``, or :data:`SAME`, or :data:`NEIGHBOUR`.
            more: kinds of access of hosts ``c``, ``d`` and so on, each at a home of its own.
            delay_ms: of each home's line to the public network, each way; servers have no delay.
            jitter_ms: up to so much more; nothing is reordered.
            loss: share of packets lost on each line, each way.
            rate_mbit: of each line, each way; 0 is as fast as the machine can.
            queue: full packets that wait in front of a line with a rate.
            seed: of what the lines draw.
            servers: hosts with public addresses: ``s1``, ``s2`` and so on.
            mapping_life_s: seconds after which the NATs forget a silent flow; by default as the kernel does: 30 s
                before an answer came, 120 s after.
            is_kept: leave it in place when left.

        Raises:
            LabError: there is no such kind, or a number is out of range.
        """
        self.name = prefix if prefix is not None else f"p{os.getpid()}n{next(_numbers)}"
        """Its name."""
        self._parameters: dict[str, Any] = {
            "left": left, "right": right, "more": list(more), "delay_ms": delay_ms, "jitter_ms": jitter_ms,
            "loss": loss, "rate_mbit": rate_mbit, "queue": queue, "seed": seed, "servers": servers,
            "mapping_life_s": mapping_life_s,
        }  # fmt: skip
        if not 1 <= servers <= MAX_SERVERS:
            raise LabError(f"a laboratory has 1 to {MAX_SERVERS} servers")
        if 2 + len(more) > MAX_HOMES:
            raise LabError(f"a laboratory has at most {MAX_HOMES} homes")
        try:
            quality = Quality(delay_ms=delay_ms, jitter_ms=jitter_ms, loss=loss, rate_mbit=rate_mbit, queue=queue)
        except ValueError as error:
            raise LabError(str(error)) from error
        self._prefix = f"{PREFIX}{self.name}-"
        self._is_kept = is_kept
        self._claim: Claim | None = None
        self._owner = os.getpid()
        self._processes: list[subprocess.Popen[Any]] = []
        common: dict[str, Any] = {
            "prefix": self._prefix, "quality": quality, "mapping_life_s": mapping_life_s, "is_kept": is_kept,
        }  # fmt: skip
        hosts = {"a": 2, "b": 3} if right == SAME else {"a": 2}
        first = Site(letter="a", index=1, hosts=hosts, kind=kind_named(left), seed=seed, **common)
        self._sites = {"a": first}
        if right == NEIGHBOUR:
            if first.kind.carrier_rules is None:
                raise LabError(f"a {left} home has no carrier's router that a neighbour could share: take cgnat")
            neighbour = replace(first.kind, name=NEIGHBOUR)
            self._sites["b"] = Site(
                letter="b", index=2, hosts={"b": 3}, kind=neighbour, seed=seed + 2, carrier_of=first, **common
            )
        elif right != SAME:
            self._sites["b"] = Site(
                letter="b", index=2, hosts={"b": 3}, kind=kind_named(right), seed=seed + 2, **common
            )
        for index, kind in enumerate(more, start=3):
            letter = LETTERS[index - 1]
            self._sites[letter] = Site(
                letter=letter, index=index, hosts={letter: 2}, kind=kind_named(kind), seed=seed + 2 * index, **common
            )
        self.servers: tuple[Machine, ...] = tuple(
            Machine(
                name=f"s{number}",
                namespace=f"{self._prefix}s{number}",
                host=f"{IPV4}.{number}.0.10",
                host6=f"{IPV6}:{number}::10",
                gateway=f"{IPV4}.{number}.0.1",
                gateway6=f"{IPV6}:{number}::1",
            )
            for number in range(1, servers + 1)
        )
        """Hosts with public addresses of both families, each on a network of its own."""

    @classmethod
    def attach(cls, name: str) -> Lab:
        """Return a laboratory that was kept, to change it; it stays kept.

        Raises:
            LabError: there is none of that name, or another process has it.
        """
        claim = Claim(name, is_kept=True)
        try:
            state = claim.read()
            lab = cls(name, **state["parameters"], is_kept=True)
            for letter, site in lab._sites.items():
                site.moves = state["moves"][letter]
        except (KeyError, ValueError) as error:
            claim.release(is_kept=True)
            raise LabError(f"what was kept about {name!r} cannot be read: 'scripts/natlab down {name}'") from error
        lab._claim = claim
        return lab

    def __enter__(self) -> Self:
        if self._claim is not None:
            return self  # attached
        require_lab()
        sweep()
        self._claim = Claim(self.name)
        atexit.register(self.close)
        try:
            self._build()
        except BaseException:
            self._is_kept = False
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all programs and remove everything, unless it is to be kept; safe to call twice."""
        if self._claim is None or self._owner != os.getpid():
            return  # closed, or the copy of a process that was forked off
        claim, self._claim = self._claim, None
        atexit.unregister(self.close)
        if self._is_kept:
            moves = {letter: site.moves for letter, site in self._sites.items()}
            claim.write({"is_kept": True, "parameters": self._parameters, "moves": moves})
            claim.release(is_kept=True)
            return
        try:
            self._end_processes()
            for site in self._sites.values():
                site.tear()
        finally:
            dismantle(self.name)
            claim.release()

    @property
    def hosts(self) -> tuple[Machine, ...]:
        """The hosts at the homes, as they are now: ``a``, ``b`` and so on."""
        return tuple(site.machine(name) for site in self._sites.values() for name in site.hosts)

    def machine(self, name: str) -> Machine:
        """Return a host or server as it is now.

        Raises:
            LabError: there is none of that name.
        """
        for machine in (*self.hosts, *self.servers):
            if machine.name == name:
                return machine
        there = ", ".join(machine.name for machine in (*self.hosts, *self.servers))
        raise LabError(f"there is no host {name!r}: there are {there}")

    def outside(self, host: str) -> str:
        """Return the public IPv4 address behind which a host is."""
        return self._site(host).outside

    def kind(self, host: str) -> Kind:
        """Return what access a host has now."""
        return self._site(host).kind

    @contextlib.contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Have this thread at a host while the block runs; never await in it."""
        with inside(self.machine(host).namespace):
            yield

    def run(
        self,
        host: str,
        command: Sequence[str],
        **options: Any,  # noqa: ANN401 - handed on
    ) -> subprocess.CompletedProcess[str]:
        """Run a program at a host to its end, and return what it printed.

        Args:
            host: ``a``, ``b``, ``s1`` and so on.
            command: program and arguments.
            options: as of :class:`subprocess.Popen`, and ``input`` and ``timeout``; by default text is captured, and
                there is nothing to read.

        Raises:
            subprocess.TimeoutExpired: it took longer than the time-out, one minute by default.
        """
        text, timeout_s = options.pop("input", None), options.pop("timeout", 60.0)
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        defaults = {"text": True, "stdout": pipe, "stderr": pipe, "stdin": nothing if text is None else pipe}
        with self.inside(host):  # this thread does not wait inside: it would be taken for one of the programs there
            process = subprocess.Popen(list(command), **(defaults | options))
        with process:
            try:
                output, errors = process.communicate(text, timeout_s)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(list(command), process.returncode, output, errors)

    def popen(
        self,
        host: str,
        command: Sequence[str],
        **options: Any,  # noqa: ANN401 - handed on
    ) -> subprocess.Popen[Any]:
        """Start a program at a host; it is ended with the laboratory at the latest. Options as of subprocess.Popen."""
        with self.inside(host):
            process = subprocess.Popen(list(command), **options)
        self._processes.append(process)
        return process

    def socket(self, host: str, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        """Return a new socket that is at a host, for this process to use."""
        with self.inside(host):
            return socket.socket(family, kind)

    def set_nat(self, host: str, kind: str) -> None:
        """Give a host's home another kind of access, as when a router is replaced; its programs go on.

        The host's address changes when the old one makes no sense with the new kind. All mappings are forgotten.

        Raises:
            LabError: there is no such kind, or the home is a neighbour's.
        """
        site = self._site(host)
        if site.carrier_of is not None or self._neighbours(site):
            raise LabError("homes that share a carrier keep their kind: build another laboratory")
        new = kind_named(kind)
        old, site.kind = site.kind, new
        self._note_kind(site, kind)
        if old.shape == new.shape:
            site.apply_rules()
            return
        site.kind = old
        site.tear()
        site.kind = new
        site.build()

    def roam(self, host: str, kind: str | None = None) -> None:
        """Move a host's home to another provider: other addresses inside and outside, other routers; programs go on.

        Raises:
            LabError: it has moved too often, there is no such kind, or homes share a carrier.
        """
        site = self._site(host)
        if site.carrier_of is not None or self._neighbours(site):
            raise LabError("homes that share a carrier do not move")
        if site.moves >= MAX_MOVES:
            raise LabError(f"a home moves at most {MAX_MOVES} times")
        new = kind_named(kind) if kind is not None else site.kind
        site.tear()
        site.moves += 1
        site.kind = new
        self._note_kind(site, new.name)
        site.build()

    def reboot_nat(self, host: str) -> None:
        """Have the routers of a host's home forget all mappings."""
        self._site(host).apply_rules()

    def link_down(self, machine: str) -> None:
        """Pull the plug of a host or server: its interface has no link, its routes are gone."""
        batch(self.machine(machine).namespace, ["link set dev e0 down"])

    def link_up(self, machine: str) -> None:
        """Put the plug back in: same addresses, same routes."""
        found = self.machine(machine)
        batch(found.namespace, addressing(found))

    def set_line(self, host: str, **changes: float) -> dict[str, list[int]]:
        """Change a home's line while it carries; return what it has done so far, outwards first in each list.

        Args:
            host: whose home.
            changes: fields of :class:`scripts.lab.line.Quality`; none only asks for the counters.

        Raises:
            LabError: the line is a plain cable, as it is without delay, jitter, loss or rate at the start.
        """
        site = self._site(host)
        try:
            return site.set_quality(Quality(**(asdict(site.quality) | changes)))
        except ValueError as error:
            raise LabError(str(error)) from error

    def _build(self) -> None:
        """Make everything."""
        core = f"{self._prefix}core"
        machines = [*self.servers, *self.hosts]
        batch(None, [f"netns add {core}"] + [f"netns add {machine.namespace}" for machine in machines])
        set_kernel(core, ROUTER_TUNABLES)  # before there are interfaces: they copy what they find when they are made
        for machine in machines:
            set_kernel(machine.namespace, HOST_TUNABLES)
        batch(
            None,
            [
                f"link add e0 netns {server.namespace} type veth peer name {server.name} netns {core}"
                for server in self.servers
            ],
        )
        inner = ["link set dev lo up"]
        for server in self.servers:
            inner += [f"addr add {server.gateway}/24 dev {server.name}", f"link set dev {server.name} up"]
            inner += [f"addr add {server.gateway6}/64 dev {server.name} nodad"]
        batch(core, inner)
        for server in self.servers:
            batch(server.namespace, addressing(server))
        for site in self._sites.values():
            site.build()

    def _site(self, host: str) -> Site:
        """Return the home of a host."""
        for site in self._sites.values():
            if host in site.hosts:
                return site
        raise LabError(f"there is no home of a host {host!r}: there are those of {', '.join(self._sites)}")

    def _note_kind(self, site: Site, kind: str) -> None:
        """Have a laboratory that is kept tell what access a home has now."""
        number = LETTERS.index(site.letter)
        if number < 2:
            self._parameters["right" if number else "left"] = kind
        else:
            self._parameters["more"][number - 2] = kind

    def _neighbours(self, site: Site) -> list[Site]:
        """Return the homes behind the router of this one's carrier."""
        return [other for other in self._sites.values() if other.carrier_of is site]

    def _end_processes(self) -> None:
        """End all programs that were started here, politely first."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self._processes.clear()


def kind_named(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        LabError: there is none.
    """
    if name not in KINDS:
        raise LabError(f"there is no kind {name!r}: 'scripts/natlab kinds' lists them")
    return KINDS[name]
