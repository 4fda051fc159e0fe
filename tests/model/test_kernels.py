"""Equal rows give equal models on every kind of processor, whatever the estimator."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from churn.runtime import SAME_BYTES_ON, platform_name
from tests.helpers.processors import PROCESSORS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform_name() != SAME_BYTES_ON, reason="promised only on Linux, with AVX2"),
]

FAMILIES = {
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 10},
    "sklearn.ensemble.GradientBoostingClassifier": {"n_estimators": 10, "random_state": 0},
    "sklearn.ensemble.RandomForestClassifier": {"n_estimators": 10, "random_state": 0},
    "sklearn.ensemble.AdaBoostClassifier": {"n_estimators": 10, "random_state": 0},
    "sklearn.linear_model.LogisticRegression": {},
    "sklearn.linear_model.SGDClassifier": {"loss": "log_loss", "random_state": 0},
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": {},
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis": {"reg_param": 0.1},
    "sklearn.naive_bayes.GaussianNB": {},
    "sklearn.neighbors.KNeighborsClassifier": {},
    "sklearn.neural_network.MLPClassifier": {"activation": "tanh", "max_iter": 5, "random_state": 0},
}

FITTING = """
import importlib, json, sys, warnings
from hashlib import sha256
from churn.runtime import limited_threads, same_kernels

def digests():
    import numpy as np
    random = np.random.default_rng(0)
    X = random.normal(size=(600, 12))
    y = (X @ random.normal(size=12) + random.normal(size=600) > 0).astype(int)
    for path, arguments in json.loads(sys.argv[1]).items():
        module, _, name = path.rpartition(".")
        fitted = getattr(importlib.import_module(module), name)(**arguments).fit(X, y)
        yield path, sha256(fitted.predict_proba(X).tobytes()).hexdigest()

warnings.simplefilter("ignore")  # a few steps do not converge
with same_kernels(), limited_threads(1):
    print(json.dumps(dict(digests())))
"""


def digests_on(processor: Mapping[str, str]) -> dict[str, str]:
    """Hash of the probabilities that each estimator gives."""
    command = [sys.executable, "-c", FITTING, json.dumps(FAMILIES)]
    done = subprocess.run(command, env={**os.environ, **processor}, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def digests() -> dict[str, dict[str, str]]:
    return {kind: digests_on(settings) for kind, settings in PROCESSORS.items()}


@pytest.mark.parametrize("estimator", FAMILIES)
def test_probabilities_have_the_same_bits_on_every_kind_of_processor(
    estimator: str, digests: dict[str, dict[str, str]]
) -> None:
    assert len({found[estimator] for found in digests.values()}) == 1, digests
