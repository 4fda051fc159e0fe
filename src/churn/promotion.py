"""`churn promote` and `churn rollback`: which registered model is the champion.

A model becomes champion when every gate in `gates` lets it in; the ledger keeps every judgement, also refusals.
"""

import fcntl
import logging
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import FixedThresholdClassifier

from churn import artifacts, business, cleaning, decision, features, gates, modeling, paired, space
from churn.business import Economics
from churn.contract import ROW_KEY
from churn.errors import ChurnError, DataError, some_of
from churn.gates import Challenge, Gate, Rival, Selection
from churn.judging import (
    WORKSPACE,
    MissingError,
    content_of,
    economics_of,
    in_git,
    judged_on_test,
    judged_out_of_fold,
    named_state,
    section_of,
    strays_of,
    table_of,
)
from churn.paired import Judged
from churn.params import load_params
from churn.reproduction import EVERY_CIRCUMSTANCE, reproduce
from churn.stages.execution import limited_threads
from churn.tracking import ledger
from churn.tracking.destination import find_destination
from churn.tracking.ledger import CHAMPION, Entry, Judgement, Judges
from churn.tracking.record import COMMIT
from churn.tracking.snapshot import Snapshot, is_kept
from churn.tracking.state import LOCK_FILE
from churn.tracking.sync import connect, row_of
from churn.tracking.vouching import require_names, require_vouched

if TYPE_CHECKING:
    from churn.tracking.registry import Registry

BASELINE = ("sklearn.linear_model.LogisticRegression", {"max_iter": 1000})
"""What the first champion has to beat: the plainest model that tells customers apart."""

SAME_PROBABILITY = 1e-6
"""How far probabilities of one model on two kinds of processors may lie apart."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a promotion, in lines for people."""

    promoted: bool
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A state and what its model said."""

    name: str
    state: Snapshot
    training: Judged
    test: Judged

    @property
    def model_md5(self) -> str:
        """Of its model."""
        return str(self.state.results[str(artifacts.MODEL)])

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of params.yaml as the state was computed with it."""
        return section_of(self.state, self.name, name)

    @property
    def economics(self) -> Economics:
        """The money by which it decided."""
        return economics_of(self.state, self.name)


@dataclass(frozen=True)
class Judging:
    """What the gates say.

    Attributes:
        judges: the rows that judged; empty when none did.
    """

    judges: Judges
    found: tuple[Gate, ...]


def promote(root: Path, revision: str, *, forced: bool, reason: str, trusted: Sequence[str] = ()) -> Outcome:
    """Judge a commit's model against the champion and let it take over if every gate lets it, or by force.

    Models are unpickled, and pipelines run, of this branch's history and of those that are named: by `revision`, or
    in `trusted`.

    Raises:
        ChurnError: the commit holds no whole state, nobody vouches for it, the store is away, what the store gives
            back is not the commit's model, or another promotion came first.
    """
    require_names(root, trusted)
    named = (revision, *trusted)
    challenger = _candidate(root, revision)
    commit = challenger.state.commit
    if revision == WORKSPACE or commit is None or not is_kept(root, commit):
        raise ChurnError(
            f"{revision}: only a commit of a branch or tag can be promoted; "
            "`git commit`, `git branch` or `dvc exp branch` makes it one"
        )
    require_vouched(root, challenger.state, named)
    committed = _committed(root, challenger)
    with _alone(root):
        registry = _registry(root)
        entries = registry.entries()
        present = _present_champion(registry, entries)
        if present is not None and present.judgement.fingerprint == challenger.state.fingerprint:
            return _already(root, registry, present, challenger, named)
        # Before anything is written, so that a fault of the moment leaves nothing behind.
        judged = _judged(root, challenger, registry, present, entries, named, forced=forced)
        row = row_of(root, challenger.state, registry.store, named)
        version = registry.challenge(row, challenger.model_md5, commit)
        found = [committed, *judged.found, _loads(registry, version, challenger)]
        found += _reproduced(root, challenger, found, forced=forced)
        judgement = Judgement(
            outcome=_outcome(found, forced=forced),
            version=version,
            follows=present.id if present else "",
            fingerprint=challenger.state.fingerprint,
            rival=_fingerprint_of(present),
            judges=judged.judges,
        )
        return _carried_out(registry, judgement, present, found, entries, reason=reason)


