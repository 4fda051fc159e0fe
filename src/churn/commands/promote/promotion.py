"""`churn promote` and `churn rollback`: choose the registered model that is the champion.

A model becomes the champion when all gates in `gates` pass. The ledger keeps every judgement, including refusals.
"""

import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from churn import files
from churn.commands.promote import gates
from churn.commands.promote.by_outcomes import OutcomeEvidence, live_challenge, live_scores
from churn.commands.promote.challenger import (
    JudgedState,
    is_committed,
    is_reproducible,
    judge_state,
    keep_commit,
    loads_from_registry,
    name_of_version,
    named_version,
)
from churn.commands.promote.gates import Challenge, Gate
from churn.commands.promote.outcomes import ALREADY_CHAMPION, PromotionOutcome, RollbackOutcome
from churn.commands.promote.rivals import rivals_of
from churn.commands.promote.succession import present_champion, take_over, version_of
from churn.config import search_space
from churn.config.params import load_params
from churn.errors import ChurnError, DataError
from churn.history.predictions.of_states import WORKSPACE, MissingError, content_of
from churn.history.snapshot import is_on_branch_or_tag
from churn.history.vouching import require_names, require_vouched
from churn.runtime import is_locked, lock
from churn.table.keys import sketch
from churn.texts import aligned
from churn.tracking import ledger
from churn.tracking.destination import find_destination
from churn.tracking.ledger import CHAMPION, Entry, Judgement, Judges, absence
from churn.tracking.sync import connection, row_of
from churn.tracking.trials import Selection
from churn.types import ROW_KEY

if TYPE_CHECKING:
    from churn.tracking.store.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateReport:
    """Result of the gates.

    Attributes:
        judges: rows used in the evaluation; empty without one.
    """

    judges: Judges
    found: tuple[Gate, ...]


def promote(
    root: Path,
    revision: str,
    *,
    forced: bool,
    reason: str,
    trusted: Sequence[str] = (),
    by_outcomes: OutcomeEvidence | None = None,
) -> PromotionOutcome:
    """Evaluate a commit's model against the champion, and promote it if all gates pass or if `forced`.

    With `by_outcomes`, profit and calibration are those of customers whom both models scored before their outcome.

    Models are unpickled and pipelines run only from the history of this branch, of `revision` and of `trusted`.

    Raises:
        ChurnError: the commit has no complete state or is not trusted, the store is unavailable, the registered model
            is not the commit's, or another promotion came first.
    """
    require_names(root, trusted)
    named = (revision, *trusted)
    challenger = judge_state(root, revision)
    commit = challenger.state.commit
    if revision == WORKSPACE or commit is None or not is_on_branch_or_tag(root, commit):
        raise ChurnError(
            f"{revision}: only a commit of a branch or tag can be promoted; "
            "`git commit`, `git branch` or `dvc exp branch` makes it one"
        )
    require_vouched(root, challenger.state, named)
    committed = is_committed(root, challenger)
    with _alone(root), _registry(root) as registry:
        entries = registry.entries()
        present = present_champion(registry, entries)
        if present is not None and present.judgement.fingerprint == challenger.state.fingerprint:
            return _confirm_champion(root, registry, present, challenger, named)
        # Before anything is written, so that a temporary error leaves nothing behind.
        judged = (
            _judge(root, challenger, registry, present, entries, named, forced=forced)
            if by_outcomes is None
            else _judge_by_outcomes(root, challenger, present, entries, by_outcomes)
        )
        row = row_of(root, challenger.state, registry.store, named)
        version = registry.challenge(row, challenger.model_md5, commit)
        found = [committed, *judged.found, loads_from_registry(registry, version, challenger)]
        found += is_reproducible(root, challenger, found, forced=forced)
        judgement = Judgement(
            outcome=_outcome(found, forced=forced),
            version=version,
            follows=present.id if present else "",
            fingerprint=challenger.state.fingerprint,
            rival=_fingerprint_of(present),
            model=challenger.model_md5,
            judges=judged.judges,
        )
        if judgement.outcome != ledger.REFUSED:
            keep_commit(root, commit)
        return _carry_out(registry, judgement, present, found, entries, reason=reason)


