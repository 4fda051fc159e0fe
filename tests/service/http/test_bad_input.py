"""Faulty, hostile and broken requests: refused with a reason, without harm to the next one."""

import gzip
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.helpers.services import RunningService
from tests.helpers.wire import WireAnswer, answer_to, connected, is_closed, read_answer, request_bytes

pytestmark = pytest.mark.serve

SCORE, STREAM, INFER = "/v1/score", "/v1/score/stream", "/v2/models/churn/infer"
LINES = "application/x-ndjson"
OF_CUSTOMER = "zq7private"
"""A value that no line of the log may hold."""
SECONDS, MOST_ROWS, MOST_BYTES = 2.0, 100, 50_000
"""Limits of the service `small`."""


@pytest.fixture(autouse=True)
def _goes_on(small: RunningService, customer: dict[str, Any]) -> Iterator[None]:
    """After each test: a good request is answered, nothing failed, and the log holds no customer."""
    first = len(small.lines)
    yield
    answer = small.post(SCORE, customer)
    assert answer.status_code == 200
    small.wait_until(answer.json()["request_id"])
    lines = small.lines[first:]
    statuses = [json.loads(line)["status"] for line in lines if line.startswith("{")]
    assert [status for status in statuses if status >= 500] == []
    printed = "\n".join(lines)
    assert "Traceback" not in printed
    assert OF_CUSTOMER not in printed


def score(service: RunningService, body: str | bytes, path: str = SCORE, kind: str = "application/json") -> WireAnswer:
    return answer_to(service, request_bytes(body, path, kind=kind))


def faults_of(answer: WireAnswer) -> list[tuple[int | None, str, str]]:
    problem = problem_of(answer, 422)
    return [(fault["customer"], fault["field"], fault["reason"]) for fault in problem["errors"]]


def problem_of(answer: WireAnswer, status: int) -> dict[str, Any]:
    """The problem, in the form of RFC 9457."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "request_id"} <= set(problem)
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


def error_of(answer: WireAnswer, status: int = 400) -> str:
    """The error, in the form of the inference protocol."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def tensors(customer: dict[str, Any]) -> dict[str, Any]:
    kinds = {"plan": "BYTES", "months": "FP64", "fee": "FP64", "senior": "BOOL"}
    inputs = [
        {"name": name, "shape": [1], "datatype": kinds.get(name, "BYTES"), "data": [value]}
        for name, value in customer.items()
    ]
    return {"inputs": inputs}


FAULTY_FIELDS: list[tuple[str, Any, str]] = [
    ("months", ..., "missing"),
    ("months", None, "missing, and the model needs it"),
    ("fee", ..., "missing; give null if it is not known"),
    ("plam", OF_CUSTOMER, "no such column; is it 'plan'?"),
    ("unheard", OF_CUSTOMER, "no such column"),
    ("plan", OF_CUSTOMER, "not in values: basic, plus, pro"),
    ("plan", 3, "not in values: basic, plus, pro"),
    ("plan", "NA", "missing, and the model needs it"),
    ("plan", "", "missing, and the model needs it"),
    ("months", OF_CUSTOMER, "not a number"),
    ("months", "3", "not a number"),
    ("months", True, "not a number"),
    ("months", [3], "not a number"),
    ("months", {}, "not a number"),
    ("months", -1, "below min 0"),
    ("months", 100.5, "above max 100"),
    ("months", 10**400, "not a number"),
    ("senior", 2, "not 0 or 1, true or false"),
    ("senior", "yes", "not 0 or 1, true or false"),
    ("senior", 10**400, "not 0 or 1, true or false"),
    ("senior", [[]], "not 0 or 1, true or false"),
]


@pytest.mark.parametrize(("field", "value", "reason"), FAULTY_FIELDS)
def test_a_faulty_field_is_named_with_its_reason_by_every_interface(
    small: RunningService, customer: dict[str, Any], field: str, value: Any, reason: str
) -> None:
    given = {name: one for name, one in (customer | {field: value}).items() if one is not ...}
    assert faults_of(score(small, json.dumps(given))) == [(None, field, reason)]
    assert faults_of(score(small, json.dumps([customer, given]))) == [(1, field, reason)]
    if not isinstance(value, list):  # a list of one value is a row there
        told = error_of(score(small, json.dumps(tensors(given)), INFER))
        assert f"customer 0: column {field!r}: {reason}" in told
    (line,) = score(small, json.dumps(given), STREAM, LINES).body.splitlines()
    assert json.loads(line) == {"line": 1, "error": f"column {field!r}: {reason}"}