def _carried_out(
    registry: "Registry",
    judgement: Judgement,
    present: Entry | None,
    found: Sequence[Gate],
    entries: Sequence[Entry],
    *,
    reason: str,
) -> Outcome:
    """Write the judgement down, and let the version take over unless it is refused."""
    lines = tuple(_told(registry, judgement, present, found))
    figures = {f"{gate.name}.{name}": value for gate in found for name, value in gate.figures.items()}
    called = _called(registry, judgement.version)
    if judgement.outcome == ledger.REFUSED:
        if judgement not in [entry.judgement for entry in entries]:
            registry.add(judgement, figures, "\n".join(lines))
        return Outcome(
            False, (*lines, f"refused: {called} stays @challenger; --force --reason promotes it all the same")
        )
    _take_over(registry, registry.add(replace(judgement, reason=reason), figures, "\n".join(lines)))
    by_force = f", by force: {reason}" if judgement.outcome == ledger.FORCED else ""
    return Outcome(True, (*lines, f"promoted: {called} is @champion{by_force}"))


def roll_back(root: Path, reason: str) -> Outcome:
    """Let the champion before the present one be it again.

    Raises:
        ChurnError: there is none, or it was deleted.
    """
    with _alone(root):
        registry = _registry(root)
        present = _present_champion(registry, registry.entries())
        if present is None:
            raise ChurnError(f"{registry.name}: no model was promoted yet, so there is nothing to roll back")
        earlier = ledger.before(ledger.reigns(registry.entries()))
        if earlier is None:
            raise ChurnError(
                f"{_called(registry, present.judgement.version)} was the first champion; there is none to go back to"
            )
        version = earlier.judgement.version
        if registry.version(version) is None:
            raise ChurnError(f"{_called(registry, version)}, the champion before, was deleted in MLflow")
        _require_files(registry, version)
        back = Judgement(
            outcome=ledger.ROLLED_BACK,
            version=version,
            follows=present.id,
            fingerprint=earlier.judgement.fingerprint,
            rival=present.judgement.fingerprint,
            reason=reason,
        )
        _take_over(registry, registry.add(back, {}, reason))
        gone = _called(registry, present.judgement.version)
        return Outcome(True, (f"rolled back: {_called(registry, version)} is @champion again, {gone} is not",))


def _require_files(registry: "Registry", version: str) -> None:
    """See that a version which was judged before can still be loaded.

    Raises:
        ChurnError: its files are gone, or others.
    """
    called = _called(registry, version)
    with registry.downloaded(version) as folder:
        problem = registry.loading_problem(folder, registry.model_md5_of(version) or "")
        if problem and registry.is_of_an_earlier_form(folder):
            log.warning("%s was registered by an earlier version of churn; its bytes are not compared", called)
        elif problem:
            raise ChurnError(f"{called}: {problem}")


def _candidate(root: Path, name: str, model_md5: str | None = None) -> Candidate:
    state = named_state(root, name, model_md5)
    return Candidate(name, state, judged_out_of_fold(state, name), judged_on_test(state, name))


def _present_champion(registry: "Registry", entries: Sequence[Entry]) -> Entry | None:
    """Who made the present champion; what was interrupted is brought to its end, what was done by hand written down."""
    chain = ledger.reigns(entries)
    head = chain[-1] if chain else None
    if head is not None and head.settled is None:
        return _settled(registry)[-1]
    stands = registry.at(CHAMPION)
    if stands is None or (head is not None and head.judgement.version == stands):
        return head
    log.warning("@champion was moved to version %s in MLflow itself", stands)
    by_hand = Judgement(
        outcome=ledger.BY_HAND,
        version=stands,
        follows="" if head is None else head.id,
        fingerprint=registry.fingerprint_of(stands),
    )
    return _take_over(registry, registry.add(by_hand, {}, "moved in MLflow itself"))


def _already(root: Path, registry: "Registry", present: Entry, challenger: Candidate, named: Sequence[str]) -> Outcome:
    """It is the champion; what somebody removed of it is put back."""
    row_of(root, challenger.state, registry.store, named)
    loads = _loads(registry, present.judgement.version, challenger)
    if registry.at(CHAMPION) is None:
        registry.settle(present)  # somebody removed the alias
    return Outcome(True, (loads.told, f"{_called(registry, present.judgement.version)} is @champion already"))


