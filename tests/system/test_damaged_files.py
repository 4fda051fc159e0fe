"""Any bytes in a file that a command reads: a result, or one line that names the file; never another exception."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn import files
from churn.commands.changes import differences
from churn.commands.compare import compare_states
from churn.commands.monitor.outcomes import _read_scores
from churn.commands.replay import replay
from churn.commands.report import write_copy
from churn.commands.summary import summarize, summary_text
from churn.commands.version import version_text
from churn.config.params import PARAMS_FILE, load_params
from churn.config.shapes import AuditFigures, TableFigures
from churn.history.predictions.log import PredictionLog
from churn.history.snapshot import obstacle_of, state_of_workspace
from churn.history.state import LOCK_FILE, PIPELINE_FILE
from churn.history.verify import known_md5s
from churn.monitoring import gauges, journal, models, page
from churn.monitoring.reading import blocks_of_log, newest_fingerprint, window_of
from churn.service import tokens
from churn.stages import evaluate, train
from churn.tracking.description import describe
from churn.tracking.outbox import outbox_of
from churn.tracking.record import Execution
from tests.helpers.damage import NOT_FILES, Reading, damaged_bytes, examples_over, fall_of, other_values, put_in_place
from tests.helpers.kinds_of_files import (
    IN_FOLDER,
    LOG,
    OUTCOME,
    PROVENANCE,
    RECORD,
    REQUEST,
    TOKENS,
    logged_predictions,
)

pytestmark = [pytest.mark.slow, pytest.mark.hypothesis, pytest.mark.usefixtures("_usual_cache")]


def summary(root: Path) -> None:
    found = summarize(root)
    summary_text(found), found.as_json()


def status(root: Path) -> None:
    workspace = state_of_workspace(root)
    obstacle_of(root, workspace), describe(workspace)[0].as_text()


def compare(root: Path) -> None:
    compare_states(root, "workspace", "workspace", resamples=10).as_text()


def changes(root: Path) -> None:
    differences._require_figures(root)
    differences._detailed_figures(root, differences._Revision(None, "workspace"))


def monitor(root: Path) -> None:
    models.model_of_workspace(root)


def looks(root: Path) -> None:
    entries, outcomes = journal.read_journal(root), journal.read_outcomes(root)
    page.render(entries, outcomes)
    if entries:
        gauges.gauges_of_look(entries[-1], gauges.TrackingGauges(0, True, None))
        journal.remarks_on(entries[0], entries, "2026-02-01", "2025-02-01")
    if outcomes:
        gauges.gauges_of_outcomes(outcomes)


def outbox(root: Path) -> None:
    box = outbox_of(root)
    for name in box.names():
        box.record(name), box.outcome(name)


def stages(root: Path) -> None:
    load_params(root)
    train.load_processed_data(root)
    evaluate.load_model_and_data(root)
    evaluate.read_figures(root, files.DATA_METRICS, TableFigures)
    evaluate.read_figures(root, files.AUDIT, AuditFigures)
    evaluate.read_figures(root, files.TRAIN_METRICS, dict[str, float | None])
    files.read_table(root / files.IMPORTANCE, evaluate.IMPORTANCE_COLUMNS)


def service_log(root: Path) -> None:
    folder = (root / LOG).parent
    model = models.model_of_workspace(root)
    _read_scores(folder)
    newest_fingerprint(folder, window_of(None, None))
    with closing(blocks_of_log(folder, model.fingerprint, model.types, window_of(None, None))) as blocks:
        list(blocks)
    replay(root, folder, REQUEST).as_text()


def service(root: Path) -> None:
    tokens.read_tokens(root / TOKENS)


OF_ANY_STATE: list[Reading] = [summary, status, compare, changes, monitor, write_copy, version_text, known_md5s, stages]
READERS: dict[str, list[Reading]] = {
    LOCK_FILE: OF_ANY_STATE,
    PIPELINE_FILE: OF_ANY_STATE,
    PARAMS_FILE: [status, stages, summary, version_text],
    "requirements.lock": [status],
    PROVENANCE: [status, known_md5s, compare],
    str(files.DATA_METRICS): [summary, status, changes, stages],
    str(files.AUDIT): [status, stages],
    str(files.TRAIN_METRICS): [status, monitor, changes, stages],
    str(files.TEST_METRICS): [summary, status, changes],
    str(files.BUSINESS_METRICS): [summary, status, changes],
    str(files.CLASSIFICATION_REPORT): [status, changes],
    str(files.REPORT): [write_copy, status],
    str(files.IMPORTANCE): [stages, status],
    str(files.OUT_OF_FOLD): [compare],
    str(files.TEST_PREDICTIONS): [compare],
    str(files.REFERENCE): [monitor],
    str(files.REFERENCE_ROWS): [monitor],
    str(files.MODEL): [stages, status],
    str(files.TRAIN_ROWS): [stages, status],
    str(files.TEST_ROWS): [stages],
    str(files.X_TRAIN): [stages],
    str(files.Y_TRAIN): [stages, compare],
    str(files.Y_TEST): [stages],
    str(files.ENCODERS): [stages],
    str(files.SCALER): [stages],
    str(journal.JOURNAL): [looks],
    str(journal.OUTCOMES): [looks],
    LOG: [service_log],
    RECORD: [outbox],
    OUTCOME: [outbox],
    TOKENS: [service],
}
"""What reads each file."""
WITH_VALUES = [path for path in READERS if path.endswith((".json", ".jsonl", ".yaml", LOCK_FILE))]

LOOK = {
    "made": "2026-01-02T00:00:00+00:00",
    "source": "new.csv",
    "fingerprint": "0" * 16,
    "commit": "",
    "since": "",
    "until": "",
    "oldest": "2026-01-01",
    "newest": "2026-01-01",
    "customers": 100,
    "scored": 100,
    "refused": 0,
    "of_other_models": 0,
    "level": 0.01,
    "looks_per_year": 365,
    "false_alarms_per_year": 1.0,
    "currency": "EUR",
    "checks": [
        {
            "name": name,
            "is_alarm": True,
            "p_value": 0.001,
            "findings": [
                {
                    "name": "fee",
                    "kind": "KS",
                    "statistic": 0.5,
                    "p_value": 0.001,
                    "corrected": 0.002,
                    "shift": 0.5,
                    "effect": "higher",
                    "is_alarm": True,
                }
            ],
        }
        for name in ("scores", "columns")
    ],
    "estimated_profit": {"value": 1.0, "low": 0.5, "high": 2.0},
    "training_profit": {"value": 1.0, "low": None, "high": None},
    "slices": [
        {
            "column": "plan",
            "value": "pro",
            "share": 0.5,
            "share_now": 0.4,
            "money": 1.0,
            "money_now": 2.0,
            "standardised": -1.0,
        }
    ],
    "remarks": ["a remark"],
    "is_alarm": True,
    "key": "a key",
}
INTERVAL = {"value": 1.0, "low": 0.5, "high": 2.0}
OUTCOMES = {
    "made": "2026-03-01T00:00:00+00:00",
    "known_until": "2026-03-01",
    "window_days": 30,
    "currency": "EUR",
    "cohorts": [
        {
            "model": "champion",
            "cohort": "2026-01",
            "customers": 10,
            "known": 10,
            "open": 0,
            "unknown": 0,
            "contradicting": 0,
            "left_before": 0,
            "scored_again": 0,
            "known_share": 1.0,
            "churn_rate": 0.2,
            "realised_profit": INTERVAL,
            "estimated_profit": INTERVAL,
            "roc_auc": INTERVAL,
            "calibration_error": 0.1,
            "calibration_error_by_chance": 0.2,
            "groups": [{"name": "contacted", "customers": 5, "predicted": 0.5, "churned": INTERVAL}],
        }
    ],
    "effect": {"contacted": 5, "held_out": 5, "difference": INTERVAL},
    "listed": {"unknown": ["a"]},
}


@pytest.fixture(scope="module")
def project(_finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run, with every file that a reader of the list opens."""
    root = tmp_path_factory.mktemp("damaged") / "project"
    shutil.copytree(_finished_once / "project", root, symlinks=True)
    record, content_of = describe(state_of_workspace(root), Execution("train", 1.0, 2.0, None, {}))
    outbox_of(root).add(record, content_of)
    outbox_of(root).note_outcome(record.name, "refused")
    for folder, name in (("records", f"{record.name}.json"), ("outcomes", record.name)):
        path = root / ".churn/outbox" / folder / name
        path.rename(path.with_name(name.replace(record.name, "0000000000001-record")))
    for path, text in (
        (root / journal.JOURNAL, f"{json.dumps(LOOK)}\n{json.dumps(LOOK | {'key': 'other'})}\n"),
        (root / journal.OUTCOMES, json.dumps(OUTCOMES)),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    PredictionLog((root / LOG).parent, keep_days=10**5).append(logged_predictions(state_of_workspace(root).fingerprint))
    PredictionLog((root / LOG).parent, keep_days=10**5).close_days()
    tokens.new_token(root / TOKENS, "shop", [tokens.Scope.SCORE], 7)
    return root


@contextmanager
def damaged(root: Path, path: str, damage: "bytes | str", *, recorded: bool = False) -> Iterator[None]:
    """A project with another file in place of one, and what it was before afterwards.

    `recorded`: dvc.lock and the provenance have the md5 of the damaged file, as in a branch that somebody forged.
    """
    place = root / path
    kept = {one: one.read_bytes() for one in (place, root / LOCK_FILE, *(root / "metrics/provenance").glob("*"))}
    modes = {one: one.stat().st_mode for one in kept}
    try:
        put_in_place(place, damage)
        if recorded and isinstance(damage, bytes):
            _record(root, kept, place)
        yield
    finally:
        for one, content in kept.items():
            if one.is_dir() and not one.is_symlink():
                one.rmdir()
            else:
                one.unlink(missing_ok=True)
            one.write_bytes(content)
            one.chmod(modes[one])
        for aside in (root / ".churn/outbox/set-aside").glob("*"):
            if aside.is_dir():
                aside.rmdir()
            else:
                aside.unlink()


def _record(root: Path, before: dict[Path, bytes], place: Path) -> None:
    changed = [(before[place], place.read_bytes())]
    for path in [*sorted(set(before) - {place, root / LOCK_FILE}), root / LOCK_FILE]:
        content = path.read_bytes()
        for old, new in changed:
            content = content.replace(_md5(old), _md5(new))
        changed.append((before[path], content))
        path.write_bytes(content)


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).hexdigest().encode()


