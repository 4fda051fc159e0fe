"""One fitted object from customer columns to the decision, the same wherever it is loaded."""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from churn import files
from churn.config.contract import TableContract
from churn.metrics.profit import NOBODY
from churn.model import encoding
from churn.model.cross_validation import untrained_pipeline
from churn.model.decision import assemble_decision, churn_probability, pipeline_of
from churn.table.parsing import parse_table
from churn.types import Floats, Labels
from tests.helpers.pipelines import pipeline

CLASSIFIERS = [
    LogisticRegression(),
    RandomForestClassifier(n_estimators=10, random_state=0),
    HistGradientBoostingClassifier(max_iter=20, early_stopping=False),
    GaussianNB(),
    KNeighborsClassifier(),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a stage."""
    with threadpool_limits(1):
        yield


@dataclass(frozen=True)
class Customers:
    """Rows as preprocess leaves them, clean and encoded, both read back from their files."""

    rows: pd.DataFrame
    y: Labels
    encoders: Any
    scaler: Any
    X: pd.DataFrame

    def decision(self, classifier: BaseEstimator, threshold: float = 0.3) -> FixedThresholdClassifier:
        fitted = clone(classifier).fit(self.X, self.y)
        return assemble_decision(self.encoders, self.scaler, fitted, threshold)


@pytest.fixture
def processed(customers: pd.DataFrame, contract: TableContract, tmp_path: Path) -> Customers:
    table, _ = parse_table(customers, contract)
    rows = table[list(contract.columns)].rename_axis("row_key")
    encoders, scaler = encoding.make_encoders(contract.columns), encoding.make_scaler(contract.columns)
    scaler.fit(encoders.fit_transform(rows))
    files.write_rows(tmp_path / "rows.csv", rows)
    files.write_table(tmp_path / "X.csv", encoding.encode(encoders, scaler, rows))
    return Customers(
        rows=files.read_rows(tmp_path / "rows.csv", encoding.column_types(encoders)),
        y=(customers["gone"] == "yes").to_numpy().astype(np.int64),
        encoders=encoders,
        scaler=scaler,
        X=files.read_features(tmp_path / "X.csv"),
    )


class HalfPrecision(LogisticRegression):  # type: ignore[misc]  # scikit-learn comes without types
    """Probabilities of 32 bits, as XGBoost gives them: here 0.7 for everybody."""

    def predict_proba(self, X: pd.DataFrame) -> Any:
        return np.tile(np.array([0.3, 0.7], dtype=np.float32), (len(X), 1))


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_raw_rows_and_processed_rows_give_the_same_bits(classifier: BaseEstimator, processed: Customers) -> None:
    decision = processed.decision(classifier)
    from_raw = churn_probability(decision, processed.rows)
    from_processed = pipeline_of(decision)[-1].predict_proba(processed.X)[:, 1]
    assert from_raw.tobytes() == from_processed.tobytes()
    assert len(np.unique(from_raw)) > 5


def test_a_row_gets_the_same_bits_alone_as_among_others(processed: Customers) -> None:
    decision = processed.decision(HistGradientBoostingClassifier(max_iter=20, early_stopping=False))
    together = churn_probability(decision, processed.rows)
    alone = [churn_probability(decision, processed.rows.iloc[[place]])[0] for place in range(10)]
    assert together[:10].tolist() == alone


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda one: type(one).__name__)
def test_contacts_whoever_reaches_the_threshold(
    classifier: BaseEstimator, threshold: float, processed: Customers
) -> None:
    decision = processed.decision(classifier, threshold)
    probability = churn_probability(decision, processed.rows)
    assert decision.predict(processed.rows).tolist() == (probability >= threshold).astype(int).tolist()


def test_a_probability_that_is_the_threshold_is_contacted(processed: Customers) -> None:
    classifier = LogisticRegression().fit(processed.X, processed.y)
    threshold = float(classifier.predict_proba(processed.X)[17, 1])
    assert processed.decision(classifier, threshold).predict(processed.rows)[17] == 1
    assert processed.decision(classifier, np.nextafter(threshold, 1)).predict(processed.rows)[17] == 0


def test_probabilities_of_32_bits_are_held_to_the_whole_threshold(processed: Customers) -> None:
    decision = processed.decision(HalfPrecision(), 0.7)  # 0.7 in 32 bits is less than 0.7
    probability = churn_probability(decision, processed.rows)
    assert probability.dtype == np.float64
    assert not (probability >= decision.threshold).any()
    assert not decision.predict(processed.rows).any()


def test_the_threshold_for_nobody_contacts_nobody_even_at_probability_one(processed: Customers) -> None:
    sure = DecisionTreeClassifier(random_state=0)
    decision = processed.decision(sure, NOBODY)
    assert churn_probability(decision, processed.rows).max() == 1
    assert not decision.predict(processed.rows).any()


def test_assembling_changes_nothing_of_the_fitted_parts(processed: Customers) -> None:
    classifier = LogisticRegression().fit(processed.X, processed.y)
    before = joblib.hash([processed.encoders, processed.scaler, classifier])
    decision = assemble_decision(processed.encoders, processed.scaler, classifier, 0.3)
    assert joblib.hash([step for _, step in pipeline_of(decision).steps]) == before


def test_cross_validating_the_model_refits_encoding_and_classifier(processed: Customers) -> None:
    classifier = HistGradientBoostingClassifier(max_iter=20, early_stopping=False)
    decision = processed.decision(classifier)
    untrained = untrained_pipeline(processed.encoders, processed.scaler, classifier)
    of_model, of_pipeline = (
        cross_val_score(one, processed.rows, processed.y, scoring="roc_auc", cv=3) for one in (decision, untrained)
    )
    assert of_model.tolist() == of_pipeline.tolist()
    assert of_model.mean() < roc_auc_score(processed.y, churn_probability(decision, processed.rows))


def test_a_model_fitted_to_other_labels_knows_nothing_of_the_first_ones(processed: Customers) -> None:
    decision = processed.decision(HistGradientBoostingClassifier(max_iter=20, early_stopping=False))
    other = clone(decision).fit(processed.rows, 1 - processed.y)
    assert roc_auc_score(processed.y, other.predict_proba(processed.rows)[:, 1]) < 0.5
    assert roc_auc_score(processed.y, churn_probability(decision, processed.rows)) > 0.5


def test_an_unfitted_copy_has_learned_nothing(processed: Customers) -> None:
    copy = clone(processed.decision(LogisticRegression()))
    with pytest.raises(NotFittedError):
        copy.predict_proba(processed.rows)
    assert not hasattr(copy.estimator, "n_features_in_")


def test_parameters_of_the_classifier_are_reached_and_the_threshold_is_one_of_them(processed: Customers) -> None:
    decision = processed.decision(LogisticRegression(C=0.5), threshold=0.3)
    assert decision.get_params()["estimator__classifier__C"] == 0.5
    assert decision.get_params()["threshold"] == 0.3
    refitted = clone(decision).set_params(estimator__classifier__C=1e-6).fit(processed.rows, processed.y)
    assert np.ptp(churn_probability(refitted, processed.rows)) < 0.01
    assert refitted.threshold == 0.3


def test_a_model_of_an_earlier_version_is_read_as_before(processed: Customers) -> None:
    decision = processed.decision(LogisticRegression())
    fitted = FrozenEstimator(pipeline_of(decision))
    earlier = FixedThresholdClassifier(fitted, threshold=0.3, pos_label=1).fit(processed.rows, processed.y)
    assert churn_probability(earlier, processed.rows).tolist() == churn_probability(decision, processed.rows).tolist()
    assert pipeline_of(earlier) is not earlier.estimator_


def test_order_of_columns_and_columns_besides_change_nothing(processed: Customers) -> None:
    decision = processed.decision(LogisticRegression())
    other = processed.rows[processed.rows.columns[::-1]].assign(note="seen today")
    assert churn_probability(decision, other).tobytes() == churn_probability(decision, processed.rows).tobytes()


def test_a_new_label_and_a_gap_are_scored(processed: Customers) -> None:
    decision = processed.decision(HistGradientBoostingClassifier(max_iter=20, early_stopping=False))
    new = processed.rows.iloc[:3].assign(plan="launched today", fee=np.nan)
    assert np.isfinite(churn_probability(decision, new)).all()


SCORE = """\
import importlib.util, sys
import joblib, pandas
assert importlib.util.find_spec("churn") is None
table, *models = sys.argv[1:]
for model in models:
    print(*map(float.hex, joblib.load(model).predict_proba(pandas.read_csv(table))[:, 1].tolist()))
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Python of another environment: all installed packages are there, this one is not."""
    environment = tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    place = sysconfig.get_path("purelib", "venv", vars={"base": str(environment)})
    # An editable install is a .pth file, and those of a folder that is itself named by one are not followed.
    Path(place, "installed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return Path(sysconfig.get_path("scripts", "venv", vars={"base": str(environment)}), "python")


@pytest.mark.slow
def test_the_pickled_model_scores_a_plain_table_without_this_package(
    elsewhere: Path, processed: Customers, customers: pd.DataFrame, tmp_path: Path
) -> None:
    customers.to_csv(tmp_path / "customers.csv", index=False)
    models: dict[Path, Floats] = {}
    for classifier in CLASSIFIERS:
        decision = processed.decision(classifier)
        path = tmp_path / f"{type(classifier).__name__}.pkl"
        files.write_pickle(path, decision)
        models[path] = churn_probability(decision, processed.rows)

    command: list[str | Path] = [elsewhere, "-I", "-c", SCORE, tmp_path / "customers.csv", *models]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert not done.returncode, done.stderr
    expected = [" ".join(map(float.hex, probability.tolist())) for probability in models.values()]
    assert done.stdout.splitlines() == expected


def test_the_other_environment_cannot_import_this_package(elsewhere: Path) -> None:
    done = subprocess.run([elsewhere, "-I", "-c", "import churn"], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: No module named 'churn'" in done.stderr


MULTIPLYING = [LogisticRegression(), MLPClassifier(hidden_layer_sizes=(7,), max_iter=20, tol=1)]
"""Classifiers that multiply matrices: BLAS computes the last rows differently, which shows in the last bits."""


@pytest.mark.parametrize("classifier", MULTIPLYING, ids=lambda one: type(one).__name__)
def test_a_row_gets_the_same_bits_alone_and_among_any_number_of_others(
    rows: pd.DataFrame, y: Labels, contract: TableContract, classifier: BaseEstimator
) -> None:
    fitted = pipeline(contract, classifier).fit(rows, y).named_steps
    decision = assemble_decision(fitted["encoders"], fitted["scaler"], fitted["classifier"], 0.5)
    expected = churn_probability(decision, rows)
    for count in (1, 2, 3, 5, 7, 15, 16, 17, 33, 100):
        assert churn_probability(decision, rows[:count]).tolist() == expected[:count].tolist(), count
