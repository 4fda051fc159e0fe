"""A simulated year: prices rise in May, a competitor takes a segment in August, and the model is replaced by the gates.

January's customers train the champion. Each month's customers are scored and looked at. In May, columns move but
customers leave as before: an alarm, and the estimated profit stays right. In August, customers with the same columns
leave more often: the looks see nothing new and the estimate is blind, until the outcomes are known.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from churn.commands.monitor import look as looking
from churn.commands.monitor import outcomes as joining
from churn.commands.promote import challenger, gates, promotion
from churn.commands.promote.by_outcomes import OutcomeEvidence
from churn.config.params import load_params
from churn.history.predictions.log import LoggedPrediction, PredictionLog
from churn.history.reproduce import Reproduction
from churn.history.snapshot import state_of_workspace
from churn.model.decision import churn_probability
from churn.monitoring import journal
from churn.monitoring.look import Look
from churn.runtime import SAME_BYTES_ON
from churn.table import parsing
from churn.table.keys import row_keys
from tests.helpers.customers_over_time import (
    IDENTIFIER,
    LEFT,
    SNAPSHOT,
    WINDOW_DAYS,
    MonthlySnapshot,
    Scenario,
    outcomes_table,
    twelve_months,
)
from tests.helpers.projects import made_once, make_project, shell, unpickled
from tests.helpers.runs import rerun
from tests.helpers.sample import SAMPLE_PARAMS
from tests.helpers.states import edit

pytestmark = pytest.mark.slow

PRICES_RISE, COMPETITOR = 5, 8
CUSTOMERS = 2_500
LOG = Path("predictions/service")


def dearer(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(monthly_charges=(rows["monthly_charges"] * 1.06).round(2))


def lured(rows: pd.DataFrame) -> NDArray[np.float64]:
    return np.where(rows["internet_service"] == "DSL", 0.35, 0.0)


@dataclass(frozen=True)
class Year:
    """The project of that year, and its months."""

    root: Path
    months: list[MonthlySnapshot]

    def table(self, month: int) -> Path:
        """The customers of a month, from 1."""
        return self.root / f"months/{month:02d}.csv"

    def look(self, month: int) -> Look:
        """A look at the customers of a month."""
        return looking.look_at(self.root, self.table(month), load_params(self.root), None, None, lambda _: None)


def make_year(root: Path, months: list[MonthlySnapshot]) -> None:
    make_project(root)
    shutil.copy(SAMPLE_PARAMS / "params.yaml", root / "params.yaml")
    for old, new in (
        ("source: data/raw/sample_data.csv", "source: data/raw/month.csv"),
        ("  id:  ", f"  id: {IDENTIFIER}  "),
        ("  unused: {} ", f"  unused: {{{SNAPSHOT}: {{kind: date, format: null, reason: day of the snapshot}}}} "),
        ("  date_column:  ", f"  date_column: {SNAPSHOT}  "),
        ("  churn_date_column:  ", f"  churn_date_column: {LEFT}  "),
        ("churn_window_days: 30", f"churn_window_days: {WINDOW_DAYS}"),
        ("bootstrap_resamples: 1000", "bootstrap_resamples: 100"),
        ("repeats: 5 ", "repeats: 1 "),
        ("max_iter: 150", "max_iter: 80"),
    ):
        edit(root / "params.yaml", old, new)
    (root / "months").mkdir()
    for number, month in enumerate(months, 1):
        month.customers.to_csv(root / f"months/{number:02d}.csv", index=False)
        outcomes_table(months[:number]).to_csv(root / f"months/left-{number:02d}.csv", index=False)
    for name, number in (("january", 1), ("retrained", COMPETITOR + 1)):
        months[number - 1].training_table.to_csv(root / "data/raw/month.csv", index=False)
        rerun(root, "preprocess", "train", "evaluate")
        shell(root)(f"git add --all && git commit --quiet --message {name} && git tag {name}")
    shell(root)("git checkout --quiet january && dvc checkout --quiet")


@pytest.fixture(scope="module")
def months() -> list[MonthlySnapshot]:
    return twelve_months(Scenario({PRICES_RISE: dearer}, {COMPETITOR: lured}), customers=CUSTOMERS, seed=1)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory, months: list[MonthlySnapshot], migrated: Path) -> Iterator[Year]:
    made = made_once(tmp_path_factory, "year", lambda folder: make_year(folder / "project", months))
    root = tmp_path_factory.mktemp("year") / "project"
    shutil.copytree(made / "project", root, symlinks=True)
    shutil.copy(migrated, root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(challenger, "reproduce", lambda *_: Reproduction(29, SAME_BYTES_ON, SAME_BYTES_ON, None))
        patch.setattr(gates, "RESAMPLES", 5_000)
        yield Year(root, months)


def write_log(year: Year) -> None:
    """What the service logs from October on, with the retrained model as shadow of January's."""
    root = year.root
    scorers = {}
    for name in ("retrained", "january"):
        shell(root)(f"git checkout --quiet {name} && dvc checkout --quiet")
        scorers[name] = state_of_workspace(root).fingerprint, unpickled(root / "models/churn_model.pkl")
    (champion, served), (shadow, shadowed) = scorers["january"], scorers["retrained"]
    contract = load_params(root).data
    log = PredictionLog(root / LOG, keep_days=1_000)
    for month in (10, 11):
        texts = pd.read_csv(year.table(month), dtype=str, keep_default_na=False)
        rows, _ = parsing.parse_customers(texts, contract)
        day = datetime(2026, month, 1, 12, tzinfo=UTC).timestamp()
        answers: list[list[Any]] = [
            row_keys(rows, contract),
            churn_probability(served, rows).tolist(),
            churn_probability(shadowed, rows).tolist(),
        ]
        log.append(
            [
                LoggedPrediction(day, f"r{place}", 0, key, champion, "1", p, bool(p >= served.threshold), q, shadow)
                for place, (key, p, q) in enumerate(zip(*answers, strict=True))
            ]
        )
    log.close_days()


