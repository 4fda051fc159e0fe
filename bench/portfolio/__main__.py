"""What the portfolio of `churn tune` chooses beside 200 tuned trials and scikit-learn's default, on unseen customers.

Run in the project's folder after `dvc repro`: python -m bench.portfolio
Tuned trials take most of the time; their winners are kept in .churn/bench, so an interrupted run goes on.
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.portfolio.encodings import native
from bench.portfolio.families import NAMES, draw
from bench.portfolio.judging import BOOSTING, MONEY, Bench, Judged, differences, tuned
from churn.commands.tune.objectives import OBJECTIVES, JudgingData
from churn.config.params import load_params
from churn.config.search_space import Candidate
from churn.drafts import replacing
from churn.metrics.paired import PairedDifference
from churn.metrics.profit import profit_per_customer
from churn.metrics.scores import PROBABILITY_SCORES, log_losses
from churn.runtime import limited_threads
from churn.types import Floats

KEPT = Path(".churn/bench/portfolio")
DRAW, TRIALS = 2, 200
NEAR = 0.003
"""The aim: on each table a configuration is at most this much below the tuned trials in ROC-AUC."""
DEFAULT = Candidate(BOOSTING, {"early_stopping": False})
METRICS = {"roc_auc": ("ROC-AUC", ".3f"), "pr_auc": ("PR-AUC", ".3f"), "profit_per_1000": ("profit per 1,000", ",.0f")}

HEAD = """\
## A portfolio of configurations

`{command}` prints this page: what `tune.portfolio` gives beside scikit-learn's default boosting and the
best of {trials} tuned trials, on customers that neither saw; `{objective}` chooses, out of fold. Tables are made up
(draw {draw}; the configurations were picked on draw 1), but for the sample: two parts of its training rows. In
brackets: 95% intervals.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What each way of choosing a model gives on a table."""

    name: str
    bench: Bench
    default: Judged
    members: Sequence[Judged]
    searched: Judged
    natively: Judged

    @cached_property
    def ground(self) -> JudgingData:
        """What selects: the training customers in folds."""
        return JudgingData(self.bench.table.training.churned, self.bench.folds, "profit", MONEY)

    def chosen_by(self, objective: str) -> Judged:
        """The configuration with the best out-of-fold value; the earlier of equal ones."""
        return max(self.members, key=lambda one: CRITERIA[objective](self.ground, one.out_of_fold))

    def figure(self, judged: Judged, metric: str) -> float:
        """A metric of the unseen customers."""
        if metric in PROBABILITY_SCORES:
            return judged.scores(self.bench)[metric]
        return 1000 * profit_per_customer(self.bench.table.unseen.churned, judged.answers(self.bench).contacted, MONEY)

    def area(self, judged: Judged) -> float:
        """ROC-AUC of the unseen customers."""
        return self.figure(judged, "roc_auc")

    @property
    def best(self) -> Judged:
        """The configuration that ranks the unseen customers best, which nobody can know."""
        return max(self.members, key=self.area)


def _minus_log_loss(ground: JudgingData, probability: Floats) -> float:
    return -float(log_losses(ground.churned, probability).mean())


CRITERIA: dict[str, Callable[[JudgingData, Floats], float]] = {
    **{name: one.value for name, one in OBJECTIVES.items()},
    **({} if "log_loss" in OBJECTIVES else {"log_loss": _minus_log_loss}),
}


def judge(name: str, number: int, trials: int, listed: Sequence[Candidate]) -> Outcome:
    """Make a table and judge everything on it."""
    bench = Bench(draw(name, number))
    searched = _kept(KEPT / f"{name.replace(' ', '-')}-{number}-{trials}.json", lambda: tuned(bench, trials))
    log.info("%s: tuned", name)
    default, *members = [Judged.of(bench, one) for one in (DEFAULT, *listed)]
    natively = Judged(DEFAULT, default.out_of_fold, native(bench, DEFAULT))
    return Outcome(name, bench, default, members, Judged.of(bench, searched), natively)


def _kept(path: Path, search: Callable[[], Candidate]) -> Candidate:
    if path.exists():
        return Candidate(**json.loads(path.read_text()))
    found = search()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(json.dumps({"estimator": found.estimator, "arguments": dict(found.arguments)}))
    return found


def compared(outcomes: Sequence[Outcome], metric: str, objective: str) -> Iterator[str]:
    """The portfolio's choice beside both others, in one metric."""
    called, form = METRICS[metric]
    yield f"| {called} | training rows | default | portfolio | tuned | portfolio − default | portfolio − tuned |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in outcomes:
        chosen = one.chosen_by(objective)
        default, searched = (differences(one.bench, old, chosen)[metric] for old in (one.default, one.searched))
        rows = len(one.bench.table.training.churned)
        values = " | ".join(f"{value:{form}}" for value in (default.old, default.new, searched.old))
        yield f"| {one.name} | {rows:,} | {values} | {_told(default, form)} | {_told(searched, form)} |"


