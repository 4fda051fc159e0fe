"""Text for terminals."""

import json
from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len


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