def test_nothing_changes_until_april_and_there_is_no_alarm(year: Year) -> None:
    assert [year.look(month).is_alarm for month in (2, 3, 4)] == [False, False, False]


def test_higher_prices_are_an_alarm_in_may_that_names_them_and_the_estimate_stays_right(year: Year) -> None:
    april, may = year.look(4), year.look(PRICES_RISE)
    moved = [one.name for check in may.checks for one in check.findings if check.name == "columns" and one.is_alarm]
    assert moved == ["monthly_charges"]
    assert may.estimated_profit.value > april.estimated_profit.value
    (cohort,) = outcomes_of(year, PRICES_RISE)
    assert cohort["estimated_profit"]["low"] <= cohort["realised_profit"]["value"] <= cohort["estimated_profit"]["high"]
    assert cohort["calibration_error"] <= cohort["calibration_error_by_chance"]


def outcomes_of(year: Year, month: int) -> list[dict[str, Any]]:
    """Cohorts of the scores of a month, once its outcomes are known."""
    root, scores = year.root, year.root / f"scores-{month:02d}.csv"
    shell(root)(f"churn predict months/{month:02d}.csv -o {scores.name}")
    until = (year.months[month - 1].day + timedelta(days=WINDOW_DAYS)).isoformat()
    joining.join(root, root / f"months/left-{month:02d}.csv", [scores], load_params(root), until)
    found = journal.read_outcomes(root)
    assert found
    return list(found["cohorts"])


def test_a_competitor_is_invisible_until_outcomes_show_him(year: Year) -> None:
    before, after = year.look(COMPETITOR - 1), year.look(COMPETITOR)
    assert after.estimated_profit.value == pytest.approx(before.estimated_profit.value, rel=0.03)
    scores = [one for check in after.checks if check.name == "scores" for one in check.findings]
    assert [one.is_alarm for one in scores] == [False]
    (july,), (august,) = outcomes_of(year, COMPETITOR - 1), outcomes_of(year, COMPETITOR)
    assert july["calibration_error"] <= july["calibration_error_by_chance"]
    assert august["calibration_error"] > 3 * august["calibration_error_by_chance"]
    assert august["roc_auc"]["high"] < july["roc_auc"]["low"]
    assert august["realised_profit"]["low"] > august["estimated_profit"]["high"]


def test_the_retrained_model_becomes_champion_by_outcomes_of_customers_that_it_scored_in_shadow(
    year: Year, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(year.root)
    write_log(year)
    promotion.promote(year.root, "january", forced=True, reason="first")
    evidence = OutcomeEvidence(year.root / "months/left-12.csv", (LOG,), "2026-12-01")
    outcome = promotion.promote(year.root, "retrained", forced=False, reason="", by_outcomes=evidence)
    found = {gate.name: gate for gate in outcome.gates}
    assert outcome.promoted, outcome.lines
    assert found["earns more than the champion"].figures["low"] > 0
    assert "by outcomes" in found["earns more than the champion"].explanation
    assert found["calibrated"].passed


def test_looks_are_rows_in_mlflow_and_one_look_is_one_row(year: Year, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(year.root)
    for month in (2, 3, 2):
        year.look(month)
    client = mlflow.MlflowClient(f"sqlite:///{year.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("churn-monitoring")
    assert experiment
    rows = client.search_runs([experiment.experiment_id])
    keys = [row.data.tags["monitoring.look"] for row in rows]
    assert len(keys) == len(set(keys)) == len({one["key"] for one in journal.read_journal(year.root)})
    assert {row.info.status for row in rows} == {"FINISHED"}
    assert all("estimated_profit_per_1000" in row.data.metrics for row in rows)
