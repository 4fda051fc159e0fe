"""`churn predict --scored-on --holdout` and `churn outcomes`: what is joined, and what is refused in a line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn.history.snapshot import state_of_workspace
from tests.helpers.command_line import Answer, churn
from tests.helpers.projects import made_once, make_customers, make_folder, make_project, shell
from tests.helpers.runs import rerun
from tests.helpers.states import edit


def make_project_with_ids(root: Path) -> None:
    make_project(root)
    edit(root / "params.yaml", "id: null", "id: customer")
    edit(root / "params.yaml", "churn_date_column: null", "churn_date_column: left")
    with_ids(make_customers()).to_csv(root / "data/raw/customers.csv", index=False)
    rerun(root, "preprocess", "train", "evaluate")
    shell(root)("git add --all && git commit --quiet --message results")


def with_ids(table: pd.DataFrame, start: int = 0) -> pd.DataFrame:
    return table.assign(customer=[f"C{number}" for number in range(start, start + len(table))])


@pytest.fixture
def project(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project with ids that has run."""
    made = made_once(tmp_path_factory, "with-ids", lambda folder: make_project_with_ids(folder / "project"))
    root = Path(shutil.copytree(made / "project", tmp_path / "project", symlinks=True))
    monkeypatch.chdir(root)
    return root


def scores(*options: str, count: int = 300, name: str = "scores.csv") -> pd.DataFrame:
    """Scores of customers who came later, made on 1 May."""
    with_ids(make_customers(count, 5).drop(columns="gone"), 1_000).to_csv("may.csv", index=False)
    answer = churn("predict", "may.csv", "-o", name, *(options or ("--scored-on", "2026-05-01")))
    assert answer.code == 0, answer.err
    return pd.read_csv(name)


def write_outcomes(scored: pd.DataFrame, name: str = "left.csv") -> pd.DataFrame:
    """Everybody's outcome: as likely as predicted, on some day of May."""
    random = np.random.default_rng(1)
    leaves = random.random(len(scored)) < scored["probability"]
    days = [f"2026-05-{day:02d}" for day in random.integers(1, 30, len(scored))]
    table = pd.DataFrame({"customer": scored["customer"], "left": np.where(leaves, days, "")})
    table.to_csv(name, index=False)
    return table


def outcomes(*options: str) -> Answer:
    return churn("outcomes", "left.csv", "--scores", "scores.csv", "--known-until", "2026-07-01", *options)


def test_scores_have_their_day_their_model_and_nobody_held_out(project: Path) -> None:
    found = scores()
    assert set(found["scored_on"]) == {"2026-05-01"}
    assert set(found["fingerprint"]) == {state_of_workspace(project).fingerprint}
    assert not found["held_out"].any()


def test_without_a_day_scores_have_the_columns_that_they_always_had(project: Path) -> None:
    with_ids(make_customers(50, 5)).to_csv("may.csv", index=False)
    assert churn("predict", "may.csv", "-o", "plain.csv").code == 0
    columns = ["data_row", "customer", "row_key", "probability", "contact", "expected_profit_of_contact"]
    assert list(pd.read_csv("plain.csv")) == columns


def test_the_day_is_that_of_the_table_if_it_has_one(project: Path) -> None:
    edit(project / "params.yaml", "date_column: null\n  churn", "date_column: day\n  churn")
    with_ids(make_customers(50, 5)).assign(day="2026-06-03").to_csv("june.csv", index=False)
    assert churn("predict", "june.csv", "-o", "scores.csv").code == 0
    assert set(pd.read_csv("scores.csv")["scored_on"]) == {"2026-06-03"}
    with_ids(make_customers(50, 5)).to_csv("june.csv", index=False)
    assert "no column 'day' (monitor.date_column)" in churn("predict", "june.csv", "-o", "scores.csv").err


def test_the_model_is_that_of_dvc_lock_also_after_an_edit_that_was_not_run(project: Path) -> None:
    fingerprint = state_of_workspace(project).fingerprint
    edit(project / "params.yaml", "C: 1.0", "C: 0.5")
    assert set(scores()["fingerprint"]) == {fingerprint}


