"""A look: no more false alarms than stated, and what it finds when something changes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from bench.monitoring import SHIFTS, AlarmRate, Population, alarm_rate, looks_of_a_year, read_population

from churn.config.params import Monitor
from churn.monitoring.drift import DriftCheck
from churn.runtime import limited_threads
from tests.helpers.sample import SAMPLE_PARAMS

OFTEN = {"false_alarms_per_year": 12.0, "looks_per_year": 240}
"""A level of 5%, at which 500 looks show whether it holds."""


@pytest.fixture(scope="module")
def population() -> Population:
    return read_population(SAMPLE_PARAMS)


@pytest.fixture
def settings(population: Population) -> Monitor:
    return population.params.monitor


def one_look(
    population: Population, settings: Monitor, change: Callable[[pd.DataFrame], pd.DataFrame], customers: int = 600
) -> dict[str, DriftCheck]:
    """The checks of one look at changed customers."""
    random = np.random.default_rng(9)
    with limited_threads(1):
        (checks,) = looks_of_a_year(population, settings, customers, 1, random, lambda rows, _: change(rows))
    return {check.name: check for check in checks}


def alarms(checks: dict[str, DriftCheck]) -> list[str]:
    return [name for name, check in checks.items() if check.is_alarm]


def require_stated_rate(found: AlarmRate, settings: Monitor) -> None:
    low, high = found.interval
    assert low <= settings.level_of_a_look
    assert high <= 1.5 * settings.level_of_a_look


@pytest.mark.monitoring
def test_500_looks_raise_no_more_false_alarms_than_stated(population: Population, settings: Monitor) -> None:
    often = settings.model_copy(update=OFTEN)
    found = alarm_rate(population, often, customers=300, looks=500, looks_a_year=20, seed=1)
    assert found.looks == 500
    require_stated_rate(found, often)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_5000_of_20000_looks_raise_no_more_false_alarms_than_stated(
    population: Population, settings: Monitor, seed: int
) -> None:
    often = settings.model_copy(update={"false_alarms_per_year": 4.0, "looks_per_year": 250})
    found = alarm_rate(population, often, customers=500, looks=5_000, looks_a_year=250, seed=seed)
    require_stated_rate(found, often)


@pytest.mark.parametrize(
    ("shift", "check"),
    [
        ("monthly_charges 5% higher", "columns"),
        ("monthly_charges 2% higher", "joint"),
        ("fiber customers 1.5 times as frequent", "columns"),
        ("monthly_charges independent of the services", "joint"),
    ],
)
def test_a_shift_of_stated_size_is_found(population: Population, settings: Monitor, shift: str, check: str) -> None:
    found = alarm_rate(population, settings, customers=1_000, looks=5, looks_a_year=5, seed=1, shift=SHIFTS[shift])
    assert found.by_check[check] == 5


def test_an_alarm_names_the_column_in_its_own_units(population: Population, settings: Monitor) -> None:
    checks = one_look(population, settings, lambda rows: rows.assign(tenure=rows["tenure"] / 2))
    (found,) = [one for one in checks["columns"].findings if one.is_alarm]
    assert found.name == "tenure"
    assert found.effect.startswith("tenure: median 29 → 1")  # 14 or 15


def test_a_label_that_training_did_not_have_is_an_alarm_once_it_is_no_exception(
    population: Population, settings: Monitor
) -> None:
    def rename(rows: pd.DataFrame, count: int) -> pd.DataFrame:
        first = np.arange(len(rows)) < count
        return rows.assign(payment_method=rows["payment_method"].mask(first, "PayPal"))

    few = one_look(population, settings, lambda rows: rename(rows, 1))
    many = one_look(population, settings, lambda rows: rename(rows, 30))
    assert "unseen" not in alarms(few)
    (found,) = [one for one in many["unseen"].findings if one.is_alarm]
    assert found.effect == "payment_method: 5.0% labels that training did not have, most often 'PayPal'"


def test_a_column_that_is_suddenly_empty_is_an_alarm(population: Population, settings: Monitor) -> None:
    checks = one_look(population, settings, lambda rows: rows.assign(tenure=np.nan))
    assert "missing" in alarms(checks)
    (found,) = [one for one in checks["missing"].findings if one.is_alarm]
    assert found.effect == "tenure: missing 0.0% → 100.0%"


def test_a_difference_too_small_to_matter_is_no_alarm_however_significant(
    population: Population, settings: Monitor
) -> None:
    deaf = settings.model_copy(update={"smallest_shift": 0.999})
    checks = one_look(population, deaf, lambda rows: rows.assign(tenure=rows["tenure"] / 2))
    assert alarms(checks) == []
    assert checks["columns"].p_value < 1e-9


def test_equal_scores_and_columns_are_compared_without_a_fault(population: Population, settings: Monitor) -> None:
    checks = one_look(population, settings, lambda rows: rows.iloc[[0] * len(rows)])
    assert {"scores", "columns"} <= set(alarms(checks))
