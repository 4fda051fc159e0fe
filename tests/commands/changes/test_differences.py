"""`churn changes`, as it is typed, on real revisions."""

import contextlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.commands.changes.comment import MARKER
from tests.helpers.command_line import Answer, churn
from tests.helpers.projects import shell

pytestmark = pytest.mark.slow

NO_ADDRESS = {"GITHUB_REPOSITORY": "", "GITHUB_SERVER_URL": "https://github.com"}


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_ADDRESS.items():
        monkeypatch.setenv(name, value)


def edit(folder: Path, path: str, change: Callable[[str], str]) -> None:
    (folder / path).write_text(change((folder / path).read_text()))


def larger_c(folder: Path) -> None:
    edit(folder, "params.yaml", lambda text: text.replace("C: 1.0", "C: 2.0"))


def better_auc(folder: Path) -> None:
    def change(text: str) -> str:
        return json.dumps(json.loads(text) | {"test_roc_auc": 0.99})

    edit(folder, "metrics/test.json", change)


def answer_in(folder: Path, arguments: str = "") -> Answer:
    with contextlib.chdir(folder):
        return churn("changes", *shlex.split(arguments))


def changes_of(folder: Path, arguments: str = "") -> str:
    answer = answer_in(folder, arguments)
    assert answer.code == 0, answer
    return answer.out


def test_the_command_prints_the_comment_in_its_own_process(finished: Path) -> None:
    assert shell(finished)("churn changes HEAD HEAD").stdout == changes_of(finished, "HEAD HEAD")


def test_the_workspace_is_compared_with_the_last_commit(finished: Path) -> None:
    assert changes_of(finished).startswith(f"{MARKER}\nNo parameter, metric or picture differs between `HEAD (")
    larger_c(finished)
    better_auc(finished)
    (finished / "metrics/roc_curve.png").write_bytes(b"other")
    (finished / "metrics/more.png").write_bytes(b"new")
    text = changes_of(finished)
    assert "1 parameter, 1 metric and 2 pictures differ." in text
    assert "| `train.params.C` | `1.0` | `2.0` |" in text
    assert "- `metrics/roc_curve.png`\n- `metrics/more.png` (new)\n" in text
    assert "computed with the old parameters" in text


