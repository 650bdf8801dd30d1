"""The laboratory's command line: ``scripts/natlab VERB``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import FrameType
from typing import Any, NoReturn

from scripts.lab.kinds import KINDS, KINDS_COMPARED
from scripts.lab.laboratory import NEIGHBOUR, SAME, Lab
from scripts.lab.line import Quality
from scripts.lab.namespaces import LabError, LabMissing, enter, require_lab
from scripts.lab.owners import PREFIX, check_name, kept, remove_kept, sweep
from scripts.lab.probe import Findings, Probe, expected_of, families_of
from scripts.lab.tables import as_table, milliseconds, yes_or_no

DONE, FAILED, USAGE, MISSING, INTERRUPTED = 0, 1, 2, 77, 130
"""Exit codes; 77 is what test harnesses take for "skipped"."""

_EXAMPLES = """
examples:
  scripts/natlab check
  scripts/natlab run --left symmetric --right cgnat --delay 20 -- ip route
  scripts/natlab up mine --left portrestricted --right same && scripts/natlab shell mine a
  scripts/natlab matrix --left open,symmetric --right portrestricted
  scripts/natlab down --all
"""


class _Usage(Exception):
    """The command line makes no sense."""


class _Answer:
    """What a verb found: data for ``--json``, text for people, and whether it is good news."""

    def __init__(self, data: object, text: str, *, is_good: bool = True) -> None:
        self.data = data
        self.text = text
        self.is_good = is_good


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says, this process's own by default; return the exit code."""
    options = _parser().parse_args(words)
    verb: Callable[[argparse.Namespace], _Answer | int] = options.verb
    try:
        answer = verb(options)
    except LabMissing as error:
        return _fail(
            options, MISSING, "missing", str(error), "what is missing has to be installed; 'natlab kinds' needs nothing"
        )
    except LabError as error:
        return _fail(options, FAILED, "failed", str(error), "")
    except _Usage as error:
        return _fail(options, USAGE, "usage", str(error), "see --help")
    except KeyboardInterrupt:
        return INTERRUPTED
    if isinstance(answer, int):
        return answer
    print(json.dumps({"status": "ok", "data": answer.data}) if options.json else answer.text)
    return DONE if answer.is_good else FAILED


def _kinds(options: argparse.Namespace) -> _Answer:
    """Tell what kinds there are."""
    rows = [[kind.name, kind.mapping, kind.filtering, kind.story] for kind in KINDS.values()]
    rows.append([SAME, "", "", "as --right: beside the left host, behind the same router"])
    rows.append([NEIGHBOUR, "", "", "as --right: another home of the left one's carrier"])
    data = [
        {"name": kind.name, "story": kind.story, **asdict(expected_of(kind, families_of(kind)[0]))}
        for kind in KINDS.values()
    ]
    return _Answer({"kinds": data}, as_table(["kind", "mapping", "filtering", "where one meets it"], rows))


def _check(options: argparse.Namespace) -> _Answer:
    """Probe every kind from both homes, and compare."""
    chosen = _kinds_of(",".join(options.kinds)) if options.kinds else list(KINDS)
    rows, data = [], []
    with Lab(left="open", right="open", servers=2) as lab:
        for name in chosen:
            kind = KINDS[name]
            lab.set_nat("a", name)
            lab.set_nat("b", name)
            for family in families_of(kind):
                expected = expected_of(kind, family)
                with Probe(lab, family) as probe:
                    found = {host: probe.look(host) for host in ("a", "b")}
                wrong = [host for host, findings in found.items() if findings != expected]
                verdict = "as named" if not wrong else "WRONG"
                label = "IPv6" if family == socket.AF_INET6 else "IPv4"
                shown = found[wrong[0]] if wrong else expected
                rows.append([name, label, *_cells(shown), verdict])
                data.append(
                    {"kind": name, "family": label, "is_as_named": not wrong, "expected": asdict(expected)}
                    | {"found": {host: asdict(findings) for host, findings in found.items()}}
                )
    header = ["kind", "family", "mapping", "filtering", "port kept", "knock harmless", "hairpin", "tcp", "verdict"]
    is_good = all(row["is_as_named"] for row in data)
    return _Answer({"kinds": data}, as_table(header, rows), is_good=is_good)


