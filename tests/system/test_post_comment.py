"""`.github/post_comment.py`, run as the workflow runs it, with a stand-in for `gh` that answers from a file."""

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from churn.commands.changes.comment import MARKER
from tests.helpers.projects import REPOSITORY

SCRIPT = REPOSITORY / ".github/post_comment.py"
SHA = "a" * 40
TEXT = f"{MARKER}\n### Parameters and results\n"
RUN = {
    "id": 77,
    "head_sha": SHA,
    "head_branch": "patch; $(touch pwned)",
    "head_repository": {"full_name": "stranger/churn", "owner": {"login": "stranger"}},
    "html_url": "https://github.com/owner/churn/actions/runs/77",
    "pull_requests": [],
}
STAND_IN = f"""#!{sys.executable}
import base64, json, pathlib, sys

here = pathlib.Path(__file__).parent
command, flag, method, path, *rest = sys.argv[1:]
assert (command, flag) == ("api", "--method"), sys.argv
query = "&".join(rest[1::2]) if "-f" in rest else ""
sent = sys.stdin.read() if "--input" in rest else ""
with (here / "calls").open("a") as calls:
    print(json.dumps([method, path, query, sent]), file=calls)
answers = json.loads((here / "answers").read_text())
if path not in answers:
    sys.exit(f"gh: Not Found (HTTP 404)")
answer = answers[path] if method == "GET" else {{}}
if isinstance(answer, str):
    sys.stdout.buffer.write(base64.b64decode(answer))
else:
    if isinstance(answer, list):
        page = int(dict(part.split("=", 1) for part in query.split("&"))["page"])
        answer = answer[100 * (page - 1) : 100 * page]
    print(json.dumps(answer))
"""


def pull_request(number: int = 5, sha: str = SHA, repository: str | None = "stranger/churn") -> dict[str, Any]:
    return {"number": number, "head": {"sha": sha, "repo": repository and {"full_name": repository}}}


def said_by(login: str, body: str, number: int = 900) -> dict[str, Any]:
    return {"id": number, "user": {"login": login}, "body": body}


def packed(text: str | bytes, name: str = "comment.md") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr(name, text)
    return content.getvalue()


@dataclass
class Forge:
    """What GitHub knows, and what it was asked to write."""

    folder: Path
    run: dict[str, Any] = field(default_factory=lambda: dict(RUN))
    pull_requests: list[dict[str, Any]] = field(default_factory=lambda: [pull_request()])
    archive: bytes = packed(TEXT)
    archive_size: int = 500
    expired: bool = False
    comments: list[dict[str, Any]] = field(default_factory=list)

    def post(self) -> subprocess.CompletedProcess[str]:
        artifact = {"id": 3, "name": "changes", "size_in_bytes": self.archive_size, "expired": self.expired}
        answers = {
            "repos/owner/churn/pulls": self.pull_requests,
            "repos/owner/churn/actions/runs/77/artifacts": {"artifacts": [artifact]},
            "repos/owner/churn/actions/artifacts/3/zip": base64.b64encode(self.archive).decode(),
            "repos/owner/churn/issues/5/comments": self.comments,
            "repos/owner/churn/issues/comments/900": {},
        }
        (self.folder / "answers").write_text(json.dumps(answers))
        (self.folder / "event.json").write_text(json.dumps({"workflow_run": self.run}))
        (self.folder / "gh").write_text(STAND_IN)
        (self.folder / "gh").chmod(0o755)
        settings = {"GITHUB_EVENT_PATH": str(self.folder / "event.json"), "GITHUB_REPOSITORY": "owner/churn"}
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-I", SCRIPT],
            cwd=self.folder,
            env={**os.environ, **settings, "PATH": path},
            text=True,
            capture_output=True,
            check=False,
        )

    def calls(self) -> list[tuple[str, str, str, str]]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [tuple(json.loads(line)) for line in lines]

    def written(self) -> list[tuple[str, str, str]]:
        """Method, path and body of what was written."""
        calls = self.calls()
        return [(method, path, json.loads(sent)["body"]) for method, path, _, sent in calls if method != "GET"]


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path)


def test_the_first_run_makes_a_comment(forge: Forge) -> None:
    done = forge.post()
    assert (done.returncode, done.stdout) == (0, "pull request 5: comment made\n")
    [(method, path, body)] = forge.written()
    assert (method, path) == ("POST", "repos/owner/churn/issues/5/comments")
    assert body.startswith(f"{MARKER}\n<sub>Written by [the code of this pull request]({RUN['html_url']})")
    assert body.endswith("\n### Parameters and results\n")


