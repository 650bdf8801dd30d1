"""A small language for dashboards: rows of panels that each answer one question, over the Grafana Foundation SDK.

Panels know their title, what they tell, their unit and their expressions. Sizes, colours, legends, tooltips and the
data source are decided here, once, so that all dashboards look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import table as table_builder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

COLUMNS = 24
"""Width of a dashboard."""

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, YELLOW, RED, BLUE = "green", "#EAB839", "red", "blue"


class Look(Enum):
    """How a panel shows its numbers."""

    LINES = "lines"
    """Lines over time."""
    STACK = "stack"
    """Areas on top of each other, where the sum means something."""
    NUMBER = "number"
    """One number, large."""
    STATES = "states"
    """A bar over time for each series, coloured by value."""
    TABLE = "table"
    """A line an instance, a column a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression and what its series are called."""

    expr: str
    """PromQL with the variables of the dashboard."""
    legend: str
    """Name of a series, with ``{{label}}``; in tables the head of the column."""
    unit: str = ""
    """Unit of a table's column; elsewhere that of the panel counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    """Short."""
    tells: str
    """What to read from it, and what is normal."""
    unit: str
    """A unit of Grafana."""
    queries: Sequence[Query]
    """What is drawn."""
    look: Look = Look.LINES
    """How."""
    limits: Sequence[tuple[float, str]] = ()
    """From which value on which colour; the first is the base's."""
    base: str = GREEN
    """Colour below the first limit."""
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Text and colour that stand for a value."""
    width: int = 0
    """Columns; 0: as many as its neighbours leave."""
    height: int = 8
    """Rows of the grid."""
    most: float | None = None
    """Upper end of the scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels that answer one question of an operator."""

    question: str
    """The question."""
    panels: Sequence[Panel]
    """From left to right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One dashboard."""

    uid: str
    """By which links find it."""
    title: str
    """What it is called."""
    tells: str
    """For whom it is."""
    rows: Sequence[Row]
    """From the first question to the last."""


def lines(title: str, tells: str, unit: str, *queries: tuple[str, str], **more: Any) -> Panel:  # noqa: ANN401
    """Return a panel of lines over time; queries are pairs of expression and legend."""
    return Panel(title=title, tells=tells, unit=unit, queries=_queries(queries), **more)


def stack(title: str, tells: str, unit: str, *queries: tuple[str, str], **more: Any) -> Panel:  # noqa: ANN401
    """Return a panel of stacked areas."""
    return Panel(title=title, tells=tells, unit=unit, queries=_queries(queries), look=Look.STACK, **more)


def number(title: str, tells: str, unit: str, expr: str, **more: Any) -> Panel:  # noqa: ANN401
    """Return a panel of one number."""
    queries = (Query(expr=expr, legend=title),)
    return Panel(title=title, tells=tells, unit=unit, queries=queries, look=Look.NUMBER, **{"height": 4, **more})


def _queries(pairs: Sequence[tuple[str, str]]) -> tuple[Query, ...]:
    return tuple(Query(expr=expr, legend=legend) for expr, legend in pairs)


def built(page: Page, others: Sequence[Page]) -> model.Dashboard:
    """Return a dashboard of Grafana.

    Args:
        page: what it shows.
        others: those that it links to.
    """
    board = (
        build.Dashboard(page.title)
        .uid(page.uid)
        .description(page.tells)
        .tags(["pilotdht"])
        .editable()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_variable("job", "Job", "label_values(pilotdht_build_info, job)"))
        .with_variable(_variable("instance", "Node", 'label_values(pilotdht_build_info{job=~"$job"}, instance)'))
    )
    for other in others:
        if other.uid != page.uid:
            link = build.DashboardLink(other.title.removeprefix("pilotdht / ")).type(model.DashboardLinkType.LINK)
            board.link(link.url(f"/d/{other.uid}").tooltip(other.tells).include_vars(True).keep_time(True).icon("apps"))
    number_of_panel = 0
    for row in page.rows:
        board.with_row(build.Row(row.question))
        for panel, width in zip(row.panels, _widths(row.panels), strict=True):
            number_of_panel += 1
            board.with_panel(_made(panel).id(number_of_panel).height(panel.height).span(width))
    return board.build()


def _variable(label: str, shown: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(label)
        .label(shown)
        .query(query)
        .datasource(SOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _widths(panels: Sequence[Panel]) -> list[int]:
    """Share the width of the dashboard out among the panels of each line, so that each line is full.

    Panels of one height stand together, at most three graphs or eight numbers a line, and about as many on each line:
    four are two and two. Those without a width share what the others leave.
    """
    widths: list[int] = []
    start = 0
    while start < len(panels):
        stop = start
        while stop < len(panels) and panels[stop].height == panels[start].height:
            stop += 1
        run = panels[start:stop]
        rows = -(-len(run) // (8 if run[0].height < 8 else 3))
        while run:
            count = -(-len(run) // rows)
            here, run, rows = run[:count], run[count:], rows - 1
            given = sum(panel.width for panel in here)
            free = sum(1 for panel in here if not panel.width)
            left = COLUMNS - given
            for panel in here:
                if panel.width:
                    widths.append(panel.width)
                    continue
                width = -(-left // free)
                widths.append(width)
                left, free = left - width, free - 1
        start = stop
    return widths


def _made(panel: Panel) -> Any:  # noqa: ANN401 - builders share no type
    if panel.look is Look.TABLE:
        return _table(panel)
    if panel.look is Look.NUMBER:
        made: Any = (
            stat.Panel()
            .color_mode(common_model.BigValueColorMode.VALUE)
            .graph_mode(common_model.BigValueGraphMode.AREA)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    elif panel.look is Look.STATES:
        made = statetimeline.Panel().fill_opacity(70).row_height(0.8)
    else:
        made = _graph(panel)
    made.title(panel.title).description(panel.tells).unit(panel.unit).datasource(SOURCE)
    made.thresholds(_thresholds(panel))
    if panel.words:
        options = {
            value: model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(panel.words.items())
        }
        made.mappings([model.ValueMap(options=options)])
    if panel.most is not None:
        made.max(panel.most)
    for query in panel.queries:
        made.with_target(prometheus.Dataquery().expr(query.expr).legend_format(query.legend).range())
    return made


def _graph(panel: Panel) -> Any:  # noqa: ANN401
    legend = (
        common.VizLegendOptions()
        .display_mode(common_model.LegendDisplayMode.LIST)
        .placement(common_model.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI)
    made = (
        timeseries.Panel()
        .legend(legend)
        .tooltip(tooltip.sort(common_model.SortOrder.DESCENDING))
        .line_width(1)
        .fill_opacity(35 if panel.look is Look.STACK else 10)
        .gradient_mode(common_model.GraphGradientMode.OPACITY)
        .show_points(common_model.VisibilityMode.NEVER)
        .min(0)
    )
    if panel.look is Look.STACK:
        made.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    if panel.limits:
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED))
    return made


def _table(panel: Panel) -> Any:  # noqa: ANN401
    """Return a table with a line an instance; each query is asked for now and becomes a column."""
    made: Any = table_builder.Panel().title(panel.title).description(panel.tells).unit(panel.unit).datasource(SOURCE)
    made.thresholds(_thresholds(panel))
    names: dict[str, str] = {"instance": "Node"}
    hidden: dict[str, bool] = {"Time": True}
    for index, query in enumerate(panel.queries):
        ref = chr(ord("A") + index)
        made.with_target(
            prometheus.Dataquery()
            .expr(query.expr)
            .legend_format(query.legend)
            .ref_id(ref)
            .instant()
            .format(prometheus_model.PromQueryFormat.TABLE)
        )
        names[f"Value #{ref}"] = query.legend
        if query.unit:
            made.override_by_name(query.legend, [model.DynamicConfigValue(id_val="unit", value=query.unit)])
    made.with_transformation(
        model.DataTransformerConfig(id_val="joinByField", options={"byField": "instance", "mode": "outer"})
    )
    hidden |= {f"Time {number}": True for number in range(1, len(panel.queries) + 1)}
    made.with_transformation(
        model.DataTransformerConfig(
            id_val="organize", options={"excludeByName": hidden, "indexByName": {}, "renameByName": names}
        )
    )
    made.override_by_name(
        "Node",
        [
            model.DynamicConfigValue(
                id_val="links",
                value=[
                    {
                        "title": "Look at this node",
                        "url": "/d/pilotdht-node?var-instance=${__value.raw}&${__url_time_range}",
                    }
                ],
            )
        ],
    )
    return made


def _thresholds(panel: Panel) -> build.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=panel.base)]
    steps += [model.Threshold(value=value, color=colour) for value, colour in panel.limits]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
