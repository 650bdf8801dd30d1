"""The trust book: what this node remembers about peers and names, in memory and in one sqlite file.

The file is written before memory, so that what was promised to a person survives a crash; this class is its only
writer and holds it locked. Calls are synchronous and touch one row each. A damaged file is refused with a clear error:
trust is never silently forgotten.

Not for the protocol: that is :mod:`pilotdht.trust.standing`; here it is only applied and kept.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import AlreadyExists, ConfigError, InvalidArgument, NodeClosed, NotFound, Overloaded
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, PublicKey
from pilotdht.identity.names import check_hostname
from pilotdht.trust.database import damaged, open_database
from pilotdht.trust.standing import Standing, hear, is_news, learn, owed_word, say
from pilotdht.trust.states import TrustEvent, TrustState, is_legal
from pilotdht.trust.words import MAX_REASON_CHARS, Answer, Stance, Word, WordKind
from pilotdht.values import dataclass

_PEER_COLUMNS = (
    "public_key, hostname, reason, own_reason, since, state, owed, owed_sequence, "
    "request_sequence, sent_sequence, seen_sequence"
)
_Write = Callable[[str, tuple[object, ...]], object]
_STRANGER = Standing()
_OWN_WILL = (TrustState.TRUSTED, TrustState.PENDING_OUT)
_IDLE = (TrustState.NONE, TrustState.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustEntry:
    """What is remembered about one peer."""

    public_key: PublicKey
    """The peer's key."""
    network: int = 0
    """The mesh it was met in."""
    hostname: str = ""
    """Hostname as last seen, or empty; a claim, not a proof."""
    reason: str = ""
    """Reason given last, by the peer or by this node."""
    own_reason: str = ""
    """Reason that goes with the word owed to the peer."""
    since: float = 0.0
    """Unix seconds of the last change of state."""
    standing: Standing = _STRANGER
    """State, and what keeps both sides in step."""
    letter_holders: int = 0
    """How many nodes keep a letter with the word that the peer has not heard yet; 0 when none is left with anybody."""

    @property
    def state(self) -> TrustState:
        """Where trust stands."""
        return self.standing.state

    @property
    def address(self) -> Address:
        """The peer's virtual address."""
        return Address.of_public_key(self.public_key, network=self.network)

    @property
    def is_delivered(self) -> bool:
        """Whether the peer has heard all that this node wanted to tell it."""
        return self.standing.owed is None

    def word(self, hostname: str) -> Word | None:
        """Return the word that is owed to the peer; ``hostname`` is our own."""
        return owed_word(self.standing, reason=self.own_reason, hostname=hostname)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The key that a hostname had when it was first used here."""

    hostname: str
    """The name."""
    public_key: PublicKey
    """Its key."""
    since: float
    """Unix seconds of the first use."""


class TrustBook:
    """Peers, pins and aliases; :meth:`close` releases the file."""

    def __init__(
        self, path: Path | None, *, unix_time: Callable[[], float], config: TrustConfig | None = None, network: int = 0
    ) -> None:
        """Open the book, and make it when there is none.

        Args:
            path: the file; absent: memory only.
            unix_time: the wall clock.
            config: bounds.
            network: the mesh, for addresses.

        Raises:
            ConfigError: the file is damaged, open to others, of a later version, in use, or cannot be opened.
        """
        self._config = config or TrustConfig()
        self._network = network
        self._unix_time = unix_time
        self._path = path
        self._peers: dict[PublicKey, TrustEntry] = {}
        self._pins: dict[str, Pin] = {}
        self._aliases: dict[str, PublicKey] = {}
        self._trusted: set[PublicKey] = set()
        self._pending = 0
        self._database: sqlite3.Connection | None = None
        if path is not None:
            self._database = open_database(path)
            try:
                self._load(self._database, path)
            except BaseException:
                self.close()
                raise

    def reconfigure(self, config: TrustConfig) -> None:
        """Hold to other bounds from now on; nothing that is kept is dropped for them."""
        self._config = config

    def close(self) -> None:
        """Release the file; safe to call twice. What is in memory stays readable."""
        if self._database is not None:
            self._database.close()
            self._database = None

    # peers

    def is_trusted(self, public_key: PublicKey) -> bool:
        """Return whether the peer is trusted; one look into a set."""
        return public_key in self._trusted

    def entry(self, public_key: PublicKey) -> TrustEntry:
        """Return what is remembered about a peer; a blank entry for a stranger."""
        return self._peers.get(public_key) or TrustEntry(public_key=public_key, network=self._network)

    def entries(self, *states: TrustState) -> list[TrustEntry]:
        """Return the entries in any of ``states``, of all when none is named, oldest change first."""
        chosen = [entry for entry in self._peers.values() if not states or entry.state in states]
        return sorted(chosen, key=lambda entry: (entry.since, entry.public_key))

    def trusted(self) -> list[TrustEntry]:
        """Return whom this node trusts."""
        return self.entries(TrustState.TRUSTED)

    def pending(self) -> list[TrustEntry]:
        """Return whose requests wait for an answer of this node."""
        return self.entries(TrustState.PENDING_IN)

    def owing(self) -> list[TrustEntry]:
        """Return the peers to whom a word is owed, oldest change first."""
        return sorted(
            (entry for entry in self._peers.values() if entry.standing.owed is not None),
            key=lambda entry: (entry.since, entry.public_key),
        )

    def __len__(self) -> int:
        """Return about how many peers something is kept."""
        return len(self._peers)

    def ask(self, public_key: PublicKey, reason: str = "", *, hostname: str = "") -> TrustEntry:
        """Ask a peer for trust; trusts it at once when it asked before.

        Raises:
            InvalidArgument: the reason is too long or not printable.
            Overloaded: no room, as every kept peer is trusted or waits.
        """
        return self._say(public_key, TrustEvent.ASKED, check_reason(reason), hostname=hostname)

    def approve(self, public_key: PublicKey) -> TrustEntry:
        """Trust a peer that asked.

        Raises:
            NotFound: it did not ask.
        """
        return self._say(public_key, TrustEvent.APPROVED, None)

    def reject(self, public_key: PublicKey, reason: str = "") -> TrustEntry:
        """Refuse a peer that asked.

        Raises:
            InvalidArgument: the reason is too long or not printable.
            NotFound: it did not ask.
        """
        return self._say(public_key, TrustEvent.DECLINED, check_reason(reason))

    def untrust(self, public_key: PublicKey) -> TrustEntry:
        """Take trust or a request back, and forget the names pinned to the key; always legal."""
        for hostname in [pin.hostname for pin in self._pins.values() if pin.public_key == public_key]:
            self.unpin(hostname)
        if public_key not in self._peers:
            return self.entry(public_key)
        return self._say(public_key, TrustEvent.WITHDRAWN, "")

    def hear(self, public_key: PublicKey, word: Word) -> tuple[TrustEntry, Answer]:
        """Apply a peer's word; returns the entry afterwards and what to answer.

        Answers ``BUSY`` and keeps nothing when there is no room for one more request.
        """
        before = self.entry(public_key)
        standing, answer = hear(before.standing, word, now_ms=self._now_ms())
        if standing.state is TrustState.PENDING_IN and before.state is not TrustState.PENDING_IN:
            self._expire_pending()
            if self._pending >= self._config.max_pending:
                return before, Answer(stance=Stance.BUSY, sequence=0, seen=0)
        elif public_key not in self._peers and standing.state is TrustState.NONE:
            return before, answer  # a stranger's word that changes nothing leaves no trace
        after = replace(before, standing=standing)
        if is_news(before.standing, word):
            if word.kind in (WordKind.REQUEST, WordKind.REJECT):
                after = replace(after, reason=word.reason)
            if word.hostname:
                after = replace(after, hostname=word.hostname)
        try:
            return self._keep(before, after), answer
        except Overloaded:
            return before, Answer(stance=Stance.BUSY, sequence=0, seen=0)

    def learn(self, public_key: PublicKey, word: Word, answer: Answer) -> TrustEntry:
        """Apply a peer's answer to a word of ours; returns the entry afterwards."""
        before = self.entry(public_key)
        if public_key not in self._peers:
            return before
        standing = learn(before.standing, word, answer, now_ms=self._now_ms())
        return self._keep(before, replace(before, standing=standing))

    def keys_named(self, hostname: str) -> list[PublicKey]:
        """Return the trusted peers with this hostname, oldest trust first."""
        return [entry.public_key for entry in self.trusted() if entry.hostname == hostname]

    def keys_at(self, address: Address) -> list[PublicKey]:
        """Return the keys with this address that are trusted, pinned or have an alias; trusted ones first."""
        known = [entry.public_key for entry in self.trusted()]
        known += [pin.public_key for pin in self.pins()] + list(self.aliases().values())
        network = self._network
        return [key for key in dict.fromkeys(known) if Address.of_public_key(key, network=network) == address]

    def find(self, text: str) -> list[TrustEntry]:
        """Return the entries that an alias, pinned name, address or hostname means, without asking the network.

        What a stranger calls itself in its request is not among them: approving by that name would trust whoever claims
        it. The network is asked who really has it.
        """
        known = self._aliases.get(text) or self.pin_of(text)
        if known is not None:
            return [self.entry(known)]
        at_address = [entry for entry in self.entries() if text and text.upper() == str(entry.address)]
        return at_address or [entry for entry in self.entries(*_OWN_WILL) if entry.hostname == text != ""]

    # pins and aliases

    def pin_of(self, hostname: str) -> PublicKey | None:
        """Return the key that the hostname is pinned to, if any."""
        pin = self._pins.get(hostname)
        return None if pin is None else pin.public_key

    def pins(self) -> list[Pin]:
        """Return all pins by name."""
        return [self._pins[hostname] for hostname in sorted(self._pins)]

    def pin(self, hostname: str, public_key: PublicKey, *, now: float) -> None:
        """Pin a hostname to a key from ``now`` on, in Unix seconds; the oldest pin goes when there are too many.

        Raises:
            AlreadyExists: it is pinned to another key.
        """
        present = self._pins.get(check_hostname(hostname))
        if present is not None:
            if present.public_key != public_key:
                raise AlreadyExists(f"{hostname} is pinned to another key", hint="forget the pin first")
            return
        if len(self._pins) >= self._config.max_pins:
            self.unpin(min(self._pins.values(), key=lambda pin: (pin.since, pin.hostname)).hostname)
        with self._writing() as write:
            write("INSERT INTO pins VALUES (?, ?, ?)", (hostname, public_key, now))
        self._pins[hostname] = Pin(hostname=hostname, public_key=public_key, since=now)

    def unpin(self, hostname: str) -> bool:
        """Forget a pin; returns whether there was one."""
        if hostname not in self._pins:
            return False
        with self._writing() as write:
            write("DELETE FROM pins WHERE hostname = ?", (hostname,))
        del self._pins[hostname]
        return True

    def alias_key(self, alias: str) -> PublicKey | None:
        """Return the key that a local alias stands for, if any."""
        return self._aliases.get(alias)

    def aliases(self) -> dict[str, PublicKey]:
        """Return all aliases by name."""
        return {alias: self._aliases[alias] for alias in sorted(self._aliases)}

    def set_alias(self, alias: str, public_key: PublicKey) -> None:
        """Let a local name stand for a key, whatever anybody claims.

        Raises:
            InvalidArgument: the alias is not formed like a hostname.
            Overloaded: there are too many.
        """
        check_hostname(alias)
        if alias not in self._aliases and len(self._aliases) >= self._config.max_aliases:
            raise Overloaded("there are too many aliases", hint="remove some, or raise max_aliases")
        with self._writing() as write:
            write("INSERT OR REPLACE INTO aliases VALUES (?, ?)", (alias, public_key))
        self._aliases[alias] = public_key

    def remove_alias(self, alias: str) -> bool:
        """Forget an alias; returns whether there was one."""
        if alias not in self._aliases:
            return False
        with self._writing() as write:
            write("DELETE FROM aliases WHERE alias = ?", (alias,))
        del self._aliases[alias]
        return True

    # inside

    def _say(self, public_key: PublicKey, event: TrustEvent, reason: str | None, *, hostname: str = "") -> TrustEntry:
        before = self.entry(public_key)
        if not is_legal(before.state, event):
            raise NotFound(
                f"{before.address} has no request that waits for an answer",
                hint="'pilotdht pending' lists requests; ask for trust with 'pilotdht handshake'",
            )
        after = replace(before, standing=say(before.standing, event, now_ms=self._now_ms()))
        if reason is not None:
            after = replace(after, own_reason=reason, reason=reason)
        if hostname:
            after = replace(after, hostname=hostname)
        return self._keep(before, after)

    def _keep(self, before: TrustEntry, after: TrustEntry) -> TrustEntry:
        """Write an entry, then put it in memory."""
        if before.state is not after.state or before.public_key not in self._peers:
            after = replace(after, since=self._unix_time())
        forgotten = self._forgettable(after.public_key)
        standing = after.standing
        values = (
            after.public_key,
            after.hostname,
            after.reason,
            after.own_reason,
            after.since,
            standing.state.value,
            None if standing.owed is None else int(standing.owed),
            standing.owed_sequence,
            standing.request_sequence,
            standing.sent_sequence,
            standing.seen_sequence,
        )
        with self._writing() as write:
            if forgotten is not None:
                write("DELETE FROM peers WHERE public_key = ?", (forgotten,))
            write(f"INSERT OR REPLACE INTO peers ({_PEER_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", values)  # noqa: S608
        if forgotten is not None:
            del self._peers[forgotten]
        self._remember(after)
        return after

    def _now_ms(self) -> int:
        return max(0, int(self._unix_time() * 1000))

    def _remember(self, entry: TrustEntry) -> None:
        present = self._peers.get(entry.public_key)
        was_pending = present is not None and present.state is TrustState.PENDING_IN
        self._pending += (entry.state is TrustState.PENDING_IN) - was_pending
        self._peers[entry.public_key] = entry
        if entry.state is TrustState.TRUSTED:
            self._trusted.add(entry.public_key)
        else:
            self._trusted.discard(entry.public_key)

    def _forgettable(self, newcomer: PublicKey) -> PublicKey | None:
        """Return the peer that makes room for ``newcomer``: the one longest without trust or request."""
        if newcomer in self._peers or len(self._peers) < self._config.max_peers:
            return None
        idle = [entry for entry in self._peers.values() if entry.state in _IDLE]
        if not idle:
            raise Overloaded("the trust book is full", hint="untrust or reject somebody, or raise max_peers")
        settled = [entry for entry in idle if entry.standing.owed is None] or idle
        return min(settled, key=lambda entry: (entry.since, entry.public_key)).public_key

    def _expire_pending(self) -> None:
        """Forget requests that waited too long, when others need their room."""
        if self._pending < self._config.max_pending:
            return
        for entry in self.pending():
            if self._unix_time() - entry.since > self._config.pending_expiry_s:
                self._say(entry.public_key, TrustEvent.WITHDRAWN, "")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[_Write]:
        """Yield a function that runs one statement of a transaction; does nothing for a book in memory."""
        database = self._database
        if database is None and self._path is not None:
            raise NodeClosed("the trust book is closed")
        if database is None:
            yield lambda _statement, _values: None
            return
        try:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database.execute
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise ConfigError(
                f"the trust book {self._path} cannot be written: {error}",
                hint="check the disk's space and the file's mode",
            ) from error

    def _load(self, database: sqlite3.Connection, path: Path) -> None:
        try:
            for row in database.execute(f"SELECT {_PEER_COLUMNS} FROM peers ORDER BY public_key"):  # noqa: S608
                self._remember(self._entry_of(row))
            for hostname, key, since in database.execute("SELECT hostname, public_key, since FROM pins"):
                self._pins[str(hostname)] = Pin(hostname=str(hostname), public_key=_key(key), since=float(since))
            for alias, key in database.execute("SELECT alias, public_key FROM aliases"):
                self._aliases[str(alias)] = _key(key)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise damaged(path, error) from error

    def _entry_of(self, row: tuple[object, ...]) -> TrustEntry:
        key, hostname, reason, own_reason, since, state, owed, *sequences = row
        if not isinstance(since, float) or not all(isinstance(number, int) for number in sequences):
            raise ValueError("a number is none")
        owed_sequence, request_sequence, sent_sequence, seen_sequence = (int(str(number)) for number in sequences)
        return TrustEntry(
            public_key=_key(key),
            network=self._network,
            hostname=str(hostname),
            reason=str(reason),
            own_reason=str(own_reason),
            since=since,
            standing=Standing(
                state=TrustState(state),
                owed=None if owed is None else WordKind(int(str(owed))),
                owed_sequence=owed_sequence,
                request_sequence=request_sequence,
                sent_sequence=sent_sequence,
                seen_sequence=seen_sequence,
            ),
        )


def check_reason(reason: str) -> str:
    """Return ``reason`` when it can be sent.

    Raises:
        InvalidArgument: longer than 200 characters, or with control characters or line breaks.
    """
    if len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise InvalidArgument(
            "the reason is too long or not printable", hint=f"use at most {MAX_REASON_CHARS} characters on one line"
        )
    return reason


def _key(value: object) -> PublicKey:
    if not isinstance(value, bytes) or len(value) != PUBLIC_KEY_BYTES:
        raise ValueError("a key is none")
    return PublicKey(value)
