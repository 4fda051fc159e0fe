"""`churn monitor`: exit codes, files, and every kind of input that it cannot use."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn.history.predictions.log import LoggedPrediction, PredictionLog
from churn.history.snapshot import state_of_workspace
from churn.monitoring import journal
from tests.helpers.command_line import Answer, churn
from tests.helpers.projects import make_customers
from tests.helpers.states import edit

LOG = Path("predictions/service")
MAY_1 = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
A_DAY = 86_400.0


@pytest.fixture
def project(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project that has run, without a server to track to."""
    monkeypatch.chdir(finished)
    return finished


def later(count: int = 300, seed: int = 5) -> pd.DataFrame:
    """Customers who came later, from the same source."""
    return make_customers(count, seed).drop(columns="gone")


def look(table: pd.DataFrame, *options: str, name: str = "later.csv") -> Answer:
    table.to_csv(name, index=False)
    return churn("monitor", name, *options)


def of_plan_pro(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(plan="pro")


def test_without_a_change_the_exit_code_is_0_and_the_files_are_there(project: Path) -> None:
    answer = look(later())
    assert answer.code == 0, answer.out
    assert answer.out.splitlines()[-1].startswith("no alarm (level of a look 0.27%: 1 false alarm a year at 365 looks")
    assert {path.name for path in (project / "monitoring").iterdir()} == {
        "look.json",
        "looks.jsonl",
        "report.html",
        "churn_monitor.prom",
    }


def test_an_alarm_is_exit_code_3_and_names_what_moved(project: Path) -> None:
    answer = look(of_plan_pro(later()))
    assert answer.code == 3
    assert "ALARM columns: plan = " in answer.out
    assert answer.out.splitlines()[-1].startswith("ALARM (level")


def test_json_has_the_checks_and_a_verdict(project: Path) -> None:
    found = json.loads(look(later(), "--json").out)
    assert found["is_alarm"] is False
    assert [check["name"] for check in found["checks"]] == ["scores", "columns", "joint", "missing", "unseen"]
    assert found["estimated_profit"]["low"] < found["estimated_profit"]["value"] < found["estimated_profit"]["high"]


def test_the_same_look_twice_is_one_look_and_gives_the_same_figures(project: Path) -> None:
    first, second = (json.loads(look(later(), "--json").out) for _ in range(2))
    assert len(journal.read_journal(project)) == 1
    assert first | {"made": ""} == second | {"made": ""}


def test_a_command_runs_after_an_alarm_and_only_then(project: Path) -> None:
    command = 'printf \'%s %s\' "$CHURN_ALARM_FINGERPRINT" "$CHURN_ALARM" > ran'
    assert look(later(), "--on-alarm", command).code == 0
    assert not Path("ran").exists()
    assert look(of_plan_pro(later()), "--on-alarm", command).code == 3
    fingerprint, effects = Path("ran").read_text().split(" ", 1)
    assert fingerprint == state_of_workspace(project).fingerprint
    assert "plan = " in effects


def test_a_command_that_fails_is_told_and_the_look_is_kept(project: Path) -> None:
    answer = look(of_plan_pro(later()), "--on-alarm", "exit 7")
    assert answer.code == 1
    assert "--on-alarm: 'exit 7' ended with exit code 7" in answer.err
    assert journal.read_journal(project)[-1]["is_alarm"]


def test_params_yaml_names_no_command(project: Path) -> None:
    """It comes from branches that nobody vouched for."""
    edit(project / "params.yaml", "monitor:\n", "monitor:\n  on_alarm: touch ran\n")
    answer = look(of_plan_pro(later()))
    assert answer.code == 1
    assert "monitor.on_alarm: unknown key" in answer.err
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda table: table.iloc[:0], "later.csv: holds no rows"),
        (lambda table: table.iloc[:1], "later.csv: 1 customers of model "),
        (lambda table: table.drop(columns="fee"), "later.csv: no column 'fee'; the model requires it"),
    ],
)
def test_a_table_that_cannot_be_compared_is_one_line_and_leaves_no_file(project: Path, make: object, told: str) -> None:
    answer = look(make(later()))  # type: ignore[operator]
    assert answer.code == 1
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (project / "monitoring").exists()


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b'plan,months\n"basic', b"PAR1 half a file"])
@pytest.mark.parametrize("name", ["later.csv", "later.parquet"])
def test_a_damaged_file_is_one_line(project: Path, content: bytes, name: str) -> None:
    Path(name).write_bytes(content)
    answer = churn("monitor", name)
    assert answer.code == 1
    assert answer.err.startswith(f"churn: {name}: ")
    assert len(answer.err.splitlines()) == 1


