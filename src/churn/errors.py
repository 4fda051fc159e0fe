"""Faults that a user can cause and mend."""

from collections.abc import Sequence


class ChurnError(Exception):
    """Says file, column or key, value, and what to do; shown without a traceback, one line a fault."""


class ParameterError(ChurnError):
    """params.yaml asks for something that cannot be done."""


class DataError(ChurnError):
    """A table breaks its contract, or cannot be learned from."""


MOST_NAMES = 3
"""That a message lists."""


def first_few(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def escape_controls(text: str) -> str:
    """A text for a terminal: what would move its cursor, colour it or forge a line is written out.

    Names in commits and tags of a server are somebody else's.
    """
    return "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in text)


def excerpt(value: object) -> str:
    """A user's value as it stands in a message: on one line, and not longer than 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
