"""What would flatter the figures is found, and honest tables are left in peace."""

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from churn.audit import outcome_leaks
from churn.audit.checks import find_leaks, needless_accepts, open_findings
from churn.audit.twins import exact_twins, near_twins
from churn.audit.view import AuditFinding, AuditInput, AuditView
from churn.config.contract import UnusedColumn, UnusedKind
from tests.helpers.audited_tables import Customers, clean_customers, contract_of, kind_of, sample_customers
from tests.helpers.projects import every_night

ROWS = (300, 2_000, 20_000)


def found(customers: Customers, seed: int = 0, *, by_time: bool = False) -> list[AuditFinding]:
    return find_leaks(customers.audited(seed), customers.contract(), by_time=by_time)


def failing(customers: Customers, seed: int = 0) -> set[str]:
    return {finding.name for finding in found(customers, seed) if finding.severity == "fail"}


def names(findings: list[AuditFinding], check: str) -> set[str]:
    return {finding.name for finding in findings if finding.check == check}


def of(seed: int, **columns: Any) -> Customers:
    """Customers of whom a third leave by chance, with nothing but these columns."""
    table = pd.DataFrame(columns)
    churned = (np.random.default_rng([seed, 3]).random(len(table)) < 1 / 3).astype(np.int64)
    return Customers(table, churned, np.arange(1, len(table) + 1))


def flipped(customers: Customers, share: float, random: np.random.Generator) -> NDArray[np.int64]:
    return np.where(random.random(len(customers.churned)) < share, 1 - customers.churned, customers.churned)


def text(values: Any) -> Any:
    return pd.array(values, dtype="str")


Plant = Callable[[Customers, np.random.Generator], Any]

PREDICTING: dict[str, Plant] = {
    "2 % flipped": lambda customers, random: flipped(customers, 0.02, random).astype(float),
    "5 % flipped": lambda customers, random: flipped(customers, 0.05, random).astype(float),
    "8 % flipped": lambda customers, random: flipped(customers, 0.08, random).astype(float),
    "2 % flipped, odd labels": lambda customers, random: text(
        np.array(["kept", "??"])[flipped(customers, 0.02, random)]
    ),
    "5 % flipped, odd labels": lambda customers, random: text(
        np.array(["kept", "??"])[flipped(customers, 0.05, random)]
    ),
    "8 % flipped, odd labels": lambda customers, random: text(
        np.array(["kept", "??"])[flipped(customers, 0.08, random)]
    ),
    "score with noise": lambda customers, random: customers.churned + random.normal(0, 0.4, len(customers.churned)),
    "falling score": lambda customers, random: random.normal(0, 0.4, len(customers.churned)) - customers.churned,
    "gaps of numbers": lambda customers, random: np.where(
        flipped(customers, 0.02, random) == 1, random.normal(0, 1, len(customers.churned)).round(2), np.nan
    ),
    "gaps of labels": lambda customers, random: text(
        [random.choice(["a", "b"]) if gone else None for gone in flipped(customers, 0.02, random)]
    ),
}
NAMING: dict[str, Plant] = {
    "sequence": lambda customers, _: customers.place + 1000.0,
    "shuffled sequence": lambda customers, random: random.permutation(len(customers.place)) + 100_000.0,
    "rising with the place": lambda customers, random: (
        customers.place * 10.0 + random.integers(0, 9, len(customers.place))
    ),
    "falling with the place": lambda customers, _: customers.place * -7.0,
    "UUID": lambda customers, random: text([str(uuid.UUID(bytes=random.bytes(16))) for _ in customers.place]),
}


def jittered(table: pd.DataFrame) -> pd.DataFrame:
    """The number with most values is 0.01 % higher."""
    widest = max((name for name in table if kind_of(table[name]) == "numeric"), key=lambda name: table[name].nunique())
    return table.assign(**{str(widest): table[widest] * 1.0001})


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("seed", "columns"), [(1, 8), (2, 10)])
def test_nothing_is_found_in_the_tables_that_problems_are_planted_in(seed: int, columns: int, rows: int) -> None:
    assert not failing(clean_customers(seed, rows, columns))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("leak", PREDICTING)
