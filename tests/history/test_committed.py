"""Whether a commit holds what its dvc.lock was computed with: parameters, code and data, in git or in DVC."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.errors import ChurnError
from churn.history import snapshot, state
from churn.history.committed import Strays, find_edits, find_strays
from churn.history.predictions.of_states import state_named
from churn.history.state import md5_of
from tests.helpers.projects import shell
from tests.helpers.states import GIVEN, MADE, commit, edit, write

NOTHING = Strays((), (), ())
LISTED = f"{'ab' * 16}.dir"
"""md5 of a folder's list, as DVC writes it."""


@pytest.fixture
def run_once(tmp_path: Path) -> Path:
    """A repository with three small stages, run and committed."""
    write(tmp_path, GIVEN)
    for made in MADE.values():
        write(tmp_path, made)
    commit(tmp_path, *MADE)
    shell(tmp_path)("git init --quiet && git config user.name T && git config user.email t@example.invalid")
    save(tmp_path)
    return tmp_path


def save(root: Path) -> None:
    shell(root)("git add --all && git commit --quiet --message saved")


def found(root: Path) -> Strays:
    state = snapshot.state_of_revision(root, "HEAD")
    assert state
    return find_strays(root, "HEAD", state.stages, state.results)


def in_dvc(root: Path, pointer: str, outs: str) -> None:
    """Take the table out of git, and put a .dvc file there."""
    (root / pointer).write_text(outs)
    (root / ".gitignore").write_text("/raw.csv\n/tables/\n")
    shell(root)("git rm --quiet --cached --ignore-unmatch raw.csv")
    save(root)


def test_a_commit_of_what_was_run_holds_all_of_it(run_once: Path) -> None:
    assert found(run_once) == NOTHING
    assert state_named(run_once, "HEAD").complete


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("params.yaml", "C: 1.0", "C: 0.1", "params.yaml (train.params.C)"),
        ("params.yaml", "share: 0.2", "share: 0.3", "params.yaml (preprocess.share)"),
        ("train.py", "# train", "# other", "train.py"),
        ("raw.csv", "1", "2", "raw.csv"),
        ("dvc.yaml", "python train.py", "python -O train.py", "dvc.yaml (stages.train.cmd)"),
    ],
)
def test_an_edit_that_was_committed_without_a_run_is_told_in_a_line(
    run_once: Path, file: str, old: str, new: str, told: str
) -> None:
    edit(run_once / file, old, new)
    save(run_once)
    assert found(run_once).inputs == (told,)
    with pytest.raises(ChurnError) as error:
        state_named(run_once, "HEAD")
    assert str(error.value) == f"HEAD: {told}: differs from the inputs in dvc.lock; run `dvc repro` and commit"


def test_of_many_edits_the_first_few_are_named(run_once: Path) -> None:
    edit(run_once / "params.yaml", "C: 1.0", "C: 0.1")
    for stage in MADE:
        (run_once / f"{stage}.py").write_text("# other")
    save(run_once)
    with pytest.raises(
        ChurnError, match=r"HEAD: params\.yaml \(train\.params\.C\), preprocess\.py, .* and 1 more: differs"
    ):
        state_named(run_once, "HEAD")


def test_values_that_dvc_holds_equal_and_those_of_no_stage_are_no_edit(run_once: Path) -> None:
    edit(run_once / "params.yaml", "C: 1.0", "C: 1")
    edit(run_once / "params.yaml", "not declared", "nor this")
    save(run_once)
    assert found(run_once) == NOTHING


@pytest.mark.parametrize("pointer", ["raw.csv.dvc", "other-name.dvc"])
def test_a_table_that_dvc_keeps_is_known_by_its_dvc_file(run_once: Path, pointer: str) -> None:
    in_dvc(run_once, pointer, f"outs:\n- md5: {md5_of(run_once / 'raw.csv')}\n  hash: md5\n  path: raw.csv\n")
    assert found(run_once) == NOTHING
    in_dvc(run_once, pointer, f"outs:\n- md5: {32 * 'f'}\n  hash: md5\n  path: raw.csv\n")
    assert found(run_once).inputs == ("raw.csv",)


