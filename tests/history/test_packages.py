"""Packages beside the locks: what a state is made of that no lock file says."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from churn.config.params import read_yaml
from churn.history import packages, snapshot, state
from churn.history.packages import EstimatorAbsentError, packages_beside_locks, pins_of
from churn.history.provenance import packages_in, path_of
from churn.history.state import content_of
from churn.history.verify import ForeignResultsError, leave_provenance, require_own_results
from tests.helpers.projects import REPOSITORY, shell
from tests.helpers.states import commit

LOCK = """\
scikit-learn==1.9.1 \\
    --hash=sha256:aa
numpy==2.4.6 ; python_version < '3.12' \\
    --hash=sha256:bb
numpy==2.5.5 ; python_version >= '3.12' \\
    --hash=sha256:cc
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Version by name of what is there: as locked, until a test says otherwise."""
    found = {"scikit-learn": "1.9.1", "numpy": "2.5.5", "pip": "26.0"}
    monkeypatch.setattr(packages, "_installed_versions", lambda: found)
    return found


def test_in_the_locked_environment_there_are_none() -> None:
    lock, dev = ((REPOSITORY / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))
    assert packages_beside_locks([lock], ["sklearn.ensemble.RandomForestClassifier"]) == {}
    assert packages_beside_locks([lock, dev], ["empulse.models.CSLogitClassifier"]) == {}


@pytest.mark.parametrize("group", ["dev", "docs", "notebook", "s3", "serve", "tune"])
def test_a_group_locks_no_other_version_than_the_project(group: str) -> None:
    """Or installing it would change the environment, and with it every state."""
    lock, own = (
        pins_of((REPOSITORY / name).read_text()) for name in ("requirements.lock", f"requirements-{group}.lock")
    )
    assert {name: versions for name, versions in own.items() if versions != lock.get(name, versions)} == {}


def test_another_version_than_the_locked_one_is_one_of_them(installed: dict[str, str]) -> None:
    assert packages_beside_locks([LOCK], ()) == {}
    installed["numpy"] = "2.4.6"
    assert packages_beside_locks([LOCK], ()) == {}, "a lock may allow several"
    installed |= {"numpy": "2.4.5", "scikit-learn": "1.8.0"}
    assert packages_beside_locks([LOCK], ()) == {"numpy": "2.4.5", "scikit-learn": "1.8.0"}


def test_what_the_lock_names_for_another_platform_and_what_it_does_not_name_are_none(installed: dict[str, str]) -> None:
    del installed["numpy"]
    assert packages_beside_locks([LOCK], ()) == {}


def test_an_estimator_brings_its_package_and_all_that_it_requires(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"boosting": "3.0", "boosting-core": "0.9", "numpy": "2.5.5"}
    requirements = {
        "boosting": ["boosting_core>=0.5", "numpy", "pandas ; extra == 'pandas'", "gone ; sys_platform == 'nowhere'"],
        "boosting-core": ["boosting"],
    }
    monkeypatch.setattr(packages, "_distributions", lambda: {"boosting": ["Boosting"]})
    monkeypatch.setattr(packages, "version", versions.__getitem__)
    monkeypatch.setattr(packages, "requires", requirements.get)
    assert packages_beside_locks([LOCK], ["boosting.sklearn.Classifier"]) == {"boosting": "3.0", "boosting-core": "0.9"}
    with pytest.raises(EstimatorAbsentError):
        packages_beside_locks([LOCK], ["absent.Classifier"])


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed beside the locks for a stage that fits or loads the estimator."""
    found: dict[str, str] = {}

    def looked(_: object, estimators: Collection[str]) -> Mapping[str, str]:
        return dict(found) if estimators else {}

    monkeypatch.setattr(packages, "packages_beside_locks", looked)
    return found


def ran(root: Path) -> str:
    """The fingerprint of a state after its stages have run and DVC has noted them."""
    for name in read_yaml(root / "dvc.yaml")["stages"]:
        leave_provenance(root, name, state.inputs_from_files(root, name))
        commit(root, name)
    return state.fingerprint(state.stages_from_files(root))


def test_one_library_in_two_versions_is_two_states(finished: Path, beside: dict[str, str]) -> None:
    locked = state.fingerprint(state.stages_from_files(finished))
    beside["xgboost"] = "3.4.0"
    first = ran(finished)
    beside["xgboost"] = "2.1.4"
    assert len({locked, first, state.fingerprint(state.stages_from_files(finished))}) == 3


def test_results_of_one_version_are_not_those_of_another(finished: Path, beside: dict[str, str]) -> None:
    beside["xgboost"] = "3.4.0"
    ran(finished)
    files, known = state.stages_from_files(finished), packages_in(content_of(finished / path_of("train")))
    assert known == files["train"].inputs.packages == {"xgboost": "3.4.0"}
    assert files["preprocess"].inputs.packages == {}, "it does not see the estimator"
    require_own_results(finished, ["models/churn_model.pkl"])
    beside["xgboost"] = "2.1.4"
    leave_provenance(finished, "train", state.inputs_from_files(finished, "train"))
    with pytest.raises(ForeignResultsError, match=r"train\.json belongs to another run"):
        require_own_results(finished, ["models/churn_model.pkl"])


def test_results_of_another_version_than_the_one_here_are_told_with_both(
    finished: Path, beside: dict[str, str]
) -> None:
    beside["xgboost"] = "3.4.0"
    ran(finished)
    beside["xgboost"] = "2.1.4"
    one = snapshot.state_of_workspace(finished)
    assert one.objection
    assert str(one.objection).startswith("train: made with xgboost 3.4.0, here 2.1.4; ")
    assert "`dvc repro --force`" in one.objection.remedy


def test_where_the_estimator_is_not_installed_what_ran_it_is_taken(
    finished: Path, beside: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    beside["xgboost"] = "3.4.0"
    expected = ran(finished)

    def absent(*_: object) -> Mapping[str, str]:
        raise EstimatorAbsentError

    monkeypatch.setattr(packages, "packages_beside_locks", absent)
    assert state.fingerprint(state.stages_from_files(finished)) == expected
    assert shell(finished)("git status --porcelain -- params.yaml").stdout == ""
