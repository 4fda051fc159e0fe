"""Faults that a user can cause and mend."""


class ChurnError(Exception):
    """Says file, column or key, value, and what to do; shown without a traceback, one line a fault."""


class ParameterError(ChurnError):
    """params.yaml asks for something that cannot be done."""


class DataError(ChurnError):
    """A table breaks its contract, or cannot be learned from."""


def shown(value: object) -> str:
    """A user's value as it stands in a message: on one line, and not longer than 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
