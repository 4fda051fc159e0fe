"""Panel data: several rows of each customer, such as one a month."""

import numpy as np

from churn.types import Labels

ENOUGH_COLLISIONS = 20.0
"""Expected number of equal pairs from which the lack of any is no chance: 2e-9 if their number has a Poisson
distribution."""


def are_rows_of_customers(customer: Labels, time: Labels) -> bool:
    """Whether a column names customers: values come again, but never twice at one time, and not by chance.

    Both columns are codes from 0, one for each row. If they were independent, two rows would have the same value at the
    same time with the product of the two probabilities.
    """
    rows = len(customer)
    if rows < 2 or min(customer.min(), time.min()) < 0:
        return False
    if len(np.unique(customer)) == rows:
        return False
    pair = customer * (int(time.max()) + 1) + time
    if len(np.unique(pair)) < rows:
        return False
    alike = _chance_of_equal(customer) * _chance_of_equal(time)
    return alike * rows * (rows - 1) / 2 >= ENOUGH_COLLISIONS


def _chance_of_equal(codes: Labels) -> float:
    return float(np.sum((np.bincount(codes) / len(codes)) ** 2))