def _loads(registry: "Registry", version: str, challenger: Candidate) -> Gate:
    """Whether users will load what was judged: the version, as MLflow gives it back, is the commit's very file.

    Raises:
        ChurnError: it is not to be had, has other bytes, is to be loaded otherwise, or says something else of the test
            rows. Force does not help: nobody could use it.
    """
    called = _called(registry, version)
    wanted = (artifacts.MODEL, artifacts.TEST_ROWS)
    with (
        registry.downloaded(version) as folder,
        _files_of(challenger, *wanted) as at,
        limited_threads(challenger.section("compute")["threads"]),
    ):
        if problem := registry.loading_problem(folder, challenger.model_md5):
            raise ChurnError(f"{called}: {problem}")
        loaded = _said_by(registry.loaded(folder), at / artifacts.TEST_ROWS)
        own = _said_by(artifacts.read_pickle(at / artifacts.MODEL, {challenger.model_md5}), at / artifacts.TEST_ROWS)
    if not all(one.equals(other) for one, other in zip(loaded, own, strict=True)):
        raise ChurnError(f"{called}: loaded from MLflow, it scores test rows otherwise than the commit's own file")
    written = table_of(challenger.state, challenger.name, artifacts.TEST_PREDICTIONS, index_col=ROW_KEY)["probability"]
    # On another kind of processor last bits differ, and the very same file is the same model there.
    if not np.allclose(loaded[0].loc[written.index], written, rtol=SAME_PROBABILITY, atol=SAME_PROBABILITY):
        raise ChurnError(f"{called}: it scores test rows otherwise than {artifacts.TEST_PREDICTIONS} of the commit")
    return Gate("loads", True, f"loaded from MLflow, it gives {len(written):,} test rows the same bits", {})


def _take_over(registry: "Registry", entry: Entry) -> Entry:
    """Move the alias, unless somebody else's entry came first.

    Raises:
        ChurnError: it did.
    """
    registry.claim(entry)
    chain = _settled(registry)
    if entry.id not in {one.id for one in chain}:
        registry.give_way(entry)
        first = _called(registry, chain[-1].judgement.version)
        raise ChurnError(f"another promotion came first: {first} is @champion now; run this again to be judged by it")
    return chain[-1]


def _settled(registry: "Registry") -> list[Entry]:
    """Let the alias stand at the last champion; once more, where another one came in the meantime. All champions."""
    last = ledger.reigns(registry.entries())[-1]
    while True:
        registry.settle(last)
        chain = ledger.reigns(registry.entries())
        if chain[-1].id == last.id:
            return chain
        last = chain[-1]


def _judged(
    root: Path,
    challenger: Candidate,
    registry: "Registry",
    present: Entry | None,
    entries: Sequence[Entry],
    named: Sequence[str],
    *,
    forced: bool,
) -> Judging:
    """What the gates say of a challenger; one that is closed, where it cannot be judged for good.

    Raises:
        ChurnError: a fault of the moment, such as a store that is away or an edit of params.yaml that is not finished.
    """
    judges = Judges(gates.sketch(challenger.training.churned.index), gates.sketch(challenger.test.churned.index))
    lasting = (DataError, MissingError) if forced else DataError  # who forces does without the judgement
    try:
        attempt = ledger.attempt_of(entries, challenger.state.fingerprint, _fingerprint_of(present), judges)
        selection = _selection(registry, challenger, judges.training)
        return Judging(
            judges, tuple(gates.judge(_challenge(root, challenger, present, attempt, selection, registry, named)))
        )
    except lasting as error:
        return Judging(Judges(), (Gate("can be judged", False, str(error), {}),))


def _fingerprint_of(present: Entry | None) -> str:
    return present.judgement.fingerprint if present else ""


def _outcome(found: Sequence[Gate], *, forced: bool) -> str:
    if all(gate.passed for gate in found):
        return ledger.PROMOTED
    return ledger.FORCED if forced else ledger.REFUSED


def _committed(root: Path, challenger: Candidate) -> Gate:
    """Whether who has the commit has the whole state."""
    commit = (challenger.state.commit or "")[:7]
    strays = strays_of(root, challenger.name, challenger.state)
    if strays.absent:
        told = f"{some_of(strays.absent)}: neither in git nor behind a .dvc file in commit {commit}; add it and commit"
    elif strays.results:
        told = f"{some_of(strays.results)}: not the bytes that {LOCK_FILE} of commit {commit} recorded; commit those"
    else:
        return Gate("committed", True, f"commit {commit} holds the whole state", {})
    return Gate("committed", False, told, {})


