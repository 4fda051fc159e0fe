"""Between platforms values count, within a tolerance; where the same bytes are promised, bytes do."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from churn.errors import ChurnError
from churn.history import reproduce as module
from churn.history import snapshot, state
from churn.history.git import Clone
from churn.history.predictions.of_states import compute_missing
from churn.history.provenance import path_of
from churn.history.reproduce import EVERY_CIRCUMSTANCE, reproduce
from churn.history.state import LOCK_FILE, fingerprint, md5_of
from churn.history.verify import recorded_stages_of_workspace
from churn.runtime import platform_name
from churn.tracking.sync import SyncRequest, status, sync
from tests.helpers.projects import shell

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

ONE = EVERY_CIRCUMSTANCE[:1]
ELSEWHERE = "macOS arm64"
FIGURE = re.compile(r'"cv_roc_auc": (0\.\d+)')
PROBABILITY = re.compile(r"(?m),(0\.\d+)$")


def stages(root: Path) -> list[str]:
    return list(state.read_lock(root)["stages"])


def replaced(root: Path, path: str, content: str) -> None:
    """Give a result another content, everywhere where it is recorded."""
    before, file = str(md5_of(root / path)), root / path
    file.unlink()  # it may be a link into the cache
    file.write_text(content)
    after = str(md5_of(file))
    cached = root / ".dvc/cache/files/md5" / after[:2] / after[2:]
    cached.parent.mkdir(exist_ok=True)
    cached.write_text(content)
    for recorded in (LOCK_FILE, *(path_of(stage) for stage in stages(root))):
        text = (root / recorded).read_text()
        if before in text and recorded != path:
            if recorded == LOCK_FILE:
                (root / recorded).write_text(text.replace(before, after))
            else:
                replaced(root, recorded, text.replace(before, after))


def shifted(root: Path, path: str, number: re.Pattern[str], by: float) -> None:
    """Change the first such number in a result."""
    text = (root / path).read_text()
    found = number.search(text)
    assert found
    replaced(root, path, f"{text[: found.start(1)]}{float(found[1]) + by!r}{text[found.end(1) :]}")


def made_on(root: Path, platform: str | None) -> None:
    """Have the results say that they were computed on a platform; None: as before they said it."""
    for stage in stages(root):
        left: dict[str, Any] = json.loads((root / path_of(stage)).read_text())
        replaced(root, path_of(stage), json.dumps(left | {"platform": [platform] if platform else []}))


@pytest.fixture
def root(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose rerun gives what this machine computed when it ran for the first time."""
    paths = {path for stage in state.stages_from_files(finished).values() for path in stage.results}
    computed = {path: (finished / path).read_bytes() for path in (*paths, LOCK_FILE)}
    run = module._run

    def rerun(command: list[str], clone: Clone, settings: Mapping[str, str] | None = None) -> str:
        if command[:2] != ["dvc", "repro"]:
            return run(command, clone, settings)
        folder = clone.project
        for path, content in computed.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return "\n".join(f"Running stage '{stage}':" for stage in stages(folder))

    monkeypatch.setattr(module, "_run", rerun)
    monkeypatch.setattr(module, "cache_folder", lambda repository: repository / ".dvc/cache")
    return finished


def committed(root: Path) -> Path:
    shell(root)("git commit --quiet --all --message elsewhere")
    return root


def test_a_platform_is_recorded_by_each_stage_and_is_no_input(root: Path) -> None:
    before = fingerprint(state.stages_from_files(root))
    assert snapshot.state_of_workspace(root).platform == platform_name()
    for platform in (ELSEWHERE, None):
        made_on(root, platform)
        assert snapshot.state_of_workspace(root).platform == platform
        assert snapshot.state_of_workspace(root).complete
        assert recorded_stages_of_workspace(root).foreign == {}
        assert fingerprint(state.stages_from_files(root)) == before


