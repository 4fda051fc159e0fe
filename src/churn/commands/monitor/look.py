"""`churn monitor`: compare scored customers with the training rows, and say whether that is an alarm."""

import json
import logging
import os
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from churn.commands.predict import load_decision
from churn.config.params import Monitor, Params
from churn.errors import ChurnError, DataError
from churn.files import write_text
from churn.monitoring import gauges, journal, page
from churn.monitoring.drift import FEWEST_ROWS, Compared, check_drift
from churn.monitoring.look import Look, gains_of_training, slice_shifts
from churn.monitoring.models import MonitoredModel, model_of_fingerprint, model_of_workspace
from churn.monitoring.reading import Window, blocks_of_log, blocks_of_table, newest_fingerprint, window_of
from churn.monitoring.summary import LookSummary, ScoredBlock
from churn.runtime import limited_threads, lock
from churn.table.parsing import moment_text
from churn.tracking import trials
from churn.tracking.destination import find_destination, refusal
from churn.tracking.outbox import outbox_of

log = logging.getLogger(__name__)

VIEW = "churn.tracking.store.looks"
PUBLISHED_AT_ONCE = 100
"""Newest looks of the journal that are published if MLflow lacks them."""

Progress = Callable[[float], None]
"""Called with the share of the customers that have been read."""


def look_at(
    root: Path, source: Path, params: Params, since: str | None, until: str | None, on_progress: Progress
) -> Look:
    """Make a look and write it to the files of monitoring and to MLflow.

    Raises:
        ChurnError: nothing can be compared; the files stay as they are.
    """
    window = window_of(since, until)
    if not source.exists():
        raise DataError(f"{source}: no such file; name a table of customers, or the log of `churn serve --log`")
    with lock(root / journal.LOCK), limited_threads(params.compute.threads):
        model, blocks = _customers(root, source, params, window)
        summary = LookSummary(model.reference, model.slices, model.economics)
        with closing(blocks):
            for block in blocks:
                summary.add(block)
                on_progress(block.done)
        _require_enough(summary, source, model, window)
        now = datetime.now(UTC)
        earlier = journal.read_journal(root)
        look = _look(summary, model, params.monitor, source, window, now)
        remarks = journal.remarks_on(journal.as_entry(look), earlier, _text(now), _text(now - timedelta(days=365)))
        look = replace(look, remarks=(*look.remarks, *remarks))
        _write(root, look, earlier, model)
    return look


def _customers(
    root: Path, source: Path, params: Params, window: Window
) -> tuple[MonitoredModel, Generator[ScoredBlock]]:
    """The model that a source is about, and its customers."""
    if source.is_dir():
        model = model_of_fingerprint(root, newest_fingerprint(source, window))
        return model, blocks_of_log(source, model.fingerprint, model.types, window)
    column = params.monitor.date_column
    if window.is_limited and column is None:
        raise ChurnError(
            "params.yaml: monitor.date_column: empty, so --since and --until cannot select rows of a table; name the "
            "column with the date of a row, or leave both options out"
        )
    model = model_of_workspace(root)
    decision = load_decision(root, None)
    return model, blocks_of_table(source, decision, model.contract, column, window)


def _require_enough(summary: LookSummary, source: Path, model: MonitoredModel, window: Window) -> None:
    if summary.customers >= FEWEST_ROWS:
        return
    of_time = " of that time" if window.is_limited else ""
    others = f", and {summary.of_other_models:,} that other models scored" if summary.of_other_models else ""
    raise DataError(
        f"{source}: {summary.customers:,} customers{of_time} of model {model.fingerprint[:12]}{others}; a "
        f"look needs at least {FEWEST_ROWS}"
    )


def _look(
    summary: LookSummary, model: MonitoredModel, settings: Monitor, source: Path, window: Window, now: datetime
) -> Look:
    training, of_slices = gains_of_training(model.rows, model.threshold, model.slices, model.reference, model.economics)
    return Look(
        made=_text(now),
        source=str(source),
        fingerprint=model.fingerprint,
        commit=model.commit,
        since=moment_text(window.since),
        until=moment_text(window.until),
        oldest=moment_text(summary.oldest),
        newest=moment_text(summary.newest),
        customers=summary.customers,
        scored=summary.scored,
        refused=summary.refused,
        of_other_models=summary.of_other_models,
        level=settings.level_of_a_look,
        looks_per_year=settings.looks_per_year,
        false_alarms_per_year=settings.false_alarms_per_year,
        currency=model.economics.currency,
        checks=tuple(check_drift(Compared(model.reference, model.rows, summary), settings)),
        estimated_profit=summary.gains.profit_per_1000(model.reference.calibration),
        training_profit=training.profit_per_1000(model.reference.calibration),
        slices=tuple(slice_shifts(summary, training, of_slices)),
        remarks=tuple(_remarks(summary)),
    )


def _remarks(summary: LookSummary) -> Iterator[str]:
    if summary.with_columns < summary.scored:
        yield (
            f"{summary.scored - summary.with_columns:,} customers were logged without their columns, which are "
            "compared for the others; `churn serve --log-features all` logs them"
        )
    if summary.of_other_models:
        yield f"{summary.of_other_models:,} customers that other models scored are left out"
    if summary.refused:
        yield f"{summary.refused:,} customers break the contract: compared, but not scored"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _write(root: Path, look: Look, earlier: list[journal.Entry], model: MonitoredModel) -> None:
    entry = journal.as_entry(look)
    looks = journal.write_look(root, entry, earlier)
    destination = find_destination(root)
    unreachable = refusal(destination)
    tracking = gauges.TrackingGauges(len(outbox_of(root).names_never_shown()), unreachable is None, model.committed)
    write_text(root / journal.GAUGES_OF_LOOK, gauges.as_text(gauges.gauges_of_look(entry, tracking)))
    write_text(root / journal.PAGE, page.render(looks, journal.read_outcomes(root)))
    if failed := trials.show(root, looks[-PUBLISHED_AT_ONCE:], VIEW):
        log.warning("MLflow does not have this look yet, the next one publishes it: %s", failed)


def run_on_alarm(root: Path, command: str, look: Look) -> None:
    """Run the operator's command after an alarm; it finds the look in the environment.

    Raises:
        ChurnError: it fails.
    """
    alarms = "; ".join(one.effect for check in look.checks for one in check.findings if one.is_alarm)
    settings = {
        "CHURN_ALARM": alarms,
        "CHURN_ALARM_LOOK": str(journal.NEWEST_LOOK),
        "CHURN_ALARM_FINGERPRINT": look.fingerprint,
    }
    log.info("alarm: running %s", command)
    started = time.monotonic()
    done = subprocess.run(command, shell=True, cwd=root, env=os.environ | settings, check=False)  # noqa: S602
    if done.returncode:
        raise ChurnError(f"--on-alarm: {command!r} ended with exit code {done.returncode}")
    log.info("%s ended after %.0f s", command, time.monotonic() - started)


def as_json(look: Look) -> str:
    """A look as in the journal."""
    return json.dumps(journal.as_entry(look), indent=2, sort_keys=True, ensure_ascii=False)
