"""A state of the pipeline with its results, from the workspace or from a commit and the DVC cache."""

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from churn.config.params import PARAMS_FILE, parse_yaml
from churn.files import md5_of_bytes
from churn.history import committed, provenance, state, verify
from churn.history.dvc import cache_folder, experiments
from churn.history.git import CommitSummary, ReadBlob, blob_reader, commit_of, git, git_files, last_change
from churn.history.state import LOCK_FILE, PIPELINE_FILE, Content, Stages, content_of
from churn.history.verify import Objection, RecordedStages

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The stages of a state, and access to its files."""

    stages: Stages
    counted: frozenset[str]
    """Stages whose results belong to this state."""
    read: Content
    commit: str | None
    edits: tuple[str, ...]
    """Inputs that differ from the commit; results are not compared."""
    experiment: str | None = None
    """Name of the DVC experiment."""
    baseline: str | None = None
    objection: Objection | None = None
    """Why existing results do not belong to the inputs; None if nothing contradicts them."""
    change: CommitSummary | None = None
    """The commit that last changed an input; of a DVC experiment its own commit."""
    user: str | None = None
    """Who ran it, by git's settings; of a commit its author."""
    edited_values: tuple[tuple[str, Any, Any], ...] = ()
    """Dotted key of each parameter that differs from the commit, its value there, and its value in this state."""
    results: Mapping[str, str | None] = field(init=False)
    """md5 of the results that belong to this state, by path."""

    def __post_init__(self) -> None:
        """Collect the results."""
        results = {path: md5 for name in self.counted for path, md5 in self.stages[name].results.items()}
        object.__setattr__(self, "results", results)

    @property
    def is_edited(self) -> bool:
        """Whether the results were computed from inputs that differ from the commit or are not in it."""
        return bool(self.edits)

    @property
    def fingerprint(self) -> str:
        """Identity of the experiment."""
        return state.fingerprint(self.stages)

    @property
    def platform(self) -> str | None:
        """Where its results were computed; None in old states."""
        paths = {provenance.path_of(name) for name in self.counted}.intersection(self.results)
        named = {provenance.platform_in(self.read(path)) for path in paths}
        return ", ".join(sorted(filter(None, named))) or None

    @property
    def complete(self) -> bool:
        """Whether the results of every stage belong to this state."""
        return self.counted == set(self.stages)

    def results_called(self, kind: str) -> set[str]:
        """Paths of the results that dvc.yaml declares as `kind`: metrics or plots."""
        content = self.read(PIPELINE_FILE)
        pipeline = parse_yaml((content or b"").decode(), PIPELINE_FILE)
        return state.results_of_kind(kind, pipeline).intersection(self.results)


def state_of_workspace(root: Path, just_ended: str | None = None, *, failed: bool = False) -> Snapshot:
    """The state of the workspace, after the stage `just_ended` if one is given.

    Only results of that stage and those that dvc.lock records for the present inputs count, so none belongs to another
    state.

    Raises:
        UnidentifiedError: the files identify no experiment.
    """
    files = state.stages_from_files(root)
    known = verify.recorded_stages_of_workspace(root)
    commit = git(root, "rev-parse", "HEAD")
    edits = () if commit is None else committed.find_edits(root, files)
    return Snapshot(
        stages=files,
        counted=frozenset(_stages_that_count(files, known, just_ended, failed)),
        read=lambda path: content_of(root / path),
        commit=commit,
        edits=edits,
        objection=_objection(known, files) or verify.objection_to_packages(files, known),
        experiment=os.environ.get("DVC_EXP_NAME"),
        baseline=os.environ.get("DVC_EXP_BASELINE_REV"),
        change=None if commit is None else last_change(root, commit, committed.inputs_in_git(files)),
        user=git(root, "config", "user.name"),
        edited_values=committed.edited_values(root, files) if edits else (),
    )


