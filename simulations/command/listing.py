"""``list``: the scenarios, or the options of one."""

from __future__ import annotations

import click

from simulations.command.backstage import backstage
from simulations.command.fields import facts_of, shown
from simulations.command.output import Output
from simulations.command.program import Verb, output
from simulations.command.scenario_names import ScenarioName
from simulations.scenarios.scenario import Scenario


@click.command("list", cls=Verb, examples=["list", "list churn", "list --json"])
@click.argument("scenario", required=False, type=ScenarioName())
@click.pass_context
def listing(context: click.Context, scenario: Scenario | None) -> None:
    """Show the scenarios. With a name: what is expected of that scenario, and its options."""
    out = output(context)
    if scenario is not None:
        _show(out, scenario)
        return
    known = list(backstage(context).scenarios().values())
    if out.is_json:
        out.json(
            [
                {
                    "name": one.name,
                    "summary": one.summary,
                    "expects": one.expects,
                    "implementations": list(one.implementations),
                }
                for one in known
            ]
        )
        return
    out.table(["SCENARIO", "WHAT HAPPENS", "EXPECTED"], [(one.name, one.summary, one.expects) for one in known])
    out.note("Options of one: python -m simulations list SCENARIO")


def _show(out: Output, scenario: Scenario) -> None:
    facts = facts_of(scenario)
    if out.is_json:
        options = [
            {
                "name": one.name,
                "option": one.flag,
                "type": one.kind.__name__,
                "default": one.default,
                "small": one.small,
                "unit": one.unit,
                "low": one.low,
                "high": one.high,
                "meaning": one.meaning,
                "reason": one.reason,
            }
            for one in facts
        ]
        about = {"name": scenario.name, "summary": scenario.summary, "expects": scenario.expects}
        out.json({**about, "options": options})
        return
    out.line(f"{scenario.name}: {scenario.summary}", bold=True)
    out.line(f"Expected: {scenario.expects}")
    if not scenario.has_baseline:
        out.line("The stock implementation has no groups and no tunnels: there is nothing to compare with.")
    out.line()
    own = [one for one in facts if not one.is_common]
    rows = [
        (
            one.flag,
            shown(one.default),
            shown(one.small),
            one.unit,
            one.range_text,
            f"{one.meaning} Default: {one.reason}." if one.reason else one.meaning,
        )
        for one in [*own, *(one for one in facts if one.is_common)]
    ]
    out.table(["OPTION", "DEFAULT", "SMALL", "UNIT", "RANGE", "WHAT IT IS"], rows, right=(1, 2))
    out.note(f"Run it: python -m simulations run {scenario.name} --small")
