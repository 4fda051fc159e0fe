"""What a table of customers must look like: its columns, their types, and what a gap in them means."""

import codecs
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from churn.types import ROW_KEY

MissingPolicy = Literal["allow", "drop", "fail"]

OnError = Literal["fail", "drop", "missing"]
"""What becomes of a value that breaks the contract: stop, leave the row out, or take it for a gap."""


class Strict(BaseModel):
    """Frozen; an unknown key or a value of another type is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _without_spaces_around(text: str) -> str:
    if text != text.strip():
        raise ValueError("cells are read without the spaces around them, so no cell is ever equal to it")
    return text


def _at_least_one(labels: tuple[str, ...]) -> tuple[str, ...]:
    if not labels:
        raise ValueError("list the labels that may stand in the column, or null for any")
    return labels


Cell = Annotated[str, AfterValidator(_without_spaces_around)]
"""A text that a cell may hold."""


class FeatureColumn(Strict):
    """What every column of a customer has to say about gaps and about values that break the contract."""

    missing: MissingPolicy
    on_error: OnError

    @model_validator(mode="after")
    def _gaps_may_be_made_where_gaps_may_be(self) -> Self:
        if self.on_error == "missing" and self.missing == "fail":
            raise ValueError("on_error: missing makes gaps, and missing: fail stops at them; change one of the two")
        return self


class NumericColumn(FeatureColumn):
    """A quantity. A gap that is allowed is filled with the median of the training rows."""

    type: Literal["numeric"]
    min: float | None
    max: float | None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class CategoricalColumn(FeatureColumn):
    """A label. `values: null` accepts any; a gap that is allowed counts as a label of its own."""

    type: Literal["categorical"]
    values: Annotated[tuple[Cell, ...], Field(strict=False), AfterValidator(_at_least_one)] | None


class BooleanColumn(FeatureColumn):
    """0 or 1 (true and false, yes and no are read as such). A gap that is allowed is filled with the commoner value."""

    type: Literal["boolean"]


Column = Annotated[NumericColumn | CategoricalColumn | BooleanColumn, Field(discriminator="type")]


class Target(Strict):
    """The column to predict and the two texts that may stand in it."""

    column: str
    positive: Cell
    negative: Cell
    missing: Literal["drop", "fail"]

    @model_validator(mode="after")
    def _two_values(self) -> Self:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive!r}")
        return self


class TableFormat(Strict):
    """How a CSV table is written. A Parquet table is read without it, but for the decimal sign of texts."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)]
    quote: Annotated[str, Field(min_length=1, max_length=1)]
    encoding: str
    decimal: Literal[".", ","]

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(f"encoding {self.encoding!r} is not known; utf-8 and windows-1252 are common") from None
        if self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote are both {self.quote!r}")
        return self


UnusedKind = Literal[
    "date",
    "id",
    "row_number",
    "constant",
    "no_value",
    "copy",
    "target_copy",
    "free_text",
    "too_many_labels",
    "reserved_name",
    "other",
]


class UnusedColumn(Strict):
    """A column that the model does not get: what it is, for the audit, and why, for people.

    `format`: how dates are written, as `datetime.strptime` has it; None: ISO 8601, or numbers.
    """

    kind: UnusedKind
    format: str | None
    reason: str

    @model_validator(mode="before")
    @classmethod
    def _is_no_plain_text(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError(
                "must be such as {kind: other, format: null, reason: the text}; "
                f"kind: one of {', '.join(get_args(UnusedKind))}; "
                'format: that of dates, such as "%d.%m.%Y", or null for ISO 8601 and numbers'
            )
        return value

    @model_validator(mode="after")
    def _dates_alone_have_a_format(self) -> Self:
        if self.format is None:
            return self
        if self.kind != "date":
            raise ValueError(f"format {self.format!r} goes with kind: date alone; set it to null")
        if "%" not in self.format:
            raise ValueError(f'format {self.format!r} names no part of a date; write it as in "%d.%m.%Y"')
        return self


class Audit(Strict):
    """How suspicious preprocess is."""

    max_column_auc: Annotated[float, Field(gt=0.5, le=1)]
    accept: Annotated[tuple[str, ...], Field(strict=False)]


class TableContract(Strict):
    """The whole table. Columns that it does not name are left out, and said to be."""

    format: TableFormat
    id: str | None
    target: Target
    missing_values: Annotated[tuple[Cell, ...], Field(strict=False)]
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    unused: dict[str, UnusedColumn]
    audit: Audit

    @model_validator(mode="after")
    def _each_column_has_one_role(self) -> Self:
        for role, name in (("target.column", self.target.column), ("id", self.id)):
            if name in self.columns:
                raise ValueError(f"{role} {name!r} is also listed under columns: a column has one role")
        for name in self.unused:
            if name in self.needed:
                raise ValueError(f"{name!r} is listed under unused, and used: a column has one role")
        if self.id == self.target.column:
            raise ValueError(f"id and target.column are both {self.id!r}")
        if ROW_KEY in self.needed:
            raise ValueError(
                f"column {ROW_KEY!r} has the name of the key that every row is given: rename it in the table"
            )
        for name in self.needed:
            if not name:  # pandas names what has no name
                raise ValueError(f"column {name!r}: a column needs a name that can be written: rename it in the table")
        return self

    @model_validator(mode="after")
    def _no_label_means_missing(self) -> Self:
        columns = self.columns.items()
        labels = {f"columns.{name}.values": one.values or () for name, one in columns if one.type == "categorical"}
        labels |= {"target.positive": (self.target.positive,), "target.negative": (self.target.negative,)}
        for key, texts in labels.items():
            for text in texts:
                if text in ("", *self.missing_values):
                    raise ValueError(f"{key}: {text!r} is read as missing (missing_values): take it out of one of them")
        return self

    @property
    def of_customer(self) -> list[str]:
        """Every column but the target, in the contract's order."""
        return [name for name in self.needed if name != self.target.column]

    @property
    def needed(self) -> list[str]:
        """Every column the table must have, in the contract's order."""
        identifier = [] if self.id is None else [self.id]
        return [*identifier, *self.columns, self.target.column]


def columns_of_type(columns: dict[str, Column], kind: str) -> list[str]:
    """Names of the columns of one type, in the contract's order."""
    return [name for name, column in columns.items() if column.type == kind]
