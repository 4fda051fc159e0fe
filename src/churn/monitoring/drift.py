"""Compare the customers of a look with the reference: five checks, whose levels add up to that of the look."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from churn.config.params import Monitor
from churn.errors import excerpt
from churn.metrics.two_samples import (
    TwoSampleTest,
    chi_squared,
    difference_of_rates,
    holm,
    kolmogorov_smirnov,
    told_apart,
)
from churn.model.reference import LabelDistribution, NumberDistribution, Reference
from churn.monitoring.summary import LabelCounts, LookSummary, NumberCounts
from churn.types import Floats

FEWEST_ROWS = 50
"""Customers below which nothing is compared."""
SEED = 2013
UNSEEN = "labels that training did not have"


@dataclass(frozen=True)
class DriftFinding:
    """One comparison.

    Attributes:
        name: of the column; empty if all columns are compared at once.
        kind: which test.
        statistic, p_value: of the test alone.
        corrected: p-value corrected for all comparisons of the look; an alarm if it is at most the level of the look.
        shift: size of the difference, 0 to 1.
        effect: the difference in the user's units.
    """

    name: str
    kind: str
    statistic: float
    p_value: float
    corrected: float
    shift: float
    effect: str
    is_alarm: bool


@dataclass(frozen=True)
class DriftCheck:
    """All comparisons of one kind; an alarm if one of them is."""

    name: str
    findings: tuple[DriftFinding, ...]

    @property
    def is_alarm(self) -> bool:
        """Whether a finding is an alarm."""
        return any(one.is_alarm for one in self.findings)

    @property
    def p_value(self) -> float:
        """Smallest corrected p-value; 1 if nothing was compared."""
        return min((one.corrected for one in self.findings), default=1.0)


@dataclass(frozen=True)
class SingleTest:
    """One test of a check, before the p-values are corrected."""

    name: str
    kind: str
    test: TwoSampleTest
    effect: str


@dataclass(frozen=True)
class Compared:
    """Both sides of a look.

    Attributes:
        rows: of the reference, at most 5,000.
    """

    reference: Reference
    rows: pd.DataFrame
    summary: LookSummary


def check_drift(compared: Compared, settings: Monitor) -> list[DriftCheck]:
    """All checks. Their corrected p-values are comparable with the level of the look, since they share it equally."""
    return [
        DriftCheck(name, tuple(_judged(list(compare(compared)), settings, _smallest(name, settings))))
        for name, compare in CHECKS.items()
    ]


def _smallest(name: str, settings: Monitor) -> float:
    return settings.smallest_rate if name in CHECKS_OF_RATES else settings.smallest_shift


def _judged(compared: Sequence[SingleTest], settings: Monitor, smallest: float) -> Iterator[DriftFinding]:
    for one, p_value in zip(compared, holm([one.test.p_value for one in compared]), strict=True):
        corrected = min(1.0, p_value * len(CHECKS))
        is_alarm = corrected <= settings.level_of_a_look and one.test.shift >= smallest
        test = one.test
        yield DriftFinding(
            one.name, one.kind, test.statistic, test.p_value, corrected, test.shift, one.effect, is_alarm
        )


def _scores(compared: Compared) -> Iterator[SingleTest]:
    """The scores as a whole: what decisions are made of."""
    reference, found = compared.reference.scores, compared.summary.scores
    test = kolmogorov_smirnov(_up_to_all(reference), found.at_or_below)
    effect = f"probability of churn: median {reference.median:.3f} → {median_of(found):.3f}"
    yield SingleTest("", "Kolmogorov-Smirnov", test, effect)


def _columns(compared: Compared) -> Iterator[SingleTest]:
    """Each column by itself."""
    if not compared.summary.with_columns:
        return
    sample = compared.summary.sample.rows
    for name, reference in compared.reference.columns.items():
        found = compared.summary.columns[name]
        if isinstance(reference, NumberDistribution) and isinstance(found, NumberCounts):
            test = kolmogorov_smirnov(_up_to_all(reference), found.at_or_below)
            yield SingleTest(name, "Kolmogorov-Smirnov", test, _medians(name, reference, sample[name]))
        elif isinstance(reference, LabelDistribution) and isinstance(found, LabelCounts):
            yield SingleTest(name, "chi-squared", *_labels(name, reference, found))


def _up_to_all(reference: NumberDistribution) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Counts up to each threshold, then up to infinity."""
    counts = reference.at_or_below
    return np.array([*counts, counts[-1] if counts else 0], dtype=np.int64)


def median_of(found: NumberCounts) -> float:
    """Median to the accuracy of the thresholds; NaN without values."""
    counts, thresholds = found.at_or_below, found.reference.thresholds
    if not counts[-1] or not thresholds:
        return float("nan")
    return float(thresholds[min(int(np.searchsorted(counts, counts[-1] / 2)), len(thresholds) - 1)])


def _medians(name: str, reference: NumberDistribution, sample: pd.Series) -> str:
    return f"{name}: median {reference.median:.6g} → {float(sample.median()):.6g}"


