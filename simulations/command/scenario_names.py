"""A scenario's name as an argument."""

from __future__ import annotations

import click

from pilotdht.errors import InvalidArgument
from simulations.command.backstage import backstage
from simulations.command.program import nearest
from simulations.scenarios.scenario import Scenario


class ScenarioName(click.ParamType[Scenario]):
    """Turns a name into the scenario."""

    name = "scenario"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Scenario:
        """Return the scenario of that name.

        Raises:
            InvalidArgument: there is none; the hint names the nearest.
        """
        if isinstance(value, Scenario):
            return value
        assert ctx is not None, "click converts in a context"
        return found_scenario(ctx, str(value))


def found_scenario(context: click.Context, name: str) -> Scenario:
    """Return the scenario of that name.

    Raises:
        InvalidArgument: there is none; the hint names the nearest.
    """
    known = backstage(context).scenarios()
    if name not in known:
        raise InvalidArgument(f"{name[:80]!r} is no scenario", hint=nearest(name, list(known)))
    return known[name]