def _cells(findings: Findings) -> list[str]:
    return [
        findings.mapping, findings.filtering, yes_or_no(findings.keeps_port), yes_or_no(findings.keeps_mapping),
        yes_or_no(findings.hairpins), findings.tcp,
    ]  # fmt: skip


def _up(options: argparse.Namespace) -> _Answer:
    """Build a laboratory that stays."""
    with Lab(options.name, is_kept=True, **_lab_options(options)) as lab:
        machines = [asdict(machine) for machine in (*lab.hosts, *lab.servers)]
    rows = [[machine["name"], machine["host"] or machine["host6"], machine["namespace"]] for machine in machines]
    text = as_table(["host", "address", "namespace"], rows)
    return _Answer(
        {"name": options.name, "machines": machines}, f"{text}\n\n'scripts/natlab down {options.name}' removes it"
    )


def _down(options: argparse.Namespace) -> _Answer:
    """Remove laboratories, with all that runs in them."""
    require_lab()
    removed = sweep()
    names = list(options.names)
    if options.all:
        names += [name for name, state in kept().items() if state.get("is_kept")]
    elif not names:
        raise _Usage("which one? name it, or say --all")
    for name in names:
        if remove_kept(name):
            removed.append(name)
        elif not options.all and name not in removed:
            raise LabError(f"there is no laboratory {name!r}")
    return _Answer(
        {"removed": sorted(set(removed))}, f"removed: {', '.join(sorted(set(removed))) or 'nothing was there'}"
    )


def _list(options: argparse.Namespace) -> _Answer:
    """Tell which laboratories there are."""
    found = kept()
    rows = []
    for name, state in found.items():
        parameters = state.get("parameters", {})
        rows.append([name, parameters.get("left", "-"), parameters.get("right", "-"), yes_or_no(state.get("is_kept"))])
    data = [dict(zip(("name", "left", "right", "is_kept"), row, strict=True)) for row in rows]
    return _Answer({"laboratories": data}, as_table(["name", "left", "right", "kept"], rows))


def _nat(options: argparse.Namespace) -> _Answer:
    """Give a home of a laboratory that stays another kind."""
    with Lab.attach(options.name) as lab:
        lab.set_nat(options.host, options.kind)
    return _Answer({"host": options.host, "kind": options.kind}, f"{options.host} is behind {options.kind} now")


def _flush(options: argparse.Namespace) -> _Answer:
    """Have a home of a laboratory that stays forget its mappings."""
    with Lab.attach(options.name) as lab:
        lab.reboot_nat(options.host)
    return _Answer({"host": options.host}, f"the routers of {options.host} have forgotten all mappings")


