"""Routes for operators: the model, health, metrics."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Response

from churn.service.follower import Follower
from churn.service.http.requests import Service, require_ready
from churn.service.served_model import ServedModel

METRICS = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of metrics, as Prometheus names its format."""


def add_operation(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    @app.get("/v1/model", tags=["operation"])
    async def model() -> dict[str, Any]:
        return describe(service.model(), service.follower)

    @app.post("/v1/reload", tags=["operation"])
    async def reload() -> dict[str, Any]:
        await asyncio.to_thread(service.follower.look)
        return describe(service.model(), service.follower)

    @app.get("/health/live", tags=["operation"])
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready", tags=["operation"])
    async def ready() -> dict[str, str]:
        require_ready(service)
        return {"status": "ready"}

    @app.get("/metrics", response_model=None, tags=["operation"])
    async def metrics() -> Response:
        service.metrics.ready.set(not service.unready)
        return Response(service.metrics.text(), media_type=METRICS)


def describe(model: ServedModel, follower: Follower) -> dict[str, Any]:
    """The served model: where it comes from, how it scores, and what it expects."""
    loaded = datetime.fromtimestamp(follower.loaded_at or 0, UTC).isoformat(timespec="seconds")
    return {
        **asdict(model.origin),
        "threshold": model.threshold,
        "currency": model.parts.economics.currency,
        "path": model.proved.path,
        "path_reason": model.proved.reason,
        "rows_compared": model.proved.compared,
        "reasons": not model.no_reasons,
        "no_reasons": model.no_reasons,
        "loaded_at": loaded,
        "problem_of_a_newer_model": follower.problem,
        "id": model.reader.identifier,
        "columns": {
            name: column.model_dump(exclude_defaults=True) for name, column in model.parts.contract.columns.items()
        },
    }
