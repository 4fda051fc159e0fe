"""Date formats in users' tables: each is one that `datetime.strptime` reads, and its pattern follows from it."""

import calendar
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

_MONTHS = "|".join(calendar.month_name[1:])
_SHORT_MONTHS = "|".join(calendar.month_abbr[1:])

DIRECTIVES = {
    "%d": ("dd", r"(?:0?[1-9]|[12]\d|3[01])"),
    "%m": ("mm", r"(?:0?[1-9]|1[0-2])"),
    "%Y": ("yyyy", r"\d{4}"),
    "%y": ("yy", r"\d{2}"),
    "%B": ("month", rf"(?i:{_MONTHS})"),
    "%b": ("mon", rf"(?i:{_SHORT_MONTHS})"),
    "%H": ("hh", r"(?:[01]?\d|2[0-3])"),
    "%I": ("hh", r"(?:0?[1-9]|1[0-2])"),
    "%M": ("mm", r"[0-5]\d"),
    "%S": ("ss", r"[0-5]\d"),
    "%f": ("fraction", r"\d{1,6}"),
    "%p": ("am/pm", r"(?i:[ap]m)"),
}
"""Word and pattern of each directive of `datetime.strptime`."""

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%m-%d-%y", "%d-%m-%y", "%d. %m. %Y", "%Y %m %d"),
    *("%d %B %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %y", "%d/%b/%Y", "%d. %B %Y"),
    *("%B %d, %Y", "%b %d, %Y", "%B %d %Y", "%b %d %Y", "%b. %d, %Y", "%Y-%b-%d"),
)
TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%B %Y", "%b %Y", "%b-%y", "%b-%Y", "%Y%m%d %H:%M:%S")

ISO = r"\d{4}-\d\d-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z| ?[+-]\d\d(?::?\d\d)?)?)?"


@dataclass(frozen=True)
class DateForm:
    """A date format, in words and for `datetime.strptime`.

    `format` is None for ISO 8601, for numbers that grow with time, and for a time of day, which is no date.
    """

    words: str
    format: str | None


Share = Callable[[str], float]
"""Maps a pattern to the share of a column's cells that match it as a whole."""


def written_date(share: Share, enough: float) -> DateForm | None:
    """Format of a column of texts, of which at least the share `enough` match; None if they are no dates."""
    if share(r".*\d.*") < enough:
        return None
    if share(ISO) >= enough:
        return DateForm("yyyy-mm-dd", None)
    if share(_pattern("%H:%M")) >= enough or share(_pattern("%H:%M:%S")) >= enough:
        return DateForm("hh:mm", None)
    found = list(_formats(share, enough))
    if not found:
        return None
    first, *others = found
    swapped = [one for one in others if one != first and sorted(one) == sorted(first)]
    also = f", or {words_of_format(swapped[0])}: no day is above 12" if swapped else ""
    return DateForm(words_of_format(first) + also, first)


def _formats(share: Share, enough: float) -> Iterator[str]:
    """Formats of days first, then with times of the day, then of months; the first that fits in each group is best."""
    yield from (form for form in DAYS if share(_pattern(form)) >= enough)
    for day in DAYS:
        if share(_pattern(day) + "[T ].*") >= enough:
            both = [f"{day}{between}{time}" for between, time in product(" T", TIMES)]
            yield from (form for form in both if share(_pattern(form)) >= enough)
    yield from (form for form in MONTHS if share(_pattern(form)) >= enough)


@functools.cache
def _pattern(form: str) -> str:
    parts = re.split(r"(%[A-Za-z])", form)
    return "".join(DIRECTIVES[part][1] if part in DIRECTIVES else re.escape(part) for part in parts)


def words_of_format(form: str) -> str:
    """A format in words, such as dd.mm.yyyy."""
    return re.sub(r"%[A-Za-z]", lambda found: DIRECTIVES[found[0]][0], form)


FIRST_YEAR, LAST_YEAR = 1900, 2100
DAY_OF_2000, DAY_OF_2050 = 36_526, 54_789
"""Days since 1899-12-30, as spreadsheets count them."""
SECONDS_OF_2000, SECONDS_OF_2050 = 946_684_800, 2_524_608_000
A_DAY = 86_400
NARROW = 0.1
"""Spreadsheets' dates of some years lie close together: the range is at most this part of the smallest number."""
MANY = 100
"""Fewer different numbers, however close together, may be amounts."""


def serial_date(values: NDArray[np.float64], *, says_date: bool) -> DateForm | None:
    """Format of whole numbers that are dates; None if they are not. `says_date`: the column's name says so.

    Numbers that cannot be told from others, such as times in seconds, are dates only if the name says so.
    """
    low, high = float(values.min()), float(values.max())
    if low >= FIRST_YEAR * 10_000 and high < LAST_YEAR * 10_000 and _all_in_calendar(values):
        return DateForm("yyyymmdd", "%Y%m%d")
    if says_date and low >= 10_000 and high <= 80_000:
        return DateForm("days since 1900", None)
    if low >= DAY_OF_2000 and high <= DAY_OF_2050 and high - low <= NARROW * low and len(values) >= MANY:
        return DateForm("days since 1900", None)
    for unit, words in ((1, "seconds since 1970"), (1000, "milliseconds since 1970")):
        inside = SECONDS_OF_2000 * unit <= low and high <= SECONDS_OF_2050 * unit
        midnights = len(values) > 1 and bool(np.all(values % (A_DAY * unit) == 0))
        if (inside and (says_date or midnights)) or (says_date and 10**8 * unit <= low and high <= 10**10 * unit):
            return DateForm(words, None)
    return None


def _all_in_calendar(values: NDArray[np.float64]) -> bool:
    numbers = values.astype(np.int64)
    year, month, day = numbers // 10_000, numbers // 100 % 100, numbers % 100
    if not (((month >= 1) & (month <= 12) & (day >= 1)).all()):
        return False
    lengths = np.array([calendar.monthrange(one, which)[1] for one, which in zip(year, month, strict=True)])
    return bool((day <= lengths).all())
