"""Batch scoring: the pipeline's own figures for any table, and every row accounted for."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.cli.main import main
from churn.commands.predict import WRITERS
from churn.config.params import load_params
from churn.errors import ChurnError
from churn.files import MODEL, TEST_PREDICTIONS
from churn.metrics import profit
from churn.model import decision, scoring
from churn.table import reader
from tests.helpers.projects import make_customers
from tests.helpers.strategies import repeatable

TABLE = Path("new.csv")


@pytest.fixture
def project(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project that has run, and a table of new customers without the target."""
    monkeypatch.chdir(finished)
    new_customers().to_csv(TABLE, index=False)
    return finished


def new_customers() -> pd.DataFrame:
    return make_customers(300, seed=5).drop(columns="gone")


def predict(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the command; the message that it ends with, empty when it ends well."""
    monkeypatch.setattr(sys, "argv", ["churn", "predict", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return "" if left.value.code in (0, None) else str(left.value.code)


def scores(name: str = "scores.csv") -> pd.DataFrame:
    return pd.read_csv(name, dtype={"row_key": "str"})


def test_known_customers_get_the_probabilities_of_the_pipeline(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict("data/raw/customers.csv", "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    known = pd.read_csv(TEST_PREDICTIONS, index_col="row_key")
    known = known[~known.index.str.contains("-")]  # equal customers stand there once more, numbered
    found = scores().drop_duplicates("row_key").set_index("row_key").loc[known.index]
    assert len(known) > 50
    np.testing.assert_allclose(found["probability"], known["probability"], rtol=1e-14)
    assert found["contact"].equals(known["contact"])


def test_every_customer_is_one_row_in_the_order_of_the_table(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    found = scores()
    assert found["data_row"].tolist() == list(range(1, 301))
    assert found["row_key"].str.fullmatch("[0-9a-f]{16}").all()
    assert set(found["contact"]) == {0, 1}
    economics = load_params(project).business
    gain = profit.expected_gain(found["probability"].to_numpy(), economics)
    np.testing.assert_allclose(found["expected_profit_of_contact"], gain)
    assert pd.read_csv("scores.rejects.csv").empty


@pytest.mark.parametrize("batch", [7, 65_536])
def test_the_customers_to_call_first_are_the_likeliest_churners_best_first(
    batch: int, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    monkeypatch.setattr(reader, "ROWS_A_BATCH", batch)
    new_customers().to_parquet("new.parquet")
    for top in (1, 10, 1_000):
        assert predict("new.parquet", "-o", "calls.csv", "--top", str(top), monkeypatch=monkeypatch) == ""
        contacted = scores()[scores()["contact"] == 1]
        best = contacted.sort_values(["probability", "data_row"], ascending=[False, True]).head(top)
        assert scores("calls.csv").to_dict("list") == best.to_dict("list")


@pytest.mark.parametrize("other", [["--scored-on", "2026-05-01"], ["--holdout", "0.1"]])
def test_a_list_of_the_first_customers_is_not_joined_with_outcomes(
    other: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = predict(str(TABLE), "-o", "calls.csv", "--top", "3", *other, monkeypatch=monkeypatch)
    assert "--top: without the customers that it leaves out, outcomes tell nothing of the model" in told
    assert not Path("calls.csv").exists()


def test_the_expected_gain_lies_between_that_of_a_stayer_and_that_of_a_churner(project: Path) -> None:
    economics = load_params(project).business
    ends = profit.expected_gain(np.array([0.0, 1.0]), economics)
    assert ends.tolist() == [economics.gain_from_stayer, economics.gain_from_churner]


def test_rows_that_break_the_contract_are_set_aside_with_place_and_reason(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = new_customers()
    table.loc[3, "months"] = "soon"
    table.loc[5, ["plan", "months"]] = ["gold", "101"]
    table.loc[7, "senior"] = "NA"
    lines = table.to_csv(index=False).splitlines()
    lines.insert(10, "basic,1")  # data row 10
    TABLE.write_text("\n".join(lines))
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    refused = pd.read_csv("scores.rejects.csv", index_col="data_row")["reason"]
    assert refused.sort_index().to_dict() == {
        4: "column 'months': 'soon' is not a number",
        6: "column 'plan': 'gold' is not in values; column 'months': '101' is above max",
        8: "column 'senior': the value is missing",
        10: "differs from the header in its number of cells (2 instead of 4)",
    }
    assert sorted([*scores()["data_row"], *refused.index]) == list(range(1, 302))


def test_on_error_fail_names_the_first_fault_and_writes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = new_customers()
    table.loc[200, "months"] = "soon"
    table.to_csv(TABLE, index=False)
    told = predict(str(TABLE), "-o", "scores.csv", "--on-error", "fail", monkeypatch=monkeypatch)
    assert told.startswith("churn: new.csv: data row 201: column 'months': 'soon' is not a number; ")
    assert not list(project.glob("*scores*"))


@pytest.mark.slow
def test_small_batches_and_parquet_give_what_one_batch_of_csv_gives(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch)
    whole = scores()
    typed = new_customers().assign(months=lambda table: table["months"].astype(float))
    typed.assign(fee=pd.to_numeric(typed["fee"], errors="coerce")).to_parquet("new.parquet")
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(reader, "ROWS_A_BATCH", 7)
    for table in (str(TABLE), "new.parquet"):
        assert predict(table, "-o", "scores.csv", monkeypatch=monkeypatch) == ""
        pd.testing.assert_frame_equal(scores(), whole, rtol=1e-14)


@pytest.mark.parametrize("last", [[400, 401], range(400, 600)], ids=["a few at the end", "whole blocks at the end"])
def test_ragged_rows_keep_their_places_in_small_batches(
    project: Path, last: Iterable[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *lines = new_customers().to_csv(index=False).splitlines()
    ragged = [1, 2, *range(40, 140), 150, 152, *last]
    for number in ragged:
        lines.insert(number - 1, "basic")
    TABLE.write_text("\n".join([header, *lines]))
    monkeypatch.setattr(reader, "BLOCK_BYTES", 300)
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    assert pd.read_csv("scores.rejects.csv")["data_row"].tolist() == ragged
    assert scores()["data_row"].tolist() == sorted(set(range(1, len(lines) + 1)) - set(ragged))


LONGER_THAN_A_BLOCK = b"basic," + 3000 * b"1" + b",2,0\n"


class Ways:
    """Every way in which scoring fails, each set up in the current folder; more arguments of the command, if any."""

    @staticmethod
    def bad_row(_: pytest.MonkeyPatch) -> list[str]:
        table = new_customers()
        table.loc[200, "months"] = "soon"
        table.to_csv(TABLE, index=False)
        return ["--on-error", "fail"]

    @staticmethod
    def unreadable_in_the_middle(_: pytest.MonkeyPatch) -> list[str]:
        TABLE.write_bytes(TABLE.read_bytes() + LONGER_THAN_A_BLOCK)
        return []

    @staticmethod
    def disk_fails_while_reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        take = reader._numbers
        left = [None, None]

        def fail(*given: Any) -> Any:
            left.pop() if left else fail_with(OSError(5, "Input/output error"))
            return take(*given)

        monkeypatch.setattr(reader, "_numbers", fail)
        return []

    @staticmethod
    def absent_table(_: pytest.MonkeyPatch) -> list[str]:
        TABLE.unlink()
        return []

    @staticmethod
    def column_gone(_: pytest.MonkeyPatch) -> list[str]:
        new_customers().drop(columns="fee").to_csv(TABLE, index=False)
        return []

    @staticmethod
    def interrupted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(decision, "churn_probability", lambda *_: fail_with(KeyboardInterrupt()))
        return []

    @staticmethod
    def model_fails(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.setattr(decision, "churn_probability", lambda *_: fail_with(ChurnError("no")))
        return []

    @staticmethod
    def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        make = WRITERS[".csv"]
        monkeypatch.setitem(WRITERS, ".csv", lambda _, schema: make(Path("/dev/full"), schema))
        return []

    @staticmethod
    def failing_close(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        make = WRITERS[".csv"]

        @contextmanager
        def opened(path: Path, schema: pa.Schema) -> Iterator[Any]:
            with make(path, schema) as writer:
                yield writer
            raise OSError(28, "No space left on device")

        monkeypatch.setitem(WRITERS, ".csv", opened)
        return []

    @staticmethod
    def rejects_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        replace = Path.replace

        def busy(self: Path, target: Path) -> Path:
            if target.name.endswith(".rejects.csv") and "data_row" in self.read_text().partition("\n")[0]:
                raise OSError(16, "Device or resource busy")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", busy)
        return []

    @staticmethod
    def rejects_are_a_folder(_: pytest.MonkeyPatch) -> list[str]:
        Path("folder.csv").mkdir()
        return ["--rejects", "folder.csv"]

    @staticmethod
    def rejects_are_the_table(_: pytest.MonkeyPatch) -> list[str]:
        return ["--rejects", str(TABLE)]

    @staticmethod
    def rejects_are_a_result(_: pytest.MonkeyPatch) -> list[str]:
        return ["--rejects", "models/out_of_fold.csv"]

    @staticmethod
    def rejects_are_the_output_in_other_case(_: pytest.MonkeyPatch) -> list[str]:
        return ["--rejects", "SCORES.csv"]

    @staticmethod
    def rejects_are_a_link_to_the_output(_: pytest.MonkeyPatch) -> list[str]:
        Path("link.csv").symlink_to("scores.csv")
        return ["--rejects", "link.csv"]

    @staticmethod
    def rejects_cannot_be_read_again(_: pytest.MonkeyPatch) -> list[str]:
        Path("scores.rejects.csv").unlink(missing_ok=True)
        Path("scores.rejects.csv").write_text("a list of mine\n")
        return []

    @staticmethod
    def output_is_a_link_to_the_table(_: pytest.MonkeyPatch) -> list[str]:
        Path("link.csv").symlink_to(TABLE)
        return ["-o", "link.csv"]

    @staticmethod
    def output_is_the_table_by_a_hard_link(_: pytest.MonkeyPatch) -> list[str]:
        Path("hard.csv").hardlink_to(TABLE)
        return ["-o", "hard.csv"]

    @staticmethod
    def output_is_the_table_learned_from(_: pytest.MonkeyPatch) -> list[str]:
        return ["-o", "data/raw/customers.csv"]

    @staticmethod
    def output_is_a_result(_: pytest.MonkeyPatch) -> list[str]:
        Path("link.csv").symlink_to("metrics/slices.csv")
        return ["-o", "link.csv"]

    @staticmethod
    def output_is_a_device(_: pytest.MonkeyPatch) -> list[str]:
        Path("nothing.csv").symlink_to("/dev/null")
        return ["-o", "nothing.csv"]


INTERRUPTED = "130"
"""What a shell says of a program that Ctrl-C ended."""

WAYS = [name for name in vars(Ways) if not name.startswith("_")]


def fail_with(error: BaseException) -> Any:
    raise error


def files(folder: Path) -> dict[str, object]:
    """Every file of the user's, with what it holds; where it leads for a link."""
    paths = [path for path in folder.rglob("*") if ".git" not in path.parts and "__pycache__" not in path.parts]
    return {
        str(path): (
            path.readlink() if path.is_symlink() else path.lstat().st_mode if path.is_dir() else path.read_bytes()
        )
        for path in paths
    }


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_scoring_that_fails_leaves_every_file_as_it_was_and_no_thread(
    project: Path, way: str, monkeypatch: pytest.MonkeyPatch, *, earlier: bool
) -> None:
    if earlier:
        assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1000)
    arguments = getattr(Ways, way)(monkeypatch)
    before, running = files(project), threading.active_count()
    told = predict(str(TABLE), "-o", "scores.csv", *arguments, monkeypatch=monkeypatch)
    assert len(told.splitlines()) == 1
    assert told == INTERRUPTED if way == "interrupted" else told.startswith("churn: ")
    assert files(project) == before
    assert threading.active_count() == running


