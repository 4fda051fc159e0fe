"""Counting block by block gives what counting all at once gives."""

import numpy as np
import pandas as pd
import pytest

from churn.config.params import Params
from churn.model.reference import MOST_ROWS, Reference, make_reference
from churn.monitoring.summary import LookSummary, NumberCounts, RowSample, ScoredBlock


@pytest.fixture
def rows() -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame({"fee": random.normal(50, 9, 900), "plan": random.choice(["basic", "pro"], 900)})


@pytest.fixture
def reference(rows: pd.DataFrame) -> Reference:
    random = np.random.default_rng(2)
    keyed = rows.set_axis([f"{number:016x}" for number in range(len(rows))])
    probability = random.random(900)
    churned = (random.random(900) < probability).astype(np.int64)
    return make_reference(keyed, churned, probability, {"fee": "numeric", "plan": "categorical"}).reference


def block_of(rows: pd.DataFrame) -> ScoredBlock:
    probability = (rows["fee"].to_numpy() % 10) / 10
    return ScoredBlock(
        columns=rows,
        scored=rows,
        probability=probability,
        contacted=probability > 0.4,
        times=np.arange(len(rows), dtype=np.float64),
        refused=1,
        of_other_models=2,
        done=1.0,
    )


def summary_of(reference: Reference, params: Params, *blocks: pd.DataFrame) -> LookSummary:
    summary = LookSummary(reference, ["plan"], params.business)
    for rows in blocks:
        summary.add(block_of(rows.reset_index(drop=True)))
    return summary


def as_values(summary: LookSummary, name: str) -> object:
    """What is counted of a column."""
    found = summary.columns[name]
    return found.at_or_below.tolist() if isinstance(found, NumberCounts) else found


def test_blocks_add_up(reference: Reference, params: Params, rows: pd.DataFrame) -> None:
    whole = summary_of(reference, params, rows)
    parts = summary_of(reference, params, rows[:100], rows[100:101], rows[101:])
    for name in ("fee", "plan"):
        assert as_values(parts, name) == as_values(whole, name)
    assert parts.gains.profit_per_1000(reference.calibration).value == pytest.approx(
        whole.gains.profit_per_1000(reference.calibration).value
    )
    assert set(parts.gains_of_slices) == {("plan", "basic"), ("plan", "pro")}
    assert (parts.refused, parts.of_other_models, parts.customers) == (3, 6, 900)


def test_the_sample_is_bounded_and_random_over_all_blocks() -> None:
    sample = RowSample()
    for start in range(0, 40_000, 1_000):
        sample.add(pd.DataFrame({"place": np.arange(start, start + 1_000)}))
    places = sample.rows["place"]
    assert len(places) == MOST_ROWS
    assert places.is_unique
    assert places.mean() == pytest.approx(20_000, rel=0.03)
