"""Files of the monitoring: every look, the newest look and outcomes, the page, and gauges for Prometheus.

A look at the same customers replaces the earlier one. The journal is written whole, so that a killed process leaves the
earlier one.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from churn.errors import ChurnError
from churn.files import write_text
from churn.monitoring.look import Look

MONITORING = Path("monitoring")
JOURNAL = MONITORING / "looks.jsonl"
NEWEST_LOOK = MONITORING / "look.json"
OUTCOMES = MONITORING / "outcomes.json"
PAGE = MONITORING / "report.html"
GAUGES_OF_LOOK = MONITORING / "churn_monitor.prom"
GAUGES_OF_OUTCOMES = MONITORING / "churn_outcomes.prom"
LOCK = Path(".churn/monitoring.lock")
KEPT_LOOKS = 2_000
"""Looks in the journal; older ones leave it, and stay in MLflow."""

Entry = dict[str, Any]
"""A look as in the journal: its attributes, `is_alarm` and `key`."""


def as_entry(look: Look) -> Entry:
    """A look as plain values; `key` identifies it whenever it was made."""
    values: Entry = asdict(look) | {"is_alarm": look.is_alarm}
    for check, own in zip(values["checks"], look.checks, strict=True):
        check |= {"is_alarm": own.is_alarm, "p_value": own.p_value}
    values = as_plain(values)
    seen = {name: value for name, value in values.items() if name not in ("made", "remarks")}
    values["key"] = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
    return values


def as_plain(value: Any) -> Any:
    """Values for JSON, numbers with six digits: p-values are far below the decimals of other files."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def as_json(values: Mapping[str, Any]) -> str:
    """JSON of plain values."""
    return json.dumps(values, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)


def read_journal(root: Path) -> list[Entry]:
    """All looks, oldest first.

    Raises:
        ChurnError: a line is not a look.
    """
    path = root / JOURNAL
    if not path.exists():
        return []
    looks: list[Entry] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            looks.append(dict(json.loads(line)))
            looks[-1]["key"], looks[-1]["made"]
        except (ValueError, KeyError, TypeError):
            raise ChurnError(f"{JOURNAL}: line {number} is not a look; restore the file, or move it away") from None
    return looks


def write_look(root: Path, entry: Entry, earlier: Sequence[Entry]) -> list[Entry]:
    """Add a look to the journal, and write it as the newest one; return all looks."""
    others = [one for one in earlier if one["key"] != entry["key"]]
    looks = [*others[-KEPT_LOOKS + 1 :], entry]
    write_text(root / JOURNAL, "".join(f"{json.dumps(one, sort_keys=True)}\n" for one in looks))
    write_text(root / NEWEST_LOOK, f"{as_json(entry)}\n")
    return looks


def remarks_on(entry: Entry, earlier: Sequence[Entry], now: str, a_year_ago: str) -> list[str]:
    """What earlier looks mean for the false-alarm rate of this one."""
    others = [one for one in earlier if one["key"] != entry["key"]]
    own = [one for one in others if one["fingerprint"] == entry["fingerprint"]]
    remarks = []
    overlapping = [
        one for one in own if one["oldest"] and entry["oldest"] <= one["newest"] and one["oldest"] <= entry["newest"]
    ]
    if entry["oldest"] and overlapping:
        remarks.append(
            f"{len(overlapping)} earlier look(s) cover some of the same time, first {overlapping[0]['made']}: an alarm "
            "there and here can be one event"
        )
    in_a_year = sum(a_year_ago < one["made"] <= now for one in own) + 1
    if in_a_year > entry["looks_per_year"]:
        remarks.append(
            f"{in_a_year} looks within a year, and monitor.looks_per_year is {entry['looks_per_year']}: false alarms "
            "are more frequent than stated"
        )
    if any(one["made"] > now for one in others):
        remarks.append(f"the journal has a look from the future, {max(one['made'] for one in others)}: check the clock")
    if entry["newest"] and entry["newest"] > now:
        remarks.append(f"customers are from the future, {entry['newest']}: check the dates and the clock")
    return remarks


def read_outcomes(root: Path) -> Mapping[str, Any] | None:
    """The newest outcomes; None before the first."""
    path = root / OUTCOMES
    if not path.exists():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