def test_the_next_run_updates_it_even_on_a_later_page(forge: Forge) -> None:
    forge.comments = [said_by("someone", "hello", number) for number in range(100)]
    forge.comments.append(said_by("github-actions[bot]", TEXT))
    assert forge.post().stdout == "pull request 5: comment updated\n"
    [(method, path, _)] = forge.written()
    assert (method, path) == ("PATCH", "repos/owner/churn/issues/comments/900")


@pytest.mark.parametrize(
    "other",
    [said_by("stranger", TEXT), said_by("github-actions[bot]", f"quoted: {TEXT}"), {**said_by("", TEXT), "user": None}],
)
def test_nobody_elses_comment_is_touched(forge: Forge, other: dict[str, Any]) -> None:
    forge.comments = [other]
    forge.post()
    assert [method for method, _, _ in forge.written()] == ["POST"]


def test_the_pull_request_is_looked_up_by_what_the_event_says(forge: Forge) -> None:
    forge.post()
    query = next(query for _, path, query, _ in forge.calls() if path.endswith("/pulls"))
    asked = dict(parse_qsl(query))
    assert (asked["state"], asked["head"]) == ("open", "stranger:patch; $(touch pwned)")
    assert not (forge.folder / "pwned").exists()


@pytest.mark.parametrize(
    "found",
    [
        [],
        [pull_request(sha="b" * 40)],
        [pull_request(repository="stranger/another")],
        [pull_request(repository=None)],
        [pull_request(5), pull_request(6)],
    ],
    ids=["closed", "moved on", "another repository", "repository gone", "two"],
)
def test_nothing_is_posted_unless_one_pull_request_has_this_very_commit(
    forge: Forge, found: list[dict[str, Any]]
) -> None:
    forge.pull_requests = found
    _assert_nothing_posted(forge, "open pull requests have this commit as their head, not one")


def test_of_several_pull_requests_the_one_with_this_commit_is_meant(forge: Forge) -> None:
    forge.pull_requests = [pull_request(4, sha="b" * 40), pull_request(5)]
    assert forge.post().stdout.startswith("pull request 5:")


def test_nothing_is_posted_for_a_branch_whose_repository_is_gone(forge: Forge) -> None:
    forge.run["head_repository"] = None
    done = forge.post()
    assert (done.returncode, done.stdout) == (0, "nothing posted: the repository of the branch is gone\n")


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"no archive", "no readable comment.md"),
        (packed(TEXT)[:-30], "no readable comment.md"),
        (packed(TEXT, "../comment.md"), "no readable comment.md"),
        (packed("buy this"), "does not begin with"),
        (packed(TEXT + "x" * 65_536), "more than GitHub takes"),
        (packed(TEXT + "x" * 50_000_000), "more than GitHub takes"),
        (packed(TEXT + "@" * 40_000), "more than GitHub takes"),
    ],
    ids=["no archive", "cut", "another path", "another text", "too long", "much too long", "too long in the end"],
)
def test_what_is_not_a_comment_of_ours_is_not_posted(forge: Forge, archive: bytes, said: str) -> None:
    forge.archive = archive
    _assert_nothing_posted(forge, said)


def test_an_archive_that_is_too_large_is_not_even_fetched(forge: Forge) -> None:
    forge.archive_size = 2_000_000
    _assert_nothing_posted(forge, "too large for a comment")
    assert not any(path.endswith("/zip") for _, path, _, _ in forge.calls())


def test_nothing_is_posted_when_nothing_was_left(forge: Forge) -> None:
    forge.expired = True
    _assert_nothing_posted(forge, "the run left nothing behind")


@pytest.mark.parametrize("at", ["@", "&#64;", "&#064;", "&#x40;", "&#X0040;", "&commat;", "&#64"])
def test_nobody_is_mentioned(forge: Forge, at: str) -> None:
    forge.archive = packed(f"{TEXT}{at}torvalds")
    forge.post()
    assert f"{at}\N{WORD JOINER}torvalds" in forge.written()[0][2]


def test_a_strangers_text_is_posted_as_it_is_and_never_run(forge: Forge) -> None:
    text = "`$(touch pwned)`; \"'\\ ${{ github.token }}\n::set-output name=x::y\n"
    forge.archive = packed(f"{TEXT}{text}".encode() + b"\xff")
    done = forge.post()
    assert forge.written()[0][2].endswith(f"{text}\N{REPLACEMENT CHARACTER}")
    assert "::set-output" not in done.stdout + done.stderr
    assert not (forge.folder / "pwned").exists()


def test_a_refusal_of_github_fails_with_its_reason(forge: Forge) -> None:
    forge.run["id"] = 78
    done = forge.post()
    assert done.returncode == 1
    assert done.stderr == "gh api GET repos/owner/churn/actions/runs/78/artifacts: gh: Not Found (HTTP 404)\n"


def _assert_nothing_posted(forge: Forge, said: str) -> None:
    done = forge.post()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nothing posted: ")
    assert said in done.stdout
    assert forge.written() == []
