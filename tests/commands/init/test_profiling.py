"""What each column of an unknown table is taken for, and why."""

import contextlib
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.commands.init.dates import DAYS, MANY, MONTHS, TIMES
from churn.commands.init.profiling import ColumnProfile, TableProfile, profile_table
from churn.config.contract import Column, DecimalSign, NumericColumn, UnusedColumn
from churn.errors import ChurnError, DataError
from churn.table.parsing import parse_times
from tests.helpers.strategies import repeatable

ROWS = 40
LEFT = ["yes", "no", "no", "no"] * (ROWS // 4)


def cells(*texts: str) -> list[str]:
    """A column as long as the table, the texts in turn."""
    return [texts[row % len(texts)] for row in range(ROWS)]


def mixed(*texts: str) -> list[str]:
    """The same, out of step with every other column."""
    return [texts[(row * row // 7 + row // 3) % len(texts)] for row in range(ROWS)]


def profiled(decimal: DecimalSign = ".", identifier: str | None = None, **columns: list[str]) -> TableProfile:
    """A table with these columns, one that a model can always use, and the target."""
    table = pd.DataFrame(columns | {"use": mixed("1.5", "2.5", "4.5", "9.5"), "left": LEFT}, dtype="str")
    return profile_table(table, "left", decimal=decimal, identifier=identifier)


def column(name: str, texts: list[str], decimal: DecimalSign = ".") -> ColumnProfile:
    profile = profiled(decimal, None, **{name: texts})
    return next(column for column in profile.columns if column.name == name)


def spec(name: str, texts: list[str], decimal: DecimalSign = ".") -> dict[str, Any]:
    """The entry of a column in the contract, without on_error, which is fail."""
    found: Column | None = column(name, texts, decimal).spec
    assert found is not None
    entry = found.model_dump(exclude_defaults=True)
    assert entry.pop("on_error") == "fail"
    return entry


def numeric(low: float | None = 0.0, missing: str = "fail") -> dict[str, Any]:
    return {"type": "numeric", "min": low, "max": None, "missing": missing}


@pytest.mark.parametrize(
    ("decimal", "texts"),
    [
        (".", mixed("1", "2.5", "1e3", ".5", "7.")),
        (".", mixed("$1,234.50", "$20", "-$3.5")),
        (".", mixed("1 234", "20 %", "3.5%")),
        (",", mixed("1.234,56", "12,5", "7")),
        (",", mixed("1.234,56 €", "EUR 12,5", "7 %")),
        (".", mixed("CHF 1'200.50", "£7", "3 USD")),
        (".", mixed("(1,200.50)", "7", "3")),
        (".", mixed("+1.5", "+$7", "3")),
        (".", mixed(" 1", "2 ", "3.5")),
    ],
)
def test_numbers_are_known_however_they_are_written(decimal: DecimalSign, texts: list[str]) -> None:
    found = spec("fee", texts, decimal)
    assert found == numeric(None if {"-$3.5", "(1,200.50)"} & set(texts) else 0.0)


def test_gaps_are_allowed_where_there_are_some() -> None:
    assert spec("fee", mixed("1.5", "2", "NA", "")) == numeric(missing="allow")
    assert spec("plan", mixed("a", "b", "n/a")) == {"type": "categorical", "values": ("a", "b"), "missing": "allow"}
    assert spec("senior", mixed("yes", "no", "?")) == {"type": "boolean", "missing": "allow"}


@pytest.mark.parametrize(
    "gap", ["NA", "N/A", "n/a", "null", "NULL", "None", "none", "nan", "NaN", "?", "-", "--", ".", "#N/A"]
)
def test_texts_that_mean_missing_are_listed(gap: str) -> None:
    profile = profiled(fee=mixed("1.5", "2", gap))
    assert profile.missing_values == (gap,)
    assert profile.features["fee"].type == "numeric"


def test_unknown_is_an_answer() -> None:
    profile = profiled(job=mixed("clerk", "unknown"))
    assert profile.missing_values == ()
    assert spec("job", mixed("clerk", "unknown"))["values"] == ("clerk", "unknown")


def test_gaps_of_columns_that_are_not_used_are_not_listed() -> None:
    assert profiled(empty=cells("NA"), note=cells("--")).missing_values == ()


@pytest.mark.parametrize(
    "pair", [("0", "1"), ("yes", "No"), ("y", "n"), ("T", "F"), ("true", "false"), ("0.0", "1.0"), ("1", "no")]
)
def test_booleans_are_known(pair: tuple[str, str]) -> None:
    assert spec("senior", mixed(*pair)) == {"type": "boolean", "missing": "fail"}


def test_a_few_whole_numbers_stay_numbers_unless_something_says_code() -> None:
    assert spec("visits", mixed("1", "2", "3")) == numeric()
    for name in ("areaCode", "zip", "customer segment", "plan_type", "region id"):
        assert spec(name, mixed("30", "2", "1"))["values"] == ("1", "2", "30"), name
    assert spec("branch office", mixed("01", "02", "11"))["values"] == ("01", "02", "11")
    assert spec("sex", mixed("1", "2"))["values"] == ("1", "2")


def unused(name: str, texts: list[str]) -> UnusedColumn:
    """The entry of a column that is not used."""
    found = column(name, texts).unused
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("texts", "words", "form"),
    [
        ([f"2024-01-{day % 28 + 1:02}" for day in range(ROWS)], "yyyy-mm-dd", None),
        ([f"{day % 28 + 1}.3.2024" for day in range(ROWS)], "dd.mm.yyyy", "%d.%m.%Y"),
        ([f"0{day % 9 + 1}/{day % 28 + 1:02}/2024" for day in range(ROWS)], "mm/dd/yyyy", "%m/%d/%Y"),
        ([f"{day % 28 + 1:02}/0{day % 9 + 1}/2024" for day in range(ROWS)], "dd/mm/yyyy", "%d/%m/%Y"),
        ([f"2024-01-{day % 28 + 1:02} 12:30:00" for day in range(ROWS)], "yyyy-mm-dd", None),
        ([f"{day % 28 + 1} Jan 2024" for day in range(ROWS)], "dd mon yyyy", "%d %b %Y"),
        ([f"{row % 24}:{row:02}:17" for row in range(ROWS)], "hh:mm", None),
    ],
)
def test_dates_are_not_used_and_their_format_is_kept(texts: list[str], words: str, form: str | None) -> None:
    found = unused("since", texts)
    assert (found.kind, found.format) == ("date", form)
    assert found.reason == f"date ({words}): a model needs a duration; the split can use it"


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d"])
def test_the_format_that_is_kept_reads_the_dates(form: str) -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=ROWS))
    texts = days.dt.strftime(form)
    read = parse_times(texts, unused("since", texts.tolist()).format)
    assert read.tolist() == [(day - pd.Timestamp(0)).days for day in days]


def test_numbers_are_dates_only_when_the_name_says_so() -> None:
    serial = [str(45000 + 7 * row) for row in range(ROWS)]
    assert column("start_date", serial).reason.startswith("date (days since 1900)")
    assert column("credit", serial).role == "numeric"
    days = [f"202401{day % 28 + 1:02}" for day in range(ROWS)]
    assert (unused("start_date", days).kind, unused("start_date", days).format) == ("date", "%Y%m%d")


def in_form(form: str) -> list[str]:
    return pd.Series(pd.date_range("2023-05-01", periods=ROWS)).dt.strftime(form).tolist()


@pytest.mark.parametrize("form", [*DAYS, *(f"{DAYS[3]} {time}" for time in TIMES), *MONTHS])
def test_dates_of_any_form_are_known_and_the_format_orders_them(form: str) -> None:
    found = unused("since", in_form(form))
    assert found.kind == "date"
    read = parse_times(pd.Series(in_form(form)), found.format)
    assert read.notna().all()
    assert read.is_monotonic_increasing


def test_a_date_that_two_formats_fit_is_told() -> None:
    texts = [f"0{row % 9 + 1}/0{row % 7 + 1}/2024" for row in range(ROWS)]
    assert unused("since", texts).reason.startswith("date (mm/dd/yyyy, or dd/mm/yyyy: no day is above 12)")


def test_numbers_that_are_dates_are_known_without_a_name_where_nothing_else_is_likely() -> None:
    days = pd.date_range("2023-05-01", periods=MANY, freq="3D")
    serial = [str((day - pd.Timestamp("1899-12-30")).days) for day in days]
    epoch = [str(int(day.timestamp())) for day in days]
    for texts, form in ((serial, None), (epoch, None), ([f"{day:%Y%m%d}" for day in days], "%Y%m%d")):
        table = pd.DataFrame({"x": texts, "use": [f"{row % 7}.5" for row in range(MANY)]}, dtype="str")
        table["left"] = (["yes", "no"] * MANY)[:MANY]
        assert profile_table(table, "left", decimal=".").unused["x"].format == form
        assert profile_table(table, "left", decimal=".").unused["x"].kind == "date"


def panel(name: str, customers: int = 30, months: int = 6, form: str = "K{:04}") -> pd.DataFrame:
    """Some customers in each month, with what a model can use."""
    table = pd.DataFrame(
        {
            name: [form.format(one) for _ in range(months) for one in range(customers)],
            "month": [f"2024-{month + 1:02}-01" for month in range(months) for _ in range(customers)],
        }
    )
    rows = range(len(table))
    return table.assign(fee=[f"{row % 11}.5" for row in rows], left=["yes" if row % 5 else "no" for row in rows])


@pytest.mark.parametrize(
    ("name", "form"), [("customer_id", "K{:04}"), ("CustomerID", "{}"), ("account no", "{}"), ("kunde", "K{:04}")]
)
def test_a_column_that_names_customers_in_several_rows_becomes_the_id(name: str, form: str) -> None:
    profile = profile_table(panel(name, form=form), "left", decimal=".")
    assert profile.id == name
    (told,) = [one.reason for one in profile.columns if one.name == name]
    assert told.startswith("names customers: 30 in 180 rows")


def test_codes_that_come_twice_at_one_date_name_no_customers() -> None:
    table = panel("shop")
    assert (
        profile_table(table.assign(shop=table["shop"].sample(frac=1, random_state=0).tolist()), "left", decimal=".").id
        is None
    )


def test_a_key_of_customers_is_the_id_though_it_counts_the_rows() -> None:
    counting = [str(row + 1) for row in range(ROWS)]
    for name in ("customer_id", "CustomerId", "customerid", "id", "Account No"):
        assert profiled(".", None, **{name: counting}).id == name
    for name in ("row", "RowNumber", "index", "record id"):
        assert profiled(".", None, **{name: counting}).id is None


def test_a_key_of_customers_comes_before_a_key_of_rows() -> None:
    table = panel("customer_id", form="{}").assign(order_id=[str(7001 + 3 * row) for row in range(180)])
    profile = profile_table(table[["order_id", "customer_id", "month", "fee", "left"]], "left", decimal=".")
    assert profile.id == "customer_id"


@pytest.mark.parametrize(
    "name",
    ["Zip", "Zipcode", "zip_code", "ZIPCODE", "PostalCode", "post code", "plz", "state_cd", "MARRIAGE", "EDUCATION"],
)
def test_numbers_that_are_codes_by_their_name_are_labels(name: str) -> None:
    assert spec(name, mixed("30", "2", "1"))["values"] == ("1", "2", "30")


def test_a_column_of_texts_stays_where_a_code_says_the_same() -> None:
    plan = mixed("a", "b", "c")
    codes = [{"a": "1", "b": "2", "c": "3"}[label] for label in plan]
    assert profiled(plan_code=codes, plan=plan).unused == {"plan_code": copy_of("plan")}


def test_one_column_becomes_the_id_and_other_ids_are_left_out() -> None:
    profile = profiled(
        row=[str(row) for row in range(ROWS)],
        customerId=[str(90_000 - 3 * row) for row in range(ROWS)],
        phone=[f"38{row}-46{row}" for row in range(ROWS)],
    )
    assert profile.id == "customerId"
    assert profile.unused == {
        "row": UnusedColumn(
            kind="row_number", format=None, reason="row number; if it identifies customers, name it with --id"
        ),
        "phone": UnusedColumn(kind="id", format=None, reason="id: almost unique codes"),
    }


def test_long_unique_numbers_of_one_length_are_ids_whatever_their_name() -> None:
    assert column("msisdn", [str(491_700_000 + row * row) for row in range(ROWS)]).role == "id"
    assert column("income", [str(10 ** (row % 8) + row) for row in range(ROWS)]).role == "numeric"


def test_unique_amounts_are_no_id() -> None:
    assert column("salary", [f"{1000 + 13 * row}.{row}" for row in range(ROWS)]).role == "numeric"
    assert column("salary", [f"{1000 + 13 * row}" for row in range(ROWS)]).role == "numeric"
    assert column("salary", [f"${1000 + 13 * row}" for row in range(ROWS)]).role == "numeric"


def test_the_id_that_is_asked_for_is_taken_if_it_has_no_gaps() -> None:
    names = [f"customer {chr(97 + row % 26)}{'x' * (row // 26)}" for row in range(ROWS)]
    assert profiled(identifier="who", who=names).id == "who"
    with pytest.raises(DataError, match=r"column 'who' \(--id\) has 1 gaps"):
        profiled(identifier="who", who=["", *names[1:]])


@pytest.mark.parametrize(
    ("texts", "kind", "reason"),
    [
        (cells("x"), "constant", "constant: always 'x'"),
        (cells("", "NA"), "no_value", "no value at all"),
        (["Mr " + chr(97 + row // 26) + chr(97 + row % 26) for row in range(ROWS)], "free_text", "names or free text"),
        ([f"has called {row} times about the bill of his neighbour" for row in range(ROWS)], "free_text", "free text"),
        (LEFT, "target_copy", "copy of the target"),
        (cells("in", "out", "out", "out"), "target_copy", "copy of the target"),
    ],
)
def test_what_a_model_cannot_use_is_left_out(texts: list[str], kind: str, reason: str) -> None:
    found = column("it", texts)
    assert found.unused is not None
    assert (found.role, found.unused.kind) == ("unused", kind)
    assert found.reason == found.unused.reason
    assert found.reason.startswith(reason)


def copy_of(name: str) -> UnusedColumn:
    return UnusedColumn(kind="copy", format=None, reason=f"copy of {name!r}")


def test_of_columns_that_say_the_same_the_first_stays() -> None:
    plan = mixed("a", "b", "c")
    codes = [{"a": "1", "b": "2", "c": "3"}[label] for label in plan]
    profile = profiled(plan=plan, level=codes, other=mixed("a", "b", "c", "d", "e"))
    assert profile.unused == {"level": copy_of("plan")}


def test_rare_flags_that_agree_by_chance_are_no_copies() -> None:
    rare = ["1", *["0"] * (ROWS - 1)]
    assert profiled(one=rare, other=rare).unused == {}


def test_different_amounts_are_no_copies_though_they_map_one_to_one() -> None:
    one, other = ([f"{row**power + 0.25}" for row in range(ROWS)] for power in (1, 2))
    assert profiled(one=one, other=other).unused == {}
    for copy in (one, [f"{float(amount) * 0.17:.3f}" for amount in one]):
        assert profiled(one=one, other=copy).unused == {"other": copy_of("one")}


def test_one_value_or_a_gap_is_kept_as_a_label() -> None:
    assert spec("promotion", mixed("X", "")) == {"type": "categorical", "values": ("X",), "missing": "allow"}


def test_too_many_labels_for_the_rows_are_left_out_and_many_are_not_listed() -> None:
    def city(count: int) -> Column | None:
        rows = pd.RangeIndex(1200)
        table = pd.DataFrame({"city": "town " + (rows * rows % 1201 % count).astype("str"), "use": rows % 7 * 1.5})
        table["left"] = ["yes" if row % 5 else "no" for row in rows]
        return profile_table(table.astype("str"), "left", decimal=".").features.get("city")

    assert city(30).values is not None  # type: ignore[union-attr]
    assert city(80).values is None  # type: ignore[union-attr]
    assert city(200) is None


def test_a_text_among_numbers_means_missing_in_this_column_only() -> None:
    for few in (1, 12, 24):
        profile = profiled(fee=["unknown"] * few + [f"{row}.5" for row in range(ROWS - few)])
        assert profile.missing_values == ()
        fee = profile.features["fee"]
        assert (fee.type, fee.missing, fee.missing_values, fee.on_error) == ("numeric", "allow", ("unknown",), "fail")
        (told,) = [one.reason for one in profile.columns if one.name == "fee"]
        assert f"{few} are not numbers, such as 'unknown', and are read as missing" in told


def test_slips_among_numbers_are_read_as_missing_one_by_one() -> None:
    fee = profiled(fee=["12o", "1.5.1", *(f"{row}.5" for row in range(2 * ROWS - 2))][-ROWS:]).features["fee"]
    assert fee.on_error == "fail"
    fee = profiled(fee=[*(f"{row}.5" for row in range(ROWS - 2)), "12o", "1.5.1"]).features["fee"]
    assert (fee.type, fee.missing, fee.missing_values, fee.on_error) == ("numeric", "allow", (), "missing")


def test_ranges_and_answers_beside_a_few_numbers_stay_labels() -> None:
    assert spec("visits", mixed("1", "2", "3", "10+"))["values"] == ("1", "10+", "2", "3")
    assert spec("visits", mixed("1", "2", "3", "never"))["values"] == ("1", "2", "3", "never")


def test_a_column_may_have_a_decimal_sign_of_its_own() -> None:
    found = spec("fee", [f"{row},{row % 7}5" for row in range(ROWS)])
    assert found == numeric() | {"decimal": ","}


def test_none_is_a_label_among_labels_and_a_gap_among_numbers() -> None:
    profile = profiled(offer=mixed("None", "A", "B"), fee=mixed("None", "1.5", "2.5", "", "3.5"))
    assert profile.missing_values == ()
    assert spec("offer", mixed("None", "A", "B"))["values"] == ("A", "B", "None")
    assert profile.features["fee"].missing_values == ("None",)


def test_a_lone_negative_number_may_stand_for_a_gap() -> None:
    found = column("days", mixed("1.5", "2", "-999", "12"))
    assert found.spec == NumericColumn(type="numeric", min=None, max=None, missing="fail", on_error="fail")
    assert "if -999, the only negative value, means missing, list it in missing_values of this column" in found.reason


@pytest.mark.parametrize(
    ("name", "values", "positive"),
    [
        ("left", ("Yes", "No"), "Yes"),
        ("left", ("True.", "False."), "True."),
        ("left", ("1", "0"), "1"),
        ("exited", ("1.0", "0.0"), "1.0"),
        ("status", ("1.0", "0.0"), None),
        ("subscribed", ("yes", "no"), None),
        ("not_churned", ("yes", "no"), None),
        ("gekündigt", ("ja", "nein"), "ja"),
        ("status", ("Existing Customer", "Attrited Customer"), "Attrited Customer"),
        ("status", ("active", "closed"), "closed"),
        ("status", ("churned", "not churned"), "churned"),
        ("status", ("no churn", "churn"), "churn"),
        ("retained", ("yes", "no"), None),
        ("isActive", ("1", "0"), None),
        ("retained", ("left", "stayed"), "left"),
        ("status", ("A", "B"), None),
        ("status", ("1", "2"), None),
        ("status", ("-1", "1"), None),
        ("status", ("churned", "other"), None),
    ],
)
def test_the_value_that_means_churned_is_known_or_left_open(
    name: str, values: tuple[str, str], positive: str | None
) -> None:
    table = pd.DataFrame({"use": mixed("1.5", "2.5", "4"), name: mixed(*values)}, dtype="str")
    assert profile_table(table, name, decimal=".").target.positive == positive


def refusal(table: dict[str, list[str]] | pd.DataFrame, **options: Any) -> str:
    with pytest.raises(DataError) as told:
        profile_table(pd.DataFrame(table, dtype="str"), "left", decimal=".", **options)
    (line,) = str(told.value).splitlines()
    return line


def test_a_target_without_exactly_two_values_is_refused() -> None:
    use = mixed("1", "2", "5")
    advice = "besides gaps; it must have exactly two"
    three = refusal({"use": use, "left": cells("yes", "no", "maybe", "NA")})
    remedy = "leave out the rows of the others, as with --drop maybe"
    assert three == f"column 'left' (--target) has 3 values ('yes', 'no', 'maybe') {advice}: {remedy}"
    assert refusal({"use": use, "left": cells("?")}) == f"column 'left' (--target) has no value {advice}"


def test_spellings_of_a_value_of_the_target_are_one_value() -> None:
    table = pd.DataFrame({"use": mixed("1", "2", "5"), "left": mixed("Yes", "No", "yes", "NO ", "No")}, dtype="str")
    found = profile_table(table, "left", decimal=".").target
    assert {value.lower() for value in found.values} == {"yes", "no"}
    assert sum(found.counts) == ROWS


def test_rows_with_another_outcome_can_be_left_out() -> None:
    status = mixed("Stayed", "Churned", "Joined")
    table = pd.DataFrame({"use": cells("1.5", "2.5", "4", "8"), "left": status}, dtype="str")
    assert "leave out the rows of the others, as with --drop Joined" in refusal(table)
    found = profile_table(table, "left", decimal=".", drop=("joined",))
    assert (set(found.target.values), found.target.positive) == ({"Stayed", "Churned"}, "Churned")
    assert found.rows == ROWS - status.count("Joined")
    assert refusal(table, drop=("Gone",)) == "--drop 'Gone' is not a value of column 'left' (--target)"


def test_a_target_with_gaps_leaves_those_rows_out() -> None:
    table = pd.DataFrame({"use": mixed("1", "2", "5"), "left": mixed("yes", "no", "")}, dtype="str")
    assert profile_table(table, "left", decimal=".").target.missing == "drop"


def test_several_columns_without_a_name_are_left_out() -> None:
    named = pd.DataFrame({"use": mixed("1", "2", "5"), "left": mixed("yes", "no")}, dtype="str")
    unnamed = pd.DataFrame("", index=named.index, columns=["", ""], dtype="str")
    found = profile_table(pd.concat([named, unnamed], axis=1), "left", decimal=".")
    assert found == profile_table(named, "left", decimal=".")


def test_what_cannot_be_profiled_is_told_in_one_line() -> None:
    assert refusal({"gone": cells("a")}) == "no column 'left' (--target); the table has: 'gone'"
    assert refusal({"left": LEFT}, identifier="who") == "no column 'who' (--id); the table has: 'left'"
    assert refusal({"left": []}) == "holds no rows"
    assert refusal({"left": LEFT}) == "no column can be used by a model (there is only the target)"
    reason = "no column can be used by a model ('one': constant: always 'x')"
    assert refusal({"left": LEFT, "one": cells("x")}) == reason
    twice = pd.DataFrame([["a", "b", "yes"]], columns=["fee", "fee", "left"])
    assert refusal(twice) == "column 'fee' appears 2 times in the header; rename or remove the duplicates"


NUMBER_PARTS = st.lists(
    st.sampled_from(["1", "23", "456", "7890", *",.' ’$€%-+()", "\u00a0", " EUR", "CHF", "e5", "E-3"]), max_size=7
)
CELLS = NUMBER_PARTS.map("".join) | st.sampled_from(
    ["", "NA", "1", "0", "1.5", "-1,5", "$3", "x", " x", "2024-01-02", "yes", "no", "1e999", "inf", "٣"]
)


@pytest.mark.slow
@repeatable
@given(
    st.integers(1, 30).flatmap(
        lambda rows: st.dictionaries(
            st.text("ab id_date", max_size=8), st.lists(CELLS | st.text(max_size=4), min_size=rows, max_size=rows)
        ).map(lambda columns: columns | {"left": (["yes", "no"] * rows)[:rows]})
    ),
    st.sampled_from([".", ","]),
)
def test_any_table_of_texts_is_profiled_or_refused(columns: dict[str, list[str]], decimal: DecimalSign) -> None:
    with contextlib.suppress(ChurnError):
        profile = profile_table(pd.DataFrame(columns, dtype="str"), "left", decimal=decimal)
        assert [column.name for column in profile.columns] == list(columns)
        assert all(len(column.reason.splitlines()) == 1 for column in profile.columns)