def test_every_kind_has_readers() -> None:
    assert set(READERS) == IN_FOLDER


@pytest.mark.parametrize("path", READERS)
def test_what_is_no_file_is_refused_or_taken_for_missing(path: str, project: Path) -> None:
    may_be_large = path.startswith(("data/", "models/"))
    for damage in (one for one in NOT_FILES if one != "a gigabyte" or not may_be_large):
        for reading in READERS[path]:
            with damaged(project, path, damage):
                assert not fall_of(reading, project), damage


@pytest.mark.parametrize("path", READERS)
def test_any_bytes_give_a_result_or_a_line(path: str, project: Path) -> None:
    content = (project / path).read_bytes()

    @examples_over(len(READERS))
    @given(st.data())
    def check(data: Any) -> None:
        reading = data.draw(st.sampled_from(READERS[path]))
        recorded = data.draw(st.booleans())
        with damaged(project, path, data.draw(damaged_bytes(content)), recorded=recorded):
            assert not fall_of(reading, project)

    check()


@pytest.mark.parametrize("path", WITH_VALUES)
def test_any_value_gives_a_result_or_a_line(path: str, project: Path) -> None:
    content = (project / path).read_bytes()
    first = content.splitlines()[0] if path.endswith(".jsonl") else content
    yaml = path.endswith((".yaml", LOCK_FILE))

    @examples_over(len(WITH_VALUES))
    @given(st.data())
    def check(data: Any) -> None:
        reading = data.draw(st.sampled_from(READERS[path]))
        changed = data.draw(other_values(first, yaml=yaml))
        with damaged(project, path, changed, recorded=True):
            assert not fall_of(reading, project)

    check()


def test_any_column_of_the_log_gives_a_result_or_a_line(project: Path) -> None:
    table = pq.read_table(project / LOG)
    others = [[None, None], ["x", "1"], [1, -1], [float("nan"), 1e300], [b"\xff", b""], [[1], []], [True, False]]

    @examples_over(1)
    @given(st.data())
    def check(data: Any) -> None:
        place = data.draw(st.integers(0, table.num_columns - 1))
        changed = table.remove_column(place)
        if data.draw(st.integers(0, 3)):
            changed = changed.add_column(place, table.column_names[place], [data.draw(st.sampled_from(others))])
        written = pa.BufferOutputStream()
        pq.write_table(changed, written)
        with damaged(project, LOG, written.getvalue().to_pybytes()):
            assert not fall_of(service_log, project)

    check()
