"""From text to typed columns, and every way in which a table breaks its contract."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from churn.amounts import read_amounts
from churn.contract import Column, MissingPolicy, TableContract, Target, columns_of_type
from churn.errors import shown

BOOLEAN_TEXTS = {"0": 0.0, "0.0": 0.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}
BOOLEAN_TEXTS |= {"1": 1.0, "1.0": 1.0, "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0}

REMEDIES = {
    "not a number": "correct them, or list the text under data.missing_values",
    "not 0 or 1": "correct them, or make the column categorical",
    "infinite": "correct them, or list the text under data.missing_values",
    "missing": "fill them in, or set the column's missing policy to drop or allow",
    "missing in the target": "fill them in, or set data.target.missing to drop",
    "missing in the id": "fill them in, or set data.id to null",
    "below min": "correct them, or lower min",
    "above max": "correct them, or raise max",
    "not in values": "correct them, or add them to values",
    "entirely missing": "take the column out of data.columns",
    "entirely missing in the target": "check data.target.column and data.missing_values",
    "entirely missing in the id": "check data.missing_values, or set data.id to null",
    "neither positive nor negative": "correct them, or change data.target.positive and data.target.negative",
    "only one of the two target values": "a model needs both: check data.target.positive and data.target.negative",
    "encoded under the name of another column or label": "rename the column or the label",
}


VALUE_PROBLEMS = {"not a number", "not 0 or 1", "infinite", "below min", "above max", "not in values"}


@dataclass(frozen=True)
class Fault:
    """One way in which one column breaks the contract. Rows count from 1, the header apart."""

    column: str
    problem: str
    count: int
    first_value: str
    first_row: int
    rows: NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64), compare=False, repr=False)
    """Places of all of them in the table, from 0."""

    def __str__(self) -> str:
        return self.told(f"data row {self.first_row:,}")

    def told(self, place: str) -> str:
        """The fault in a line, its first rows named as the place says."""
        values = "1 value is" if self.count == 1 else f"{self.count:,} values are"
        first = f", first {shown(self.first_value)}" if self.first_value else ", first"
        return f"column {self.column!r}: {values} {self.problem}{first} in {place}; {REMEDIES[self.problem]}"

    @property
    def is_value(self) -> bool:
        """Whether single values are wrong, which `on_error` decides about."""
        return self.problem in VALUE_PROBLEMS

    @property
    def is_gap(self) -> bool:
        """Whether what is wrong is that there is no value."""
        return "missing" in self.problem


def header_problem(header: list[str], contract: TableContract, *, target: bool = True) -> str | None:
    """Say what is wrong with the names of the columns, or None; without `target`, that column may be absent."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        times = header.count(repeated[0])
        return f"column {repeated[0]!r} stands {times} times in the header; rename or remove the others"
    absent = [name for name in (contract.needed if target else contract.of_customer) if name not in header]
    if contract.target.column in absent:
        return f"no column {contract.target.column!r} (data.target.column); the file has: {', '.join(header)}"
    if absent:
        advice = "take it out of data.columns or data.id, or mend the file" if target else "the model needs it"
        return f"no column {', '.join(map(repr, absent))}; {advice} (the file has: {', '.join(header)})"
    return None


def parse_table(texts: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, list[Fault]]:
    """Give each column of the contract its type; what has no value in that type is a fault.

    Numbers and booleans become float64, labels and ids text, the target 1.0 (positive) or 0.0 (negative);
    a gap is NaN everywhere. Columns outside the contract are left out.
    """
    parsers = {name: PARSERS[column.type] for name, column in contract.columns.items()}
    numeric = columns_of_type(contract.columns, "numeric")
    parsers[contract.target.column] = lambda cells, _: _parse_target(cells, contract.target)
    typed: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    for name in contract.needed:
        if name in numeric and (plain := _plain_numbers(texts[name], contract)) is not None:
            typed[name] = plain
            continue
        # Numbers seldom repeat enough for that to pay.
        places, cells = (np.arange(len(texts)), texts[name]) if name in numeric else _distinct_texts(texts[name])
        known = known_texts(cells, contract)
        values, problem = parsers.get(name, _parse_label)(known, contract.format.decimal)
        typed[name] = pd.Series(values.array.take(places), index=texts.index)
        unread = (known.notna() & values.isna()).to_numpy()
        if unread.any():
            lost = np.flatnonzero(unread[places])
            faults.append(Fault(name, problem, len(lost), str(known.iloc[places[lost[0]]]), int(lost[0]) + 1, lost))
    return pd.DataFrame(typed), faults