def test_several_faults_are_all_reported_with_row_field_and_reason(
    small: RunningService, customer: dict[str, Any]
) -> None:
    given = [customer | {"plan": OF_CUSTOMER, "months": -1}, customer, customer | {"fee": "x", "extra": 1}]
    assert faults_of(score(small, json.dumps(given))) == [
        (0, "plan", "not in values: basic, plus, pro"),
        (0, "months", "below min 0"),
        (2, "extra", "no such column"),
        (2, "fee", "not a number"),
    ]


def test_a_misspelt_column_comes_before_the_one_that_is_missing_for_it(
    small: RunningService, customer: dict[str, Any]
) -> None:
    given = {"monhts" if name == "months" else name: value for name, value in customer.items()}
    assert faults_of(score(small, json.dumps(given))) == [
        (None, "monhts", "no such column; is it 'months'?"),
        (None, "months", "missing"),
    ]


def test_at_most_twenty_faults_are_listed(small: RunningService) -> None:
    assert len(faults_of(score(small, json.dumps([{}] * 50)))) == 20


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [
        ("NaN", 400, "NaN is no JSON; give null"),
        ("Infinity", 400, "Infinity is no JSON"),
        ("-Infinity", 400, "-Infinity is no JSON"),
        ("1e400", 422, "infinite"),
        ("-1e400", 422, "infinite"),
        ("9" * 5_000, 400, "a number has too many digits"),
        ("1" + "0" * 400, 422, "not a number"),
        ("0x10", 400, "not JSON"),
        ("01", 400, "not JSON"),
        ("+1", 400, "not JSON"),
        (".5", 400, "not JSON"),
        ("1_000", 400, "not JSON"),
    ],
)
def test_numbers_that_are_none_are_refused(
    small: RunningService, customer: dict[str, Any], number: str, status: int, reason: str
) -> None:
    body = json.dumps(customer).replace("29.85", number)
    answer = score(small, body)
    assert reason in json.dumps(problem_of(answer, status))
    (line,) = score(small, body, STREAM, LINES).body.splitlines()
    assert reason in json.loads(line)["error"]
    if number != "NaN":  # a missing number there
        assert reason in error_of(score(small, json.dumps(tensors(customer)).replace("29.85", number), INFER))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON at line 1, column 1"),
        (b"{", "not JSON at line 1, column 2"),
        (b"plan=basic", "not JSON at line 1, column 1"),
        (b'{"plan": "basic",}', "not JSON"),
        (b"{} {}", "not JSON"),
        (b'{"plan": "basic", "plan": "plus"}', "key 'plan' is given twice"),
        (b'[{"a": {"b": 1, "b": 2}}]', "key 'b' is given twice"),
        (b"[" * 20_000, "nested too deeply"),
        (b'{"a":' * 8_000, "nested too deeply"),
        (b'{"plan": "\xff"}', "not UTF-8 at byte 10"),
        (b'{"plan": "\xed\xa0\x80"}', "not UTF-8 at byte 10"),
        ('{"plan": "basic"}'.encode("utf-16"), "not UTF-8 at byte 0"),
        ('{"plan": "basic"}'.encode("utf-16-le"), "not JSON"),
        ('{"plan": "basic"}'.encode("utf-8-sig"), "BOM"),
        (rb'{"plan": "\ud800"}', "not Unicode: half of a surrogate pair"),
        (rb'{"pl\uDFFFan": "basic"}', "not Unicode: half of a surrogate pair"),
        (rb'[{"a": ["\uD83D"]}]', "not Unicode: half of a surrogate pair"),
    ],
)
def test_what_is_no_json_is_refused_with_the_place(small: RunningService, body: bytes, reason: str) -> None:
    assert reason in problem_of(score(small, body), 400)["detail"]
    assert reason in error_of(score(small, body, INFER))
    if body:
        (line,) = score(small, body, STREAM, LINES).body.splitlines()
        assert reason in json.loads(line)["error"]


def test_an_id_that_is_half_of_a_surrogate_pair_is_not_echoed(small: RunningService, customer: dict[str, Any]) -> None:
    body = json.dumps({"id": "\ud800", **tensors(customer)})
    assert "surrogate" in error_of(score(small, body, INFER))


