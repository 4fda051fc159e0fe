"""Numbers as people write them: with thousands parted, a currency, a percent sign, or in brackets below zero."""

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
"""What may part groups of three digits, by decimal sign."""


def read_amounts(texts: pa.Array, decimal: str) -> NDArray[np.float64]:
    """Numbers as float64, NaN where a text is none: 1,234.50 €, $12, 8 %, (5.00) for -5.

    Unit and percent sign are dropped, not reckoned with. A group of three digits counts as thousands only beside the
    other decimal sign, so 1.234 is 1.234 with `decimal` "." and 1234 with ",".
    """
    is_number = pc.match_substring_regex(texts, number_pattern(decimal)).fill_null(False)
    plain = pc.replace_substring_regex(texts.filter(is_number), r"^\((.*)\)$", r"-\1")
    plain = pc.replace_substring(plain, "−", "-")
    plain = pc.replace_substring_regex(plain, rf"{CURRENCY}|[^0-9eE+{decimal}-]", "")
    plain = pc.replace_substring_regex(plain, r"^\+", "")  # Arrow knows no plus
    if decimal == ",":
        plain = pc.replace_substring(plain, ",", ".")
    values = np.full(len(texts), np.nan)
    values[is_number.to_numpy(zero_copy_only=False)] = pc.cast(plain, pa.float64()).to_numpy()
    return values


def number_pattern(decimal: str) -> str:
    """Expression of the numbers that `read_amounts` reads; with an exponent only as programs write them."""
    sign = re.escape(decimal)
    digits = rf"(?:[1-9]\d{{0,2}}(?:{THOUSANDS[decimal]}\d{{3}})+(?:{sign}\d*)?|\d+(?:{sign}\d*)?|{sign}\d+)"
    start = rf"(?:[+−-]?{BLANK}?(?:{CURRENCY}{BLANK}?)?|{CURRENCY}{BLANK}?[+−-])"
    unit = rf"(?:{BLANK}?(?:%|{CURRENCY}))?"
    by_program = r"|[+-]?(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+" if decimal == "." else ""
    return rf"^(?:{start}{digits}{unit}|\((?:{CURRENCY}{BLANK}?)?{digits}{unit}\){by_program})$"