def test_a_file_that_is_not_there_is_one_line(project: Path) -> None:
    assert "absent.csv: no such file" in churn("monitor", "absent.csv").err


def test_a_new_label_is_counted_as_unseen_and_as_broken_contract(project: Path) -> None:
    table = later()
    table.loc[:59, "plan"] = "gold"
    answer = look(table)
    assert answer.code == 3
    assert "ALARM unseen: plan: 20.0% labels that training did not have, most often 'gold'" in answer.out
    assert "note: 60 customers break the contract: compared, but not scored" in answer.out


def test_rows_that_cannot_be_read_are_customers_that_break_the_contract(project: Path) -> None:
    text = later(100).to_csv(index=False)
    Path("later.csv").write_text(text + "1,2\n" * 150)
    answer = churn("monitor", "later.csv")
    assert answer.code == 3
    assert "later.csv: 250 customers" in answer.out
    assert "ALARM unseen: 60.0% of the customers break the contract" in answer.out


def test_only_rows_that_cannot_be_read_are_too_few_to_compare(project: Path) -> None:
    Path("later.csv").write_text("plan,months,fee,senior\n" + "1,2\n" * 150)
    answer = churn("monitor", "later.csv")
    assert answer.code == 3
    assert "ok    scores: " in answer.out


def test_constant_customers_are_compared_without_a_fault(project: Path) -> None:
    assert look(later().iloc[[0] * 100]).code == 3


def test_rows_of_a_time_need_a_column_of_dates(project: Path) -> None:
    answer = look(later(), "--since", "2026-05-01")
    assert answer.code == 1
    assert "params.yaml: monitor.date_column: empty" in answer.err


def test_rows_of_a_time_are_selected_by_the_column_of_dates(project: Path) -> None:
    edit(project / "params.yaml", "date_column: null", "date_column: day")
    days = ["2026-04-30T23:00:00-02:00"] * 100 + ["2026-05-02"] * 200  # the first is 01:00 UTC on 1 May
    found = json.loads(look(later().assign(day=days), "--since", "2026-05-01", "--until", "2026-05-02", "--json").out)
    assert (found["customers"], found["oldest"]) == (100, "2026-05-01T01:00:00+00:00")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--since", "yesterday"], "--since: 'yesterday' is no date"),
        (["--since", "2026-05-02", "--until", "2026-05-01"], "--until: 2026-05-01 is not after --since"),
    ],
)
def test_times_that_are_none_are_told(project: Path, options: list[str], told: str) -> None:
    assert told in look(later(), *options).err


def test_a_day_without_hyphens_is_a_day_and_another_number_is_none(project: Path) -> None:
    edit(project / "params.yaml", "date_column: null", "date_column: day")
    found = json.loads(look(later().assign(day=20260501), "--json").out)
    assert (found["oldest"], found["newest"]) == ("2026-05-01", "2026-05-01")
    assert "column 'day': '46143' is not a date" in look(later().assign(day=46143)).err
    found = json.loads(look(later().assign(day="9999-12-31"), "--json").out)
    assert found["remarks"] == ["customers are from the future, 9999-12-31: check the dates and the clock"]


def test_a_date_that_is_none_is_told_with_its_column(project: Path) -> None:
    edit(project / "params.yaml", "date_column: null", "date_column: day")
    assert "column 'day': 'soon' is not a date, in 300 rows" in look(later().assign(day="soon")).err
    assert "no column 'day' (monitor.date_column)" in look(later()).err


def typed(customer: Mapping[Any, str]) -> dict[str, str | float | None]:
    """A customer as the service logs him."""
    return {
        str(name): value if name == "plan" else None if value == "NA" else float(value)
        for name, value in customer.items()
    }


def write_log(
    root: Path, count: int, *, fingerprint: str | None = None, with_columns: bool = True, start: float = MAY_1
) -> None:
    """A log of customers from the same source, one a minute."""
    own = fingerprint or state_of_workspace(root).fingerprint
    random = np.random.default_rng(int(start) + count)
    scores = random.choice(pd.read_csv(root / "models/out_of_fold.csv")["probability"], count).tolist()
    table = later(count).to_dict("records")
    rows = [
        LoggedPrediction(
            start + 60 * place,
            f"{own}-{start}-{place}",
            0,
            None,
            own,
            "1",
            probability,
            probability > 0.3,
            customer=typed(one) if with_columns else None,
        )
        for place, (probability, one) in enumerate(zip(scores, table, strict=True))
    ]
    PredictionLog(LOG, keep_days=10_000).append(rows)


