"""The data contract: columns of the customer table, their types, and the handling of missing and invalid values."""

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from churn.types import ROW_KEY

MissingPolicy = Literal["allow", "drop", "fail"]

OnError = Literal["fail", "drop", "missing"]
"""Handling of a value that violates the contract: stop, drop the row, or treat the value as missing."""


class Strict(BaseModel):
    """Frozen base model that rejects unknown keys and values of the wrong type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _without_spaces_around(text: str) -> str:
    if text != text.strip():
        raise ValueError("remove the surrounding spaces: cells are stripped when read, so this never matches")
    return text


def _at_least_one(labels: tuple[str, ...]) -> tuple[str, ...]:
    if not labels:
        raise ValueError("list the allowed labels, or use null to allow any")
    return labels


Cell = Annotated[str, AfterValidator(_without_spaces_around)]
"""Text of a cell, without surrounding spaces."""


Texts = Annotated[tuple[Cell, ...], Field(strict=False)]
DecimalSign = Literal[".", ","]


class FeatureColumn(Strict):
    """A feature, with its policies for missing and for invalid values.

    `missing_values`: texts that mean missing in this column only, besides those of the whole table.
    """

    missing: MissingPolicy
    on_error: OnError
    missing_values: Texts = ()

    @model_validator(mode="after")
    def _gaps_may_be_made_where_gaps_may_be(self) -> Self:
        if self.on_error == "missing" and self.missing == "fail":
            raise ValueError("on_error: missing creates missing values, and missing: fail rejects them; change one")
        return self


class NumericColumn(FeatureColumn):
    """A quantity. Allowed missing values are imputed with the median of the training rows.

    `decimal`: decimal sign of this column, where it is not that of the table.
    """

    type: Literal["numeric"]
    min: float | None
    max: float | None
    decimal: DecimalSign | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class CategoricalColumn(FeatureColumn):
    """A label. `values: null` accepts any label; allowed missing values form a separate category."""

    type: Literal["categorical"]
    values: Annotated[tuple[Cell, ...], Field(strict=False), AfterValidator(_at_least_one)] | None


class BooleanColumn(FeatureColumn):
    """0 or 1; true/false and yes/no are accepted. Allowed missing values are imputed with the most frequent value."""

    type: Literal["boolean"]


Column = Annotated[NumericColumn | CategoricalColumn | BooleanColumn, Field(discriminator="type")]


class Target(Strict):
    """The column to predict and its two allowed texts. Upper and lower case count as equal.

    `drop`: texts of rows that are left out, such as those of customers who have just joined.
    """

    column: str
    positive: Cell
    negative: Cell
    missing: Literal["drop", "fail"]
    drop: Texts = ()

    @model_validator(mode="after")
    def _each_text_has_one_meaning(self) -> Self:
        plain = {"positive": self.positive.casefold(), "negative": self.negative.casefold()}
        if plain["positive"] == plain["negative"]:
            raise ValueError(f"positive {self.positive!r} and negative {self.negative!r} are equal but for their case")
        for text in self.drop:
            for role, other in plain.items():
                if text.casefold() == other:
                    raise ValueError(f"drop lists {text!r}, which is also {role}; remove it from one of them")
        return self


def _is_of_text(encoding: str) -> bool:
    """Whether Python has an encoding of texts by that name; it has others by which it packs or mixes bytes."""
    try:
        return "a,1".encode(encoding).decode(encoding) == "a,1"
    except (LookupError, ValueError):
        return False


class TableFormat(Strict):
    """CSV format. For a Parquet table, only `decimal` applies, and only to numbers stored as text."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)]
    quote: Annotated[str, Field(min_length=1, max_length=1)]
    encoding: str
    decimal: DecimalSign

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if not _is_of_text(self.encoding):
            raise ValueError(f"unknown encoding {self.encoding!r}; common ones are utf-8 and windows-1252")
        for sign in (self.delimiter, self.quote):
            if sign != "\t" and not (sign.isascii() and sign.isprintable()):
                raise ValueError(
                    f"{sign!r} cannot delimit or quote cells; Arrow's reader takes a tab or a sign of ASCII"
                )
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
    """A column that is not a feature: its kind (read by the audit) and the reason (for people).

    `format`: format of dates as in `datetime.strptime`; None means ISO 8601 or numbers.
    """

    kind: UnusedKind
    format: str | None
    reason: str

    @model_validator(mode="before")
    @classmethod
    def _is_no_plain_text(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError(
                "must be a section such as {kind: other, format: null, reason: the text}; "
                f"kind: one of {', '.join(get_args(UnusedKind))}; "
                'format: the date format, such as "%d.%m.%Y", or null for ISO 8601 and numbers'
            )
        return value

    @model_validator(mode="after")
    def _dates_alone_have_a_format(self) -> Self:
        if self.format is None:
            return self
        if self.kind != "date":
            raise ValueError(f"format {self.format!r} is allowed only with kind: date; set it to null")
        if "%" not in self.format:
            raise ValueError(f'format {self.format!r} contains no date directive; use directives as in "%d.%m.%Y"')
        return self


class Audit(Strict):
    """Settings of the leak audit in preprocess."""

    max_column_auc: Annotated[float, Field(gt=0.5, le=1)]
    accept: Annotated[tuple[str, ...], Field(strict=False)]


class TableContract(Strict):
    """Contract of the whole table. Columns that it does not list are ignored and reported."""

    format: TableFormat
    id: str | None
    target: Target
    missing_values: Texts
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
                raise ValueError(f"{name!r} is both used and listed under unused: a column has one role")
        if self.id == self.target.column:
            raise ValueError(f"id and target.column are both {self.id!r}")
        if ROW_KEY in self.needed:
            raise ValueError(
                f"column {ROW_KEY!r}: the name is reserved for the key of each row; rename the column in the table"
            )
        for name in self.needed:
            if not name:  # pandas would make up a name
                raise ValueError(f"column {name!r}: the name is empty; rename the column in the table")
        return self

    @model_validator(mode="after")
    def _no_label_means_missing(self) -> Self:
        labels: dict[str, tuple[str, tuple[str, ...]]] = {
            f"columns.{name}.values": (name, column.values or ())
            for name, column in self.columns.items()
            if column.type == "categorical"
        }
        target = self.target
        meanings = {"positive": (target.positive,), "negative": (target.negative,), "drop": target.drop}
        labels |= {f"target.{role}": (target.column, texts) for role, texts in meanings.items()}
        for key, (name, texts) in labels.items():
            for text in texts:
                if text in self.gap_texts(name):
                    raise ValueError(f"{key}: {text!r} is read as missing (missing_values); remove it from one of them")
        return self

    def gap_texts(self, name: str) -> frozenset[str]:
        """Texts that mean missing in a column, the empty one included."""
        column = self.columns.get(name)
        return frozenset({"", *self.missing_values, *(column.missing_values if column else ())})

    def decimal_of(self, column: Column | None) -> DecimalSign:
        """Decimal sign of a column's numbers."""
        own = column.decimal if isinstance(column, NumericColumn) else None
        return own or self.format.decimal

    @property
    def of_customer(self) -> list[str]:
        """All columns except the target, in the contract's order."""
        return [name for name in self.needed if name != self.target.column]

    @property
    def needed(self) -> list[str]:
        """All columns that the table must have, in the contract's order."""
        identifier = [] if self.id is None else [self.id]
        return [*identifier, *self.columns, self.target.column]


def columns_of_type(columns: dict[str, Column], kind: str) -> list[str]:
    """Names of the columns of one type, in the contract's order."""
    return [name for name, column in columns.items() if column.type == kind]
