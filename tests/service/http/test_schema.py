"""The service and its OpenAPI description: requests made from the one, answers of the other."""

from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.helpers.services import RunningService

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FEW, MANY = 500, 10_000
Operation = APIOperation[Any, Any, Any, Any]


@schemathesis.serializer("application/x-ndjson")
def _lines(context: SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.mark.serve
def test_answers_are_as_described(small: RunningService) -> None:
    answered = attack(small, FEW)
    assert sum(answered.values()) >= FEW
    scored = {operation for operation, status in answered if status == 200}
    assert {"POST /v1/score", "POST /v1/score/stream", "GET /v2/models/{name}"} <= scored


@pytest.mark.long
def test_answers_are_as_described_all_night(small: RunningService) -> None:
    assert sum(attack(small, MANY).values()) >= MANY


def attack(service: RunningService, cases: int) -> Counter[tuple[str, int]]:
    """Send requests that fit the description, and such that do not; how often each operation gave each status."""
    answered: Counter[tuple[str, int]] = Counter()
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    one = st.one_of([_cases_of(operation, mode) for operation in _operations(schema) for mode in _modes_of(operation)])
    with requests.Session() as session:

        @settings(
            max_examples=cases,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(one)
        def send(case: Case[Any]) -> None:
            answer = case.call(session=session, timeout=30)
            answered[case.operation.label, answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        send()
    return answered


def _operations(schema: BaseSchema) -> list[Operation]:
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def _modes_of(operation: Operation) -> list[GenerationMode]:
    """Without parameters and body, no request can break the description."""
    has_input = operation.body or operation.path_parameters or operation.query
    return list(GenerationMode) if has_input else [GenerationMode.POSITIVE]


def _cases_of(operation: Operation, mode: GenerationMode) -> st.SearchStrategy[Case[Any]]:
    return operation.as_strategy(generation_mode=mode)
