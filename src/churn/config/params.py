"""params.yaml as frozen types: all keys are required, unknown keys are rejected."""

import copy
import difflib
import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

from churn.config.contract import Strict, TableContract
from churn.config.economics import FORMER_CURRENCY, Economics, present_name
from churn.config.search_space import Portfolio, Space
from churn.errors import ParameterError, excerpt
from churn.files import read_bytes

PARAMS_FILE = "params.yaml"
UNREADABLE = (YAMLError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)
"""What ruamel.yaml raises, also for an invalid date such as 2013-99-99 or a tag that does not fit its text."""
DEEPEST = 100
"""Maximum nesting depth of a YAML file."""
MOST_VALUES = 100_000
"""Maximum number of values of a YAML file, with aliases expanded."""
LONGEST_NUMBER = 400
"""Maximum number of digits of a number in a YAML file: the largest one that a computer calculates with has 309."""
NUMBER_START = re.compile(r"[-+]?\.?\d")
MOST = 1_000_000_000
"""Upper bound of counts: more is a slip, and the libraries' whole numbers end soon after."""

REFUSALS = {
    "dict_type": "must be a section of keys",
    "model_type": "must be a section of keys",
    "model_attributes_type": "must be a section of keys",
    "string_type": "must be a text; put it in quotes",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, such as [a, b]",
    "union_tag_not_found": "has no type: must be one of 'numeric', 'categorical', 'boolean'",
}
"""Clearer messages for some of pydantic's error types."""

Share = Annotated[float, Field(gt=0, lt=1)]