def test_last_digits_of_another_platform_are_the_same_values(root: Path) -> None:
    made_on(root, ELSEWHERE)
    shifted(root, "metrics/train.json", FIGURE, 1e-6)
    shifted(root, "models/out_of_fold.csv", PROBABILITY, 1e-9)
    done = reproduce(committed(root), ONE)
    assert str(done).startswith(
        f"{done.results} results, committed on {ELSEWHERE}, rerun on {platform_name()}: the same values in 2 files; "
        "largest difference 1.0e-06 in metrics/train.json"
    )


def test_what_is_not_on_this_machine_is_not_compared(root: Path) -> None:
    made_on(root, ELSEWHERE)
    shifted(root, "models/out_of_fold.csv", PROBABILITY, 1e-9)
    md5 = str(md5_of(root / "models/out_of_fold.csv"))
    (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    assert "the same values in 0 files" in str(reproduce(committed(root), ONE))


def test_the_same_bytes_of_another_platform_are_told_as_such(root: Path) -> None:
    made_on(root, ELSEWHERE)
    assert "largest difference 0.0e+00," in str(reproduce(committed(root), ONE))


@pytest.mark.parametrize(
    ("path", "number", "by"),
    [("metrics/train.json", FIGURE, 1e-3), ("models/out_of_fold.csv", PROBABILITY, 1e-4)],
)
def test_a_larger_difference_is_a_failure_on_every_platform(
    root: Path, path: str, number: re.Pattern[str], by: float
) -> None:
    made_on(root, ELSEWHERE)
    shifted(root, path, number, by)
    told = rf"{path}: differs by {by:.1e} .*\(committed on {ELSEWHERE}, rerun on {platform_name()}\)"
    with pytest.raises(ChurnError, match=told):
        reproduce(committed(root), ONE)


@pytest.mark.parametrize("platform", ["Linux x86_64", None], ids=["named", "an old state"])
def test_last_digits_are_a_failure_where_the_same_bytes_are_promised(
    root: Path, platform: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "platform_name", lambda: "Linux x86_64")
    made_on(root, platform)
    shifted(root, "models/out_of_fold.csv", PROBABILITY, 1e-9)
    with pytest.raises(ChurnError, match=r"models/out_of_fold\.csv: bytes differ from those committed \(stage train\)"):
        reproduce(committed(root), ONE)


def test_of_two_old_processors_bytes_are_not_expected(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "platform_name", lambda: "Linux x86_64 without AVX2")
    made_on(root, "Linux x86_64 without AVX2")
    shifted(root, "models/out_of_fold.csv", PROBABILITY, 1e-9)
    assert "the same values in 1 file; largest difference 1.0e-09" in str(reproduce(committed(root), ONE))


def test_a_rerun_that_gives_other_bytes_names_the_platforms(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_on(root, ELSEWHERE)
    committed(root)
    monkeypatch.setattr("churn.history.predictions.of_states.recompute", lambda *_: None)
    monkeypatch.setattr("churn.history.predictions.of_states._missing", lambda _: ["models/out_of_fold.csv"])
    one = snapshot.state_of_revision(root, "HEAD")
    assert one
    with pytest.raises(ChurnError, match=rf"it was committed on {ELSEWHERE}, and {platform_name()} gives other bytes"):
        compute_missing(root, one, "HEAD")


def test_status_and_the_row_name_the_platforms_of_two_executions(embedded: Path) -> None:
    before = {path: (embedded / path).read_bytes() for path in (LOCK_FILE, *map(path_of, stages(embedded)))}
    made_on(embedded, ELSEWHERE)
    assert sync(embedded, SyncRequest(everything=False, again=False)).faults == ()
    assert "this state is in MLflow" in status(embedded).lines
    for path, content in before.items():
        (embedded / path).write_bytes(content)
    told = next(line for line in status(embedded).lines if line.startswith("this state is in MLflow"))
    assert told.startswith(
        f"this state is in MLflow, with the results of another execution on {ELSEWHERE}, here on {platform_name()}: "
        "metrics differ by at most 0.0e+00"
    )
