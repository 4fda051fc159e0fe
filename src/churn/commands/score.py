"""`churn score`: send customers to a running service, and show its answers."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import requests

from churn.errors import ChurnError, first_few
from churn.table.opening import LARGEST_REQUEST, beyond, limit
from churn.texts import counted

TOKEN = "CHURN_TOKEN"  # noqa: S105 - the name of a variable
SECONDS = 30


def ask_service(file: Path, url: str, reasons: int) -> Any:
    """The service's answer for the customers in a JSON file; `-` reads standard input.

    Raises:
        ChurnError: the file cannot be read, the service cannot be reached, or it refuses.
    """
    body = _read(file)
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get(TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    query = {"reasons": str(reasons)} if reasons else {}
    try:
        answer = requests.post(f"{url.rstrip('/')}/v1/score", data=body, params=query, headers=headers, timeout=SECONDS)
    except requests.RequestException as error:
        raise ChurnError(f"{url}: no answer ({type(error).__name__}); start it with `churn serve`") from None
    try:
        found = answer.json()
    except ValueError:
        raise ChurnError(f"{url}: answered {answer.status_code}, which is no answer of this service") from None
    if answer.status_code != requests.codes.ok:
        raise ChurnError(f"{file}: {_refusal(found, answer.status_code)}")
    return found


def answer_text(found: Any) -> str:
    """Answers as text, one customer after another."""
    answers = found if isinstance(found, list) else [found]
    blocks = ["\n".join(_lines(one)) for one in answers]
    contacts = sum(bool(one["contact"]) for one in answers)
    if len(answers) > 1:
        blocks.append(f"{counted(len(answers), 'customer')}, {contacts:,} to be contacted")
    return "\n\n".join(blocks)


def _read(file: Path) -> bytes:
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            content = stream.read(limit(LARGEST_REQUEST) + 1)
    except OSError as error:
        raise ChurnError(f"{file}: {error.strerror}; give a JSON file with a customer or a list of customers") from None
    if len(content) > limit(LARGEST_REQUEST):
        raise ChurnError(f"{file}: {beyond('has too many bytes', LARGEST_REQUEST, ' bytes')}")
    return content


def _refusal(problem: Mapping[str, Any], status: int) -> str:
    faults: Sequence[Mapping[str, Any]] = problem.get("errors", ())
    told = [f"{_place(one)}{one['reason']}" for one in faults]
    hint = f"; set {TOKEN} to a token" if status == requests.codes.unauthorized else ""
    return f"{problem.get('detail', status)}{f': {first_few(told)}' if told else ''}{hint}"


def _place(fault: Mapping[str, Any]) -> str:
    row = "" if fault.get("customer") is None else f"customer {fault['customer']}: "
    return f"{row}{json.dumps(fault['field'], ensure_ascii=False) + ' ' if fault['field'] else ''}"


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    if answer.get("id"):
        yield f"customer            {answer['id']}"
    yield f"probability         {answer['probability']}"
    yield f"contact             {'yes' if answer['contact'] else 'no'}"
    yield f"profit of contact   {answer['expected_profit_of_contact']:,.2f} expected"
    for number, reason in enumerate(answer.get("reasons", ())):
        yield f"{'reasons' if number == 0 else '':19} {reason['text']}"
    yield f"request             {answer['request_id']}"
    yield f"state               {answer['fingerprint']}"
