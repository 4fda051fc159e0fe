"""Processes that judge one fold of one candidate at a time, so that a search uses several cores and outlives a crash.

A process of its own for each job, and not a pool: when one is killed, it is known whose fold it had.
"""

import multiprocessing
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

import pandas as pd
from sklearn.compose import ColumnTransformer

from churn.config.search_space import Candidate
from churn.errors import ChurnError
from churn.model import cross_validation, estimators
from churn.model.estimators import Keys
from churn.runtime import environment, limited_threads
from churn.types import Floats, Labels

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""For the processes that are started: Python would look into the current folder first."""
CONTEXT = multiprocessing.get_context("forkserver")
"""Forked from a process that has loaded the libraries and nothing else: quick, and no thread is cut in two."""


@dataclass(frozen=True)
class Material:
    """What a worker needs to judge: training rows, their outcome and fold, and what has not learned anything yet."""

    rows: pd.DataFrame
    y: Labels
    folds: Labels
    encoders: ColumnTransformer
    scaler: ColumnTransformer
    seed: int
    threads: int


class FoldError(ChurnError):
    """A fold that could not be judged: the candidate is refused."""


class WorkerGoneError(FoldError):
    """Or the process is gone, which says nothing of the candidate."""


def judge(material: Material, candidate: Candidate, fold: int, named: Keys) -> Floats:
    """Probability of churn of a fold's customers by a model that has not seen them.

    Raises:
        ParameterError: the estimator refuses an argument's value.
    """
    classifier = estimators.make_classifier(
        candidate.estimator, candidate.arguments, seed=material.seed, threads=material.threads, named=named
    )
    untrained = cross_validation.untrained_pipeline(material.encoders, material.scaler, classifier)
    return cross_validation.judge_fold(untrained, material.rows, material.y, material.folds == fold, named).probability


class Worker:
    """A process that judges; when it dies, another one takes its place."""

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
        """Hand over a fold; `connection` is ready when it is judged, or never will be."""
        try:
            self.connection.send((candidate, fold, named))
        except OSError:  # killed while it had nothing to do
            self._restart()
            self.connection.send((candidate, fold, named))

    def take(self) -> Floats:
        """The probabilities of the fold that was given.

        Raises:
            FoldError: it could not be judged.
        """
        try:
            answer: Floats | str = self.connection.recv()
        except (EOFError, OSError):  # killed before it answered, or in the middle of it
            self._process.join()
            code = self._process.exitcode
            self._restart()
            raise WorkerGoneError(
                f"its process ended with exit code {code}{' (out of memory?)' if code == -9 else ''}"
            ) from None
        if isinstance(answer, str):
            raise FoldError(answer)
        return answer

    def _restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def workers(jobs: int, material: Material) -> Iterator[Sequence[Worker]]:
    """Some processes, gone when the work is done or broken off."""
    CONTEXT.set_forkserver_preload(["churn.commands.tune.workers"])
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
    """For what is started meanwhile, for good: Ctrl-C reaches the whole group, and the search alone decides."""
    resource_tracker.ensure_running()  # first, since it lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, material: Material) -> None:
    """Judge what comes until the other side is gone, also when it was killed."""
    with limited_threads(material.threads), warnings.catch_warnings():
        # What a library says of one of many fits (not converged, …) tells nobody anything; the value tells.
        warnings.simplefilter("ignore")
        while True:
            try:
                candidate, fold, named = connection.recv()
                connection.send(_answer(material, candidate, fold, named))
            except (EOFError, OSError):
                return


def _answer(material: Material, candidate: Candidate, fold: int, named: Keys) -> Floats | str:
    try:
        return judge(material, candidate, fold, named)
    except ChurnError as error:
        return str(error)
