"""Infer the format of a CSV table from its first bytes."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from churn.config.contract import DecimalSign, TableFormat
from churn.errors import DataError, excerpt

HEAD_BYTES = 1_000_000
"""Uncompressed bytes that are examined."""

MARKS = {
    codecs.BOM_UTF8: "utf-8",  # readers skip the mark
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

MADE_BY_OTHERS = {
    b"PAR1": "is a Parquet table; name it .parquet",
    b"PK\x03\x04": "is a spreadsheet or another archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "is an old spreadsheet; save the table as CSV",
    b"\x1f\x8b": "is packed with gzip; name it .csv.gz",
    b"SQLite format 3\0": "is a database; save the table as CSV",
    b"%PDF": "is a PDF; save the table as CSV",
}
"""First bytes of files that are not CSV tables, and what to do instead."""

DELIMITERS = (",", ";", "\t", "|")
"""In order of preference if two fit equally."""

QUOTES = ('"', "'")

ROWS = 2_000
CELLS = 200_000
STEADY = 0.9
"""Share of rows as long as the header from which the width decides between delimiters."""

TITLE_LINES = 10
"""Lines within which the header is looked for."""

STRAY = 0.001
"""Highest share of control characters in a text; real tables contain a few."""

CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")

DECORATION = re.compile(r"^[-+]?\s*[$€£¥]|[\s%$€£¥]+$|^[-+\s]+")


def _decimal_number(this: str, other: str) -> re.Pattern[str]:
    """Pattern of numbers that are valid with this decimal sign only.

    Three digits after one sign may be thousands, unless a zero or more than three digits precede it.
    """
    return re.compile(
        rf"\d{{1,3}}(?:{other}\d{{3}})+{this}\d+|\d+{this}(?:\d{{1,2}}|\d{{4,}})|(?:0|\d{{4,}}){this}\d{{3}}"
        rf"|\d{{1,3}}(?:{other}\d{{3}}){{2,}}"
    )


DECIMAL_NUMBERS: dict[DecimalSign, re.Pattern[str]] = {
    ".": _decimal_number(r"\.", ","),
    ",": _decimal_number(",", r"\."),
}

GROUPED_BY_COMMA = re.compile(r"\d{1,3},\d{3}")
"""12,345: thousands or thousandths."""


@dataclass(frozen=True)
class _Cut:
    """The rows of a text for one delimiter and one quote."""

    delimiter: str
    quote: str
    rows: list[list[str]]

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0

    @property
    def steadiness(self) -> float:
        """Share of rows that are as long as the header."""
        return sum(len(row) == self.width for row in self.rows) / max(len(self.rows), 1)


def sniff(head: bytes) -> TableFormat:
    """Infer the format of a table. Doubtful cases get the common answer: comma, double quote, decimal point.

    Raises:
        DataError: it is empty or not a text.
    """
    encoding, text = decoded(head)
    if not text.strip():
        raise DataError("is empty; name a table with a header and rows")
    cuts = _cuts(text)
    _require_no_title(cuts)
    found = _best_cut(text, cuts)
    return TableFormat(delimiter=found.delimiter, quote=found.quote, encoding=encoding, decimal=_decimal(found))


def difference(head: bytes, how: TableFormat) -> str | None:
    """In what the format of a table seems to differ from the expected one; None if nothing is noticed."""
    try:
        found = sniff(head)
    except DataError as error:
        return f"it {error}"
    names = ["delimiter", "quote"] if _reads_the_same(head, found.encoding, how.encoding) else ["encoding"]
    pairs = [(name, getattr(found, name), getattr(how, name)) for name in names]
    told = [f"{name} {here!r}, not {expected!r}" for name, here, expected in pairs if here != expected]
    return f"it seems to have {' and '.join(told)} (data.format): save it like the table of the model" if told else None


def _reads_the_same(head: bytes, one: str, other: str) -> bool:
    texts = [codecs.getincrementaldecoder(encoding)("replace").decode(head) for encoding in (one, other)]
    return texts[0].removeprefix("\ufeff") == texts[1].removeprefix("\ufeff")


def encoding_of(head: bytes) -> str | None:
    """Encoding of a table, from its first bytes; None if it cannot be inferred."""
    try:
        return decoded(head)[0]
    except DataError:
        return None


def require_text(head: bytes) -> None:
    """Check that the first bytes are not those of a file of another kind.

    Raises:
        DataError: they are.
    """
    for start, advice in MADE_BY_OTHERS.items():
        if head.startswith(start):
            raise DataError(advice)


def decoded(head: bytes) -> tuple[str, str]:
    """Encoding and text of the first bytes of a table.

    Raises:
        DataError: they are no text, or in an encoding that cannot be inferred.
    """
    require_text(head)
    for encoding in _candidates(head):
        try:
            # Incremental: the head may end inside a character.
            text = codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        control = CONTROL.findall(text)
        if "\0" in control or len(control) > STRAY * len(text):
            raise DataError(f"is not a text file (contains {ord(min(control)):#04x}); save the table as CSV")
        return encoding, text.removeprefix("\ufeff")
    raise DataError("is neither UTF-8, UTF-16 nor windows-1252; save the table as UTF-8")


def _candidates(head: bytes) -> Iterator[str]:
    marked = [encoding for mark, encoding in MARKS.items() if head.startswith(mark)]
    if marked:
        yield from marked
        return
    # Latin text in UTF-16 has a zero in every other byte.
    pairs = max(len(head) // 2, 1)
    for first_zero, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[first_zero::2].count(0) > 0.4 * pairs and head[1 - first_zero :: 2].count(0) == 0:
            yield encoding
            return
    yield "utf-8"
    yield "windows-1252"


def _cuts(text: str) -> list[_Cut]:
    return [_Cut(delimiter, quote, _rows(text, delimiter, quote)) for delimiter in DELIMITERS for quote in QUOTES]


def _require_no_title(cuts: list[_Cut]) -> None:
    """Refuse a table that begins with lines that are no header."""
    if any(_filled(row) > 1 for cut in cuts for row in cut.rows[:1]):
        return
    for cut in cuts:
        filled = [_filled(row) for row in cut.rows[:TITLE_LINES]]
        header = next((place for place, count in enumerate(filled) if count >= 2), 0)
        if not header:
            continue
        below = cut.rows[header:]
        width = len(below[0])
        if filled[header] == width and sum(len(row) == width for row in below) >= STEADY * len(below) > 1:
            title = max(cut.rows[0], key=len)
            raise DataError(
                f"begins with {excerpt(title.strip())} instead of a header; delete the lines above the header, which "
                f"seems to begin with {excerpt(below[0][0])}"
            )


def _filled(row: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _best_cut(text: str, cuts: list[_Cut]) -> _Cut:
    tables = [cut for cut in cuts if cut.width > 1 and cut.steadiness > 0.5]
    if not tables:
        unused = [delimiter for delimiter in DELIMITERS if delimiter not in text]
        delimiter = [*unused, DELIMITERS[0]][0]
        tables = [cut for cut in cuts if cut.delimiter == delimiter]
    steady = [cut for cut in tables if cut.steadiness >= STEADY]
    best = max(steady, key=lambda cut: cut.width) if steady else max(tables, key=lambda cut: cut.steadiness)
    plain, single = (_with_quote(cuts, best.delimiter, quote) for quote in QUOTES)
    return single if _is_quoted_singly(plain, single) else plain


def _with_quote(cuts: list[_Cut], delimiter: str, quote: str) -> _Cut:
    return next(cut for cut in cuts if (cut.delimiter, cut.quote) == (delimiter, quote))


def _is_quoted_singly(plain: _Cut, single: _Cut) -> bool:
    """Whether ' quotes cells, rather than being an apostrophe."""
    if any(cell.startswith('"') for row in single.rows for cell in row):
        return False
    opened = [cell for row in plain.rows for cell in row if cell.startswith("'")]
    if not any(len(cell) > 1 and cell.endswith("'") for cell in opened):
        return False
    if single.steadiness != plain.steadiness:
        return single.steadiness > plain.steadiness
    return all(len(cell) > 1 and cell.endswith("'") for cell in opened)


def _rows(text: str, delimiter: str, quote: str) -> list[list[str]]:
    """The first rows without empty lines; none if an unclosed quote swallows the text."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    rows: list[list[str]] = []
    cells = 0
    try:
        for row in islice(reader, ROWS):
            if row:
                rows.append(row)
                cells += len(row)
            if cells > CELLS:
                break
    except csv.Error:
        return []
    if len(rows) > 2 and not text.endswith(("\n", "\r")):
        rows.pop()  # the head may end inside this row
    return rows


def _decimal(cut: _Cut) -> DecimalSign:
    votes: Counter[str] = Counter()
    commas = points = 0
    for row in cut.rows[1:]:
        for cell in row:
            if "." in cell or "," in cell:
                number = DECORATION.sub("", cell.strip())
                commas += bool(GROUPED_BY_COMMA.fullmatch(number))
                points += "." in number
                votes.update(sign for sign, pattern in DECIMAL_NUMBERS.items() if pattern.fullmatch(number))
    if (
        not votes and cut.delimiter == ";" and commas and not points
    ):  # semicolons are used where the comma is the decimal sign
        return ","
    return "," if votes[","] > votes["."] else "."
