"""``query``: put a question to a peer, to a group, or to whoever carries a tag."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TypedDict, cast

import click

from pilotdht.cli.arguments import GROUP, HOST, SECONDS, message_data
from pilotdht.cli.output import ABSENT, Output, duration, milliseconds
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask, with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.query_shapes import (
    AnswerPartShape,
    ChoicesShape,
    ExplanationShape,
    PersonShape,
    QueryAnswerShape,
)

EXPLAIN_COLUMNS = ("RANK", "WHO", "SCORE", "RTT", "LOAD", "WORK", "SUCCESS", "WHY")


class QueriedShape(TypedDict, total=False):
    """An answer; with --stream its parts first, an object a line; without a QUESTION whom it would be put to."""

    answer: str
    form: str
    author: PersonShape
    signers: list[PersonShape]
    is_shared: bool
    age_s: float
    expires_s: float | None
    duration_s: float
    explanation: list[ExplanationShape]
    part: str
    group: str
    choices: list[ExplanationShape]


@verb("query", example='pilotdht query --group research "who cites Shannon?" --can citations', returns=QueriedShape)
@click.argument("host", metavar="[HOST]", type=HOST, required=False)
@click.argument("question", metavar="QUESTION", required=False)
@click.option("--group", type=GROUP, help="Ask whoever in this group suits best; with a HOST: ask it as a member.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Ask whoever carries it; with --group: among those.")
@click.option("--capability", "--can", "capability", default="", metavar="NAME", help="What the answerer must declare.")
@click.option("--quorum", type=click.IntRange(1, 256), default=1, help="How many must give the same answer (1).")
@click.option("--fresh", is_flag=True, help="Take no answer that was given to an earlier asker and is shared.")
@click.option("--stream", is_flag=True, help="Print the answer as it comes; it is verified only at its end.")
@click.option("--explain", is_flag=True, help="Tell why whom; without a QUESTION: whom it would be put to.")
@click.option("--timeout", type=SECONDS, default=30.0, help="How long to wait for the whole answer (30s).")
@click.pass_context
def query(
    context: click.Context,
    host: str | None,
    question: str | None,
    group: str | None,
    tags: tuple[str, ...],
    capability: str,
    quorum: int,
    fresh: bool,
    stream: bool,
    explain: bool,
    timeout: float,
) -> None:
    """Ask a peer, a group or whoever carries a tag.

    The answer goes to standard output, who gave it to standard error. '-' as QUESTION reads it from standard input.
    """
    if question is None and (group is not None or tags):  # a single word is the question
        host, question = None, host
    _check(host, question, group, tags, quorum=quorum, fresh=fresh, stream=stream, explain=explain)
    out = output(context)
    common: dict[str, object] = {"capability": capability}
    if question is None:
        fields = {**common, "group": group, "tags": list(tags)}
        found = cast("ChoicesShape", ask(context, "/v1/query/choices", fields))
        out.result(found, lambda: _explain(out, found["choices"], is_remark=False))
        return
    common |= {"question": _question(question), "timeout_s": timeout}
    if host is not None:
        path, fields = "/v1/query", {**common, "target": host, "group": group}
    elif group is not None:
        path, fields = "/v1/query/group", {**common, "group": group, "tags": list(tags)}
    else:
        path, fields = "/v1/query/tag", {**common, "tag": tags[0]}
    if stream:
        _stream(context, out, fields)
        return
    if host is None:
        fields |= {"quorum": quorum, "explain": explain}
    if host is None and group is not None:
        fields["fresh"] = fresh
    answer = cast("QueryAnswerShape", ask(context, path, fields))
    out.result(answer, lambda: _show(out, answer))


def _check(
    host: str | None,
    question: str | None,
    group: str | None,
    tags: Sequence[str],
    *,
    quorum: int,
    fresh: bool,
    stream: bool,
    explain: bool,
) -> None:
    """Refuse what cannot be meant together."""
    if group is None and not tags and (host is None or question is None):
        raise click.UsageError("Give a HOST and a QUESTION, or a QUESTION and --group or --tag.")
    if question is None and not (explain and group is not None and host is None):
        raise click.UsageError("Give a QUESTION.")
    if host is not None and (tags or quorum > 1 or fresh or explain):
        raise click.UsageError("--tag, --quorum, --fresh and --explain choose among several; a HOST is one.")
    if group is None and len(tags) > 1:
        raise click.UsageError("Without --group give one --tag.")
    if stream and (quorum > 1 or explain or fresh or (group is None and tags)):
        raise click.UsageError("--stream reads one member's answer: of a HOST, or of a --group.")
    if fresh and group is None:
        raise click.UsageError("--fresh is for questions to a --group: only there are answers shared.")


def _question(text: str) -> str:
    try:
        return message_data(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError("Standard input holds no UTF-8 text.") from error


def _stream(context: click.Context, out: Output, fields: dict[str, object]) -> None:
    async def work(channel: ControlChannel) -> None:
        async with aclosing(channel.lines("/v1/query/stream", fields)) as lines:
            async for line in lines:
                part = cast("AnswerPartShape", line)
                if out.is_json:
                    out.item(part.get("answer", part))
                elif "answer" in part:
                    out.piece("" if part["answer"]["answer"].endswith("\n") else "\n")
                    _provenance(out, part["answer"])
                else:
                    out.piece(part["part"])

    with_daemon(context, work)


def _show(out: Output, answer: QueryAnswerShape) -> None:
    out.text(answer["answer"].removesuffix("\n"))
    _provenance(out, answer)
    if answer["explanation"]:
        _explain(out, answer["explanation"], is_remark=True)


def _provenance(out: Output, answer: QueryAnswerShape) -> None:
    """Tell who gave an answer, and when, on standard error."""
    words = [f"answered by {_name(answer['author'])}"]
    if answer["is_shared"]:
        words.append(f"shared, {duration(answer['age_s'])} old")
    else:
        words.append(f"fresh, {milliseconds(answer['duration_s'])}")
    if len(answer["signers"]) > 1:
        words.append(f"signed by {', '.join(_name(signer) for signer in answer['signers'])}")
    out.note(" · ".join(words))


def _name(person: PersonShape) -> str:
    return f"{person['hostname']} ({person['address']})" if person["hostname"] else person["address"]


def _explain(out: Output, explanations: Sequence[ExplanationShape], *, is_remark: bool) -> None:
    rows = [
        (
            ABSENT if one["rank"] is None else str(one["rank"]),
            one["hostname"] or one["address"],
            f"{one['score']:.2f}",
            milliseconds(one["rtt_s"]),
            ABSENT if one["load"] is None else f"{one['load']}%",
            milliseconds(one["work_s"]),
            f"{one['success']:.0%}",
            one["reason"],
        )
        for one in explanations
    ]
    out.table(EXPLAIN_COLUMNS, rows, empty="Nobody to ask.", is_remark=is_remark)
