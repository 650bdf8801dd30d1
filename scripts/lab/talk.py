"""Two agents that tell each other a few bytes every second, and when they could not.

Both are daemons, spoken to as any program would: one side listens at a port, the other dials it by its name and asks on
one stream. When the stream ends it dials again at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pilotdht.client.client import Client, ClientStream
from pilotdht.errors import PilotError
from pilotdht.identity.address import Address
from scripts.lab.namespaces import LabError

PORT = 3000
"""Where the right side listens."""

NUMBER_BYTES = 8
"""A message is its number; the answer is the same again."""

EVERY_S = 1.0
"""From one message to the next."""

DIAL_AGAIN_S = 0.1
"""Between a dial that failed and the next one."""

DIAL_TIMEOUT_S = 5.0
"""How long a program of the kind that this plays waits for a dial."""

TALKING_WITHIN_S = 60.0
"""Until all pairs have to talk."""

NOTEWORTHY_S = 3.0
"""A time apart that is worth a line."""


@dataclass(slots=True, kw_only=True)
class Talked:
    """What one pair went through."""

    name: str
    """The kinds of the two homes."""
    answers: int = 0
    """Messages that were answered."""
    gaps_s: list[float] = field(default_factory=list)
    """From each answer to the next one, the pause between messages included; the last gap ends with the watch."""
    redials: int = 0
    """How often the stream ended and was opened again."""
    roads: dict[str, int] = field(default_factory=dict)
    """How many answers came by which road: ``direct``, or a relay's address."""
    relay_changes: int = 0
    """How often a message went through another relay than the relayed one before."""

    def roads_told(self) -> str:
        """Return how many answers came directly, and how many through relays."""
        direct = self.roads.get("direct", 0)
        relays = len(self.roads) - ("direct" in self.roads)
        relayed = sum(self.roads.values()) - direct
        return f"{direct} directly" + (f", {relayed} through {relays} relays" if relays else "")

    @property
    def longest_s(self) -> float:
        """The longest time apart."""
        return max(self.gaps_s, default=0.0)

    def share_s(self, share: float) -> float:
        """Return the time apart that this share of all gaps does not exceed."""
        ordered = sorted(self.gaps_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Talk:
    """One pair; :meth:`answer` and :meth:`ask` run side by side until cancelled."""

    def __init__(self, name: str, *, asker: str, answerer: str, target: str, tell: Callable[[str], None]) -> None:
        """Describe it.

        Args:
            name: of the pair.
            asker: control socket of the agent that dials.
            answerer: control socket of the agent that is dialled.
            target: hostname of the latter.
            tell: hears of whatever is worth a line.
        """
        self.talked = Talked(name=name)
        """What happened since :meth:`begin`."""
        self.is_talking = asyncio.Event()
        """Set with the first answer."""
        self._asker = asker
        self._answerer = answerer
        self._target = target
        self._tell = tell
        self._answered_at = 0.0
        self._relay: str | None = None

    def begin(self) -> None:
        """Count from now on: what came before belongs to the start."""
        self.talked = Talked(name=self.talked.name)
        self._answered_at = time.monotonic()

    def end(self) -> Talked:
        """Return what happened; the time since the last answer counts as well."""
        self._note_gap()
        return self.talked

    async def answer(self) -> None:
        """Return each message to its sender."""
        async with (
            Client(self._answerer) as client,
            client.listen(PORT) as streams,
            asyncio.TaskGroup() as group,
        ):
            async for stream in streams:
                group.create_task(_echo(stream))

    async def ask(self) -> None:
        """Ask every second, on one stream as long as it lasts."""
        async with Client(self._asker) as client:
            while True:
                try:
                    async with await client.dial(self._target, PORT, timeout_s=DIAL_TIMEOUT_S) as stream:
                        await self._ask_on(stream, client)
                except PilotError as error:
                    self._tell(f"{self.talked.name}: {error.code}: {error}")
                    await asyncio.sleep(DIAL_AGAIN_S)
                self.talked.redials += 1

    async def _ask_on(self, stream: ClientStream, client: Client) -> None:
        number = 0
        while True:
            asked_at = time.monotonic()
            await stream.write(number.to_bytes(NUMBER_BYTES, "big"))
            if int.from_bytes(await stream.read_exactly(NUMBER_BYTES), "big") != number:
                raise AssertionError("a stream has lost or doubled bytes")
            self._answered()
            number += 1
            await self._note_road(client, stream)
            await asyncio.sleep(max(0.0, asked_at + EVERY_S - time.monotonic()))

    def _answered(self) -> None:
        self._note_gap()
        self.talked.answers += 1
        self.is_talking.set()

    def _note_gap(self) -> None:
        now = time.monotonic()
        gap_s = now - self._answered_at
        self._answered_at = now
        self.talked.gaps_s.append(gap_s)
        if gap_s > NOTEWORTHY_S and self.is_talking.is_set():
            self._tell(f"{self.talked.name}: {gap_s:.1f} s apart")

    async def _note_road(self, client: Client, stream: ClientStream) -> None:
        for connection in await client.connections():
            if connection.address == Address.of_public_key(stream.peer):
                relay = None if connection.relay is None else str(connection.relay)
                road = relay or "direct"
                self.talked.roads[road] = self.talked.roads.get(road, 0) + 1
                if relay is not None:
                    self.talked.relay_changes += self._relay not in (None, relay)
                    self._relay = relay
                return


@contextlib.asynccontextmanager
async def talking(talks: Sequence[Talk]) -> AsyncIterator[None]:
    """Have pairs talk while the block runs, which begins when all of them do.

    Raises:
        LabError: a pair never talked.
    """
    tasks = [asyncio.create_task(part) for talk in talks for part in (talk.answer(), talk.ask())]
    try:
        async with asyncio.timeout(TALKING_WITHIN_S):
            for talk in talks:
                await talk.is_talking.wait()
        yield
    except TimeoutError:
        silent = ", ".join(talk.talked.name for talk in talks if not talk.is_talking.is_set())
        raise LabError(f"these never talked: {silent}") from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _echo(stream: ClientStream) -> None:
    with contextlib.suppress(PilotError):
        async with stream:
            async for chunk in stream:
                await stream.write(chunk)
