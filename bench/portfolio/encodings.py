"""Gaps and labels as the boosting handles them itself, beside the pipeline's imputation and one-hot encoding."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OrdinalEncoder

from bench.portfolio.judging import Bench, Part
from churn.config.contract import columns_of_type
from churn.config.search_space import Candidate
from churn.types import Floats


def native(bench: Bench, candidate: Candidate) -> Floats:
    """Probability of the unseen customers; gaps stay gaps, and labels are numbered and declared as categories."""
    columns = bench.table.columns
    labels = columns_of_type(columns, "categorical")
    numbered = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    encoding = ColumnTransformer(
        [("labels", numbered, labels)], remainder="passthrough", verbose_feature_names_out=False
    )
    encoding.set_output(transform="pandas")
    training, unseen = bench.table.training, bench.table.unseen
    part = Part(encoding.fit_transform(training.rows), training.churned, encoding.transform(unseen.rows))
    declared = {**candidate.arguments, "categorical_features": labels or None}
    return part.probability(Candidate(candidate.estimator, declared))