def test_a_whole_surrogate_pair_is_a_character(small: RunningService, customer: dict[str, Any]) -> None:
    answer = score(small, json.dumps({"id": "\U0001f600", **tensors(customer)}), INFER)
    assert answer.json()["id"] == "\U0001f600"


@pytest.mark.parametrize("body", ["null", "3", '"basic"', "true", "[[]]", "[null]", "[3]"])
def test_what_is_no_customer_is_refused(small: RunningService, body: str) -> None:
    ((_, field, reason),) = faults_of(score(small, body))
    assert (field, reason) == ("", "not an object whose keys are column names")
    assert error_of(score(small, body, INFER))


def test_an_object_of_nested_lists_is_refused(small: RunningService, customer: dict[str, Any]) -> None:
    body = json.dumps(customer | {"plan": "nest"}).replace('"nest"', "[" * 500 + "]" * 500)
    assert faults_of(score(small, body))[0][1] == "plan"


def test_many_keys_of_which_the_last_is_repeated_are_refused_quickly(small: RunningService) -> None:
    keys = ",".join(f'"{number:x}":0' for number in range(5_000))
    started = time.monotonic()
    problem_of(score(small, f'{{{keys},"z":0,"z":0}}'), 400)
    assert time.monotonic() - started < 0.4


def test_a_list_may_be_neither_empty_nor_too_long(small: RunningService, customer: dict[str, Any]) -> None:
    assert score(small, json.dumps([customer] * MOST_ROWS)).status == 200
    too_many = json.dumps([customer] * (MOST_ROWS + 1))
    assert faults_of(score(small, too_many)) == [(None, "", "more than 100 customers; send several lists")]
    assert faults_of(score(small, "[]")) == [(None, "", "an empty list; give at least one customer")]


@pytest.mark.parametrize("rows", [0, MOST_ROWS + 1, -1, 10**18, 10**400])
def test_tensors_may_be_neither_empty_nor_too_long(small: RunningService, customer: dict[str, Any], rows: int) -> None:
    request = tensors(customer)
    for tensor in request["inputs"]:
        tensor["shape"] = [rows]
        tensor["data"] *= rows if 0 < rows <= 1_000 else 0
    assert len(error_of(score(small, json.dumps(request), INFER))) < 200


def test_a_body_that_is_compressed_is_refused_without_being_unpacked(small: RunningService) -> None:
    bomb = gzip.compress(b"[" + b" " * 20_000_000 + b"]")
    assert len(bomb) < MOST_BYTES
    for path, kind in ((SCORE, "application/json"), (STREAM, LINES), (INFER, "application/json")):
        for coding in ("gzip", "br", "deflate", "identity, gzip"):
            data = request_bytes(bomb, path, "POST", kind, None, f"Content-Encoding: {coding}")
            assert answer_to(small, data).status == 415
    assert b"not UTF-8" in score(small, bomb).body, "undeclared, it is bytes that are no text"


@pytest.mark.parametrize("path", [SCORE, INFER])
def test_a_body_that_is_too_long_is_refused_by_its_declared_length(small: RunningService, path: str) -> None:
    for length in (MOST_BYTES + 1, 10**12, 2**63 - 1):
        answer = answer_to(small, request_bytes(b"{", path, "POST", "application/json", length))
        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        assert b"more than 50,000 bytes" in answer.body


@pytest.mark.parametrize("path", [SCORE, INFER])
def test_a_body_that_is_too_long_is_refused_while_it_comes_in_chunks(small: RunningService, path: str) -> None:
    head = request_bytes(b"", path).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert answer_to(small, head + b"4000\r\n%b\r\n" % (b" " * 0x4000) * 10).status == 413


def test_a_client_that_sends_all_of_a_long_body_still_reads_the_refusal(small: RunningService) -> None:
    for _ in range(5):
        with connected(small) as connection:
            connection.sendall(request_bytes(b" " * 3_000_000))
            problem_of(read_answer(connection), 413)


def test_a_line_of_a_stream_that_is_too_long_is_refused_after_those_before(
    small: RunningService, customer: dict[str, Any]
) -> None:
    body = json.dumps(customer) + "\n" + " " * 400_000
    first, last = score(small, body, STREAM, LINES).body.splitlines()
    assert "probability" in json.loads(first)
    assert json.loads(last) == {"line": 2, "error": "a line of more than 50,000 bytes"}


