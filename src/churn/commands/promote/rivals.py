"""Opponents of the challenger: the champion; before there is one, a baseline model and two trivial policies."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from churn import files
from churn.commands.promote.challenger import JudgedState, answers_of, files_of_state, judge_state
from churn.commands.promote.gates import Rival
from churn.errors import OF_THE_MOMENT, ChurnError, DataError
from churn.history.git import GitRefusalError
from churn.history.predictions.of_states import MissingError
from churn.history.snapshot import state_in_git
from churn.history.vouching import require_vouched
from churn.metrics import paired, profit
from churn.metrics.paired import ModelAnswers
from churn.model import cross_validation, encoding, estimators
from churn.runtime import limited_threads
from churn.table import splits
from churn.tracking.ledger import Entry

if TYPE_CHECKING:
    from churn.tracking.store.registry import Registry

BASELINE = ("sklearn.linear_model.LogisticRegression", {"max_iter": 1000})
"""Baseline that the first champion must beat: the simplest model."""


def rivals_of(
    root: Path, challenger: JudgedState, present: Entry | None, registry: "Registry", named: Sequence[str]
) -> list[Rival]:
    """The champion; before there is one, a baseline model and the contact-everyone and contact-no-one policies."""
    if present is not None:
        champion = _champion(root, present, registry)
        require_vouched(root, champion.state, named, f"the champion (version {present.judgement.version})")
        return [_rival("the champion", champion.training, _champion_on_test_rows(champion, challenger), challenger)]
    alike = {"contacting everyone": True, "contacting no one": False}
    plain = [
        _rival(
            name,
            _same_decision_for_all(challenger.training, called),
            _same_decision_for_all(challenger.test, called),
            challenger,
        )
        for name, called in alike.items()
    ]
    if challenger.section("train")["estimator"] == BASELINE[0]:
        return plain
    return [_rival("logistic regression", *_baseline(challenger), challenger), *plain]


def _champion(root: Path, present: Entry, registry: "Registry") -> JudgedState:
    fingerprint = present.judgement.fingerprint
    if not fingerprint:
        version = present.judgement.version
        raise DataError(
            f"version {version}, the champion, was not made by this pipeline, so nothing can be compared with it"
        )
    if state_in_git(root, fingerprint) is None:
        raise DataError(
            f"no commit in this clone has the champion's state {fingerprint}; `git fetch --tags` may get it, once the "
            "person who promoted it has pushed its tag"
        )
    number = registry.number_of(present)
    md5 = registry.model_md5_of(number) if number else None
    try:
        return judge_state(root, fingerprint, md5)
    except (MissingError, GitRefusalError):
        raise
    except ChurnError as error:  # permanent: it can never be evaluated
        raise DataError(str(error)) from None


def _champion_on_test_rows(champion: JudgedState, challenger: JudgedState) -> ModelAnswers:
    """Predictions of the champion for the challenger's test rows that it was not trained on.

    They need not be in its own test set: tables grow, and with a time-based split the test set moves.

    Raises:
        DataError: there are none, or its model cannot be loaded, does not accept such rows, or fails.
        MissingError: its model cannot be loaded here and now.
    """
    keys = challenger.test.churned.index
    unseen = keys[~keys.isin(champion.training.churned.index)]
    if unseen.empty:
        raise DataError(
            "the champion was trained on every test row of the challenger, so none is left to compare them on"
        )
    with files_of_state(champion, files.MODEL) as model, files_of_state(challenger, files.TEST_ROWS) as rows:
        try:
            asked = files.read_pickle(model / files.MODEL, {champion.model_md5})
            probability, contacted = answers_of(asked, rows / files.TEST_ROWS)
        except Exception as error:  # a pickle runs code, so it can fail in any way
            cause = error.__cause__ or error
            why = textwrap.shorten(str(cause), 200, placeholder="...")
            told = f"the champion's model cannot score these rows: {type(cause).__name__}: {why}"
            raise (MissingError if isinstance(cause, OF_THE_MOMENT) else DataError)(told) from error
    return ModelAnswers(challenger.test.churned.loc[unseen], probability.loc[unseen], contacted.loc[unseen])


def _rival(name: str, training: ModelAnswers, test: ModelAnswers, challenger: JudgedState) -> Rival:
    return Rival(
        name,
        paired.pair_up(training, challenger.training),
        paired.pair_up(test, challenger.test, "test rows"),
        is_model=training.contacted.nunique() > 1,
    )


def _same_decision_for_all(judged: ModelAnswers, contacted: bool) -> ModelAnswers:
    same = pd.Series(contacted, index=judged.churned.index)
    return ModelAnswers(judged.churned, same.astype(float), same)


def _baseline(challenger: JudgedState) -> tuple[ModelAnswers, ModelAnswers]:
    """Predictions of the baseline, trained on the challenger's training rows: out-of-fold, and for the test rows."""
    compute, how, economics = challenger.section("compute"), challenger.section("train"), challenger.economics
    with files_of_state(challenger, files.ENCODERS, files.SCALER, files.TRAIN_ROWS, files.TEST_ROWS) as at:
        vouched = frozenset(filter(None, challenger.state.results.values()))
        encoders = files.read_pickle(at / files.ENCODERS, vouched)
        scaler = files.read_pickle(at / files.SCALER, vouched)
        types = encoding.column_types(encoders)
        rows = files.read_rows(at / files.TRAIN_ROWS, types)
        test_rows = files.read_rows(at / files.TEST_ROWS, types)
    churned = challenger.training.churned.loc[rows.index]
    y = churned.to_numpy()
    folds = splits.fold_of(rows.index, str(compute["seed"]), how["folds"])
    with limited_threads(compute["threads"]):
        classifier = estimators.make_classifier(*BASELINE, seed=compute["seed"], threads=compute["threads"])
        plain = cross_validation.untrained_pipeline(encoders, scaler, classifier)
        probability = np.full(len(y), np.nan)
        for fold in np.unique(folds):
            inside = folds == fold
            probability[inside] = cross_validation.judge_fold(plain, rows, y, inside).probability
        tested = pd.Series(plain.fit(rows, y).predict_proba(test_rows)[:, 1], index=test_rows.index)
    contacted = profit.contacted_out_of_fold(y, probability, folds, how["threshold"], economics)
    threshold = profit.choose_threshold(y, probability, how["threshold"], economics)
    return (
        ModelAnswers(churned, pd.Series(probability, rows.index), pd.Series(contacted, rows.index)),
        ModelAnswers(challenger.test.churned.loc[test_rows.index], tested, tested >= threshold),
    )
