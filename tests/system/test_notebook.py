"""The notebook: stored without outputs, and it runs from top to bottom on any table."""

import json
import shutil
from pathlib import Path

import pytest

from churn.config.params import read_yaml
from tests.helpers.projects import REPOSITORY, shell

NOTEBOOK = Path("notebooks/explore.ipynb")


def test_it_is_stored_without_outputs() -> None:
    for cell in json.loads((REPOSITORY / NOTEBOOK).read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_it_names_no_column_of_the_sample_data() -> None:
    text = (REPOSITORY / NOTEBOOK).read_text()
    for name in read_yaml(REPOSITORY / "params.yaml")["data"]["columns"]:
        assert f'"{name}"' not in text
        assert f'\\"{name}\\"' not in text


@pytest.mark.slow
def test_it_runs_from_top_to_bottom_on_another_table_and_changes_nothing(finished: Path) -> None:
    run = shell(finished)
    store = f"sqlite:///{finished}/mlflow.db"
    run("churn sync", MLFLOW_TRACKING_URI=store)
    shutil.copytree(REPOSITORY / NOTEBOOK.parent, finished / NOTEBOOK.parent)
    run("git add --all && git commit --quiet --message notebook")
    shown = run(f"jupyter execute --output=ran.ipynb {NOTEBOOK}", MLFLOW_TRACKING_URI=store)
    assert "rror" not in shown.stderr
    ran = finished / "notebooks/ran.ipynb"
    text = ran.read_text()
    ran.unlink()
    assert text.count('"image/png"') >= 5, "distributions, rates, importance, what if"
    assert "offer costs twice" in text
    assert "metrics.cv_roc_auc" in text
    assert '"output_type": "error"' not in text
    assert '"name": "stderr"' not in text
    assert run("git status --porcelain").stdout == ""
