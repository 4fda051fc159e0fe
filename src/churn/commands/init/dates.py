"""Date formats in users' tables."""

from dataclasses import dataclass

_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?:Z| ?[+-]\d{2}:?\d{2})?)?"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:\d{4}|\d{2})"


@dataclass(frozen=True)
class DateForm:
    """A date format, in words and for `datetime.strptime`; None if no format is needed, or none fits."""

    words: str
    format: str | None


DATES = {
    rf"^\d{{4}}[-/.]{_MONTH}[-/.]{_DAY}{_TIME}$": DateForm("yyyy-mm-dd", None),
    r"^\d{4}-(?:0[1-9]|1[0-2])$": DateForm("yyyy-mm", None),
    rf"^{_DAY}\.{_MONTH}\.{_YEAR}{_TIME}$": DateForm("dd.mm.yyyy", "%d.%m.%Y"),
    rf"^{_MONTH}[-/]{_DAY}[-/]{_YEAR}{_TIME}$": DateForm("mm/dd/yyyy", "%m/%d/%Y"),
    rf"^{_DAY}[-/]{_MONTH}[-/]{_YEAR}{_TIME}$": DateForm("dd/mm/yyyy", "%d/%m/%Y"),
    rf"^{_DAY}[-. ]+\pL{{3,9}}[-. ]+{_YEAR}{_TIME}$": DateForm("dd month yyyy", None),
    r"^\d{1,2}:\d{2}(?::\d{2})?$": DateForm("hh:mm", None),
    rf"^\pL{{3,9}}\.? {_DAY},? {_YEAR}{_TIME}$": DateForm("month dd, yyyy", None),
}
"""By pattern of the texts."""

SERIAL_DATES = {
    (19000101, 21001231): DateForm("yyyymmdd", "%Y%m%d"),
    (10_000, 80_000): DateForm("days since 1900", None),
    (10**8, 10**10): DateForm("seconds since 1970", None),
    (10**11, 10**13): DateForm("milliseconds since 1970", None),
}
"""By range: numbers that are dates if the column's name says so."""
