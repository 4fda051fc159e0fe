"""The economics of the small project, and its headline figures."""

import pytest

from churn.config.economics import Economics
from churn.config.params import Params
from churn.metrics.intervals import Statistics, headline_scores


@pytest.fixture
def economics(params: Params) -> Economics:
    return params.business


@pytest.fixture
def headline(economics: Economics) -> Statistics:
    return headline_scores(0.2, economics)