def _stages_that_count(files: Stages, known: RecordedStages, ended: str | None, failed: bool) -> set[str]:
    vouched = state.vouched_stages(files, known.stages).difference(known.foreign)
    if ended is None:
        return state.stages_of_this_state(files, vouched)
    if ended not in files:
        raise state.UnidentifiedError(f"{PIPELINE_FILE}: no stage {ended}, so this run belongs to no experiment")
    counted = state.stages_of_this_state(files, vouched | {ended})
    if ended not in counted:
        raise state.UnidentifiedError(f"{ended} read results of another state; run `dvc repro` to recompute them")
    return state.stages_of_this_state(files, vouched - {ended}) if failed else counted


def _objection(known: RecordedStages, stages: Stages) -> Objection | None:
    objections = (known.objection(name) for name in stages if name in known.stages)
    return next(filter(None, objections), None)


def states_in_git(root: Path) -> Iterator[Snapshot]:
    """States recorded in a dvc.lock of a commit or DVC experiment: this branch's first, then the others, oldest first.

    Only results with the recorded md5 count.
    """
    names = {commit: names[0] for commit, names in experiments(root).items()}
    those = ("--reverse", "--format=%H", "--", LOCK_FILE)
    own, others = git(root, "log", "HEAD", *those) or "", git(root, "log", "--all", *those) or ""
    commits = dict.fromkeys([*own.split(), *others.split()])
    cache = functools.cache(lambda: cache_folder(root))
    with blob_reader(root) as read_blob:
        for commit in [*(one for one in commits if one not in names), *names]:
            snapshot = _of_commit(root, commit, names.get(commit), read_blob, cache)
            if snapshot is not None:
                yield snapshot


def state_of_revision(root: Path, revision: str) -> Snapshot | None:
    """The state recorded in the dvc.lock of a revision; None if there is none."""
    commit = commit_of(root, revision)
    if commit is None:
        return None
    with blob_reader(root) as read_blob:
        return _of_commit(root, commit, None, read_blob, functools.cache(lambda: cache_folder(root)))


def is_on_branch_or_tag(root: Path, commit: str) -> bool:
    """Whether a branch or tag contains a commit; a DVC experiment has no branch until you create one."""
    return bool(
        git(root, "for-each-ref", "--count=1", f"--contains={commit}", "refs/heads", "refs/remotes", "refs/tags")
    )


def _of_commit(
    root: Path, commit: str, name: str | None, read_blob: ReadBlob, cache: Callable[[], Path]
) -> Snapshot | None:
    recorded = read_blob(commit, LOCK_FILE)
    if recorded is None:
        return None
    try:
        declared = parse_yaml((read_blob(commit, PIPELINE_FILE) or b"").decode(), PIPELINE_FILE)["stages"]
        lock = parse_yaml(recorded.decode(), LOCK_FILE)
        known = verify.recorded_stages(lock, functools.partial(read_blob, commit), declared)
        stages = {name: known.stages[name] for name in declared}  # dvc.lock can also contain renamed stages
        state.fingerprint(stages)
    except Exception:  # no lock, a broken one, or one that lacks a stage: it records no state
        log.debug("%s", commit, exc_info=True)
        return None
    md5s = {path: md5 for stage in stages.values() for path, md5 in stage.results.items()}

    in_git = functools.cache(lambda: git_files(root, commit, {PIPELINE_FILE, PARAMS_FILE, *md5s}))

    def read(path: str) -> bytes | None:
        found = in_git().get(path)
        md5 = md5s.get(path)
        if found is None and md5 is not None:
            found = content_of(cache() / "files" / "md5" / md5[:2] / md5[2:])
        return found if md5 is None or found is None or md5_of_bytes(found) == md5 else None

    baseline = git(root, "rev-parse", f"{commit}^") if name else None
    change = last_change(root, commit, () if name else committed.inputs_in_git(stages))
    return Snapshot(
        stages,
        frozenset(name for name in stages if not known.objection(name)),
        read,
        commit,
        edits=(),
        experiment=name,
        baseline=baseline,
        objection=_objection(known, stages),
        change=change,
        user=change.author if change else None,
    )