def _plain_numbers(texts: pd.Series, contract: TableContract) -> pd.Series | None:
    """The fast way, for a column that holds gaps and numbers as programs write them; None when it holds more."""
    if contract.format.decimal != ".":
        return None
    cells = pa.array(texts, pa.large_string())
    is_gap = pc.is_in(cells, pa.array(["", *contract.missing_values], pa.large_string()))
    try:
        numbers = pc.cast(pc.if_else(is_gap, None, cells), pa.float64())
    except pa.ArrowInvalid:
        return None
    if pc.any(pc.is_nan(numbers)).as_py():  # a text that says so is no gap
        return None
    return pd.Series(numbers.to_numpy(zero_copy_only=False), index=texts.index)


def _distinct_texts(texts: pd.Series) -> tuple[NDArray[np.intp], pd.Series]:
    """Each text once, and where in that list each row's is: what is done with a text is then done once for all rows."""
    places, distinct = pd.factorize(texts, use_na_sentinel=False)
    return places, pd.Series(distinct, dtype=texts.dtype)


def known_texts(texts: pd.Series, contract: TableContract) -> pd.Series:
    """Texts without the blanks around them, NaN where they mean a gap."""
    stripped = texts.str.strip()
    return stripped.mask(stripped.isin(["", *contract.missing_values]))


def parse_customers(texts: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, pd.Series]:
    """Typed columns of customers to be scored, and for each row all that breaks the contract, in words ('': nothing).

    The target is not looked at. A gap is let in only where the contract allows it: the model was fitted without others.
    """
    reasons = pd.Series("", index=texts.index, dtype="object")
    typed: dict[str, pd.Series] = {}
    for name in contract.of_customer:
        places, distinct = _distinct_texts(texts[name])
        values, told = _read_cells(name, distinct, contract)
        typed[name] = pd.Series(values.array.take(places), index=texts.index)
        if told.any():
            reasons += told.to_numpy()[places]
    broken = reasons != ""
    reasons[broken] = reasons[broken].str.removesuffix("; ")
    return pd.DataFrame(typed), reasons


def _read_cells(name: str, texts: pd.Series, contract: TableContract) -> tuple[pd.Series, pd.Series]:
    """Typed values of some cells of one column, and of each all that breaks the contract, '; ' after each breach."""
    column = contract.columns.get(name)
    known = known_texts(texts, contract)
    parser, checks = (_parse_label, ()) if column is None else (PARSERS[column.type], CHECKS[column.type](column))
    values, problem = parser(known, contract.format.decimal)
    broken = {problem: known.notna() & values.isna()}
    broken |= {str(check.error): ~_passes(check, values) for check in checks}
    if column is not None and column.on_error == "missing":
        values = values.mask(np.logical_or.reduce(list(broken.values())))
        broken = {}
    if column is None or column.missing != "allow":
        broken = {"missing": known.isna() if broken else values.isna()} | broken
    told = pd.Series("", index=texts.index, dtype="object")
    for said, cells in broken.items():
        if cells.any():
            shown_values = ["it" if pd.isna(value) else shown(value) for value in known[cells]]
            told[cells] += [f"column {name!r}: {value} is {said}; " for value in shown_values]
    return values, told


def _passes(check: pandera.Check, values: pd.Series) -> pd.Series:
    """Which values a check lets in; gaps are another check's business."""
    result = check(values.dropna()).check_output
    return pd.Series(result, index=values.dropna().index).reindex(values.index, fill_value=True).astype(bool)


DATE_FORMS = {"dd.mm.yyyy": "%d.%m.%Y", "mm/dd/yyyy": "%m/%d/%Y", "dd/mm/yyyy": "%d/%m/%Y", "yyyymmdd": "%Y%m%d"}
"""How a date is written, in the words of `unused`, and as `datetime.strptime` has it; else ISO 8601 or numbers."""


def date_format(reason: str) -> tuple[bool, str | None]:
    """Whether a reason under `unused` says that the column holds dates, and the format that it names.

    Such as `date`, or `date (dd.mm.yyyy)` with whatever follows.
    """
    said = re.match(r"date\b(?: \((.+?)\))?", reason)
    return said is not None, DATE_FORMS.get(said[1] or "") if said else None


