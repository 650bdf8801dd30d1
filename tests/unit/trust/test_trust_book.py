"""The trust book: what survives, what is refused, what is bounded."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import AlreadyExists, ConfigError, InvalidArgument, NodeClosed, Overloaded
from pilotdht.identity.ids import PublicKey
from pilotdht.trust.book import TrustBook
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import Stance, Word, WordKind
from tests.support.trust_pair import WallClock

ALICE, BOB = PublicKey(b"\x0a" * 32), PublicKey(b"\x0b" * 32)


def open_book(path: Path | None, config: TrustConfig | None = None) -> TrustBook:
    """Open a book with a clock that stands."""
    return TrustBook(path, unix_time=WallClock(), config=config)


def ask(book: TrustBook, key: PublicKey, sequence: int = 1) -> Stance:
    """Let a peer ask."""
    return book.hear(key, Word(kind=WordKind.REQUEST, sequence=sequence, seen=0, hostname="peer"))[1].stance


def test_book_reopened_remembers_everything(tmp_path: Path) -> None:
    """Entries, pins and aliases are the same after a restart."""
    path = tmp_path / "deep" / "trust.db"
    book = open_book(path)
    ask(book, ALICE)
    book.approve(ALICE)
    book.ask(BOB, "reason", hostname="bob")
    book.pin("bob", BOB, now=5.0)
    book.set_alias("b", BOB)
    entries, pins, aliases = book.entries(), book.pins(), book.aliases()
    book.close()
    again = open_book(path)
    assert (entries, pins, aliases) == (again.entries(), again.pins(), again.aliases())
    assert again.is_trusted(ALICE)
    assert not again.is_trusted(BOB)
    assert [ALICE, BOB] == [entry.public_key for entry in again.owing()]
    again.close()


def test_book_file_is_private_to_its_owner(tmp_path: Path) -> None:
    """The file and its log are made with mode 0600; a looser file is refused."""
    path = tmp_path / "trust.db"
    book = open_book(path)
    ask(book, ALICE)
    assert {0o600} == {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    book.close()
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="open to other users"):
        open_book(path)


def test_book_in_use_is_refused(tmp_path: Path) -> None:
    """Two nodes cannot write one book."""
    path = tmp_path / "trust.db"
    book = open_book(path)
    with pytest.raises(ConfigError, match="in use"):
        open_book(path)
    book.close()
    open_book(path).close()


@pytest.mark.parametrize("damage", ["garbage", "header", "middle", "row", "state", "later", "directory", "fifo"])
def test_book_damaged_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    """A file that cannot be trusted is neither used nor replaced."""
    path = tmp_path / "trust.db"
    book = open_book(path)
    for number in range(200):
        ask(book, PublicKey(number.to_bytes(32, "big")))
    book.close()
    if damage in ("directory", "fifo"):
        path.unlink()
        path.mkdir() if damage == "directory" else os.mkfifo(path, 0o600)
        with pytest.raises(ConfigError):
            open_book(path)
        return
    if damage == "garbage":
        path.write_bytes(b"this is no database at all" * 100)
    elif damage == "header":
        path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    elif damage == "middle":
        data = bytearray(path.read_bytes())
        data[5000:9000] = b"\xff" * 4000
        path.write_bytes(data)
    else:
        change = {
            "row": "UPDATE peers SET public_key = x'00' WHERE public_key = (SELECT max(public_key) FROM peers)",
            "state": "UPDATE peers SET state = 'adored'",
            "later": "UPDATE about SET schema_version = 99",
        }[damage]
        with sqlite3.connect(path) as database:
            database.execute(change)
        database.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        open_book(path)
    assert caught.value.hint
    assert before == path.read_bytes()


def test_book_closed_refuses_writes(tmp_path: Path) -> None:
    """What cannot be kept is not promised."""
    book = open_book(tmp_path / "trust.db")
    book.close()
    book.close()
    with pytest.raises(NodeClosed):
        book.ask(ALICE)
    assert [] == book.entries()


def test_book_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Memory never says more than the file."""
    path = tmp_path / "trust.db"
    book = open_book(path)
    ask(book, ALICE)
    limit = book._database.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[union-attr]  # a full disk
    book._database.execute(f"PRAGMA max_page_count = {limit}")  # type: ignore[union-attr]

    def fill() -> None:
        for number in range(1000):
            ask(book, PublicKey(number.to_bytes(32, "big")))

    with pytest.raises(ConfigError, match="cannot be written"):
        fill()
    kept = {entry.public_key for entry in book.entries()}
    book.close()
    again = open_book(path)
    assert kept == {entry.public_key for entry in again.entries()}
    again.close()


