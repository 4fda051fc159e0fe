"""A state of the pipeline with its results, from the workspace or from a commit and the DVC cache."""

import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from churn.config.params import PARAMS_FILE, parse_yaml
from churn.errors import ChurnError, excerpt, first_few
from churn.files import METRICS, MODEL, md5_of_bytes
from churn.history import committed, provenance, state, verify
from churn.history.dvc import cache_folder, experiments, path_in_cache, remedy_for_absent
from churn.history.git import (
    CommitSummary,
    GitRefusalError,
    ReadBlob,
    blob_reader,
    commit_of,
    git,
    git_diff,
    git_files,
    last_change,
    unfinished_operation,
)
from churn.history.state import FINGERPRINT_FORM, LOCK_FILE, PIPELINE_FILE, Content, Stage, Stages, content_of
from churn.history.verify import Objection, RecordedStages

log = logging.getLogger(__name__)

WAY_ON = (
    "`git status` shows the conflicts: edit params.yaml and code, keep either side of dvc.lock and metrics/, run "
    "`dvc repro` and `git add --all`, then finish it as git says"
)


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
    """Who ran it, by git's settings; once it is committed, who committed the results."""
    edited_values: tuple[tuple[str, Any, Any], ...] = ()
    """Dotted key of each parameter that differs from the commit, its value there, and its value in this state."""
    git_refusal: str | None = None
    """Why git does not tell the commit of the workspace; None if it does, or if there is no repository."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """md5 by path of results that dvc.lock records for these very inputs, and whose files are not in the folder."""
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
        pipeline = parse_yaml((content or b"").decode(errors="replace"), PIPELINE_FILE)
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
    without_git = Snapshot(
        stages=files,
        counted=frozenset(_stages_that_count(files, known, just_ended, failed)),
        read=lambda path: content_of(root / path),
        commit=None,
        edits=(),
        objection=_objection(known, files) or verify.objection_to_packages(files, known),
        experiment=os.environ.get("DVC_EXP_NAME"),
        baseline=os.environ.get("DVC_EXP_BASELINE_REV"),
        absent=_absent(files, known),
    )
    try:
        return _with_commit(root, without_git, is_running=just_ended is not None)
    except GitRefusalError as error:  # the results are there; `churn sync` adds the commit when git answers again
        return replace(without_git, git_refusal=str(error))


def _with_commit(root: Path, one: Snapshot, *, is_running: bool) -> Snapshot:
    """A state of the workspace, with what git knows of it."""
    user = git(root, "config", "user.name")
    commit = git(root, "rev-parse", "HEAD")
    if commit is None:
        return replace(one, user=user)
    edits = committed.find_edits(root, one.stages)
    if not is_running and not edits and git_diff(root, "--quiet", "HEAD", "--", LOCK_FILE) is not None:
        user = _author(root, commit)
    return replace(
        one,
        commit=commit,
        edits=edits,
        change=last_change(root, commit, committed.inputs_in_git(one.stages)),
        user=user,
        edited_values=committed.edited_values(root, one.stages) if edits else (),
    )


def obstacle_of(root: Path, workspace: Snapshot) -> Objection | None:
    """Why results of the workspace cannot be used, and the step that helps; None also if its files just await a run."""
    if workspace.complete:
        return None
    if objection := objection_to_conflict(root, workspace) or workspace.objection:
        return objection
    if absent := workspace.absent:
        reason = f"the results of this state are recorded in {LOCK_FILE}, but not here: {first_few(list(absent))}"
        if any(map(verify.is_kept_in_git, absent)):
            return Objection(reason, f"`git checkout {METRICS}` restores what git keeps")
        return Objection(reason, remedy_for_absent(root, absent.values()))
    return None


def objection_to_conflict(root: Path, workspace: Snapshot) -> Objection | None:
    """Why results can be of another branch than their inputs: git has stopped at a merge or the like."""
    operation = None if workspace.complete else unfinished_operation(root)
    if operation is None:
        return None
    return Objection(f"git has stopped at a {operation}, so results in this folder can be of either side", WAY_ON)


def require_no_conflict(root: Path) -> None:
    """Check that git has not stopped at a conflict; if it has, that the results are those of the present files anyway.

    Raises:
        ChurnError: it has, and they are not.
    """
    if unfinished_operation(root) and (conflict := objection_to_conflict(root, state_of_workspace(root))):
        raise ChurnError(str(conflict))


def remark_on_figures(root: Path) -> str:
    """What a reader of the recorded figures must know; '' if they and their files are those of the present inputs.

    Raises:
        ChurnError: git has stopped at a conflict, so the figures can be of either side.
    """
    workspace = state_of_workspace(root)
    if conflict := objection_to_conflict(root, workspace):
        raise ChurnError(str(conflict))
    if workspace.complete:
        return ""
    changed = ", ".join(state.edited_parameters(root))
    obstacle = None if changed else obstacle_of(root, workspace)
    if obstacle:
        return str(obstacle)
    return f"these results are out of date: {changed or 'code, data or a package'} changed since; run `dvc repro`"


def why_incomplete(root: Path, workspace: Snapshot) -> Objection:
    """Why an incomplete workspace has no results of its own, and the step that helps."""
    reason = "some of its results do not belong to its parameters, code and data"
    return obstacle_of(root, workspace) or Objection(reason, "run `dvc repro`")


def _absent(files: Stages, known: RecordedStages) -> dict[str, str]:
    """Missing results, if those are all that the files lack of the state in dvc.lock."""
    recorded = {path: md5 for stage in known.stages.values() for path, md5 in stage.results.items()}
    filled = {name: _with_recorded(stage, recorded) for name, stage in files.items()}
    if len(state.stages_of_this_state(filled, state.vouched_stages(filled, known.stages) - set(known.foreign))) < len(
        files
    ):
        return {}
    missing = [path for stage in files.values() for path, md5 in stage.results.items() if md5 is None]
    return {path: md5 for path in missing if (md5 := recorded.get(path))}


def _with_recorded(stage: Stage, recorded: Mapping[str, str | None]) -> Stage:
    """A stage whose missing files are taken to be those that dvc.lock records."""

    def fill(md5s: Mapping[str, str | None]) -> dict[str, str | None]:
        return {path: recorded.get(path) if md5 is None else md5 for path, md5 in md5s.items()}

    return Stage(replace(stage.inputs, dependencies=fill(stage.inputs.dependencies)), fill(stage.results))


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


def commit_named(root: Path, name: str) -> str | None:
    """Commit of a branch, tag, abbreviated commit or DVC experiment; None if there is none.

    Raises:
        ChurnError: several have the name.
    """
    found = commit_of(root, name)
    if found is not None or FINGERPRINT_FORM.fullmatch(name):
        return found
    called = [commit for commit, names in experiments(root).items() if name in names]
    if len(called) > 1:
        raise ChurnError(
            f"{excerpt(name)}: {len(called)} DVC experiments have that name; give the commit of one instead"
        )
    return called[0] if called else None


def state_of_revision(root: Path, name: str) -> Snapshot | None:
    """The state recorded in the dvc.lock of a branch, tag, commit or DVC experiment; None if there is none."""
    commit = commit_named(root, name)
    if commit is None:
        return None
    experiment = name if name in experiments(root).get(commit, ()) else None
    with blob_reader(root) as read_blob:
        return _of_commit(root, commit, experiment, read_blob, functools.cache(lambda: cache_folder(root)))


def state_in_git(root: Path, name: str, model_md5: str | None = None) -> Snapshot | None:
    """Find a state by any of its names in git: branch, tag, commit, DVC experiment or fingerprint.

    Several commits can record the same fingerprint with different results. One with the given model comes first, then
    one in the history of this branch.
    """
    if not FINGERPRINT_FORM.fullmatch(name):
        return state_of_revision(root, name)
    found = [one for one in states_in_git(root) if one.fingerprint == name]  # checked first: a tag can look like one
    if not found:
        return state_of_revision(root, name)
    own = set((git(root, "rev-list", "HEAD") or "").split())
    with_model = [one for one in found if one.results.get(str(MODEL)) == model_md5] or found
    return next((one for one in with_model if one.commit in own), with_model[0])


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
    except GitRefusalError:
        raise
    except Exception:  # no lock, a broken one, or one that lacks a stage: it records no state
        log.debug("%s", commit, exc_info=True)
        return None
    md5s = {path: md5 for stage in stages.values() for path, md5 in stage.results.items()}

    in_git = functools.cache(lambda: git_files(root, commit, {PIPELINE_FILE, PARAMS_FILE, *md5s}))

    def read(path: str) -> bytes | None:
        found = in_git().get(path)
        md5 = md5s.get(path)
        if found is None and md5 is not None:
            found = content_of(path_in_cache(cache(), md5))
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
        user=_author(root, commit),
    )


def _author(root: Path, commit: str | None) -> str | None:
    """Who committed the results of a state: the author of the last commit that changed dvc.lock."""
    found = last_change(root, commit, (LOCK_FILE,)) if commit else None
    return found.author if found else None
