"""The notebook: stored without outputs, and it runs from top to bottom on any table."""

import json
import shutil
from pathlib import Path

import pytest

from churn.config.params import read_yaml
from tests.helpers.projects import REPOSITORY, shell
from tests.helpers.sample import SAMPLE_PARAMS

NOTEBOOK = Path("notebooks/explore.ipynb")


def test_it_is_stored_without_outputs() -> None:
    for cell in json.loads((REPOSITORY / NOTEBOOK).read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_git_keeps_a_notebook_that_was_run_without_its_outputs(tmp_path: Path) -> None:
    shell(tmp_path)(f"git clone --quiet {REPOSITORY} clone")
    clone = tmp_path / "clone"
    run = shell(clone)
    for name in (NOTEBOOK, Path("deploy/without-outputs"), Path("deploy/notebook-filter"), Path(".gitattributes")):
        shutil.copy(REPOSITORY / name, clone / name)  # also where they are not committed yet
    run("git -c user.name=T -c user.email=t@example.invalid commit --quiet --all --allow-empty --message present")
    run("deploy/notebook-filter")
    notebook = json.loads((clone / NOTEBOOK).read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"] = 7
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["secret customer"]}]
            cell["metadata"] = {"collapsed": True}
    notebook["metadata"] |= {"language_info": {"name": "python", "version": "3.99"}, "widgets": {"state": {}}}
    (clone / NOTEBOOK).write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    assert run("git diff --stat").stdout == ""
    notebook["cells"][0]["source"].append("\nmine")
    (clone / NOTEBOOK).write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    edited = run("git diff").stdout
    assert '+    "\\nmine"' in edited
    assert "secret customer" not in edited
    assert "secret customer" in (clone / NOTEBOOK).read_text(), "the file itself keeps what was run"

    # As a branch may bring it.
    (clone / "deploy/without-outputs").write_text("import pathlib; pathlib.Path('ran').touch()")
    run("git status --short && git add --all")
    assert not (clone / "ran").exists()
    (clone / NOTEBOOK).write_text("no notebook at all")
    assert run("git add --all && git show :notebooks/explore.ipynb").stdout == "no notebook at all"


def test_it_names_no_column_of_the_sample_data() -> None:
    text = (REPOSITORY / NOTEBOOK).read_text()
    for name in read_yaml(SAMPLE_PARAMS / "params.yaml")["data"]["columns"]:
        assert f'"{name}"' not in text
        assert f'\\"{name}\\"' not in text


@pytest.mark.long
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
