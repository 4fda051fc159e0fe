"""What each column is worth."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from churn.config.contract import TableContract
from churn.metrics.scores import roc_auc
from churn.model import encoding
from churn.model.cross_validation import judge_out_of_fold
from churn.model.importance import ImportanceEffort, importance_table, permutation_drops
from churn.types import Floats, Labels
from tests.helpers.pipelines import FULL_EFFORT, LITTLE_EFFORT, ConstantClassifier, pipeline


class Listener(ConstantClassifier):
    """Remembers the tables that it is asked about."""

    asked: ClassVar[list[pd.DataFrame]] = []

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        self.asked.append(X.copy())
        return super().predict_proba(X)


def test_importance_has_every_column_in_every_fold_and_repeat(
    rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract
) -> None:
    judged = judge_out_of_fold(pipeline(contract, LogisticRegression()), rows, y, folds, FULL_EFFORT, seed=0)
    assert judged.importance["feature"].value_counts().to_dict() == dict.fromkeys(contract.columns, 3 * 3)


def test_a_column_that_matters_comes_first_and_an_unused_one_drops_nothing(
    rows: pd.DataFrame, folds: Labels, contract: TableContract
) -> None:
    y = (rows["plan"] == "basic").to_numpy().astype(np.int64)
    stump = DecisionTreeClassifier(max_depth=1)
    judged = judge_out_of_fold(pipeline(contract, stump), rows, y, folds, FULL_EFFORT, seed=0)
    table = importance_table(judged.importance).set_index("feature")
    assert table.index[0] == "plan"
    assert table.loc["plan", "roc_auc_drop"] == pytest.approx(0.5, abs=0.1)
    assert (table.drop("plan") == 0).all(axis=None)


def test_shuffling_encoded_columns_together_is_shuffling_the_customer_column(
    rows: pd.DataFrame, y: Labels, contract: TableContract
) -> None:
    fitted = pipeline(contract, LogisticRegression()).fit(rows[:300], y[:300])
    held_out, labels = rows[300:].copy(), y[300:]
    held_out.loc[held_out.index[:5], "plan"] = "never seen in training"
    groups = encoding.encoded_columns(fitted[0])
    drops = permutation_drops(fitted[-1], fitted[:-1].transform(held_out), labels, groups, FULL_EFFORT, seed=3)

    random = np.random.default_rng(3)
    random.choice(100, size=100, replace=False)  # which rows are shuffled: all
    intact = roc_auc(labels, fitted.predict_proba(held_out)[:, 1])
    expected = []
    for feature in groups:
        for _ in range(FULL_EFFORT.repeats):
            shuffled = held_out.assign(**{feature: held_out[feature].to_numpy()[random.permutation(100)]})
            expected.append((feature, intact - roc_auc(labels, fitted.predict_proba(shuffled)[:, 1])))
    by_column = drops.groupby("feature")["drop"].apply(list).to_dict()
    assert by_column == pd.DataFrame(expected).groupby(0)[1].apply(list).to_dict()
    assert len(set(drops["drop"])) > 6


def test_importance_shuffles_no_more_rows_than_it_may(
    rows: pd.DataFrame, y: Labels, contract: TableContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listener, "asked", [])
    fitted = pipeline(contract, Listener()).fit(rows, y)
    groups = encoding.encoded_columns(fitted[0])
    encoded = fitted[:-1].transform(rows)
    permutation_drops(fitted[-1], encoded, y, groups, ImportanceEffort(repeats=2, max_rows=30), seed=0)

    intact, *shuffled = Listener.asked
    assert len(intact.index.unique()) == 30
    pd.testing.assert_frame_equal(intact, encoded.loc[intact.index])
    assert len(shuffled) == len(groups)
    assert all(len(table) == 2 * 30 for table in shuffled), "both repeats in one call"


def test_equal_seeds_shuffle_alike(rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract) -> None:
    untrained = pipeline(contract, LogisticRegression())
    first, again, other = (
        judge_out_of_fold(untrained, rows, y, folds, LITTLE_EFFORT, seed=seed).importance for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert (first["drop"] != other["drop"]).mean() > 0.5


def test_the_importance_table_gives_mean_and_spread_by_falling_mean() -> None:
    drops = pd.DataFrame({"feature": ["a", "b", "c", "a", "b", "c"], "drop": [0.0, 0.1, 0.0, 0.0, 0.3, 0.0]})
    table = importance_table(drops)
    assert table["feature"].tolist() == ["b", "a", "c"]
    assert table["roc_auc_drop"].tolist() == pytest.approx([0.2, 0, 0])
    assert table["roc_auc_drop_sd"].tolist() == pytest.approx([0.2 / np.sqrt(2), 0, 0])
