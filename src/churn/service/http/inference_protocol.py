"""KServe's Open Inference Protocol v2: metadata, and customers as one tensor a column."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from churn.config.contract import Column
from churn.service.http.gate import ProblemError
from churn.service.served_model import Score, ServedModel

DATATYPES = {"numeric": "FP64", "categorical": "BYTES", "boolean": "BOOL"}
"""Datatype of a column's tensor."""
INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
ACCEPTED = {
    "numeric": ("FP64", *INTEGERS),  # not FP32, whose numbers are others
    "categorical": ("BYTES",),
    "boolean": ("BOOL", "FP64", *INTEGERS),
}
OUTPUTS = {"probability": "FP64", "contact": "BOOL", "expected_profit_of_contact": "FP64"}
"""Datatype of each output, by its name in `Score`."""
PLATFORM = "churn"
LARGEST_SIZE = 2**63 - 1


class Tensor(BaseModel):
    """A tensor of a request."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str
    shape: list[Annotated[int, Field(le=LARGEST_SIZE)]] = Field(min_length=1, max_length=2)
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class WantedOutput(BaseModel):
    """An output that a request asks for."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: str | None = None
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[WantedOutput] | None = None
    parameters: dict[str, Any] | None = None


def server_metadata(version: str) -> dict[str, Any]:
    """Metadata of the server."""
    return {"name": PLATFORM, "version": version, "extensions": []}


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """Metadata of the model: a tensor for each column, and the outputs."""
    return {
        "name": model.origin.name,
        "versions": [version_of(model)],
        "platform": PLATFORM,
        "inputs": [
            {"name": name, "datatype": DATATYPES[column.type], "shape": [-1]}
            for name, column in _columns(model).items()
        ],
        "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in OUTPUTS.items()],
    }


def version_of(model: ServedModel) -> str:
    """Version in the protocol: that of the registry, else the fingerprint."""
    return model.origin.version or model.origin.fingerprint


def read_request(given: Any) -> InferenceRequest:
    """Parse a request.

    Raises:
        ProblemError: it is not of the protocol's form.
    """
    try:
        return InferenceRequest.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ProblemError(400, f"{place + ': ' if place else ''}{first['msg'].lower()}") from None


def objects_of(request: InferenceRequest, model: ServedModel, most_rows: int) -> list[dict[str, Any]]:
    """Customers as objects, to be checked like those of the other interface.

    Raises:
        ProblemError: tensors are missing, repeated, unknown, or do not fit each other.
    """
    columns = {tensor.name: tensor for tensor in request.inputs}
    if len(columns) < len(request.inputs):
        raise ProblemError(400, "inputs: a tensor is given twice")
    rows = {_rows_of(tensor) for tensor in request.inputs}
    if len(rows) > 1:
        raise ProblemError(400, f"inputs: tensors of {' and '.join(map(str, sorted(rows)))} rows; give all the same")
    count = rows.pop()
    if not 1 <= count <= most_rows:
        raise ProblemError(400, f"inputs: {count:,} rows; 1 to {most_rows:,} are accepted")
    values = {name: _values_of(tensor, count, _columns(model).get(name)) for name, tensor in columns.items()}
    return [{name: cells[row] for name, cells in values.items()} for row in range(count)]


def answer(request: InferenceRequest, model: ServedModel, scores: Sequence[Score], request_id: str) -> dict[str, Any]:
    """The response; `id` is the client's, the service's own one is a parameter.

    Raises:
        ProblemError: an output is not known.
    """
    names = [one.name for one in request.outputs] if request.outputs else list(OUTPUTS)
    for name in names:
        if name not in OUTPUTS:
            raise ProblemError(400, f"outputs: no output {name[:60]!r}; there are {', '.join(OUTPUTS)}")
    return {
        "model_name": model.origin.name,
        "model_version": version_of(model),
        **({} if request.id is None else {"id": request.id}),
        "parameters": {"request_id": request_id, "fingerprint": model.origin.fingerprint},
        "outputs": [
            {
                "name": name,
                "shape": [len(scores)],
                "datatype": OUTPUTS[name],
                "data": [getattr(score, name) for score in scores],
            }
            for name in names
        ],
    }


def _columns(model: ServedModel) -> Mapping[str, Column]:
    return model.parts.contract.columns


def _rows_of(tensor: Tensor) -> int:
    rows, *others = tensor.shape
    if rows < 0 or any(size != 1 for size in others):
        raise ProblemError(400, f"inputs: {tensor.name[:60]!r}: shape must be [n] or [n, 1]")
    return rows


def _values_of(tensor: Tensor, count: int, column: Column | None) -> list[Any]:
    named = f"inputs: {tensor.name[:60]!r}"
    if column is not None and tensor.datatype not in ACCEPTED[column.type]:
        accepted = ", ".join(ACCEPTED[column.type])
        raise ProblemError(400, f"{named}: datatype {tensor.datatype[:20]!r}; accepted: {accepted}")
    cells = tensor.data
    if cells and all(isinstance(cell, list) for cell in cells):  # nested, as the protocol allows
        if any(len(cell) != 1 for cell in cells):
            raise ProblemError(400, f"{named}: each row must hold one value")
        cells = [cell[0] for cell in cells]
    if len(cells) != math.prod(tensor.shape) or len(cells) != count:
        raise ProblemError(400, f"{named}: {len(cells):,} values, but shape {tensor.shape}")
    return cells
