"""A search and its result: as text, as JSON and for MLflow."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn import files
from churn.commands.tune import study
from churn.commands.tune.objectives import JudgingData, Objective, folds_of
from churn.commands.tune.portfolio import Member
from churn.commands.tune.study import EndedTrial, TrialOutcome
from churn.commands.tune.workers import Material
from churn.config.search_space import Candidate, Fixed, Space
from churn.config.yaml_edit import as_diff
from churn.metrics.selection_bias import CorrectedGain
from churn.table.keys import sketch
from churn.texts import aligned
from churn.tracking.trials import CHOSEN_BY, FLATTERY, StudyRow, TrialRow

SHOWN = 5
"""Trials in the table, beside the portfolio."""


@dataclass(frozen=True)
class Search:
    """What is searched, and on which data.

    Attributes:
        text: of params.yaml.
        present: the candidate under `train`, which is to be beaten.
        key: identity of the study: a hash of everything that affects the candidates' values and the trials' order.
        portfolio: configurations of the first trials.
        trials: number of trials, the portfolio and those of earlier searches included.
    """

    root: Path
    text: str
    objective: Objective
    present: Candidate
    tried: Space
    fixed: Fixed
    material: Material
    ground: JudgingData
    key: str
    portfolio: tuple[Member, ...]
    trials: int

    @property
    def estimators(self) -> list[str]:
        """Import paths of all estimators, of the portfolio first."""
        listed = [one.candidate.estimator for one in self.portfolio]
        return list(dict.fromkeys([*listed, *(self.tried if self.trials > len(listed) else ())]))

    def as_text(self) -> str:
        """Text for the terminal."""
        estimators = ", ".join(_short(path) for path in self.estimators)
        listed = len(self.portfolio)
        parts = {f"{listed:,} of the portfolio": listed, f"{self.trials - listed:,} trials": self.trials - listed}
        told = ", then ".join(part for part, count in parts.items() if count)
        return (
            f"searching {estimators} for {self.objective.metric}: {told}, "
            f"{len(folds_of(self.ground))} folds each, study {study.FOLDER / self.key}.db"
        )


@dataclass(frozen=True)
class Result:
    """Result of a search.

    Attributes:
        present: value of the present parameters.
        gain: gain of the best trial, corrected for selection bias; None if no trial is complete.
        flattery: selection bias of the best trial in profit per 1,000 customers; None if no trial is complete.
        new: text of params.yaml with the best candidate; None if none is better than the present one.
    """

    search: Search
    present: float
    ended: tuple[EndedTrial, ...]
    gain: CorrectedGain | None
    flattery: float | None = None
    new: str | None = None

    @property
    def ranking(self) -> list[EndedTrial]:
        """Complete trials, best first; the earlier of equal ones first."""
        complete = [one for one in self.ended if one.value is not None]
        return sorted(complete, key=lambda one: (-value_of(one), one.number))

    @property
    def best(self) -> EndedTrial | None:
        """The best trial, if it is better than the present parameters."""
        return next((one for one in self.ranking[:1] if value_of(one) > self.present), None)

    def is_listed(self, one: EndedTrial) -> bool:
        """Whether a trial is of the portfolio."""
        return one.number < len(self.search.portfolio)

    def counts(self) -> dict[str, int]:
        """Number of trials by outcome."""
        return {outcome: sum(one.outcome is outcome for one in self.ended) for outcome in TrialOutcome}

    def as_json(self) -> str:
        """JSON of the result and all trials."""
        best = self.best
        content = {
            "study": self.search.key,
            "objective": self.search.objective.metric,
            "present": self.present,
            "best": None
            if best is None
            else {"trial": best.number, "value": best.value, **_candidate_fields(best.candidate)},
            "corrected_gain": None if self.gain is None else vars(self.gain),
            "trials": [
                {
                    "trial": one.number,
                    "portfolio": self.is_listed(one),
                    "state": one.outcome,
                    "value": one.value,
                    "folds": len(one.by_fold),
                }
                | {"reason": one.reason, **_candidate_fields(one.candidate)}
                for one in self.ended
            ],
        }
        return files.json_text(content)

    def as_text(self) -> str:
        """Text for the terminal."""
        return "\n".join([*self._summary(), "", *self._table(), *self._offer()])

    def _summary(self) -> Iterator[str]:
        objective, best = self.search.objective, self.best
        form = objective.form
        unit = objective.unit(self.search.ground.economics)
        yield f"present    {self.present:{form}} {unit} ({objective.metric}, out of fold)"
        if best is None:
            yield "best       no trial is better than the present parameters"
        else:
            gained = f"{value_of(best) - self.present:+{form}}"
            yield f"best       {value_of(best):{form}}, trial {best.number}: {gained} on the data that selected it"
        if self.gain is not None:
            yield (
                f"corrected  {self.gain.mean:+{form}} after correction for selection bias, 95% interval "
                f"{self.gain.low:+{form}} to {self.gain.high:+{form}}"
            )
            yield f"           {_verdict(self.gain)}"
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in self.counts().items())
        yield f"trials     {len(self.ended):,}: {told}"

    def _table(self) -> Iterator[str]:
        rows = [("trial", self.search.objective.metric, "from", "estimator", "arguments")]
        for one in self._shown():
            value = one.outcome if one.value is None else f"{one.value:{self.search.objective.form}}"
            source = "portfolio" if self.is_listed(one) else "space"
            rows.append((str(one.number), value, source, _short(one.candidate.estimator), self._arguments(one)))
        yield from aligned(rows, right=(0, 1))

    def _shown(self) -> Iterator[EndedTrial]:
        """The whole portfolio and the best of the other trials, best first."""
        ranking = self.ranking
        best = [one for one in ranking if not self.is_listed(one)][:SHOWN]
        yield from (one for one in ranking if self.is_listed(one) or one in best)
        yield from (one for one in self.ended if self.is_listed(one) and one.value is None)

    def _arguments(self, one: EndedTrial) -> str:
        """All arguments of the portfolio's configurations; else those that the space names."""
        given = one.candidate.arguments
        names = given if self.is_listed(one) else self.search.tried[one.candidate.estimator]
        return ", ".join(f"{name}={given[name]}" for name in names)

    def _offer(self) -> Iterator[str]:
        if self.new is not None:
            yield ""
            yield as_diff(self.search.text, self.new).rstrip("\n")


