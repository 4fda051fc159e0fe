"""Routes of the Open Inference Protocol v2."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic_core import to_json

from churn.service.customers import RefusedCustomersError
from churn.service.http import inference_protocol as protocol
from churn.service.http.gate import Exchange, ProblemError
from churn.service.http.requests import Service, exchange_of, parsed, read_json_body, require_ready, takes_long
from churn.service.served_model import ServedModel

MODEL = "/v2/models/{name}"
VERSION = "/v2/models/{name}/versions/{version}"
INFER = (f"{MODEL}/infer", f"{VERSION}/infer")


def add_protocol(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    def named(name: str, version: str | None) -> ServedModel:
        model = service.model()
        if name != model.origin.name or version not in (None, protocol.version_of(model)):
            raise ProblemError(404, f"no such model; there is {model.origin.name} {protocol.version_of(model)}")
        return model

    @app.get("/v2", tags=["protocol v2"])
    async def metadata() -> dict[str, Any]:
        return protocol.server_metadata(service.version)

    @app.get("/v2/health/live", tags=["protocol v2"])
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready", tags=["protocol v2"])
    async def ready() -> dict[str, bool]:
        require_ready(service)
        return {"ready": True}

    @app.get(MODEL, tags=["protocol v2"])
    @app.get(VERSION, tags=["protocol v2"])
    async def model_metadata(name: str, version: str | None = None) -> dict[str, Any]:
        return protocol.model_metadata(named(name, version))

    @app.get(f"{MODEL}/ready", tags=["protocol v2"])
    @app.get(f"{VERSION}/ready", tags=["protocol v2"])
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        require_ready(service)
        return {"name": named(name, version).origin.name, "ready": True}

    async def infer(request: Request) -> Response:
        body = await read_json_body(request, service.settings.most_bytes)
        asked = request.path_params
        model, exchange = named(asked["name"], asked.get("version")), exchange_of(request)
        if takes_long(model, len(body)):
            content = await asyncio.to_thread(_infer, service, exchange, model, body)
        else:
            content = _infer(service, exchange, model, body)
        return Response(content, media_type="application/json")

    for path in INFER:
        app.add_route(path, infer, methods=["POST"])


def _infer(service: Service, exchange: Exchange, model: ServedModel, body: bytes) -> bytes:
    request = protocol.read_request(parsed(body, nan_is_missing=True))
    try:
        customers = model.reader.read_many(protocol.objects_of(request, model, service.settings.most_rows))
    except RefusedCustomersError as error:
        raise ProblemError(400, "customers break the contract", error.faults) from None
    return to_json(protocol.answer(request, model, service.score(exchange, model, customers), exchange.request_id))
