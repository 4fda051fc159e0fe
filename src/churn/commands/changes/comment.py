"""A pull-request comment: differences between two states of the project, as Markdown.

Names and values can come from an untrusted branch, so they are escaped.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard
from urllib.parse import quote

from churn.errors import escape_controls
from churn.files import BUSINESS_METRICS, DATA_METRICS, TEST_METRICS, TRAIN_METRICS

MARKER = "<!-- churn-changes -->"
"""First line, which identifies the comment to be updated."""
MOST_CHARACTERS = 65_000
"""GitHub's limit is 65,536; the rest is for the workflow's note about the origin of the comment."""
ROOM_FOR_NOTE = 500
MOST_OPEN_ROWS = 10
PARAMS_FILE = "params.yaml"
LONGEST_VALUE, LONGEST_SENTENCE = 120, 400
TOO_LARGE_TO_ROUND = 1e15

Value = str | int | float | bool | None
"""None: missing or null, which DVC does not distinguish."""


@dataclass(frozen=True)
class Difference:
    """A parameter or a metric of two states; both values may be equal."""

    file: str
    name: str
    old: Value
    new: Value

    @property
    def differs(self) -> bool:
        """Whether the two states have different values."""
        return self.old != self.new


@dataclass(frozen=True)
class Picture:
    """A picture that differs, and which states have it."""

    path: str
    in_old: bool
    in_new: bool


@dataclass(frozen=True)
class Side:
    """One of two states: its label, and the URL prefix of its files, if it has one."""

    label: str
    address: str | None


@dataclass(frozen=True)
class Changes:
    """Two states: differing parameters and pictures, and all metrics."""

    old: Side
    new: Side
    parameters: Sequence[Difference]
    metrics: Sequence[Difference]
    pictures: Sequence[Picture]
    lock_differs: bool
    unreadable: Sequence[str] = ()
    """What DVC could not read in at least one of the states."""
    verdict: str | None = None
    """Verdict of the paired comparison on the same customers, or why there is none."""


@dataclass(frozen=True)
class _Figure:
    """A metric with its interval, or its standard deviation over folds."""

    value: Difference
    low: Difference | None
    high: Difference | None
    spread: Difference | None

    @property
    def differs(self) -> bool:
        return any(part is not None and part.differs for part in (self.value, self.low, self.high, self.spread))


@dataclass(frozen=True)
class _Table:
    """Rows under a heading; as many are shown as fit."""

    title: str
    noun: str
    head: str
    rows: Sequence[str]
    folded: bool


_Key = tuple[str, str]

CURRENCY = "business.currency"
ON_TEST_ROWS = "Test rows: confirmation only"
HEADLINE: Mapping[str, Mapping[_Key, str]] = {
    "Out-of-fold, training rows: select on these": {
        (str(TRAIN_METRICS), "train_profit_per_1000"): "profit per 1,000 customers",
        (str(TRAIN_METRICS), "cv_roc_auc"): "ROC-AUC",
        (str(TRAIN_METRICS), "cv_pr_auc"): "PR-AUC",
    },
    ON_TEST_ROWS: {
        (str(BUSINESS_METRICS), "profit_per_1000"): "profit per 1,000 customers",
        (str(TEST_METRICS), "test_roc_auc"): "ROC-AUC",
        (str(TEST_METRICS), "test_pr_auc"): "PR-AUC",
    },
}
_HEADLINE_KEYS = {key for group in HEADLINE.values() for key in group}
_FIGURE_HEAD = "| | old | new | difference | interval of the new |\n| --- | ---: | ---: | ---: | --- |"


def comment(changes: Changes) -> str:
    """The whole comment, ending in a newline and within GitHub's limit."""
    figures = _figures(changes.metrics)
    different = {key: figure for key, figure in figures.items() if figure.differs}
    sides = f"{_code(changes.old.label)} (old) and {_code(changes.new.label)} (new)"
    warnings = "".join(
        f"\n\n**DVC could not read all {noun}:** a file is broken in one of the two states."
        for noun in changes.unreadable
    )
    if not (changes.parameters or different or changes.pictures):
        return f"{MARKER}\nNo parameter, metric or picture differs between {sides}.{warnings}\n"
    counts = _join_words(
        [
            _count_text(len(changes.parameters), "parameter"),
            _count_text(len(different), "metric"),
            _count_text(len(changes.pictures), "picture"),
        ]
    )
    verdict = f"\n\n**{_code(changes.verdict, LONGEST_SENTENCE)}**" if changes.verdict else ""
    opening = f"{MARKER}\n### Parameters and results\n\nBetween {sides} {counts} differ.{verdict}{warnings}"
    remarks = "".join(f"\n\n{remark}" for remark in _remarks(changes, figures))
    return _within_limit(f"{opening}\n{_headline(figures)}{remarks}\n", _tables(changes, different))


