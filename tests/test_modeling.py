"""Any classifier by import path, judged on rows that it has not seen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from churn import features
from churn.business import Floats, Labels
from churn.contract import TableContract
from churn.errors import DataError, ParameterError
from churn.modeling import (
    ImportanceEffort,
    fit_classifier,
    importance_table,
    judge_out_of_fold,
    make_classifier,
    permutation_drops,
    untrained_pipeline,
)
from churn.schema import parse_table
from churn.scores import PROBABILITY_SCORES, probability_scores, roc_auc

FOREST = "sklearn.ensemble.RandomForestClassifier"
UNUSABLE = "is not a classifier with predict_proba; name one that gives probabilities, such as "
LITTLE_EFFORT = ImportanceEffort(repeats=2, max_rows=50)
FULL_EFFORT = ImportanceEffort(repeats=3, max_rows=10_000)


class LibraryError(Exception):
    """As LightGBMError and CatBoostError are: no ValueError."""


# scikit-learn comes without types, hence the ignored subclassing of it.
class ConstantClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Half a chance for everybody; what the libraries below have in common."""

    def fit(self, X: pd.DataFrame, y: Labels) -> Self:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        return np.full((len(X), 2), 0.5)


class LikeXGBoost(ConstantClassifier):
    """Few arguments in the signature, the rest in **kwargs and get_params."""

    def __init__(self, *, depth: int = 3, **kwargs: Any) -> None:
        self.depth = depth
        self.kwargs = kwargs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"depth": self.depth, "random_state": None, "n_jobs": None, **self.kwargs}


class LikeLightGBM(ConstantClassifier):
    """All arguments in the signature, aliases of them in **kwargs, an exception of its own at fit."""

    def __init__(
        self, num_leaves: int = 31, random_state: int | None = None, n_jobs: int | None = None, **kwargs: Any
    ) -> None:
        self.num_leaves = num_leaves
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.kwargs = kwargs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_leaves", "random_state", "n_jobs")} | self.kwargs

    def fit(self, X: pd.DataFrame, y: Labels) -> Self:
        if self.num_leaves < 2:
            raise LibraryError(f"Check failed: (num_leaves) > (1) at config.cpp,\nnum_leaves={self.num_leaves}")
        super().fit(X, y)
        return self


class LikeCatBoost(ConstantClassifier):
    """Two names for one argument, and an exception of its own when both are given."""

    def __init__(
        self, random_seed: int | None = None, random_state: int | None = None, thread_count: int | None = None
    ) -> None:
        if random_seed is not None and random_state is not None:
            raise LibraryError("only one of the parameters random_seed, random_state should be initialized")
        self.random_seed = random_seed
        self.random_state = random_state
        self.thread_count = thread_count


class Memoriser(ConstantClassifier):
    """Certain of churn for the rows it was fitted on, and of no other."""

    def fit(self, X: pd.DataFrame, y: Labels) -> Self:
        self.classes_ = np.unique(y)
        self.seen_ = {tuple(row) for row in X.to_numpy()}
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        seen = np.array([tuple(row) in self.seen_ for row in X.to_numpy()], dtype=float)
        return np.column_stack([1 - seen, seen])


