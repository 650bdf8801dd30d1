"""Between ASGI and our verbs: reads bounded bodies, writes answers, and stops work that nobody waits for."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Send

from pilotdht.daemon.envelope import error_envelope, http_status, ok_envelope
from pilotdht.errors import InternalError, InvalidArgument, PilotError, TimedOut

_logger = logging.getLogger(__name__)

JSON_TYPE = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The client closed its connection before it had its answer."""


async def read_body(receive: Receive, *, most_bytes: int, timeout_s: float) -> bytes:
    """Return a request's whole body.

    Raises:
        InvalidArgument: it is too long.
        TimedOut: it did not arrive in time.
        ClientGone: the client went away.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise ClientGone
                body += event.get("body", b"")
                if len(body) > most_bytes:
                    raise InvalidArgument(
                        f"the request body is longer than {most_bytes} bytes", hint="send large data through a pipe"
                    )
                if not event.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise TimedOut("the request body did not arrive in time") from error


async def send_json(send: Send, status: int, content: object) -> None:
    """Answer with JSON."""
    await send_body(send, status, JSON_TYPE, json.dumps(content).encode() + b"\n")


async def send_body(send: Send, status: int, content_type: tuple[bytes, bytes], body: bytes) -> None:
    """Answer with one body of known length."""
    length = (b"content-length", str(len(body)).encode("ascii"))
    await send({"type": "http.response.start", "status": status, "headers": [content_type, length]})
    await send({"type": "http.response.body", "body": body})


async def send_ok(send: Send, data: object) -> None:
    """Answer with a result."""
    await send_json(send, 200, ok_envelope(data))


async def send_error(send: Send, error: PilotError, *, status: int | None = None) -> None:
    """Answer with an error."""
    await send_json(send, http_status(error) if status is None else status, error_envelope(error))


async def while_wanted(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` until it ends or the client closes the connection; call it after the body was read.

    Raises:
        ClientGone: the client closed first, and the work was cancelled.
        PilotError: what the work raised; anything else becomes an :class:`InternalError` and is logged.
    """
    failure: Exception | None = None
    is_gone = False

    async def run() -> None:
        nonlocal failure
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group
            failure = error
        finally:
            watcher.cancel()

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        worker.cancel()

    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(watch())
        worker = group.create_task(run())
    if is_gone:
        raise ClientGone
    if failure is not None:
        raise as_pilot_error(failure)


def as_pilot_error(error: Exception) -> PilotError:
    """Return ``error`` when it is ours, else log it and return an :class:`InternalError` that stands for it."""
    if isinstance(error, PilotError):
        return error
    _logger.error("control request failed", exc_info=error)
    internal = InternalError(f"the daemon failed: {type(error).__name__}", hint="the daemon's log has the details")
    internal.__cause__ = error
    return internal
