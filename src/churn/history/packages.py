"""Installed packages that belong to a state beside its locks: those of another version, and what no lock holds.

Where the environment is the locked one and the estimator comes from it, there are none: the lock file says it all.
"""

import functools
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
"""Top-level modules that every lock of this project holds, so that nobody need look which package they are of."""


class EstimatorAbsentError(Exception):
    """The estimator's package is not installed here."""


def pins_of(lock: str) -> dict[str, set[str]]:
    """Versions that a lock allows, by name; more than one where they depend on the platform."""
    pins: dict[str, set[str]] = {}
    for name, pinned in PIN.findall(lock):
        pins.setdefault(canonicalize_name(name), set()).add(pinned)
    return pins


def packages_beside_locks(locks: Iterable[str], estimator: str | None) -> dict[str, str]:
    """What is installed otherwise than the locks (their texts) say, and what an estimator needs that none holds.

    Args:
        locks: texts of the lock files that a stage depends on.
        estimator: import path; None for a stage that fits and loads none.

    Raises:
        EstimatorAbsentError: its package is not installed.
    """
    pins: dict[str, set[str]] = {}
    for lock in locks:
        for name, versions in pins_of(lock).items():
            pins.setdefault(name, set()).update(versions)
    installed = _installed_versions()
    other = {name: installed[name] for name, versions in pins.items() if installed.get(name, "") not in {"", *versions}}
    needed = _requirements_of(estimator.partition(".")[0]) if estimator else ()
    return other | {name: found for name, found in needed if name not in pins}


def distribution_of(module: str) -> str:
    """The distribution that a top-level module is of.

    Raises:
        EstimatorAbsentError: none that is installed.
    """
    found = _distributions().get(module)
    if not found:
        raise EstimatorAbsentError(module)
    return canonicalize_name(sorted(found)[0])


def _requirements_of(module: str) -> Iterator[tuple[str, str]]:
    """Name and version of a module's distribution and of all that it requires."""
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
        except PackageNotFoundError:  # not needed on this platform, or missing, which its import says
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
    """Version of every installed distribution, by the names of their folders: milliseconds, where metadata take long.

    Of two by the same name, Python takes the one that comes first on its path.
    """
    found: dict[str, str] = {}
    for folder in filter(Path.is_dir, map(Path, sys.path)):
        for entry in folder.glob("*.dist-info"):
            name, _, installed = entry.name.removesuffix(".dist-info").partition("-")
            found.setdefault(canonicalize_name(name), installed)
    return found
