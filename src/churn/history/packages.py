"""Installed packages that belong to a state in addition to its lock files: other versions, and packages not locked.

There are none if the environment is the locked one and contains the estimator: the lock file describes it completely.
"""

import functools
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK_FORM = re.compile(r"requirements(-\w+)?\.lock")
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)
LOCKED_MODULES = frozenset({"sklearn"})
"""Top-level modules of packages in every lock file of this project, which therefore need no lookup."""


class EstimatorAbsentError(Exception):
    """The estimator's package is not installed."""


def pins_of(lock: str) -> dict[str, set[str]]:
    """Versions that a lock file allows, by name; several if they depend on the platform."""
    pins: dict[str, set[str]] = {}
    for name, pinned in PIN.findall(lock):
        pins.setdefault(canonicalize_name(name), set()).add(pinned)
    return pins


def packages_beside_locks(locks: Iterable[str], estimators: Iterable[str]) -> dict[str, str]:
    """Installed packages that differ from the lock files, and requirements of estimators that no lock file contains.

    Args:
        locks: contents of the lock files that a stage depends on.
        estimators: import paths; none for a stage that neither fits nor loads any.

    Raises:
        EstimatorAbsentError: the package of an estimator is not installed.
    """
    pins: dict[str, set[str]] = {}
    for lock in locks:
        for name, versions in pins_of(lock).items():
            pins.setdefault(name, set()).update(versions)
    installed = _installed_versions()
    other = {name: installed[name] for name, versions in pins.items() if installed.get(name, "") not in {"", *versions}}
    modules = sorted({path.partition(".")[0] for path in estimators})
    needed = dict(itertools.chain.from_iterable(map(_requirements_of, modules)))
    return other | {name: found for name, found in needed.items() if name not in pins}


def distribution_of(module: str) -> str:
    """The distribution that contains a top-level module.

    Raises:
        EstimatorAbsentError: no installed one does.
    """
    found = _distributions().get(module)
    if not found:
        raise EstimatorAbsentError(module)
    return canonicalize_name(sorted(found)[0])


def _requirements_of(module: str) -> Iterator[tuple[str, str]]:
    """Name and version of a module's distribution and of its requirements, recursively."""
    if module in LOCKED_MODULES:
        return
    waiting, met = [distribution_of(module)], set[str]()
    while waiting:
        name = waiting.pop()
        if name in met:
            continue
        met.add(name)
        try:
            yield name, version(name)
        except PackageNotFoundError:  # not needed on this platform, or missing, which its import reports
            continue
        asked = map(Requirement, requires(name) or ())
        waiting += [
            canonicalize_name(one.name) for one in asked if not one.marker or one.marker.evaluate({"extra": ""})
        ]


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@functools.cache
def _installed_versions() -> dict[str, str]:
    """Version of every installed distribution, from folder names, which is much faster than reading metadata.

    If a name occurs twice, the first one on Python's path counts.
    """
    found: dict[str, str] = {}
    for folder in filter(Path.is_dir, map(Path, sys.path)):
        for entry in folder.glob("*.dist-info"):
            name, _, installed = entry.name.removesuffix(".dist-info").partition("-")
            found.setdefault(canonicalize_name(name), installed)
    return found
