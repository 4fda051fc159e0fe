"""Processes that evaluate one fold of one candidate at a time: a search uses several cores and survives crashes.

Each job has its own process instead of a pool: if one is killed, its fold is known.
"""

import functools
import multiprocessing
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize, get_temp_dir

import pandas as pd
from sklearn.compose import ColumnTransformer

from churn.config.search_space import Candidate
from churn.drafts import temporary_folder
from churn.errors import OF_THE_MOMENT, ChurnError
from churn.model import cross_validation, estimators
from churn.model.estimators import Keys
from churn.runtime import environment, limited_threads
from churn.types import Floats, Labels

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""For the worker processes: by default, Python would search the current folder for modules first."""
CONTEXT = multiprocessing.get_context("forkserver")
"""Forked from a process that has loaded the libraries and runs no threads: fast and safe."""


LONGEST_TEMPORARY_FOLDER = 50
"""Bytes. The path of a socket has at most 104 on macOS, and two folders and its name take up to 52."""
LAST = -200
"""Order of what multiprocessing does at exit: its own folder is removed at -100."""
SHORT_TEMPORARY_FOLDER = "/tmp"  # noqa: S108 - Python makes a folder in it that only this user can enter


@dataclass(frozen=True)
class Material:
    """Data that a worker needs: training rows, outcomes and folds, and the transformers to be refitted in each fold."""

    rows: pd.DataFrame
    y: Labels
    folds: Labels
    encoders: ColumnTransformer
    scaler: ColumnTransformer
    seed: int
    threads: int


class FoldError(ChurnError):
    """A fold could not be evaluated, because of the candidate."""


class PassingFoldError(FoldError):
    """A fold could not be evaluated, which says nothing about the candidate: its process ended, or memory was short."""


def judge(material: Material, candidate: Candidate, fold: int, named: Keys) -> Floats:
    """Churn probabilities of a fold's customers, by a model that has not seen them.

    Raises:
        ParameterError: the estimator refuses an argument's value.
    """
    classifier = estimators.make_classifier(
        candidate.estimator, candidate.arguments, seed=material.seed, threads=material.threads, named=named
    )
    untrained = cross_validation.untrained_pipeline(material.encoders, material.scaler, classifier)
    return cross_validation.judge_fold(untrained, material.rows, material.y, material.folds == fold, named).probability


class Worker:
    """A process that evaluates folds; it is restarted if it dies."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._start()

    def _start(self) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs, self._material), daemon=True)
        with _deaf_to_ctrl_c():
            self._process.start()
        theirs.close()

    def give(self, candidate: Candidate, fold: int, named: Keys) -> None:
        """Send a fold; `connection` becomes ready when it is evaluated, or when the process has died."""
        try:
            self.connection.send((candidate, fold, named))
        except OSError:  # killed while idle
            self._restart()
            self.connection.send((candidate, fold, named))

    def take(self) -> Floats:
        """Receive the probabilities of the fold.

        Raises:
            FoldError: it could not be evaluated.
        """
        try:
            answer: Floats | FoldError = self.connection.recv()
        except (EOFError, OSError):  # killed before or during its answer
            self._process.join()
            code = self._process.exitcode
            self._restart()
            raise PassingFoldError(
                f"its process ended with exit code {code}{' (out of memory?)' if code == -9 else ''}"
            ) from None
        if isinstance(answer, FoldError):
            raise answer
        return answer

    def _restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def workers(jobs: int, material: Material) -> Iterator[Sequence[Worker]]:
    """Start processes, and kill them when the work is done or interrupted."""
    CONTEXT.set_forkserver_preload(["churn.commands.tune.workers"])
    _make_folder_of_sockets()
    hired: list[Worker] = []
    try:
        with environment(SAFE_PATH):
            hired.extend(Worker(material) for _ in range(jobs))
        yield hired
    finally:
        for one in hired:
            one.stop()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Block SIGINT in processes started here: Ctrl-C reaches the whole group, but only the search handles it."""
    resource_tracker.ensure_running()  # started first, because it unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, material: Material) -> None:
    """Evaluate folds until the other side closes the connection or is killed."""
    with limited_threads(material.threads), warnings.catch_warnings():
        # Warnings of a library about one of many fits (not converged, …) do not help; its value shows the effect.
        warnings.simplefilter("ignore")
        while True:
            try:
                candidate, fold, named = connection.recv()
                connection.send(_answer(material, candidate, fold, named))
            except (EOFError, OSError):
                return


def _answer(material: Material, candidate: Candidate, fold: int, named: Keys) -> Floats | FoldError:
    try:
        return judge(material, candidate, fold, named)
    except ChurnError as error:
        passing = isinstance(error.__cause__, OF_THE_MOMENT)
        return PassingFoldError(str(error)) if passing else FoldError(str(error))
    except OF_THE_MOMENT as error:
        return PassingFoldError(f"{type(error).__name__}: {error}")


@functools.cache
def _make_folder_of_sockets() -> None:
    """Have Python make its folder for sockets of processes where nothing is left for good, and paths are short."""
    given = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TEMPORARY_FOLDER:
        tempfile.tempdir = SHORT_TEMPORARY_FOLDER
    try:
        kept = ExitStack()
        tempfile.tempdir = str(kept.enter_context(temporary_folder("tune")))
        get_temp_dir()  # made once for the process
        Finalize(None, kept.close, exitpriority=LAST)
    finally:
        tempfile.tempdir = given