@pytest.mark.parametrize("path", [SCORE, INFER])
def test_a_body_that_does_not_come_is_answered_within_the_limit(small: RunningService, path: str) -> None:
    started = time.monotonic()
    answer = answer_to(small, request_bytes(b"{", path, "POST", "application/json", 10))
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert SECONDS - 0.1 < time.monotonic() - started < SECONDS + 1


def test_clients_that_send_nothing_or_half_a_request_are_cut_off_within_the_limit(
    small: RunningService, customer: dict[str, Any]
) -> None:
    beginnings = [
        b"",
        b"POST /v1/sc",
        b"POST /v1/score HTTP/1.1\r\nHost: te",
        request_bytes(json.dumps(customer)) + b"POST /v1/score",
        request_bytes(b"{", "/nothing", length=1_000),
    ]
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(small)) for _ in beginnings]
        for connection, beginning in zip(connections, beginnings, strict=True):
            connection.sendall(beginning)
        for connection, beginning in zip(connections, beginnings, strict=True):
            if b"Content-Length" in beginning:
                read_answer(connection)
        started = time.monotonic()
        for _ in range(6):  # a byte now and then is not enough
            time.sleep(0.2)
            for connection in connections[1:]:
                with suppress(ConnectionError):
                    connection.sendall(b"x")
        assert all(is_closed(connection) for connection in connections)
        assert time.monotonic() - started < SECONDS + 1


def test_a_client_that_closes_its_side_after_the_request_is_answered(
    small: RunningService, customer: dict[str, Any]
) -> None:
    body = json.dumps([customer] * MOST_ROWS)
    for path, kind, content in (
        (SCORE, "application/json", body),
        (STREAM, LINES, json.dumps(customer)),
        (INFER, "application/json", json.dumps(tensors(customer))),
    ):
        with connected(small) as connection:
            connection.sendall(request_bytes(content, path, kind=kind))
            connection.shutdown(socket.SHUT_WR)
            assert read_answer(connection).status == 200
            assert is_closed(connection)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(("path", "kind"), [(SCORE, "application/json"), (STREAM, LINES), (INFER, "application/json")])
def test_a_client_that_vanishes_in_the_middle_of_a_body_leaves_nothing(
    small: RunningService, customer: dict[str, Any], path: str, kind: str, reset: bool
) -> None:
    before = len(small.lines)
    with connected(small) as connection:
        connection.sendall(request_bytes(json.dumps(customer) + "\n", path, kind=kind, length=10_000))
        time.sleep(0.1)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    deadline = time.monotonic() + 5
    while not any(line.startswith("{") for line in small.lines[before:]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [line for line in small.lines[before:] if not line.startswith("{")] == []


def test_500_connections_at_once_are_all_answered(small: RunningService, customer: dict[str, Any]) -> None:
    data = request_bytes(json.dumps(customer))
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(small, 20)) for _ in range(500)]
        for connection in connections:
            connection.sendall(data)
        assert [read_answer(connection).status for connection in connections] == [200] * 500


def test_pipelined_requests_are_answered_in_their_order(small: RunningService, customer: dict[str, Any]) -> None:
    with connected(small) as connection:
        connection.sendall(
            request_bytes(json.dumps([customer] * 3))
            + request_bytes("{")
            + request_bytes(method="GET", path="/health/live")
            + request_bytes(json.dumps(customer), STREAM, "POST", LINES, None, "Connection: close")
        )
        received = b""
        while more := connection.recv(65_536):
            received += more
    statuses = [int(part.split()[0]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 400, 200, 200]


def test_what_follows_a_request_and_is_none_does_not_take_its_answer(
    small: RunningService, customer: dict[str, Any]
) -> None:
    with connected(small) as connection:
        connection.sendall(request_bytes(json.dumps(customer)) + b"\0\0 no request\r\n\r\n")
        assert read_answer(connection).status == 200
        assert is_closed(connection)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/x-ndjson", "x" * 999],
)
def test_another_content_type_is_refused(small: RunningService, customer: dict[str, Any], kind: str) -> None:
    answer = answer_to(small, request_bytes(json.dumps(customer), kind=kind))
    assert problem_of(answer, 415)["detail"] == "send it as `Content-Type: application/json`"


