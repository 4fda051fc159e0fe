"""From text to typed columns, and every way in which a table breaks its contract."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa

from churn.contract import Column, MissingPolicy, TableContract, Target, columns_of_type
from churn.errors import shown

BOOLEAN_TEXTS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}

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


@dataclass(frozen=True)
class Fault:
    """One way in which one column breaks the contract. Rows count from 1, the header apart."""

    column: str
    problem: str
    count: int
    first_value: str
    first_row: int

    def __str__(self) -> str:
        values = "1 value is" if self.count == 1 else f"{self.count:,} values are"
        first = f", first {shown(self.first_value)}" if self.first_value else ", first"
        return (
            f"column {self.column!r}: {values} {self.problem}{first} in data row {self.first_row:,}; "
            f"{REMEDIES[self.problem]}"
        )

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
        return f"no column {', '.join(map(repr, absent))}; take it out of data.columns or data.id, or mend the file"
    return None


def parse_table(texts: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, list[Fault]]:
    """Give each column of the contract its type; what has no value in that type is a fault.

    Numbers and booleans become float64, labels and ids text, the target 1.0 (positive) or 0.0 (negative);
    a gap is NaN everywhere. Columns outside the contract are left out.
    """
    empty = ["", *contract.missing_values]
    known = texts[contract.needed].apply(lambda column: column.str.strip())
    known = known.mask(known.isin(empty))
    typed: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    if contract.id is not None:
        typed[contract.id] = known[contract.id]
    for name, column in contract.columns.items():
        typed[name], problem = PARSERS[column.type](known[name])
        faults += _unparsed(name, known[name], typed[name], problem)
    name = contract.target.column
    typed[name] = _parse_target(known[name], contract.target)
    faults += _unparsed(name, known[name], typed[name], "neither positive nor negative")
    return pd.DataFrame(typed), faults


def parse_customers(texts: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, pd.Series]:
    """Typed columns of customers to be scored, and for each row all that breaks the contract, in words ('': nothing).

    The target is not looked at. A gap is let in only where the contract allows it: the model was fitted without others.
    """
    reasons = pd.Series("", index=texts.index, dtype="object")
    typed: dict[str, pd.Series] = {}
    for name in contract.of_customer:
        # Each text is read once, for all rows that share it.
        places, distinct = pd.factorize(texts[name], use_na_sentinel=False)
        values, told = _read_cells(name, pd.Series(distinct), contract)
        typed[name] = pd.Series(values.array.take(places), index=texts.index)
        if told.any():
            reasons += told.to_numpy()[places]
    broken = reasons != ""
    reasons[broken] = reasons[broken].str.removesuffix("; ")
    return pd.DataFrame(typed), reasons


def _read_cells(name: str, texts: pd.Series, contract: TableContract) -> tuple[pd.Series, pd.Series]:
    """Typed values of some cells of one column, and of each all that breaks the contract, '; ' after each breach."""
    column = contract.columns.get(name)
    known = texts.str.strip()
    known = known.mask(known.isin(["", *contract.missing_values]))
    parser, checks = (_parse_label, ()) if column is None else (PARSERS[column.type], CHECKS[column.type](column))
    values, problem = parser(known)
    broken = {problem: known.notna() & values.isna()}
    if column is None or column.missing != "allow":
        broken["missing"] = known.isna()
    broken |= {str(check.error): ~_passes(check, values) for check in checks}
    told = pd.Series("", index=texts.index, dtype="object")
    for said, cells in broken.items():
        if cells.any():
            shown_values = ["it" if pd.isna(value) else shown(value) for value in known[cells]]
            told[cells] += [f"column {name!r}: {value} is {said}; " for value in shown_values]
    return values, told


def _passes(check: pa.Check, values: pd.Series) -> pd.Series:
    """Which values a check lets in; gaps are another check's business."""
    result = check(values.dropna()).check_output
    return pd.Series(result, index=values.dropna().index).reindex(values.index, fill_value=True).astype(bool)


def all_faults(table: pd.DataFrame, unparsed: list[Fault], contract: TableContract) -> list[Fault]:
    """Every fault of a typed table, those of parsing first; what did not parse is not told again as missing."""
    columns = {fault.column for fault in unparsed}
    broken = [fault for fault in contract_faults(table, contract) if fault.column not in columns or not fault.is_gap]
    one_sided = [] if contract.target.column in columns else target_faults(table, contract)
    return [*unparsed, *broken, *one_sided, *name_faults(table, contract)]


