"""Shapes of the files that the pipeline, DVC and people write, and the check that a file has its shape.

A file that anyone can edit, and any branch can hold, is read through here; what reads it then meets no other type.
"""

import functools
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from churn.errors import ChurnError, DataError, excerpt

Shape = TypeVar("Shape")

LONGEST_NUMBER = 300
"""Digits of a whole number; a longer one has no floating-point value."""
MOST_FAULTS = 2
"""Faults of a file that a message lists."""


def _plain(text: str) -> str:
    if "\0" in text or (not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)):
        raise ValueError("has a character that no text has")
    return text


Text = Annotated[str, AfterValidator(_plain)]
"""A text that can be part of a path or an argument of git."""
Figures = dict[str, Any]
"""Figures by name; with `null` for an undefined one."""
Figure = float | None
Count = Annotated[int, Field(ge=0)]
Counts = dict[str, Count]


class _Shape(BaseModel):
    """Keys that are read; a file can have more."""

    model_config = ConfigDict(extra="allow", frozen=True)


class DeclaredStage(_Shape):
    """A stage of dvc.yaml."""

    cmd: Text | list[Text] = ""
    deps: list[Text] | None = None
    params: list[Text | dict[Text, list[Text] | None]] | None = None
    outs: "list[Text | Annotated[dict[Text, Any], Field(min_length=1)]] | None" = None
    metrics: "list[Text | Annotated[dict[Text, Any], Field(min_length=1)]] | None" = None
    plots: "list[Text | Annotated[dict[Text, Any], Field(min_length=1)]] | None" = None


class Pipeline(_Shape):
    """dvc.yaml."""

    stages: dict[Text, DeclaredStage] | None = None
    metrics: "list[Text | Annotated[dict[Text, Any], Field(min_length=1)]] | None" = None
    plots: "list[Text | Annotated[dict[Text, Any], Field(min_length=1)]] | None" = None


class LockedFile(_Shape):
    """A file in dvc.lock."""

    path: Text


class LockedStage(_Shape):
    """A stage in dvc.lock."""

    cmd: Text | list[Text]
    deps: list[LockedFile] = []
    outs: list[LockedFile] = []
    params: dict[Text, dict[Text, Any]] = {}


class PipelineLock(_Shape):
    """dvc.lock."""

    stages: dict[Text, LockedStage] = {}


class Pointer(_Shape):
    """A .dvc file."""

    wdir: Text = "."
    outs: list[LockedFile] = []


class ListedFile(_Shape):
    """A file in DVC's list of a folder."""

    relpath: Text
    md5: Text


class TableFigures(_Shape):
    """metrics/data.json."""

    rows_in: Count
    rows_kept: Count
    rows_train: Count
    rows_test: Count
    rows_equal_to_another: Count
    churn_rate_train: Figure
    churn_rate_test: Figure
    missing: Counts
    unknown_labels_test: Counts
    rows_dropped: Counts
    rows_dropped_on_error: Counts
    taken_for_gaps: Counts


class RowsTested(_Shape):
    """What of metrics/data.json is a headline, also in old states."""

    rows_test: Count


class ShownFinding(_Shape):
    """A finding in metrics/audit.json."""

    name: Text
    severity: Text
    evidence: Text
    accepted: bool


class AuditFigures(_Shape):
    """metrics/audit.json."""

    accepted: Count
    warnings: Count
    findings: list[ShownFinding]


class Threshold(_Shape):
    """What of metrics/train.json decides."""

    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TestScores(_Shape):
    """Headlines of metrics/test.json."""

    test_roc_auc: Figure
    test_roc_auc_low: Figure
    test_roc_auc_high: Figure
    test_pr_auc: Figure
    test_pr_auc_low: Figure
    test_pr_auc_high: Figure


class TestMoney(_Shape):
    """Headlines of metrics/business_metrics.json."""

    contacted_share: Figure
    profit_contact_everybody_per_1000: Figure
    profit_per_1000: Figure
    profit_per_1000_low: Figure
    profit_per_1000_high: Figure


class Seed(_Shape):
    """What of the section `compute` divides the folds."""

    seed: Count


class Folds(_Shape):
    """What of the section `train` out-of-fold decisions need."""

    folds: Annotated[int, Field(ge=2, le=1_000)]
    threshold: float | Annotated[str, Field(pattern="^profit$")]


class Slices(_Shape):
    """What of the section `evaluate` a look needs."""

    slices: list[Text]


class RecordedCompute(Seed):
    """What of the section `compute` a promotion needs."""

    threads: Annotated[int, Field(ge=1, le=1_024)]


class RecordedTrain(Folds):
    """What of the section `train` a promotion needs."""

    estimator: Text
    params: dict[Text, Any]


class RecordedEvaluate(Slices):
    """What of the section `evaluate` a promotion needs."""

    calibration_bins: Annotated[int, Field(ge=2, le=1_000)]


RECORDED = {"compute": RecordedCompute, "train": RecordedTrain, "evaluate": RecordedEvaluate}
"""Shape of a section of params.yaml that a promotion reads in dvc.lock."""


@functools.cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _whole_number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of over {LONGEST_NUMBER} digits")
    return int(digits)


def fault_of(values: Any, shape: Any) -> str:
    """Where parsed values do not have a shape, and why; '' if they do."""
    try:
        _adapter(shape).validate_python(values, strict=True)
    except ValidationError as error:
        return _told(error)
    return ""


def parse_json(content: bytes, named: object, shape: Any = dict[str, Any], remedy: str = "") -> Any:
    """The values in a JSON text of a certain shape; a dataclass stands for an object with its fields.

    Undefined numbers are `null` in the files of this project, so `null` passes for a number of a dataclass.

    Raises:
        DataError: it is not JSON, or has another shape; `remedy` ends the message.
    """
    behind = f"; {remedy}" if remedy else ""
    try:
        found = json.loads(content.decode("utf-8"), parse_int=_whole_number)
        _adapter(shape).validate_json(content, strict=True)
    except ValidationError as error:
        if told := _told(error, nulls_pass=not isinstance(shape, type) or not issubclass(shape, BaseModel)):
            raise DataError(f"{named}: {told}{behind}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{named}: not readable as JSON: {' '.join(str(error).split())}{behind}") from None
    return found


def require_shape(values: Any, shape: Any, named: object, remedy: str, kind: type[ChurnError] = DataError) -> None:
    """Check that values of a file, or of a section of it, have a shape.

    Raises:
        ChurnError: of the given kind, with the key and its value.
    """
    if told := fault_of(values, shape):
        raise kind(f"{named}: {told}; {remedy}")


def _told(error: ValidationError, *, nulls_pass: bool = False) -> str:
    faults = [
        one
        for one in error.errors(include_url=False)
        if not (nulls_pass and one["input"] is None and one["type"] == "float_type")
    ]
    return ", ".join(f"{_place(one)}{_why(one)}" for one in faults[:MOST_FAULTS])


def _place(fault: Mapping[str, Any]) -> str:
    keys = ".".join(
        str(part) for part in fault["loc"] if part not in ("str", "float", "[key]") and "[" not in str(part)
    )
    return f"{keys}: " if keys else ""


def _why(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "missing":
        return "missing"
    reason = fault["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return reason if fault["type"] == "json_invalid" else f"{excerpt(fault['input'])}: {reason}"


def as_dvc_compares(value: Any) -> Any:
    """Convert values that DVC considers equal (1, 1.0 and true) to one, so that they give one experiment."""
    if isinstance(value, Mapping):
        return {str(key): as_dvc_compares(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_dvc_compares(inner) for inner in value]
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)  # a date
