"""A small table of made-up customers, its parameters, and project folders that hold both."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn import files
from churn.runtime import NOWHERE, lock

REPOSITORY = Path(__file__).parents[2]
NO_SERVER = NOWHERE["MLFLOW_TRACKING_URI"]

PLAIN_FORMAT = {"delimiter": ",", "quote": '"', "encoding": "utf-8", "decimal": "."}
REST_OF_CONTRACT = {"format": PLAIN_FORMAT, "unused": {}, "audit": {"max_column_auc": 0.9, "accept": []}}
"""What a contract needs to be whole, where a test is about something else."""

PARAMS = """\
compute: {seed: 7, threads: 1}
data:
  source: data/raw/customers.csv
  format: {delimiter: ",", quote: '"', encoding: utf-8, decimal: "."}
  id: null
  target: {column: gone, positive: "yes", negative: "no", missing: fail}
  missing_values: ["NA"]
  columns:
    plan: {type: categorical, values: [basic, plus, pro], missing: fail, on_error: fail}
    months: {type: numeric, min: 0, max: 100, missing: fail, on_error: fail}
    fee: {type: numeric, min: 0, max: null, missing: allow, on_error: fail}
    senior: {type: boolean, missing: fail, on_error: fail}
  unused: {}
  audit: {max_column_auc: 0.9, accept: []}
preprocess: {test_share: 0.3, split_salt: small, split: {by: key, column: null, format: null}}
business:
  currency: EUR
  customer_value: 200.0
  offer_cost: 10.0
  contact_cost: 1.0
  acceptance_alpha: 6.0
  acceptance_beta: 14.0
train:
  estimator: sklearn.linear_model.LogisticRegression
  params: {C: 1.0}
  folds: 3
  threshold: profit
  importance: {repeats: 2, max_rows: 1000}
tune:
  objective: profit
  trials: 6
  portfolio: []
  space:
    sklearn.linear_model.LogisticRegression:
      C: {low: 0.001, high: 10.0, log: true}
    sklearn.tree.DecisionTreeClassifier:
      max_depth: {low: 1, high: 4, log: false}
      criterion: [gini, entropy]
      min_samples_leaf: [10]
evaluate: {slices: [plan, senior], bootstrap_resamples: 100, calibration_bins: 5, curve_points: 50}
monitor:
  false_alarms_per_year: 1.0
  looks_per_year: 365
  smallest_shift: 0.03
  smallest_rate: 0.005
  date_column: null
  churn_date_column: null
  churn_window_days: 30
promote: {max_calibration_error: 0.1}
"""


def make_customers(count: int = 400, seed: int = 0) -> pd.DataFrame:
    """Customers as texts, as they stand in a CSV file: new ones on the basic plan leave most."""
    random = np.random.default_rng(seed)
    plan = random.choice(["basic", "plus", "pro"], size=count, p=[0.5, 0.3, 0.2])
    months = random.integers(0, 60, size=count)
    fee = random.uniform(10, 90, size=count).round(2).astype(str)
    fee[random.random(count) < 0.05] = "NA"
    senior = random.integers(0, 2, size=count)
    leaning = 1.2 * (plan == "basic") - 0.06 * months + 0.4 * senior - 0.3
    gone = np.where(random.random(count) < 1 / (1 + np.exp(-leaning)), "yes", "no")
    return pd.DataFrame(
        {"gone": gone, "plan": plan, "months": months.astype(str), "fee": fee, "senior": senior.astype(str)}
    )


def unpickled(path: Path) -> Any:
    """What a pickle holds that the tests themselves had made."""
    return files.read_pickle(path, {files.md5(path)})


def make_folder(folder: Path) -> None:
    """params.yaml and the table: enough to run stages in."""
    (folder / "data/raw").mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS)
    make_customers().to_csv(folder / "data/raw/customers.csv", index=False)


def make_project(folder: Path) -> None:
    """A git repository with the real code, dvc.yaml and locked environment around the small table."""
    make_folder(folder)
    for name in ("dvc.yaml", "requirements.lock", ".gitattributes", ".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore", "plots.html"):
        shutil.copy(REPOSITORY / ".dvc" / name, folder / ".dvc" / name)
    commit_all(folder, "customers")


def every_night(*cases: Any) -> list[Any]:
    """Cases of a parametrized test that take too long for every change; `make test-long` runs them."""
    return [pytest.param(case, marks=pytest.mark.long) for case in cases]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first worker of a test run makes and the others take as it is; tests copy it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # a worker has a folder of its own below
    folder, finished = base / "made-once" / name, base / "made-once" / f"{name}.finished"
    with lock(folder.with_name(f"{name}.lock")):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)  # not elsewhere and then renamed: a store notes where its files are
            finished.touch()
    return folder


Shell = Callable[..., subprocess.CompletedProcess[str]]


def shell(folder: Path) -> Shell:
    """Run a command line in a folder; unless told otherwise it has to succeed."""

    def run(command: str, *, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env={**os.environ, **environment},
            text=True,
            capture_output=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run


def commit_all(folder: Path, message: str) -> Shell:
    """Commit everything in a folder, as a person of its own git repository, which is made if there is none."""
    run = shell(folder)
    run("git init --quiet --initial-branch=main")
    run("git config user.name Tester && git config user.email tester@example.invalid")
    run(f"git add --all && git commit --quiet --message '{message}'")
    return run
