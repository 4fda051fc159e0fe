"""The OpenAPI description, with the customers of the model that is served now."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from churn.service.http import inference_protocol as protocol
from churn.service.http.gate import NEEDED, STREAM
from churn.service.http.operation import METRICS
from churn.service.http.protocol_routes import INFER
from churn.service.http.requests import MOST_REASONS, Service
from churn.service.http.scoring import SCORE
from churn.service.tokens import Scope

REASON = {
    "type": "object",
    "properties": {"column": {"type": "string"}, "log_odds": {"type": "number"}, "text": {"type": "string"}},
    "required": ["column", "log_odds", "text"],
}
ANSWER = {
    "type": "object",
    "properties": {
        "id": {"type": ["string", "null"], "description": "the customer's id, if one was given"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "probability of churn"},
        "contact": {"type": "boolean", "description": "whether to contact this customer"},
        "expected_profit_of_contact": {"type": "number", "description": "in the currency of /v1/model"},
        "reasons": {"type": "array", "items": REASON, "description": "with ?reasons=N: strongest first"},
        "request_id": {"type": "string", "description": "for `churn lineage` and `churn replay`"},
        "fingerprint": {"type": "string", "description": "state of the pipeline whose model answered"},
    },
    "required": ["probability", "contact", "expected_profit_of_contact", "request_id", "fingerprint"],
}
PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "customer": {"type": ["integer", "null"], "description": "place in the list, from 0"},
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                },
            },
        },
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}
PROTOCOL_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
SCHEMAS = {"Answer": ANSWER, "Problem": PROBLEM, "Error": PROTOCOL_ERROR}
STATUSES = {
    "400": "not JSON, or not of the protocol's form",
    "401": "no valid token",
    "403": "the token does not allow this",
    "404": "no such path or model",
    "405": "another method",
    "408": "not complete in time",
    "413": "too long",
    "415": "another content type",
    "421": "reached under an unknown name",
    "422": "customers break the contract",
    "429": "too many requests a second",
    "431": "request line and headers too long",
    "503": "not ready: no model yet, or the service is stopping",
}


def describe_interface(app: FastAPI, service: Service) -> dict[str, Any]:
    """OpenAPI 3.1 of all routes."""
    found = get_openapi(title=app.title, version=app.version, routes=app.routes, description=DESCRIPTION)
    components = found.setdefault("components", {})
    components["schemas"] = {
        "Customer": _customer(service),
        "Answer": ANSWER,
        "Problem": PROBLEM,
        "Error": PROTOCOL_ERROR,
    }
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["paths"] = {**_scoring(service), **found["paths"], **dict.fromkeys(INFER)}
    for path in INFER:
        found["paths"][path] = {"post": _infer(path)}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            operation["responses"] = {"200": operation["responses"]["200"], **_errors(path)}
            if NEEDED.get(path, Scope.SCORE):
                operation["security"] = [{}, {"token": []}]
            for parameter in operation.get("parameters", ()):
                parameter["schema"] |= _values_of(parameter, service)
    found["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {METRICS: {"schema": {"type": "string"}}}
    return found


DESCRIPTION = "Scores customers with the model of this project. Every answer has the bits of `churn predict`."


def _customer(service: Service) -> dict[str, Any]:
    model = service.follower.model
    return {"type": "object"} if model is None else model.reader.schema()


def _values_of(parameter: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """What a parameter of a path may be: the name and the version of the model that is served now."""
    model = service.follower.model
    if parameter["in"] != "path" or model is None:
        return {}
    return {"enum": [model.origin.name if parameter["name"] == "name" else protocol.version_of(model)]}


def _errors(path: str) -> dict[str, Any]:
    of_protocol = path.startswith("/v2")
    kind, name = ("application/json", "Error") if of_protocol else ("application/problem+json", "Problem")
    content = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    return {status: {"description": told, "content": content} for status, told in STATUSES.items()}


def _scoring(service: Service) -> dict[str, Any]:
    customer, answer = ({"$ref": f"#/components/schemas/{name}"} for name in ("Customer", "Answer"))
    one_or_many = {"anyOf": [customer, {"type": "array", "items": customer, "minItems": 1}]}
    answers = {"anyOf": [answer, {"type": "array", "items": answer}]}
    model = service.follower.model
    examples = {} if model is None else {"example": model.reader.example()}
    reasons = {
        "name": "reasons",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": MOST_REASONS},
        "description": "number of reasons for each customer",
    }
    lines = {"application/x-ndjson": {"schema": {"type": "string"}}}
    one = _operation(
        "Score a customer, or a list of customers",
        {"application/json": {"schema": one_or_many, **examples}},
        {"application/json": {"schema": answers}},
    )
    return {
        SCORE: {"post": {**one, "parameters": [reasons]}},
        STREAM: {"post": _operation("Score a stream of customers, one a line", lines, lines)},
    }


def _operation(summary: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": ["scoring"],
        "requestBody": {"required": True, "content": body},
        "responses": {"200": {"description": "scored", "content": answer}},
    }


def _infer(path: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "inputs": _tensors(),
            "outputs": {"type": "array", "items": _output()},
            "parameters": {"type": "object"},
        },
        "required": ["inputs"],
    }
    answer = {"application/json": {"schema": {"type": "object", "required": ["model_name", "outputs"]}}}
    operation = _operation("Score customers given as tensors", {"application/json": {"schema": schema}}, answer)
    names = ["name", "version"] if "{version}" in path else ["name"]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return {**operation, "tags": ["protocol v2"], "parameters": parameters}


def _tensors() -> dict[str, Any]:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {
                "type": "string",
                "enum": sorted({one for kinds in protocol.ACCEPTED.values() for one in kinds}),
            },
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    return {"type": "array", "items": tensor, "minItems": 1}


def _output() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": list(protocol.OUTPUTS)}},
        "required": ["name"],
    }
