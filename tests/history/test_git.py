"""One caller of git: isolated from other repositories, and a refusal is never taken for "nothing there"."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.errors import ChurnError
from churn.history import git as git_module
from churn.history.git import (
    GitRefusalError,
    blobs_of_commit,
    changed_files,
    clone_commit,
    commit_of,
    git,
    git_bytes,
    git_diff,
    git_files,
    last_change,
)
from tests.helpers.projects import commit_all, shell

NAMELESS = 65_534


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit, with the project in a subfolder."""
    project = tmp_path / "repository/teams/churn"
    project.mkdir(parents=True)
    (project / "data.csv").write_bytes(b"a\r\nb\n")
    (project.parents[1] / "other.txt").write_text("of another team\n")
    commit_all(project.parents[1], "first")
    return project


QUERIES: dict[str, Callable[[Path], object]] = {
    "git": lambda root: git(root, "rev-parse", "HEAD"),
    "commit_of": lambda root: commit_of(root, "HEAD"),
    "last_change": lambda root: last_change(root, "HEAD"),
    "git_bytes": lambda root: git_bytes(root, "HEAD", "data.csv"),
    "git_files": lambda root: git_files(root, "HEAD", ["data.csv"]),
    "blobs_of_commit": lambda root: blobs_of_commit(root, "HEAD"),
    "changed_files": changed_files,
}