def _run(options: argparse.Namespace) -> int:
    """Build a laboratory, run a command in it, remove it; the exit code is the command's."""
    command = _command(options)
    with Lab(**_lab_options(options)) as lab:
        environment = os.environ | {
            "NATLAB_NAME": lab.name,
            "NATLAB_SERVERS": " ".join(server.host for server in lab.servers),
            **{f"NATLAB_{host.name.upper()}": host.host or host.host6 for host in lab.hosts},
        }
        try:
            done = lab.run(options.at, command, env=environment, stdin=None, stdout=None, stderr=None, timeout=None)
        except OSError as error:
            raise LabError(f"{command[0]}: {error.strerror}") from error
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _shell(options: argparse.Namespace) -> NoReturn:
    """Become a shell, or another command, at a host of a laboratory that stays."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    command = command or [os.environ.get("SHELL") or "/bin/sh"]
    require_lab()
    enter(f"{PREFIX}{check_name(options.name)}-{options.host}")
    os.environ["PS1"] = f"{options.name}:{options.host}# "
    try:
        os.execvp(command[0], command)  # noqa: S606 - the person asked for this command
    except OSError as error:
        raise LabError(f"{command[0]}: {error.strerror}") from error


def _matrix(options: argparse.Namespace) -> _Answer:
    """Measure who reaches whom."""
    from scripts.lab.matrix import Outcome, Plan, measure  # half a second that the other verbs need not wait

    lefts, rights = _kinds_of(options.left), _kinds_of(options.right)
    plan = Plan(
        pairs=[(left, right) for left in lefts for right in rights] * options.repeat,
        python=options.python,
        timeout_s=options.timeout,
        direct_wait_s=options.direct_wait,
        settle_s=options.settle,
        delay_ms=options.delay,
        loss=options.loss,
        settings=_settings(options.set),
        server_settings=_settings(options.server_set),
    )

    def tell(outcome: Outcome) -> None:
        result = milliseconds(outcome.first_byte_ms) if outcome.is_connected else outcome.error
        print(f"{outcome.left} -> {outcome.right}: {result}", file=sys.stderr, flush=True)

    outcomes = measure(plan, tell)
    rows = [
        [
            outcome.left, outcome.right, yes_or_no(outcome.is_connected), milliseconds(outcome.first_byte_ms),
            milliseconds(outcome.direct_ms), outcome.road or "-", milliseconds(outcome.rtt_ms),
            f"{outcome.error} after {milliseconds(outcome.failed_after_ms)}" if outcome.error else "",
        ]
        for outcome in outcomes
    ]  # fmt: skip
    header = ["left (dials)", "right", "connected", "first byte", "direct after", "road", "round trip", "error"]
    return _Answer({"pairs": [asdict(outcome) for outcome in outcomes]}, as_table(header, rows))


def _transfer(options: argparse.Namespace) -> _Answer:
    """Send a large file from one home to the other while things happen on the way; compare what arrives."""
    from scripts.lab.transfer import transfer  # the whole node, which the other verbs need not wait for

    with Lab(left=options.left, right=options.right, servers=options.servers, delay_ms=options.delay) as lab:
        outcome = asyncio.run(transfer(lab, size=int(options.mb * 1e6), events=options.events))
    speed = outcome.size / outcome.took_s / 1e6
    happened = ["", *options.events]
    pauses = ["", *(f"{pause_s:.2f} s" for pause_s in outcome.pauses_s)]
    rows = [[event or "begin", road, pause] for event, road, pause in zip(happened, outcome.roads, pauses, strict=True)]
    text = as_table(["event", "road afterwards", "longest pause"], rows)
    state = "intact" if outcome.is_intact else "DAMAGED"
    text += f"\n{outcome.size / 1e6:.0f} MB in {outcome.took_s:.1f} s ({speed:.1f} MB/s): {state}"
    return _Answer(asdict(outcome), text, is_good=outcome.is_intact)


def _churn(options: argparse.Namespace) -> _Answer:
    """Kill and restart servers at random while pairs of agents talk; exit code 1 when a pair is apart for too long."""
    from scripts.lab.churn import PAIRS, Plan, churn  # what the other verbs need not wait for

    pairs = [_pair_of(text) for text in options.pair] or PAIRS
    plan = Plan(
        pairs=pairs,
        duration_s=60.0 * options.minutes,
        servers=options.servers,
        least_up=options.least_up,
        pause_s=_range_of(options.pause),
        down_s=_range_of(options.down),
        delay_ms=options.delay,
        seed=options.seed,
        python=options.python,
        settings=_settings(options.set),
    )
    outcome = churn(plan, _teller())
    return _Answer(outcome.data(), outcome.text(), is_good=outcome.is_good)


def _suspend(options: argparse.Namespace) -> _Answer:
    """Stop an agent as sleep does, wake it, and tell when it is heard again; a stream is open all the time."""
    from scripts.lab.suspend import AWAKE_WITHIN_S, Plan, suspend  # what the other verbs need not wait for

    plan = Plan(
        left=options.left,
        right=options.right,
        asleep_s=tuple(float(part) for part in options.seconds.split(",")),
        is_moving=options.move,
        is_far_side=options.far,
        delay_ms=options.delay,
        python=options.python,
    )
    slept = suspend(plan, _teller())
    rows = [[f"{one.asleep_s:g} s", f"{one.answer_after_s:.2f} s", one.stream, one.road] for one in slept]
    text = as_table(["asleep", "heard again after", "the stream", "road"], rows)
    is_good = all(one.answer_after_s <= AWAKE_WITHIN_S for one in slept)
    return _Answer({"slept": [asdict(one) for one in slept]}, text, is_good=is_good)


def _teller() -> Callable[[str], None]:
    """Return what prints events with the seconds since now."""
    began = time.monotonic()

    def tell(event: str) -> None:
        print(f"{time.monotonic() - began:7.1f} {event}", file=sys.stderr, flush=True)

    return tell


def _pair_of(text: str) -> tuple[str, str]:
    """Read two kinds with a colon in between."""
    left, colon, right = text.partition(":")
    if not colon or len(_kinds_of(left)) != 1 or len(_kinds_of(right)) != 1:
        raise _Usage(f"{text!r} is not KIND:KIND")
    return left, right


def _range_of(text: str) -> tuple[float, float]:
    """Read two numbers of seconds with a dash in between."""
    least, _, longest = text.partition("-")
    try:
        found = float(least), float(longest or least)
    except ValueError:
        raise _Usage(f"{text!r} is no number of seconds, nor two with a dash in between") from None
    if not 0 <= found[0] <= found[1]:
        raise _Usage(f"{text!r} is no range")
    return found


def _kinds_of(text: str) -> list[str]:
    """Return the kinds that a list names."""
    if text == "all":
        return list(KINDS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in KINDS:
            raise _Usage(f"there is no kind {name!r}: there are {', '.join(KINDS)}")
    return names


def _settings(assignments: Sequence[str]) -> dict[str, str]:
    """Return settings by name."""
    for assignment in assignments:
        if "=" not in assignment:
            raise _Usage(f"{assignment!r} is not NAME=VALUE")
    return dict(assignment.split("=", 1) for assignment in assignments)


def _lab_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what describes a laboratory."""
    return {
        "left": options.left, "right": options.right, "delay_ms": options.delay, "jitter_ms": options.jitter,
        "loss": options.loss, "rate_mbit": options.rate, "queue": options.queue, "seed": options.seed,
        "servers": options.servers, "mapping_life_s": options.mapping_life,
    }  # fmt: skip


