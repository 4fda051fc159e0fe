"""Who may ask for what: tokens and their scopes, addresses other than loopback, rates, and settings."""

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from churn.service.settings import PREFIX, ServeSettings, read_settings
from churn.service.tokens import Scope, new_token, revoke_token
from tests.helpers.command_line import churn
from tests.helpers.services import RunningService, running_service

pytestmark = pytest.mark.serve

SCORE, INFER = "/v1/score", "/v2/models/churn/infer"


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Guarded:
    """A service with a token for each scope, and the file that holds them."""

    def __init__(self, service: RunningService, file: Path, secrets: dict[Scope, str]) -> None:
        self.service, self.file, self.secrets = service, file, secrets

    def get(self, path: str, token: str | None = None) -> requests.Response:
        return self.service.get(path, headers=bearing(token) if token else {})

    def post(self, path: str, given: Any = None, token: str | None = None) -> requests.Response:
        return self.service.post(path, given, headers=bearing(token) if token else {})


@pytest.fixture(scope="module")
def guarded(small_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    file = tmp_path_factory.mktemp("tokens") / "tokens.json"
    secrets = {scope: new_token(file, f"for-{scope}", [scope], days=1) for scope in Scope}
    with running_service(small_project, CHURN_SERVE_TOKENS=str(file)) as service:
        yield Guarded(service, file, secrets)
        time.sleep(0.1)
    printed = "\n".join(service.lines)
    assert not any(secret in printed for secret in secrets.values())
    assert "Traceback" not in printed


def test_once_there_is_a_token_one_is_needed_also_on_loopback(guarded: Guarded, customer: dict[str, Any]) -> None:
    answer = guarded.post(SCORE, customer)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Authorization: Bearer TOKEN" in answer.json()["detail"]
    assert list(guarded.post(INFER, {}).json()) == ["error"]
    assert guarded.post(SCORE, customer, guarded.secrets[Scope.SCORE]).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/v1/model", "/docs", "/openapi.json", "/v2", "/v2/models/churn", "/no"])
def test_every_path_but_health_needs_a_token(guarded: Guarded, path: str) -> None:
    assert guarded.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"])
def test_health_needs_none(guarded: Guarded, path: str) -> None:
    assert guarded.get(path).status_code == 200
    assert guarded.get(path, "wrong").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_named_in_any_case(guarded: Guarded, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {guarded.secrets[Scope.SCORE]}"}
    assert guarded.service.get("/v1/model", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        "Bearer churn_wrong",
        "Bearer",
        "Bearer ",
        "",
        "{secret}",
        "Basic {secret}",
        "Token {secret}",
        "Bearer {secret}x",
        "Bearer {shorter}",
        "Bearer {secret} {secret}",
        "Bearer {hash}",
        "Bearer " + "x" * 20_000,
        b"Bearer \xff\xfe",
    ],
)
def test_what_is_no_token_is_refused(guarded: Guarded, given: str | bytes) -> None:
    secret = guarded.secrets[Scope.ADMIN]
    hashed = json.loads(guarded.file.read_text())[0]["sha256"]
    if isinstance(given, str):
        given = given.format(secret=secret, shorter=secret[:-1], hash=hashed)
    headers: Any = {"Authorization": given}
    assert guarded.service.get("/v1/model", headers=headers).status_code == 401


def test_a_token_in_the_address_counts_for_nothing(guarded: Guarded) -> None:
    assert guarded.get(f"/v1/model?access_token={guarded.secrets[Scope.ADMIN]}").status_code == 401


def test_a_scope_allows_its_paths_and_no_other(guarded: Guarded, customer: dict[str, Any]) -> None:
    def statuses(scope: Scope) -> list[int]:
        token = guarded.secrets[scope]
        return [
            guarded.post(SCORE, customer, token).status_code,
            guarded.get("/metrics", token).status_code,
            guarded.post("/v1/reload", None, token).status_code,
        ]

    assert statuses(Scope.SCORE) == [200, 403, 403]
    assert statuses(Scope.METRICS) == [403, 200, 403]
    assert statuses(Scope.ADMIN) == [200, 200, 200]


@pytest.mark.parametrize("trick", ["%0A", "%0a", "%0D", "%00", "/", "//", "?", "%20", ";", "/.", "%2F"])
def test_another_spelling_of_a_path_opens_nothing(guarded: Guarded, trick: str) -> None:
    score = guarded.secrets[Scope.SCORE]
    for path in ("/metrics", "/v1/reload"):
        refused = (403, 404)
        assert guarded.get(f"{path}{trick}", score).status_code in refused
        assert guarded.post(f"{path}{trick}", None, score).status_code in refused
    assert guarded.get(f"/v1/model{trick}").status_code in (401, 404)
    assert guarded.get(f"/health/live/..{trick}/../metrics").status_code in (401, 404)


def test_a_refusal_names_the_token_and_the_scope_but_not_the_secret(guarded: Guarded) -> None:
    answer = guarded.get("/metrics", guarded.secrets[Scope.SCORE])
    assert answer.json()["detail"] == "the token for-score does not allow metrics"
    line = json.loads(guarded.service.wait_until(answer.json()["request_id"]))
    assert line["status"] == 403


def test_the_log_names_the_token_of_a_request(guarded: Guarded, customer: dict[str, Any]) -> None:
    answer = guarded.post(SCORE, customer, guarded.secrets[Scope.SCORE])
    line = json.loads(guarded.service.wait_until(answer.json()["request_id"]))
    assert line["caller"] == "for-score"


def test_a_new_token_works_and_a_revoked_one_does_not_within_two_seconds(guarded: Guarded) -> None:
    def within_two_seconds(status: int) -> bool:
        deadline = time.monotonic() + 2
        while guarded.get("/v1/model", secret).status_code != status:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    made = churn("token", "new", "visitor", "--file", str(guarded.file))
    secret = made.out.strip()
    assert made.code == 0
    assert within_two_seconds(200)
    listed = churn("token", "list", "--file", str(guarded.file))
    assert "visitor" in listed.out
    assert secret not in listed.out
    assert churn("token", "revoke", "visitor", "--file", str(guarded.file)).code == 0
    assert within_two_seconds(401)


def test_a_token_ends_with_its_last_day(guarded: Guarded) -> None:
    secret = new_token(guarded.file, "brief", [Scope.SCORE], days=1)
    tokens = json.loads(guarded.file.read_text())
    tokens[-1]["expires"] = time.time() + 2
    draft = guarded.file.with_suffix(".draft")
    draft.write_text(json.dumps(tokens))
    draft.replace(guarded.file)
    time.sleep(1.2)
    assert guarded.get("/v1/model", secret).status_code == 200
    time.sleep(1.0)
    assert guarded.get("/v1/model", secret).status_code == 401
    revoke_token(guarded.file, "brief")


def test_a_damaged_file_of_tokens_lets_nobody_in_until_it_is_restored(
    guarded: Guarded, customer: dict[str, Any]
) -> None:
    content, secret = guarded.file.read_bytes(), guarded.secrets[Scope.SCORE]
    guarded.file.write_bytes(content[:-20])
    time.sleep(1.2)
    answer = guarded.post(SCORE, customer, secret)
    assert answer.status_code == 503
    assert "the file of tokens cannot be read" in answer.json()["detail"]
    assert guarded.post(SCORE, customer).status_code == 503
    assert guarded.get("/health/live").status_code == 200
    assert "not a file of tokens; restore it" in guarded.service.wait_until("not a file of tokens")
    guarded.file.write_bytes(content)
    time.sleep(1.2)
    assert guarded.post(SCORE, customer, secret).status_code == 200


def test_the_file_holds_no_secret_and_only_its_owner_may_read_it(guarded: Guarded) -> None:
    content = guarded.file.read_text()
    assert not any(secret.removeprefix("churn_") in content for secret in guarded.secrets.values())
    assert stat.S_IMODE(guarded.file.stat().st_mode) == 0o600


def test_without_tokens_loopback_is_open(small: RunningService) -> None:
    assert small.get("/v1/model").status_code == 200
    assert small.get("/metrics", headers=bearing("whatever")).status_code == 200


def refusal(project: Path, **environment: str) -> str:
    """The only line of a service that does not start; it leaves with 1."""
    with (
        pytest.raises(AssertionError, match="the service did not start") as caught,
        running_service(project, **environment) as service,
    ):
        service.url = "started"
    _, _, printed = str(caught.value).partition("\n")
    (line,) = printed.splitlines()
    return line.removeprefix("churn: ")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - refused
def test_other_machines_are_not_served_without_a_token(small_project: Path, host: str) -> None:
    line = refusal(small_project, CHURN_SERVE_HOST=host)
    assert line.startswith(f"CHURN_SERVE_HOST {host}: other machines can connect, and there is no token")
    assert "churn token new NAME" in line


def test_other_machines_are_served_without_a_token_where_something_else_authenticates(
    small_project: Path, customer: dict[str, Any]
) -> None:
    with running_service(small_project, CHURN_SERVE_HOST="0.0.0.0", CHURN_SERVE_AUTHENTICATION="off") as service:  # noqa: S104
        service.url = service.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert service.post(SCORE, customer).status_code == 200


def test_a_limit_of_requests_a_second_counts_for_each_token_and_is_over_soon(
    small_project: Path, tmp_path: Path, customer: dict[str, Any]
) -> None:
    file = tmp_path / "tokens.json"
    one, other = (new_token(file, name, [Scope.SCORE], None) for name in ("one", "other"))
    with running_service(
        small_project,
        CHURN_SERVE_HOST="0.0.0.0",  # noqa: S104 - with tokens
        CHURN_SERVE_TOKENS=str(file),
        CHURN_SERVE_REQUESTS_A_SECOND="5",
    ) as service:
        service.url = service.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert service.post(SCORE, customer).status_code == 401
        statuses = [service.post(SCORE, customer, headers=bearing(one)).status_code for _ in range(20)]
        assert statuses[:5] == [200] * 5
        assert 429 in statuses
        assert set(statuses) == {200, 429}
        refused = service.post(SCORE, customer, headers=bearing(one))
        assert refused.json()["detail"] == "more than 5 requests a second"
        assert service.post(SCORE, customer, headers=bearing(other)).status_code == 200
        assert service.get("/health/live").status_code == 200
        time.sleep(0.5)
        assert service.post(SCORE, customer, headers=bearing(one)).status_code == 200
        file.unlink()  # without any token, nobody is let in from other machines
        time.sleep(1.2)
        assert service.post(SCORE, customer).status_code == 401


@pytest.fixture
def settings_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `churn serve` says to a setting that it does not accept."""

    def of(name: str, value: str) -> str:
        monkeypatch.setenv(name, value)
        answer = churn("serve")
        assert answer.code == 1
        assert answer.out == ""
        (line,) = answer.err.splitlines()
        return line.removeprefix("churn: ")

    return of


def test_an_unknown_setting_is_named(settings_fault: Any) -> None:
    assert settings_fault("CHURN_SERVE_PROT", "8000").startswith("CHURN_SERVE_PROT: no such setting")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("MODEL", "best"),
        ("AUTHENTICATION", "maybe"),
        ("MOST_ROWS", "0"),
        ("MOST_BYTES", "1.5"),
        ("SECONDS", "0"),
        ("SECONDS", "nan"),
        ("SECONDS", "inf"),
        ("SECONDS", "1e300"),
        ("POLL_SECONDS", "1e12"),
        ("DRAIN_SECONDS", "-1"),
        ("DRAIN_SECONDS", "inf"),
        ("REQUESTS_A_SECOND", "inf"),
        ("REQUESTS_A_SECOND", "0"),
        ("SHADOW", "champion"),
        ("LOG_FEATURES", "some"),
        ("LOG_SHARE", "1.1"),
        ("LOG_DAYS", "1000000000"),
        ("LOG_REQUESTS", "perhaps"),
    ],
)
def test_a_setting_that_is_not_accepted_is_named_with_its_value(settings_fault: Any, name: str, value: str) -> None:
    assert settings_fault(f"CHURN_SERVE_{name}", value).startswith(f"CHURN_SERVE_{name}: '{value}' is not accepted: ")


def test_a_host_that_cannot_be_a_name_is_refused_in_a_line(small_project: Path) -> None:
    line = refusal(small_project, CHURN_SERVE_HOST="a" * 80, CHURN_SERVE_AUTHENTICATION="off")
    assert "choose another" in line


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServeSettings.model_fields:
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")
    assert read_settings() == ServeSettings.model_construct()
