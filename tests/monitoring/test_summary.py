"""Counting block by block gives what counting all at once gives."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from churn.config.params import Params
from churn.model.reference import MOST_ROWS, Reference, make_reference
from churn.monitoring.summary import OF_OTHER_LABELS, LabelCounts, LookSummary, NumberCounts, RowSample, ScoredBlock


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
        has_columns=np.ones(len(rows), dtype=bool),
        probability=probability,
        contacted=probability > 0.4,
        times=np.arange(len(rows), dtype=np.float64),
        refused=1,
        unread=0,
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


def test_slices_are_shares_of_the_customers_with_columns_also_if_others_have_none(
    reference: Reference, params: Params, rows: pd.DataFrame
) -> None:
    has_columns = np.arange(len(rows)) % 3 == 0
    part = rows[has_columns].reset_index(drop=True)
    summary = LookSummary(reference, ["plan"], params.business)
    summary.add(replace(block_of(rows), columns=part, scored=part, has_columns=has_columns))
    assert (summary.customers, summary.with_columns, summary.gains_with_columns.customers) == (900, 300, 300)
    assert sum(gains.customers for gains in summary.gains_of_slices.values()) == 300
    pro = summary.gains_of_slices["plan", "pro"]
    inside = has_columns & (rows["plan"] == "pro").to_numpy()
    assert (pro.customers, pro.contacted) == (inside.sum(), (block_of(rows).contacted & inside).sum())


def test_missing_values_are_a_slice_of_their_own(reference: Reference, params: Params, rows: pd.DataFrame) -> None:
    summary = summary_of(reference, params, rows.assign(plan=rows["plan"].mask(rows.index < 40)))
    assert summary.gains_of_slices["plan", ""].customers == 40


def test_labels_of_training_are_counted_however_many_new_ones_come_first(
    reference: Reference, params: Params, rows: pd.DataFrame
) -> None:
    new = pd.DataFrame({"fee": 1.0, "plan": [f"new {number}" for number in range(OF_OTHER_LABELS + 5)]})
    found = summary_of(reference, params, new, rows).columns["plan"]
    assert isinstance(found, LabelCounts)
    assert found.counts["pro"] == (rows["plan"] == "pro").sum()
    assert found.others == 5
