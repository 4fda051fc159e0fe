"""Ranks and correlations with missing values."""

import numpy as np
import pandas as pd

from churn.types import Floats


def standardise(values: Floats) -> Floats:
    """Scale to mean 0 and Euclidean norm 1; missing values are set to the mean."""
    centred = np.nan_to_num(values - np.nanmean(values))
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def correlation(one: Floats, other: Floats) -> float:
    """Pearson correlation; missing values are set to the mean."""
    return float(standardise(one) @ standardise(other))


def ranks(values: Floats) -> Floats:
    """Rank of each value, the mean rank for ties; NaN for missing values."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)