class Compute(Strict):
    """Seed and thread count, which make results repeatable."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(ge=1, le=1_024)]


class Data(TableContract):
    """The path of the table, and its contract."""

    source: str


class SplitBy(Strict):
    """How customers are split: by a hash of the key, or by time with the newest customers as test rows."""

    by: Literal["key", "time"]
    column: str | None
    format: str | None

    @model_validator(mode="after")
    def _time_has_a_column(self) -> Self:
        if (self.by == "time") != (self.column is not None):
            raise ValueError("by: time requires a column; by: key requires column: null")
        return self


class Preprocess(Strict):
    """Split into training and test rows."""

    test_share: Share
    split_salt: str
    split: SplitBy


class Importance(Strict):
    """Number of permutations and rows for permutation importance."""

    repeats: Annotated[int, Field(ge=1, le=1_000)]
    max_rows: Annotated[int, Field(ge=1, le=MOST)]


class Train(Strict):
    """The estimator, its arguments, cross-validation and threshold."""

    estimator: str
    params: dict[str, Any]
    folds: Annotated[int, Field(ge=2, le=1_000)]
    threshold: Literal["profit"] | float
    importance: Importance

    @field_validator("threshold", mode="before")
    @classmethod
    def _profit_or_probability(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value == "profit":
            return value
        if is_number and 0 <= value <= 1:  # type: ignore[operator]
            return float(value)  # type: ignore[arg-type]
        raise ValueError("must be the word profit or a probability from 0 to 1")


class Evaluate(Strict):
    """Settings for the evaluation on test rows."""

    slices: Annotated[tuple[str, ...], Field(strict=False)]
    bootstrap_resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    calibration_bins: Annotated[int, Field(ge=2, le=1_000)]
    curve_points: Annotated[int, Field(ge=10, le=100_000)]


class Tune(Strict):
    """Objective, portfolio and search space of `churn tune`."""

    objective: Literal["profit", "pr_auc"]
    trials: Annotated[int, Field(ge=1, le=MOST)]
    portfolio: Portfolio
    space: Annotated[Space, Field(min_length=1)]


class Monitor(Strict):
    """False-alarm rate, columns and churn window of `churn monitor` and `churn outcomes`."""

    false_alarms_per_year: Annotated[float, Field(gt=0)]
    looks_per_year: Annotated[int, Field(ge=1, le=MOST)]
    smallest_shift: Annotated[float, Field(ge=0, lt=1)]
    smallest_rate: Annotated[float, Field(ge=0, lt=1)]
    date_column: str | None
    churn_date_column: str | None
    churn_window_days: Annotated[int, Field(ge=1, le=36_500)]

    @model_validator(mode="after")
    def _not_an_alarm_at_every_look(self) -> Self:
        if self.level_of_a_look >= 0.5:
            raise ValueError(
                f"{self.false_alarms_per_year:g} false alarms in {self.looks_per_year} looks a year are an alarm at "
                "every second look or more; lower false_alarms_per_year"
            )
        return self

    @property
    def level_of_a_look(self) -> float:
        """Probability of a false alarm at one look."""
        return self.false_alarms_per_year / self.looks_per_year


class Promote(Strict):
    """Limits that a model must meet to become the champion."""

    max_calibration_error: Annotated[float, Field(gt=0, lt=1)]


class Params(Strict):
    """All sections of params.yaml."""

    compute: Compute
    data: Data
    preprocess: Preprocess
    business: Economics
    train: Train
    tune: Tune
    evaluate: Evaluate
    monitor: Monitor
    promote: Promote


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping as DVC does (YAML 1.2: 1e-3 is a number, No is a text).

    Raises:
        ParameterError: the file is missing, not UTF-8, not YAML, or not a mapping.
    """
    try:
        return parse_yaml(read_bytes(path).decode("utf-8"), path.name)
    except FileNotFoundError:
        where = path.parent.resolve()
        raise ParameterError(f"{path.name}: not found in {where}; run this in the project's folder") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path.name}: not readable as YAML: {_yaml_problem(error)}") from None


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Parse YAML text as `read_yaml` does; `name` is the file name for error messages.

    Raises:
        ParameterError: the text is not YAML, or not a mapping.
    """
    try:
        content = copy.deepcopy(_parse(text))
    except UNREADABLE as error:
        raise ParameterError(_conflict(text, name) or f"{name}: not readable as YAML: {_yaml_problem(error)}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{name}: is not a mapping of keys to values; restore it with `git checkout {name}`")
    return content


@functools.lru_cache(maxsize=8)
def _parse(text: str) -> Any:
    """Cached, since tracking reads the same few files repeatedly."""
    _require_bounded(text)
    return YAML(typ="safe").load(text)


def _require_bounded(text: str) -> None:
    """Reject a document that would exhaust memory: files of fetched branches are untrusted.

    Raises:
        ValueError: it is nested too deeply, or has too many values after alias expansion.
    """
    sizes: dict[str | None, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    for event in YAML(typ="safe").parse(text):
        size = 0
        if isinstance(event, AliasEvent):
            size = sizes.get(event.anchor, MOST_VALUES + 1)  # unknown: an alias inside its own anchor
        elif isinstance(event, ScalarEvent):
            size = 1
            sizes[event.anchor] = 1
            _require_plain(event)
        elif isinstance(event, CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
        elif isinstance(event, CollectionEndEvent):
            anchor, size = open_nodes.pop()
            sizes[anchor] = size
        if open_nodes:
            anchor, before = open_nodes[-1]
            open_nodes[-1] = (anchor, before + size)
        if len(open_nodes) > DEEPEST or size > MOST_VALUES:
            raise ValueError(f"over {DEEPEST} nested levels, or over {MOST_VALUES:,} values with aliases expanded")


def _require_plain(scalar: ScalarEvent) -> None:
    """Reject a value that no text, path or number of a project is.

    Raises:
        ValueError: it has a character that no file can hold, or is a number of more digits than Python prints.
    """
    if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in scalar.value):
        raise ValueError(f"{excerpt(scalar.value)} has a character that no text has")
    if scalar.style is None and len(scalar.value) > LONGEST_NUMBER and NUMBER_START.match(scalar.value):
        raise ValueError(f"{excerpt(scalar.value)} is a number of over {LONGEST_NUMBER} digits")


def _conflict(text: str, name: str) -> str:
    """Where git has left both sides of a conflict, and what to do; '' if it has not."""
    marked = next((number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<< ")), None)
    if marked is None:
        return ""
    return (
        f"{name}: line {marked}: a conflict that git has stopped at; keep one side up to the line >>>>>>> and remove "
        f"the markers, or take one side whole with `git checkout --ours {name}`; then run `dvc repro` and finish as "
        "`git status` says"
    )


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        problem = ", ".join(filter(None, (error.context, error.problem)))
        return f"line {error.problem_mark.line + 1}: {problem}"
    return " ".join(str(error).split())


def load_params(root: Path) -> Params:
    """Read and check params.yaml in a folder.

    Raises:
        ParameterError: one line for each key that is unknown, missing or invalid.
    """
    return check_params(read_yaml(root / PARAMS_FILE))


def check_params(content: dict[str, Any]) -> Params:
    """Validate the parsed content of params.yaml.

    Raises:
        ParameterError: one line for each key that is unknown, missing or invalid.
    """
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise ParameterError("\n".join(_describe_faults(error.errors(), content))) from None
    for name in params.evaluate.slices:
        if name not in params.data.columns:
            raise ParameterError(
                f"{PARAMS_FILE}: evaluate.slices: no column {name!r} in data.columns; remove it from evaluate.slices, "
                f"or choose from {', '.join(params.data.columns)}"
            )
    return params


def _describe_faults(faults: Sequence[Mapping[str, Any]], content: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each fault.

    All keys are required, so for a misspelled key the correct name is also missing; the two are reported as one fault.
    """
    missing: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for fault in faults:
        if fault["type"] == "missing":
            *section, name = _keys_in_file(fault, content)
            missing[tuple(section)].append(name)
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            *section, name = _keys_in_file(fault, content)
            meant = difflib.get_close_matches(name, missing[tuple(section)], n=1)
            for found in meant:
                missing[tuple(section)].remove(found)
            yield f"{_place(section, name)}: {_advice_on_unknown(name, meant)}"
        elif fault["type"] != "missing":
            yield f"{_place(_keys_in_file(fault, content))}: {_refusal(fault)}"
    advice = f"all keys are required (`git diff {PARAMS_FILE}` shows what was removed)"
    for parent, names in missing.items():
        yield from (f"{_place(parent, name)}: missing; {advice}" for name in names)


