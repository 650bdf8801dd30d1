"""A port mapped by a real router: ``miniupnpd`` over nftables between two network namespaces.

::

    host 192.168.77.2 -- 192.168.77.1 router 9.77.0.1 -- 9.77.0.2 stranger

Nothing leaves the namespaces. Needs root, ``ip``, ``nft`` and ``miniupnpd`` (Debian: iproute2, nftables, miniupnpd).
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support.source import ROOT

TOOLS = ("ip", "nft", "miniupnpd")
PORT = 4433
OUTSIDE = "9.77.0.1"
PATIENCE_S = 15.0
AGE_S = 4.0
"""How long a router must have run for its clock to tell that it restarted: seconds are counted, one may be rounding."""

RULES = """
table inet filter {
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "in0" accept
        jump miniupnpd
    }
    chain miniupnpd { }
}
table inet nat {
    chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
    chain postrouting {
        type nat hook postrouting priority 100; policy accept;
        jump postrouting_miniupnpd
        oifname "out0" masquerade
    }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""

WITHOUT_PCP = """
table inet old {
    chain input { type filter hook input priority 0; policy accept; udp dport 5351 @th,64,8 2 drop; }
}
"""


def what_is_missing() -> str:
    """Return why these tests cannot run here, or nothing."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs root on Linux to make network namespaces"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    probe = f"pm{os.getpid()}x"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "network namespaces cannot be made here"
    subprocess.run(["ip", "netns", "delete", probe], capture_output=True, check=False)
    return ""


pytestmark = pytest.mark.integration


class Lines:
    """The lines that a process prints, with a time limit on waiting for one."""

    def __init__(self, stream: IO[str]) -> None:
        self._queue: queue.Queue[dict[str, object]] = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def until(self, **wanted: object) -> dict[str, object]:
        """Return the next line that says all this."""
        while True:
            line = self._queue.get(timeout=PATIENCE_S)
            if all(line.get(name) == value for name, value in wanted.items()):
                return line

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._queue.put(json.loads(line))


class Network:
    """Three namespaces and the router's program; :meth:`close` removes all of it."""

    def __init__(self, folder: Path) -> None:
        self.prefix = f"pm{os.getpid()}"
        self._folder = folder
        self._programs: list[subprocess.Popen[str]] = []

    def open(self) -> None:
        """Make it."""
        for name in ("h", "r", "s"):
            run("ip", "netns", "add", self.prefix + name)
            run("ip", "-n", self.prefix + name, "link", "set", "lo", "up")
        self._join("h", "eth0", "192.168.77.2/24", "r", "in0", "192.168.77.1/24")
        self._join("r", "out0", OUTSIDE + "/24", "s", "eth0", "9.77.0.2/24")
        self.inside("h", "ip", "route", "add", "default", "via", "192.168.77.1")
        self.inside("r", "ip", "route", "add", "default", "via", "9.77.0.2")
        self.inside("r", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.rule(RULES)
        self.start_router()

    def inside(self, name: str, *command: str) -> str:
        """Run a command in a namespace and return what it prints."""
        return run("ip", "netns", "exec", self.prefix + name, *command)

    def rule(self, rules: str) -> None:
        """Replace all rules of the router."""
        path = self._folder / "rules"
        path.write_text("flush ruleset\n" + rules)
        self.inside("r", "nft", "-f", str(path))

    def start_router(self, speaks: str = "natpmp") -> None:
        """Start ``miniupnpd``; it knows of no mapping. By ``natpmp`` it means PCP as well."""
        config = self._folder / "miniupnpd.conf"
        config.write_text(
            f"ext_ifname=out0\next_ip={OUTSIDE}\nlistening_ip=in0\nport=0\nsecure_mode=yes\n"
            "system_uptime=no\nupnp_table_name=filter\nupnp_nat_table_name=nat\nupnp_forward_chain=miniupnpd\n"
            f"enable_natpmp={_yes(speaks == 'natpmp')}\nenable_upnp={_yes(speaks == 'upnp')}\n"
            "upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd\n"
            "allow 1024-65535 192.168.77.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
        )
        self._router = self._start(
            "r", "miniupnpd", "-d", "-4", "-f", str(config), "-P", str(self._folder / "miniupnpd.pid")
        )

    def restart_router(self, speaks: str = "natpmp") -> None:
        """End the program, forget what it mapped, and start it again."""
        self._stop(self._router)
        self.rule(RULES)
        self.start_router(speaks)

    def agent(self) -> tuple[subprocess.Popen[str], Lines]:
        """Start the program that keeps a port mapped, on the host."""
        program = self._start("h", sys.executable, "-m", "tests.support.portmap_agent", str(PORT), is_read=True)
        assert program.stdout is not None
        return program, Lines(program.stdout)

    def stop_agent(self, program: subprocess.Popen[str]) -> None:
        """Tell it to end, and wait."""
        assert program.stdin is not None
        program.stdin.close()
        assert 0 == program.wait(PATIENCE_S)
        self._forget(program)

    def stranger_says(self, text: str, endpoint: str) -> str:
        """Send a datagram from outside to an endpoint, and return the answer."""
        host, _, port = endpoint.rpartition(":")
        script = (
            "import socket\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "s.settimeout(5)\n"
            f"s.sendto({text!r}.encode(), ({host!r}, {port}))\n"
            "print(s.recv(1000).decode(), end='')\n"
        )
        return self.inside("s", sys.executable, "-c", script)

    def mappings(self) -> str:
        """Return the rules by which the router lets strangers in."""
        return self.inside("r", "nft", "list", "chain", "inet", "nat", "prerouting_miniupnpd")

    def wait_for_mapping(self) -> None:
        """Return once there is one."""
        until = time.monotonic() + PATIENCE_S
        while "192.168.77.2" not in self.mappings():
            assert time.monotonic() < until, "the port was not mapped again"
            time.sleep(0.1)

    def close(self) -> None:
        """End all programs and remove the namespaces."""
        for program in list(self._programs):
            self._stop(program)
        for name in ("h", "r", "s"):
            subprocess.run(["ip", "netns", "delete", self.prefix + name], check=False, capture_output=True)

    def _join(self, one: str, one_end: str, one_address: str, two: str, two_end: str, two_address: str) -> None:
        first, second = self.prefix + one, self.prefix + two
        run("ip", "link", "add", one_end, "netns", first, "type", "veth", "peer", "name", two_end, "netns", second)
        for name, end, address in ((first, one_end, one_address), (second, two_end, two_address)):
            run("ip", "-n", name, "address", "add", address, "dev", end)
            run("ip", "-n", name, "link", "set", end, "up")

    def _start(self, name: str, *command: str, is_read: bool = False) -> subprocess.Popen[str]:
        output = subprocess.PIPE if is_read else subprocess.DEVNULL
        program = subprocess.Popen(
            ["ip", "netns", "exec", self.prefix + name, *command],
            stdin=subprocess.PIPE if is_read else subprocess.DEVNULL,
            stdout=output,
            stderr=None if is_read else subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        self._programs.append(program)
        return program

    def _stop(self, program: subprocess.Popen[str]) -> None:
        program.terminate()
        try:
            program.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        self._forget(program)

    def _forget(self, program: subprocess.Popen[str]) -> None:
        self._programs.remove(program)
        for stream in (program.stdin, program.stdout):
            if stream is not None:
                stream.close()


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def run(*command: str) -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert 0 == done.returncode, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Yield the network; everything of it is gone afterwards, also when it could not be made whole."""
    missing = what_is_missing()
    if missing:
        pytest.skip(missing)
    made = Network(tmp_path)
    try:
        made.open()
        yield made
    finally:
        made.close()


def test_keeper_real_router_lets_a_stranger_in_until_the_node_stops(network: Network) -> None:
    """By PCP: a datagram from outside arrives and is answered; nothing is left of it afterwards."""
    program, lines = network.agent()
    mapped = lines.until(state="mapped")
    assert ("9.77.0.1:4433", "pcp") == (mapped["endpoint"], mapped["protocol"])
    assert "answer to hello" == network.stranger_says("hello", "9.77.0.1:4433")
    lines.until(datagram="hello")
    assert "192.168.77.2:4433" in network.mappings()
    network.stop_agent(program)
    assert "192.168.77.2" not in network.mappings()


def test_keeper_real_router_that_drops_pcp_is_asked_by_natpmp(network: Network) -> None:
    """As old routers do; the mapping is as good."""
    network.rule(RULES + WITHOUT_PCP)
    program, lines = network.agent()
    mapped = lines.until(state="mapped")
    assert ("9.77.0.1:4433", "nat-pmp") == (mapped["endpoint"], mapped["protocol"])
    assert "answer to hello" == network.stranger_says("hello", "9.77.0.1:4433")
    network.stop_agent(program)
    assert "192.168.77.2" not in network.mappings()


def test_keeper_real_router_that_speaks_upnp_alone_maps_a_port(network: Network) -> None:
    """As many routers of providers do."""
    pytest.importorskip("miniupnpc", reason="needs miniupnpc, the extra 'upnp'")
    network.restart_router(speaks="upnp")
    program, lines = network.agent()
    mapped = lines.until(state="mapped")
    assert ("9.77.0.1:4433", "upnp") == (mapped["endpoint"], mapped["protocol"])
    assert "answer to hello" == network.stranger_says("hello", "9.77.0.1:4433")
    network.stop_agent(program)
    assert "192.168.77.2" not in network.mappings()


def test_keeper_real_router_that_restarts_is_asked_again(network: Network) -> None:
    """It has forgotten everything; the next look at its clock finds it out."""
    program, lines = network.agent()
    lines.until(state="mapped")
    time.sleep(AGE_S)
    network.restart_router()
    assert "192.168.77.2" not in network.mappings()
    network.wait_for_mapping()
    assert "answer to again" == network.stranger_says("again", "9.77.0.1:4433")
    network.stop_agent(program)
