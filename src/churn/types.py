"""Array types and constants that all packages share."""

import numpy as np
from numpy.typing import NDArray

ROW_KEY = "row_key"
"""Name of the index of every table of customers."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

DECIMALS = 6
"""Decimals of every number in a file."""
