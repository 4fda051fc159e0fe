"""`churn compare`: compare two states of the project.

They are compared by the out-of-fold predictions of their models. Metrics of the test rows only confirm: if you select
on them, you have no independent test any more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from churn import files
from churn.config.economics import Economics, in_present_terms
from churn.config.params import PARAMS_FILE
from churn.errors import ChurnError, excerpt
from churn.history.predictions.of_states import (
    WORKSPACE,
    answers_on_test_rows,
    answers_out_of_fold,
    compute_missing,
    economics_of,
    recorded_section,
    state_named,
)
from churn.history.snapshot import Snapshot
from churn.history.state import changed_values
from churn.metrics import paired
from churn.texts import aligned

RESAMPLES = 2000
SEED = 2013
FORMS = {"profit_per_1000": ",.0f"}
"""Number formats; other metrics have four decimals."""
TEST_FIGURES = ("profit_per_1000", "roc_auc", "pr_auc")


@dataclass(frozen=True)
class Change:
    """A parameter that differs between two states; None if a state lacks it."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Confirmation:
    """Both models on the test rows that both states share.

    Attributes:
        figures: old and new, by name.
        fault: why they cannot be compared; empty if they can.
    """

    figures: Mapping[str, tuple[float, float]]
    customers: int
    left_out: tuple[str, ...]
    fault: str

    def as_text(self) -> str:
        """Text for the terminal, on one line."""
        if self.fault:
            return f"test rows cannot be compared: {self.fault}"
        told = (
            f"{name} {old:{FORMS.get(name, '.4f')}} -> {new:{FORMS.get(name, '.4f')}}"
            for name, (old, new) in self.figures.items()
        )
        common = f"{self.customers:,} shared test rows{''.join(self.left_out)}"
        return f"on {common}, for confirmation only: {', '.join(told)}"


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        differences: out-of-fold metrics, profit first.
        inputs: files that both states read, in different versions.
    """

    old: str
    new: str
    customers: int
    left_out: tuple[str, ...]
    verdict: str
    differences: tuple[paired.PairedDifference, ...]
    test: Confirmation
    parameters: tuple[Change, ...]
    inputs: tuple[str, ...]

    def as_json(self) -> str:
        """JSON; NaN becomes null."""
        content = asdict(self) | {
            "differences": [asdict(one) | {"difference": one.difference} for one in self.differences]
        }
        return files.json_text(content)

    def as_text(self) -> str:
        """Text for the terminal."""
        head = ("", self.old, self.new, "difference", "95% interval")
        table = aligned([head, *self._cells()], right=range(1, 5))
        return "\n".join([self.verdict, "", *table, "", *self._remarks()])

    def as_markdown(self) -> str:
        """Markdown for a pull request."""
        head = [f"**{self.verdict}**", "", f"| | {self.old} | {self.new} | difference | 95% interval |"]
        rows = ["| " + " | ".join(row) + " |" for row in self._cells()]
        return "\n".join(
            [*head, "| --- | ---: | ---: | ---: | ---: |", *rows, "", *(f"- {one}" for one in self._remarks())]
        )

    def _cells(self) -> Iterator[tuple[str, str, str, str, str]]:
        for one in self.differences:
            form = FORMS.get(one.name, ".4f")
            interval = f"{one.low:+{form}} to {one.high:+{form}}"
            yield one.name, f"{one.old:{form}}", f"{one.new:{form}}", f"{one.difference:+{form}}", interval

    def _remarks(self) -> Iterator[str]:
        yield f"compared out-of-fold on {self.customers:,} shared training rows{''.join(self.left_out)}"
        yield self.test.as_text()
        for change in self.parameters:
            yield f"{change.name}: {_value_text(change.old)} -> {_value_text(change.new)}"
        if self.inputs:
            yield f"other versions of: {', '.join(self.inputs)}"
        if not self.parameters and not self.inputs:
            yield "parameters, code and data are the same"


def compare_states(root: Path, old: str, new: str, *, compute: bool = False, resamples: int = RESAMPLES) -> Comparison:
    """Compare two states (commits, DVC experiments, fingerprints, `workspace`) on the same customers.

    Both use the costs and values of the new state, and each uses its own threshold. With `compute`, states whose
    predictions are missing are rerun.

    Raises:
        ChurnError: a state is unknown or incomplete, or its predictions are missing.
        DataError: the states share too few training rows.
    """
    states = {name: state_named(root, name) for name in (old, new)}
    _require_one_table(states)
    if compute:
        for name, state in states.items():
            compute_missing(root, state, name)
    economics = economics_of(states[new], new)
    judged = {name: answers_out_of_fold(state, name) for name, state in states.items()}
    pair = paired.pair_up(judged[old], judged[new])
    differences = paired.paired_differences(pair, economics, resamples=resamples, seed=SEED)
    return Comparison(
        old=_label(old, states[old]),
        new=_label(new, states[new]),
        customers=len(pair.churned),
        left_out=tuple(_exclusion_notes(pair)),
        verdict=paired.verdict(pair, differences[0], economics.currency),
        differences=tuple(differences),
        test=_on_test_rows(states, old, new, economics),
        parameters=tuple(_changed_parameters(states[old], states[new])),
        inputs=tuple(_changed_inputs(states[old], states[new])),
    )


def _require_one_table(states: Mapping[str, Snapshot]) -> None:
    """Refuse states before and after `churn init` of another table: with another target, and mostly other columns."""
    tables = [recorded_section(state.stages, name, "data") for name, state in states.items()]
    first, last = tables[0], tables[-1]
    columns = [set(table.get("columns") or ()) for table in (first, last)]
    shared = len(columns[0] & columns[1])
    if first.get("target", {}).get("column") == last.get("target", {}).get("column") or 2 * shared > len(columns[1]):
        return
    told = ", ".join(f"{name}: {excerpt(str(table.get('source')))}" for name, table in zip(states, tables, strict=True))
    raise ChurnError(
        f"{' and '.join(states)}: are of different tables ({told}), so they cannot be compared; commit the new one, "
        "and compare later states with it"
    )


def _label(name: str, state: Snapshot) -> str:
    return (
        name
        if name == WORKSPACE or not state.commit or state.commit.startswith(name)
        else f"{name} ({state.commit[:7]})"
    )


def _exclusion_notes(pair: paired.Pair) -> Iterator[str]:
    counts = {
        "only in the old state": pair.only_old,
        "only in the new state": pair.only_new,
        "with different outcomes": pair.contradicted,
    }
    told = [f"{count:,} {why}" for why, count in counts.items() if count]
    if told:
        yield f"; left out: {', '.join(told)}"


def _on_test_rows(states: Mapping[str, Snapshot], old: str, new: str, economics: Economics) -> Confirmation:
    """Both models on the shared test rows, with the same costs; an error does not fail the comparison."""
    try:
        pair = paired.pair_up(
            answers_on_test_rows(states[old], old), answers_on_test_rows(states[new], new), "test rows"
        )
    except ChurnError as error:
        return Confirmation({}, 0, (), str(error))
    differences = paired.paired_differences(pair, economics, resamples=0, seed=SEED)
    figures = {one.name: (one.old, one.new) for one in differences if one.name in TEST_FIGURES}
    return Confirmation(figures, len(pair.churned), tuple(_exclusion_notes(pair)), "")


def _changed_parameters(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    values = [
        {
            key: in_present_terms(value) if key == "business" and isinstance(value, Mapping) else value
            for stage in one.stages.values()
            for key, value in stage.inputs.parameters.get(PARAMS_FILE, {}).items()
        }
        for one in (old, new)
    ]
    for key in {**values[0], **values[1]}:
        for difference in changed_values(key, values[0].get(key), values[1].get(key)):
            yield Change(*difference)


def _changed_inputs(old: Snapshot, new: Snapshot) -> Iterator[str]:
    read = [
        {path: md5 for stage in state.stages.values() for path, md5 in stage.inputs.dependencies.items()}
        for state in (old, new)
    ]
    made = {path for state in (old, new) for stage in state.stages.values() for path in stage.results}
    yield from sorted(
        path for path in {**read[0], **read[1]} if path not in made and read[0].get(path) != read[1].get(path)
    )


def _value_text(value: Any) -> str:
    return "-" if value is None else excerpt(value) if isinstance(value, str) else str(value)