def test_a_table_in_a_folder_that_dvc_keeps_is_known_by_the_list_in_the_cache(
    run_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn.history.committed.cache_folder", lambda root: root / "cache")
    (run_once / "tables").mkdir()
    (run_once / "raw.csv").rename(run_once / "tables/raw.csv")
    edit(run_once / "params.yaml", "source: raw.csv", "source: tables/raw.csv")
    commit(run_once, "preprocess")
    listed = [{"md5": md5_of(run_once / "tables/raw.csv"), "relpath": "raw.csv"}]
    write(run_once, {f"cache/files/md5/ab/{LISTED[2:]}": json.dumps(listed), ".git/info/exclude": "/cache/\n"})
    in_dvc(run_once, "tables.dvc", f"outs:\n- md5: {LISTED}\n  path: tables\n")
    assert found(run_once) == NOTHING
    write(run_once, {f"cache/files/md5/ab/{LISTED[2:]}": json.dumps([listed[0] | {"md5": 32 * "0"}])})
    assert found(run_once).inputs == ("tables/raw.csv",)


def absent_table(root: Path) -> None:
    (root / ".gitignore").write_text("/raw.csv\n")
    shell(root)("git rm --quiet --cached raw.csv")


def link_in_place_of_the_table(root: Path) -> None:
    (root / "raw.csv").rename(root.parent / "elsewhere.csv")
    (root / "raw.csv").symlink_to(root.parent / "elsewhere.csv")


@pytest.mark.parametrize("lose", [absent_table, link_in_place_of_the_table])
def test_a_table_that_nobody_keeps_is_absent_and_contradicts_nothing(
    run_once: Path, lose: Callable[[Path], None]
) -> None:
    lose(run_once)
    save(run_once)
    assert found(run_once) == Strays((), ("raw.csv",), ())
    assert state_named(run_once, "HEAD").complete


def test_results_of_another_run_are_found(run_once: Path) -> None:
    (run_once / "metrics/test.json").write_text("{}")
    save(run_once)
    assert found(run_once) == Strays((), (), ("metrics/test.json",))


def test_line_ends_that_a_checkout_changes_are_no_edit(run_once: Path) -> None:
    (run_once / ".gitattributes").write_text("raw.csv text eol=crlf\n")
    (run_once / "raw.csv").write_bytes(b"a\r\n1\r\n")
    commit(run_once, "preprocess")
    save(run_once)
    assert found(run_once) == NOTHING


def test_a_project_in_a_folder_of_its_repository_is_read_there(tmp_path: Path) -> None:
    project = tmp_path / "inner"
    write(project, GIVEN)
    for made in MADE.values():
        write(project, made)
    commit(project, *MADE)
    shell(tmp_path)("git init --quiet && git config user.name T && git config user.email t@example.invalid")
    save(tmp_path)
    assert found(project) == NOTHING


def hidden_from_git_status(root: Path, how: str) -> None:
    """Ways in which `git status` says nothing of an edited file."""
    run = shell(root)
    ways = {
        "assume unchanged": "git update-index --assume-unchanged raw.csv",
        "skip worktree": "git update-index --skip-worktree raw.csv",
        "untracked files hidden": "git config status.showUntrackedFiles no && git rm --quiet --cached raw.csv && "
        "git commit --quiet --message gone",
        "ignored": "echo raw.csv > .git/info/exclude && git rm --quiet --cached raw.csv && "
        "git commit --quiet --message gone",
        "sparse checkout": "git sparse-checkout set --no-cone '/*' '!/raw.csv' && git show HEAD:raw.csv > raw.csv",
        "file mode and time": "git config core.trustctime false && git config core.checkStat minimal",
        "a link": "mv raw.csv elsewhere.csv && ln -s elsewhere.csv raw.csv && git add raw.csv && "
        "git commit --quiet --message link",
    }
    run(ways[how])


@pytest.mark.parametrize(
    "how",
    [
        "assume unchanged",
        "skip worktree",
        "untracked files hidden",
        "ignored",
        "sparse checkout",
        "file mode and time",
        "a link",
    ],
)
def test_an_edit_is_found_by_the_files_bytes_whatever_git_says_of_it(run_once: Path, how: str) -> None:
    hidden_from_git_status(run_once, how)
    target = run_once / "raw.csv"
    content = target.read_text()
    target.write_text(content.replace("1", "2"))  # as long as before
    files = state.stages_from_files(run_once)
    found = find_edits(run_once, files)
    assert [path.split(" ")[0] for path in found] == ["raw.csv"]


def test_nothing_is_an_edit_where_the_commit_holds_all_of_it(run_once: Path) -> None:
    assert find_edits(run_once, state.stages_from_files(run_once)) == ()


def test_a_table_in_dvc_is_an_edit_when_its_dvc_file_stands_for_other_bytes(run_once: Path) -> None:
    md5 = md5_of(run_once / "raw.csv")
    in_dvc(run_once, "raw.csv.dvc", f"outs:\n- md5: {md5}\n  path: raw.csv\n")
    assert find_edits(run_once, state.stages_from_files(run_once)) == ()
    (run_once / "raw.csv").write_text("a\n2\n")
    assert find_edits(run_once, state.stages_from_files(run_once)) == ("raw.csv",)


def test_data_that_nobody_keeps_is_told_as_that(run_once: Path) -> None:
    shell(run_once)("echo raw.csv > .gitignore && git rm --quiet --cached raw.csv && git add .gitignore")
    save(run_once)
    assert find_edits(run_once, state.stages_from_files(run_once)) == ("raw.csv (in neither git nor DVC)",)


def test_a_project_in_a_folder_of_its_repository_is_no_edit(tmp_path: Path, run_once: Path) -> None:
    outer = tmp_path.parent / f"{tmp_path.name}-outer"
    shutil.copytree(run_once, outer / "sub/project", ignore=shutil.ignore_patterns(".git"))
    shell(outer)("git init --quiet && git config user.name T && git config user.email t@example.invalid")
    save(outer)
    project = outer / "sub/project"
    assert find_edits(project, state.stages_from_files(project)) == ()
    (project / "train.py").write_text("# other\n")
    assert find_edits(project, state.stages_from_files(project)) == ("train.py",)


@pytest.mark.parametrize("setting", ["input", "true"])
def test_line_ends_that_the_commit_holds_are_no_edit(run_once: Path, setting: str) -> None:
    (run_once / "raw.csv").write_bytes(b"a\r\n1\r\n")
    save(run_once)
    shell(run_once)(f"git config core.autocrlf {setting}")
    (run_once / "raw.csv").touch()
    assert find_edits(run_once, state.stages_from_files(run_once)) == ()
