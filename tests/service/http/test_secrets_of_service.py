"""No secret of the environment, of a request or of an MLflow server is in a line, an answer or a file of a service."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from churn.service.tokens import Scope, new_token
from tests.helpers.refusing import ESCAPED, FORMS, PASSWORD, TOKEN, forms_of, refusing
from tests.helpers.services import running_service

pytestmark = pytest.mark.serve

SCORE = "/v1/score"


@pytest.mark.parametrize("way", [{"log": "predictions/service"}, {"champion": ""}])
def test_no_answer_line_or_file_has_a_secret(
    way: dict[str, str], small_project: Path, tmp_path: Path, customer: dict[str, Any]
) -> None:
    project = shutil.copytree(small_project, tmp_path / "project", symlinks=True)
    ours = new_token(project / ".churn/tokens.json", "shop", [Scope.SCORE], days=1)
    told = []
    with refusing(500) as server:
        settings = {
            "MLFLOW_TRACKING_URI": f"http://ann:{ESCAPED}@127.0.0.1:{server.server_port}",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_SESSION_TOKEN": TOKEN,
            "CHURN_SERVE_POLL_SECONDS": "0.2",
        }
        options = [text for name, value in way.items() for text in (f"--{name}", value) if text]
        with running_service(project, *options, "--shadow", "challenger", **settings) as service:
            for secret in (ours, PASSWORD, TOKEN):
                for sent in ({"Authorization": f"Bearer {secret}"}, {"Authorization": f"Basic {secret}"}):
                    answer = service.post(SCORE, customer, headers=sent)
                    told.append(f"{answer.headers}{answer.text}")
                    # What a client asks for is repeated to it, and to nobody else.
                    service.post(SCORE, {secret: 1}, headers=sent)
                    service.post(f"{SCORE}?token={secret}", [], headers=sent)
                    service.get(f"/{secret}", headers=sent)
            service.wait_until("shadow")
            service.end()
        told += service.lines
        assert server.authorizations
    told += [path.read_text(encoding="latin1") for path in project.rglob("*") if path.is_file()]
    assert [form for form in FORMS | forms_of(ours) if any(form in text for text in told)] == []
