"""Describe a snapshot as plain values for MLflow."""

import csv
import io
import itertools
import json
import math
import posixpath
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from churn.config.economics import FORMER_CURRENCY, present_names
from churn.config.params import PARAMS_FILE, parse_yaml
from churn.config.shapes import parse_json
from churn.errors import DataError
from churn.files import (
    AUDIT,
    CLASSIFICATION_REPORT,
    DATA_METRICS,
    DETAILED_METRICS,
    MODEL,
    OVERVIEW,
    RESTORE,
    TRAIN_ROWS,
    md5_of_bytes,
)
from churn.history.snapshot import Snapshot
from churn.history.state import PIPELINE_FILE, Stages, value_at
from churn.model.pickles import is_plain_pickle
from churn.texts import counted, one_line, shortened
from churn.tracking.record import (
    COMMIT,
    COMPLETE,
    DATA_MD5,
    DESCRIPTION,
    DVC_EXPERIMENT,
    EDITED,
    EDITED_FILES,
    FAILED,
    FINGERPRINT,
    FINISHED,
    FORM,
    MODEL_MD5,
    MODEL_NOTE,
    PLATFORM,
    PRESENT_FORM,
    RUNNING,
    SOURCE,
    SOURCE_COMMIT,
    SOURCE_KIND,
    USER,
    Dataset,
    Execution,
    Experiment,
    ModelNote,
    Record,
    metric_name,
    named_apart,
    parameter_name,
    user_name,
)

PARAMETER_DEPTH = 3
"""Levels of keys in a parameter's name, as in train.params.learning_rate; deeper values are shown as JSON."""

LONGEST_VALUE = 6000
"""MLflow silently truncates longer parameters."""

EXPLAINED: Mapping[str, Mapping[str | None, str]] = {
    str(AUDIT): {None: "audit_findings_{}"},
    str(CLASSIFICATION_REPORT): {None: "test_rows.{}"},
    str(DATA_METRICS): {"missing": "missing_values"},
}
"""Names in MLflow of figures whose key in a file says too little; None stands for every other key."""

COUNTS_BY_COLUMN = ("missing_values.", "unknown_labels_test.")
"""Starts of names that every column of the table has one of."""

BACKGROUND_ROWS = 100
"""Training rows that are published with the model: the first ones by key, which is a hash."""
LONGEST_NAME = 80
LONGEST_ITEM = 30


def describe(
    snapshot: Snapshot, execution: Execution | None = None, *, vouched: bool = True
) -> tuple[Record, Callable[[str], bytes]]:
    """Describe a snapshot; return also a function that gives the content with an md5.

    Without `vouched`, its model is a plain file that MLflow does not offer for loading.

    Raises:
        UnidentifiedError: the files identify no experiment.
    """
    contents: dict[str, bytes] = {}

    def kept(content: bytes | None) -> str | None:
        if content is None:
            return None
        md5 = md5_of_bytes(content)
        contents[md5] = content
        return md5

    fingerprint = snapshot.fingerprint
    parameters = _parameters(snapshot.stages)
    metrics = _metrics(snapshot)
    shown = {PARAMS_FILE, *snapshot.results_called("metrics"), *snapshot.results_called("plots")}
    files = {path: md5 for path in sorted(shown) if (md5 := kept(snapshot.read(path))) is not None}
    dataset = _dataset(snapshot, parameters, metrics)
    model = snapshot.read(str(MODEL)) if str(MODEL) in snapshot.results else None
    note = _where_the_model_is(model, vouched=vouched)
    model_md5 = kept(model) if note == ModelNote.SHOWN else None
    if model is not None and model_md5 is None:
        files[str(MODEL)] = str(kept(model))
    example_md5 = kept(background_of(snapshot.read(str(TRAIN_ROWS)))) if model_md5 else None
    experiment = Experiment(
        fingerprint=fingerprint,
        name=_name(snapshot),
        status=_status(snapshot, execution),
        parameters=parameters,
        metrics=metrics,
        files=files,
        dataset=dataset,
        model_md5=model_md5,
        example_md5=example_md5,
        tags=_without_gaps(
            {
                FINGERPRINT: fingerprint,
                COMPLETE: str(snapshot.complete).lower(),
                COMMIT: snapshot.commit,
                EDITED: str(snapshot.is_edited).lower() if snapshot.commit else None,
                EDITED_FILES: ", ".join(snapshot.edits)[:LONGEST_VALUE],
                DVC_EXPERIMENT: snapshot.experiment,
                "dvc.baseline": snapshot.baseline,
                DATA_MD5: dataset.md5 if dataset else None,
                MODEL_MD5: snapshot.results.get(str(MODEL)),
                PLATFORM: snapshot.platform,
                MODEL_NOTE: note if str(MODEL) in snapshot.results else None,
                FORM: PRESENT_FORM,
                DESCRIPTION: _text(snapshot, execution, metrics, parameters.get("business.currency", FORMER_CURRENCY)),
                USER: snapshot.user or user_name(),
                SOURCE: PIPELINE_FILE,
                SOURCE_KIND: "LOCAL",
                SOURCE_COMMIT: None if snapshot.is_edited else snapshot.commit,
            }
        ),
        columns=_columns(snapshot.stages),
        committed=snapshot.change.when if snapshot.change and not snapshot.is_edited else None,
    )
    return Record(experiment, execution), contents.__getitem__