def test_two_revisions_are_compared_from_where_they_parted(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shell(finished)
    run("git switch --quiet --create branch")
    better_auc(finished)
    (finished / "metrics/roc_curve.png").write_bytes(b"other")
    run("git commit --quiet --all --message branch && git switch --quiet main")
    larger_c(finished)
    run("git commit --quiet --all --message main")
    assert "1 parameter, 1 metric" in changes_of(finished, "main branch")
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/churn")
    text = changes_of(finished, "main branch --merge-base --head-repository fork/churn")
    assert "no parameter, 1 metric and 1 picture differ." in text
    base, head = (run(f"git rev-parse {name}").stdout.strip() for name in ("main~1", "branch"))
    assert f'src="https://github.com/owner/churn/raw/{base}/metrics/roc_curve.png"' in text
    assert f'src="https://github.com/fork/churn/raw/{head}/metrics/roc_curve.png"' in text


@pytest.mark.long
def test_states_that_were_run_are_judged_on_the_same_customers(finished: Path) -> None:
    run = shell(finished)
    larger_c(finished)
    run("dvc repro")
    run("git commit --quiet --all --message larger")
    assert "no significant difference in profit with" in changes_of(finished, "HEAD~1 HEAD")
    run("git clone --quiet . ../clone")
    clone = finished.parent / "clone"
    assert "**<code>not compared on the same customers" in changes_of(clone, "HEAD~1 HEAD")
    assert "no significant difference in profit with" in changes_of(clone, "HEAD~1 HEAD --compute")


def test_a_first_state_without_results_is_compared(finished: Path) -> None:
    text = changes_of(finished, "HEAD~1 HEAD")
    assert "**The old state has no metrics.**" in text
    assert "`metrics/roc_curve.png` (new)" in text


def test_figures_that_dvc_calls_metrics_in_one_state_alone_are_told_of_both(finished: Path) -> None:
    run = shell(finished)
    scores, overview = (f"      - metrics/{name}.json: {{cache: false}}\n" for name in ("test", "overview"))
    edit(finished, "dvc.yaml", lambda text: text.replace(scores, "").replace(overview, overview + scores))
    run("git commit --quiet --all --message 'as it was'")
    run("git checkout --quiet HEAD~1 -- dvc.yaml")
    better_auc(finished)
    text = changes_of(finished)
    assert "no parameter, 1 metric and no picture differ." in text
    assert re.search(r"\| ROC-AUC \| 0\.\d+ \| 0\.9900 \|", text)


@pytest.mark.long
def test_a_broken_file_of_metrics_is_told(finished: Path) -> None:
    run = shell(finished)
    for path in ("metrics/test.json", "metrics/overview.json"):
        (finished / path).write_text("{")
        assert "**DVC could not read all metrics:**" in changes_of(finished), path
        run(f"git checkout --quiet {path}")
    (finished / "metrics/test.json").write_text("[" * 200_000)
    assert "**DVC could not read all metrics:**" in changes_of(finished)


def test_a_figure_that_is_not_a_number_is_shown(finished: Path) -> None:
    edit(finished, "metrics/test.json", lambda text: text.replace('"test_ece": 0', '"test_ece": NaN, "x": 0'))
    assert "| `NaN` | differs |" in changes_of(finished)


def test_the_comment_goes_to_a_file(finished: Path) -> None:
    assert changes_of(finished, "--output ../out/comment.md") == ""
    assert (finished.parent / "out/comment.md").read_text().startswith(MARKER)


def test_a_link_that_is_given_for_the_comment_stays(finished: Path) -> None:
    link, place = finished / "latest.md", finished / "dated.md"
    place.write_text("old")
    place.chmod(0o600)
    link.symlink_to(place.name)
    assert changes_of(finished, "--output latest.md") == ""
    assert link.is_symlink()
    assert place.read_text().startswith(MARKER)
    assert place.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("HEAD --output .git", "churn: .git: is a folder and cannot be replaced; name another file"),
        ("HEAD --output /dev/null", "churn: /dev/null: is a device, pipe or socket and cannot be replaced"),
        ("nope", "churn: 'nope': unknown revision; name a branch, tag, commit, DVC experiment or fingerprint ("),
        ("HEAD -- --all", "churn: '--all': unknown revision"),
        ("HEAD --repository 'a b'", "churn: repository 'a b': write it as owner/name"),
        ("HEAD --repository a/b --server 'javascript:x'", "churn: server 'javascript:x': not an address"),
        ("HEAD --output params.yaml/comment.md", "churn: params.yaml/comment.md: cannot be written: "),
    ],
)
def test_what_a_user_gets_wrong_is_told_in_a_line(finished: Path, arguments: str, said: str) -> None:
    refused = answer_in(finished, arguments)
    assert refused.code == 1
    assert refused.out == ""
    assert refused.err.startswith(said)
    assert refused.err.count("\n") == 1


def test_what_dvc_refuses_is_told_in_a_line(finished: Path) -> None:
    (finished / ".dvc/config").write_text("[core\n")
    refused = answer_in(finished)
    assert refused.code == 1
    assert refused.out == ""
    assert refused.err.startswith("churn: `dvc metrics diff` cannot compare: ")
    assert refused.err.count("\n") == 1


def test_a_folder_that_dvc_does_not_know_is_not_taken_for_one_without_differences(finished: Path) -> None:
    (finished / ".dvc").rename(finished.parent / "elsewhere")
    refused = answer_in(finished)
    assert refused.err == "churn: .dvc: not in this folder or above it; run the command in the project's folder\n"


def test_outside_of_a_project_the_folder_is_named(tmp_path: Path) -> None:
    refused = answer_in(tmp_path)
    assert refused.err == f"churn: dvc.yaml: not found in {tmp_path}; run this in the project's folder\n"