def of_another_owner(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if os.getuid() == 0:
        shell(root.parents[1])(f"chown -R {NAMELESS}:{NAMELESS} .")
    else:  # only root can give a folder away; git has a variable for its own tests
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for scope in ("SYSTEM", "GLOBAL"):
        monkeypatch.setenv(f"GIT_CONFIG_{scope}", os.devnull)
    return "dubious ownership"


def damaged_settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (root.parents[1] / ".git/config").write_text("[core\n")
    return "bad config line 1"


def damaged_head(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A disk that was full in the middle of a commit leaves such a file; what names it cannot be read."""
    run = shell(root.parents[1])
    sha = run("git rev-parse HEAD").stdout.strip()
    path = root.parents[1] / ".git/objects" / sha[:2] / sha[2:]
    path.chmod(0o644)
    path.write_bytes(b"")
    return "object file .* is empty|bad object HEAD|could not parse"


def worktree_whose_repository_is_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.rmtree(root.parents[1] / ".git")
    (root.parents[1] / ".git").write_text("gitdir: /nowhere/.git/worktrees/churn\n")
    return "not a git repository: /nowhere"


def absent_git(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", "/nowhere")
    return "install it, since this folder is in a repository"


REFUSALS = [of_another_owner, damaged_settings, worktree_whose_repository_is_gone, absent_git]


@pytest.mark.parametrize("refusing", REFUSALS)
def test_a_git_that_refuses_is_an_error_with_its_own_reason(
    refusing: Callable[[Path, pytest.MonkeyPatch], str], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = refusing(repository, monkeypatch)
    for query in QUERIES.values():
        with pytest.raises(GitRefusalError, match=reason) as told:
            query(repository)
        assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("query", ["git_files", "last_change", "blobs_of_commit"])
def test_a_damaged_commit_is_no_absent_one(query: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = damaged_head(repository, monkeypatch)
    with pytest.raises(GitRefusalError, match=reason):
        QUERIES[query](repository)


def test_the_step_that_git_advises_is_in_the_line(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_another_owner(repository, monkeypatch)
    with pytest.raises(GitRefusalError, match=r"`git config --global --add safe\.directory .*repository` allows it"):
        git(repository, "rev-parse", "HEAD")


def test_outside_a_repository_and_before_the_first_commit_there_is_nothing(tmp_path: Path) -> None:
    assert not any(query(tmp_path) for query in QUERIES.values())
    shell(tmp_path)("git init --quiet")
    assert not any(query(tmp_path) for query in QUERIES.values())


def test_a_name_of_no_commit_is_none(repository: Path) -> None:
    for name in ("nobody", "f" * 40, "HEAD~7", "HEAD:data.csv", "-x", "a..b", "", "main@{9}", "@{u}"):
        assert commit_of(repository, name) is None
    assert git_bytes(repository, "HEAD", "absent.csv") is None


def test_variables_that_git_sets_for_a_hook_do_not_lead_to_its_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {name: query(repository) for name, query in QUERIES.items()}
    hook = tmp_path / "of-the-hook"
    hook.mkdir()
    shell(hook)("git init --quiet")
    monkeypatch.setenv("GIT_DIR", str(hook / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(hook))
    monkeypatch.setenv("GIT_INDEX_FILE", str(hook / ".git/index"))
    monkeypatch.setenv("GIT_PREFIX", "nowhere/")
    assert {name: query(repository) for name, query in QUERIES.items()} == expected


def test_the_variables_are_those_of_this_git(repository: Path) -> None:
    listed = set(str(git(repository, "rev-parse", "--local-env-vars")).split())
    settings = {name for name in listed if name.startswith("GIT_CONFIG")}
    assert listed - settings - git_module.AS_IT_IS.keys() <= git_module.OF_ANOTHER_REPOSITORY


def test_settings_of_a_user_add_nothing_to_an_answer(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {name: query(repository) for name, query in QUERIES.items()}
    settings = {"log.showSignature": "true", "color.ui": "always", "diff.noprefix": "true", "core.quotePath": "true"}
    settings |= {"alias.log": "log --oneline", "core.pager": "cat -A", "status.short": "true", "log.decorate": "full"}
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, (name, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    assert {name: query(repository) for name, query in QUERIES.items()} == expected


def test_changed_files_are_those_of_the_project(repository: Path) -> None:
    (repository.parents[1] / "other.txt").write_text("edited\n")
    (repository / "data.csv").write_text("edited\n")
    (repository / " new file.csv").touch()
    assert changed_files(repository) == ["data.csv", " new file.csv"]


@pytest.mark.parametrize("content", [b"a\r\nb\n", b"edited\n"])
def test_a_comparison_with_the_folder_leaves_the_index_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    data, index = repository / "data.csv", repository.parents[1] / ".git/index"
    expected = [] if content == data.read_bytes() else ["data.csv"]
    data.write_bytes(content)
    os.utime(data, (0, 0))  # of another time, so git must read it
    before = index.read_bytes()
    assert changed_files(repository) == expected
    assert (git_diff(repository, "--quiet", "HEAD", "--", "data.csv") is None) == bool(expected)
    assert index.read_bytes() == before
    monkeypatch.setattr(git_module, "temporary_folder", no_room)
    assert changed_files(repository) == expected


def no_room(purpose: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestClone:
    def test_a_project_in_a_subfolder_is_found_in_it(self, repository: Path, tmp_path: Path) -> None:
        clone = clone_commit(repository, "HEAD", tmp_path / "check")
        assert clone.project == tmp_path / "check/clone/teams/churn"
        assert (clone.project / "data.csv").read_bytes() == b"a\r\nb\n"

    def test_hooks_templates_and_line_ends_of_the_user_do_not_apply(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooks = tmp_path / "template/hooks"
        hooks.mkdir(parents=True)
        (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / "post-checkout").chmod(0o755)
        settings = tmp_path / "gitconfig"
        settings.write_text(
            f"[init]\n templateDir = {tmp_path}/template\n[core]\n autocrlf = true\n hooksPath = {hooks}\n"
        )
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
        clone = clone_commit(repository, "HEAD", tmp_path / "check")
        assert not (tmp_path / "ran").exists()
        assert (clone.project / "data.csv").read_bytes() == b"a\r\nb\n"
        assert not {"GIT_TEMPLATE_DIR", "GIT_DIR"} & set(clone.environment)

    def test_filters_apply_since_they_make_the_content(self, repository: Path, tmp_path: Path) -> None:
        run = shell(repository.parents[1])
        run("git config filter.upper.smudge 'tr a-z A-Z'")
        run("echo '*.csv filter=upper' > .gitattributes && git add --all && git commit --quiet --message filtered")
        assert (clone_commit(repository, "HEAD", tmp_path / "check").project / "data.csv").read_bytes() == b"A\r\nB\n"

    @pytest.mark.parametrize("kind", ["worktree", "submodule", "shallow", "of another owner"])
    def test_every_kind_of_repository_can_be_cloned(
        self, kind: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        top, run = repository.parents[1], shell(repository.parents[1])
        if kind == "worktree":
            run("git worktree add --quiet ../elsewhere")
            top = tmp_path / "elsewhere"
        elif kind == "submodule":
            (tmp_path / "outer").mkdir()
            outer = shell(tmp_path / "outer")
            outer("git init --quiet")
            outer("git -c protocol.file.allow=always submodule --quiet add ../repository inner")
            top = tmp_path / "outer/inner"
        elif kind == "shallow":
            run("git commit --quiet --allow-empty --message second")
            shell(tmp_path)(f"git clone --quiet --depth 1 file://{top} shallow")
            top = tmp_path / "shallow"
        else:
            of_another_owner(repository, monkeypatch)
            settings = tmp_path / "gitconfig"
            settings.write_text(f"[safe]\n directory = {top}\n")
            monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        clone = clone_commit(top / "teams/churn", "HEAD", tmp_path / "check")
        assert (clone.project / "data.csv").is_file()

    def test_a_commit_of_a_shallow_repository_without_a_branch_is_fetched(
        self, repository: Path, tmp_path: Path
    ) -> None:
        shell(tmp_path)(f"git clone --quiet --depth 1 file://{repository.parents[1]} shallow")
        (tmp_path / "shallow/edited.txt").touch()
        run = commit_all(tmp_path / "shallow", "an experiment")
        run("git update-ref refs/exps/ab/cd/name HEAD && git reset --quiet --hard HEAD~1")
        name = run("git rev-parse refs/exps/ab/cd/name").stdout.strip()
        clone = clone_commit(tmp_path / "shallow/teams/churn", name, tmp_path / "check")
        assert commit_of(clone.project, "HEAD") == name

    def test_without_a_repository_the_line_says_what_makes_one(self, tmp_path: Path) -> None:
        with pytest.raises(ChurnError, match="no git repository; `git init`"):
            clone_commit(tmp_path, "HEAD", tmp_path / "check")

    def test_the_folder_that_a_hook_runs_for_is_left_alone(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = shell(repository.parents[1])
        run("git worktree add --quiet ../elsewhere -b mine")
        monkeypatch.setenv("GIT_DIR", str(repository.parents[1] / ".git/worktrees/elsewhere"))
        clone_commit(tmp_path / "elsewhere/teams/churn", "HEAD", tmp_path / "check")
        monkeypatch.delenv("GIT_DIR")
        assert shell(tmp_path / "elsewhere")("git branch --show-current").stdout.strip() == "mine"
