"""Routes that score: one customer or a list as JSON, and a stream of lines."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

from churn.model.plain.encoder import Customer
from churn.model.plain.reasons import NoReasonsError
from churn.service.customers import RefusedCustomersError, UnreadableError, parse_json
from churn.service.http.gate import STREAM, Exchange, Message, ProblemError, Receive, Send
from churn.service.http.requests import (
    Service,
    exchange_of,
    parsed,
    read_json_body,
    require_content_type,
    takes_long,
    wanted_reasons,
)
from churn.service.served_model import Score, ServedModel
from churn.service.settings import ServeSettings

SCORE = "/v1/score"
LINES = "application/x-ndjson"
MOST_REASONED = 200
"""Customers that one request gets reasons for; one takes milliseconds."""
MOST_WAITING_BLOCKS = 1_000
"""Blocks of answers kept for a client that sends everything before it reads."""


def add_scoring(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    async def score(request: Request) -> Response:
        exchange = exchange_of(request)
        body = await read_json_body(request, service.settings.most_bytes)
        wanted = wanted_reasons(request)
        model = service.model()
        if takes_long(model, len(body), wanted):
            content = await asyncio.to_thread(_score_body, service, exchange, model, body, wanted)
        else:
            content = _score_body(service, exchange, model, body, wanted)
        return Response(content, media_type="application/json")

    async def stream(request: Request) -> Response:
        require_content_type(request, LINES)
        lines = _scored_lines(service, exchange_of(request), service.model(), request)
        return LinesResponse(lines)

    # Plain routes: FastAPI's own would look for dependencies and models of the body in each request.
    app.add_route(SCORE, score, methods=["POST"])
    app.add_route(STREAM, stream, methods=["POST"])


def _score_body(service: Service, exchange: Exchange, model: ServedModel, body: bytes, reasons: int) -> bytes:
    given = parsed(body)
    try:
        customers = model.reader.read_many(given) if isinstance(given, list) else [model.reader.read(given)]
    except RefusedCustomersError as error:
        raise ProblemError(422, "customers break the contract", error.faults) from None
    if reasons and len(customers) > MOST_REASONED:
        raise ProblemError(422, f"reasons for more than {MOST_REASONED} customers; send fewer at once")
    scores = service.score(exchange, model, customers)
    answers = [_answer(exchange, model, *pair, reasons) for pair in zip(customers, scores, strict=True)]
    return to_json(answers if isinstance(given, list) else answers[0])


def _answer(exchange: Exchange, model: ServedModel, customer: Customer, score: Score, reasons: int) -> dict[str, Any]:
    identifier = model.reader.id_of(customer)
    answer: dict[str, Any] = {} if identifier is None else {"id": identifier}
    answer["probability"] = score.probability
    answer["contact"] = score.contact
    answer["expected_profit_of_contact"] = score.expected_profit_of_contact
    if reasons:
        try:
            answer["reasons"] = [asdict(one) for one in model.reasons(customer, reasons)]
        except NoReasonsError as error:
            raise ProblemError(422, str(error)) from None
    answer["request_id"] = exchange.request_id
    answer["fingerprint"] = model.origin.fingerprint
    return answer


class LinesResponse(Response):
    """Sends blocks of lines as they come. Starlette's own would read the request, to see whether the client is gone."""

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        super().__init__(media_type=LINES)
        del self.headers["content-length"]
        self._blocks = blocks

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send all blocks."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for block in self._blocks:
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _scored_lines(
    service: Service, exchange: Exchange, model: ServedModel, request: Request
) -> AsyncIterator[bytes]:
    """Answers to the lines of a body, in their order; reading and answering do not wait for each other."""
    answers: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING_BLOCKS)

    async def work() -> None:
        number = 0
        try:
            async for lines in _blocks_of_lines(request, service.settings):
                await answers.put(await asyncio.to_thread(_score_lines, service, exchange, model, lines, number))
                number += len(lines)
        except ClientDisconnect:
            pass  # nobody reads the rest
        except ProblemError as error:
            await answers.put(to_json({"line": number + 1, "error": error.problem.detail}) + b"\n")
        finally:
            await answers.put(None)

    worker = asyncio.create_task(work())
    try:
        while (block := await answers.get()) is not None:
            yield block
        await worker  # an answer that is cut short must not look complete
    finally:
        worker.cancel()


async def _blocks_of_lines(request: Request, settings: ServeSettings) -> AsyncIterator[list[bytes]]:
    """Whole lines, as many as have arrived."""
    rest = b""
    chunks = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(settings.seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise ProblemError(408, f"nothing received for {settings.seconds:g} s") from None
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
        if len(rest) > settings.most_bytes:
            raise ProblemError(413, f"a line of more than {settings.most_bytes:,} bytes")
    if rest.strip():
        yield [rest]


def _score_lines(
    service: Service, exchange: Exchange, model: ServedModel, lines: Sequence[bytes], before: int
) -> bytes:
    answers: list[dict[str, Any] | None] = []
    customers: list[Customer] = []
    places: list[int] = []
    for number, line in enumerate(lines):
        if not line.strip():
            answers.append(None)
            continue
        try:
            customers.append(model.reader.read(parse_json(line)))
            places.append(number)
            answers.append({})
        except (RefusedCustomersError, UnreadableError) as error:
            answers.append({"line": before + number + 1, "error": str(error)})
    try:
        scores = service.score(exchange, model, customers) if customers else []
        for number, customer, score in zip(places, customers, scores, strict=True):
            answers[number] = _answer(exchange, model, customer, score, reasons=0)
    except ProblemError as error:
        for number in places:
            answers[number] = {"line": before + number + 1, "error": error.problem.detail}
    return b"".join(to_json(one) + b"\n" for one in answers if one is not None)