def _where_the_model_is(model: bytes | None, *, vouched: bool) -> ModelNote:
    if model is None:
        return ModelNote.NOT_IN_CACHE
    if not vouched:
        return ModelNote.NOT_VOUCHED
    return ModelNote.SHOWN if is_plain_pickle(model) else ModelNote.NOT_PLAIN


def _columns(stages: Stages) -> dict[str, str]:
    """Type of each column of the contract."""
    for stage in stages.values():
        columns = value_at(stage.inputs.parameters.get(PARAMS_FILE, {}), "data.columns")
        if isinstance(columns, Mapping):
            return {str(name): str(value_at(column, "type", "")) for name, column in columns.items()}
    return {}


def _status(snapshot: Snapshot, execution: Execution | None) -> str:
    if execution is not None and execution.fault:
        return FAILED
    return FINISHED if snapshot.complete else RUNNING


def _metrics(snapshot: Snapshot) -> dict[str, float]:
    """Figures by a name that explains itself, and that a filter of MLflow takes without quotes."""
    # Of counts there is one for each column of the table, and in a zero nothing to see.
    seen = ((name, value) for name, value in _figures(snapshot) if value or not name.startswith(COUNTS_BY_COLUMN))
    return named_apart(seen, metric_name)


def _figures(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    """Metrics declared in dvc.yaml and the detailed metrics, without the overview, which repeats some of them."""
    detailed = snapshot.results.keys() & set(map(str, DETAILED_METRICS))
    for path in sorted((snapshot.results_called("metrics") | detailed) - {str(OVERVIEW)}):
        content = snapshot.read(path)
        if content is not None:
            values = _figures_in(content, path)
            names = EXPLAINED.get(path, {})
            for key, value in values.items():
                yield from _numbers(names.get(key, names.get(None, "{}")).format(key), value)


def _figures_in(content: bytes, path: str) -> Mapping[str, Any]:
    if path.endswith(".json"):
        found: Mapping[str, Any] = parse_json(content, path, remedy=RESTORE)
        return found
    return parse_yaml(content.decode(errors="replace"), path)


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Numbers by dotted name, NaN for null; texts and lists are not metrics, as in DVC.

    Infinite values are left out: MLflow would show them as 1.8e308.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)
    elif value is None:
        yield name, math.nan
    elif isinstance(value, int | float) and abs(value) <= sys.float_info.max:
        yield name, float(value)
    elif isinstance(value, float) and math.isnan(value):
        yield name, value


def _parameters(files: Stages) -> dict[str, str]:
    """Parameters by name; several stages can read the same one."""
    values = {
        name if file == PARAMS_FILE else f"{file}:{name}": shown
        for stage in files.values()
        for file, parameters in stage.inputs.parameters.items()
        for key, value in parameters.items()
        for name, shown in _leaves(key, value)
    }
    return named_apart(values.items(), parameter_name)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value and name.count(".") + 1 < PARAMETER_DEPTH:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, _value_text(value)