def test_book_full_forgets_the_idle_and_keeps_the_trusted() -> None:
    """Whoever has no trust and no request makes room; when there is nobody, newcomers are refused."""
    book = open_book(None, TrustConfig(max_peers=16, max_pending=16))
    keys = [PublicKey(bytes([number]) * 32) for number in range(16)]
    for key in keys:
        ask(book, key)
        book.approve(key)
    assert Stance.BUSY is ask(book, PublicKey(b"\xaa" * 32))
    with pytest.raises(Overloaded):
        book.ask(PublicKey(b"\xbb" * 32))
    book.untrust(keys[3])
    assert Stance.PENDING is ask(book, PublicKey(b"\xaa" * 32))
    assert 16 == len(book)
    assert TrustState.NONE is book.entry(keys[3]).state


def test_book_untrust_forgets_pins_of_the_key() -> None:
    """After ``untrust NAME`` the name may be taken by another key."""
    book = open_book(None)
    book.pin("bank", ALICE, now=1.0)
    with pytest.raises(AlreadyExists):
        book.pin("bank", BOB, now=2.0)
    assert [ALICE] == [entry.public_key for entry in book.find("bank")]
    book.untrust(ALICE)
    assert book.pin_of("bank") is None
    book.pin("bank", BOB, now=3.0)


def test_book_pins_and_aliases_are_bounded() -> None:
    """The oldest pin goes; aliases beyond the bound are refused, and must be formed like hostnames."""
    book = open_book(None, TrustConfig(max_pins=16, max_aliases=1))
    for number in range(20):
        book.pin(f"n{number}", ALICE, now=float(number))
    assert [f"n{number}" for number in range(4, 20)] == sorted(
        (p.hostname for p in book.pins()), key=lambda n: int(n[1:])
    )
    book.set_alias("a", ALICE)
    book.set_alias("a", BOB)
    with pytest.raises(Overloaded):
        book.set_alias("b", ALICE)
    with pytest.raises(InvalidArgument):
        book.set_alias("Not A Name", ALICE)
    assert BOB == book.alias_key("a")
    assert [BOB] == [entry.public_key for entry in book.find("a")]
    assert book.remove_alias("a")
    assert not book.remove_alias("a")


def test_book_find_by_address_and_hostname_finds_known_peers() -> None:
    """An address finds every known peer; what a stranger calls itself finds nobody until it is trusted."""
    book = open_book(None)
    ask(book, ALICE)
    address = str(book.entry(ALICE).address)
    assert [ALICE] == [entry.public_key for entry in book.find(address.lower())]
    assert [] == book.find("peer")
    book.approve(ALICE)
    assert [ALICE] == [entry.public_key for entry in book.find("peer")]
    book.untrust(ALICE)
    assert [] == book.find("peer")
    assert [] == book.find("")


def test_book_name_of_a_trusted_peer_counts_only_while_trusted() -> None:
    """A peer's hostname resolves through the book once it is trusted, and not after."""
    book = open_book(None)
    ask(book, ALICE)
    assert [] == book.keys_named("peer")
    book.approve(ALICE)
    assert [ALICE] == book.keys_named("peer")
    book.untrust(ALICE)
    assert [] == book.keys_named("peer")