def _advice_on_unknown(name: str, meant: Sequence[str]) -> str:
    if (renamed := present_name(name)) in Economics.model_fields:
        return f"renamed to {renamed}; set the currency separately, `currency: {FORMER_CURRENCY}`"
    return f"unknown key; did you mean {meant[0]}?" if meant else "unknown key; remove it"


def _place(section: Sequence[str], *name: str) -> str:
    return f"{PARAMS_FILE}: {'.'.join([*section, *name])}"


def _refusal(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "union_tag_invalid":
        return f"type {fault['ctx']['tag']!r} is not accepted: must be one of {fault['ctx']['expected_tags']}"
    if fault["type"] == "value_error":  # raised by a validator of this project
        reason = str(fault["ctx"]["error"])
    else:
        reason = REFUSALS.get(fault["type"], fault["msg"].replace("Input should be", "must be"))
    if isinstance(fault["input"], dict):
        return reason
    return f"{excerpt(fault['input'])} is not accepted: {reason}"


def _keys_in_file(fault: Mapping[str, Any], content: dict[str, Any]) -> list[str]:
    """Keys that lead to the fault in the file: pydantic's location without the parts that it adds for union members."""
    keys: list[str] = []
    here: Any = content
    for part in fault["loc"]:
        if (isinstance(here, dict) and part in here) or (isinstance(here, list) and isinstance(part, int)):
            here = here[part]
            keys.append(str(part))
    if fault["type"] == "missing":
        keys.append(str(fault["loc"][-1]))
    return keys