def _carry_out(
    registry: "Registry",
    judgement: Judgement,
    present: Entry | None,
    found: Sequence[Gate],
    entries: Sequence[Entry],
    *,
    reason: str,
) -> PromotionOutcome:
    """Add the judgement to the ledger, and make the version the champion unless it is refused."""
    lines = tuple(_report_lines(registry, judgement, present, found))
    figures = {f"{gate.name}.{name}": value for gate in found for name, value in gate.figures.items()}
    called = named_version(registry, judgement.version)
    outcome = functools.partial(
        PromotionOutcome,
        outcome=judgement.outcome,
        version=judgement.version,
        fingerprint=judgement.fingerprint,
        challenger=called,
        champion=version_of(registry, present) if present else None,
        gates=tuple(found),
        reason=reason,
    )
    if judgement.outcome == ledger.REFUSED:
        if judgement not in [entry.judgement for entry in entries]:
            registry.add(judgement, figures, "\n".join(lines))
        return outcome(False, (*lines, f"not promoted: {called} stays @challenger; override with --force --reason"))
    take_over(registry, registry.add(replace(judgement, reason=reason), figures, "\n".join(lines)))
    by_force = f", by force: {reason}" if judgement.outcome == ledger.FORCED else ""
    return outcome(True, (*lines, f"promoted: {called} is @champion{by_force}"))


def roll_back(root: Path, reason: str) -> RollbackOutcome:
    """Restore the previous champion.

    Raises:
        ChurnError: there is none, or it was deleted in MLflow.
    """
    with _alone(root), _registry(root) as registry:
        present = present_champion(registry, registry.entries())
        if present is None:
            raise ChurnError(f"{registry.name}: no model was promoted yet, so there is nothing to roll back")
        earlier = ledger.before(ledger.reigns(registry.entries()))
        if earlier is None:
            raise ChurnError(f"{version_of(registry, present)} was the first champion; there is none to go back to")
        version = registry.number_of(earlier)
        if version is None:
            raise ChurnError(f"not rolled back: {absence(registry.name, earlier.judgement)}")
        _require_files(registry, version)
        back = Judgement(
            outcome=ledger.ROLLED_BACK,
            version=version,
            follows=present.id,
            fingerprint=earlier.judgement.fingerprint,
            model=registry.identity_of(version),
            rival=present.judgement.fingerprint,
            reason=reason,
        )
        take_over(registry, registry.add(back, {}, reason))
        again, gone = named_version(registry, version), version_of(registry, present)
        return RollbackOutcome(
            (f"rolled back: {again} is @champion again, {gone} is not",),
            outcome=back.outcome,
            version=version,
            fingerprint=back.fingerprint,
            champion=again,
            replaced=gone,
            reason=reason,
        )


def _require_files(registry: "Registry", version: str) -> None:
    """Check that an earlier version can still be loaded.

    Raises:
        ChurnError: its files are missing or have changed.
    """
    called = name_of_version(registry, version)
    with registry.download(version) as folder:
        problem = registry.loading_problem(folder, registry.model_md5_of(version) or "")
        if problem and registry.is_of_an_earlier_form(folder):
            log.warning("%s was registered by an earlier version of churn; its bytes are not compared", called)
        elif problem:
            raise ChurnError(f"{called}: {problem}")


def _confirm_champion(
    root: Path, registry: "Registry", present: Entry, challenger: JudgedState, named: Sequence[str]
) -> PromotionOutcome:
    """The model is the champion already; restore what was deleted of it."""
    row = row_of(root, challenger.state, registry.store, named)
    number = registry.at(CHAMPION) or registry.number_of(present)
    if number is None or not registry.has_model(number):
        number = registry.challenge(row, challenger.model_md5, challenger.state.commit or "")
    loads = loads_from_registry(registry, number, challenger)
    if registry.at(CHAMPION) != number:
        registry.settle(present, number)
    keep_commit(root, challenger.state.commit or "")
    called = named_version(registry, number)
    return PromotionOutcome(
        True,
        (loads.explanation, f"{called} is @champion already"),
        outcome=ALREADY_CHAMPION,
        version=called.version,
        fingerprint=challenger.state.fingerprint,
        challenger=called,
        champion=called,
        gates=(loads,),
        reason="",
    )


