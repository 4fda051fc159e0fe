"""Dashboards as Grafana takes them: its published types as far as ours use them, and the queries within."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tests.helpers.projects import REPOSITORY

DASHBOARDS = sorted((REPOSITORY / "deploy/monitoring/grafana/dashboards").glob("*.json"))


class Typed(BaseModel):
    """A type of Grafana: nothing but its own fields, and no value that is only nearly of its type."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class Source(Typed):
    type: Literal["prometheus"]
    uid: str


class Query(Typed):
    ref_id: str
    datasource: Source
    expr: str
    legend_format: str
    range: bool
    instant: bool


class Place(Typed):
    h: Annotated[int, Field(gt=0)]
    w: Annotated[int, Field(gt=0, le=24)]
    x: Annotated[int, Field(ge=0, lt=24)]
    y: Annotated[int, Field(ge=0)]


class Step(Typed):
    value: float | None
    """None is minus infinity, which the first step begins with."""
    color: str


class Thresholds(Typed):
    mode: Literal["absolute", "percentage"]
    steps: list[Step]


class Shown(Typed):
    text: str
    color: str
    index: int


class Mapped(Typed):
    type: Literal["value"]
    options: dict[str, Shown]


class Color(Typed):
    mode: Literal["thresholds", "palette-classic"]


class Drawing(Typed):
    draw_style: Literal["line", "bars", "points"]
    line_width: int
    fill_opacity: int
    show_points: Literal["auto", "never", "always"]


class Defaults(Typed):
    unit: Literal["none", "short", "percentunit", "s", "reqps"]
    color: Color
    min: float | None = None
    max: float | None = None
    decimals: int | None = None
    mappings: list[Mapped] = []
    thresholds: Thresholds | None = None
    custom: Drawing | None = None


class Fields(Typed):
    defaults: Defaults
    overrides: list[Any]


class Legend(Typed):
    display_mode: Literal["list", "table", "hidden"]
    placement: Literal["bottom", "right"]
    show_legend: bool
    calcs: list[str]


class Tooltip(Typed):
    mode: Literal["single", "multi", "none"]
    sort: Literal["asc", "desc", "none"]


class Reduced(Typed):
    calcs: list[Literal["lastNotNull"]]
    fields: str
    values: bool


class LinesOptions(Typed):
    legend: Legend
    tooltip: Tooltip


class StatOptions(Typed):
    graph_mode: Literal["none", "line", "area"]
    color_mode: Literal["value", "background", "background_solid", "none"]
    justify_mode: Literal["auto", "center"]
    text_mode: Literal["auto", "value", "value_and_name", "name", "none"]
    orientation: Literal["auto", "vertical", "horizontal"]
    wide_layout: bool
    show_percent_change: bool
    percent_change_color_mode: Literal["standard", "inverted", "same_as_value"]
    reduce_options: Reduced


class BarsOptions(Typed):
    display_mode: Literal["basic", "lcd", "gradient"]
    orientation: Literal["auto", "vertical", "horizontal"]
    value_mode: Literal["color", "text", "hidden"]
    name_placement: Literal["auto", "top", "left"]
    show_unfilled: bool
    sizing: Literal["auto", "manual"]
    min_viz_width: int
    min_viz_height: int
    max_viz_height: int
    reduce_options: Reduced
    legend: Legend


class AnyPanel(Typed):
    id: int
    title: Annotated[str, Field(min_length=1)]
    description: str
    datasource: Source
    grid_pos: Place
    field_config: Fields
    targets: Annotated[list[Query], Field(min_length=1)]


class LinesPanel(AnyPanel):
    type: Literal["timeseries"]
    options: LinesOptions


class StatPanel(AnyPanel):
    type: Literal["stat"]
    options: StatOptions


class BarsPanel(AnyPanel):
    type: Literal["bargauge"]
    options: BarsOptions


Panel = Annotated[LinesPanel | StatPanel | BarsPanel, Field(discriminator="type")]


class Chosen(Typed):
    text: str
    value: str


class Variable(Typed):
    type: Literal["query"]
    name: str
    label: str
    datasource: Source
    query: Annotated[str, Field(pattern=r"^label_values\(\w+, \w+\)$")]
    refresh: Literal[0, 1, 2]
    sort: Annotated[int, Field(ge=0, le=8)]
    current: Chosen
    include_all: bool = False
    multi: bool = False
    all_value: str | None = None


class Variables(Typed):
    list: list[Variable]


class Annotations(Typed):
    list: list[Any]


class Span(Typed):
    from_: Annotated[str, Field(alias="from", pattern=r"^now-\d+[hd]$")]
    to: Literal["now"]


class Link(Typed):
    title: str
    type: Literal["link", "dashboards"]
    icon: str
    tooltip: str
    tags: list[str]
    as_dropdown: bool
    target_blank: bool
    include_vars: bool
    keep_time: bool


class Dashboard(Typed):
    uid: Annotated[str, Field(min_length=8, max_length=40)]
    title: str
    description: str
    tags: list[str]
    schema_version: Literal[41]
    version: int
    editable: bool
    graph_tooltip: Literal[0, 1, 2]
    timezone: Literal["browser", "utc"]
    refresh: str
    time: Span
    annotations: Annotations
    templating: Variables
    links: list[Link]
    panels: Annotated[list[Panel], Field(min_length=1)]


def read_dashboard(path: Path) -> Dashboard:
    """A dashboard.

    Raises:
        ValidationError: Grafana has no such field, or one of another type.
    """
    return Dashboard.model_validate_json(path.read_bytes())


def queries_of(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    """Panel and query of every target."""
    for panel in dashboard.panels:
        for target in panel.targets:
            yield panel.title, target.expr


def with_variables(query: str, values: Mapping[str, str]) -> str:
    """A query as Grafana sends it."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], query)
