"""Answers of one JSON object a line, and requests that say what they want in their query string."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Container, Mapping
from urllib.parse import parse_qsl

from pilotdht.daemon.envelope import error_envelope, ok_envelope
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.http import Exchange
from pilotdht.errors import InvalidArgument, PilotError

MAX_QUERY_CHARS = 2048

LINES_TYPE = "application/x-ndjson"


class Lines:
    """An answer of one JSON object a line."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def write(self, data: Mapping[str, object]) -> None:
        """Send one result."""
        await self._write_line(dict(ok_envelope(data)))

    async def run(
        self, work: Callable[[], Awaitable[None]], *, until: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Run ``work`` while the client wants it; end the answer, with the error as its last line if there was one."""
        try:
            await self._exchange.while_wanted(work, until=until)
        except PilotError as error:
            if not self._exchange.is_started:
                raise
            await self._write_line(dict(error_envelope(error)))
        if not self._exchange.is_started:
            await self._exchange.start(LINES_TYPE)
        await self._exchange.finish()

    async def _write_line(self, content: Mapping[str, object]) -> None:
        if not self._exchange.is_started:
            await self._exchange.start(LINES_TYPE)
        await self._exchange.write(json.dumps(content).encode() + b"\n")


def query_fields(query: str, *, texts: Container[str] = ("target",)) -> Fields:
    """Read the query string as fields; those named in ``texts`` are texts, all others numbers."""
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidArgument("the query is too long")
    values: dict[str, object] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in texts:
            values[name] = text
            continue
        try:
            values[name] = int(text) if text.isdecimal() else float(text)
        except ValueError as error:
            raise InvalidArgument(f"{name[:80]} must be a number") from error
    return Fields(values)
