"""Any bytes as a table: a result, or lines that name the file; never another exception, and no half result."""

import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from churn.commands.init import proposal
from churn.commands.monitor.outcomes import join_scores
from churn.commands.predict import load_decision, score_table
from churn.config.params import Params, load_params
from churn.errors import ChurnError
from churn.monitoring.reading import blocks_of_table, window_of
from churn.stages import preprocess
from tests.helpers.damage import NOT_FILES, examples_over, put_in_place
from tests.helpers.damaged_tables import Rows, damaged_tables
from tests.helpers.projects import PARAMS, make_customers

pytestmark = pytest.mark.usefixtures("_usual_cache")

Reading = Callable[[Path, Path], object]
OF_WHAT_IT_HOLDS = ("params.yaml", "column ", "test rows", "training rows")
"""How an error begins that names no file, but what its values do not allow."""


CAMPAIGN = [["row_key", "scored_on", "fingerprint", "probability", "contact", "held_out"]]
CAMPAIGN += [[f"{row:016x}", "2026-01-01", "0" * 16, "0.5", "1", "0"] for row in range(20)]


@pytest.fixture(scope="module")
def project(_finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model, a table and scores of a campaign; each test gives it another table beside them."""
    root = tmp_path_factory.mktemp("tables") / "project"
    shutil.copytree(_finished_once / "project", root, symlinks=True)
    for name, rows in (("good.csv", good_rows()), ("campaign.csv", CAMPAIGN)):
        (root / name).write_text("\n".join(",".join(row) for row in rows))
    return root


def good_rows() -> Rows:
    """A table that every command accepts, with ids, and days of leaving for some."""
    customers = make_customers(60).assign(name=[f"K{row}" for row in range(60)], left="")
    customers.loc[:4, "left"] = "2026-01-15"
    return [list(customers.columns), *customers.to_numpy().tolist()]


def params_for(root: Path, table: Path) -> Params:
    """The parameters of the project for another table, which has ids and dates."""
    text = PARAMS.replace("data/raw/customers.csv", str(table.relative_to(root)))
    text = text.replace("id: null", "id: name").replace("churn_date_column: null", "churn_date_column: left")
    text = text.replace("unused: {}", "unused: {left: {kind: date, format: null, reason: a day}}")
    (root / "other").mkdir(exist_ok=True)
    (root / "other/params.yaml").write_text(text)
    return load_params(root / "other")


def preprocess_it(root: Path, table: Path) -> None:
    preprocess.run(root, params_for(root, table))


def predict(root: Path, table: Path) -> None:
    params = load_params(root)
    score_table(
        load_decision(root, None), table, root / "scores.csv", root / "scores.rejects.csv", params.data,
        params.business, stop_at_fault=False, on_progress=lambda _: None,
    )  # fmt: skip


def monitor(root: Path, table: Path) -> None:
    with closing(
        blocks_of_table(table, load_decision(root, None), load_params(root).data, None, window_of(None, None))
    ) as blocks:
        list(blocks)


def outcomes(root: Path, table: Path) -> None:
    join_scores(table, [root / "campaign.csv"], params_for(root, table), "2026-03-01")


def scores_of_campaign(root: Path, table: Path) -> None:
    join_scores(root / "good.csv", [table], params_for(root, root / "good.csv"), "2026-03-01")


def init(root: Path, table: Path) -> None:
    examined = proposal.examine(root, table, "gone")
    proposal.propose(root, examined, proposal.target_with(examined.profile.target, None))
    proposal.as_text(examined)


READINGS: list[Reading] = [preprocess_it, predict, monitor, outcomes, scores_of_campaign, init]


def refuses_or_reads(reading: Reading, root: Path, table: Path) -> None:
    """Read a table; an error is one of the user's, and leaves earlier outputs as they are."""
    outputs = {root / name: b"earlier" for name in ("scores.csv", "scores.rejects.csv")}
    for path, content in outputs.items():
        path.write_bytes(content)
    outputs |= {path: path.read_bytes() for path in (root / "data/processed").iterdir()}
    refusal = None
    try:
        reading(root, table)
    except ChurnError as error:
        refusal = str(error)
    if refusal is not None:
        assert table.name in refusal or refusal.startswith(("params.yaml", "column ", "test rows", "training rows")), (
            refusal
        )
        assert not re.search(r"\b(Type|Value|Key|Index|Attribute|Overflow|Recursion|Unicode\w+)Error\b", refusal)
        assert {path: path.read_bytes() for path in outputs} == outputs
    assert not list(root.glob("**/*.draft"))


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.__name__)
@examples_over(len(READINGS), few=15)
@given(data=st.data())
def test_any_table_is_read_or_refused(reading: Reading, project: Path, data: DataObject) -> None:
    ending, content = data.draw(damaged_tables(CAMPAIGN if reading is scores_of_campaign else good_rows()))
    table = project / f"theirs{ending}"
    table.write_bytes(content)
    try:
        refuses_or_reads(reading, project, table)
    finally:
        table.unlink()


@pytest.mark.parametrize("what", NOT_FILES)
@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.__name__)
def test_what_is_no_file_is_refused(reading: Reading, what: str, project: Path) -> None:
    table = project / "theirs.csv"
    put_in_place(table, what)
    try:
        refuses_or_reads(reading, project, table)
    finally:
        table.rmdir() if table.is_dir() and not table.is_symlink() else table.unlink()