class Listener(ConstantClassifier):
    """Remembers the tables that it is asked about."""

    asked: ClassVar[list[pd.DataFrame]] = []

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        self.asked.append(X.copy())
        return super().predict_proba(X)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a stage."""
    with threadpool_limits(1):
        yield


def here(name: str) -> str:
    return f"{__name__}.{name}"


@pytest.fixture
def rows(customers: pd.DataFrame, contract: TableContract) -> pd.DataFrame:
    table, faults = parse_table(customers, contract)
    assert not faults
    return table[list(contract.columns)]


@pytest.fixture
def y(customers: pd.DataFrame) -> Labels:
    return (customers["gone"] == "yes").to_numpy().astype(np.int64)


@pytest.fixture
def folds(rows: pd.DataFrame) -> Labels:
    return np.arange(len(rows)) % 3


def pipeline(contract: TableContract, classifier: BaseEstimator) -> Pipeline:
    encoders, scaler = features.make_encoders(contract.columns), features.make_scaler(contract.columns)
    return untrained_pipeline(encoders, scaler, classifier)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("sklearn.linear_model.LogisticRegression", {"C": 0.5}),
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5}),
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5, "early_stopping": False}),
        ("sklearn.naive_bayes.GaussianNB", {}),
        ("sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 7}),
        (here("LikeXGBoost"), {"depth": 2, "gamma": 0.1}),
        (here("LikeLightGBM"), {"num_leaves": 4, "verbose": -1}),
        (here("LikeCatBoost"), {}),
    ],
)
def test_a_classifier_by_import_path_gives_probabilities(
    path: str, arguments: dict[str, Any], rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract
) -> None:
    classifier = make_classifier(path, arguments, seed=7, threads=1)
    assert arguments.items() <= classifier.get_params().items()
    judged = judge_out_of_fold(pipeline(contract, classifier), rows, y, folds, LITTLE_EFFORT, seed=0)
    assert ((judged.probability >= 0) & (judged.probability <= 1)).all()


def test_a_class_of_the_users_own_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_models.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\nclass Ours(LogisticRegression):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    classifier = make_classifier("our_models.Ours", {"C": 0.5}, seed=7, threads=1)
    assert (type(classifier).__name__, classifier.C, classifier.random_state) == ("Ours", 0.5, 7)


@pytest.mark.parametrize(
    ("path", "given", "filled"),
    [
        (FOREST, {}, {"random_state": 7, "n_jobs": 2}),
        (FOREST, {"random_state": 1, "n_jobs": 3}, {"random_state": 1, "n_jobs": 3}),
        (FOREST, {"random_state": None}, {"random_state": None, "n_jobs": 2}),
        ("sklearn.naive_bayes.GaussianNB", {}, {}),
        (here("LikeXGBoost"), {}, {"random_state": 7, "n_jobs": 2}),
        (here("LikeXGBoost"), {"seed": 1, "nthread": 3}, {"random_state": None, "seed": 1, "nthread": 3}),
        (here("LikeLightGBM"), {}, {"random_state": 7, "n_jobs": 2}),
        (here("LikeLightGBM"), {"seed": 1}, {"random_state": None, "seed": 1, "n_jobs": 2}),
        (here("LikeCatBoost"), {}, {"random_state": 7, "random_seed": None, "thread_count": 2}),
        (here("LikeCatBoost"), {"random_seed": 1}, {"random_state": None, "random_seed": 1, "thread_count": 2}),
    ],
)
def test_seed_and_threads_are_filled_in_once_unless_given(
    path: str, given: dict[str, Any], filled: dict[str, Any]
) -> None:
    made = make_classifier(path, given, seed=7, threads=2).get_params()
    assert {name: made[name] for name in filled} == filled


def test_one_thread_is_what_scikit_learn_does_unasked_and_other_libraries_are_told() -> None:
    assert make_classifier(FOREST, {}, seed=7, threads=1).n_jobs is None
    assert make_classifier(here("LikeLightGBM"), {}, seed=7, threads=1).n_jobs == 1


@pytest.mark.parametrize(
    ("path", "arguments", "told"),
    [
        ("sklearn.linear_model.LogisticRegresion", {}, "train.estimator: cannot import 'sklearn.linear_model.Logistic"),
        ("no_such_library.Model", {}, r"cannot import 'no_such_library.Model' \(ModuleNotFoundError: .*; give the imp"),
        ("LogisticRegression", {}, "train.estimator: cannot import 'LogisticRegression' .*give the import path"),
        ("..models.Ours", {}, r"train.estimator: cannot import '..models.Ours' .*give the import path"),
        ("broken_models.Ours", {}, r"train.estimator: cannot import 'broken_models.Ours' \(SyntaxError: .*line 1"),
        ("sklearn.datasets.load_iris", {}, "train.estimator: 'sklearn.datasets.load_iris' is not a class"),
        (
            "sklearn.linear_model.LinearRegression",
            {},
            f"train.estimator: .*LinearRegression {UNUSABLE}",
        ),
        (
            "sklearn.svm.LinearSVC",
            {},
            f"train.estimator: sklearn.svm.LinearSVC {UNUSABLE}",
        ),
        (
            "sklearn.linear_model.SGDClassifier",
            {"loss": "hinge"},
            f"train.estimator: .*SGDClassifier {UNUSABLE}",
        ),
        ("sklearn.mixture.GaussianMixture", {}, f"train.estimator: sklearn.mixture.GaussianMixture {UNUSABLE}"),
        ("builtins.dict", {}, f"train.estimator: builtins.dict {UNUSABLE}"),
        (FOREST, {"trees": 3}, f"train.params.trees: {FOREST} has no such argument; it accepts n_estimators, "),
        ("sklearn.ensemble.VotingClassifier", {}, "train.params: .*VotingClassifier refuses them: .* 'estimators'"),
        (
            here("LikeCatBoost"),
            {"random_seed": 1, "random_state": 2},
            r"train.params: .*LikeCatBoost refuses them: LibraryError: only one of the parameters random_seed, ",
        ),
    ],
)
def test_an_estimator_that_cannot_be_made_is_told_by_key_and_value(
    path: str, arguments: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_models.py").write_text("class Ours\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParameterError, match=f"^params.yaml: .*{told}") as refused:
        make_classifier(path, arguments, seed=7, threads=1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "arguments", "told"),
    [
        ("sklearn.linear_model.LogisticRegression", {"C": -1.0}, "LogisticRegression refuses them: .*'C' .*Got -1.0"),
        (FOREST, {"max_depth": "deep"}, "RandomForestClassifier refuses them: .*'max_depth' .*Got 'deep'"),
        (here("LikeLightGBM"), {"num_leaves": 1}, "LikeLightGBM refuses them: LibraryError: .* num_leaves=1$"),
    ],
)
def test_a_value_that_is_refused_at_the_fit_is_told_by_key_and_value(
    path: str, arguments: dict[str, Any], told: str, y: Labels
) -> None:
    classifier = make_classifier(path, arguments, seed=7, threads=1)
    with pytest.raises(ParameterError, match=f"^params.yaml: train.params: {told}") as refused:
        fit_classifier(classifier, pd.DataFrame({"months": np.arange(len(y))}), y)
    assert "\n" not in str(refused.value)


def test_fitting_leaves_the_classifier_that_was_given_unfitted(y: Labels) -> None:
    given = DecisionTreeClassifier()
    assert fit_classifier(given, pd.DataFrame({"months": np.arange(len(y))}), y) is not given
    assert not hasattr(given, "tree_")


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
        encoders, scaler = features.make_encoders(contract.columns), features.make_scaler(contract.columns)
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
    encoders, scaler = features.make_encoders(contract.columns), features.make_scaler(contract.columns)
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
    groups = features.encoded_columns(fitted[0])
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
    groups = features.encoded_columns(fitted[0])
    encoded = fitted[:-1].transform(rows)
    permutation_drops(fitted[-1], encoded, y, groups, ImportanceEffort(repeats=2, max_rows=30), seed=0)

    intact, *shuffled = Listener.asked
    assert len(intact.index.unique()) == 30
    pd.testing.assert_frame_equal(intact, encoded.loc[intact.index])
    assert len(shuffled) == 2 * len(groups)
    assert all(len(table) == 30 for table in shuffled)


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
