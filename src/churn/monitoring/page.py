"""The page of the monitoring: the newest look, earlier looks, and what became of the customers, without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from churn.monitoring.gauges import seconds
from churn.report.formats import brief, form_of, printable, ticks_of
from churn.report.svg import Axis, Plane, reach

PAGE = "monitoring.html.j2"
LOOKS_SHOWN = 60
"""Newest looks that are drawn and listed."""
COLUMNS_SHOWN = 25
SLICES_SHOWN = 12


@dataclass(frozen=True)
class TimeChart:
    """Values by month or look, each with its interval.

    Attributes:
        labels: below the points.
        series: class of the drawing, and for each label value, low and high; None where there is none.
    """

    title: str
    finding: str
    plane: Plane
    labels: Sequence[str]
    series: Mapping[str, Sequence[tuple[float, float, float] | None]]


def render(looks: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Any] | None) -> str:
    """Render the page from the looks of the journal, oldest first, and the newest outcomes."""
    newest = looks[-1] if looks else None
    cohorts = [one for one in outcomes["cohorts"] if one["realised_profit"]] if outcomes else []
    champion = [one for one in cohorts if one["model"] == "champion"]
    calibrated = [one for one in champion if None not in (one["calibration_error"], one["calibration_error_by_chance"])]
    return (
        _environment()
        .get_template(PAGE)
        .render(
            look=newest,
            looks=looks[-LOOKS_SHOWN:],
            looks_left_out=max(len(looks) - LOOKS_SHOWN, 0),
            columns=_columns(newest),
            slices=newest["slices"][:SLICES_SHOWN] if newest else [],
            outcomes=outcomes,
            cohorts=cohorts,
            newest_cohort=champion[-1] if champion else None,
            money=_money_chart(champion, outcomes["currency"]) if champion and outcomes else None,
            calibration=_calibration_chart(calibrated) if calibrated else None,
            shifts=_shift_chart(looks[-LOOKS_SHOWN:]) if len(looks) > 1 else None,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    """HTML is escaped, because column names and labels are untrusted."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("churn.monitoring"), jinja2.PackageLoader("churn.report")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=printable,
    )
    environment.filters |= {
        "percent": form_of(".1%"),
        "share": form_of(".0%"),
        "money": form_of(",.0f"),
        "score": form_of(".3f"),
        "small": form_of(".2g"),
        "count": form_of(",.0f"),
        "ticks": ticks_of,
        "brief": brief,
        "day": lambda moment: str(moment)[:10],
    }
    return environment


def _columns(look: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Findings of single columns, strongest first."""
    if look is None:
        return []
    found = [one for check in look["checks"] for one in check["findings"] if check["name"] == "columns"]
    return sorted(found, key=lambda one: (one["corrected"], -one["shift"], one["name"]))[:COLUMNS_SHOWN]


def _bounds(interval: Mapping[str, float] | None) -> tuple[float, float, float] | None:
    if interval is None or None in interval.values():
        return None
    return interval["value"], interval["low"], interval["high"]


def _money_chart(cohorts: Sequence[Mapping[str, Any]], currency: str) -> TimeChart:
    realised = [_bounds(one["realised_profit"]) for one in cohorts]
    estimated = [_bounds(one["estimated_profit"]) for one in cohorts]
    apart = [
        one["cohort"]
        for one, real, estimate in zip(cohorts, realised, estimated, strict=True)
        if real and estimate and (real[1] > estimate[2] or real[2] < estimate[1])
    ]
    agree = "The realised profit agrees with the estimate in every month."
    finding = f"Realised and estimated profit differ clearly in {_listed(apart)}." if apart else agree
    values = [bound for one in (*realised, *estimated) if one for bound in one]
    axis = Axis(f"{currency} per 1,000 customers", *reach([0.0, *values]), "money")
    return TimeChart(
        "Profit",
        finding,
        _plane(len(cohorts), axis),
        [one["cohort"] for one in cohorts],
        {"reference": estimated, "model": realised},
    )


def _calibration_chart(cohorts: Sequence[Mapping[str, Any]]) -> TimeChart:
    errors = [one["calibration_error"] for one in cohorts]
    limits = [one["calibration_error_by_chance"] for one in cohorts]
    beyond = [one["cohort"] for one, error, limit in zip(cohorts, errors, limits, strict=True) if error > limit]
    finding = (
        f"Predicted and observed churn differ by more than chance explains in {_listed(beyond)}."
        if beyond
        else "Predicted and observed churn differ by no more than chance explains."
    )
    return TimeChart(
        "Calibration error",
        finding,
        _plane(len(cohorts), Axis("mean difference, predicted − observed", 0.0, 1.1 * max(*errors, *limits), "share")),
        [one["cohort"] for one in cohorts],
        {
            "reference": [(limit, 0.0, limit) for limit in limits],
            "model": [(error, error, error) for error in errors],
        },
    )


def _shift_chart(looks: Sequence[Mapping[str, Any]]) -> TimeChart:
    by_look = [
        next((one["shift"] for check in look["checks"] if check["name"] == "scores" for one in check["findings"]), 0.0)
        for look in looks
    ]
    alarms = [look["made"] for look in looks if look["is_alarm"]]
    finding = (
        f"{len(alarms)} of {len(looks)} looks were alarms." if alarms else f"None of {len(looks)} looks was an alarm."
    )
    ordered = sorted(
        range(len(looks)), key=lambda place: seconds(looks[place]["newest"] or looks[place]["made"]) or 0.0
    )
    return TimeChart(
        "Distance of the scores from training",
        finding,
        _plane(len(looks), Axis("Kolmogorov-Smirnov distance", 0.0, max(0.1, *by_look) * 1.1, "number")),
        [str(looks[place]["newest"] or looks[place]["made"])[:10] for place in ordered],
        {
            "alarm" if is_alarm else "model": [
                (by_look[place],) * 3 if looks[place]["is_alarm"] == is_alarm else None for place in ordered
            ]
            for is_alarm in (False, True)
        },
    )


def _plane(count: int, axis: Axis) -> Plane:
    return Plane(Axis("", -0.5, max(count, 1) - 0.5, "number"), axis)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
