"""The reference: what is kept of the training rows, and that the same rows give the same reference."""

import numpy as np
import pandas as pd

from churn.model.reference import (
    CHURNED,
    MOST_LABELS,
    MOST_ROWS,
    MOST_THRESHOLDS,
    PROBABILITY,
    Reference,
    label_distribution,
    make_reference,
    number_distribution,
)

TYPES = {"plan": "categorical", "fee": "numeric", "senior": "boolean"}


def training(count: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    random = np.random.default_rng(count)
    rows = pd.DataFrame(
        {
            "plan": random.choice(["basic", "pro"], count),
            "fee": random.normal(50, 10, count),
            "senior": random.integers(0, 2, count).astype(float),
        },
        index=[f"{number:016x}" for number in random.permutation(count)],
    )
    probability = random.random(count)
    return rows, (random.random(count) < probability).astype(np.int64), probability


def test_few_distinct_numbers_are_kept_exactly() -> None:
    found = number_distribution(pd.Series([3.0, 1.0, 3.0, np.nan, 2.0]))
    assert found.thresholds == (1.0, 2.0, 3.0)
    assert found.at_or_below == (1, 2, 4)
    assert (found.missing, found.rows, found.median) == (1, 5, 2.0)


def test_many_distinct_numbers_are_kept_at_points_of_equal_share() -> None:
    values = np.random.default_rng(1).lognormal(size=20_000)
    found = number_distribution(pd.Series(values))
    assert len(found.thresholds) <= MOST_THRESHOLDS
    assert found.at_or_below[-1] == 20_000
    assert np.diff(found.at_or_below, prepend=0).max() <= 60
    assert [int((values <= one).sum()) for one in found.thresholds[100:110]] == list(found.at_or_below[100:110])


def test_the_share_up_to_a_bound_is_that_of_the_values() -> None:
    found = number_distribution(pd.Series([0.1, 0.2, 0.2, 0.9]))
    assert [found.share_at_or_below(bound) for bound in (0.05, 0.1, 0.5, 1.0)] == [0.0, 0.25, 0.75, 1.0]


def test_a_column_of_small_numbers_keeps_its_distribution_in_the_file() -> None:
    rows, churned, probability = training(200)
    small = rows.assign(fee=rows["fee"] * 1e-9)
    made = make_reference(small, churned, probability, TYPES).reference
    written = Reference.model_validate_json(made.as_text())
    assert written.columns["fee"] == made.columns["fee"]
    assert len(set(number_distribution(small["fee"]).thresholds)) == 200


def test_every_value_is_at_or_below_its_threshold_however_many_digits_it_has() -> None:
    values = np.random.default_rng(4).random(300)
    found = number_distribution(pd.Series([*values, -values[0], 1e300]))
    assert found.at_or_below == tuple(range(1, 303))
    for bound in (0.0, 0.25, 0.5, 1.0):
        assert found.share_at_or_below(bound) * 302 == (values <= bound).sum() + 1


def test_a_column_without_values_has_an_empty_distribution() -> None:
    found = number_distribution(pd.Series([np.nan, np.nan]))
    assert (found.thresholds, found.rows) == ((), 2)
    assert np.isnan(found.median)


def test_labels_are_counted_and_the_rarest_of_very_many_together() -> None:
    found = label_distribution(pd.Series(["a", "b", "a", None]))
    assert (found.counts, found.missing, found.once, found.others) == ({"a": 2, "b": 1}, 1, 1, 0)
    many = label_distribution(pd.Series([f"label {number}" for number in range(MOST_LABELS + 5)]))
    assert (len(many.counts), many.others, many.once) == (MOST_LABELS, 5, MOST_LABELS + 5)


def test_a_boolean_has_the_labels_0_and_1() -> None:
    assert label_distribution(pd.Series([1.0, 0.0, 1.0])).counts == {"1": 2, "0": 1}


def test_at_most_so_many_rows_are_kept_and_they_do_not_depend_on_the_order_of_the_table() -> None:
    rows, churned, probability = training(MOST_ROWS + 500)
    made = make_reference(rows, churned, probability, TYPES)
    order = np.random.default_rng(5).permutation(len(rows))
    again = make_reference(rows.iloc[order], churned[order], probability[order], TYPES)
    assert len(made.rows) == MOST_ROWS
    pd.testing.assert_frame_equal(made.rows.sort_index(), again.rows.sort_index())
    assert made.reference.columns == again.reference.columns
    assert made.reference.rows == MOST_ROWS + 500
    assert {PROBABILITY, CHURNED} <= set(made.rows)


def test_a_reference_is_the_same_after_it_was_written() -> None:
    reference = make_reference(*training(200), TYPES).reference
    assert Reference.model_validate_json(reference.as_text()).columns == reference.columns
