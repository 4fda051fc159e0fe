"""Checks for columns that leak the outcome: by predictive power, as a function of it, or by name."""

from collections.abc import Iterator

import numpy as np
from scipy.special import gammaln

from churn.audit.columns import Codes
from churn.audit.view import ROWS_TO_COMPARE, AuditFinding, AuditView
from churn.metrics.scores import counts_by_probability, pairs_in_order
from churn.table.column_names import words_of
from churn.types import Floats

ROWS_TO_PREDICT = 100_000

PLAUSIBLE_AUC = 0.8
"""Plausible ROC-AUC without a leak: a column above the limit must also be significantly above this value."""
NORMAL_95 = 1.645
"""One-sided 95% quantile of the normal distribution."""
BINS = 32
SMOOTHING = 5.0
"""Number of pseudo-rows with the overall churn rate that are added to each bin."""

CHANCE_OF_FUNCTION = 1e-4
NEAR_COPY = 0.7
"""Phi coefficient (Pearson 1904) of outcome and prediction above which a column counts as a near copy."""

WORDS_OF_THE_END = (
    "closed",
    "closing",
    "cancel",
    "canceled",
    "cancelled",
    "cancellation",
    "terminated",
    "termination",
    "exit",
    "exited",
    "survey",
    "refund",
    "reason",
    "score",
    "churn",
    "churned",
    "left",
    "leaving",
    "winback",
    "win_back",
    "retention",
    "final",
    "end_date",
    "deactivated",
)
"""Words in names of columns that are often known only after a customer has left; several words are joined by _."""


def predicts_alone(view: AuditView) -> Iterator[AuditFinding]:
    """Find columns whose out-of-fold ROC-AUC alone is implausibly high."""
    rows = view.every(ROWS_TO_PREDICT)
    churned, folds = view.audited.churned[rows], view.audited.folds[rows]
    left = int(churned.sum())
    stayed = len(churned) - left
    if not left or not stayed:
        return
    limit = view.contract.audit.max_column_auc
    plausible = min(PLAUSIBLE_AUC, limit)
    least = max(limit, plausible + NORMAL_95 * _auc_error(plausible, left, stayed))
    count = int(np.clip(np.sqrt(len(churned)), 4, BINS))
    for column in view.columns:
        auc = _held_out_auc(column.bins(rows, count), churned, folds)
        if column.kind == "numeric":
            auc = max(auc, _held_out_order_auc(column.train.iloc[rows].to_numpy(dtype=np.float64), churned, folds))
        if auc > least:
            gaps = column.train.iloc[rows].isna().to_numpy().astype(np.int64)
            by_gaps = _held_out_auc(gaps, churned, folds) if gaps.any() else 0.5
            also = f"; whether the value is missing alone gives {by_gaps:.3f}" if by_gaps > limit else ""
            evidence = f"its out-of-fold ROC-AUC alone is {auc:.3f} (data.audit.max_column_auc: {limit:g}){also}"
            yield AuditFinding("predicts_alone", "fail", (column.name,), evidence)


def _held_out_auc(bins: Codes, churned: Codes, folds: Codes) -> float:
    """ROC-AUC of out-of-fold churn rates per bin, over pairs within the same fold.

    Pairs across folds would bias it below 0.5: if a fold has many churners, the rate of the other folds is low.
    """
    churners, stayers, rates = _held_out_rates(bins, churned, folds)
    ordered = pairs = 0.0
    for here, there, rate in zip(churners, stayers, rates, strict=True):
        tie = np.unique(rate.round(12), return_inverse=True)[1]
        won, lost = (np.bincount(tie, side).astype(np.float64) for side in (here, there))
        ordered += float(pairs_in_order(won, lost))
        pairs += float(here.sum() * there.sum())
    return ordered / pairs if pairs else 0.5


def _held_out_order_auc(values: Floats, churned: Codes, folds: Codes) -> float:
    """ROC-AUC within folds of the values themselves, with the sign from the other folds; missing values get the median.

    Complements `_held_out_auc`, whose bins are too coarse for few customers.
    """
    if np.isnan(values).all():
        return 0.5
    filled = np.where(np.isnan(values), np.nanmedian(values), values)
    upwards, pairs = np.zeros(int(folds.max()) + 1), np.zeros(int(folds.max()) + 1)
    for fold in np.flatnonzero(np.bincount(folds)):
        inside = np.flatnonzero(folds == fold)
        churners, stayers = counts_by_probability(churned[inside], filled[inside])
        pairs[fold] = churners.sum() * stayers.sum()
        upwards[fold] = pairs_in_order(churners, stayers)
    lean = np.sign(upwards.sum() - upwards - (pairs.sum() - pairs) / 2)
    ordered = pairs / 2 + lean * (upwards - pairs / 2)
    return float(ordered.sum() / pairs.sum()) if pairs.any() else 0.5