def _labels(name: str, reference: LabelDistribution, found: LabelCounts) -> tuple[TwoSampleTest, str]:
    labels = list(reference.counts)
    before = np.array([*reference.counts.values(), reference.others], dtype=np.int64)
    # Labels that training did not have count in the check of unseen labels.
    others = sum(found.counts.values()) + found.others if reference.others else 0
    now = np.array([found.counts[label] for label in labels] + [others], dtype=np.int64)
    if reference.others:
        now[-1] -= now[:-1].sum()
    if not before.sum() or not now.sum():
        return chi_squared(before, now), f"{name}: no values"
    shares, shares_now = before / before.sum(), now / now.sum()
    most = int(np.argmax(np.abs(shares_now - shares)))
    label = labels[most] if most < len(labels) else "other labels"
    return chi_squared(before, now), f"{name} = {label}: {shares[most]:.1%} → {shares_now[most]:.1%}"


def _joint(compared: Compared) -> Iterator[SingleTest]:
    """All columns at once: can a classifier tell these customers from those of training (Lopez-Paz, Oquab 2017)?"""
    sample = compared.summary.sample.rows
    names = list(compared.reference.columns)
    if len(sample) < FEWEST_ROWS:
        return
    features = as_numbers(pd.concat([compared.rows[names], sample[names]], ignore_index=True), compared.reference)
    is_new = np.arange(len(features)) >= len(compared.rows)
    half = np.random.default_rng(SEED).permutation(len(features)) % 2 == 0
    tests = [_told_apart_by_the_other_half(features, is_new, inside) for inside in (half, ~half)]
    best = min(tests, key=lambda one: one.p_value)
    # The halves judge each other, so their results are not independent: Bonferroni.
    test = TwoSampleTest(best.statistic, min(1.0, 2 * best.p_value), best.shift)
    effect = f"a classifier tells new from training customers in {best.statistic:.1%} of pairs; chance is 50%"
    yield SingleTest("", "classifier two-sample", test, effect)


def _told_apart_by_the_other_half(features: Floats, is_new: np.ndarray, inside: np.ndarray) -> TwoSampleTest:
    classifier = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=8, min_samples_leaf=20, learning_rate=0.1, early_stopping=False, random_state=SEED
    )
    classifier.fit(features[~inside], is_new[~inside])
    score = classifier.decision_function(features[inside])
    return told_apart(score[~is_new[inside]], score[is_new[inside]])


def as_numbers(rows: pd.DataFrame, reference: Reference) -> Floats:
    """Columns as numbers: labels by their frequency in training, an unseen one as -1."""
    columns = []
    for name, known in reference.columns.items():
        if isinstance(known, NumberDistribution) or rows[name].dtype == np.float64:
            columns.append(rows[name].to_numpy(dtype=np.float64))
        else:
            frequent_first = sorted(known.counts, key=lambda label: (-known.counts[label], label))
            ranks = {label: float(place) for place, label in enumerate(frequent_first)}
            known_ranks = rows[name].map(ranks)
            columns.append(known_ranks.mask(known_ranks.isna() & rows[name].notna(), -1.0).to_numpy(dtype=np.float64))
    return np.column_stack(columns)


def _missing(compared: Compared) -> Iterator[SingleTest]:
    """Missing values of each column."""
    rows = compared.summary.with_columns
    for name, reference in compared.reference.columns.items() if rows else ():
        new = compared.summary.columns[name].missing
        test = difference_of_rates(reference.missing, reference.rows, new, rows, only_higher=False)
        effect = f"{name}: missing {reference.missing / max(reference.rows, 1):.1%} → {new / rows:.1%}"
        yield SingleTest(name, "Fisher", test, effect)


def _unseen(compared: Compared) -> Iterator[SingleTest]:
    """Labels that no training row had, and customers that break the contract."""
    summary = compared.summary
    for name, reference in compared.reference.columns.items() if summary.with_columns else ():
        found = summary.columns[name]
        if not isinstance(reference, LabelDistribution) or not isinstance(found, LabelCounts) or reference.others:
            continue
        new = {label: count for label, count in found.counts.items() if label not in reference.counts}
        unseen, rows = sum(new.values()) + found.others, summary.with_columns - found.missing
        known_rows = reference.rows - reference.missing
        test = difference_of_rates(reference.once, known_rows, unseen, rows, only_higher=True)
        most = f", most often {excerpt(max(new, key=lambda label: new[label]))}" if new else ""
        yield SingleTest(name, "Fisher", test, f"{name}: {unseen / max(rows, 1):.1%} {UNSEEN}{most}")
    total = summary.customers
    test = difference_of_rates(0, compared.reference.rows, summary.refused, total, only_higher=True)
    yield SingleTest("", "Fisher", test, f"{summary.refused / max(total, 1):.1%} of the customers break the contract")


CHECKS: Mapping[str, Callable[[Compared], Iterator[SingleTest]]] = {
    "scores": _scores,
    "columns": _columns,
    "joint": _joint,
    "missing": _missing,
    "unseen": _unseen,
}
CHECKS_OF_RATES = ("missing", "unseen")