def test_a_column_that_gives_the_outcome_away_is_found(leak: str, rows: int) -> None:
    customers = clean_customers(1, rows, 8)
    planted = customers.with_column("planted", PREDICTING[leak](customers, np.random.default_rng(rows)))
    assert failing(planted) & {"predicts_alone:planted", "function_of_target:planted"}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", NAMING)
def test_a_column_that_names_customers_is_found(kind: str, rows: int) -> None:
    customers = clean_customers(2, rows, 8)
    planted = customers.with_column("planted", NAMING[kind](customers, np.random.default_rng(rows)))
    assert failing(planted) == {"id_like:planted"}


@pytest.mark.parametrize(
    "name", ["customer_id", "customerID", "AccountNumber", "Customer Nr.", "id_of_client", "customerid"]
)
def test_numbers_under_the_name_of_a_key_name_customers(name: str) -> None:
    numbers = np.random.default_rng(4).integers(10**6, 10**9, 400).astype(float)
    assert failing(of(4, **{name: numbers})) == {f"id_like:{name}"}


def test_quantities_name_nobody() -> None:
    random = np.random.default_rng(5)
    quantities: dict[str, Any] = {
        "account_balance": random.normal(90_000, 30_000, 400).round(),
        "salary": np.sort(random.normal(60_000, 15_000, 400).round()),
        "charges_paid": random.lognormal(5, 1, 400).round(2),
        "months": random.integers(0, 72, 400).astype(float),
    }
    assert not failing(of(5, **quantities))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(
    ("change", "check"), [(pd.DataFrame.copy, "twins_across_split"), (jittered, "near_twins_across_split")]
)
def test_customers_who_stand_in_the_table_twice_are_found(
    change: Callable[[pd.DataFrame], pd.DataFrame], check: str, rows: int
) -> None:
    customers = clean_customers(2, rows, 10)
    assert check in failing(customers.with_copies(0.1, change, seed=rows))


def test_few_near_twins_are_a_warning() -> None:
    twice = clean_customers(2, 5_000, 10).with_copies(0.02, jittered, seed=0)
    assert [finding.severity for finding in found(twice) if finding.check == "near_twins_across_split"] == ["warn"]


def test_customers_who_are_alike_by_nature_are_no_twins() -> None:
    random = np.random.default_rng(6)
    plan = random.integers(0, 30, 3_000)
    columns = {
        "plan": text([f"plan {number}" for number in plan]),
        "price": 10.0 + plan * 1.5,
        "minutes": 100.0 * plan,
        "senior": random.integers(0, 2, 3_000).astype(float),
    }
    assert not failing(of(6, **columns))


def twins_of(audited: AuditInput, customers: Customers) -> set[str]:
    """Names of what the two checks for copies across the split find."""
    view = AuditView(audited, customers.contract(), False)
    return {finding.name for check in (exact_twins, near_twins) for finding in check(view)}


