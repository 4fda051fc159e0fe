"""Text for terminals."""

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len

ADDRESS = re.compile(r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<rest>[^\s"'<>]+)""", re.IGNORECASE)
END_OF_HOST = re.compile(r"[/?#]")
SECRET_PARAMETER = re.compile(
    r"""([?&;][^=&\s]*(?:pass|pwd|token|secret|key|credential|signature)[^=&\s]*=)[^&\s#"'<>]*""", re.IGNORECASE
)
SECRET_SETTING = re.compile(r"""\b((?:ssl)?passw(?:or)?d\s*=\s*)('[^']*'|"[^"]*"|[^\s&'"]+)""", re.IGNORECASE)
"""As in the settings of PostgreSQL's client."""
SECRET_HEADER = re.compile(
    r"""(authorization['"]?\s*[:=]\s*['"]?(?:bearer|basic)?\s*|\bbearer\s+)[^\s'"]{8,}""", re.IGNORECASE
)
MASK = "***"

QUOTED_START = re.compile(r"""(?<!\w)['"]""")
QUOTED = re.compile(r"""(?<!\w)(['"])(?:\\.|(?!\1).)*\1""")
CUT = "..."
"""End of a value that a message has in part, and without its second quotation mark."""


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without user names and passwords of addresses, secret parameters and headers, and the given secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = ADDRESS.sub(lambda found: found["scheme"] + _without_user(found["rest"]), text)
    for pattern in (SECRET_PARAMETER, SECRET_SETTING, SECRET_HEADER):
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def _without_user(address: str) -> str:
    """An address behind its scheme, without user and password.

    A `/`, `?` or `#` that a password has unescaped ends the host too early. So, where a user is possible, all up to the
    last `@` is left out; an address of `host:port` whose path has an `@` loses more than it must.
    """
    host = END_OF_HOST.split(address, maxsplit=1)[0]
    return address.rpartition("@")[2] if ":" in host or "@" in host else address


def without_quoted(message: str) -> str:
    """A message without the texts in quotation marks; from the first one on, if one of them was cut."""
    first = QUOTED_START.search(message)
    if first and CUT in message:
        return f"{message[: first.start()]}…"
    return QUOTED.sub("'…'", message)


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