def value_of(one: EndedTrial) -> float:
    """Value for comparisons; -inf if the trial is not complete."""
    return float("-inf") if one.value is None else one.value


def _short(path: str) -> str:
    return path.rpartition(".")[2]


def _candidate_fields(candidate: Candidate) -> dict[str, Any]:
    return {"estimator": candidate.estimator, "arguments": dict(candidate.arguments)}


def _verdict(gain: CorrectedGain) -> str:
    if not gain.is_clear:
        return "the gain is not significant at the 95% level"
    return (
        "the gain is significant at the 95% level"
        if gain.mean > 0
        else "the search selects parameters that are significantly worse than the present ones"
    )


def as_rows(result: Result) -> StudyRow:
    """The study as plain values for MLflow."""
    search, counts = result.search, result.counts()
    gain = result.gain
    corrected = {} if gain is None else {f"corrected_gain{name}": value for name, value in _bounds(gain)}
    best = result.ranking[0] if result.ranking else None
    highest = {} if best is None else {f"best_{search.objective.metric}": value_of(best)}
    flattery = {} if result.flattery is None else {FLATTERY: result.flattery}
    return StudyRow(
        key=search.key,
        tags={CHOSEN_BY: " ".join(sketch(search.material.rows.index))},
        name=f"{search.objective.metric}-{search.key[:7]}",
        parameters={"objective": search.objective.metric, "estimators": ", ".join(search.estimators)},
        metrics={
            f"present_{search.objective.metric}": result.present,
            **highest,
            **corrected,
            **flattery,
            **{f"{outcome}_trials": float(count) for outcome, count in counts.items()},
        },
        trials=tuple(_row(one, search.objective.metric) for one in result.ended if one.is_final),
    )


def _bounds(gain: CorrectedGain) -> Iterator[tuple[str, float]]:
    yield from (("", gain.mean), ("_low", gain.low), ("_high", gain.high))


def _row(one: EndedTrial, metric: str) -> TrialRow:
    arguments = {f"train.params.{name}": _text(value) for name, value in one.candidate.arguments.items()}
    value = {} if one.value is None else {metric: one.value}
    return TrialRow(
        number=one.number,
        candidate=one.candidate.digest,
        state=one.outcome,
        failed=one.outcome is TrialOutcome.FAILED,
        parameters={"train.estimator": one.candidate.estimator, **arguments},
        metrics={**value, "duration": one.ended - one.started},
        folds=one.by_fold,
        reason=one.reason,
        started=one.started,
        ended=one.ended,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
