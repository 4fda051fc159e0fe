"""Read customers from JSON by the contract: types, schema, and the faults of each field in words."""

import difflib
import functools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from churn.config.contract import BooleanColumn, CategoricalColumn, Column, NumericColumn, TableContract
from churn.model.plain.encoder import Customer, Value
from churn.table.validation import Problem

MOST_FAULTS = 20
"""Faults listed in an answer."""
MOST_LABELS = 12
"""Labels listed in a reason."""


@dataclass(frozen=True)
class FieldFault:
    """What is wrong with a field; `row` counts from 0 in a list of customers, and `field` is empty for the whole."""

    row: int | None
    field: str
    reason: str

    def __str__(self) -> str:
        """Row, field and reason, without the value."""
        row = "" if self.row is None else f"customer {self.row}: "
        return f"{row}{f'column {self.field!r}: ' if self.field else ''}{self.reason}"


class RefusedCustomersError(Exception):
    """Customers that break the contract."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


class UnreadableError(Exception):
    """A body that is no JSON; the text says why."""


def parse_json(body: bytes, *, nan_is_missing: bool = False) -> Any:
    """Parse JSON strictly: UTF-8, no repeated keys, no NaN or Infinity, no half of a surrogate pair.

    With `nan_is_missing`, NaN is read as null: clients of the inference protocol write missing numbers so.

    Raises:
        UnreadableError: the body is not such JSON.
    """
    try:
        constant = _missing_for_nan if nan_is_missing else _refuse_constant
        found = json.loads(body.decode(), object_pairs_hook=_without_repeats, parse_constant=constant)
        if b"\\ud" in body or b"\\uD" in body:
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start:,}") from None
    except UnicodeEncodeError:
        raise UnreadableError("not Unicode: half of a surrogate pair") from None
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError:  # Python converts no integers of more than 4,300 digits
        raise UnreadableError("a number has too many digits") from None
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise UnreadableError(f"key {_printable(repeated)!r} is given twice")
    return found


def _missing_for_nan(constant: str) -> Any:
    return None if constant == "NaN" else _refuse_constant(constant)


def _refuse_constant(constant: str) -> Any:
    raise UnreadableError(f"{constant} is no JSON; give null for a value that is not known")


@dataclass(frozen=True)
class CustomerReader:
    """Reads customers by a contract.

    Attributes:
        identifier: name of the id, which may be given; None if the contract has none.
        one, many: validate a customer, and a list of them.
    """

    contract: TableContract
    identifier: str | None
    one: TypeAdapter[Any]
    many: TypeAdapter[Any]

    def read(self, given: Any) -> Customer:
        """A customer from an object.

        Raises:
            RefusedCustomersError: it breaks the contract.
        """
        try:
            customer: Customer = self.one.validate_python(given)
        except ValidationError as error:
            raise RefusedCustomersError(self._faults(error, in_list=False)) from None
        return customer

    def read_many(self, given: Any) -> list[Customer]:
        """Customers from a list of objects.

        Raises:
            RefusedCustomersError: one breaks the contract.
        """
        try:
            customers: list[Customer] = self.many.validate_python(given)
        except ValidationError as error:
            raise RefusedCustomersError(self._faults(error, in_list=True)) from None
        return customers

    def id_of(self, customer: Customer) -> Value:
        """The customer's id; None if none is given."""
        return customer.get(self.identifier) if self.identifier else None

    def schema(self) -> dict[str, Any]:
        """JSON schema of a customer, with an example that is valid."""
        return {**self.one.json_schema(), "title": "Customer", "examples": [self.example()]}

    def example(self) -> dict[str, Any]:
        """A customer that the contract accepts."""
        identifier = {} if self.identifier is None else {self.identifier: "C-0001"}
        return identifier | {name: _example(column) for name, column in self.contract.columns.items()}

    def _faults(self, error: ValidationError, *, in_list: bool) -> list[FieldFault]:
        faults: list[FieldFault] = []
        found = error.errors(include_url=False, include_context=True)
        # Names that are no columns first: a misspelt one explains why another one is missing.
        found.sort(key=lambda one: (one["loc"][:1] if in_list else (), one["type"] != "extra_forbidden"))
        for one in found[:MOST_FAULTS]:
            place = list(one["loc"])
            row = int(place.pop(0)) if in_list and place else None
            field = _printable(place[0]) if place else ""
            kind = "gap" if field and one["input"] is None else str(one["type"])
            faults.append(FieldFault(row, field, self._reason(kind, one.get("ctx", {}), field)))
        return faults

    def _reason(self, kind: str, context: Mapping[str, Any], field: str) -> str:
        column = self.contract.columns.get(field)
        if kind == "extra_forbidden":
            known = [*([self.identifier] if self.identifier else []), *self.contract.columns]
            close = difflib.get_close_matches(field, known, n=1)
            return f"no such column{f'; is it {close[0]!r}?' if close else ''}"
        if kind == "missing":
            may = column is not None and column.missing == "allow"
            return f"{Problem.MISSING}{'; give null if it is not known' if may else ''}"
        if kind == "gap":
            return f"{Problem.MISSING}, and the model needs it"
        if kind == "literal_error" and isinstance(column, CategoricalColumn) and column.values:
            more = ", …" if len(column.values) > MOST_LABELS else ""
            return f"{Problem.NOT_IN_VALUES}: {', '.join(column.values[:MOST_LABELS])}{more}"
        return REASONS.get(kind, "{kind}").format(kind=kind.replace("_", " "), **context)