def _reproduced(root: Path, challenger: Candidate, found: Sequence[Gate], *, forced: bool) -> list[Gate]:
    """Whether the commit gives the same bytes once more; not tried when another gate keeps it out already."""
    if not forced and not all(gate.passed for gate in found):
        log.info("not reproduced, as another gate is closed")
        return []
    log.info("running the committed state once more, in a clone")
    try:
        results = reproduce(root, EVERY_CIRCUMSTANCE[:1], challenger.state.commit or "")
    except ChurnError as error:
        return [Gate("reproduced", False, str(error), {})]
    return [Gate("reproduced", True, f"{results} results came out again, the same bytes", {"results": results})]


def _selection(registry: "Registry", challenger: Candidate, rows: Sequence[str]) -> Selection | None:
    """Whether `churn tune` tried the challenger by the rows that judge it."""
    train = challenger.section("train")
    return registry.selection(rows, space.Candidate(train["estimator"], train["params"]).digest)


def _challenge(
    root: Path,
    challenger: Candidate,
    present: Entry | None,
    attempt: int,
    selection: Selection | None,
    registry: "Registry",
    named: Sequence[str],
) -> Challenge:
    columns = list(challenger.section("evaluate")["slices"])
    rows = table_of(
        challenger.state, challenger.name, artifacts.TRAIN_ROWS, index_col=ROW_KEY, dtype=str, keep_default_na=False
    )
    training = challenger.training
    return Challenge(
        rivals=_rivals(root, challenger, present, registry, named),
        churned=training.churned.to_numpy(),
        probability=training.probability.to_numpy(),
        slices=rows[columns].apply(lambda column: column.str.removesuffix(".0")),
        economics=challenger.economics,
        folds=challenger.section("train")["folds"],
        attempt=attempt,
        selection=selection,
        calibration_bins=challenger.section("evaluate")["calibration_bins"],
        max_calibration_error=load_params(root).promote.max_calibration_error,
    )


def _rivals(
    root: Path, challenger: Candidate, present: Entry | None, registry: "Registry", named: Sequence[str]
) -> list[Rival]:
    """The champion; before there is one, a plain model and those that take everybody alike."""
    if present is not None:
        champion = _champion(root, present, registry)
        require_vouched(root, champion.state, named, f"the champion (version {present.judgement.version})")
        return [_rival("the champion", champion.training, _said_of_test_rows(champion, challenger), challenger)]
    alike = {"contacting everybody": True, "contacting nobody": False}
    plain = [
        _rival(name, _all_alike(challenger.training, called), _all_alike(challenger.test, called), challenger)
        for name, called in alike.items()
    ]
    if challenger.section("train")["estimator"] == BASELINE[0]:
        return plain
    return [_rival("logistic regression", *_baseline(challenger), challenger), *plain]


def _champion(root: Path, present: Entry, registry: "Registry") -> Candidate:
    fingerprint = present.judgement.fingerprint
    if not fingerprint:
        version = present.judgement.version
        raise DataError(f"version {version}, the champion, was not made by this pipeline, so nobody is judged by it")
    if in_git(root, fingerprint) is None:
        raise DataError(f"no commit of this clone holds the champion's state {fingerprint}; `git fetch` may bring it")
    try:
        return _candidate(root, fingerprint, registry.model_md5_of(present.judgement.version))
    except MissingError:
        raise
    except ChurnError as error:  # it will never be judged
        raise DataError(str(error)) from None


def _said_of_test_rows(champion: Candidate, challenger: Candidate) -> Judged:
    """What the champion says of those test rows of the challenger that it has not learned from.

    They need not have been its own test rows: tables grow, and with a split by time the test moves on.

    Raises:
        DataError: there are none, or its model cannot be loaded, does not take such rows, or fails.
    """
    keys = challenger.test.churned.index
    unseen = keys[~keys.isin(champion.training.churned.index)]
    if unseen.empty:
        raise DataError("the champion has learned from every test row of the challenger, so none of them can judge")
    with _files_of(champion, artifacts.MODEL) as model, _files_of(challenger, artifacts.TEST_ROWS) as rows:
        try:
            asked = artifacts.read_pickle(model / artifacts.MODEL, {champion.model_md5})
            probability, contacted = _said_by(asked, rows / artifacts.TEST_ROWS)
        except Exception as error:  # a pickle runs code, so it can fail in any way
            why = textwrap.shorten(str(error), 200, placeholder="...")
            raise DataError(f"the champion's model cannot judge these rows: {type(error).__name__}: {why}") from error
    return Judged(challenger.test.churned.loc[unseen], probability.loc[unseen], contacted.loc[unseen])


