"""Names and labels that move a cursor, hide or reorder text are shown escaped, wherever people read them."""

import json
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from churn import files
from tests.helpers.projects import NO_SERVER, PARAMS, REPOSITORY, Shell, commit_all, make_customers, make_project

HOSTILE = "".join(["\x1b[31m", "\x9b", "\x07", "\u202e", "\u2066", "\u200b", "\u200f", "\u2028", "\U000e0041"])
"""An escape sequence, a bell, directions, what has no width, a line separator, a tag."""
PLAN, COLUMN = f"plan{HOSTILE}", f"basic{HOSTILE}"

OF_VALUES = (
    "data/",
    "models/",
    ".dvc/",
    ".churn/outbox/contents/",
    ".git/",
    "metrics/slices.csv",
    "params.yaml",
    "dvc.lock",
    "mlflow.db",
    "mlruns/",
)
"""What holds the values themselves, for programs: tables, models, parameters as the user wrote them, and copies."""

COMMANDS = [
    "summary",
    "status",
    "status --json",
    "version",
    "changes HEAD~1 HEAD",
    "compare HEAD~1 HEAD",
    "compare HEAD~1 HEAD --json",
    "predict data/raw/customers.csv --output scores.parquet --json",
    "predict broken.csv --output scores.parquet",
    "monitor data/raw/customers.csv",
    "monitor data/raw/customers.csv --json",
    "init data/raw/customers.csv --target gone --dry-run",
    "report --no-open",
    "lineage HEAD",
    "sync",
]


def quoted(text: str) -> str:
    """A text in YAML."""
    return '"{}"'.format("".join(f"\\U{ord(sign):08x}" for sign in text))


def hidden(text: str) -> set[str]:
    """Characters of a text that no terminal and no page shows as they are, besides ends of lines and tabs."""
    return {
        sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp", "Cs") and sign not in "\n\t\r"
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose column, label and branch have such names, run twice, with the outputs of all commands."""
    root = tmp_path_factory.mktemp("hostile") / "project"
    make_project(root)
    customers = make_customers().rename(columns={"plan": PLAN})
    customers[PLAN] = customers[PLAN].replace("basic", COLUMN)
    customers.to_csv(root / "data/raw/customers.csv", index=False)
    customers.head(30).assign(months="x\x1b[31m").to_csv(root / "broken.csv", index=False)
    text = PARAMS.replace("values: [basic, plus, pro]", f"values: [{quoted(COLUMN)}, plus, pro]")
    text = text.replace("    plan: {", f"    {quoted(PLAN)}: {{").replace("slices: [plan,", f"slices: [{quoted(PLAN)},")
    (root / "params.yaml").write_text(text, encoding="utf-8")
    run = commit_all(root, "names")
    repro(run)
    (root / "params.yaml").write_text(text.replace("C: 1.0", "C: 0.1"), encoding="utf-8")
    repro(run)
    return root


def repro(run: Shell) -> None:
    run("dvc repro > repro.out 2>&1", MLFLOW_TRACKING_URI=NO_SERVER)
    run(f"git add --all && git commit --quiet --message 'results {HOSTILE}'")


@pytest.mark.slow
def test_what_is_printed_and_written_for_people_has_no_hidden_characters(project: Path, tmp_path: Path) -> None:
    root = shutil.copytree(project, tmp_path / "project", symlinks=True)
    given = json.dumps([[f"MLFLOW_TRACKING_URI=sqlite:///{root}/mlflow.db", *command.split()] for command in COMMANDS])
    forks = [sys.executable, "-m", "tests.helpers.commands_in_forks", str(root), given, str(tmp_path), "mlflow"]
    subprocess.run(forks, check=True, cwd=REPOSITORY)
    answers = json.loads((tmp_path / "answers").read_text())
    for command, (code, told) in zip(COMMANDS, answers, strict=True):
        assert told or code, command
        assert not hidden(told), (command, told)
        assert not re.search("Traceback|unexpected", told), (command, told)
    assert_no_hidden_characters_in_files(root)


def assert_no_hidden_characters_in_files(root: Path) -> None:
    for path in filter(Path.is_file, root.rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith((*OF_VALUES, "src/")) and path.suffix not in (".png", ".parquet", ".pyc", ".csv"):
            found = hidden(path.read_text(encoding="utf-8", errors="replace"))
            assert not found, (name, found)


@pytest.mark.slow
def test_the_values_themselves_stay(project: Path) -> None:
    importance = files.read_table(project / files.IMPORTANCE)
    assert PLAN in set(importance["feature"])
    assert PLAN in files.read_json(project / files.DATA_METRICS)["missing"]
