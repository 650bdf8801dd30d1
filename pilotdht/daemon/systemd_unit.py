"""The units with which systemd runs the daemon. Pure.

A node needs its state directory, its runtime directory and the network; a system service gets nothing else, and runs as
a user that exists only while it runs. A unit of a user cannot have a file system of its own without user namespaces,
which many systems switch off: it gets what works everywhere.

Source: systemd.service(5), systemd.exec(5), systemd.unit(5), "Specifiers" and "Quoting".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotdht.errors import InvalidArgument

UNIT_NAME = "pilotdht.service"
"""The unit's file, and its name."""

MARK = "# Written by 'pilotdht daemon install-service'; 'pilotdht daemon uninstall-service' removes it."
"""First line of every unit of ours: no other file is overwritten or removed."""

_SERVICE = """\
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload={reload}
Restart=on-failure
RestartSec=2
TimeoutStartSec=60
TimeoutStopSec=15
WatchdogSec=60
LimitNOFILE=65536
UMask=0077
"""
# The watchdog is generous: a machine that was suspended, or swaps, is not a daemon that hangs.

_EVERYWHERE = """\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""
# AF_NETLINK: the C library asks it which addresses there are when a name is resolved.

_SYSTEM = """\
DynamicUser=yes
StateDirectory=pilotdht
StateDirectoryMode=0700
RuntimeDirectory=pilotdht
RuntimeDirectoryMode=0700
Environment=PILOTDHT_DATA_DIR=%S/pilotdht/node
Environment=PILOTDHT_SOCKET=%t/pilotdht/control.sock
Environment=PILOTDHT_CONFIG=/etc/pilotdht/config.toml
EnvironmentFile=-/etc/pilotdht/environment
DevicePolicy=closed
PrivateDevices=yes
PrivateMounts=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
"""
# A folder inside the state directory, as that is a link where the user is dynamic, and a link is not trusted.
# No ProcSubset=pid: it hides /proc/net, where the router's address is read for mapping a port.

_NO_RIGHTS = """\
CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
"""
_LOW_PORTS = """\
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
"""
# Without users of its own: a capability inside a user namespace is none towards the machine's ports.


def system_unit(command: Sequence[str], reload: Sequence[str], *, has_low_ports: bool = False) -> str:
    """Return the unit that runs the daemon from the machine's start on.

    Args:
        command: starts the daemon in the foreground.
        reload: has it read its configuration anew, and fails when that is wrong.
        has_low_ports: it may listen on ports below 1024, as on 443 for nodes whose UDP is blocked.

    Raises:
        InvalidArgument: a word cannot be written in a unit.
    """
    place = _SYSTEM + (_LOW_PORTS if has_low_ports else _NO_RIGHTS)
    return _unit(command, reload, place, wanted_by="multi-user.target", is_system=True)


def user_unit(command: Sequence[str], reload: Sequence[str], *, environment: Mapping[str, str]) -> str:
    """Return the unit that runs the daemon for one user.

    Args:
        command: starts the daemon in the foreground.
        reload: has it read its configuration anew, and fails when that is wrong.
        environment: what the daemon finds in its environment besides.

    Raises:
        InvalidArgument: a word cannot be written in a unit.
    """
    variables = "".join(f"Environment={quoted_word(f'{name}={value}')}\n" for name, value in environment.items())
    return _unit(command, reload, variables, wanted_by="default.target", is_system=False)


def quoted_word(word: str, *, is_command: bool = False) -> str:
    """Return a word as a unit holds it: nothing in it is expanded, split or taken for anything else.

    Args:
        word: any printable text.
        is_command: it stands in a command line, where ``$`` begins a variable.

    Raises:
        InvalidArgument: it has control characters.
    """
    if not word.isprintable():
        raise InvalidArgument(f"{word!r} cannot be written in a service's file", hint="leave control characters out")
    text = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    if is_command:
        text = text.replace("$", "$$")
    is_plain = text == word and word and not set(word) & set(" ;'#")
    return text if is_plain else f'"{text}"'


def _unit(command: Sequence[str], reload: Sequence[str], place: str, *, wanted_by: str, is_system: bool) -> str:
    service = _SERVICE.format(command=_line(command), reload=_line(reload))
    # A user's manager knows no targets of the machine.
    network = "Wants=network-online.target\nAfter=network-online.target\n" if is_system else ""
    return (
        f"{MARK}\n[Unit]\nDescription=pilotdht, a node of a mesh of agents\n{network}"
        f"\n[Service]\n{service}{place}{_EVERYWHERE}\n[Install]\nWantedBy={wanted_by}\n"
    )


def _line(words: Sequence[str]) -> str:
    return " ".join(quoted_word(word, is_command=True) for word in words)
