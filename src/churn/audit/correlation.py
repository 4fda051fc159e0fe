"""Ranks and correlations, gaps apart."""

import numpy as np
import pandas as pd

from churn.types import Floats


def standardise(values: Floats) -> Floats:
    """With mean 0 and length 1; gaps at the mean."""
    centred = np.nan_to_num(values - np.nanmean(values))
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's, gaps at the mean."""
    return float(standardise(one) @ standardise(other))


def ranks(values: Floats) -> Floats:
    """Rank of each value, the mean one for ties; a gap stays one."""
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)