def _told(one: PairedDifference, form: str) -> str:
    signed = f"+{form}"
    return f"{one.difference:{signed}} [{one.low:{signed}} to {one.high:{signed}}]"


def covered(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Whether the portfolio has a configuration for each table."""
    yield f"| ROC-AUC | best configuration | of | tuned | below tuned | at most {NEAR} |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in outcomes:
        best, searched = one.area(one.best), one.area(one.searched)
        met = "yes" if searched - best <= NEAR else "no"
        place = next(place for place, judged in enumerate(one.members) if judged is one.best)
        yield f"| {one.name} | {place} | {best:.4f} | {searched:.4f} | {searched - best:+.4f} | {met} |"


def selected(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What each criterion loses against the best configuration of each metric, on average over the tables."""
    yield "| chosen by | ROC-AUC lost | largest | PR-AUC lost | profit per 1,000 lost |"
    yield "| --- | --- | --- | --- | --- |"
    for criterion in CRITERIA:
        lost: dict[str, list[float]] = {
            metric: [_lost(one, one.chosen_by(criterion), metric) for one in outcomes] for metric in METRICS
        }
        areas, precisions, profits = lost.values()
        yield (
            f"| {criterion} | {np.mean(areas):.4f} | {max(areas):.4f} | {np.mean(precisions):.4f} "
            f"| {np.mean(profits):,.0f} |"
        )


def _lost(one: Outcome, chosen: Judged, metric: str) -> float:
    value = {id(judged): one.figure(judged, metric) for judged in one.members}
    return max(value.values()) - value[id(chosen)]


def encoded(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Native handling of gaps and labels by scikit-learn's default, minus the pipeline's encoding."""
    yield "| ROC-AUC | one-hot and median | native | native − one-hot |"
    yield "| --- | --- | --- | --- |"
    for one in outcomes:
        found = differences(one.bench, one.default, one.natively)["roc_auc"]
        yield f"| {one.name} | {found.old:.4f} | {found.new:.4f} | {_told(found, '.4f')} |"


def main() -> None:
    """Judge, and print the tables."""
    logging.basicConfig(format="bench: %(message)s", stream=sys.stderr, level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--draw", type=int, default=DRAW, help="another number makes other tables of the same families")
    parser.add_argument("--tables", nargs="+", default=NAMES, choices=NAMES)
    given = parser.parse_args()
    params = load_params(Path())
    listed = [one.candidate for one in params.tune.portfolio]
    with limited_threads(1):
        outcomes = [judge(name, given.draw, given.trials, listed) for name in given.tables]
    command = shlex.join(["python", "-m", "bench.portfolio", *sys.argv[1:]])
    print(HEAD.format(command=command, trials=given.trials, objective=params.tune.objective, draw=given.draw))
    parts = [
        *(compared(outcomes, metric, params.tune.objective) for metric in METRICS),
        covered(outcomes),
        selected(outcomes),
        encoded(outcomes),
    ]
    print("\n\n".join("\n".join(part) for part in parts))


if __name__ == "__main__":
    main()
