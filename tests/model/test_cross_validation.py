"""A model judged on rows that it has not seen."""

from typing import Self

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from churn.config.contract import TableContract
from churn.errors import DataError
from churn.metrics.scores import PROBABILITY_SCORES, probability_scores
from churn.model import encoding
from churn.model.cross_validation import judge_out_of_fold, untrained_pipeline
from churn.types import Floats, Labels
from tests.helpers.pipelines import LITTLE_EFFORT, ConstantClassifier, pipeline


class Memoriser(ConstantClassifier):
    """Certain of churn for the rows it was fitted on, and of no other."""

    def fit(self, X: pd.DataFrame, y: Labels) -> Self:
        self.classes_ = np.unique(y)
        self.seen_ = {tuple(row) for row in X.to_numpy()}
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        seen = np.array([tuple(row) in self.seen_ for row in X.to_numpy()], dtype=float)
        return np.column_stack([1 - seen, seen])


def test_every_row_is_predicted_by_a_model_that_has_not_seen_it(
    rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract
) -> None:
    distinct = ~rows.round(0).duplicated(keep=False) & rows["fee"].notna()
    rows, y, folds = rows[distinct], y[distinct], folds[distinct]
    assert len(rows) > 300

    untrained = pipeline(contract, Memoriser())
    assert (untrained.fit(rows, y).predict_proba(rows)[:, 1] == 1).all()
    judged = judge_out_of_fold(untrained, rows, y, folds, LITTLE_EFFORT, seed=0)
    assert (judged.probability == 0).all()


def test_nothing_of_a_folds_model_comes_from_its_own_rows(
    rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract
) -> None:
    def judge(rows: pd.DataFrame, y: Labels) -> Floats:
        encoders, scaler = encoding.make_encoders(contract.columns), encoding.make_scaler(contract.columns)
        scaler.fit(encoders.fit_transform(rows))  # what they know of all rows has to be forgotten
        untrained = untrained_pipeline(encoders, scaler, LogisticRegression())
        return judge_out_of_fold(untrained, rows, y, folds, LITTLE_EFFORT, seed=0).probability

    changed = (folds == 0) & (np.arange(len(rows)) >= 200)
    other_rows, other_y = rows.copy(), y.copy()
    other_rows.loc[changed, ["months", "fee"]] = [99.0, 5000.0]
    other_rows.loc[changed, "plan"] = "never seen elsewhere"
    other_y[changed] = 1 - y[changed]

    before, after = judge(rows, y), judge(other_rows, other_y)
    unchanged = (folds == 0) & ~changed
    assert before[unchanged].tobytes() == after[unchanged].tobytes()
    assert (before[folds != 0] != after[folds != 0]).all()


def test_judging_refits_copies_only(rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract) -> None:
    encoders, scaler = encoding.make_encoders(contract.columns), encoding.make_scaler(contract.columns)
    scaler.fit(encoders.fit_transform(rows))
    fitted = joblib.hash([encoders, scaler])
    untrained = untrained_pipeline(encoders, scaler, LogisticRegression())
    unfitted = joblib.hash(untrained)
    judge_out_of_fold(untrained, rows, y, folds, LITTLE_EFFORT, seed=0)
    assert joblib.hash(untrained) == unfitted
    untrained.fit(rows[:100], y[:100])
    assert joblib.hash([encoders, scaler]) == fitted


def test_scores_are_those_of_each_fold(rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract) -> None:
    judged = judge_out_of_fold(pipeline(contract, LogisticRegression()), rows, y, folds, LITTLE_EFFORT, seed=0)
    for fold in range(3):
        expected = probability_scores(y[folds == fold], judged.probability[folds == fold])
        assert {name: judged.scores[name][fold] for name in PROBABILITY_SCORES} == expected


@pytest.mark.parametrize(
    ("churners_of", "told"),
    [
        ([0, 1], r"fold 3 \(133 of 400 training rows\) lacks churners or stayers; lower train.folds"),
        ([2], r"fold 1 \(134 of 400 training rows\) lacks churners or stayers"),
        ([], r"fold 1 \(134 of 400 training rows\) lacks churners or stayers"),
    ],
)
def test_a_fold_without_both_classes_is_told_before_anything_is_fitted(
    churners_of: list[int], told: str, rows: pd.DataFrame, folds: Labels, contract: TableContract
) -> None:
    y = np.isin(folds, churners_of).astype(np.int64)
    y[:3] = 0  # stayers in every fold
    refused_at_fit = LogisticRegression(C=-1)
    with pytest.raises(DataError, match=f"^params.yaml: train.folds: {told}"):
        judge_out_of_fold(pipeline(contract, refused_at_fit), rows, y, folds, LITTLE_EFFORT, seed=0)


def test_churners_in_one_fold_only_leave_none_to_learn_from(
    rows: pd.DataFrame, folds: Labels, contract: TableContract
) -> None:
    y = (folds == 0).astype(np.int64)
    y[0] = 0
    told = r"train.folds: all but fold 1 \(266 of 400 training rows\) lacks churners or stayers"
    with pytest.raises(DataError, match=told):
        judge_out_of_fold(pipeline(contract, LogisticRegression()), rows, y, folds, LITTLE_EFFORT, seed=0)
