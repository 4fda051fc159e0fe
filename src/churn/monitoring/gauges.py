"""Gauges in Prometheus's text format, for the textfile collector of node exporter."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from churn.errors import escape_controls


@dataclass(frozen=True)
class Gauge:
    """A value with its labels."""

    name: str
    help: str
    value: float | None
    labels: Mapping[str, str]


def as_text(gauges: list[Gauge]) -> str:
    """Gauges as text; undefined values are left out."""
    lines: list[str] = []
    described: set[str] = set()
    for one in sorted(gauges, key=lambda gauge: gauge.name):
        if one.value is None or not math.isfinite(one.value):
            continue
        if one.name not in described:
            lines += [f"# HELP {one.name} {one.help}", f"# TYPE {one.name} gauge"]
            described.add(one.name)
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in one.labels.items())
        lines.append(f"{one.name}{f'{{{labels}}}' if labels else ''} {one.value!r}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return escape_controls(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass(frozen=True)
class TrackingGauges:
    """Where tracking stands: waiting records, whether the store answers, and when the model's state was committed."""

    pending: int
    reachable: bool
    committed: float | None


def gauges_of_look(entry: Mapping[str, Any], tracking: TrackingGauges) -> list[Gauge]:
    """Gauges of the newest look."""
    return [Gauge(f"churn_monitor_{name}", *rest) for name, *rest in _of_look(entry, tracking)]


def _of_look(entry: Mapping[str, Any], tracking: TrackingGauges) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
    yield "last_look_timestamp_seconds", "When the last look was made", seconds(entry["made"]), {}
    yield "newest_row_timestamp_seconds", "Time of the newest customer", seconds(entry["newest"]), {}
    yield "customers", "Customers compared", float(entry["customers"]), {}
    yield "info", "Model", 1.0, {"fingerprint": entry["fingerprint"]}
    for check in entry["checks"]:
        labels = {"check": check["name"]}
        yield "alarm", "1 if the check is an alarm", float(check["is_alarm"]), labels
        yield "p_value", "Smallest p-value, corrected for all comparisons of the look", check["p_value"], labels
        for finding in check["findings"]:
            if check["name"] == "columns":
                yield "column_shift", "Distance from training, 0 to 1", finding["shift"], {"column": finding["name"]}
            if check["name"] == "scores":
                yield "score_shift", "Distance of the scores from those of training, 0 to 1", finding["shift"], {}
    for bound, value in entry["estimated_profit"].items():
        yield "estimated_profit_per_1000", "Estimated profit per 1,000 customers", value, {"bound": bound}
    yield "model_committed_timestamp_seconds", "When the model's state was committed", tracking.committed, {}
    yield "tracking_pending_records", "Records that no MLflow store has", float(tracking.pending), {}
    yield "tracking_reachable", "1 if the MLflow store answers", float(tracking.reachable), {}


def gauges_of_outcomes(found: Mapping[str, Any]) -> list[Gauge]:
    """Gauges of the newest cohort that is known, by model."""
    return [Gauge(f"churn_outcomes_{name}", *rest) for name, *rest in _of_outcomes(found)]


def _of_outcomes(found: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, Mapping[str, str]]]:
    yield "last_look_timestamp_seconds", "When outcomes were last joined", seconds(found["made"]), {}
    newest = {one["model"]: one for one in found["cohorts"] if one["known"]}
    for model, cohort in newest.items():
        labels = {"model": model}
        yield "cohort_timestamp_seconds", "Start of the newest known cohort", seconds(cohort["cohort"] + "-01"), labels
        yield "customers", "Customers of the cohort", float(cohort["customers"]), labels
        yield "known_share", "Share of the cohort whose outcome is known", cohort["known_share"], labels
        yield "calibration_error", "Calibration error", cohort["calibration_error"], labels
        yield (
            "calibration_error_by_chance",
            "Calibration error that chance alone exceeds in 2.5% of cases",
            cohort["calibration_error_by_chance"],
            labels,
        )
        for name in ("realised_profit", "estimated_profit"):
            for bound, value in (cohort[name] or {}).items():
                help_text = f"{name.split('_')[0].capitalize()} profit per 1,000 customers"
                yield f"{name}_per_1000", help_text, value, labels | {"bound": bound}
        for bound, value in (cohort["roc_auc"] or {}).items():
            yield "roc_auc", "ROC-AUC", value, labels | {"bound": bound}


def seconds(moment: str) -> float | None:
    """Seconds since 1970 of a time in ISO 8601; None if it is empty."""
    if not moment:
        return None
    found = datetime.fromisoformat(moment)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