def _judge(
    root: Path,
    challenger: JudgedState,
    registry: "Registry",
    present: Entry | None,
    entries: Sequence[Entry],
    named: Sequence[str],
    *,
    forced: bool,
) -> GateReport:
    """Evaluate the gates; if the challenger can never be evaluated, that is one closed gate.

    Raises:
        ChurnError: a temporary error, such as an unavailable store or an unfinished edit of params.yaml.
    """
    judges = Judges(sketch(challenger.training.churned.index), sketch(challenger.test.churned.index))
    lasting = (DataError, MissingError) if forced else DataError  # --force does not need the evaluation
    try:
        attempt = ledger.attempt_of(entries, challenger.state.fingerprint, _fingerprint_of(present), judges)
        selection = _selection(registry, challenger, judges.training)
        return GateReport(
            judges, tuple(gates.judge(_challenge(root, challenger, present, attempt, selection, registry, named)))
        )
    except lasting as error:
        return GateReport(Judges(), (Gate("can be judged", False, str(error), {}),))


def _judge_by_outcomes(
    root: Path, challenger: JudgedState, present: Entry | None, entries: Sequence[Entry], evidence: OutcomeEvidence
) -> GateReport:
    """Evaluate the same gates on customers of the champion whom the challenger scored in shadow.

    Raises:
        ChurnError: there is no champion, or too little is known.
    """
    if present is None:
        raise ChurnError("--by-outcomes: there is no champion yet, so none has decided; promote a first one without it")
    champion = _fingerprint_of(present)
    found = live_scores(evidence, load_params(root), challenger, champion)
    judges = Judges(sketch(found.pair.keys))
    attempt = ledger.attempt_of(entries, challenger.state.fingerprint, champion, judges)
    return GateReport(judges, tuple(gates.judge(live_challenge(root, found, challenger, attempt))))


def _fingerprint_of(present: Entry | None) -> str:
    return present.judgement.fingerprint if present else ""


def _outcome(found: Sequence[Gate], *, forced: bool) -> str:
    if all(gate.passed for gate in found):
        return ledger.PROMOTED
    return ledger.FORCED if forced else ledger.REFUSED


def _selection(registry: "Registry", challenger: JudgedState, rows: Sequence[str]) -> Selection | None:
    """The search of `churn tune` that tried the challenger on the same rows, if any."""
    train = challenger.section("train")
    return registry.selection(rows, search_space.Candidate(train["estimator"], train["params"]).digest)


def _challenge(
    root: Path,
    challenger: JudgedState,
    present: Entry | None,
    attempt: int,
    selection: Selection | None,
    registry: "Registry",
    named: Sequence[str],
) -> Challenge:
    columns = list(challenger.section("evaluate")["slices"])
    content = content_of(challenger.state, challenger.name, files.TRAIN_ROWS)
    texts = dict.fromkeys([ROW_KEY, *columns], "str")
    rows = files.table_in(content, f"{challenger.name}: {files.TRAIN_ROWS}", texts).set_index(ROW_KEY)[columns]
    training = challenger.training
    return Challenge(
        rivals=rivals_of(root, challenger, present, registry, named),
        churned=training.churned.to_numpy(),
        probability=training.probability.to_numpy(),
        slices=rows.fillna("").apply(lambda column: column.str.removesuffix(".0")),
        economics=challenger.economics,
        folds=challenger.section("train")["folds"],
        attempt=attempt,
        selection=selection,
        calibration_bins=challenger.section("evaluate")["calibration_bins"],
        max_calibration_error=load_params(root).promote.max_calibration_error,
    )


def _report_lines(
    registry: "Registry", judgement: Judgement, present: Entry | None, found: Sequence[Gate]
) -> Iterator[str]:
    champion = version_of(registry, present) if present else "none yet"
    yield f"challenger  {name_of_version(registry, judgement.version)}"
    yield f"champion    {champion}"
    yield from (f"  {line}" for line in aligned([row for gate in found for row in _rows_of(gate)]))


def _rows_of(gate: Gate) -> Iterator[tuple[str, str, str]]:
    first, *more = gate.explanation.splitlines()
    yield "passed" if gate.passed else "CLOSED", gate.name, first
    yield from (("", "", line) for line in more)


@contextmanager
def _registry(root: Path) -> Iterator["Registry"]:
    with connection(find_destination(root)) as store:
        from churn.tracking.store import registry  # here: mlflow takes seconds to import

        yield registry.open_registry(store)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Allow one promotion of a project at a time on this machine; another one waits, then meets the new champion."""
    path = root / ".churn" / "promotion.lock"
    if is_locked(path):
        log.info("another promotion is running here; waiting for it")
    with lock(path):
        yield
