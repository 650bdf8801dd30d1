"""``replay``: what happened around a moment of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from pilotdht import __version__
from pilotdht.errors import ConfigError, InvalidArgument
from simulations.command.backstage import backstage
from simulations.command.output import Output, duration
from simulations.command.program import DONE, FAILED, INTERRUPTED, Verb, output
from simulations.command.progress import RunProgress
from simulations.command.scenario_names import found_scenario
from simulations.engine.checkout import commit
from simulations.engine.trace import Event, TraceWriter, format_event, read_trace
from simulations.results.files import read_result
from simulations.results.result import Result
from simulations.scenarios.scenario import Options, Scenario
from simulations.world.places import address_of

TRACE_SUFFIX = ".trace"
"""Ends the name of a trace that was kept beside a result, in place of ``.json``."""


@click.command(
    "replay",
    cls=Verb,
    examples=[
        "replay results/churn-pilotdht-300-nodes-seed-7-0a1b2c3d.json --at 612",
        "replay RESULT.json --at 612 --span 2 --node 17 > seventeen.txt",
    ],
)
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="RESULT.json")
@click.option(
    "--at", "at_s", type=click.FloatRange(0), required=True, metavar="SECONDS", help="Virtual time since the run began."
)
@click.option(
    "--span",
    "span_s",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    metavar="S",
    help="Seconds around that moment, half before and half after.",
)
@click.option(
    "--node", "node", type=click.IntRange(0), metavar="N", help="Only events of the participant of this number."
)
@click.option("--host", "host", metavar="ADDRESS", help="Only events of this address.")
@click.pass_context
def replay(context: click.Context, path: Path, at_s: float, span_s: float, node: int | None, host: str | None) -> int:
    """Show the datagrams around a moment of a run, a line each.

    Reads the trace beside the result when 'run --trace' kept one; else the run is done again up to that moment, from
    the same seed with the same options, which shows the same events as long as the code is the same.
    """
    if node is not None and host is not None:
        raise InvalidArgument("--node and --host are both given", hint="say one of them")
    out = output(context)
    result = read_result(path)
    if at_s - span_s / 2 > result.virtual_s:
        raise InvalidArgument(
            f"--at {at_s:g} is after the end of the run at {result.virtual_s:g} s of virtual time",
            hint="series and marks in the result show when something happened",
        )
    window = (max(0.0, at_s - span_s / 2), at_s + span_s / 2)
    wanted = host if node is None else address_of(node)
    kept = path.with_suffix(TRACE_SUFFIX)
    if kept.is_file():
        out.note(f"reading {kept}")
        shown = _show(out, _within(read_trace(kept), window), wanted)
        return _concluded(out, shown, window)
    scenario, options = _same_again(context, result)
    _warn(out, result)
    out.note(f"no {kept.name} beside it: running {scenario.name} again up to {duration(window[1])} of virtual time")
    writer = TraceWriter(window=window)
    with RunProgress(is_quiet=out.is_quiet) as progress:
        again = backstage(context).run(scenario, options, progress=progress, trace=writer, until_s=window[1])
    writer.close()
    shown = _show(out, writer.events(), wanted)
    if again.virtual_s < min(window[1], result.virtual_s) - 1.0:
        out.note(f"interrupted at {duration(again.virtual_s)} of virtual time")
        return INTERRUPTED
    return _concluded(out, shown, window)


def _same_again(context: click.Context, result: Result) -> tuple[Scenario, Options]:
    scenario = found_scenario(context, result.scenario)
    made: Callable[..., Options] = scenario.options
    try:
        return scenario, made(**result.options)
    except (ConfigError, TypeError) as error:
        raise InvalidArgument(
            f"the options in the result are none of {scenario.name} any more: {error}",
            hint=f"check out {result.commit.rstrip('+') or 'the version that made it'}",
        ) from error


def _warn(out: Output, result: Result) -> None:
    """Say it when this is other code than what made the result."""
    now = commit()
    if result.version != __version__:
        out.warn(f"the result is of pilotdht {result.version}, this is {__version__}: the run may differ")
    elif result.commit != now:
        made, here = result.commit or "an unknown commit", now or "unknown"
        out.warn(f"the result is of {made}, this checkout is {here}: the run may differ")
    elif now.endswith("+"):
        out.warn("the checkout has changes that are in no commit; if they changed since, the run may differ")


def _within(events: Iterable[Event], window: tuple[float, float]) -> Iterator[Event]:
    for event in events:
        if event.time_s > window[1]:
            return
        if event.time_s >= window[0]:
            yield event


def _show(out: Output, events: Iterable[Event], host: str | None) -> int:
    """Print events, and return how many."""
    shown = 0
    for event in events:
        ends = [end.host for end in (event.source, event.target) if end is not None]
        if host is not None and ends and host not in ends:
            continue
        shown += 1
        if out.is_json:
            out.json(
                {
                    "time_s": event.time_s,
                    "what": event.what,
                    "source": None if event.source is None else str(event.source),
                    "target": None if event.target is None else str(event.target),
                    "kind": event.kind,
                    "size_bytes": event.size_bytes,
                    "text": event.text,
                }
            )
        else:
            click.echo(format_event(event))
    return shown


def _concluded(out: Output, shown: int, window: tuple[float, float]) -> int:
    out.note(f"{shown:,} events from {window[0]:g} s to {window[1]:g} s")
    return DONE if shown else FAILED
