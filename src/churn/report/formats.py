"""Formatting of numbers and of user text for the page and the card."""

import math
from collections.abc import Callable
from typing import Any

from churn.errors import escape_controls
from churn.report.svg import Axis
from churn.types import DECIMALS

LONGEST_TEXT = 60


def form_of(spec: str) -> Callable[[Any], str]:
    """Return a function that formats a number by `spec`, and an undefined one as a dash."""

    def written(value: Any) -> str:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return "–"
        text = format(value, spec)
        return text.lstrip("-") if not text.strip("-0.%") else text.replace("-", "−")

    return written


def exact_figure(value: float) -> str:
    """Format a number with all decimals that the files hold."""
    text = form_of(f",.{DECIMALS}f")(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


UNITS = {"share": (100, "%"), "money": (1, ""), "number": (1, "")}
"""Factor and unit of axis ticks, by form of the axis."""


def ticks_of(axis: Axis) -> list[tuple[float, str]]:
    """Value and text of each tick, with as many decimals as needed to be exact."""
    times, unit = UNITS[axis.form]
    values = [times * tick for tick in axis.ticks]
    exact = (
        places for places in range(DECIMALS) if all(math.isclose(v, round(v, places), abs_tol=1e-9) for v in values)
    )
    written = form_of(f",.{next(exact, DECIMALS)}f")
    return [(tick, f"{written(value)}{unit}") for tick, value in zip(axis.ticks, values, strict=True)]


def printable(value: Any) -> Any:
    """For Jinja's `finalize`: a text without what hides or reorders it; markup and other values stay as they are."""
    return escape_controls(value) if type(value) is str else value


def on_one_line(text: object) -> str:
    """Put user text on one line, with the characters escaped that hide or reorder others."""
    return escape_controls(" ".join(str(text).split()))


def brief(text: object) -> str:
    """Put user text on one line, shortened to LONGEST_TEXT characters."""
    line = on_one_line(text)
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


def inert_markdown(text: object) -> str:
    """Escape user text for Markdown, so that it is neither markup nor ends a table cell."""
    plain = on_one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()#+!|~" else sign for sign in plain)
