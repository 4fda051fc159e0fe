"""Text for terminals."""

import base64
import codecs
import functools
import io
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TextIO
from urllib.parse import quote, quote_plus, unquote

from rich.cells import cell_len

ADDRESS = re.compile(r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<rest>[^\s"'<>]+)""", re.IGNORECASE)
END_OF_HOST = re.compile(r"[/?#]")
HOST = re.compile(r"(\[[^\]]*\]|[^:@]*)(:[\d*]*)?\W*")
"""A host with or without its port, and what a sentence has behind it."""
UNESCAPED = re.compile(r"[/?#@]")
"""Signs that end a part of an address, and that a password has to escape."""
SECRET_PARAMETER = re.compile(
    r"""([?&;][^=&\s]*(?:pass|pwd|token|secret|key|credential|signature)[^=&\s]*=)([^&\s#"'<>]*)""", re.IGNORECASE
)
SECRET_SETTING = re.compile(
    r"""((?:passw(?:or)?d|passphrase|pwd|secret|token|(?:access|account|api|private)_?key)['"]?\s*(?:=\s*|:\s*(?=['"])))"""
    r"""('[^']*'|"[^"]*"|[^\s&'",;]+)""",
    re.IGNORECASE,
)
"""As in the settings of PostgreSQL's client, and in a dictionary that is printed."""
SECRET_HEADER = re.compile(
    r"""(authorization['"]?\s*[:=]\s*['"]?(?:(?:bearer|basic|token|digest|negotiate|aws4-hmac-sha256)\s+)?|\bbearer\s+"""
    r"""|(?:\bx-[\w-]*|private-|job-|deploy-)(?:token|key|secret)['"]?\s*:\s*['"]?)[^\s'"]{8,}""",
    re.IGNORECASE,
)
COOKIE = re.compile(r"""(cookie['"]?\s*:\s*['"]?)[^\s=;,'"]+=[^\s'"]+""", re.IGNORECASE)
ENCODED = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
"""What can be text in base64, such as a name and a password in a header."""
SHORTEST_SECRET = 6
"""Shorter values are words that occur in any text."""
SHORTEST_TOKEN = 16
"""A shorter name in an address, without a password, is a user's."""
MASK = "***"

QUOTED_START = re.compile(r"""(?<!\w)['"]""")
QUOTED = re.compile(r"""(?<!\w)(['"])(?:\\.|(?!\1).)*\1""")
CUT = "..."
"""End of a value that a message has in part, and without its second quotation mark."""


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without user names and passwords of addresses, secret parameters and headers, and the given secrets.

    The secrets are found as they are, escaped, and encoded as a header or an address has them.
    """
    for secret in secrets:
        text = _spellings(secret).sub(MASK, text)
    text = ADDRESS.sub(lambda found: found["scheme"] + _without_user(found["rest"]), text)
    for pattern in (SECRET_PARAMETER, SECRET_SETTING, SECRET_HEADER, COOKIE):
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return ENCODED.sub(lambda found: MASK if _is_name_and_password(found[0]) else found[0], text)


def secrets_in_address(address: str) -> list[str]:
    """The secrets of an address: its password or token, and those of its parameters.

    Each also unescaped and in parts: a message on a broken address has one of them.
    """
    _, scheme, rest = address.partition("://")
    name, colon, password = rest.rpartition("@")[0].partition(":") if scheme else ("", "", "")
    whole = [password if colon else name if len(name) >= SHORTEST_TOKEN else ""]
    whole += [found[2] for found in SECRET_PARAMETER.finditer(address)] if scheme else []
    parts = (part for one in whole for part in (one, unquote(one), *UNESCAPED.split(one)))
    return [part for part in parts if len(part) >= SHORTEST_SECRET]


@functools.lru_cache
def _spellings(secret: str) -> re.Pattern[str]:
    """Finds a secret: as it is, escaped for an address, for JSON or by Python, and in base64 behind any name."""
    plain = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    plain |= {ascii(secret)[1:-1]} | {one.lower() for one in plain if "%" in one}
    encoded = {_core_in_base64(secret.encode(errors="surrogatepass"), before) for before in range(3)}
    encoded |= {core.translate(str.maketrans("+/", "-_")) for core in encoded}
    ways = [re.escape(one) for one in sorted(plain, key=len, reverse=True)]
    ways += [rf"[\w+/-]*{re.escape(core)}[\w+/-]*=*" for core in encoded if len(core) >= SHORTEST_SECRET]
    return re.compile("|".join(ways))


def _core_in_base64(content: bytes, before: int) -> str:
    """The signs that a content has in base64, whatever stands behind it, and `before` other bytes before it."""
    first, last = (before * 8 + 5) // 6, (before + len(content)) * 8 // 6
    return base64.b64encode(bytes(before) + content).decode()[first:last]


def _is_name_and_password(word: str) -> bool:
    """Whether a word is in base64 what a header of a name and a password has."""
    try:
        told = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_" if {"-", "_"} & set(word) else None)
        return ":" in told.decode() and told.decode().isprintable()
    except ValueError:
        return False


def _without_user(address: str) -> str:
    """An address behind its scheme, without user and password.

    A `/`, `?` or `#` that a password has unescaped ends the host too early. So, where a user is possible, all up to the
    last `@` is left out; an address of `host:port` whose path has an `@` loses more than it must. Of an address that
    was cut within its password, all behind the name is left out.
    """
    host = END_OF_HOST.split(address, maxsplit=1)[0]
    if "@" not in address and not HOST.fullmatch(host):
        return f"{host.partition(':')[0]}:{MASK}"
    return address.rpartition("@")[2] if ":" in host or "@" in host else address


def without_quoted(message: str) -> str:
    """A message without the texts in quotation marks; from the first one on, if one of them was cut."""
    first = QUOTED_START.search(message)
    if first and CUT in message:
        return f"{message[: first.start()]}…"
    return QUOTED.sub("'…'", message)


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)?|\d*\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def as_cell(text: str) -> str:
    """A user's text for a CSV file that people open: a spreadsheet shows it, and does not calculate it.

    An apostrophe goes before a text that a spreadsheet would take for a formula. A number keeps its sign: it calculates
    nothing. A text that begins with apostrophes and such a sign gets one more, so that `text_of_cell` is exact.
    """
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def text_of_cell(cell: str) -> str:
    """The text that `as_cell` wrote."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell.lstrip("'")) else cell


def _is_formula(text: str) -> bool:
    return text.lstrip(" ").startswith(FORMULA_STARTS) and not NUMBER.fullmatch(text)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines of a table with aligned columns; columns whose numbers are in `right` are aligned to the right.

    Widths are those of a terminal: a Chinese character takes two columns, a combining accent none.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_filled(row, widths, right)).rstrip() for row in rows]


def _filled(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        gap = " " * (width - cell_len(cell))
        yield gap + cell if place in right else cell + gap


def one_line(text: str) -> str:
    """A text without line breaks and control characters, which a space replaces."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def counted(number: int, noun: str) -> str:
    """A number of things, such as `1 finding` or `2 findings`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(text: str, length: int) -> str:
    """A text of at most `length` characters; … ends one that is cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def escaped_json(text: str) -> str:
    """Escape characters of a JSON text that would move a terminal's cursor or cannot be encoded."""
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)


def open_closed_streams() -> None:
    """Let standard streams that are closed (`>&-`) lead nowhere; else the next file gets what libraries print."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of the free descriptors
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


def escape_what_cannot_be_encoded(*streams: TextIO) -> None:
    """Escape characters that a terminal's encoding lacks as JSON does, so that JSON stays what it is."""
    codecs.register_error("churn.escape", _escaped)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="churn.escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
