"""The reproduction check passes what comes out again, and names what does not."""

from pathlib import Path

import pytest

from churn.errors import ChurnError
from churn.history.reproduce import EVERY_CIRCUMSTANCE, reproduce
from churn.history.state import read_lock, stages_from_lock
from tests.helpers.projects import shell

ONE = EVERY_CIRCUMSTANCE[:1]

PLANTED = {
    "a clock in preprocess": (
        "preprocess.py",
        '"rows_in": len(texts)',
        '"rows_in": __import__("time").time_ns()',
        "metrics/data.json",
    ),
    "chance in train": (
        "train.py",
        '{"probability": judgement.out_of_fold.probability}',
        '{"probability": judgement.out_of_fold.probability + np.random.default_rng().random()}',
        "models/out_of_fold.csv",
    ),
    "a process id in evaluate": (
        "evaluate.py",
        '"contacted_share": float(predictions.contacted.mean())',
        '"contacted_share": float(__import__("os").getpid())',
        "metrics/business_metrics.json",
    ),
}


@pytest.mark.long
def test_a_state_that_comes_out_again_passes_under_every_circumstance(
    finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reproduce(finished)
    results = sum(len(stage.results) for stage in stages_from_lock(read_lock(finished)).values())
    assert [record.getMessage() for record in caplog.records if "the same bytes" in record.getMessage()] == [
        f"{one.name}: 3 stages, {results} results, the same bytes" for one in EVERY_CIRCUMSTANCE
    ]


@pytest.mark.long
@pytest.mark.parametrize("fault", PLANTED)
def test_changed_bytes_are_found_and_their_file_named(fault: str, finished: Path) -> None:
    file, old, new, result = PLANTED[fault]
    path = finished / "src/churn/stages" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    run = shell(finished)
    run("dvc repro")
    run("git commit --quiet --all --message planted")
    with pytest.raises(ChurnError, match=f"{result}: bytes differ from those committed"):
        reproduce(finished, ONE)


@pytest.mark.slow
def test_a_stage_that_fails_is_told_with_its_own_words(finished: Path) -> None:
    path = finished / "params.yaml"
    path.write_text(path.read_text().replace("test_share: 0.3", "test_shares: 0.3"))
    shell(finished)("git commit --quiet --all --message misspelled")
    with pytest.raises(ChurnError, match=r"preprocess\.test_shares: unknown key; did you mean test_share"):
        reproduce(finished, ONE)


@pytest.mark.long
def test_results_that_were_not_committed_are_found(finished: Path) -> None:
    run = shell(finished)
    path = finished / "params.yaml"
    path.write_text(path.read_text().replace("C: 1.0", "C: 0.1"))
    run("git commit --quiet --message forgotten params.yaml")
    with pytest.raises(ChurnError, match=r"metrics/train\.json: bytes differ from those committed"):
        reproduce(finished, ONE)


@pytest.mark.long
def test_data_that_dvc_keeps_is_brought_to_the_clone(finished: Path) -> None:
    run = shell(finished)
    run("git rm --quiet --cached data/raw/customers.csv")
    run("dvc add --quiet data/raw/customers.csv")
    run("git add --all && git commit --quiet --message large")
    reproduce(finished, ONE)


def test_a_folder_that_never_ran_is_refused(project: Path) -> None:
    with pytest.raises(ChurnError, match=r"dvc\.lock: .* run `dvc repro` and commit"):
        reproduce(project, ONE)
