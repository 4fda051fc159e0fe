"""A state has many names in git; every command that takes one takes them all, and answers for the one it was given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from churn.commands.changes import differences
from churn.errors import ChurnError
from churn.history.lineage import origin_of
from churn.history.predictions.of_states import state_named
from churn.history.vouching import require_names, vouched_commits
from churn.tracking.lineage import lineage_of
from tests.helpers.projects import shell
from tests.helpers.states import commit, edit, fingerprint

pytestmark = pytest.mark.usefixtures("_usual_cache")

EXPERIMENT = "refs/exps/ab/cdef/larger"


@pytest.fixture
def root(run_and_committed: Path) -> Path:
    """Three states: of `main`, which is checked out; of the branch `other` and the tag `v2`; and of an experiment."""
    root, run = run_and_committed, shell(run_and_committed)
    for bins, keep in (("20", "git branch other && git tag v2"), ("30", f"git update-ref {EXPERIMENT} HEAD")):
        run("git checkout --quiet --detach main")
        edit(root / "params.yaml", "bins: 10", f"bins: {bins}")
        commit(root, "evaluate")
        run(f"git commit --quiet --all --message {bins} && {keep}")
    run("git checkout --quiet main")
    return root


def commit_called(root: Path, name: str) -> str:
    return shell(root)(f"git rev-parse {name}").stdout.strip()


def fingerprint_of(root: Path, name: str) -> str:
    return state_named(root, name).fingerprint


NAMES: dict[str, Callable[[Path], str]] = {
    "a commit": lambda root: commit_called(root, "other"),
    "the start of a commit": lambda root: commit_called(root, "other")[:9],
    "a branch": lambda root: "other",
    "a full ref": lambda root: "refs/heads/other",
    "relative to another": lambda root: "other~0",
    "a tag": lambda root: "v2",
    "a fingerprint": lambda root: fingerprint_of(root, "other"),
    "a DVC experiment": lambda root: "larger",
    "a full ref of an experiment": lambda root: EXPERIMENT,
    "a fingerprint of an experiment": lambda root: fingerprint_of(root, "larger"),
}


def traced(root: Path, name: str) -> str:
    found = lineage_of(root, name)
    return (*found.commits, *(commit_called(root, EXPERIMENT) for _ in found.experiments))[0]


COMMANDS: dict[str, Callable[[Path, str], str | None]] = {
    "compare, promote, monitor": lambda root, name: state_named(root, name).commit,
    "changes": lambda root, name: differences._revision(root, name).commit,
    "lineage": traced,
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", NAMES)
def test_every_command_knows_a_state_by_every_name(root: Path, kind: str, command: str) -> None:
    wanted = commit_called(root, EXPERIMENT if "experiment" in kind else "other")
    assert COMMANDS[command](root, NAMES[kind](root)) == wanted


@pytest.mark.parametrize("kind", [kind for kind in NAMES if "fingerprint" not in kind])
def test_trust_is_given_to_every_name_of_a_commit(root: Path, kind: str) -> None:
    name = NAMES[kind](root)
    require_names(root, [name])
    wanted = commit_called(root, EXPERIMENT if "experiment" in kind else "other")
    assert wanted in vouched_commits(root, [name])


def test_trust_is_not_given_to_a_fingerprint(root: Path) -> None:
    """Anybody can commit other code under the fingerprint of a state."""
    with pytest.raises(ChurnError, match="no branch, tag, commit or DVC experiment"):
        require_names(root, [fingerprint_of(root, "other")])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["gone", "0" * 40, "0123456789abcdef", "refs/exps/ab/cdef/gone"])
def test_a_name_that_is_gone_is_told_in_one_line(root: Path, name: str, command: str) -> None:
    with pytest.raises(ChurnError) as error:
        COMMANDS[command](root, name)
    assert str(error.value).startswith((name, repr(name)))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_of_two_experiments_is_refused(root: Path, command: str) -> None:
    shell(root)("git update-ref refs/exps/12/3456/larger main")
    with pytest.raises(ChurnError, match="'larger': 2 DVC experiments have that name"):
        COMMANDS[command](root, "larger")


class TestTwins:
    """Two commits with one state."""

    @pytest.fixture
    def twins(self, root: Path) -> tuple[str, str]:
        run = shell(root)
        first = run("git rev-parse HEAD").stdout.strip()
        (root / "notes.md").write_text("Looked at it again.\n")
        run("git add --all && git commit --quiet --message notes")
        return first, run("git rev-parse HEAD").stdout.strip()

    @pytest.mark.parametrize("asked", [0, 1])
    def test_lineage_answers_for_the_one_that_was_asked_for(
        self, root: Path, twins: tuple[str, str], asked: int
    ) -> None:
        found = lineage_of(root, twins[asked])
        assert found.commits == tuple(dict.fromkeys([twins[asked], twins[0]]))
        assert found.commands == (f"git checkout {twins[asked]}", "dvc checkout")

    def test_the_report_names_the_one_that_is_checked_out(self, root: Path, twins: tuple[str, str]) -> None:
        assert origin_of(root, fingerprint(root)).commit == twins[1]
        shell(root)(f"git checkout --quiet {twins[0]}")
        assert origin_of(root, fingerprint(root)).commit == twins[0]


def test_a_commit_that_holds_other_inputs_is_no_way_back(root: Path) -> None:
    first = fingerprint(root)
    shell(root)(f"git branch -D other && git tag -d v2 && git update-ref -d {EXPERIMENT}")
    edit(root / "params.yaml", "bins: 10", "bins: 30")
    shell(root)("git add --all && git commit --quiet --amend --message 'Edited, and not run'")
    origin = origin_of(root, first)
    assert (origin.commit, origin.commands) == (None, ())
    assert lineage_of(root, first).commands == ()
    with pytest.raises(
        ChurnError, match=r"HEAD: params\.yaml \(evaluate\.bins\): differs from the inputs in dvc\.lock"
    ):
        lineage_of(root, "HEAD")


@pytest.mark.parametrize(
    ("name", "gone"),
    [("other", "git branch -D other && git tag -d v2"), ("larger", f"git update-ref -d {EXPERIMENT}")],
)
def test_what_is_gone_is_not_offered_as_the_way_back(root: Path, name: str, gone: str) -> None:
    asked, commit = fingerprint_of(root, name), commit_called(root, EXPERIMENT if name == "larger" else name)
    before = origin_of(root, asked).commands
    assert before in ((f"git checkout {commit}", "dvc checkout"), ("dvc exp apply larger",))
    shell(root)(gone)
    assert origin_of(root, asked).commands == ()
    with pytest.raises(ChurnError, match="unknown: it matches no commit"):
        lineage_of(root, asked)


def test_an_experiment_whose_name_is_not_unique_is_applied_by_its_commit(root: Path) -> None:
    asked, commit = fingerprint_of(root, "larger"), commit_called(root, EXPERIMENT)
    shell(root)("git update-ref refs/exps/12/3456/larger main")
    assert origin_of(root, asked).commands == (f"dvc exp apply {commit}",)
