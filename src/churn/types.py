"""What every package shares: the types of its arrays, and the name of the index of a table of customers."""

import numpy as np
from numpy.typing import NDArray

ROW_KEY = "row_key"
"""Name of the index that every table of customers carries."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

DECIMALS = 6
"""Of every figure in a file."""
