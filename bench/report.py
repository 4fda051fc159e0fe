"""The figures as Markdown, each aim with whether it is met."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.growth import FLOOR_OF_PREDICT, PREDICT, PREPROCESS, TRAIN, Point, growth_exponent
from bench.rounds import Round
from bench.timing import Summary, summarised

CASES: tuple[tuple[str, Callable[[Round], float]], ...] = (
    ("(a) `dvc repro --force --no-run-cache`, tracked in SQLite, a new row each round", lambda one: one.tracked),
    ("(b) `dvc repro`, nothing to do", lambda one: one.up_to_date),
    ("(c) `dvc repro` after a change of an evaluate parameter, tracked", lambda one: one.evaluate_only),
    ("(d) bare script: the same results in one process", lambda one: one.bare),
    ("(e) `dvc repro`, nothing to do, project of three stages that copy a file", lambda one: one.empty_project),
    ("(f) as (a), but the tracking server refuses", lambda one: one.untracked),
)


@dataclass(frozen=True)
class Comparison:
    """Two cases of one round set against each other, and the most that it should come to."""

    label: str
    of: Callable[[Round], float]
    aim: float


COMPARISONS = (
    Comparison("(a) / (d) pipeline to bare script", lambda one: one.tracked / one.bare, 2.0),
    Comparison("(b) / (e) nothing to do, to empty project", lambda one: one.up_to_date / one.empty_project, 1.2),
    Comparison("(c) / (d) evaluate alone to bare script", lambda one: one.evaluate_only / one.bare, 0.8),
    Comparison("(a) − (f) tracking, in seconds", lambda one: one.tracked - one.untracked, 5.0),
)

ELSEWHERE = (
    ("plain MLflow script", 1.6),
    ("Metaflow", 1.9),
    ("ZenML", 2.2),
    ("kedro-mlflow", 2.35),
    ("DVC with naive MLflow in each stage", 3.7),
)
"""Not measured here: ratio to a bare script for the same work."""

PREDICT_ROWS = 1_000_000
PREDICT_RATIO = 1.5
PREDICT_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Machine:
    """What the figures depend on, and nothing that says whose machine it is."""

    cpus: int
    python: str
    packages: tuple[str, ...]
    commit: str


@dataclass(frozen=True)
class Start:
    """Seconds until something is ready to work."""

    what: str
    seconds: Summary


@dataclass(frozen=True)
class Results:
    """Everything that was measured."""

    machine: Machine
    rounds: tuple[Round, ...]
    growth: tuple[Point, ...]
    starts: tuple[Start, ...]


def within_rounds(rounds: Sequence[Round], comparison: Comparison) -> Summary:
    """Compare inside each round, then summarise: a slow moment of the machine hits both cases of a round."""
    return summarised([comparison.of(one) for one in rounds])


def verdict(value: float, aim: float) -> str:
    """Whether an aim is met."""
    return "met" if value <= aim else "not met"


def report_text(results: Results) -> str:
    """The whole report."""
    sections = (
        _heading(results),
        _table(("case", "median s", "min to max"), _case_lines(results.rounds)),
        _sameness(results.rounds),
        "## Set against each other\n\nTaken within each round, then summarised; an aim is judged by the median.",
        _table(("", "median", "min to max", "aim", ""), _comparison_lines(results.rounds)),
        "For comparison, outside this run, from a trial of ours in November 2026: ratios to a bare script for the\n"
        "same work.",
        _table(("", "ratio"), [(name, f"{ratio:g}") for name, ratio in ELSEWHERE]),
        "## Growth\n\nEach piece of work once, in a process of its own, its start included. The floor of predict reads "
        "the table\nwith pyarrow and asks the model; it checks and writes nothing.",
        _table(("work", "customers", "seconds", "peak MB"), _growth_lines(results.growth)),
        "Exponent: slope of log seconds over log customers (1: proportional).",
        _table(("work", "all sizes", "last two sizes"), _exponent_lines(results.growth)),
        _table(("", "value", "aim", ""), _predict_lines(results.growth)),
        "## Where the time goes\n\nStart alone, before any work; a full run starts DVC once, a stage three times, and "
        "with tracking MLflow three times.",
        _table(("", "median s", "min to max"), [_start_line(start) for start in results.starts]),
    )
    return "\n\n".join(sections) + "\n"


def _heading(results: Results) -> str:
    machine = results.machine
    about = f"Commit {machine.commit}, {machine.cpus} CPUs, Python {machine.python}, {', '.join(machine.packages)}."
    rounds = f"Rounds: {len(results.rounds)}, after one that is not counted; each runs each case once."
    return f"# Benchmark\n\n{about}\n{rounds}"


def _sameness(rounds: Sequence[Round]) -> str:
    """What the bare script's results were held to; other results end the benchmark."""
    others = sorted({path for one in rounds for path in one.other_bytes})
    if not others:
        return "In each round (d) wrote the same bytes as (a), every file."
    return (
        "In each round (d) wrote the same bytes as (a), but for files that hold the same in other bytes "
        f"(model size\naside): {', '.join(others)}."
    )