def test_a_missing_content_type_is_refused_but_not_by_the_protocol(
    small: RunningService, customer: dict[str, Any]
) -> None:
    def without(data: bytes) -> bytes:
        return data.replace(b"Content-Type: application/json\r\n", b"")

    problem_of(answer_to(small, without(request_bytes(json.dumps(customer)))), 415)
    assert answer_to(small, without(request_bytes(json.dumps(tensors(customer)), INFER))).status == 200


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_a_content_type_may_have_parameters_and_capitals(
    small: RunningService, customer: dict[str, Any], kind: str
) -> None:
    assert answer_to(small, request_bytes(json.dumps(customer), kind=kind)).status == 200


@pytest.mark.parametrize("path", [SCORE, STREAM, INFER, "/v1/reload"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
def test_another_method_is_refused_and_the_right_one_named(small: RunningService, path: str, method: str) -> None:
    answer = answer_to(small, request_bytes(method=method, path=path))
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


def test_head_has_no_body(small: RunningService) -> None:
    with connected(small) as connection:
        connection.sendall(b"HEAD /v1/score HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while more := connection.recv(65_536):
            received += more
    assert received.startswith(b"HTTP/1.1 405 ")
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["HACK", "get", "PRI"])
def test_an_unknown_method_is_no_request(small: RunningService, method: str) -> None:
    problem_of(answer_to(small, request_bytes(method=method)), 400)


@pytest.mark.parametrize(
    "path",
    [
        "//v1/score",
        "/v1//score",
        "/v1/score/",
        "/v1/score;a=b",
        "/v1/score%00",
        "/v1/score%0A",
        "/v1/score%20",
        "/V1/SCORE",
        "/v1/../metrics",
        "/v1/%2e%2e/metrics",
        "/../../etc/passwd",
        "/static-offline-docs/../../../../etc/passwd",
        "/static-offline-docs/%2e%2e/%2e%2e/openapi.py",
        "/static-offline-docs/%00",
        "/static-offline-docs/" + "a" * 5_000,
        "/%ff%fe",
        "/" + "a" * 60_000,
        "*",
    ],
)
def test_paths_that_are_none_are_not_found(small: RunningService, path: str) -> None:
    problem_of(answer_to(small, request_bytes(method="GET", path=path)), 404)
    if "static" not in path:  # files take another method
        problem_of(answer_to(small, request_bytes("{}", path)), 404)


def test_the_path_of_a_whole_address_counts(small: RunningService) -> None:
    for path in ("http://elsewhere.invalid/health/live", "/health/live?a=b#c", "/health/live?" + "a" * 10_000):
        data = request_bytes(method="GET", path=path).replace(b"Host: localhost", b"Host: elsewhere.invalid:1")
        assert answer_to(small, data).json() == {"status": "live"}


@pytest.mark.parametrize("path", ["http://elsewhere.invalid", "v1/score", "/v1/sc\u00f6re", "/v1/sc\tore", "http://[/"])
def test_what_is_no_path_is_no_request(small: RunningService, path: str) -> None:
    problem_of(answer_to(small, request_bytes("{}", path)), 400)


SMUGGLED = "0\r\n\r\nPOST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5x",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 5",
        "Content-Length:\r\n 5",
        "Content-Length: \u0665",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: \0",
        ": y",
    ],
)
def test_an_unclear_end_of_the_body_is_refused_and_the_connection_closed(small: RunningService, framing: str) -> None:
    head = f"POST {SCORE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    with connected(small) as connection:
        connection.sendall((head + SMUGGLED).encode())
        answer = read_answer(connection)
        problem_of(answer, 400)
        assert answer.headers["connection"] == "close"
        assert is_closed(connection), "what was smuggled is not answered"


@pytest.mark.parametrize(
    "chunk", ["zz\r\n{}\r\n", "-1\r\n{}\r\n", "f" * 20 + "\r\n{}\r\n", "2\r\n{}x\r\n", "2\n{}\n0\n\n"]
)
def test_faulty_chunks_are_refused_and_the_connection_closed(small: RunningService, chunk: str) -> None:
    head = request_bytes().replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with connected(small) as connection:
        connection.sendall(head + chunk.encode())
        problem_of(read_answer(connection), 400)
        assert is_closed(connection)