def _said_by(model: FixedThresholdClassifier, rows_file: Path) -> tuple[pd.Series, pd.Series]:
    """Probability and decision of a model for the rows of a table."""
    types = features.column_types(decision.pipeline_of(model).named_steps["encoders"])
    rows = artifacts.read_rows(rows_file, types)
    return (
        pd.Series(decision.churn_probability(model, rows), index=rows.index, name="probability"),
        pd.Series(model.predict(rows) == 1, index=rows.index, name="contact"),
    )


def _rival(name: str, training: Judged, test: Judged, challenger: Candidate) -> Rival:
    return Rival(
        name,
        paired.pair_up(training, challenger.training),
        paired.pair_up(test, challenger.test, "test rows"),
        is_model=training.contacted.nunique() > 1,
    )


def _all_alike(judged: Judged, contacted: bool) -> Judged:
    same = pd.Series(contacted, index=judged.churned.index)
    return Judged(judged.churned, same.astype(float), same)


def _baseline(challenger: Candidate) -> tuple[Judged, Judged]:
    """The plain model, learned from the challenger's training rows: out of fold, and on the test rows."""
    compute, how, economics = challenger.section("compute"), challenger.section("train"), challenger.economics
    with _files_of(challenger, artifacts.ENCODERS, artifacts.SCALER, artifacts.TRAIN_ROWS, artifacts.TEST_ROWS) as at:
        vouched = frozenset(filter(None, challenger.state.results.values()))
        encoders = artifacts.read_pickle(at / artifacts.ENCODERS, vouched)
        scaler = artifacts.read_pickle(at / artifacts.SCALER, vouched)
        types = features.column_types(encoders)
        rows = artifacts.read_rows(at / artifacts.TRAIN_ROWS, types)
        test_rows = artifacts.read_rows(at / artifacts.TEST_ROWS, types)
    churned = challenger.training.churned.loc[rows.index]
    y = churned.to_numpy()
    folds = cleaning.fold_of(rows.index, str(compute["seed"]), how["folds"])
    with limited_threads(compute["threads"]):
        classifier = modeling.make_classifier(*BASELINE, seed=compute["seed"], threads=compute["threads"])
        plain = modeling.untrained_pipeline(encoders, scaler, classifier)
        probability = np.full(len(y), np.nan)
        for fold in np.unique(folds):
            inside = folds == fold
            probability[inside] = modeling.judge_fold(plain, rows, y, inside).probability
        tested = pd.Series(plain.fit(rows, y).predict_proba(test_rows)[:, 1], index=test_rows.index)
    contacted = business.contacted_out_of_fold(y, probability, folds, how["threshold"], economics)
    threshold = business.choose_threshold(y, probability, how["threshold"], economics)
    return (
        Judged(churned, pd.Series(probability, rows.index), pd.Series(contacted, rows.index)),
        Judged(challenger.test.churned.loc[test_rows.index], tested, tested >= threshold),
    )


@contextmanager
def _files_of(challenger: Candidate, *paths: Path) -> Iterator[Path]:
    """A folder that holds some of a state's files."""
    with tempfile.TemporaryDirectory(prefix="churn-promote-") as folder:
        for path in paths:
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content_of(challenger.state, challenger.name, path))
        yield Path(folder)


def _told(registry: "Registry", judgement: Judgement, present: Entry | None, found: Sequence[Gate]) -> Iterator[str]:
    champion = _called(registry, present.judgement.version) if present else "none yet"
    yield f"challenger  {_called(registry, judgement.version)}"
    yield f"champion    {champion}"
    width = max(len(gate.name) for gate in found)
    for gate in found:
        first, *more = gate.told.splitlines()
        yield f"  {'passed' if gate.passed else 'CLOSED'}  {gate.name:<{width}}  {first}"
        yield from (f"          {'':<{width}}  {line}" for line in more)


def _called(registry: "Registry", number: str) -> str:
    """A version by its names."""
    version = registry.version(number)
    commit = version.tags.get(COMMIT, "")[:7] if version else ""
    return f"{registry.name} version {number}{f' (commit {commit})' if commit else ''}"


def _registry(root: Path) -> "Registry":
    store = connect(find_destination(root))
    from churn.tracking import registry  # here: mlflow takes seconds to import

    return registry.open_registry(store)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One promotion of a project at a time on this machine; another one waits, and is judged by what the first did."""
    lock = root / ".churn" / "promotion.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another promotion is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
