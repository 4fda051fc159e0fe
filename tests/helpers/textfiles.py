"""What `churn monitor` and `churn outcomes` write for Prometheus, with made-up figures."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from churn.monitoring.gauges import TrackingGauges, as_text, gauges_of_look, gauges_of_outcomes

SHIFTS = {
    "scores": {"scores": 0.21},
    "columns": {"plan": 0.31, "months": 0.02},
    "joint": {},
    "missing": {},
    "unseen": {},
}
"""What each check finds, by name."""


def write_textfile(folder: Path, name: str, text: str) -> None:
    """Put a file of metrics into place at once, as the commands do."""
    draft = folder / f"{name}.draft"
    draft.write_text(text)
    draft.rename(folder / name)


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def figures_of_monitor(alarms: Collection[str] = ()) -> str:
    """A look at drift, with an alarm of some checks."""
    look = {
        "made": days_ago(0).isoformat(),
        "newest": days_ago(0.1).isoformat(),
        "customers": 1000,
        "fingerprint": "0123456789ab",
        "checks": [check(name, name in alarms) for name in SHIFTS],
        "estimated_profit": {"value": 9985.0, "low": 9000.0, "high": 11000.0},
    }
    return as_text(gauges_of_look(look, TrackingGauges(0, reachable=True, committed=days_ago(10).timestamp())))


def check(name: str, is_alarm: bool) -> dict[str, Any]:
    findings = [{"name": column, "shift": shift} for column, shift in SHIFTS[name].items()]
    return {"name": name, "is_alarm": is_alarm, "p_value": 0.0004 if is_alarm else 0.4, "findings": findings}


def figures_of_outcomes() -> str:
    """Outcomes that are as was predicted, for the champion and its shadow."""
    return as_text(
        gauges_of_outcomes({"made": days_ago(0).isoformat(), "cohorts": [cohort("champion"), cohort("shadow")]})
    )


def cohort(model: str) -> dict[str, Any]:
    return {
        "model": model,
        "cohort": f"{days_ago(40):%Y-%m}",
        "known": True,
        "customers": 970,
        "known_share": 0.97,
        "calibration_error": 0.014,
        "calibration_error_by_chance": 0.031,
        "realised_profit": {"value": 9900.0, "low": 8800.0, "high": 11200.0},
        "estimated_profit": {"value": 9985.0, "low": 9000.0, "high": 11000.0},
        "roc_auc": {"value": 0.84, "low": 0.81, "high": 0.87},
    }