def test_scores_of_another_file_belong_to_no_state_and_are_not_said_to(project: Path) -> None:
    with_ids(make_customers(50, 5)).to_csv("may.csv", index=False)
    shutil.copy("models/churn_model.pkl", "other.pkl")
    asked = ("predict", "may.csv", "-o", "scores.csv", "--model", "other.pkl")
    answer = churn(*asked, "--scored-on", "2026-05-01")
    assert answer.code == 1
    assert "--model: other.pkl: its state is unknown" in answer.err
    edit(project / "params.yaml", "date_column: null\n  churn", "date_column: day\n  churn")
    assert churn(*asked).code == 0
    assert "fingerprint" not in pd.read_csv("scores.csv")


def test_days_are_written_in_iso_8601_and_rows_without_one_are_set_aside(project: Path) -> None:
    edit(project / "params.yaml", "date_column: null\n  churn", "date_column: day\n  churn")
    unused = 'unused: {day: {kind: date, format: "%d.%m.%Y", reason: snapshot}}'
    edit(project / "params.yaml", "unused: {}", unused)
    days = ["03.06.2026"] * 48 + ["2026-06-03", ""]
    with_ids(make_customers(50, 5)).assign(day=days).to_csv("june.csv", index=False)
    assert churn("predict", "june.csv", "-o", "scores.csv").code == 0
    assert pd.read_csv("scores.csv")["scored_on"].tolist() == ["2026-06-03"] * 48
    assert pd.read_csv("scores.rejects.csv")["reason"].tolist() == ["column 'day': the value is not a date"] * 2


def test_held_out_customers_would_be_contacted_and_are_not_and_stay_the_same(project: Path) -> None:
    everybody = scores()
    found = scores("--scored-on", "2026-05-01", "--holdout", "0.2")
    again = scores("--scored-on", "2026-06-01", "--holdout", "0.2", name="june-scores.csv")
    held_out = found["held_out"] == 1
    assert 0.1 < held_out.sum() / everybody["contact"].sum() < 0.3
    assert not found.loc[held_out, "contact"].any()
    assert everybody.loc[held_out, "contact"].all()
    assert (found["contact"] | found["held_out"]).tolist() == everybody["contact"].tolist()
    assert again["held_out"].tolist() == found["held_out"].tolist()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--scored-on", "soon"], "--scored-on: 'soon' is no date; write it like 2026-05-01"),
        (["--holdout", "0.1"], "--holdout: the scores have no date"),
    ],
)
def test_a_campaign_without_a_day_is_refused(project: Path, options: list[str], told: str) -> None:
    with_ids(make_customers(50, 5)).to_csv("may.csv", index=False)
    answer = churn("predict", "may.csv", "-o", "scores.csv", *options)
    assert answer.code == 1
    assert told in answer.err
    assert not Path("scores.csv").exists()


def test_outcomes_are_joined_by_id_and_judged_by_month(project: Path) -> None:
    write_outcomes(scores())
    found = json.loads(outcomes("--json").out)
    (may,) = found["cohorts"]
    assert (may["cohort"], may["model"], may["customers"], may["known_share"]) == ("2026-05", "champion", 300, 1.0)
    assert may["estimated_profit"]["low"] <= may["realised_profit"]["value"] <= may["estimated_profit"]["high"]
    assert {path.name for path in (project / "monitoring").iterdir()} == {
        "outcomes.json",
        "report.html",
        "churn_outcomes.prom",
    }


def test_everything_that_does_not_count_is_told(project: Path) -> None:
    table = write_outcomes(scores())
    table = table.iloc[10:]  # ten are unknown
    first, second = table.iloc[0]["customer"], table.iloc[1]["customer"]
    more = pd.DataFrame(
        {
            "customer": [first, first, second, second, "C9"],
            "left": ["2026-05-03", "2026-05-20", "2026-04-01", "2026-04-01", ""],
        }
    )
    table = pd.concat([table[~table["customer"].isin([first, second])], more])
    table.to_csv("left.csv", index=False)
    answer = outcomes()
    assert answer.code == 0
    for line in (
        "  not counted: 10 not in the table of outcomes",
        "  not counted: 1 contradicting outcomes",
        "  not counted: 1 left before they were scored",
        "1 rows of the table repeat an earlier one",
    ):
        assert line in answer.out.splitlines()