def contract_faults(table: pd.DataFrame, contract: TableContract) -> list[Fault]:
    """Check every value of a typed table; all faults come at once, in the contract's order."""
    try:
        _pandera_schema(contract).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        return list(_faults_of(error.failure_cases, table))
    return []


def target_faults(table: pd.DataFrame, contract: TableContract) -> list[Fault]:
    """A target with one value only has nothing to be learned from."""
    name = contract.target.column
    labels = table[name].dropna()
    if labels.nunique() != 1:
        return []
    only = contract.target.positive if labels.iloc[0] == 1 else contract.target.negative
    return [Fault(name, "only one of the two target values", len(labels), only, int(labels.index[0]) + 1)]


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
                rows = (table[name].astype("object").map(str) == str(label)).to_numpy()
                problem = "encoded under the name of another column or label"
                yield Fault(name, problem, int(rows.sum()), str(label), int(rows.argmax()) + 1)
            taken.add(encoded)


def _parse_number(texts: pd.Series) -> tuple[pd.Series, str]:
    return pd.to_numeric(texts, errors="coerce").astype("float64"), "not a number"


def _parse_boolean(texts: pd.Series) -> tuple[pd.Series, str]:
    return texts.str.lower().map(BOOLEAN_TEXTS).astype("float64"), "not 0 or 1"


def _parse_label(texts: pd.Series) -> tuple[pd.Series, str]:
    return texts, "not in values"


PARSERS: dict[str, Callable[[pd.Series], tuple[pd.Series, str]]] = {
    "numeric": _parse_number,
    "boolean": _parse_boolean,
    "categorical": _parse_label,
}


def _parse_target(texts: pd.Series, target: Target) -> pd.Series:
    return texts.map({target.positive: 1.0, target.negative: 0.0}).astype("float64")


def _unparsed(name: str, texts: pd.Series, values: pd.Series, problem: str) -> list[Fault]:
    lost = np.flatnonzero(texts.notna() & values.isna())
    if not len(lost):
        return []
    return [Fault(name, problem, len(lost), str(texts.iloc[lost[0]]), int(lost[0]) + 1)]


def _pandera_schema(contract: TableContract) -> pa.DataFrameSchema:
    target = contract.target
    columns = {name: _pandera_column(column) for name, column in contract.columns.items()}
    columns[target.column] = pa.Column(checks=list(_gap_checks(target.missing, " in the target")), nullable=True)
    if contract.id is not None:
        columns[contract.id] = pa.Column(checks=list(_gap_checks("fail", " in the id")), nullable=True)
    return pa.DataFrameSchema(columns)


def _pandera_column(column: Column) -> pa.Column:
    # Nullable for pandera, so that gaps are told by these checks alone, in words that fit the column's role.
    return pa.Column(checks=[*_gap_checks(column.missing), *CHECKS[column.type](column)], nullable=True)


def _gap_checks(policy: MissingPolicy, role: str = "") -> Iterator[pa.Check]:
    yield pa.Check(lambda values: bool(values.notna().any()), error=f"entirely missing{role}", ignore_na=False)
    if policy == "fail":
        yield pa.Check(lambda values: values.notna() | values.isna().all(), error=f"missing{role}", ignore_na=False)


def _number_checks(column: Column) -> Iterator[pa.Check]:
    yield pa.Check(np.isfinite, error="infinite")
    if column.type != "numeric":
        return
    low = -np.inf if column.min is None else column.min
    high = np.inf if column.max is None else column.max
    # What is infinite has been told as that.
    yield pa.Check(lambda values: (values >= low) | np.isinf(values), error="below min")
    yield pa.Check(lambda values: (values <= high) | np.isinf(values), error="above max")


def _label_checks(column: Column) -> Iterator[pa.Check]:
    if column.type == "categorical" and column.values is not None:
        yield pa.Check.isin(column.values, error="not in values")


CHECKS: dict[str, Callable[[Column], Iterator[pa.Check]]] = {
    "numeric": _number_checks,
    "boolean": lambda _: iter(()),
    "categorical": _label_checks,
}


def _faults_of(cases: pd.DataFrame, table: pd.DataFrame) -> Iterator[Fault]:
    for (name, problem), group in cases.groupby(["column", "check"], sort=False):
        rows = group["index"].dropna()
        first = int(rows.min()) if len(rows) else 0
        value = table[name].iloc[first]
        text = "" if pd.isna(value) else str(value)
        yield Fault(str(name), str(problem), len(rows) or len(table), text, first + 1)
