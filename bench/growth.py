"""Time and memory of the stages and of `churn predict` with the number of customers."""

import json
import math
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rounds import set_parameter
from bench.tables import resampled
from bench.timing import Measurement, log, measure
from churn import files
from churn.config.params import PARAMS_FILE, Params, load_params
from churn.errors import ChurnError
from churn.history.state import PIPELINE_FILE, stages_from_files
from churn.runtime import NOWHERE, THREAD_SETTINGS
from churn.table.reader import read_source

FLOOR = Path(__file__).with_name("floor.py")
CHURN = (sys.executable, "-c", "from churn.cli.main import main; main()")
TABLE = "customers.csv"
PREDICTIONS = "predictions.csv"
SEED = 2013

PREPROCESS = "preprocess"
TRAIN = "train"
PREDICT = "predict"
FLOOR_OF_PREDICT = "floor of predict"


@dataclass(frozen=True)
class Point:
    """What one piece of work took for a number of customers, start of the process included."""

    work: str
    rows: int
    seconds: float
    peak_bytes: int


def growth_exponent(points: Sequence[Point]) -> float:
    """Slope of log seconds over log rows, by least squares."""
    rows = [math.log(point.rows) for point in points]
    return statistics.linear_regression(rows, [math.log(point.seconds) for point in points]).slope


def measure_growth(clone: Path, folder: Path, sizes: Sequence[int]) -> tuple[Point, ...]:
    """Every size once, each piece of work in a process of its own."""
    settings = {"PYTHONPATH": str(clone / "src")}
    predicts = _has_predict(clone, settings)
    points: list[Point] = []
    for rows in sizes:
        place = folder / f"{rows}-rows"
        params = _make_place(clone, place, rows)
        points += _stages(clone, place, rows)
        if predicts:
            points += _predictions(place, settings, params, rows)
    return tuple(points)


def _has_predict(clone: Path, settings: Mapping[str, str]) -> bool:
    try:
        measure("predict --help", (*CHURN, PREDICT, "--help"), clone, settings)
    except ChurnError:
        log.warning("this state has no `churn predict`, so it is not measured")
        return False
    return True


def _make_place(clone: Path, place: Path, rows: int) -> Params:
    """A folder with the code, a table of that length and params.yaml pointing at it."""
    params = load_params(clone)
    place.mkdir()
    (place / "src").symlink_to(clone / "src")
    table = resampled(read_source(clone / params.data.source, params.data.format), params.data, rows, SEED)
    table.to_csv(place / TABLE, index=False)
    for name in (PIPELINE_FILE, "requirements.lock"):  # by these a stage knows what the one before it wrote
        shutil.copy(clone / name, place / name)
    (place / PARAMS_FILE).write_text((clone / PARAMS_FILE).read_text(encoding="utf-8"), encoding="utf-8")
    set_parameter(place, ("data", "source"), TABLE)
    return params


def _stages(clone: Path, place: Path, rows: int) -> Iterator[Point]:
    """The stages by the commands of dvc.yaml."""
    declared = stages_from_files(clone)
    for stage in (PREPROCESS, TRAIN):
        command = ("sh", "-c", declared[stage].inputs.command)
        yield _point(stage, rows, measure(f"{rows:,} rows, {stage}", command, place, NOWHERE))


def _predictions(place: Path, settings: Mapping[str, str], params: Params, rows: int) -> Iterator[Point]:
    """`churn predict` and its floor, with the same number of numerical threads."""
    threads = dict.fromkeys(THREAD_SETTINGS, str(params.compute.threads))
    model = str(files.MODEL)
    command = (*CHURN, PREDICT, TABLE, "--output", PREDICTIONS, "--model", model)
    yield _point(PREDICT, rows, measure(f"{rows:,} rows, {PREDICT}", command, place, {**settings, **threads}))
    _require_predictions(place / PREDICTIONS, rows)
    contract = json.dumps(
        {
            "types": {name: column.type for name, column in params.data.columns.items()},
            "missing_values": params.data.missing_values,
        }
    )
    floor = (sys.executable, str(FLOOR), TABLE, model, contract)
    yield _point(FLOOR_OF_PREDICT, rows, measure(f"{rows:,} rows, {FLOOR_OF_PREDICT}", floor, place, threads))


def _require_predictions(path: Path, rows: int) -> None:
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    if lines < rows:
        raise ChurnError(f"predict: {lines:,} lines for {rows:,} customers")


def _point(work: str, rows: int, measured: Measurement) -> Point:
    return Point(work, rows, measured.seconds, measured.peak_bytes)