def test_before_the_window_is_over_nothing_is_known(project: Path) -> None:
    write_outcomes(scores())
    answer = churn("outcomes", "left.csv", "--scores", "scores.csv", "--known-until", "2026-05-20")
    assert answer.code == 0
    assert "2026-05 champion: 300 scored, 0% known" in answer.out
    assert "300 window not over" in answer.out


def test_the_effect_of_contacts_is_told_with_its_interval(project: Path) -> None:
    write_outcomes(scores("--scored-on", "2026-05-01", "--holdout", "0.3"))
    assert "effect of contacts: churn rate " in outcomes().out


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "left.csv: is empty"),
        ("customer,left\n", "left.csv: holds no rows"),
        ("customer\nC1\n", "left.csv: no column 'left'"),
        ("id,left\nC1,\n", "left.csv: no column 'customer'"),
        ("customer,left\nC1000,soon\n", "column 'left': 'soon' is not a date, in 1 rows"),
        ("customer,left\n,2026-05-02\n", "column 'customer': 1 rows without an id"),
        ("customer,left,left\nC1000,,\n", "column 'left' appears more than once"),
        ("customer,left\nC1000,46143\n", "column 'left': '46143' is not a date"),
        ("customer,left\nC1000,2026-05-02,more\n", "data row 1 differs from the header"),
    ],
)
def test_a_table_of_outcomes_that_cannot_be_read_is_one_line(project: Path, table: str, told: str) -> None:
    scores()
    Path("left.csv").write_text(table)
    answer = outcomes()
    assert answer.code == 1
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (project / "monitoring").exists()


def test_nobody_has_left_and_nobody_says_until_when(project: Path) -> None:
    write_outcomes(scores()).assign(left="").to_csv("left.csv", index=False)
    assert "no customer has left; say with --known-until" in churn("outcomes", "left.csv", "--scores", "scores.csv").err
    assert outcomes().code == 0


def test_a_day_in_the_future_stands_for_never_and_does_not_end_a_window(project: Path) -> None:
    table = write_outcomes(scores("--scored-on", "2026-05-01"))
    table.assign(left=table["left"].replace("", "9999-12-31")).to_csv("left.csv", index=False)
    found = json.loads(churn("outcomes", "left.csv", "--scores", "scores.csv", "--json").out)
    assert found["known_until"] == table["left"].max()
    assert found["cohorts"][0]["known"] == 0  # the window of 30 days is not over at the newest day


WHOLE = "row_key,scored_on,fingerprint,probability,contact,held_out"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"{WHOLE}\na,2026-05-01,f,much,1,0\n", "column 'probability': 'much' is not between 0 and 1"),
        (f"{WHOLE}\na,2026-05-01,f,0.5,yes,0\n", "column 'contact': 'yes' is not between 0 and 1"),
        (f"{WHOLE}\na,46143,f,0.5,1,0\n", "column 'scored_on': '46143' is not a date"),
        (f"{WHOLE},contact\na,2026-05-01,f,0.5,1,0,1\n", "column 'contact' appears more than once"),
        ("row_key,probability\na,0.5\n", "no column 'scored_on'; score the customers again with"),
        ("", "scores.csv: cannot be read"),
    ],
)
def test_scores_without_a_day_are_refused_with_the_way_to_get_one(project: Path, content: str, told: str) -> None:
    write_outcomes(scores())
    Path("scores.csv").write_text(content)
    assert told in outcomes().err


def test_without_an_id_nothing_is_joined_over_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "folder")
    (tmp_path / "folder/dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path / "folder")
    answer = churn("outcomes", "left.csv")
    assert answer.code == 1
    assert "params.yaml: data.id: empty, and a key made of a customer's columns changes when they do" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_without_a_column_of_days_nothing_is_joined(project: Path) -> None:
    edit(project / "params.yaml", "churn_date_column: left", "churn_date_column: null")
    assert "params.yaml: monitor.churn_date_column: empty" in outcomes().err
