"""Files of the monitoring: every look, the newest look and outcomes, the page, and gauges for Prometheus.

A look at the same customers replaces the earlier one. The journal is written whole, so that a killed process leaves the
earlier one.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from churn.config.shapes import parse_json, require_shape
from churn.errors import ChurnError, DataError, excerpt
from churn.files import read_bytes, write_text
from churn.monitoring.gauges import seconds
from churn.monitoring.look import Look
from churn.monitoring.outcomes import Cohort, ContactEffect
from churn.texts import escaped_json

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

UNKNOWN_FIGURES = {field.name: field.default for field in fields(Cohort) if field.default is not MISSING}
"""What a cohort has whose outcomes are not known yet."""
RESTORE_OR_MOVE = "restore the file, or move it away"
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

Entry = dict[str, Any]
"""A look as in the journal: its attributes, `is_alarm` and `key`."""


class JournalFinding(BaseModel):
    """What the page sorts findings by."""

    corrected: float
    shift: float


class JournalCheck(BaseModel):
    """What an entry says of a check, beside its attributes."""

    is_alarm: bool
    p_value: float | None
    findings: list[JournalFinding]


class JournalEntry(BaseModel):
    """What an entry says of a look, beside its attributes."""

    key: str
    made: str = Field(min_length=1)
    is_alarm: bool
    checks: list[JournalCheck]


@dataclass(frozen=True)
class KnownOutcomes:
    """What the page shows of the newest outcomes."""

    made: str
    known_until: str
    window_days: int
    currency: str
    cohorts: tuple[Cohort, ...]
    effect: ContactEffect | None
    listed: Mapping[str, tuple[str, ...]]


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
    return escaped_json(json.dumps(values, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False))


def read_journal(root: Path) -> list[Entry]:
    """All looks, oldest first.

    Raises:
        ChurnError: a line is not a look.
    """
    path = root / JOURNAL
    if not path.exists():
        return []
    return [_look_in(line, number) for number, line in enumerate(read_bytes(path).splitlines(), 1)]


def _look_in(line: bytes, number: int) -> Entry:
    try:
        found: Entry = parse_json(line, "its JSON", Look)
        require_shape(found, JournalEntry, "its JSON", "")
        for moment in (found["made"], found["oldest"], found["newest"]):
            seconds(moment)
    except (DataError, ValueError) as error:
        why = str(error).removeprefix("its JSON: ").removesuffix("; ")
        raise ChurnError(f"{JOURNAL}: line {number} is not a look; {RESTORE_OR_MOVE} ({why})") from None
    return found


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
    found: dict[str, Any] = parse_json(read_bytes(path), OUTCOMES, KnownOutcomes, RESTORE_OR_MOVE)
    found["cohorts"] = [UNKNOWN_FIGURES | cohort for cohort in found["cohorts"]]
    for cohort in found["cohorts"]:
        if not MONTH.fullmatch(cohort["cohort"]):
            raise ChurnError(f"{OUTCOMES}: cohorts: {excerpt(cohort['cohort'])} is not a month; {RESTORE_OR_MOVE}")
    return found
