"""Errors that a user can cause and fix."""

from collections.abc import Sequence


class ChurnError(Exception):
    """Printed without a traceback, one line for each problem: file, column or key, value, and what to do."""


class ParameterError(ChurnError):
    """A value in params.yaml is invalid or cannot be applied."""


class DataError(ChurnError):
    """A table violates its contract, or no model can be trained on it."""


OF_THE_MOMENT = (MemoryError, OSError, ImportError)
"""What a machine lacks: memory, disk, a package. It says nothing about the model or the parameters that met it."""


MOST_NAMES = 3
"""Names listed in a message."""


def first_few(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def escape_controls(text: str, *, on_one_line: bool = False) -> str:
    """Escape characters that move a terminal's cursor, colour it, forge a line, or hide or reorder other characters.

    Names of commits, tags, columns and labels, and texts from a server, are untrusted.
    """
    kept = "" if on_one_line else "\n\t"
    return "".join(sign if sign.isprintable() or sign in kept else repr(sign)[1:-1] for sign in text)


def excerpt(value: object) -> str:
    """A user's value for a message: on one line, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