def _value_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= LONGEST_VALUE:
        return text
    rest = f"… ({len(text):,} characters in all)"
    return text[: LONGEST_VALUE - len(rest)] + rest


def _dataset(snapshot: Snapshot, parameters: Mapping[str, str], metrics: Mapping[str, float]) -> Dataset | None:
    source = parameters.get("data.source", "")
    md5s = {path: md5 for stage in snapshot.stages.values() for path, md5 in stage.inputs.dependencies.items()}
    md5 = md5s.get(posixpath.normpath(source))
    if md5 is None:
        return None
    return Dataset(Path(source).stem, source, md5, _count(metrics, "rows_in"))


def _count(metrics: Mapping[str, float], name: str) -> int | None:
    """A metric that counts; None if it is missing or undefined, as in a damaged file."""
    value = metrics.get(name, math.nan)
    return int(value) if math.isfinite(value) else None


def background_of(rows: bytes | None) -> bytes | None:
    """Header and first rows of the table of training rows."""
    if rows is None:
        return None
    head = io.StringIO(newline="")
    try:
        reader = csv.reader(io.StringIO(rows.decode(), newline=""))
        csv.writer(head, lineterminator="\n").writerows(itertools.islice(reader, 1 + BACKGROUND_ROWS))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{TRAIN_ROWS}: not the table that a stage wrote ({error}); {RESTORE}") from None
    return head.getvalue().encode()


def _without_gaps(tags: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}


def _name(snapshot: Snapshot) -> str:
    """What changed: the name of a DVC experiment, the subject of a commit, or the edit of one."""
    if snapshot.experiment:
        return snapshot.experiment
    if snapshot.commit is None:
        return f"no commit, state {snapshot.fingerprint[:6]}"
    if snapshot.is_edited:
        return shortened(one_line(", ".join(_edits(snapshot))), LONGEST_NAME)
    subject = snapshot.change.subject if snapshot.change else ""
    return shortened(one_line(subject), LONGEST_NAME) or snapshot.commit[:7]


def _text(snapshot: Snapshot, execution: Execution | None, metrics: Mapping[str, float], money: str) -> str:
    """Markdown: the verdict, then what the state is and how to restore it. `money` is the currency."""
    if execution is not None and execution.fault:
        verdict = [f"**{execution.stage} failed:** {_quoted(execution.fault)}"]
    elif snapshot.complete:
        verdict = list(_verdict(present_names(metrics), money))
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
    accepted = _count(metrics, "audit_findings_accepted") or 0
    warnings = _count(metrics, "audit_findings_warnings") or 0
    if accepted or warnings:
        yield f"Audit: {counted(accepted, 'accepted finding')}, {counted(warnings, 'warning')}"


def _origin(snapshot: Snapshot) -> Iterator[str]:
    commit = snapshot.commit or ""
    if snapshot.is_edited:
        values = snapshot.edited_values
        changed = [f"{_quoted(key)}: {_quoted(_short(old))} → {_quoted(_short(new))}" for key, old, new in values]
        changed += [_quoted(path) for path in _other_edits(snapshot)]
        yield f"Edited since commit {commit[:7]}: {'; '.join(changed)}"
    elif commit:
        yield f"Commit {commit[:7]}. Restore it with `git checkout {commit[:7]}` and `dvc checkout`."


def _with_interval(metrics: Mapping[str, float], name: str, form: str) -> str:
    """A figure with its bounds or its standard deviation, where they are known; empty without the figure."""
    told = _figure(metrics, name, form)
    low, high, deviation = (_figure(metrics, f"{name}_{part}", form) for part in ("low", "high", "sd"))
    if told and low and high:
        return f"{told} (95% interval {low} to {high})"
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
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shortened(one_line(text), LONGEST_ITEM)


def _quoted(text: str) -> str:
    """Markdown for a text as it is."""
    return f"`{one_line(text.replace('`', chr(39)))}`"