def test_a_log_is_compared_without_scoring_again(project: Path) -> None:
    write_log(project, 400)
    found = json.loads(churn("monitor", str(LOG), "--json").out)
    assert (found["customers"], found["scored"], found["is_alarm"]) == (400, 400, False)
    assert found["oldest"] == "2026-05-01T12:00:00+00:00"
    assert [len(check["findings"]) for check in found["checks"]] == [1, 4, 1, 4, 3]


def test_a_log_without_columns_compares_scores_alone_and_says_so(project: Path) -> None:
    write_log(project, 400, with_columns=False)
    answer = churn("monitor", str(LOG))
    assert answer.code == 0
    assert "ok    columns: nothing to compare" in answer.out
    assert "`churn serve --log-features all` logs them" in answer.out


def test_only_the_time_that_was_asked_for_is_read(project: Path) -> None:
    for day in range(3):
        write_log(project, 100, start=MAY_1 + day * A_DAY)
    found = json.loads(churn("monitor", str(LOG), "--since", "2026-05-02", "--until", "2026-05-03", "--json").out)
    assert (found["customers"], found["newest"][:10]) == (100, "2026-05-02")


def test_customers_of_another_model_are_counted_and_not_compared(project: Path) -> None:
    write_log(project, 70, fingerprint="0123456789abcdef", start=MAY_1 - A_DAY)
    write_log(project, 100)
    answer = churn("monitor", str(LOG))
    assert "100 customers" in answer.out
    assert "70 customers that other models scored are left out" in answer.out


def test_a_log_with_the_columns_of_some_customers_has_slices_of_those(project: Path) -> None:
    write_log(project, 200)
    write_log(project, 100, with_columns=False, start=MAY_1 + A_DAY)
    found = json.loads(churn("monitor", str(LOG), "--json").out)
    assert (found["customers"], found["scored"]) == (300, 300)
    plans = [one["share_now"] for one in found["slices"] if one["column"] == "plan"]
    assert sum(plans) == pytest.approx(1)


def test_a_log_of_a_model_that_is_not_here_is_refused_in_a_line(project: Path) -> None:
    write_log(project, 100, fingerprint="0123456789abcdef")
    answer = churn("monitor", str(LOG))
    assert answer.code == 1
    assert "'0123456789abcdef': no commit with a dvc.lock, DVC experiment or fingerprint of that name" in answer.err


def test_an_edit_that_was_not_run_is_no_model_to_compare_with(project: Path) -> None:
    edit(project / "params.yaml", "C: 1.0", "C: 0.5")
    answer = look(later())
    assert answer.code == 1
    assert "run `dvc repro`" in answer.err


def test_a_log_that_was_cut_is_one_line(project: Path) -> None:
    write_log(project, 100)
    (part,) = LOG.glob("*.parts/*.parquet")
    part.write_bytes(part.read_bytes()[:500])
    answer = churn("monitor", str(LOG))
    assert answer.code == 1
    assert "cannot be read" in answer.err
    assert "move the damaged file away" in answer.err


def _look_of(root: Path, name: str) -> None:
    os.chdir(root)
    churn("monitor", name)


@pytest.mark.slow
def test_two_looks_at_once_are_both_in_the_journal(project: Path) -> None:
    for seed in (1, 2):
        later(seed=seed).to_csv(f"{seed}.csv", index=False)
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_look_of, args=(project, f"{seed}.csv")) for seed in (1, 2)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    assert {one["source"] for one in journal.read_journal(project)} == {"1.csv", "2.csv"}


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 2.0, 2.5, 3.0])
def test_a_killed_look_leaves_the_earlier_files_whole(project: Path, seconds: float) -> None:
    look(later())
    later(seed=9).to_csv("next.csv", index=False)
    command = [sys.executable, "-c", "from churn.cli.main import main; main()", "monitor", "next.csv"]
    killed = subprocess.Popen(command)
    time.sleep(seconds)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(journal.read_journal(project)) in (1, 2)
    assert churn("monitor", "next.csv").code == 0
    assert len(journal.read_journal(project)) == 2
