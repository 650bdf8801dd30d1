"""Whose a connection over loopback is, as the kernel's tables tell."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from pilotdht.ui.owner import UNLISTED, loopback_user_id, may_watch

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
PEER, OWN = ("127.0.0.1", 40000), ("127.0.0.1", 4600)


def words(packed: bytes) -> str:
    """Return bytes as the kernel prints them."""
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


LOCALHOST = words(bytes((127, 0, 0, 1)))
MAPPED = words(bytes(10) + b"\xff\xff" + bytes((127, 0, 0, 1)))


def row(local: str, remote: str, *, user: int, state: str = "01") -> str:
    """Return one line of a table."""
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {user}        0 12345 1\n"


def table(folder: Path, *rows: str, name: str = "tcp") -> Path:
    """Return a table with these lines."""
    path = folder / name
    path.write_text(HEAD + "".join(rows), "ascii")
    return path


def test_user_of_the_other_end_is_found(tmp_path: Path) -> None:
    """The line of the peer's end counts, not that of our own."""
    path = table(
        tmp_path,
        row(f"{LOCALHOST}:11F8", f"{LOCALHOST}:9C40", user=7),
        row(f"{LOCALHOST}:9C40", f"{LOCALHOST}:11F8", user=1001),
    )
    assert 1001 == loopback_user_id(PEER, OWN, tables=(path,))


def test_user_of_a_mapped_end_is_found(tmp_path: Path) -> None:
    """Programs that speak IPv6 reach us as IPv4 in IPv6."""
    path = table(tmp_path, row(f"{MAPPED}:9C40", f"{MAPPED}:11F8", user=1002), name="tcp6")
    assert 1002 == loopback_user_id(PEER, OWN, tables=(tmp_path / "absent", path))


@pytest.mark.parametrize("state", ["04", "05", "06", "08", "02"])
def test_end_that_is_closing_is_nobodys(tmp_path: Path, state: str) -> None:
    """An orphaned end is listed as root's: it must not pass for root."""
    path = table(tmp_path, row(f"{LOCALHOST}:9C40", f"{LOCALHOST}:11F8", user=0, state=state))
    assert UNLISTED == loopback_user_id(PEER, OWN, tables=(path,))


def test_end_that_is_not_listed_is_nobodys(tmp_path: Path) -> None:
    """What the kernel does not know is refused."""
    path = table(tmp_path, row(f"{LOCALHOST}:9C41", f"{LOCALHOST}:11F8", user=0))
    assert UNLISTED == loopback_user_id(PEER, OWN, tables=(path,))
    assert not may_watch(UNLISTED)


def test_without_tables_nothing_is_known(tmp_path: Path) -> None:
    """Systems without these tables leave it to the link."""
    assert loopback_user_id(PEER, OWN, tables=(tmp_path / "a", tmp_path / "b")) is None
    assert may_watch(None)


def test_own_user_and_root_may_watch() -> None:
    """Others may not."""
    assert may_watch(os.geteuid())
    assert may_watch(0)
    assert not may_watch(os.geteuid() + 1)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tables of connections exist on Linux")
def test_tables_of_this_system_can_be_read() -> None:
    """A connection that does not exist is not listed; reading works."""
    assert UNLISTED == loopback_user_id(("127.0.0.1", 1), ("127.0.0.1", 2))
