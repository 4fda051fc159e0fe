"""What a table of customers must look like: its columns, their types, and what a gap in them means."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ROW_KEY = "row_key"
"""Name of the index that every table of customers carries."""

MissingPolicy = Literal["allow", "drop", "fail"]


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


class NumericColumn(Strict):
    """A quantity. A gap that is allowed is filled with the median of the training rows."""

    type: Literal["numeric"]
    min: float | None
    max: float | None
    missing: MissingPolicy

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class CategoricalColumn(Strict):
    """A label. `values: null` accepts any; a gap that is allowed counts as a label of its own."""

    type: Literal["categorical"]
    values: Annotated[tuple[Cell, ...], Field(strict=False), AfterValidator(_at_least_one)] | None
    missing: MissingPolicy


class BooleanColumn(Strict):
    """0 or 1 (true and false are read as such). A gap that is allowed is filled with the commoner value."""

    type: Literal["boolean"]
    missing: MissingPolicy


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


class TableContract(Strict):
    """The whole table. Columns that it does not name are left out, and said to be."""

    id: str | None
    target: Target
    missing_values: Annotated[tuple[Cell, ...], Field(strict=False)]
    columns: Annotated[dict[str, Column], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_column_has_one_role(self) -> Self:
        for role, name in (("target.column", self.target.column), ("id", self.id)):
            if name in self.columns:
                raise ValueError(f"{role} {name!r} is also listed under columns: a column has one role")
        if self.id == self.target.column:
            raise ValueError(f"id and target.column are both {self.id!r}")
        if ROW_KEY in self.needed:
            raise ValueError(
                f"column {ROW_KEY!r} has the name of the key that every row is given: rename it in the table"
            )
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
