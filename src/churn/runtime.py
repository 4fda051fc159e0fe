"""What a process needs to be alone and to be repeatable: the project's lock, threads, and settings for children."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from churn.errors import ChurnError

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""A port that refuses at once: what runs with this setting is not tracked."""

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def at_work_alone(workspace: Path) -> Iterator[None]:
    """Keep a folder from two stages at once: an orphan that outlived its `dvc`, or one in a container beside this one.

    The lock is the kernel's, on the folder itself, so it ends with its process and leaves nothing behind.

    Raises:
        ChurnError: another stage is at work there.
    """
    folder = os.open(workspace, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ChurnError(
            f"{workspace.resolve()}: another stage is at work here; wait until it has ended, then run `dvc repro` again"
        ) from None
    else:
        yield
    finally:
        os.close(folder)


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Hold OpenMP and BLAS to a number of threads: those loaded already, those loaded later, and child processes."""
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, str(threads)))
    with threadpool_limits(threads):
        yield