@pytest.mark.slow
def test_a_kill_leaves_the_earlier_files_under_their_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    before = files(project)
    program = """
import os, signal, sys
from churn.cli.main import main
from churn.commands import predict
from churn.table import reader
reader.BLOCK_BYTES = 1000
judged, left = predict.score_customers, [None] * 3
def kill(*given):
    left.pop() if left else os.kill(os.getpid(), signal.SIGKILL)
    return judged(*given)
predict.score_customers = kill
sys.argv = ["churn", "predict", "new.csv", "-o", "scores.csv"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": "src"}, check=False)
    assert done.returncode == -signal.SIGKILL
    left = files(project)
    assert {path: left[path] for path in before} == before
    assert all(path.endswith(".draft") for path in left.keys() - before.keys())


def test_links_that_are_given_as_outputs_stay_and_their_targets_are_replaced(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("dated").mkdir()
    for name in ("scores.csv", "scores.rejects.csv"):
        Path(name).symlink_to(f"dated/{name}")
    Path("dated/scores.csv").write_text("old")
    Path("dated/scores.csv").chmod(0o600)
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == ""
    assert Path("scores.csv").is_symlink()
    assert Path("scores.rejects.csv").is_symlink()
    assert len(scores()) == 300
    assert Path("dated/scores.csv").stat().st_mode & 0o777 == 0o600


AWKWARD_IDS = ["contact", "Contact", "PROBABILITY", "data_row", "expected_profit_of_contact", "Row_Key"]


@pytest.mark.parametrize("name", ["customer", *AWKWARD_IDS])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_every_customer_keeps_the_id_whatever_its_column_is_called(
    project: Path, name: str, ending: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = new_customers()
    ids = [f"C{number:03d}" for number in range(len(table))]
    table.assign(**{name: ids}).to_csv(TABLE, index=False)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("id: null", f"id: {name}"))
    output = f"scores.{ending}"
    assert predict(str(TABLE), "-o", output, monkeypatch=monkeypatch) == ""
    found = pd.read_csv(output) if ending == "csv" else pd.read_parquet(output)
    called = name if name == "customer" else f"id_{name}"
    assert list(found.columns) == ["data_row", called, *scoring.SCORES[1:]]
    assert found[called].tolist() == ids
    assert set(found["contact"]) == {0, 1}
    said = [line for line in caplog.messages if "id column" in line]
    assert said == ([] if called == name else [f"{output}: the id column {name!r} is named {called!r} there"])


FORMULAS = ["=HYPERLINK(A1)", "+49 170 1", "@SUM(A1)", "-2+3", "'=1"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_spreadsheet_finds_no_formula_among_the_ids_and_parquet_has_them_exactly(
    project: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = new_customers()
    ids = [*FORMULAS, *(f"-{number}" for number in range(len(table) - len(FORMULAS)))]
    table.assign(customer=ids).to_csv(TABLE, index=False)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("id: null", "id: customer"))
    assert predict(str(TABLE), "-o", f"scores.{ending}", monkeypatch=monkeypatch) == ""
    found = pd.read_csv("scores.csv", dtype=str) if ending == "csv" else pd.read_parquet("scores.parquet")
    shown = [f"'{formula}" for formula in FORMULAS] if ending == "csv" else FORMULAS
    assert found["customer"].tolist() == [*shown, *ids[len(FORMULAS) :]]


@repeatable
@given(st.sampled_from(scoring.SCORES) | st.text(max_size=8), st.integers(0, 3), st.booleans())
def test_an_id_never_has_the_name_of_another_column(name: str, prefixes: int, upper: bool) -> None:
    given_name = "id_" * prefixes + (name.upper() if upper else name)
    called = scoring.name_of_id(given_name)
    assert called.endswith(given_name)
    assert called.casefold() not in {column.casefold() for column in scoring.SCORES}
    assert (called == given_name) == (given_name.casefold() not in scoring.SCORES)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ChurnError("no")])
def test_scoring_cut_short_leaves_no_file_and_no_thread(
    project: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(reader, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(decision, "churn_probability", refuse)
    running = threading.active_count()
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) != ""
    assert threading.active_count() == running
    assert not list(project.glob("*scores*"))


def test_a_fault_of_a_later_batch_is_told_in_a_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TABLE.write_bytes(TABLE.read_bytes() + LONGER_THAN_A_BLOCK)
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1000)
    told = predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch)
    assert told.startswith("churn: new.csv: has a row that is too long")
    assert told.endswith("raise all limits with CHURN_TABLE_LIMITS=10 (ten times)")
    assert len(told.splitlines()) == 1
    assert not list(project.glob("*scores*"))


def test_what_cannot_be_decoded_is_told_by_its_byte_and_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = TABLE.stat().st_size
    TABLE.write_bytes(TABLE.read_bytes() + b"\xff,1,2,0\n")
    monkeypatch.setattr(reader, "BLOCK_BYTES", 1000)
    assert predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch) == (
        f"churn: new.csv: byte {size:,} (line 302) is not valid UTF-8; it seems to be windows-1252: "
        "save the table as UTF-8, or set data.format.encoding"
    )


def test_scores_can_be_written_as_parquet(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scores.csv", "scores.parquet"):
        predict(str(TABLE), "-o", name, monkeypatch=monkeypatch)
    pd.testing.assert_frame_equal(pd.read_parquet("scores.parquet"), scores())


def test_a_model_that_dvc_lock_does_not_vouch_for_is_not_unpickled(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with MODEL.open("ab") as file:
        file.write(b"more")
    told = predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch)
    assert "not the file that dvc.lock records" in told
    assert "so it is not used" in told
    assert predict(str(TABLE), "-o", "scores.csv", "--model", str(MODEL), monkeypatch=monkeypatch) == ""
    assert "a pickle runs code" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.csv", "-o", "scores.csv"], "absent.csv: no such file; name a CSV or Parquet file"),
        (["data", "-o", "scores.csv"], "data: is a folder; name a CSV or Parquet file"),
        (["empty.csv", "-o", "scores.csv"], "empty.csv: is empty; name a table with a header and rows"),
        (["new.csv", "-o", "new.csv"], "table, output and rejects must be three files"),
        (["new.csv", "-o", "scores.xlsx"], "end its name in .csv or .parquet"),
        (["params.yaml", "-o", "scores.csv"], "params.yaml: "),
        (["new.csv", "-o", "scores.csv", "--model", "absent.pkl"], "absent.pkl: No such file"),
        (["narrow.csv", "-o", "scores.csv"], "narrow.csv: no column 'fee'"),
    ],
)
def test_what_cannot_be_scored_is_told_in_a_line(
    project: Path, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_customers().drop(columns="fee").to_csv("narrow.csv", index=False)
    Path("empty.csv").touch()
    message = predict(*arguments, monkeypatch=monkeypatch)
    assert told in message
    assert len(message.splitlines()) == 1
    assert not list(project.glob("scores*"))


def test_a_contract_other_than_the_models_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Path("params.yaml")
    other = params.read_text().replace("senior: {type: boolean,", "senior: {type: categorical, values: null,")
    params.write_text(other)
    told = predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch)
    assert "the model was fitted with 'senior' as boolean" in told


def test_a_table_without_customers_gives_files_without_rows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_customers().head(0).to_csv(TABLE, index=False)
    told = predict(str(TABLE), "-o", "scores.csv", monkeypatch=monkeypatch)
    assert told == "churn: new.csv: holds no rows; name a table with a header and rows"


def test_a_quote_left_open_loses_no_customer_without_a_word(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Path("data/raw/customers.csv").read_text().splitlines()
    lines[100] = lines[100].replace("basic", '"basic').replace("pro", '"pro').replace("plus", '"plus')
    Path("new.csv").write_text("\n".join(lines) + "\n")
    told = predict("new.csv", "-o", "scores.csv", monkeypatch=monkeypatch)
    assert (
        told
        == "churn: new.csv: has an odd number of double quotes; close the open quote, or double those inside a cell"
    )
    assert not Path("scores.csv").exists()


def test_reasons_are_columns_in_words_the_strongest_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict(str(TABLE), "-o", "scores.csv", "--reasons", "2", monkeypatch=monkeypatch) == ""
    scores = pd.read_csv("scores.csv", keep_default_na=False)
    assert list(scores.columns[-2:]) == ["reason_1", "reason_2"]
    assert scores["reason_1"].str.contains("the predicted odds of churn").all()
    named = {text.partition(":")[0] for text in scores["reason_1"]}
    assert named <= {"plan", "months", "fee", "senior"}
    assert len(named) > 1
    assert predict(str(TABLE), "-o", "plain.csv", monkeypatch=monkeypatch) == ""
    assert pd.read_csv("plain.csv")["probability"].tolist() == scores["probability"].tolist()


def test_reasons_that_cannot_be_given_are_refused_before_anything_is_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data/processed/train_rows.csv").unlink()
    refused = predict(str(TABLE), "-o", "scores.csv", "--reasons", "2", monkeypatch=monkeypatch)
    assert refused == ("churn: --reasons: data/processed/train_rows.csv: not here; `dvc pull` or `dvc repro` brings it")
    assert not Path("scores.csv").exists()
