"""`churn outcomes`: realised profit, ROC-AUC and calibration of earlier scores, once outcomes are known."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from churn.config.contract import TableContract
from churn.config.params import Params
from churn.errors import ChurnError, DataError
from churn.files import write_text
from churn.history.predictions.log import SECONDS_A_DAY, prediction_blocks
from churn.monitoring import gauges, journal, outcomes, page
from churn.monitoring.models import model_of_fingerprint
from churn.monitoring.reading import days_in, window_of
from churn.monitoring.scores_files import scores_of_file
from churn.runtime import lock
from churn.table import parsing
from churn.table.keys import KEY_DIGITS, sha256_of
from churn.table.parsing import moment_text
from churn.table.reader import read_columns

LOGGED = ("time", "row_key", "fingerprint", "probability", "contact", "shadow_probability", "shadow_fingerprint")


@dataclass(frozen=True)
class Outcomes:
    """The result of `churn outcomes`. The JSON has the attributes as keys.

    Attributes:
        known_until: outcomes are complete before this day.
        listed: keys of customers who are not counted, by reason, at most 20 each.
        repeated_rows: equal rows of the table of outcomes beyond the first.
        models_absent: fingerprints whose state is not here, so that nothing was estimated for them.
    """

    made: str
    table: str
    known_until: str
    window_days: int
    currency: str
    cohorts: tuple[outcomes.Cohort, ...]
    effect: outcomes.ContactEffect | None
    listed: Mapping[str, Sequence[str]]
    repeated_rows: int
    models_absent: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The result as text."""
        yield f"{self.table}: outcomes are complete before {self.known_until}; churn within {self.window_days} days"
        for one in self.cohorts:
            known = f"{one.cohort} {one.model}: {one.customers:,} scored, {one.known_share:.0%} known"
            yield f"{known}{_figures(one, self.currency)}"
            yield from (f"  not counted: {part}" for part in _left_out(one))
            for group in one.groups:
                low, high = group.churned.low, group.churned.high
                yield (
                    f"  {group.name}: {group.customers:,} customers, {group.predicted:.1%} predicted, "
                    f"{group.churned.value:.1%} churned ({low:.1%} to {high:.1%})"
                )
        if self.effect:
            change = self.effect.difference
            yield (
                f"effect of contacts: churn rate {change.value:+.1%} ({change.low:+.1%} to {change.high:+.1%}), "
                f"{self.effect.contacted:,} contacted, {self.effect.held_out:,} held out"
            )
        for reason, keys in self.listed.items():
            yield f"{reason}: {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}"
        if self.repeated_rows:
            yield f"{self.repeated_rows:,} rows of the table repeat an earlier one"
        if self.models_absent:
            yield f"no estimate for models of {', '.join(self.models_absent)}: their states are not here"

    def as_json(self) -> str:
        """JSON of all attributes."""
        return journal.as_json(journal.as_plain(asdict(self)))


def _figures(one: outcomes.Cohort, currency: str) -> str:
    parts = []
    if one.realised_profit and one.estimated_profit:
        real, estimate = one.realised_profit, one.estimated_profit
        parts.append(
            f"realised {real.value:,.0f} {currency} per 1,000 ({real.low:,.0f} to {real.high:,.0f}), estimated "
            f"{estimate.value:,.0f} ({estimate.low:,.0f} to {estimate.high:,.0f})"
        )
    if one.roc_auc and one.calibration_error is not None and one.calibration_error_by_chance is not None:
        area = one.roc_auc
        parts.append(f"ROC-AUC {area.value:.3f} ({area.low:.3f} to {area.high:.3f})")
        parts.append(f"calibration error {one.calibration_error:.3f} (by chance {one.calibration_error_by_chance:.3f})")
    return "".join(f"; {part}" for part in parts)


def _left_out(one: outcomes.Cohort) -> Iterator[str]:
    for count, reason in (
        (one.open, "window not over"),
        (one.unknown, "not in the table of outcomes"),
        (one.contradicting, "contradicting outcomes"),
        (one.left_before, "left before they were scored"),
        (one.scored_again, "scored again in the month"),
    ):
        if count:
            yield f"{count:,} {reason}"


def join(root: Path, table: Path, scores: Sequence[Path], params: Params, known_until: str | None) -> Outcomes:
    """Join outcomes to earlier scores, judge each cohort, and write the files of monitoring.

    Raises:
        ChurnError: data.id or a date is missing, or a file cannot be read.
    """
    with lock(root / journal.LOCK):
        found = _judged(root, table, params, join_scores(table, scores, params, known_until))
        write_text(root / journal.OUTCOMES, f"{found.as_json()}\n")
        plain = json.loads(found.as_json())
        write_text(root / journal.GAUGES_OF_OUTCOMES, gauges.as_text(gauges.gauges_of_outcomes(plain)))
        write_text(root / journal.PAGE, page.render(journal.read_journal(root), plain))
    return found


