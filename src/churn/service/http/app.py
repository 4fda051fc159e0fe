"""The application: all routes, and how errors are answered."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from churn.service.http.gate import FAILED, JSON, OF_PROTOCOL, PROBLEM, HttpProblem, ProblemError
from churn.service.http.openapi import describe_interface
from churn.service.http.operation import add_operation
from churn.service.http.protocol_routes import add_protocol
from churn.service.http.requests import Service, exchange_of
from churn.service.http.scoring import add_scoring

DETAILS = {404: "no such path; /docs lists all", 405: "this path takes another method"}
TITLE = "Churn scoring"
CLIENT_GONE = 499
"""Status in the log of a request whose client closed the connection, as nginx has it."""


def make_app(service: Service) -> FastAPI:
    """The application with all routes."""
    app: FastAPI = FastAPIOffline(
        title="Churn scoring", version=service.version, redirect_slashes=False, redoc_url=None
    )
    for add in (add_scoring, add_protocol, add_operation):
        add(app, service)
    _add_errors(app)
    app.openapi = lambda: describe_interface(app, service)  # type: ignore[method-assign]
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ProblemError)
    async def refused(request: Request, error: Any) -> Response:
        return _response(request, error.problem)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: Any) -> Response:
        problem = HttpProblem(error.status_code, DETAILS.get(error.status_code, str(error.detail)))
        return _response(request, problem, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Any) -> Response:
        return Response(status_code=CLIENT_GONE)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Any) -> Response:
        return _response(request, FAILED)  # the gate logs it


def _response(request: Request, problem: HttpProblem, headers: Any = None) -> Response:
    exchange = exchange_of(request)
    kind = JSON if exchange.path.startswith(OF_PROTOCOL) else PROBLEM
    body = problem.body(exchange.path, exchange.request_id)
    closing = {"connection": "close"} if problem.closes else {}
    return Response(body, problem.status, {**(headers or {}), **closing}, media_type=kind.decode())
