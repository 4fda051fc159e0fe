"""A challenger judged by outcomes: only scores that were made before, and only customers of both models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn.commands.promote.by_outcomes import FEWEST_KNOWN, OutcomeEvidence, live_scores
from churn.commands.promote.challenger import JudgedState
from churn.config.params import Params, load_params
from churn.errors import ChurnError, DataError
from churn.files import TRAIN_METRICS, md5_of_bytes
from churn.history.predictions.log import LoggedPrediction, PredictionLog
from churn.history.snapshot import Snapshot
from churn.history.state import Stage, StageInputs
from churn.metrics.paired import ModelAnswers
from churn.table.keys import KEY_DIGITS, customer_of, sha256_of
from tests.helpers.states import edit

LOG, TABLE = Path("log"), Path("left.csv")
NOBODY = ModelAnswers(pd.Series(dtype=int), pd.Series(dtype=float), pd.Series(dtype=bool))
CHAMPION, A_DAY, MAY_1 = "champion", 86_400.0, 20_574


@pytest.fixture
def challenger() -> JudgedState:
    metrics = json.dumps({"threshold": 0.5}).encode()
    stage = Stage(StageInputs("", {}, {}), {str(TRAIN_METRICS): md5_of_bytes(metrics)})
    state = Snapshot({"train": stage}, frozenset({"train"}), {str(TRAIN_METRICS): metrics}.get, "commit", edits=())
    return JudgedState("retrained", state, NOBODY, NOBODY)


@pytest.fixture
def with_ids(folder: Path) -> Params:
    """Parameters of the current folder, with an id and a column of days."""
    edit(folder / "params.yaml", "id: null", "id: customer")
    edit(folder / "params.yaml", "churn_date_column: null", "churn_date_column: left")
    return load_params(folder)


def write(challenger: JudgedState, count: int, *, months: int = 1, champion: str = CHAMPION) -> None:
    """A log of customers whom both scored, and outcomes that agree with the shadow."""
    log, random = PredictionLog(LOG, keep_days=10_000), np.random.default_rng(1)
    leaves = random.random(count) < 0.3
    for month in range(months):
        day = (MAY_1 + 31 * month) * A_DAY
        log.append(
            [
                LoggedPrediction(
                    day + place,
                    f"{month}-{place}",
                    0,
                    sha256_of(f"C{place}")[:KEY_DIGITS],
                    champion,
                    "1",
                    0.4,
                    False,
                    0.9 if gone else 0.1,
                    challenger.state.fingerprint,
                )
                for place, gone in enumerate(leaves)
            ]
        )
    days = np.where(leaves, "2026-06-28", "")
    pd.DataFrame({"customer": [f"C{place}" for place in range(count)], "left": days}).to_csv(TABLE, index=False)


def evidence(until: str = "2026-09-01") -> OutcomeEvidence:
    return OutcomeEvidence(TABLE, (LOG,), until)


def test_both_models_are_compared_on_the_customers_whom_both_scored(with_ids: Params, challenger: JudgedState) -> None:
    write(challenger, 300, months=2)
    found = live_scores(evidence(), with_ids, challenger, CHAMPION)
    june = found.pair.churned[np.array([key.endswith("2026-06") for key in found.pair.keys])]
    assert (len(found.pair.keys), june.sum() > 60) == (600, True)
    assert not found.pair.old.contacted.any()
    assert found.pair.new.contacted.sum() == (found.probability >= 0.5).sum()


def test_the_months_of_a_customer_are_one_customer(with_ids: Params, challenger: JudgedState) -> None:
    write(challenger, 300, months=2)
    keys = live_scores(evidence(), with_ids, challenger, CHAMPION).pair.keys
    assert keys.is_unique
    assert customer_of(keys).max() == 299


def test_customers_of_another_champion_do_not_count(with_ids: Params, challenger: JudgedState) -> None:
    write(challenger, 300, champion="an earlier one")
    with pytest.raises(DataError, match=r"log: 0 customers with known outcome"):
        live_scores(evidence(), with_ids, challenger, CHAMPION)


@pytest.mark.parametrize(("count", "until"), [(FEWEST_KNOWN - 1, "2026-09-01"), (300, "2026-05-10")])
def test_too_few_known_customers_judge_nobody(
    with_ids: Params, challenger: JudgedState, count: int, until: str
) -> None:
    write(challenger, count)
    with pytest.raises(DataError, match=rf"{FEWEST_KNOWN} with both outcomes are needed"):
        live_scores(evidence(until), with_ids, challenger, CHAMPION)


def test_scores_of_a_file_are_refused_since_they_can_be_made_afterwards(
    with_ids: Params, challenger: JudgedState
) -> None:
    write(challenger, 300)
    scores = OutcomeEvidence(TABLE, (TABLE,), None)
    with pytest.raises(ChurnError, match="is no log of the service; only scores made at the time are judged"):
        live_scores(scores, with_ids, challenger, CHAMPION)
