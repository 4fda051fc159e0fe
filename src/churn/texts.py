"""Text for a terminal."""

import json
from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines of a table: each column as wide as its widest cell, those whose places are in `right` set to the right.

    A sign counts as many columns as a terminal gives it: a Chinese one two, a combining accent none.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_filled(row, widths, right)).rstrip() for row in rows]


def _filled(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        gap = " " * (width - cell_len(cell))
        yield gap + cell if place in right else cell + gap


def shortened(text: str, length: int) -> str:
    """A text of at most `length` characters; … ends one that is cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def escaped_json(text: str) -> str:
    """The same JSON; what would move a terminal's cursor, or cannot be encoded, is written by its number."""
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)