def parse_times(texts: pd.Series, how: str | None) -> pd.Series:
    """Numbers that rise with time, NaN where a text is none: days since 1970 of dates, or the numbers themselves.

    `how`: format of the dates as in `datetime.strptime`, None for ISO 8601 or numbers.
    """
    known = texts.str.strip()
    known = known.mask(known == "")
    numbers = pd.to_numeric(known, errors="coerce").astype("float64")
    if how is None and numbers.notna().sum() >= known.notna().sum() / 2:
        return numbers
    dates = pd.to_datetime(known, format=how or "ISO8601", errors="coerce", utc=True)
    days: pd.Series = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    return days.astype("float64")


def all_faults(table: pd.DataFrame, unparsed: list[Fault], contract: TableContract) -> list[Fault]:
    """Every fault of a typed table, those of parsing first; what did not parse is not told again as missing."""
    columns = {fault.column for fault in unparsed}
    broken = [fault for fault in contract_faults(table, contract) if fault.column not in columns or not fault.is_gap]
    one_sided = [] if contract.target.column in columns else target_faults(table, contract)
    return [*unparsed, *broken, *one_sided, *name_faults(table, contract)]


@dataclass(frozen=True)
class Settled:
    """A table after `on_error` has been obeyed.

    Attributes:
        table: without rows that were left out, with gaps in place of values taken for gaps; places kept as index.
        faults: what nothing in the contract settles.
        rows_dropped: rows left out, by the first column that said so.
        taken_for_gaps: values, by column.
    """

    table: pd.DataFrame
    faults: list[Fault]
    rows_dropped: dict[str, int]
    taken_for_gaps: dict[str, int]


def settle(table: pd.DataFrame, unparsed: list[Fault], contract: TableContract) -> Settled:
    """Do with values that break the contract what their column's `on_error` says; the rest is told."""
    faults = all_faults(table, unparsed, contract)
    policy = {name: column.on_error for name, column in contract.columns.items()}
    settled = [fault for fault in faults if fault.is_value and policy[fault.column] != "fail"]
    if not settled:
        return Settled(table, faults, {}, {})
    table = table.copy()
    taken: dict[str, int] = {}
    dropped: dict[str, int] = {}
    going: set[int] = set()
    for fault in settled:
        if policy[fault.column] == "missing":
            table.loc[fault.rows, fault.column] = np.nan
            taken[fault.column] = taken.get(fault.column, 0) + fault.count
        else:
            new = set(fault.rows.tolist()) - going
            going |= new
            dropped[fault.column] = dropped.get(fault.column, 0) + len(new)
    table = table.drop(index=sorted(going))
    if table.empty:
        return Settled(table, settled, dropped, taken)
    failing = [fault for fault in unparsed if policy.get(fault.column, "fail") == "fail"]
    left = [fault for fault in map(functools.partial(_without, going), failing) if fault is not None]
    return Settled(table, all_faults(table, left, contract), dropped, taken)


def _without(going: set[int], fault: Fault) -> Fault | None:
    """The fault as it stands when some rows have been left out; None when all of its rows have."""
    rows = fault.rows[~np.isin(fault.rows, list(going))]
    if not len(rows):
        return None
    moved = rows[0] != fault.rows[0]  # the first value is then another one, which is not known here
    return replace(
        fault, count=len(rows), first_row=int(rows[0]) + 1, first_value="" if moved else fault.first_value, rows=rows
    )


def contract_faults(table: pd.DataFrame, contract: TableContract) -> list[Fault]:
    """Check every value of a typed table; all faults come at once, in the contract's order."""
    try:
        _pandera_schema(contract).validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return list(_faults_of(error.failure_cases, table))
    return []


def target_faults(table: pd.DataFrame, contract: TableContract) -> list[Fault]:
    """A target with one value only has nothing to be learned from."""
    name = contract.target.column
    labels = table[name].dropna()
    if labels.nunique() != 1:
        return []
    only = contract.target.positive if labels.iloc[0] == 1 else contract.target.negative
    rows = labels.index.to_numpy()
    return [Fault(name, "only one of the two target values", len(labels), only, int(rows[0]) + 1, rows)]