def _held_out_rates(bins: Codes, churned: Codes, folds: Codes) -> tuple[Floats, Floats, Floats]:
    """Churners, stayers, and smoothed churn rate of the bin in the other folds, each of shape (folds, bins)."""
    shape = (int(folds.max()) + 1, int(bins.max()) + 1)
    cells = folds * shape[1] + bins
    size = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    churners = np.bincount(cells, churned, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    others, others_left = size.sum(axis=0) - size, churners.sum(axis=0) - churners
    overall = others_left.sum(axis=1, keepdims=True) / np.maximum(1, others.sum(axis=1, keepdims=True))
    stayers: Floats = size - churners
    return churners, stayers, (others_left + SMOOTHING * overall) / (others + SMOOTHING)


def _auc_error(auc: float, left: int, stayed: int) -> float:
    """Standard error of a ROC-AUC (Hanley and McNeil 1982)."""
    above, below = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (left - 1) * (above - auc**2) + (stayed - 1) * (below - auc**2)
    return float(np.sqrt(spread / (left * stayed)))


def function_of_target(view: AuditView) -> Iterator[AuditFinding]:
    """Find columns whose values determine the outcome exactly or nearly."""
    churned, folds = view.audited.churned, view.audited.folds
    rows = view.every(ROWS_TO_COMPARE)
    count, left = len(churned), int(churned.sum())
    if not 0 < left < count:
        return
    # By chance: at most 2^values of the equally likely choices of churners give pure values.
    log_ways = gammaln(count + 1) - gammaln(left + 1) - gammaln(count - left + 1)
    most = (log_ways + np.log(CHANCE_OF_FUNCTION / len(view.columns))) / np.log(2)
    for column in view.columns:
        labels = column.labels(rows)
        if not 2 <= int(labels.max()) + 1 <= most:
            continue
        if _is_pure(labels, churned[rows]) and _is_pure(column.train_codes, churned):
            values = int(column.train_codes.max()) + 1
            if values <= most:
                evidence = (
                    f"its {values:,} values (including missing) determine the outcome of all {count:,} training rows"
                )
                yield AuditFinding("function_of_target", "fail", (column.name,), evidence)
            continue
        phi = _held_out_phi(labels, churned[rows], folds[rows])
        if phi > NEAR_COPY:
            evidence = f"out of fold, its values predict the outcome with a phi coefficient of {phi:.2f}"
            yield AuditFinding("function_of_target", "fail", (column.name,), evidence)


def _is_pure(codes: Codes, churned: Codes) -> bool:
    size = np.bincount(codes)
    left = np.bincount(codes, churned, minlength=len(size))
    return bool(np.all((left == 0) | (left == size)))


def _held_out_phi(bins: Codes, churned: Codes, folds: Codes) -> float:
    """Phi coefficient of the outcome and the majority outcome of the bin in the other folds."""
    churners, stayers, rates = _held_out_rates(bins, churned, folds)
    guessed = rates > 0.5
    hits, false = float(churners[guessed].sum()), float(stayers[guessed].sum())
    missed, right = float(churners[~guessed].sum()), float(stayers[~guessed].sum())
    scale = np.sqrt((hits + false) * (missed + right) * (hits + missed) * (false + right))
    return float((hits * right - false * missed) / scale) if scale else 0.0


def named_after_the_fact(view: AuditView) -> Iterator[AuditFinding]:
    """Find columns whose name suggests that the value is known only after a customer has left."""
    for column in view.columns:
        name = f"_{'_'.join(words_of(column.name))}_"
        words = [word for word in WORDS_OF_THE_END if f"_{word}_" in name]
        if words:
            evidence = f"its name contains {', '.join(map(repr, words))}: check that it is known before churn"
            yield AuditFinding("named_after_the_fact", "warn", (column.name,), evidence)