def _case_lines(rounds: Sequence[Round]) -> Iterator[tuple[str, ...]]:
    for label, seconds in CASES:
        summary = summarised([seconds(one) for one in rounds])
        yield label, f"{summary.median:.2f}", _range(summary)


def _comparison_lines(rounds: Sequence[Round]) -> Iterator[tuple[str, ...]]:
    for one in COMPARISONS:
        summary = within_rounds(rounds, one)
        yield one.label, f"{summary.median:.2f}", _range(summary), f"≤ {one.aim:g}", verdict(summary.median, one.aim)


def _growth_lines(growth: Sequence[Point]) -> Iterator[tuple[str, ...]]:
    for work in _works(growth):
        for point in _points(growth, work):
            yield work, f"{point.rows:,}", f"{point.seconds:.2f}", f"{point.peak_bytes / 1e6:,.0f}"


def _exponent_lines(growth: Sequence[Point]) -> Iterator[tuple[str, ...]]:
    for work in _works(growth):
        points = _points(growth, work)
        exponents = [growth_exponent(points), growth_exponent(points[-2:])] if len(points) > 1 else []
        yield work, *([f"{exponent:.2f}" for exponent in exponents] or ["–", "–"])


def _predict_lines(growth: Sequence[Point]) -> Iterator[tuple[str, ...]]:
    at_size = {point.work: point for point in growth if point.rows == PREDICT_ROWS}
    ratio_label = f"predict / floor of predict, {PREDICT_ROWS:,} customers"
    memory_label = f"peak GB of predict, {PREDICT_ROWS:,} customers"
    if PREDICT not in at_size:
        yield ratio_label, "–", f"≤ {PREDICT_RATIO:g}", "not measured"
        yield memory_label, "–", f"≤ {PREDICT_BYTES / 1e9:g}", "not measured"
        return
    predict = at_size[PREDICT]
    ratio = predict.seconds / at_size[FLOOR_OF_PREDICT].seconds
    yield ratio_label, f"{ratio:.2f}", f"≤ {PREDICT_RATIO:g}", verdict(ratio, PREDICT_RATIO)
    memory = f"{predict.peak_bytes / 1e9:.2f}"
    yield memory_label, memory, f"≤ {PREDICT_BYTES / 1e9:g}", verdict(predict.peak_bytes, PREDICT_BYTES)


def _start_line(start: Start) -> tuple[str, ...]:
    return start.what, f"{start.seconds.median:.2f}", _range(start.seconds)


def _works(growth: Sequence[Point]) -> list[str]:
    return [work for work in (PREPROCESS, TRAIN, PREDICT, FLOOR_OF_PREDICT) if _points(growth, work)]


def _points(growth: Sequence[Point], work: str) -> list[Point]:
    return sorted((point for point in growth if point.work == work), key=lambda point: point.rows)


def _range(summary: Summary) -> str:
    return f"{summary.low:.2f} to {summary.high:.2f}"


def _table(header: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    cells = [header, *lines]
    widths = [max(len(line[place]) for line in cells) for place in range(len(header))]
    rows = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    rule = "| " + " | ".join("-" * max(width, 3) for width in widths) + " |"
    return "\n".join([rows[0], rule, *rows[1:]])