def name_faults(table: pd.DataFrame, contract: TableContract) -> Iterator[Fault]:
    """Encoded columns that would share a name, such as that of label b_c of column a and of label c of column a_b."""
    labelled = columns_of_type(contract.columns, "categorical")
    taken = set(contract.columns) - set(labelled)
    for name in labelled:
        labels = table[name].drop_duplicates()
        if contract.columns[name].missing != "allow":
            labels = labels.dropna()
        for label in labels:
            encoded = f"{name}_{label}"  # so does the encoder; an allowed gap is a label called nan
            if encoded in taken:
                rows = table.index[table[name].astype("object").map(str) == str(label)].to_numpy()
                problem = "encoded under the name of another column or label"
                yield Fault(name, problem, len(rows), str(label), int(rows[0]) + 1, rows)
            taken.add(encoded)


def parse_numbers(texts: pd.Series, decimal: str) -> pd.Series:
    """Numbers as float64, NaN where a text is none; as people write them, or else as programs do."""
    numbers = pd.Series(read_amounts(pa.array(texts, pa.large_string()), decimal), index=texts.index)
    unread = texts[numbers.isna() & texts.notna()]
    if decimal == ",":  # what looks like a number may mean another one
        unread = unread[~unread.str.contains(".", regex=False)]
    numbers[unread.index] = pd.to_numeric(unread, errors="coerce").astype("float64")
    return numbers


def _parse_number(texts: pd.Series, decimal: str) -> tuple[pd.Series, str]:
    return parse_numbers(texts, decimal), "not a number"


def _parse_boolean(texts: pd.Series, _: str) -> tuple[pd.Series, str]:
    return texts.str.lower().map(BOOLEAN_TEXTS).astype("float64"), "not 0 or 1"


def _parse_label(texts: pd.Series, _: str) -> tuple[pd.Series, str]:
    return texts, "not in values"


PARSERS: dict[str, Callable[[pd.Series, str], tuple[pd.Series, str]]] = {
    "numeric": _parse_number,
    "boolean": _parse_boolean,
    "categorical": _parse_label,
}


def _parse_target(texts: pd.Series, target: Target) -> tuple[pd.Series, str]:
    labels = texts.map({target.positive: 1.0, target.negative: 0.0}).astype("float64")
    return labels, "neither positive nor negative"


def _pandera_schema(contract: TableContract) -> pandera.DataFrameSchema:
    target = contract.target
    columns = {name: _pandera_column(column) for name, column in contract.columns.items()}
    columns[target.column] = pandera.Column(checks=list(_gap_checks(target.missing, " in the target")), nullable=True)
    if contract.id is not None:
        columns[contract.id] = pandera.Column(checks=list(_gap_checks("fail", " in the id")), nullable=True)
    return pandera.DataFrameSchema(columns)


def _pandera_column(column: Column) -> pandera.Column:
    # Nullable for pandera, so that gaps are told by these checks alone, in words that fit the column's role.
    return pandera.Column(checks=[*_gap_checks(column.missing), *CHECKS[column.type](column)], nullable=True)


def _gap_checks(policy: MissingPolicy, role: str = "") -> Iterator[pandera.Check]:
    yield pandera.Check(lambda values: bool(values.notna().any()), error=f"entirely missing{role}", ignore_na=False)
    if policy == "fail":
        yield pandera.Check(
            lambda values: values.notna() | values.isna().all(), error=f"missing{role}", ignore_na=False
        )


def _number_checks(column: Column) -> Iterator[pandera.Check]:
    yield pandera.Check(np.isfinite, error="infinite")
    if column.type != "numeric":
        return
    low = -np.inf if column.min is None else column.min
    high = np.inf if column.max is None else column.max
    # What is infinite has been told as that.
    yield pandera.Check(lambda values: (values >= low) | np.isinf(values), error="below min")
    yield pandera.Check(lambda values: (values <= high) | np.isinf(values), error="above max")


def _label_checks(column: Column) -> Iterator[pandera.Check]:
    if column.type == "categorical" and column.values is not None:
        yield pandera.Check.isin(column.values, error="not in values")


CHECKS: dict[str, Callable[[Column], Iterator[pandera.Check]]] = {
    "numeric": _number_checks,
    "boolean": lambda _: iter(()),
    "categorical": _label_checks,
}


def _faults_of(cases: pd.DataFrame, table: pd.DataFrame) -> Iterator[Fault]:
    for (name, problem), group in cases.groupby(["column", "check"], sort=False):
        rows = np.sort(group["index"].dropna().to_numpy(dtype=np.int64))
        rows = rows if len(rows) else table.index.to_numpy()
        value = table[name].loc[rows[0]]
        text = "" if pd.isna(value) else str(value)
        yield Fault(str(name), str(problem), len(rows), text, int(rows[0]) + 1, rows)