def _command(options: argparse.Namespace) -> list[str]:
    """Return the command that is to run."""
    command: list[str] = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise _Usage("no command: say what to run after --")
    return command


def _fail(options: argparse.Namespace, exit_code: int, code: str, message: str, hint: str) -> int:
    """Tell what went wrong."""
    if options.json:
        print(json.dumps({"status": "error", "code": code, "message": message, "hint": hint}))
    else:
        print(f"error: {message}" + (f"\nhint: {hint}" if hint else ""), file=sys.stderr)
    return exit_code


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End as after Ctrl-C, so that everything is removed."""
    raise SystemExit(128 + number)


def _share(text: str) -> float:
    """Read ``0.01`` or ``1%``."""
    return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)


def _parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="scripts/natlab",
        description="A NAT laboratory of network namespaces: hosts behind NATs, public servers, slow and lossy lines.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, does: Callable[..., Any], example: str) -> argparse.ArgumentParser:
        text = (does.__doc__ or "").strip()
        child = verbs.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  scripts/natlab {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        child.set_defaults(verb=does)
        child.add_argument("--json", action="store_true", help="print JSON")
        return child

    verb("kinds", _kinds, "kinds --json")
    check = verb("check", _check, "check symmetric cgnat")
    check.add_argument("kinds", nargs="*", metavar="KIND", help="these only")
    up = verb("up", _up, "up mine --left cgnat --right symmetric --delay 10 --loss 1%")
    up.add_argument("name", metavar="NAME", help="lower-case letters and digits")
    down = verb("down", _down, "down mine")
    down.add_argument("names", nargs="*", metavar="NAME")
    down.add_argument("--all", action="store_true", help="all that nobody is running")
    verb("list", _list, "list")
    nat = verb("nat", _nat, "nat mine a symmetric")
    nat.add_argument("name", metavar="NAME")
    nat.add_argument("host", metavar="HOST", choices=("a", "b"))
    nat.add_argument("kind", metavar="KIND", choices=tuple(KINDS))
    flush = verb("flush", _flush, "flush mine a")
    flush.add_argument("name", metavar="NAME")
    flush.add_argument("host", metavar="HOST", choices=("a", "b"))
    run = verb("run", _run, "run --left symmetric --delay 20 --at a -- ip address")
    run.add_argument("--at", metavar="HOST", default="a", help="where it runs: a, b, s1 and so on; a by default")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    shell = verb("shell", _shell, "shell mine b")
    shell.add_argument("name", metavar="NAME")
    shell.add_argument("host", metavar="HOST")
    shell.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    for child in (up, run):
        _add_lab_options(child)
    matrix = verb("matrix", _matrix, "matrix --left open,symmetric --right all --delay 10")
    kinds = ",".join(KINDS_COMPARED)
    matrix.add_argument("--left", metavar="KINDS", default=kinds, help=f"who dials, or 'all'; {kinds}")
    matrix.add_argument("--right", metavar="KINDS", default=kinds, help="who is dialled; the same")
    matrix.add_argument("--delay", type=float, default=10.0, metavar="MS", help="of each home's line, each way; 10")
    matrix.add_argument("--loss", type=_share, default=0.0, metavar="SHARE", help="of each home's line; 0, or 1%%")
    matrix.add_argument("--timeout", type=float, default=10.0, metavar="S", help="of a dial; 10")
    matrix.add_argument("--direct-wait", type=float, default=5.0, metavar="S", help="for a direct road; 5")
    matrix.add_argument("--settle", type=float, default=2.0, metavar="S", help="between ready and the dial; 2")
    matrix.add_argument("--repeat", type=int, default=1, metavar="TIMES", help="each pair; 1")
    matrix.add_argument("--python", default=sys.executable, metavar="FILE", help="interpreter that has the project")
    matrix.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="setting of all nodes")
    matrix.add_argument("--server-set", action="append", default=[], metavar="NAME=VALUE", help="of the servers only")
    transfer = verb("transfer", _transfer, "transfer --mb 100 roam-a roam-b reboot-a")
    transfer.add_argument("events", nargs="*", metavar="EVENT", help="roam-a, roam-b, reboot-a, reboot-b or kill-relay")
    transfer.add_argument("--mb", type=float, default=20.0, help="megabytes; 20")
    _add_lab_options(transfer)
    churn = verb("churn", _churn, "churn --minutes 10 --least-up 2")
    churn.add_argument("--minutes", type=float, default=10.0, help="how long servers die and come back; 10")
    churn.add_argument("--pair", action="append", default=[], metavar="KIND:KIND", help="homes of a pair; up to four")
    churn.add_argument("--servers", type=int, default=6, metavar="NUMBER", help="public servers; 6")
    churn.add_argument("--least-up", type=int, default=2, metavar="NUMBER", help="nothing is killed below it; 2")
    churn.add_argument("--pause", default="2-8", metavar="S-S", help="between two kills; 2-8")
    churn.add_argument("--down", default="1-15", metavar="S-S", help="until a killed one is started again; 1-15")
    churn.add_argument("--seed", type=int, default=1, metavar="NUMBER", help="of what is killed, and when")
    suspend = verb("suspend", _suspend, "suspend --left portrestricted --right symmetric 5,20,60")
    suspend.add_argument("seconds", nargs="?", default="5,20,60", metavar="S,S", help="how long asleep; 5,20,60")
    suspend.add_argument("--left", metavar="KIND", default="portrestricted", help="access of the one that sleeps")
    suspend.add_argument("--right", metavar="KIND", default="portrestricted", help="access of its peer")
    suspend.add_argument("--move", action="store_true", help="it wakes up at another provider")
    suspend.add_argument("--far", action="store_true", help="the one that was dialled sleeps, not the one that dialled")
    for child in (churn, suspend):
        child.add_argument("--delay", type=float, default=10.0, metavar="MS", help="of each home's line, each way; 10")
        child.add_argument("--python", default=sys.executable, metavar="FILE", help="interpreter that has the project")
    churn.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="setting of all nodes")
    return parser


def _add_lab_options(parser: argparse.ArgumentParser) -> None:
    """Add what describes a laboratory."""
    perfect = Quality()
    parser.add_argument("--left", metavar="KIND", default="portrestricted", help="access of host a; portrestricted")
    parser.add_argument(
        "--right", metavar="KIND", default="portrestricted", help=f"access of host b, or {SAME}, or {NEIGHBOUR}"
    )
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="of each home's line, each way")
    parser.add_argument("--jitter", type=float, default=0.0, metavar="MS", help="up to so much more, in order")
    parser.add_argument("--loss", type=_share, default=0.0, metavar="SHARE", help="of each line, each way: 0.01 or 1%%")
    parser.add_argument("--rate", type=float, default=0.0, metavar="MBIT", help="of each line, each way")
    parser.add_argument(
        "--queue", type=int, default=perfect.queue, metavar="FRAMES", help=f"in front of a rate; {perfect.queue}"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="NUMBER", help="of loss and jitter")
    parser.add_argument("--servers", type=int, default=4, metavar="NUMBER", help="public servers; 4")
    parser.add_argument("--mapping-life", type=int, metavar="S", help="of the NATs; by default as the kernel does")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
