"""Network namespaces: what is needed to have them, making and removing them, and doing something inside one.

No process has to be started to act inside a namespace: a thread enters it, opens a socket or a device or starts a
program, and leaves again. What it opened stays inside.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

NAMED = Path("/run/netns")
"""Where iproute2 keeps the names of namespaces."""

TOOL_TIMEOUT_S = 20.0
"""``ip`` and ``nft`` take milliseconds; on a machine that is busy with something else, a second."""

_CLONE_NEWNET = 0x40000000

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000

# linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h: delete without a filter is "delete all"
_NETLINK_NETFILTER = 12
_CONNTRACK_DELETE = (1 << 8) | 2
_NLM_F_REQUEST_ACK = 0x1 | 0x4
_NLMSG_ERROR = 2

_PROBE_RULES = """
table ip nat { chain going { type nat hook postrouting priority 100; oifname "out0" masquerade; }; }
table inet wall { chain through { type filter hook forward priority 0; ct state new drop; }; }
"""

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The laboratory could not do what was asked."""


class LabMissing(LabError):
    """Something that the laboratory needs is not on this machine; the text says what, and how to get it."""


def what_is_missing() -> list[str]:
    """Return what keeps this machine from having a laboratory, a sentence each; empty when nothing does."""
    if not Path("/proc/self/ns/net").exists():
        return ["network namespaces are a thing of Linux, and this kernel has none"]
    missing = []
    if os.geteuid() != 0:
        missing.append("root is needed to make network namespaces: run it with sudo")
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            missing.append(f"'{program}' is not on the PATH: install the package {package}")
    if not missing:
        probe = f"natlab-probe-{os.getpid()}"
        try:
            batch(None, [f"netns add {probe}"])
            load_rules(probe, _PROBE_RULES)
        except LabError as error:
            missing.append(f"this machine does not let root make namespaces with NATs ({error}): is it a container?")
        finally:
            remove([probe])
    return missing


@functools.cache  # what is there stays there; what is missing is looked for again
def require_lab() -> None:
    """Return when a laboratory can be built here.

    Raises:
        LabMissing: it cannot.
    """
    missing = what_is_missing()
    if missing:
        raise LabMissing("; ".join(missing))


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Have this thread in the namespace while the block runs; never await in it, as other tasks would be inside too."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(NAMED / namespace)
        try:
            yield
        finally:
            _set_namespace(home)
    finally:
        os.close(home)


def enter(namespace: str) -> None:
    """Move this thread into the namespace for good, as a program that is about to become another one does."""
    _enter(NAMED / namespace)


def names(prefix: str) -> list[str]:
    """Return the namespaces whose names begin so, sorted."""
    try:
        return sorted(entry.name for entry in NAMED.iterdir() if entry.name.startswith(prefix))
    except FileNotFoundError:
        return []


def batch(namespace: str | None, lines: Iterable[str]) -> None:
    """Run lines of ``ip`` in one go, in a namespace or outside of all.

    Raises:
        LabError: a line failed.
    """
    within = ["-n", namespace] if namespace is not None else []
    _run(["ip", *within, "-batch", "-"], "\n".join(lines) + "\n")


def load_rules(namespace: str, text: str) -> None:
    """Replace all rules of a namespace by those of an nftables script, in one transaction.

    Raises:
        LabError: the script is refused.
    """
    with inside(namespace):
        _run(["nft", "-f", "-"], f"flush ruleset\n{text}")


def set_kernel(namespace: str, values: Mapping[str, int]) -> None:
    """Set tunables below ``/proc/sys/net``; those that this kernel does not have are left alone."""
    with inside(namespace):
        for name, value in values.items():
            with contextlib.suppress(FileNotFoundError):
                Path("/proc/sys/net", name).write_text(str(value), "ascii")


def forget_flows(namespace: str) -> None:
    """Make a namespace forget all connections and mappings, as a NAT does when it restarts.

    Raises:
        LabError: the kernel refuses.
    """
    with inside(namespace), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        netlink.settimeout(TOOL_TIMEOUT_S)
        payload = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
        header = struct.pack("=IHHII", 16 + len(payload), _CONNTRACK_DELETE, _NLM_F_REQUEST_ACK, 1, 0)
        netlink.send(header + payload)
        answer = netlink.recv(4096)
        kind, code = struct.unpack_from("=4xH10xi", answer)
        if kind != _NLMSG_ERROR or code != 0:
            raise LabError(f"the flows of {namespace} cannot be forgotten: {os.strerror(-code)}")


def open_tap(namespace: str, name: str) -> int:
    """Return a descriptor that is the other end of a new Ethernet interface ``name`` inside the namespace.

    The interface is gone when the last copy of the descriptor is closed.

    Raises:
        LabMissing: the kernel has no TAP interfaces.
    """
    with inside(namespace):  # the interface appears where the descriptor was opened, not where it was named
        try:
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise LabMissing(f"lines with delay, loss or a rate need /dev/net/tun: {error.strerror}") from error
        try:
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        except OSError as error:
            os.close(descriptor)
            raise LabError(f"{namespace} gets no interface {name}: {error.strerror}") from error
    return descriptor


def remove(namespaces: list[str]) -> None:
    """End what runs inside the namespaces and remove them. What is not there is passed over."""
    present = [namespace for namespace in namespaces if (NAMED / namespace).exists()]
    for process in processes_in(present):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for namespace in present:
        with contextlib.suppress(LabError):
            batch(None, [f"netns del {namespace}"])


def processes_in(namespaces: list[str]) -> list[int]:
    """Return the processes inside any of the namespaces, this one excepted."""
    identities = set()
    for namespace in namespaces:
        with contextlib.suppress(OSError):
            found = os.stat(NAMED / namespace)
            identities.add((found.st_dev, found.st_ino))
    processes = []
    for entry in os.listdir("/proc") if identities else []:
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{entry}/ns/net")
                if (found.st_dev, found.st_ino) in identities:
                    processes.append(int(entry))
    return sorted(processes)


def _run(command: list[str], text: str) -> None:
    """Run a tool that gets ``text`` to read."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _enter(path: Path) -> None:
    """Move this thread into the namespace that a file stands for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise LabError(f"there is no namespace {path.name}") from error
    try:
        _set_namespace(descriptor)
    finally:
        os.close(descriptor)


def _set_namespace(descriptor: int) -> None:
    """Move this thread into a network namespace (setns(2); Python has it from 3.12 on)."""
    if _libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise LabError(f"a namespace cannot be entered: {os.strerror(code)}")