def _printable(name: object) -> str:
    """A name for an answer: at most 60 characters, all of which can be encoded."""
    return str(name)[:60].encode(errors="backslashreplace").decode()


REASONS = {
    "typed_dict_type": "not an object whose keys are column names",
    "dict_type": "not an object whose keys are column names",
    "list_type": "not a list of customers",
    "float_type": f"{Problem.NOT_A_NUMBER}",
    "finite_number": f"{Problem.INFINITE}",
    "greater_than_equal": f"{Problem.BELOW_MIN} {{ge:g}}",
    "less_than_equal": f"{Problem.ABOVE_MAX} {{le:g}}",
    "string_type": "not a text",
    "string_unicode": "not valid Unicode",
    "string_sub_type": "not a text",
    "not_0_or_1": f"{Problem.NOT_0_OR_1}, true or false",
    "too_long": "more than {max_length:,} customers; send several lists",
    "too_short": "an empty list; give at least one customer",
}
"""Words for pydantic's types of errors."""


def make_reader(contract: TableContract, most_rows: int) -> CustomerReader:
    """The reader of a contract, for at most `most_rows` customers at once."""
    fields: dict[str, Any] = {name: _type_of(column, contract) for name, column in contract.columns.items()}
    if contract.id is not None:
        fields[contract.id] = NotRequired[str | None]
    strict = with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
    customer = strict(TypedDict("Customer", fields))  # type: ignore[operator]
    many = Annotated[list[customer], Field(min_length=1, max_length=most_rows)]  # type: ignore[valid-type]
    return CustomerReader(contract, contract.id, TypeAdapter(customer), TypeAdapter(many))


def _type_of(column: Column, contract: TableContract) -> Any:
    """Type of the values of a column; with None where a value may be missing."""
    kind = TYPES[column.type](column, contract)
    if column.missing == "allow":
        kind = kind | None
    if column.on_error == "missing":
        kind = Annotated[kind, WrapValidator(functools.partial(_settle, column))]
    return kind


def _number(column: NumericColumn, _: TableContract) -> Any:
    return Annotated[float, Field(ge=column.min, le=column.max)]


def _label(column: CategoricalColumn, contract: TableContract) -> Any:
    gaps = frozenset({"", *contract.missing_values, *column.missing_values})
    kind: Any = str if column.values is None else Literal[column.values]
    may_be_missing = column.missing == "allow"
    known = BeforeValidator(functools.partial(_known_label, gaps, may_be_missing))
    return Annotated[kind | None if may_be_missing else kind, known]


def _boolean(_column: BooleanColumn, _: TableContract) -> Any:
    return Annotated[
        Literal[0, 1, True, False], PlainValidator(_zero_or_one, json_schema_input_type=Literal[0, 1, True, False])
    ]


TYPES: dict[str, Callable[[Any, TableContract], Any]] = {
    "numeric": _number,
    "categorical": _label,
    "boolean": _boolean,
}
"""Type of the values in JSON, by type of the column."""


JSON_TYPES: dict[str, frozenset[type]] = {
    "numeric": frozenset({int, float}),
    "categorical": frozenset({str}),
    "boolean": frozenset({bool, int, float}),
}
"""Types in which a value of a column is given, by type of the column."""


def _settle(column: Column, value: Any, validate: Callable[[Any], Value]) -> Value:
    """Apply the column's `on_error: missing`, as the batch does.

    A value of another type stays an error: the batch would read the number in the text "12", not take it for a gap.
    """
    try:
        found = None if value is None else validate(value)
    except ValidationError:
        if type(value) not in JSON_TYPES[column.type]:
            raise
        found = None
    if found is None and column.missing != "allow":
        raise PydanticCustomError("gap", "missing")
    return found


def _known_label(gaps: frozenset[str], may_be_missing: bool, value: Any) -> Any:
    """The stripped label; None if it stands for a missing value and one is allowed."""
    if not isinstance(value, str):
        return value
    label = value.strip()
    if label not in gaps:
        return label
    if may_be_missing:
        return None
    raise PydanticCustomError("gap", "missing")


def _zero_or_one(value: Any) -> float:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return float(value)
    raise PydanticCustomError("not_0_or_1", "not 0 or 1")


def _example(column: Column) -> Any:
    """A value that the column accepts."""
    if column.type == "boolean":
        return True
    if column.type == "categorical":
        return column.values[0] if column.values else "any"
    return next(bound for bound in (column.min, column.max, 1.0) if bound is not None)
