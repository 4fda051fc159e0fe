"""Puts the Markdown that a run of the workflow `changes` left behind under its pull request, or updates it there.

Which pull request it is comes from GitHub (the event, then the API), never from the archive: what is in there may be
a stranger's choice. It is read as text, in memory, and goes to `gh` by standard input only. Needs Python and `gh`.
"""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ARCHIVE = "changes"
MEMBER = "comment.md"
MARKER = "<!-- churn-changes -->"
AUTHOR = "github-actions[bot]"
MOST_CHARACTERS = 65_536
MOST_ARCHIVE_BYTES = 1_000_000
PAGE = 100
AT_SIGN = re.compile("@|&(?:#0*64|#x0*40|commat);?", re.IGNORECASE)


class NothingToPostError(Exception):
    """Says why; not a failure of the workflow."""


def main() -> None:
    """Post for the run in the event that started this workflow."""
    run = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))["workflow_run"]
    repository = os.environ["GITHUB_REPOSITORY"]
    try:
        number = pull_request(repository, run)
        body = with_origin(text_of(archive(repository, run)), run)
    except NothingToPostError as reason:
        print(f"nothing posted: {reason}")
        return
    print(f"pull request {number}: {post(repository, number, body)}")


def pull_request(repository: str, run: dict[str, Any]) -> int:
    """Number of the open pull request whose head is, now, what the run saw."""
    head = run["head_repository"]
    if head is None:
        raise NothingToPostError("the repository of the branch is gone")
    branch = f"{head['owner']['login']}:{run['head_branch']}"
    numbers = [
        found["number"]
        for found in pages(f"repos/{repository}/pulls", state="open", head=branch)
        if found["head"]["sha"] == run["head_sha"]
        and found["head"]["repo"]
        and found["head"]["repo"]["full_name"] == head["full_name"]
    ]
    if len(numbers) != 1:
        raise NothingToPostError(f"{len(numbers)} open pull requests have this commit as their head, not one")
    return int(numbers[0])


def archive(repository: str, run: dict[str, Any]) -> bytes:
    """The archive that the run left behind, unread."""
    listed = gh(f"repos/{repository}/actions/runs/{run['id']}/artifacts", "-f", f"name={ARCHIVE}")
    left = [one for one in json.loads(listed)["artifacts"] if one["name"] == ARCHIVE and not one["expired"]]
    if not left:
        raise NothingToPostError("the run left nothing behind")
    newest = max(left, key=lambda one: one["id"])
    if newest["size_in_bytes"] > MOST_ARCHIVE_BYTES:
        raise NothingToPostError("what the run left behind is too large for a comment")
    return gh(f"repos/{repository}/actions/artifacts/{newest['id']}/zip")


def text_of(packed: bytes) -> str:
    """The Markdown in an archive, if it looks like one that the `churn changes` command wrote."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as files, files.open(MEMBER) as member:
            content = member.read(4 * MOST_CHARACTERS + 1)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, zlib.error, OSError, ValueError):
        raise NothingToPostError(f"no readable {MEMBER} in what the run left behind") from None
    text = content.decode("utf-8", errors="replace")
    if not text.startswith(f"{MARKER}\n"):
        raise NothingToPostError(f"{MEMBER} does not begin with {MARKER}")
    return text.removeprefix(f"{MARKER}\n")


def with_origin(text: str, run: dict[str, Any]) -> str:
    """The comment: first, where nothing in the text can hide it, whose words these are. It mentions nobody."""
    origin = (
        f"{MARKER}\n<sub>Written by [the code of this pull request]({run['html_url']}), not by a maintainer.</sub>\n\n"
    )
    body = origin + AT_SIGN.sub("\\g<0>\N{WORD JOINER}", text)
    if len(body) > MOST_CHARACTERS:
        raise NothingToPostError(f"{len(body)} characters are more than GitHub takes")
    return body


def post(repository: str, number: int, body: str) -> str:
    """Update the comment that an earlier run made, or make one."""
    content = json.dumps({"body": body}).encode()
    for comment in pages(f"repos/{repository}/issues/{number}/comments"):
        if comment["user"] and comment["user"]["login"] == AUTHOR and comment["body"].startswith(MARKER):
            gh(f"repos/{repository}/issues/comments/{comment['id']}", "--input", "-", method="PATCH", content=content)
            return "comment updated"
    gh(f"repos/{repository}/issues/{number}/comments", "--input", "-", method="POST", content=content)
    return "comment made"


def pages(path: str, **query: str) -> Iterator[dict[str, Any]]:
    """Every item of a list that the API gives page by page."""
    fields = [part for name, value in query.items() for part in ("-f", f"{name}={value}")]
    page = 1
    while True:
        items = json.loads(gh(path, *fields, "-f", f"per_page={PAGE}", "-f", f"page={page}"))
        yield from items
        if len(items) < PAGE:
            return
        page += 1


def gh(path: str, *arguments: str, method: str = "GET", content: bytes | None = None) -> bytes:
    """What the API answers."""
    command = ["gh", "api", "--method", method, path, *arguments]
    done = subprocess.run(command, input=content, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"gh api {method} {path}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
