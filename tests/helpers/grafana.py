"""Dashboards as Grafana takes them: its published types as far as ours use them, and the queries within."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.helpers.projects import REPOSITORY

DASHBOARDS = sorted((REPOSITORY / "deploy/monitoring/grafana/dashboards").glob("*.json"))


class Typed(BaseModel):
    """A type of Grafana: nothing but its own fields, and no value that is only nearly of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(Typed):
    type: Literal["prometheus"]
    uid: str


class Query(Typed):
    refId: str
    datasource: Source
    expr: str
    legendFormat: str
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
    drawStyle: Literal["line", "bars", "points"]
    lineWidth: int
    fillOpacity: int
    showPoints: Literal["auto", "never", "always"]


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
    displayMode: Literal["list", "table", "hidden"]
    placement: Literal["bottom", "right"]
    showLegend: bool
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
    graphMode: Literal["none", "line", "area"]
    colorMode: Literal["value", "background", "background_solid", "none"]
    justifyMode: Literal["auto", "center"]
    textMode: Literal["auto", "value", "value_and_name", "name", "none"]
    orientation: Literal["auto", "vertical", "horizontal"]
    wideLayout: bool
    showPercentChange: bool
    percentChangeColorMode: Literal["standard", "inverted", "same_as_value"]
    reduceOptions: Reduced


class BarsOptions(Typed):
    displayMode: Literal["basic", "lcd", "gradient"]
    orientation: Literal["auto", "vertical", "horizontal"]
    valueMode: Literal["color", "text", "hidden"]
    namePlacement: Literal["auto", "top", "left"]
    showUnfilled: bool
    sizing: Literal["auto", "manual"]
    minVizWidth: int
    minVizHeight: int
    maxVizHeight: int
    reduceOptions: Reduced
    legend: Legend


class AnyPanel(Typed):
    id: int
    title: Annotated[str, Field(min_length=1)]
    description: str
    datasource: Source
    gridPos: Place
    fieldConfig: Fields
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
    includeAll: bool = False
    multi: bool = False
    allValue: str | None = None


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
    asDropdown: bool
    targetBlank: bool
    includeVars: bool
    keepTime: bool


class Dashboard(Typed):
    uid: Annotated[str, Field(min_length=8, max_length=40)]
    title: str
    description: str
    tags: list[str]
    schemaVersion: Literal[41]
    version: int
    editable: bool
    graphTooltip: Literal[0, 1, 2]
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
