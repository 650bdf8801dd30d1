"""Questions of peers, forwarded to programs outside the daemon, and their answers on the way back.

A program that answers is one request, ``/v1/query/serve``, that names each question as a line of JSON and lasts as long
as its body: ending it, or the program's end, takes the handler away. A question is claimed by opening
``/v1/query/answers/NAME`` as a pipe of frames (:mod:`pilotdht.daemon.frames`, in both directions). The program sends

* ``{"event": "reply", "form": "text" or "json", "ttl_s": …}`` first: what follows, and how long it may be shared,
* data frames: the answer as it comes, UTF-8,
* ``{"event": "end"}``, or an error envelope instead, at any time: there is no answer.

It reads ``{"event": "eof"}`` when the whole answer was taken, or an error envelope as soon as nobody wants it any more:
the asker went away, or its time is up. What is not claimed in time, and what is asked while as many questions are under
way as the program takes, is refused as overloaded: the asker turns to somebody else.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.envelope import error_envelope, parse_error
from pilotdht.daemon.frames import EOF_EVENT, FrameReader, control_frame
from pilotdht.daemon.http import ClientGone, Exchange, as_pilot_error, first_error
from pilotdht.daemon.lines import Lines, query_fields
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.people import person_of
from pilotdht.daemon.pipes import PIPE_TYPE
from pilotdht.daemon.query_shapes import QuestionShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import BadMessage, InvalidArgument, LinkClosed, NotFound, Overloaded, PilotError
from pilotdht.services.query.handlers import ALL_GROUPS
from pilotdht.services.query.values import Question, Reply

DEFAULT_MOST = 8
"""Questions that a program gets at one time unless it says otherwise."""

LINGER_S = 1.0
"""Time for a program to end its words once it was told that all is over: closing before could hide that from it."""

MAX_FRAMES_WAITING = 4
"""Frames of an answer that wait for the asker; a program that is faster waits with its next one."""

_Frame = bytes | Mapping[str, object]


class Questions:
    """The programs that answer, and the questions they have not claimed yet."""

    def __init__(self, node: NodeVerbs, *, config: DaemonConfig, metrics: DaemonMetrics) -> None:
        self._node = node
        self._config = config
        self._metrics = metrics
        self._unclaimed: dict[str, _Asked] = {}

    async def serve(self, exchange: Exchange) -> None:
        """Register ``?capability=…&group=…&most=…`` and tell its questions, line by line, until the body ends."""
        fields = query_fields(exchange.request.query, texts=("capability", "group"))
        capability, group = fields.text("capability", ""), fields.optional_text("group")
        most = fields.integer("most", DEFAULT_MOST, low=1, high=self._config.max_questions)
        fields.finish()
        if group not in (None, ALL_GROUPS):
            self._node.group(group)
        lines = Lines(exchange)
        offers: asyncio.Queue[QuestionShape] = asyncio.Queue(most)
        asked_now: dict[str, _Asked] = {}

        async def handle(question: Question) -> Reply:
            if len(asked_now) >= most or offers.full():
                self._metrics.refused_questions.inc()
                raise Overloaded("its program answers as many questions as it takes at one time")
            name = secrets.token_hex(8)
            asked = _Asked(on_end=lambda: self._forget(name, asked_now))
            asked_now[name] = self._unclaimed[name] = asked
            offers.put_nowait(self._shape(name, question))
            try:
                return await asked.reply(claim_timeout_s=self._config.claim_timeout_s)
            except BaseException as error:
                if isinstance(error, Overloaded):
                    self._metrics.refused_questions.inc()
                asked.end()
                raise

        async def work() -> None:
            self._node.on_query(capability, group=group)(handle)
            try:
                await lines.write({"capability": capability, "group": group, "most": most})
                while True:
                    await lines.write(await offers.get())
            finally:
                self._node.remove_query_handler(capability, group=group)
                for name, asked in list(asked_now.items()):
                    if name in self._unclaimed:
                        asked.fail(LinkClosed("the program that answers such questions went away"))

        await lines.run(work, until=exchange.until_body_ends)

    async def answer(self, exchange: Exchange, name: str) -> None:
        """Be the pipe from the program that answers a question."""
        asked = self._unclaimed.pop(name, None)
        if asked is None:
            raise NotFound("no such question", hint="claim a question as soon as it is named; its asker may be gone")
        asked.claim()
        try:
            await exchange.start(PIPE_TYPE)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_read_answer(exchange, asked))
                await asked.until_over()
                outcome = EOF_EVENT if asked.is_taken else dict(error_envelope(_UNWANTED))
                await exchange.write(control_frame(outcome))
                await exchange.finish()
                await asked.until_said(timeout_s=LINGER_S)
                reading.cancel()
        except BaseExceptionGroup as errors:
            error = first_error(errors)
            if isinstance(error, ClientGone) or not isinstance(error, Exception):
                asked.fail(LinkClosed("the program that answers went away"))
                raise error from errors
            asked.fail(failure := as_pilot_error(error))
            await exchange.write(control_frame(dict(error_envelope(failure))))
            await exchange.finish()
        except BaseException:
            asked.fail(LinkClosed("the program that answers went away"))
            raise

    def close(self) -> None:
        """Fail the questions that nobody claimed."""
        for asked in list(self._unclaimed.values()):
            asked.fail(LinkClosed("the daemon is stopping"))
        self._unclaimed.clear()

    def _shape(self, name: str, question: Question) -> QuestionShape:
        person = person_of(self._node, question.asker, group=question.group)
        return {
            "question": name,
            "did": person["did"],
            "address": person["address"],
            "hostname": person["hostname"],
            "group": question.group,
            "capability": question.capability,
            "form": question.content.form.name.lower(),
            "content": question.text,
            "within_s": question.within_s,
        }

    def _forget(self, name: str, asked_now: dict[str, _Asked]) -> None:
        self._unclaimed.pop(name, None)
        asked_now.pop(name, None)


_UNWANTED = LinkClosed(
    "nobody waits for this answer any more",
    hint="the asker went away, its time is up, or the answer is longer than an answer may be",
)


class _Asked:
    """One question on its way: its handler on one side, the program's pipe on the other."""

    def __init__(self, *, on_end: Callable[[], None]) -> None:
        self.is_taken = False
        """The whole answer was handed on."""
        self._on_end = on_end
        self._frames: asyncio.Queue[_Frame | PilotError] = asyncio.Queue(MAX_FRAMES_WAITING)
        self._claimed = asyncio.Event()
        self._over = asyncio.Event()
        self._said = asyncio.Event()

    # The program's side.

    def claim(self) -> None:
        """Tell the handler that the program has taken the question."""
        self._claimed.set()

    async def put(self, frame: _Frame) -> None:
        """Hand a frame on; waits while the asker reads too slowly. Nobody reads it when all is over."""
        if not self._over.is_set():
            await self._frames.put(frame)

    def stop(self) -> None:
        """Tell that the program has said all it will."""
        self._said.set()

    def fail(self, error: PilotError) -> None:
        """Let the handler raise ``error``, whatever came before."""
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(error)
        self._claimed.set()

    async def until_over(self) -> None:
        """Wait until the handler has all, or wants no more."""
        await self._over.wait()

    async def until_said(self, *, timeout_s: float) -> None:
        """Wait until the program has said all it will, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._said.wait()

    # The handler's side.

    async def reply(self, *, claim_timeout_s: float) -> Reply:
        """Return what the program answers: a text as it comes, or a JSON value.

        Raises:
            Overloaded: the program did not take the question in time.
            PilotError: what the program says, or that it went away.
        """
        try:
            async with asyncio.timeout(claim_timeout_s):
                await self._claimed.wait()
        except TimeoutError as error:
            raise Overloaded("its program does not take questions at present") from error
        head = await self._next()
        if not isinstance(head, Mapping) or head.get("event") != "reply":
            raise BadMessage("answer_head")
        ttl_s, form = head.get("ttl_s", 0), head.get("form", "text")
        if isinstance(ttl_s, bool) or not isinstance(ttl_s, (int, float)) or form not in ("text", "json"):
            raise BadMessage("answer_head")
        return Reply(self._texts() if form == "text" else await self._json(), ttl_s)

    def end(self) -> None:
        """Say that the handler wants no more; safe to call twice."""
        self._over.set()
        while not self._frames.empty():
            self._frames.get_nowait()  # whoever waits to put one gets on
        self._on_end()

    async def _texts(self) -> AsyncIterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while (data := await self._data()) is not None:
                if text := decoder.decode(data):
                    yield text
            decoder.decode(b"", final=True)
            self.is_taken = True
        except UnicodeDecodeError as error:
            raise InvalidArgument("its program's answer is no UTF-8 text") from error
        finally:
            self.end()

    async def _json(self) -> object:
        pieces = bytearray()
        while (data := await self._data()) is not None:
            pieces += data
            if len(pieces) > _MAX_JSON_BYTES:
                raise InvalidArgument("its program's answer is too long")
        try:
            value = json.loads(pieces)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument("its program's answer is not JSON") from error
        self.is_taken = True
        self.end()
        return value

    async def _data(self) -> bytes | None:
        frame = await self._next()
        if isinstance(frame, Mapping):
            if frame.get("event") != "end":
                raise BadMessage("answer_frame")
            return None
        return frame

    async def _next(self) -> _Frame:
        frame = await self._frames.get()
        if isinstance(frame, PilotError):
            raise frame
        if isinstance(frame, Mapping) and frame.get("status") == "error":
            raise parse_error(frame)
        return frame


_MAX_JSON_BYTES = 64 << 20
"""As much as any configuration lets an answer have; the node judges it by its own."""


async def _read_answer(exchange: Exchange, asked: _Asked) -> None:
    """Hand on what the program sends; then see whether it stays."""
    frames = FrameReader()
    is_ended = False
    while (chunk := await exchange.read_chunk()) is not None:
        for frame in frames.feed_untrusted(chunk):
            is_ended = isinstance(frame, Mapping) and frame.get("event") != "reply"
            await asked.put(frame)
    asked.stop()
    if not is_ended:
        asked.fail(LinkClosed("the program stopped in the middle of its answer"))
    await exchange.until_gone()