@pytest.mark.parametrize("share", [0.05, 0.2, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_copies_are_found_in_the_sample_and_the_more_there_are_the_less_they_hide(share: float, seed: int) -> None:
    customers = sample_customers()
    audited = customers.with_copies_in_train(share, pd.DataFrame.copy, seed)
    assert "twins_across_split" in twins_of(audited, customers)


@pytest.mark.slow
def test_customers_of_the_sample_who_are_alike_are_no_copies() -> None:
    customers = sample_customers()
    assert [twins_of(customers.audited(seed), customers) for seed in range(20)] == [set()] * 20


def changed_by(random: np.random.Generator, spread: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(total_charges=table["total_charges"] * random.normal(1, spread, len(table)))


NEARLY_COPIED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a cent more": lambda table: table.assign(total_charges=table["total_charges"] + 0.01),
    "one more": lambda table: table.assign(total_charges=table["total_charges"] + 1),
    "without cents": lambda table: table.assign(total_charges=table["total_charges"].round()),
    "0.1 % of noise": changed_by(np.random.default_rng(0), 0.001),
}


@pytest.mark.parametrize("error", NEARLY_COPIED)
def test_a_fifth_of_the_sample_copied_with_slightly_other_totals_is_found(error: str) -> None:
    customers = sample_customers()
    audited = customers.with_copies_in_train(0.2, NEARLY_COPIED[error], seed=0)
    assert "near_twins_across_split" in twins_of(audited, customers)


@pytest.mark.slow
@pytest.mark.parametrize("tables", [100, *every_night(300)])
def test_few_columns_with_few_values_make_customers_alike_and_no_copies(tables: int) -> None:
    wrong = {}
    for seed in range(tables):
        customers = clean_customers(9_000 + seed, columns=2 + seed % 4)
        wrong[seed] = twins_of(customers.audited(seed), customers)
    wrong = {seed: findings for seed, findings in wrong.items() if findings}
    sys.stdout.write(f"{len(wrong)} of {tables} tables with few columns have copies by mistake: {wrong}\n")
    assert len(wrong) <= 1


def test_one_column_or_two_that_say_the_same_tell_of_no_copies() -> None:
    plan = np.random.default_rng(6).integers(0, 30, 3_000)
    assert not failing(of(6, price=10.0 + plan * 1.5))
    assert not failing(of(6, price=10.0 + plan * 1.5, plan=text([f"plan {number}" for number in plan])))


def test_without_test_rows_there_are_no_twins() -> None:
    customers = clean_customers(2, 300, 6)
    audited = customers.audited()
    fewer = replace(audited, test=audited.test.iloc[:0])
    assert find_leaks(fewer, customers.contract(), by_time=False) == found(customers)


def test_a_handful_of_churners_convicts_nobody() -> None:
    audited = replace(of(7, calls=np.arange(60) % 7 / 1.0).audited(), places=np.arange(42))
    churned = np.zeros(42, dtype=np.int64)
    churned[:3] = 1
    told = audited.train.assign(calls=np.where(churned == 1, 20.5, audited.train["calls"]))
    contract = contract_of({"calls": "numeric"})
    assert not names(
        find_leaks(replace(audited, train=told, churned=churned), contract, by_time=False), "predicts_alone"
    )


def test_few_values_that_tell_the_outcome_exactly_are_found_in_a_tiny_table() -> None:
    customers = of(8, note=np.zeros(40))
    told = customers.with_column("note", text(["b" if gone else None for gone in customers.churned]))
    assert "function_of_target:note" in failing(told)
    assert not failing(of(8, note=text(np.random.default_rng(8).choice(["a", "b"], 40))))


def test_values_that_occur_once_tell_the_outcome_of_nobody_else() -> None:
    assert not failing(of(17, measured=np.random.default_rng(17).normal(0, 1, 60_000)))


def test_whether_a_cell_is_filled_in_is_told_when_it_suffices() -> None:
    customers = clean_customers(1, 2_000, 4)
    gaps = np.where(customers.churned == 1, np.random.default_rng(0).normal(0, 1, 2_000), np.nan)
    evidence = {finding.name: finding.evidence for finding in found(customers.with_column("gaps", gaps))}
    assert "whether the value is missing alone gives 1.000" in evidence["predicts_alone:gaps"]


def test_a_column_of_noise_is_half_right_however_few_the_rows() -> None:
    random = np.random.default_rng(9)
    bins, folds = random.integers(0, 10, (400, 60)), random.integers(0, 5, (400, 60))
    churned = (random.random((400, 60)) < 0.3).astype(np.int64)
    aucs = [outcome_leaks._held_out_auc(*row) for row in zip(bins, churned, folds, strict=True)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.01)


def test_columns_that_repeat_one_another_are_told() -> None:
    random = np.random.default_rng(10)
    town = random.integers(0, 40, 3_000)
    amount = random.lognormal(4, 1, 3_000)
    customers = of(
        10,
        town=text([f"town {number}" for number in town]),
        town_number=town * 1.0,
        region=text([f"region {number % 5}" for number in town]),
        amount=amount,
        amount_with_tax=(amount * 1.19).round(2),
        order=np.exp(amount / 1_000),
        other=random.lognormal(4, 1, 3_000),
    )
    assert names(found(customers), "repeats") == {
        "repeats:town,town_number",
        "repeats:town,region",
        "repeats:amount,amount_with_tax",
        "repeats:amount,order",
        "repeats:amount_with_tax,order",
    }


def test_a_column_with_nearly_one_value_repeats_nothing() -> None:
    random = np.random.default_rng(11)
    rare = np.zeros(1_000)
    rare[3] = 1
    customers = of(11, rare=rare, plan=text(random.choice(["a", "b", "c"], 1_000)), other=np.ones(1_000))
    assert not names(found(customers), "repeats")


MONTHS = 6


def panel(
    name: str, kind: str | None = None, identifier: str | None = None, customers: int = 200, *, by_time: bool = False
) -> list[AuditFinding]:
    """Findings about customers with a row in each month; their key is a column that the model does not use."""
    several = clean_customers(1, rows=customers * MONTHS, columns=4)
    audited = several.audited()
    order = np.random.default_rng(2).permutation(customers * MONTHS)
    customer, month = order % customers, order // customers
    train = len(audited.train)
    audited = replace(
        audited, names={name: (customer[:train], customer[train:])}, times={"month": month[:train].astype(float)}
    )
    contract = several.contract().model_copy(update={"id": identifier})
    if kind is not None:
        unused = {name: UnusedColumn.model_validate({"kind": kind, "format": None, "reason": "made up"})}
        contract = contract.model_copy(update={"unused": unused})
    found = find_leaks(audited, contract, by_time=by_time)
    return [one for one in found if one.check == "customers_on_both_sides"]


@pytest.mark.parametrize(
    ("name", "kind"), [("customer_id", None), ("AccountNo", None), ("K", "id"), ("K", "free_text")]
)
@pytest.mark.parametrize("customers", [50, 2_000])
def test_customers_on_both_sides_stop_the_run_where_an_id_would_help(
    name: str, kind: UnusedKind | None, customers: int
) -> None:
    (finding,) = panel(name, kind, customers=customers)
    assert finding.severity == "fail"
    assert "the same customers are in both splits" in finding.evidence


def test_customers_on_both_sides_are_told_where_an_id_is_set_or_time_splits_them() -> None:
    (told,) = panel("household_id", "id", identifier="customer_id")
    assert told.severity == "warn"
    assert "if it, rather than 'customer_id', names customers, set data.id to it" in told.evidence
    (told,) = panel("customer_id", identifier="customer_id", by_time=True)
    assert told.severity == "warn"
    assert "the figures do not hold for new customers" in told.evidence
    (told,) = panel("customer_id", "id", by_time=True)
    assert told.severity == "warn"


@pytest.mark.parametrize(
    ("name", "suspect"),
    [
        ("ClosingDate", True),
        ("exit_survey", True),
        ("contract_end_date", True),
        ("REFUND", True),
        ("monthsLeft", True),
        ("exitement", False),
        ("date_of_birth", False),
        ("scoreboard", False),
    ],
)
def test_names_of_what_is_known_too_late_are_told(name: str, suspect: bool) -> None:
    findings = found(of(12, **{name: np.arange(100) % 9 / 2}))
    assert names(findings, "named_after_the_fact") == ({f"named_after_the_fact:{name}"} if suspect else set())


def test_a_rate_that_drifts_through_the_file_or_time_is_told() -> None:
    customers = of(13, months=np.arange(5_000) % 70 / 1.0)
    audited = customers.audited()
    drifting = (np.random.default_rng(0).random(len(audited.places)) < audited.places / 10_000).astype(np.int64)
    audited = replace(audited, churned=drifting, times={"since": audited.places.astype(np.float64)})
    findings = find_leaks(audited, customers.contract(), by_time=True)
    assert [finding.name for finding in findings] == ["rate_drifts", "rate_drifts:since"]
    assert not names(found(customers), "rate_drifts")


@pytest.mark.parametrize("by_time", [False, True])
def test_dates_ask_for_a_split_by_time(by_time: bool) -> None:
    customers = of(14, months=np.arange(200) % 7 / 1.0)
    audited = customers.audited()
    audited = replace(audited, times={"since": np.where(audited.places % 2 == 0, audited.places, np.nan)})
    findings = find_leaks(audited, customers.contract(), by_time=by_time)
    assert names(findings, "time_without_time_split") == (set() if by_time else {"time_without_time_split:since"})


def test_findings_are_accepted_by_name_and_needless_ones_are_told() -> None:
    findings = [AuditFinding("id_like", "fail", ("nr",), ""), AuditFinding("repeats", "warn", ("a", "b"), "")]
    contract = contract_of({"nr": "numeric"}, accept=("repeats:a,b", "id_like:number"))
    assert open_findings(findings, contract) == findings[:1]
    assert needless_accepts(findings, contract) == ["id_like:number"]


def test_equal_tables_give_equal_findings() -> None:
    customers = clean_customers(2, 2_000, 12).with_copies(0.1, jittered, seed=0)
    assert found(customers) == found(customers)


@pytest.mark.parametrize("rows", [1, 2, 12])
def test_hardly_any_rows_are_no_trouble(rows: int) -> None:
    customers = of(16, fee=np.full(rows, np.nan), plan=text([None] * rows), senior=np.ones(rows))
    assert not failing(customers)


def test_it_is_read_without_heavy_packages() -> None:
    heavy = "{'sklearn', 'scipy.stats', 'matplotlib'}"
    command = f"import sys, churn.audit.checks; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("tables", [50, *every_night(200)])
def test_clean_tables_do_not_fail(tables: int) -> None:
    warned: Counter[str] = Counter()
    failed, with_warning = {}, 0
    for seed in range(1000, 1000 + tables):  # the thresholds were chosen on others
        findings = found(clean_customers(seed), seed)
        warnings = {finding.check for finding in findings if finding.severity == "warn"}
        warned.update(warnings)
        with_warning += bool(warnings)
        failed[seed] = [finding for finding in findings if finding.severity == "fail"]
    wrong = {seed: findings for seed, findings in failed.items() if findings}
    sys.stdout.write(f"{len(wrong)} of {tables} clean tables fail; {with_warning} have warnings: {dict(warned)}\n")
    assert len(wrong) <= 0.02 * tables, wrong


@pytest.mark.slow
@pytest.mark.parametrize("tables", [20, *every_night(40)])
def test_leaks_are_found_in_small_tables_of_all_kinds(tables: int) -> None:
    """Not all: with a dozen churners, chance alone can hide a leak behind the limit."""
    caught: Counter[str] = Counter()
    for seed in range(tables):
        customers = clean_customers(5_000 + seed, 300)
        random = np.random.default_rng(seed)
        for leak, plant in PREDICTING.items():
            caught[leak] += bool(
                failing(customers.with_column("planted", plant(customers, random)), seed)
                & {"predicts_alone:planted", "function_of_target:planted"}
            )
    sys.stdout.write(f"caught in {tables} tables of 300 rows: {dict(caught)}\n")
    assert min(caught.values()) >= 0.85 * tables
