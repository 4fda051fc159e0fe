"""How often are the gates of `churn promote` wrong, and what do they see? Whole tables drawn anew, models fitted anew.

Each table is a bootstrap resample of the sample's training rows, so the truth is known: the same procedure on the same
customers. Champion and challengers are fitted, judged out of fold and on test rows as the pipeline does it.
Run after `dvc repro`: python -m bench.promotion [TABLES]
"""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn.commands.promote import gates
from churn.commands.promote.gates import Challenge, Rival
from churn.config.params import Params, load_params
from churn.metrics import profit
from churn.metrics.paired import ModelAnswers, pair_up
from churn.metrics.scores import decision_scores, pr_auc
from churn.model import cross_validation, estimators
from churn.runtime import limited_threads
from churn.stages.train import TrainingData, load_processed_data
from churn.table import splits
from churn.table.keys import KEY_DIGITS

TABLES = 100
FEWER_RESAMPLES = 10_000
"""Behind each interval; enough up to the fifth promotion, and there are thousands of intervals here."""
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
SOUND: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_iter": 150,
    "max_leaf_nodes": 6,
    "min_samples_leaf": 40,
    "max_features": 0.5,  # so that another seed gives another model, as good as this one
    "early_stopping": False,
}
EQUALS = 5
"""Challengers that differ from the champion by their seed alone."""
WEAKER: Mapping[str, tuple[str, dict[str, Any]]] = {
    "a tree of 12 leaves": ("sklearn.tree.DecisionTreeClassifier", {"max_leaf_nodes": 12}),
    "a tree of 5 leaves": ("sklearn.tree.DecisionTreeClassifier", {"max_leaf_nodes": 5}),
    "naive Bayes": ("sklearn.naive_bayes.GaussianNB", {}),
}


@dataclass(frozen=True)
class Model:
    """What a model said of a table's training and test rows."""

    training: ModelAnswers
    test: ModelAnswers


@dataclass(frozen=True)
class Verdicts:
    """What became of one table.

    Attributes:
        equal: whether each equally good challenger passes every gate, the k-th as promotion k on these rows.
        as_first: the same, each as if it were the first.
        plain: whether the first of them would be let in by each of the plain rules.
        better: by weaker champion: difference in profit out of fold, and whether the sound model is let in.
    """

    equal: list[bool]
    as_first: list[bool]
    plain: dict[str, bool]
    better: dict[str, tuple[float, bool]]


def fitted(data: TrainingData, params: Params, inside: np.ndarray, path: str, arguments: dict[str, Any]) -> Model:
    """Fit on the rows that are not `inside` the test, and judge both sides."""
    seed = arguments.pop("random_state", params.compute.seed)
    classifier = estimators.make_classifier(path, arguments, seed=seed, threads=params.compute.threads)
    plain = cross_validation.untrained_pipeline(data.encoders, data.scaler, classifier)
    rows, y = data.rows[~inside], data.y[~inside]
    folds = splits.fold_of(rows.index, str(params.compute.seed), params.train.folds)
    probability = np.full(len(y), np.nan)
    for fold in range(params.train.folds):
        probability[folds == fold] = cross_validation.judge_fold(plain, rows, y, folds == fold).probability
    contacted = profit.contacted_out_of_fold(y, probability, folds, "profit", params.business)
    threshold = profit.most_profitable_threshold(y, probability, params.business)
    tested = plain.fit(rows, y).predict_proba(data.rows[inside])[:, 1]
    return Model(_judged(rows.index, y, probability, contacted), _judged_at(data, inside, tested, threshold))


def _judged_at(data: TrainingData, inside: np.ndarray, probability: np.ndarray, threshold: float) -> ModelAnswers:
    return _judged(data.rows.index[inside], data.y[inside], probability, probability >= threshold)


def _judged(keys: pd.Index, churned: np.ndarray, probability: np.ndarray, contacted: np.ndarray) -> ModelAnswers:
    return ModelAnswers(*(pd.Series(values, index=_numbered(keys)) for values in (churned, probability, contacted)))


def _numbered(keys: pd.Index) -> pd.Index:
    """Who was drawn twice has a repeat number, as equal customers have."""
    base = pd.Series(keys.str[:KEY_DIGITS])
    return pd.Index(base + "-" + base.groupby(base).cumcount().astype(str))


