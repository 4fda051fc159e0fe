"""How often `churn monitor` raises a false alarm, and how often it finds shifts: python -m bench.monitoring.

Each simulated year draws a reference and a stream of customers anew from the sample: a random half of the rows is the
reference, and each look takes rows of the other half. So nothing changes between them, and every alarm is a false one.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.ensemble import HistGradientBoostingClassifier

from churn.config.params import Monitor, Params, load_params
from churn.history.predictions.log import OF_CUSTOMER
from churn.model.reference import PROBABILITY, Reference, make_reference
from churn.monitoring.drift import CHECKS, Compared, DriftCheck, check_drift
from churn.monitoring.models import MonitoredModel, model_of_workspace
from churn.monitoring.reading import Window, blocks_of_log
from churn.monitoring.summary import LookSummary, ScoredBlock
from churn.runtime import limited_threads
from churn.table import parsing
from churn.table.reader import read_source

ROOT = Path(__file__).parents[1]
ROWS_A_DAY = 1_000_000
RESULTS = ROOT / "bench/monitoring.md"
Shift = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
"""Changes the customers of a look, or takes some of them more than once."""


@dataclass(frozen=True)
class Population:
    """The sample: typed columns, outcomes, and a score that a model gives to any rows."""

    rows: pd.DataFrame
    churned: NDArray[np.int64]
    score: Callable[[pd.DataFrame], NDArray[np.float64]]
    params: Params

    @property
    def types(self) -> dict[str, str]:
        """Type of each column."""
        return {name: column.type for name, column in self.params.data.columns.items()}


def read_population(described: Path = ROOT) -> Population:
    """The table that params.yaml in a folder describes, and a model that has learned from a third of it.

    No look takes a customer of that third.
    """
    params = load_params(described)
    table, _ = parsing.parse_table(read_source(ROOT / params.data.source, params.data.format), params.data)
    rows = table[list(params.data.columns)].set_axis([f"{number:016x}" for number in range(len(table))])
    churned = table[params.data.target.column].to_numpy().astype(np.int64)
    own = np.random.default_rng(1).random(len(rows)) < 1 / 3
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=6, early_stopping=False, random_state=1)
    codes = {
        name: {label: float(place) for place, label in enumerate(sorted(rows[name].dropna().unique()))}
        for name in rows
        if rows[name].dtype != np.float64
    }

    def encoded(some: pd.DataFrame) -> NDArray[np.float64]:
        return np.column_stack([some[name].map(codes[name]) if name in codes else some[name] for name in rows]).astype(
            np.float64
        )

    with limited_threads(1):
        model.fit(encoded(rows[own]), churned[own])
    return Population(rows[~own], churned[~own], lambda some: model.predict_proba(encoded(some))[:, 1], params)


def looks_of_a_year(
    population: Population,
    settings: Monitor,
    customers: int,
    looks: int,
    random: np.random.Generator,
    shift: Shift | None = None,
) -> Iterator[list[DriftCheck]]:
    """The checks of each look of a year, whose reference is drawn anew."""
    order = random.permutation(len(population.rows))
    known, stream = np.array_split(order, 2)
    rows = population.rows.iloc[known]
    made = make_reference(rows, population.churned[known], population.score(rows), population.types)
    for _ in range(looks):
        taken = population.rows.iloc[random.choice(stream, customers, replace=False)]
        summary = summarise(made.reference, taken if shift is None else shift(taken, random), population)
        yield check_drift(Compared(made.reference, made.rows, summary), settings)


def summarise(reference: Reference, rows: pd.DataFrame, population: Population) -> LookSummary:
    """What a look counts of these customers."""
    summary = LookSummary(reference, [], population.params.business)
    probability = population.score(rows)
    summary.add(
        ScoredBlock(
            columns=rows.reset_index(drop=True),
            scored=pd.DataFrame(),
            has_columns=np.zeros(len(rows), dtype=bool),
            probability=probability,
            contacted=probability >= 0.5,
            times=np.zeros(0),
            refused=0,
            unread=0,
            of_other_models=0,
            done=1.0,
        )
    )
    return summary


@dataclass(frozen=True)
class AlarmRate:
    """Alarms among looks, with the exact 95% interval of their rate (Clopper and Pearson 1934, Biometrika 26)."""

    alarms: int
    looks: int
    by_check: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Share of the looks that were alarms."""
        return self.alarms / self.looks

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the rate."""
        low = float(beta.ppf(0.025, self.alarms, self.looks - self.alarms + 1)) if self.alarms else 0.0
        high = float(beta.ppf(0.975, self.alarms + 1, self.looks - self.alarms)) if self.alarms < self.looks else 1.0
        return low, high


def alarm_rate(
    population: Population,
    settings: Monitor,
    *,
    customers: int,
    looks: int,
    looks_a_year: int,
    seed: int,
    shift: Shift | None = None,
) -> AlarmRate:
    """Simulate years of looks."""
    random = np.random.default_rng(seed)
    years = [looks_a_year] * (looks // looks_a_year)
    with limited_threads(1):
        found = [
            checks
            for count in years
            for checks in looks_of_a_year(population, settings, customers, count, random, shift)
        ]
    by_check = {name: sum(one.is_alarm for checks in found for one in checks if one.name == name) for name in CHECKS}
    return AlarmRate(sum(any(one.is_alarm for one in checks) for checks in found), len(found), by_check)


def _dearer(share: float) -> Shift:
    return lambda rows, _: rows.assign(monthly_charges=rows["monthly_charges"] * (1 + share))


def _more_of(column: str, label: str, times: float) -> Shift:
    def shift(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
        weight = np.where(rows[column] == label, times, 1.0)
        return rows.iloc[random.choice(len(rows), len(rows), p=weight / weight.sum())]

    return shift


def _independent_columns(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """The same columns, but price no longer belongs to service: no column changes by itself."""
    return rows.assign(monthly_charges=random.permutation(rows["monthly_charges"].to_numpy()))


def _gaps(rows: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return rows.assign(total_charges=rows["total_charges"].mask(random.random(len(rows)) < 0.02))


SHIFTS: Mapping[str, Shift] = {
    "monthly_charges 2% higher": _dearer(0.02),
    "monthly_charges 5% higher": _dearer(0.05),
    "fiber customers 1.5 times as frequent": _more_of("internet_service", "Fiber optic", 1.5),
    "monthly_charges independent of the services": _independent_columns,
    "total_charges missing for 2%": _gaps,
}


@dataclass(frozen=True)
class LogSpeed:
    """How fast a log of the service is read and counted, and the memory of the whole process."""

    rows: int
    seconds: float
    megabytes: float


def write_large_log(model: MonitoredModel, folder: Path, rows: int) -> None:
    """Write a log with the columns of the training customers, a million rows a day."""
    customers = model.rows.reset_index(drop=True)
    for number, start in enumerate(range(0, rows, ROWS_A_DAY)):
        count = min(ROWS_A_DAY, rows - start)
        taken = customers.iloc[np.arange(count) % len(customers)]
        day = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=number)
        columns = {
            "time": day + pd.to_timedelta(np.arange(count) % 86_400, unit="s"),
            "request_id": np.char.add(f"{number}-", np.arange(count).astype(str)),
            "position": np.zeros(count, dtype=np.int32),
            "row_key": None,
            "fingerprint": model.fingerprint,
            "version": "1",
            "probability": taken[PROBABILITY].to_numpy(),
            "contact": taken[PROBABILITY].to_numpy() >= model.threshold,
            "shadow_probability": np.nan,
            "shadow_fingerprint": None,
        }
        columns |= {f"{OF_CUSTOMER}{name}": taken[name].to_numpy() for name in model.types}
        pd.DataFrame(columns).to_parquet(folder / f"{day.date()}.parquet", index=False)


def read_large_log(model: MonitoredModel, folder: Path, rows: int) -> LogSpeed:
    """Read a log as a look does."""
    started = time.perf_counter()
    summary = LookSummary(model.reference, model.slices, model.economics)
    for block in blocks_of_log(folder, model.fingerprint, model.types, Window()):
        summary.add(block)
    seconds = time.perf_counter() - started
    if summary.customers != rows:
        raise AssertionError(f"{summary.customers:,} of {rows:,} rows were read")
    return LogSpeed(rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitoring")
    parser.add_argument("--looks", type=int, default=2_920)
    parser.add_argument("--looks-of-shifts", type=int, default=100)
    parser.add_argument("--log-rows", type=int, default=10_000_000)
    parser.add_argument("--only-log", action="store_true", help="only read a large log, and print one line")
    given = parser.parse_args()
    if given.only_log:
        print(_line_of_log(given.log_rows))
        return
    population = read_population()
    settings = population.params.monitor
    lines = list(_report(population, settings, given.looks, given.looks_of_shifts))
    # In a process of its own, whose memory is that of reading alone.
    command = [sys.executable, "-m", "bench.monitoring", "--only-log", "--log-rows", str(given.log_rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603 - this module
    lines.append(done.stdout.strip())
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _line_of_log(rows: int) -> str:
    model = model_of_workspace(ROOT)
    with tempfile.TemporaryDirectory() as folder, limited_threads(1):
        # In another process: its memory does not count.
        writer = multiprocessing.get_context("spawn").Process(target=write_large_log, args=(model, Path(folder), rows))
        writer.start()
        writer.join()
        large = read_large_log(model, Path(folder), rows)
    return (
        f"\nA log of {large.rows:,} rows with columns is read at {large.rows / large.seconds:,.0f} rows a second, in "
        f"{large.megabytes:,.0f} MB for the whole process."
    )


def _report(population: Population, settings: Monitor, looks: int, looks_of_shifts: int) -> Iterator[str]:
    yield "# False alarms and power of `churn monitor`\n"
    yield "`python -m bench.monitoring` writes this page.\n"
    yield "| customers a look | looks | stated rate | measured rate | 95% interval | by check |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for customers in (200, 1_000):
        found = alarm_rate(
            population, settings, customers=customers, looks=looks, looks_a_year=settings.looks_per_year, seed=customers
        )
        low, high = found.interval
        checks = ", ".join(f"{name} {count}" for name, count in found.by_check.items())
        yield (
            f"| {customers:,} | {found.looks:,} | {settings.level_of_a_look:.2%} | {found.rate:.2%} | {low:.2%} to "
            f"{high:.2%} | {checks} |"
        )
    yield "\nShare of the looks that find a shift:\n"
    yield "| shift | 200 customers | 1,000 customers |"
    yield "| --- | --- | --- |"
    for name, shift in SHIFTS.items():
        rates = [
            alarm_rate(
                population, settings, customers=count, looks=looks_of_shifts, looks_a_year=10, seed=2, shift=shift
            ).rate
            for count in (200, 1_000)
        ]
        yield f"| {name} | {rates[0]:.0%} | {rates[1]:.0%} |"


if __name__ == "__main__":
    main()