def _tables(changes: Changes, different: Mapping[_Key, _Figure]) -> list[_Table]:
    others = {key: figure for key, figure in different.items() if key not in _HEADLINE_KEYS}
    return [
        _Table(
            "Parameters",
            "parameters",
            "| | old | new |\n| --- | --- | --- |",
            [f"| {_parameter(one)} | {_setting(one.old)} | {_setting(one.new)} |" for one in changes.parameters],
            folded=len(changes.parameters) > MOST_OPEN_ROWS,
        ),
        _Table(
            "Other metrics",
            "metrics",
            _FIGURE_HEAD,
            list(_rows_by_file(others)),
            folded=True,
        ),
        _pictures(changes),
    ]


def _rows_by_file(figures: Mapping[_Key, _Figure]) -> Iterator[str]:
    """One row for each metric; a heading with the file precedes the first one of each file."""
    above = ""
    for (file, name), figure in figures.items():
        heading = "" if file == above else f"| **{_code(file)}** | | | | |\n"
        above = file
        yield f"{heading}{_figure_row(_code(name), figure)}"


def _parameter(one: Difference) -> str:
    return _code(one.name) if one.file == PARAMS_FILE else f"{_code(one.name)} ({_code(one.file)})"


def _figures(metrics: Sequence[Difference]) -> dict[_Key, _Figure]:
    by_key = {(one.file, one.name): one for one in metrics}

    def part(one: Difference, suffix: str) -> Difference | None:
        return by_key.get((one.file, f"{one.name}{suffix}"))

    return {
        key: _Figure(one, part(one, "_low"), part(one, "_high"), part(one, "_sd"))
        for key, one in by_key.items()
        if (one.file, re.sub("_(low|high|sd)$", "", one.name)) not in by_key.keys() - {key}
    }


def _headline(figures: Mapping[_Key, _Figure]) -> str:
    lines = []
    for title, names in HEADLINE.items():
        present = [_figure_row(name, figures[key]) for key, name in names.items() if key in figures]
        if present:
            lines += [f"| **{title}** | | | | |", *present]
    return "\n".join(["", _FIGURE_HEAD, *lines]) if lines else ""


def _remarks(changes: Changes, figures: Mapping[_Key, _Figure]) -> Iterator[str]:
    if changes.parameters and not changes.lock_differs:
        yield (
            "**Parameters differ, but `dvc.lock` does not: these results were computed with the old parameters.** "
            "Run `dvc repro` and commit `dvc.lock` and `metrics/`."
        )
    for one in changes.parameters:
        if one.name == CURRENCY:
            yield (
                f"**Old amounts are in {_setting(one.old)}, new ones in {_setting(one.new)}:** "
                "their difference has no meaning."
            )
    for adjective, values in (
        ("old", [one.old for one in changes.metrics]),
        ("new", [one.new for one in changes.metrics]),
    ):
        if values and all(value is None for value in values):
            yield f"**The {adjective} state has no metrics.**"
    if any(one.differs and one.file == str(DATA_METRICS) and None not in (one.old, one.new) for one in changes.metrics):
        yield "The data differ as well (`metrics/data.json`): old and new metrics are not of the same customers."
    if any(key in figures for key in _HEADLINE_KEYS):
        yield (
            "Intervals: 95%, over customers; ±: standard deviation over the folds of the training rows. "
            f"{_inside_or_outside(figures)}".rstrip()
        )


def _inside_or_outside(figures: Mapping[_Key, _Figure]) -> str:
    """Which old values lie inside and outside the new intervals."""
    inside: list[str] = []
    outside: list[str] = []
    for key, name in HEADLINE[ON_TEST_ROWS].items():
        figure = figures.get(key)
        bounds = figure and _bounds(figure)
        if figure and bounds and figure.value.differs and _is_plain(figure.value.old) and _is_plain(figure.value.new):
            low, high = bounds
            (inside if low <= figure.value.old <= high else outside).append(name.partition(" ")[0])
    if outside:
        return f"Outside the new interval on test rows: the old {_join_words(outside)}."
    return f"Inside the new interval on test rows: the old {_join_words(inside)}." if inside else ""


def _bounds(figure: _Figure) -> tuple[float, float] | None:
    if figure.low and figure.high and _is_plain(figure.low.new) and _is_plain(figure.high.new):
        return figure.low.new, figure.high.new
    return None


def _figure_row(name: str, figure: _Figure) -> str:
    old, new = figure.value.old, figure.value.new
    places = _places(old, new)
    difference = _difference(old, new, places) if figure.value.differs else "interval only" if figure.differs else "="
    return f"| {name} | {_score(old, places)} | {_score(new, places)} | {difference} | {_interval(figure, places)} |"