def test_chunks_may_have_extensions_and_trailers_which_are_no_headers(
    small: RunningService, customer: dict[str, Any]
) -> None:
    body = json.dumps(customer).encode()
    chunk = b"%x;a=b\r\n%b\r\n0\r\nContent-Encoding: gzip\r\n\r\n" % (len(body), body)
    head = request_bytes().replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert answer_to(small, head + chunk).status == 200


@pytest.mark.parametrize(
    "headers",
    ["".join(f"X-{number}: a\r\n" for number in range(20_000)), f"X: {'a' * 2_000_000}\r\n", f"{'X' * 100_000}: a\r\n"],
)
def test_headers_that_are_too_long_are_refused(small: RunningService, headers: str) -> None:
    data = request_bytes("{}").replace(b"Host: localhost\r\n", f"Host: localhost\r\n{headers}".encode())
    problem_of(answer_to(small, data), 431)


def test_a_header_without_an_end_is_refused_before_it_fills_the_memory(small: RunningService) -> None:
    with connected(small) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"a" * 65_536)
        with suppress(ConnectionError):
            problem_of(read_answer(connection), 431)


def test_errors_of_the_protocol_have_its_form_also_where_no_route_is_reached(small: RunningService) -> None:
    assert error_of(answer_to(small, request_bytes("{}", INFER).replace(b"Content-Length: 2", b"Content-Length: x")))
    long = request_bytes("{}", INFER).replace(b"Host: localhost\r\n", b"Host: localhost\r\nX: %b\r\n" % (b"a" * 70_000))
    assert error_of(answer_to(small, long), 431)
    assert error_of(answer_to(small, request_bytes("{}", "/v2/%0A")), 404)


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_offer_of_another_protocol_is_declined_and_the_request_answered(
    small: RunningService, customer: dict[str, Any], offer: str, chunked: bool
) -> None:
    body = json.dumps(customer).encode()
    data = request_bytes(body).replace(
        b"Host: localhost\r\n",
        f"Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\n".encode(),
    )
    if chunked:
        length = b"Content-Length: %d" % len(body)
        head = data.partition(b"\r\n\r\n")[0].replace(length, b"Transfer-Encoding: chunked")
        data = b"%b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body)
    with connected(small) as connection:
        for _ in range(2):
            connection.sendall(data[:-7])
            time.sleep(0.02)
            connection.sendall(data[-7:])
            assert read_answer(connection).status == 200
        connection.sendall(data + data)
        assert read_answer(connection).status == 200


@pytest.mark.parametrize(
    "reasons", ["", "-1", "1.5", "101", "9" * 5_000, "abc", "%00", "%D9%A3", "1;2", "+1", "%F0%9F%98%80", "0x1", "1e1"]
)
def test_an_odd_number_of_reasons_is_refused(small: RunningService, customer: dict[str, Any], reasons: str) -> None:
    answer = answer_to(small, request_bytes(json.dumps(customer), f"{SCORE}?reasons={reasons}"))
    assert problem_of(answer, 400)["detail"] == "reasons: must be a number from 0 to 100"


def test_a_number_too_large_for_reasons_is_refused_only_with_them(
    small: RunningService, customer: dict[str, Any]
) -> None:
    body = json.dumps(customer | {"fee": 1.7e308})
    assert score(small, body).status == 200
    answer = answer_to(small, request_bytes(body, f"{SCORE}?reasons=3"))
    assert problem_of(answer, 422)["detail"] == "no reasons for a customer with so large a number"


def test_another_query_is_ignored(small: RunningService, customer: dict[str, Any]) -> None:
    for query in ("?a=b", "?reasons=0", "?reasons=1&reasons=0", "?%ff", "?" + "&" * 10_000):
        answer = answer_to(small, request_bytes(json.dumps(customer), SCORE + query))
        assert answer.status == 200
        assert "reasons" not in answer.json()


def test_no_answer_repeats_a_value_of_the_customer(small: RunningService, customer: dict[str, Any]) -> None:
    for given in (
        customer | {"plan": OF_CUSTOMER},
        customer | {"months": OF_CUSTOMER},
        customer | {"fee": [OF_CUSTOMER]},
        [OF_CUSTOMER],
    ):
        assert OF_CUSTOMER.encode() not in score(small, json.dumps(given)).body
    assert OF_CUSTOMER.encode() not in score(small, json.dumps(tensors(customer | {"plan": OF_CUSTOMER})), INFER).body
    assert OF_CUSTOMER.encode() not in score(small, f'{{"plan": "{OF_CUSTOMER}').body
