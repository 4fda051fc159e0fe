"""Check for features that are identifiers."""

from collections.abc import Callable, Iterator

import numpy as np

from churn.audit.columns import AuditedColumn, Codes
from churn.audit.correlation import correlation
from churn.audit.view import ROWS_TO_COMPARE, AuditFinding, AuditView
from churn.table.column_names import says_key, words_of

ROWS_FOR_IDS = 50
NEARLY_ALL = 0.95
DENSE = 0.5
ALSO_KEYS = frozenset({"code", "account"})
"""Last words of names that say key where nearly every value is another one."""

EQUAL_CORRELATION = 0.999


def id_like(view: AuditView) -> Iterator[AuditFinding]:
    """Find columns that have a different value for nearly every customer and look like identifiers."""
    for column in view.columns:
        evidence = _NAMING[column.kind](column, view)
        if evidence:
            yield AuditFinding("id_like", "fail", (column.name,), evidence)


def _naming_label(column: AuditedColumn, view: AuditView) -> str | None:
    few = column.train.iloc[view.every(ROWS_TO_COMPARE)].dropna()
    if few.nunique() < NEARLY_ALL * len(few):
        return None
    known = int(column.both.notna().sum())
    gaps = known < len(column.both)
    distinct = int(column.codes.max(initial=-1)) + 1 - gaps
    if known < ROWS_FOR_IDS or distinct < NEARLY_ALL * known:
        return None
    return f"{distinct:,} different labels in {known:,} rows: it looks like an identifier of customers"


def _naming_number(column: AuditedColumn, view: AuditView) -> str | None:
    few = column.train.iloc[view.every(ROWS_TO_COMPARE)].dropna().to_numpy(dtype=np.float64)
    if np.any(few != np.floor(few)) or len(np.unique(few)) < NEARLY_ALL * len(few):
        return None
    known = column.both.dropna().to_numpy(dtype=np.float64)
    if len(known) < ROWS_FOR_IDS or np.any(known != np.floor(known)):
        return None
    distinct = len(np.unique(known))
    if distinct < NEARLY_ALL * len(known):
        return None
    counted = f"{distinct:,} different whole numbers in {len(known):,} rows"
    if distinct > DENSE * (known.max() - known.min() + 1):
        return f"{counted}, from {known.min():.0f} to {known.max():.0f}: it looks like a row number"
    if _follows_the_file(column, view.audited.places):
        return f"{counted}, rising or falling with the position in the file: it looks like a row number"
    if says_key(column.name) or ALSO_KEYS & set(words_of(column.name)[-1:]):
        return f"{counted}, and the column is named like a key: it looks like an identifier of customers"
    return None


def _follows_the_file(column: AuditedColumn, places: Codes) -> bool:
    """Whether values rise or fall through the file in even steps; those of a sorted quantity would be uneven."""
    order = np.argsort(places, kind="stable")
    values = column.train.to_numpy(dtype=np.float64)[order]
    known = ~np.isnan(values)
    steps = np.diff(values[known])
    if len(steps) < ROWS_FOR_IDS or max(np.mean(steps > 0), np.mean(steps < 0)) < 0.99:
        return False
    return abs(correlation(values[known], places[order][known].astype(np.float64))) > EQUAL_CORRELATION


_NAMING: dict[str, Callable[[AuditedColumn, AuditView], str | None]] = {
    "categorical": _naming_label,
    "numeric": _naming_number,
    "boolean": lambda *_: None,
}
