"""Parse numbers with thousands separators, currencies, percent signs, or brackets for negative amounts."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

CURRENCY = (
    r"(?:[$€£¥₹₽₺₩₪₫฿₴₦]|EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|BRL|MXN|ZAR|TRY|SGD|HKD)"
)
BLANK = r"[ \x{a0}\x{202f}]"
THOUSANDS = {".": rf"(?:[,'’]|{BLANK})", ",": rf"(?:[.'’]|{BLANK})"}
"""Pattern of thousands separators, by decimal separator."""


def read_amounts(texts: pa.Array, decimal: str) -> NDArray[np.float64]:
    """Parse texts to float64, NaN if a text is not a number: 1,234.50 €, $12, 8 %, (5.00) for -5.

    Currencies and percent signs are dropped without conversion: 8 % is 8. With `decimal` ".", 1.234 is 1.234; with
    ",", it is 1234.
    """
    is_number = pc.match_substring_regex(texts, number_pattern(decimal)).fill_null(False)
    plain = pc.replace_substring_regex(texts.filter(is_number), r"^\((.*)\)$", r"-\1")
    plain = pc.replace_substring(plain, "−", "-")
    plain = pc.replace_substring_regex(plain, rf"{CURRENCY}|[^0-9eE+{decimal}-]", "")
    plain = pc.replace_substring_regex(plain, r"^\+", "")  # Arrow does not parse a plus sign
    if decimal == ",":
        plain = pc.replace_substring(plain, ",", ".")
    values = np.full(len(texts), np.nan)
    values[is_number.to_numpy(zero_copy_only=False)] = pc.cast(plain, pa.float64()).to_numpy()
    return values


def number_pattern(decimal: str) -> str:
    """Regular expression of the numbers that `read_amounts` parses; exponents only with `decimal` "."."""
    sign = re.escape(decimal)
    digits = rf"(?:[1-9]\d{{0,2}}(?:{THOUSANDS[decimal]}\d{{3}})+(?:{sign}\d*)?|\d+(?:{sign}\d*)?|{sign}\d+)"
    start = rf"(?:[+−-]?{BLANK}?(?:{CURRENCY}{BLANK}?)?|{CURRENCY}{BLANK}?[+−-])"
    unit = rf"(?:{BLANK}?(?:%|{CURRENCY}))?"
    by_program = r"|[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+" if decimal == "." else ""
    return rf"^(?:{start}{digits}{unit}|\((?:{CURRENCY}{BLANK}?)?{digits}{unit}\){by_program})$"
