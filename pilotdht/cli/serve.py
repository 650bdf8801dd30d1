"""``serve``: answer others with programs on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

import click

from pilotdht.cli.arguments import GROUP, SECONDS
from pilotdht.cli.program import Family, output, verb
from pilotdht.cli.session import with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.client.serving import DEFAULT_MOST, Said, serve_questions
from pilotdht.daemon.query_shapes import QuestionShape, ServingShape
from pilotdht.errors import AnswerFailed, InvalidArgument, PilotError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

GRACE_S = 1.0
"""Time that a program has to end by itself when nobody wants its answer any more."""

MAX_REASON_CHARS = 200
"""Longest reason that an asker is told."""

_SECRETS = ("PILOTDHT_TOKEN", "PILOTDHT_INVITATION")
_CHUNK_BYTES = 32_768
_TAIL_BYTES = 4096


class ServedShape(TypedDict, total=False):
    """First what is answered, as ``serving``; then each question whose answer has ended, with an ``error`` if any."""

    serving: ServingShape
    did: str
    address: str
    hostname: str
    group: str
    capability: str
    error: str


serve = Family(name="serve", help="Answer others with programs on this machine.")


@verb(
    "query",
    example="pilotdht serve query --group research --capability citations -- ./cite --short",
    returns=ServedShape,
    streams=True,
)
@click.argument("command", nargs=-1, metavar="[-- COMMAND ARG...]", type=click.UNPROCESSED)
@click.option("--exec", "line", metavar="LINE", help="Run this line with the shell (/bin/sh) instead of a COMMAND.")
@click.option("--capability", "--can", "capability", default="", metavar="NAME", help="For which questions; else any.")
@click.option("--group", type=GROUP, help="Whose members may ask; '*' for every group; absent: trusted peers.")
@click.option("--ttl", type=SECONDS, help="How long the group may share an answer with later askers; absent: not.")
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, 64),
    default=DEFAULT_MOST,
    metavar="N",
    help="Questions at one time (8); further askers are told to ask somebody else.",
)
@click.pass_context
def query(
    context: click.Context,
    command: tuple[str, ...],
    line: str | None,
    capability: str,
    group: str | None,
    ttl: float | None,
    most: int,
) -> None:
    """Answer questions with a program, until interrupted.

    It reads the question on standard input, as lines, and what it prints is the answer, sent as it comes. Who asks
    stands in the variables PILOTDHT_QUESTION_DID, _ADDRESS, _HOSTNAME, _CAPABILITY, _GROUP and _FORM (text or json). An
    exit code other than 0 is a failed answer, with its last line on standard error as the reason. It is stopped when
    nobody waits for the answer any more. No shell is involved, but with --exec.
    """
    if (line is None) == (not command):
        raise click.UsageError("Give --exec LINE, or -- and a COMMAND.")
    words = ("/bin/sh", "-c", line) if line is not None else command
    out = output(context)

    def ready(serving: ServingShape) -> None:
        what = f"questions on {serving['capability']}" if serving["capability"] else "questions"
        where = {None: "of trusted peers", "*": "in every group"}.get(serving["group"], f"in {serving['group']}")
        out.item({"serving": serving}, f"Answering {what} {where}")

    def ended(question: QuestionShape, error: PilotError | None) -> None:
        told = {key: value for key, value in question.items() if key in ServedShape.__annotations__}
        name = question["hostname"] or question["address"]
        if error is None:
            out.item(told, out.styled("✓", fg="green"), f" answered {name}")
        else:
            out.item({**told, "error": error.message}, out.styled("✗", fg="red"), f" {name}: {error.message}")

    async def work(channel: ControlChannel) -> None:
        with _ended_by_termination():
            await serve_questions(
                channel,
                lambda question: _run(words, question, ttl_s=ttl or 0),
                capability=capability,
                group=group,
                most=most,
                ready=ready,
                ended=ended,
            )

    with_daemon(context, work)


@contextlib.contextmanager
def _ended_by_termination() -> Iterator[None]:
    """Let SIGTERM end this as an interrupt does, so that no program is left behind."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None, "a coroutine runs in a task"
    is_told = False

    def end() -> None:
        nonlocal is_told
        is_told = True
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield
    except asyncio.CancelledError:
        if is_told:
            raise click.Abort from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


@contextlib.asynccontextmanager
async def _run(words: Sequence[str], question: QuestionShape, *, ttl_s: float) -> AsyncIterator[Said]:
    """Run a program on a question; it is gone when the block is left."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment(question), start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgument(f"{words[0]} cannot be run: {reason}") from error
    try:
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(_feed(process, question["content"].encode("utf-8")))
            errors = tasks.create_task(_last_of_errors(process))
            async with contextlib.aclosing(_printed(process, errors)) as parts:
                yield Said(parts=parts, ttl_s=ttl_s)
            feeding.cancel()
            errors.cancel()  # what the program has started may hold it open
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    finally:
        await _stop(process)


async def _feed(process: Process, data: bytes) -> None:
    """Hand the question over as whole lines, as programs that read lines expect; a program need not read it."""
    assert process.stdin is not None, "it was opened as a pipe"
    with contextlib.suppress(OSError):
        process.stdin.write(data if data.endswith(b"\n") else data + b"\n")
        await process.stdin.drain()
        process.stdin.close()


async def _last_of_errors(process: Process) -> str:
    """Return the last line that the program prints on standard error."""
    assert process.stderr is not None, "it was opened as a pipe"
    tail = b""
    while data := await process.stderr.read(_CHUNK_BYTES):
        tail = (tail + data)[-_TAIL_BYTES:]
    lines = tail.decode("utf-8", "replace").split("\n")
    return next((text.strip() for text in reversed(lines) if text.strip()), "")[:MAX_REASON_CHARS]


async def _printed(process: Process, errors: asyncio.Task[str]) -> AsyncGenerator[bytes, None]:
    """Yield what the program prints, to its end.

    Raises:
        AnswerFailed: it ended with another code than 0.
    """
    assert process.stdout is not None, "it was opened as a pipe"
    while data := await process.stdout.read(_CHUNK_BYTES):
        yield data
    code = await process.wait()
    if code:
        await asyncio.wait((errors,), timeout=GRACE_S)
        reason = errors.result() if errors.done() else ""
        what = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise AnswerFailed(reason or f"its program {what}")


async def _stop(process: Process) -> None:
    """End a program and what it has started: first kindly. One that ended, and closed its output, is left alone."""
    assert process.stdout is not None, "it was opened as a pipe"
    if process.returncode is not None and process.stdout.at_eof():
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await process.wait()
                return


def _environment(question: QuestionShape) -> dict[str, str]:
    """Return who asks what, beside the own environment without its secrets: they are not for those who answer."""
    names = ("did", "address", "hostname", "capability", "group", "form")
    told = {f"PILOTDHT_QUESTION_{name.upper()}": str(cast("dict[str, object]", question)[name]) for name in names}
    return {name: value for name, value in os.environ.items() if name not in _SECRETS} | told


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


serve.add_command(query)