def join_scores(
    table: Path, scores: Sequence[Path], params: Params, known_until: str | None
) -> outcomes.JoinedOutcomes:
    """Scores of files and logs, each with its outcome.

    Raises:
        ChurnError: data.id or a date is missing, or a file cannot be read.
    """
    identifier, left_column = _required_columns(params)
    listed = _read_outcomes(table, params.data, identifier, left_column)
    until = window_of(None, known_until).until if known_until else _newest(listed["left"], table)
    left, contradicting, repeated = outcomes.settle_outcomes(listed)
    scored = pd.concat([_read_scores(path) for path in scores], ignore_index=True)
    rules = outcomes.OutcomeRules(params.monitor.churn_window_days, until)
    return outcomes.join_outcomes(scored, left, contradicting, rules, repeated)


def _required_columns(params: Params) -> tuple[str, str]:
    if params.data.id is None:
        raise ChurnError(
            "params.yaml: data.id: empty, and a key made of a customer's columns changes when they do, so outcomes "
            "cannot be joined to earlier scores; name the column that identifies a customer, then run `dvc repro`"
        )
    if params.monitor.churn_date_column is None:
        raise ChurnError(
            "params.yaml: monitor.churn_date_column: empty; name the column with the day on which a customer left"
        )
    return params.data.id, params.monitor.churn_date_column


def _read_outcomes(table: Path, contract: TableContract, identifier: str, left_column: str) -> pd.DataFrame:
    """Key of each customer, and the day of leaving, NaN without one."""
    texts = read_columns(table, contract.format, [identifier, left_column])
    names = parsing.known_texts(texts[identifier], contract, identifier)
    if names.isna().any():
        raise DataError(f"{table}: column {identifier!r}: {int(names.isna().sum()):,} rows without an id; correct them")
    days = parsing.known_texts(texts[left_column], contract, left_column)
    left = days_in(days, table, left_column, contract)
    keys = [sha256_of(name)[:KEY_DIGITS] for name in names]
    return pd.DataFrame({"row_key": keys, "left": np.floor(left.to_numpy())})


def _newest(left: pd.Series, table: Path) -> float:
    """The last day of leaving that is over: a later one is a plan, or stands for never."""
    over = left[left <= time.time() / SECONDS_A_DAY]
    if over.empty:
        raise DataError(f"{table}: no customer has left; say with --known-until until which day that is known")
    return float(over.max())


def _judged(root: Path, table: Path, params: Params, joined: outcomes.JoinedOutcomes) -> Outcomes:
    scores = joined.scores
    models, absent = _facts(root, sorted({*scores["fingerprint"].dropna(), *scores["shadow_fingerprint"].dropna()}))
    judge = outcomes.Judge(models, params.business, params.evaluate.calibration_bins)
    return Outcomes(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        table=str(table),
        known_until=moment_text(joined.rules.known_until),
        window_days=joined.rules.window_days,
        currency=params.business.currency,
        cohorts=tuple(outcomes.judge_cohorts(joined, judge)),
        effect=outcomes.contact_effect(joined),
        listed=dict(_listed(scores)),
        repeated_rows=joined.repeated_rows,
        models_absent=tuple(absent),
    )


def _listed(scores: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    for status in (outcomes.UNKNOWN, outcomes.CONTRADICTING, outcomes.LEFT_BEFORE):
        keys = scores.loc[scores["status"] == status, "row_key"].dropna().unique()
        if len(keys):
            yield status, sorted(keys)[: outcomes.MOST_LISTED]


def _read_scores(path: Path) -> pd.DataFrame:
    if not path.is_dir():
        return scores_of_file(path)
    blocks = [block for block, _ in prediction_blocks(path, columns=LOGGED)]
    if not blocks:
        raise ChurnError(f"{path}: holds no predictions")
    logged = pd.concat(blocks, ignore_index=True)
    days = logged["time"].to_numpy(dtype="datetime64[us]").astype(np.int64) / (1e6 * SECONDS_A_DAY)
    return logged.assign(day=days, held_out=False)


def _facts(root: Path, fingerprints: Sequence[str]) -> tuple[dict[str, outcomes.ModelFacts], list[str]]:
    models: dict[str, outcomes.ModelFacts] = {}
    absent: list[str] = []
    for fingerprint in fingerprints:
        try:
            model = model_of_fingerprint(root, fingerprint)
        except ChurnError:
            absent.append(fingerprint)
            continue
        models[fingerprint] = outcomes.ModelFacts(model.reference.calibration, model.threshold)
    return models, absent
