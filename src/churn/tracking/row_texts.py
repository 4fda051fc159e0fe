"""What a person reads of a state in MLflow: the name of its row, and the description on the row's page."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from churn.config.params import PARAMS_FILE
from churn.history.snapshot import Snapshot
from churn.texts import shortened
from churn.tracking.record import Execution

LONGEST_NAME = 80
LONGEST_ITEM = 30
NOT_PRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f]")


def row_name(snapshot: Snapshot) -> str:
    """What changed: the name of a DVC experiment, the subject of a commit, or the edit of one."""
    if snapshot.experiment:
        return snapshot.experiment
    if snapshot.commit is None:
        return f"no commit, state {snapshot.fingerprint[:6]}"
    if snapshot.is_edited:
        return shortened(", ".join(_edits(snapshot)), LONGEST_NAME)
    subject = snapshot.change.subject if snapshot.change else ""
    return shortened(NOT_PRINTABLE.sub(" ", subject).strip(), LONGEST_NAME) or snapshot.commit[:7]


def row_description(snapshot: Snapshot, execution: Execution | None, metrics: Mapping[str, float], money: str) -> str:
    """Markdown: the verdict, then what the state is and how to restore it. `money` is the currency."""
    if execution is not None and execution.fault:
        verdict = [f"**{execution.stage} failed:** {_quoted(execution.fault)}"]
    elif snapshot.complete:
        verdict = list(_verdict(metrics, money))
    else:
        verdict = ["Not all stages have run yet."]
    return "\n\n".join([*verdict, *_origin(snapshot)])


def _verdict(metrics: Mapping[str, float], money: str) -> Iterator[str]:
    if profit := _with_interval(metrics, "profit_per_1000", ",.0f"):
        everyone = _figure(metrics, "profit_contact_everybody_per_1000", ",.0f")
        against = f"; contacting everyone: {everyone} {money}" if everyone else ""
        yield f"**Profit on test rows: {profit} {money} per 1,000 customers**{against}"
    ranks = [
        f"{where} {told}"
        for where, name in (("out-of-fold", "cv_roc_auc"), ("test", "test_roc_auc"))
        if (told := _with_interval(metrics, name, ".3f"))
    ]
    if ranks:
        yield f"ROC-AUC: {', '.join(ranks)}"
    accepted = metrics.get("audit_findings_accepted", 0)
    warnings = metrics.get("audit_findings_warning", 0)
    if accepted or warnings:
        yield f"Audit: {accepted:.0f} accepted findings, {warnings:.0f} warnings"


def _origin(snapshot: Snapshot) -> Iterator[str]:
    commit = snapshot.commit or ""
    if snapshot.is_edited:
        changed = [f"`{key}`: {_short(old)} → {_short(new)}" for key, old, new in snapshot.edited_values]
        changed += [f"`{path}`" for path in _other_edits(snapshot)]
        yield f"Edited since commit {commit[:7]}: {'; '.join(changed)}"
    elif commit:
        yield f"Commit {commit[:7]}. Restore it with `git checkout {commit[:7]}` and `dvc checkout`."


def _with_interval(metrics: Mapping[str, float], name: str, form: str) -> str:
    """A figure with its bounds or its standard deviation, where they are known; empty without the figure."""
    told = _figure(metrics, name, form)
    low, high, deviation = (_figure(metrics, f"{name}_{part}", form) for part in ("low", "high", "sd"))
    if told and low and high:
        return f"{told} (95 % interval {low} to {high})"
    return f"{told} ± {deviation}" if told and deviation else told


def _figure(metrics: Mapping[str, float], name: str, form: str) -> str:
    value = metrics.get(name, math.nan)
    return "" if math.isnan(value) else format(value, form)


def _edits(snapshot: Snapshot) -> Iterator[str]:
    for key, old, new in snapshot.edited_values:
        yield f"{key.rpartition('.')[2]} {_short(old)} → {_short(new)}"
    for path in _other_edits(snapshot):
        yield f"edited {PurePosixPath(path).name}"


def _other_edits(snapshot: Snapshot) -> list[str]:
    """Edited files but that of the parameters, where those say themselves what changed."""
    return [path for path in snapshot.edits if path != PARAMS_FILE or not snapshot.edited_values]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(text, LONGEST_ITEM)


def _quoted(text: str) -> str:
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"
