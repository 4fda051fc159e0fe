"""The prediction log: a file a day, readable at any time, and whole after an interruption at any point."""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from churn.errors import ChurnError
from churn.history.predictions import log as prediction_log
from churn.history.predictions.log import LoggedPrediction, PredictionLog, prediction_blocks, read_predictions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
A_DAY = 86_400


def predictions(
    request: str, count: int = 1, when: float = NOON, **customer: str | float | None
) -> list[LoggedPrediction]:
    return [
        LoggedPrediction(when, request, position, "key", "state", None, 0.5, True, customer=customer or None)
        for position in range(count)
    ]


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path, keep_days=30)


def requests_in(folder: Path) -> list[str]:
    return [str(one) for one in read_predictions(folder)["request_id"]]


def test_what_is_appended_is_read_at_once_in_its_order(log: PredictionLog, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        log.append(predictions(name, 2))
        assert requests_in(tmp_path)[-2:] == [name, name]
    assert requests_in(tmp_path) == ["a", "a", "b", "b", "c", "c"]


def test_a_request_is_found_by_its_id(log: PredictionLog, tmp_path: Path) -> None:
    log.append([*predictions("a", 2), *predictions("b")])
    assert list(read_predictions(tmp_path, "a")["position"]) == [0, 1]
    assert read_predictions(tmp_path, "absent").empty


def test_a_closed_day_is_one_file(log: PredictionLog, tmp_path: Path) -> None:
    for number in range(3):
        log.append(predictions(str(number)))
    log.close_days()
    assert names_in(tmp_path) == ["2026-03-01.parquet"]
    assert requests_in(tmp_path) == ["0", "1", "2"]


def test_a_day_can_be_continued_after_it_was_closed(log: PredictionLog, tmp_path: Path) -> None:
    for name in ("a", "b"):
        log.append(predictions(name))
        log.close_days()
    assert names_in(tmp_path) == ["2026-03-01.parquet"]
    assert requests_in(tmp_path) == ["a", "b"]


def test_predictions_around_midnight_go_to_their_days(log: PredictionLog, tmp_path: Path) -> None:
    log.append([*predictions("late"), *predictions("early", when=NOON + A_DAY)])
    log.close_days(before=date(2026, 3, 2))
    assert names_in(tmp_path) == ["2026-03-01.parquet", "2026-03-02.parts/00000000-00000000.parquet"]


def test_many_parts_are_merged_within_the_day(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MOST_PARTS", 5)
    for number in range(12):
        log.append(predictions(str(number)))
    assert len(names_in(tmp_path)) < 5
    assert requests_in(tmp_path) == [str(number) for number in range(12)]


def test_old_days_are_deleted(log: PredictionLog, tmp_path: Path) -> None:
    log.append([*predictions("old", when=NOON - 40 * A_DAY), *predictions("new")])
    log.close_days(before=date(2026, 3, 2))
    assert requests_in(tmp_path) == ["new"]


def test_customers_columns_keep_their_values_and_may_change(log: PredictionLog, tmp_path: Path) -> None:
    log.append(predictions("a", plan="basic", fee=29.85, gone=None))
    log.append(predictions("b", plan=None, months=3.0))
    log.append(predictions("c"))
    log.close_days()
    found = read_predictions(tmp_path).set_index("request_id")
    assert found.loc["a", "customer.fee"] == 29.85
    assert found.loc["a", "customer.plan"] == "basic"
    assert found["customer.plan"].isna().tolist() == [False, True, True]
    assert found.loc["b", "customer.months"] == 3.0


class KilledError(Exception):
    pass


@pytest.mark.parametrize("step", range(8))
def test_a_merge_that_is_interrupted_at_any_step_neither_loses_nor_repeats_a_row(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    for number in range(4):
        log.append(predictions(str(number)))
    steps = iter(range(100))

    def counting(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if next(steps) == step:
                raise KilledError
            return original(*given, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counting(Path.replace))
        patch.setattr(Path, "unlink", counting(Path.unlink))
        patch.setattr(shutil, "rmtree", counting(shutil.rmtree))
        try:
            prediction_log._merge_parts(tmp_path, "2026-03-01", prediction_log._parts_of(tmp_path, "2026-03-01"))
            log.close_days()
        except KilledError:
            pass
    expected = ["0", "1", "2", "3"]
    assert requests_in(tmp_path) == expected
    again = PredictionLog(tmp_path, keep_days=30)
    again.append(predictions("4"))
    again.close_days()
    assert requests_in(tmp_path) == [*expected, "4"]
    assert names_in(tmp_path) == ["2026-03-01.parquet"]


def write_many(folder: Path, count: int) -> None:
    log = PredictionLog(folder, keep_days=30)
    for number in range(count):
        log.append(predictions(f"{number:04d}"))
        if number % 7 == 6:
            log.close_days()


def test_it_is_readable_while_it_is_written_and_merged(tmp_path: Path) -> None:
    count = 60
    writer = multiprocessing.get_context("spawn").Process(target=write_many, args=[tmp_path, count])
    writer.start()
    seen = 0
    try:
        while seen < count and (writer.is_alive() or seen == 0):
            if any(tmp_path.iterdir()):
                found = requests_in(tmp_path)
                assert found == [f"{number:04d}" for number in range(len(found))]
                assert len(found) >= seen
                seen = len(found)
            time.sleep(0.01)
    finally:
        writer.join()
    assert requests_in(tmp_path) == [f"{number:04d}" for number in range(count)]


def test_a_folder_without_a_log_is_named_with_the_command_that_writes_one(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(ChurnError, match=r"absent: no prediction log; `churn serve --log .*absent` writes one$"):
        read_predictions(absent)


def test_a_damaged_file_is_named_in_a_line(log: PredictionLog, tmp_path: Path) -> None:
    log.append(predictions("a"))
    log.close_days()
    (tmp_path / "2026-03-01.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(ChurnError, match=r"move the damaged file away$"):
        read_predictions(tmp_path)


def test_a_full_disk_leaves_no_part_of_an_append(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    log.append(predictions("a"))
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            log.append(predictions("b"))
    assert requests_in(tmp_path) == ["a"]
    log.append(predictions("b"))
    assert requests_in(tmp_path) == ["a", "b"]


def test_files_of_others_in_the_folder_are_left_alone(log: PredictionLog, tmp_path: Path) -> None:
    others: Sequence[Path] = [tmp_path / "notes.parquet", tmp_path / "2026-03-01.csv"]
    for path in others:
        path.write_text("mine")
    log.append(predictions("a"))
    log.close_days(before=date(2027, 1, 1))
    assert all(path.read_text() == "mine" for path in others)


def test_a_log_is_read_in_blocks_of_one_time_however_many_days_it_has(log: PredictionLog, tmp_path: Path) -> None:
    for day in range(4):
        for number in range(3):
            log.append(predictions(f"{day}-{number}", when=NOON + A_DAY * day + number))
    log.close_days(before=date(2026, 3, 3))
    blocks = list(prediction_blocks(tmp_path, NOON + A_DAY + 1, NOON + 3 * A_DAY + 1))
    assert [str(one) for block, _ in blocks for one in block["request_id"]] == [
        "1-1",
        "1-2",
        "2-0",
        "2-1",
        "2-2",
        "3-0",
    ]
    assert blocks[-1][1] == 1.0


def test_a_log_that_is_absent_has_no_blocks(tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match="no prediction log"):
        list(prediction_blocks(tmp_path / "absent"))