def drawn(data: TrainingData, table: int) -> TrainingData:
    """A resample of the customers; who is drawn twice is on one side and in one fold, as equal customers are."""
    places = np.random.default_rng(table).integers(0, len(data.y), len(data.y))
    return TrainingData(data.rows.iloc[places], data.X.iloc[places], data.y[places], data.encoders, data.scaler)


def challenge(params: Params, rows: pd.DataFrame, champion: Model, challenger: Model, attempt: int) -> Challenge:
    """As `churn promote` puts it together."""
    rival = Rival(
        "the champion",
        pair_up(champion.training, challenger.training),
        pair_up(champion.test, challenger.test),
        is_model=True,
    )
    return Challenge(
        rivals=[rival],
        churned=challenger.training.churned.to_numpy(),
        probability=challenger.training.probability.to_numpy(),
        slices=rows[list(params.evaluate.slices)].astype(str).set_axis(_numbered(rows.index)),
        economics=params.business,
        folds=params.train.folds,
        attempt=attempt,
        selection=None,
        calibration_bins=params.evaluate.calibration_bins,
        max_calibration_error=params.promote.max_calibration_error,
    )


def is_let_in(given: Challenge) -> bool:
    """Whether every gate is open."""
    return all(gate.passed for gate in gates.judge(given))


def plain_rules(champion: Model, challenger: Model) -> Iterator[tuple[str, bool]]:
    """Rules that are common elsewhere, on the test rows."""
    old, new = champion.test, challenger.test
    churned = old.churned.to_numpy()
    f1 = [decision_scores(churned, one.contacted.to_numpy())["f1"] for one in (old, new)]
    area = [pr_auc(churned, one.probability.to_numpy()) for one in (old, new)]
    yield "F1 at least as high", f1[1] >= f1[0]
    yield "F1 higher by 0.01", f1[1] >= f1[0] + 0.01
    yield "PR-AUC at least as high", area[1] >= area[0]
    yield "PR-AUC higher by 0.01", area[1] >= area[0] + 0.01


def judge(data: TrainingData, params: Params, table: int) -> Verdicts:
    """One table: fit everything on it, and ask the gates."""
    resample = drawn(data, table)
    inside = splits.is_test(resample.rows.index, f"promotion {table}", params.preprocess.test_share)
    fit = partial(fitted, resample, params, inside)
    rows = resample.rows[~inside]
    sound = [fit(BOOSTING, SOUND | {"random_state": seed}) for seed in range(EQUALS + 1)]
    champion, *equals = sound
    better = {}
    for name, (path, arguments) in WEAKER.items():
        given = challenge(params, rows, fit(path, dict(arguments)), champion, attempt=1)
        (found,) = gates.earns_more(given)
        better[name] = (found.figures["difference"], is_let_in(given))
    return Verdicts(
        equal=[is_let_in(challenge(params, rows, champion, one, k)) for k, one in enumerate(equals, start=1)],
        as_first=[is_let_in(challenge(params, rows, champion, one, 1)) for one in equals],
        plain=dict(plain_rules(champion, equals[0])),
        better=better,
    )


def _judge_one(params: Params, table: int) -> Verdicts:
    gates.RESAMPLES = FEWER_RESAMPLES
    with limited_threads(params.compute.threads):
        return judge(load_processed_data(Path()), params, table)


def main() -> None:
    """Print a line for each rule and each weaker champion."""
    params = load_params(Path())
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else TABLES
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(partial(_judge_one, params), range(tables)))
    print(
        f"{tables} tables of {len(load_processed_data(Path()).y):,} customers, drawn from the sample's training rows\n"
    )
    print("An equally good challenger (another seed) is promoted by")
    rates: dict[str, list[Any]] = {
        "churn promote": [np.mean(one.as_first) for one in found],
        f"churn promote, one of {EQUALS} challengers in turn": [any(one.equal) for one in found],
        f"the same, were the interval not widened, one of {EQUALS}": [any(one.as_first) for one in found],
        **{rule: [one.plain[rule] for one in found] for rule in found[0].plain},
    }
    for name, let_in in rates.items():
        print(f"  {100 * np.mean(let_in):5.1f} %  {name}")
    print("\nA better challenger is promoted, when the champion is")
    for name in WEAKER:
        difference = np.mean([one.better[name][0] for one in found])
        seen = np.mean([one.better[name][1] for one in found])
        print(f"  {100 * seen:5.1f} %  {name} ({difference:+,.0f} EUR per 1,000 customers, on average)")


if __name__ == "__main__":
    main()
