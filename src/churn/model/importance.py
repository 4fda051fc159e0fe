"""Out-of-fold permutation importance of customer columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin

from churn.metrics.scores import roc_auc
from churn.types import Labels


@dataclass(frozen=True)
class ImportanceEffort:
    """Permutations of each column in each fold, and the maximum number of rows permuted."""

    repeats: int
    max_rows: int


def permutation_drops(
    classifier: ClassifierMixin,
    encoded: pd.DataFrame,
    y: Labels,
    groups: Mapping[str, list[str]],
    effort: ImportanceEffort,
    seed: int,
) -> pd.DataFrame:
    """Drop in ROC-AUC for each customer column and repeat.

    All encoded columns of a customer column are permuted together. Since columns are encoded independently, this is
    equivalent to permuting the column before encoding, but avoids encoding each permutation.
    """
    random = np.random.default_rng(seed)
    sample = np.sort(random.choice(len(y), size=min(effort.max_rows, len(y)), replace=False))
    rows, labels = encoded.iloc[sample], y[sample]
    intact = roc_auc(labels, classifier.predict_proba(rows)[:, 1])
    # All repeats of a column in one table: predict_proba has a high cost per call and a low one per row.
    repeated = pd.concat([rows] * effort.repeats, ignore_index=True)
    drops = []
    for feature, names in groups.items():
        orders = np.concatenate([random.permutation(len(rows)) for _ in range(effort.repeats)])
        shuffled = repeated.copy(deep=False)
        for name in names:  # not `assign`, which cannot set a column named self
            shuffled[name] = rows[name].to_numpy()[orders]
        probability = classifier.predict_proba(shuffled)[:, 1].reshape(effort.repeats, len(rows))
        drops += [(feature, intact - roc_auc(labels, one)) for one in probability]
    return pd.DataFrame(drops, columns=["feature", "drop"])


def importance_table(importance: pd.DataFrame) -> pd.DataFrame:
    """Customer columns in decreasing order of importance, with the standard deviation over folds and repeats."""
    grouped = importance.groupby("feature", sort=True)["drop"]
    table = pd.DataFrame({"roc_auc_drop": grouped.mean(), "roc_auc_drop_sd": grouped.std(ddof=1)})
    return table.sort_values("roc_auc_drop", ascending=False, kind="stable").reset_index()
