"""From a model to the state that it belongs to, where several states have it."""

from pathlib import Path

import pytest

from churn.tracking.lineage import lineage_of
from tests.helpers.projects import shell
from tests.helpers.states import commit, edit, fingerprint, write


@pytest.fixture
def root(run_and_committed: Path) -> Path:
    return run_and_committed


def test_a_model_leads_to_a_commit_that_holds_its_parameters(root: Path) -> None:
    first = fingerprint(root)
    sha = shell(root)("git rev-parse HEAD").stdout.strip()
    edit(root / "params.yaml", "bins: 10", "bins: 20")
    commit(root, "evaluate")
    edit(root / "params.yaml", "bins: 20", "bins: 30")
    shell(root)("git commit --quiet --all --message 'Edited, and not run'")
    found = lineage_of(root, "models/churn_model.pkl")
    assert (found.fingerprint, found.commits) == (first, (sha,))


def test_a_model_of_an_edit_alone_leads_to_the_edit(root: Path) -> None:
    edit(root / "params.yaml", "C: 1.0", "C: 0.5")
    write(root, {"models/churn_model.pkl": "N.."})
    commit(root, "train")
    found = lineage_of(root, "models/churn_model.pkl")
    assert (found.fingerprint, found.commits, found.in_workspace) == (fingerprint(root), (), True)
