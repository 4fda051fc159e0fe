"""Judge a challenger by the outcomes of customers that it scored in shadow, beside the champion that decided.

Only the log of the service counts: its scores were made before the outcomes, by a model that was fitted already. A
table that is scored afterwards could hold outcomes that the challenger has learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn import files
from churn.commands.monitor.outcomes import join_scores
from churn.commands.promote.challenger import JudgedState
from churn.commands.promote.gates import Challenge, Rival
from churn.config.params import Params, load_params
from churn.errors import ChurnError, DataError
from churn.history.predictions.of_states import content_of
from churn.metrics.paired import Pair, PairedAnswers
from churn.monitoring.models import threshold_in
from churn.monitoring.outcomes import KNOWN

FEWEST_KNOWN = 200
"""Customers scored by both models, with known outcome, below which a challenger is not judged."""


@dataclass(frozen=True)
class OutcomeEvidence:
    """Where outcomes and the log of the service are."""

    table: Path
    logs: tuple[Path, ...]
    known_until: str | None


@dataclass(frozen=True)
class LiveScores:
    """Both models on the customers whose outcome is known; in the pair, the champion is the old side."""

    pair: Pair
    probability: NDArray[np.float64]


def live_scores(evidence: OutcomeEvidence, params: Params, challenger: JudgedState, champion: str) -> LiveScores:
    """Scores of champion and challenger for the same customers, with outcomes.

    Raises:
        DataError: too few are known, or they are all churners or all stayers.
        ChurnError: the log or the table cannot be read.
    """
    for log in evidence.logs:
        if not log.is_dir():
            raise ChurnError(f"--by-outcomes: {log}: is no log of the service; only scores made at the time are judged")
    scores = join_scores(evidence.table, evidence.logs, params, evidence.known_until).scores
    both = scores[
        (scores["status"] == KNOWN)
        & (scores["fingerprint"] == champion)
        & (scores["shadow_fingerprint"] == challenger.state.fingerprint)
    ]
    churned = both["churned"].to_numpy(dtype=np.int64)
    if len(both) < FEWEST_KNOWN or len(np.unique(churned)) < 2:
        raise DataError(
            f"{', '.join(map(str, evidence.logs))}: {len(both):,} customers with known outcome, {int(churned.sum()):,} "
            f"of them churners, were scored by the champion and, in shadow, by {challenger.name}; {FEWEST_KNOWN} with "
            "both outcomes are needed (`churn serve --champion --shadow challenger --log FOLDER`)"
        )
    threshold = threshold_in(content_of(challenger.state, challenger.name, files.TRAIN_METRICS))
    shadow = both["shadow_probability"].to_numpy(dtype=np.float64)
    pair = Pair(
        keys=_keys(both),
        churned=churned,
        old=PairedAnswers(both["probability"].to_numpy(dtype=np.float64), both["contact"].to_numpy(dtype=bool)),
        new=PairedAnswers(shadow, shadow >= threshold),
        only_old=len(scores) - len(both),
        only_new=0,
        contradicted=0,
    )
    return LiveScores(pair, shadow)


def _keys(both: pd.DataFrame) -> pd.Index:
    """A key for each customer and month; it begins with the customer's, so that the months are resampled together."""
    names: Sequence[str] = [f"{key}-{month}" for key, month in zip(both["row_key"], both["cohort"], strict=True)]
    return pd.Index(names)


def live_challenge(root: Path, found: LiveScores, challenger: JudgedState, attempt: int) -> Challenge:
    """The challenge on these customers; their columns are not in every log, so no slices are judged."""
    return Challenge(
        rivals=[Rival("the champion", found.pair, None, is_model=True)],
        churned=found.pair.churned,
        probability=found.probability,
        slices=pd.DataFrame(index=found.pair.keys),
        economics=challenger.economics,
        folds=challenger.section("train")["folds"],
        attempt=attempt,
        selection=None,
        calibration_bins=challenger.section("evaluate")["calibration_bins"],
        max_calibration_error=load_params(root).promote.max_calibration_error,
        evidence="by outcomes",
    )