def _interval(figure: _Figure, places: int) -> str:
    bounds = _bounds(figure)
    if bounds:
        return f"{_number_text(bounds[0], places)} to {_number_text(bounds[1], places)}"
    if figure.spread and _is_plain(figure.spread.new):
        return f"± {_number_text(figure.spread.new, places)}"
    return ""


def _difference(old: Value, new: Value, places: int) -> str:
    if old is None:
        return "new"
    if new is None:
        return "gone"
    if not (_is_plain(old) and _is_plain(new)):
        return "differs"
    arrow, sign = ("▲", "+") if new > old else ("▼", "−")
    size = abs(round(new, places) - round(old, places))  # of the rounded values, so that readers can verify it
    if size == 0:
        return f"{arrow} less than {10**-places:.{places}f}"
    return f"{arrow} {sign}{_number_text(size, places)}"


def _places(*values: Value) -> int:
    """Number of decimals with which the values are easy to compare."""
    plain = [value for value in values if _is_plain(value)]
    largest = max((abs(value) for value in plain), default=0.0)
    if largest >= 1000 or all(float(value).is_integer() for value in plain):
        return 0
    return next((places for least, places in ((100, 1), (10, 2), (0.001, 4)) if largest >= least), 6)


def _is_plain(value: Value) -> TypeGuard[int | float]:
    """Whether a value can be rounded and subtracted."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < TOO_LARGE_TO_ROUND


def _number_text(value: float, places: int) -> str:
    return f"{round(value, places) + 0.0:,.{places}f}".replace("-", "−")


def _score(value: Value, places: int) -> str:
    if value is None:
        return "none"
    return _number_text(value, places) if _is_plain(value) else _setting(value)


def _setting(value: Value) -> str:
    """A parameter as written, unrounded."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = str(value)
    return _code(text if text and text == text.strip() else f'"{text}"')


def _pictures(changes: Changes) -> _Table:
    if changes.old.address or changes.new.address:
        head = "| old | new |\n| --- | --- |"
        rows = [
            f"| {_picture(one.path, changes.old, one.in_old)} | {_picture(one.path, changes.new, one.in_new)} |"
            for one in changes.pictures
        ]
    else:
        head = "`dvc plots diff` shows figures side by side; these pictures are in the folder itself:\n"
        rows = [f"- {_code(one.path)}{_side_note(one)}" for one in changes.pictures]
    return _Table("Pictures", "pictures", head, rows, folded=True)


def _picture(path: str, side: Side, there: bool) -> str:
    if not there:
        return "none"
    if side.address is None:
        return _code(path)
    inert = quote(path, errors="replace")
    return f'<img width="420" alt="{inert}" src="{side.address}/{inert}">'


def _side_note(picture: Picture) -> str:
    return "" if picture.in_old and picture.in_new else " (new)" if picture.in_new else " (gone)"


def _within_limit(opening: str, tables: Sequence[_Table]) -> str:
    text = opening
    left_out = []
    for table in tables:
        shown, missing = _fit_table(table, MOST_CHARACTERS - ROOM_FOR_NOTE - len(text))
        text += shown
        if missing:
            left_out.append(f"{missing:,} of {len(table.rows):,} {table.noun}")
    if left_out:
        listed = _join_words(left_out)
        text += f"\n**Left out to limit the length: {listed}.** `churn changes` prints them for two revisions.\n"
    return text


def _fit_table(table: _Table, room: int) -> tuple[str, int]:
    """The table with as many rows as fit, and the number of rows left out."""
    if not table.rows:
        return "", 0
    title = f"{table.title} that differ: {len(table.rows):,}"
    before = f"\n<details><summary>{title}</summary>\n\n" if table.folded else f"\n**{title}**\n\n"
    after = "\n</details>\n" if table.folded else ""
    room -= len(before) + len(table.head) + 1 + len(after)
    rows: list[str] = []
    for row in table.rows:
        room -= len(row) + 1
        if room < 0:
            break
        rows.append(row)
    shown = "".join(f"{line}\n" for line in [table.head, *rows])
    return f"{before}{shown}{after}" if rows else "", len(table.rows) - len(rows)


def _code(text: str, longest: int = LONGEST_VALUE) -> str:
    """Text as a code span, in which GitHub renders no markup, link, mention or emoji."""
    visible = _visible(text, longest)
    # A code span in a table cannot contain a backtick, or a pipe after a backslash.
    return f"<code>{_entities(visible, longest)}</code>" if re.search(r"[`|\\]", visible) else f"`{visible}`"


def _entities(text: str, longest: int = LONGEST_VALUE) -> str:
    """Text as HTML entities, so that it contains no markup."""
    return "".join(char if char.isalnum() or char == " " else f"&#{ord(char)};" for char in _visible(text, longest))


def _visible(text: str, longest: int) -> str:
    """Text on one line, without characters that reorder or hide others, and not too long."""
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return escape_controls(short, on_one_line=True)


def _count_text(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}"


def _join_words(parts: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
