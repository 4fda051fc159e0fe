"""Create classifiers from import paths: allowed imports, construction, and error messages."""

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier

from churn.config.nested_estimators import ARGUMENTS, PATH, NestedEstimator, nested_estimator
from churn.errors import ParameterError, excerpt
from churn.types import Labels

SEED_ARGUMENTS = ("random_state", "random_seed", "seed")
THREAD_ARGUMENTS = ("n_jobs", "thread_count", "num_threads", "nthread")

MADE_FOR_SCIKIT_LEARN = frozenset({"catboost"})
"""Estimator packages whose metadata do not list scikit-learn as a requirement."""

NOT_FOR_ESTIMATORS = frozenset({"mlflow", "networkx", "optuna", "skops"})
"""Packages that require scikit-learn but contain no classifiers; importing some of their modules runs programs."""

SCALARS = (bool, int, float, str, type(None))
"""Allowed types of argument values, besides lists and mappings of them."""

WORDS_OF_FILES = frozenset({"borders", "cache", "config", "dir", "directory", "file", "filename", "files", "folder"})
WORDS_OF_FILES |= {"filenames", "machines", "path", "snapshot"}
NAMES_OF_FILES = frozenset({"memory", "input_model", "model_in", "model_input", "model_out", "model_output"})
NAMES_OF_FILES |= {"output_model", "convert_model", "forced_splits", "fs", "machine_list", "mlist", "nodes", "workers"}
"""Rejected arguments that name files or machines, by a word in their name (train_dir, model_path) or by full name
(LightGBM's aliases)."""


@dataclass(frozen=True)
class Keys:
    """Keys of params.yaml for an estimator and its arguments, for error messages."""

    estimator: str
    arguments: str


OF_TRAIN = Keys("train.estimator", "train.params")


def make_classifier(
    path: str, arguments: Mapping[str, Any], *, seed: int, threads: int, named: Keys = OF_TRAIN
) -> BaseEstimator:
    """Create an unfitted classifier from an import path; set seed and threads if its constructor accepts them.

    Arguments can be classifiers and regressors, made in the same way (`config.nested_estimators`). Only modules of
    scikit-learn, and of installed packages that require it, are imported; nothing else is constructed.

    Raises:
        ParameterError: a path cannot be imported, is no classifier with predict_proba, or rejects an argument.
    """
    _require_plain(arguments, named)
    made = _import(path, named)
    if not _is_classifier_class(made):
        raise _refusal_of_class(path, named)
    classifier = _construct(made, path, arguments, Defaults(seed, threads), named)
    with _explain_refusals(path, named):  # what it can do may depend on an estimator in its arguments
        gives_probabilities = is_classifier(classifier) and hasattr(classifier, "predict_proba")
    if not gives_probabilities:
        raise ParameterError(
            f"params.yaml: {named.arguments}: {path} has no predict_proba with these arguments; set those on which it "
            "depends (for example loss: log_loss, voting: soft, an estimator or final_estimator that has it)"
        )
    return classifier


@dataclass(frozen=True)
class Defaults:
    """Seed and threads of estimators to which the user gives none."""

    seed: int
    threads: int


def _construct(made: type, path: str, arguments: Mapping[str, Any], defaults: Defaults, named: Keys) -> BaseEstimator:
    accepted, takes_any = _constructor_arguments(made, named)
    unknown = [name for name in arguments if name not in accepted]
    if unknown and not takes_any:
        raise ParameterError(
            f"params.yaml: {named.arguments}.{unknown[0]}: {path} has no such argument; "
            f"it accepts {', '.join(accepted)}"
        )
    filled = _default_argument(SEED_ARGUMENTS, defaults.seed, accepted, arguments)
    # In scikit-learn, one thread is the default, and some classes warn about any explicit value.
    if defaults.threads > 1 or not made.__module__.startswith("sklearn."):
        filled |= _default_argument(THREAD_ARGUMENTS, defaults.threads, accepted, arguments)
    given = {name: _with_estimators((name,), value, defaults, named) for name, value in arguments.items()}
    with _explain_refusals(path, named):
        return made(**filled, **given)


def _with_estimators(place: tuple[str, ...], value: Any, defaults: Defaults, named: Keys) -> Any:
    """A value in which each description of an estimator is replaced by the estimator."""
    nested = nested_estimator(place, value)
    if nested is not None:
        return _make_nested(nested, defaults, named)
    if isinstance(value, Mapping):
        return {name: _with_estimators((*place, str(name)), one, defaults, named) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_estimators((*place, str(number)), one, defaults, named) for number, one in enumerate(value)]
    return value


def _make_nested(nested: NestedEstimator, defaults: Defaults, named: Keys) -> BaseEstimator:
    here = ".".join((named.arguments, *nested.place))
    keys = Keys(f"{here}.{PATH}", f"{here}.{ARGUMENTS}")
    made = _import(nested.path, keys)
    if not _is_predictor_class(made):
        raise ParameterError(
            f"params.yaml: {keys.estimator}: {nested.path} is neither a classifier nor a regressor; name one, such as "
            "sklearn.svm.LinearSVC"
        )
    return _construct(made, nested.path, nested.arguments, defaults, keys)


def _refusal_of_class(path: str, named: Keys) -> ParameterError:
    return ParameterError(
        f"params.yaml: {named.estimator}: {path} is not a classifier with predict_proba; "
        "use one that predicts probabilities, such as sklearn.ensemble.RandomForestClassifier"
    )


def _default_argument(
    synonyms: Sequence[str], value: int, accepted: Sequence[str], given: Mapping[str, Any]
) -> dict[str, int]:
    """The value under the first synonym that the constructor accepts; empty if the user set any of them."""
    names = [name for name in synonyms if name in accepted]
    return {names[0]: value} if names and not given.keys() & set(synonyms) else {}


def _is_classifier_class(made: type) -> bool:
    """Whether a class declares itself a classifier. Does not call the constructor, which could run any code."""
    says_so = issubclass(made, ClassifierMixin) or getattr(made, "_estimator_type", None) == "classifier"
    return says_so and hasattr(made, "predict_proba")


def _is_predictor_class(made: type) -> bool:
    """Whether a class declares itself a classifier or a regressor; does not call the constructor either."""
    says_so = getattr(made, "_estimator_type", None) in ("classifier", "regressor")
    return says_so or issubclass(made, ClassifierMixin | RegressorMixin)


def _require_nameable(path: str, named: Keys) -> None:
    """Check the import path before the import, since importing a module runs its code."""
    parts = path.split(".")
    top = parts[0]
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise _import_refusal(path, named, "not a dotted path of a module and a class")
    private = [part for part in parts if part.startswith("_")]
    if private:
        raise _import_refusal(path, named, f"{private[0]} is private")
    if top in sys.stdlib_module_names:
        raise _import_refusal(path, named, f"{top} is part of Python, not a package for scikit-learn")
    if top == __name__.partition(".")[0]:
        raise _import_refusal(path, named, f"{top} is this project, not a package for scikit-learn")
    folder = _folder_of(path, top, named)
    if top != "sklearn" and not _is_made_for_scikit_learn(top, folder):
        raise _import_refusal(path, named, f"no installed package for scikit-learn has a module {top!r}")


def _import_refusal(path: str, named: Keys, why: str) -> ParameterError:
    return ParameterError(
        f"params.yaml: {named.estimator}: cannot import {excerpt(path)} ({why}); "
        "give the import path of an installed class, such as sklearn.ensemble.RandomForestClassifier"
    )


def _folder_of(path: str, top: str, named: Keys) -> Path:
    """Site folder of a top-level module; raise if it would be imported from elsewhere."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: already loaded, without a spec
        spec = None
    if spec is None:
        raise _import_refusal(path, named, f"ModuleNotFoundError: No module named {top!r}")
    if spec.origin is None or not spec.has_location:
        raise _import_refusal(path, named, f"{top} is not one installed package")
    origin = Path(spec.origin)
    folder = (origin.parent if spec.submodule_search_locations is None else origin.parent.parent).resolve()
    if folder not in site_folders():
        raise _import_refusal(path, named, f"{origin} is not part of an installed package")
    return folder


def site_folders() -> list[Path]:
    """Folders where packages are installed; excludes the current folder."""
    of_user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(folder).resolve() for folder in (*site.getsitepackages(), *of_user)]


@functools.cache
def _is_made_for_scikit_learn(top: str, folder: Path) -> bool:
    """Whether a distribution with this module requires scikit-learn, also as an extra, according to its metadata."""
    installed = importlib.metadata.distributions(path=[str(folder)])
    return any(_brings(one, top) and _is_for_estimators(one) for one in installed)


def _is_for_estimators(distribution: importlib.metadata.Distribution) -> bool:
    name = canonicalize_name(distribution.name or "")
    requires_it = "scikit-learn" in map(_required_name, distribution.requires or ())
    return name in MADE_FOR_SCIKIT_LEARN or (requires_it and name not in NOT_FOR_ESTIMATORS)


def _brings(distribution: importlib.metadata.Distribution, top: str) -> bool:
    return any(file.parts[0].partition(".")[0] == top for file in distribution.files or ())


def _required_name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:  # malformed metadata of an unrelated package
        return ""


def _require_plain(arguments: Mapping[str, Any], named: Keys) -> None:
    """Check that values are plain data and that no argument names a file."""
    for name, value in arguments.items():
        for key, part in _parts(name, value, (), set()):
            place = f"params.yaml: {named.arguments}.{name}"
            if not isinstance(part, SCALARS):
                what = "itself" if isinstance(part, list | tuple | Mapping) else f"a {type(part).__name__}"
                raise ParameterError(
                    f"{place}: {excerpt(value)} contains {what}; only null, true, false, numbers, texts, and lists and "
                    "mappings of them are accepted"
                )
            if isinstance(part, str) and _names_a_file(key):
                raise ParameterError(
                    f"{place}: {excerpt(value)} names a file to read or write, which is not allowed; remove it"
                )


def _parts(key: str, value: Any, inside: tuple[int, ...], seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield all scalar values with the nearest key above them; yield a container that contains itself unchanged."""
    if isinstance(value, list | tuple | Mapping):
        if id(value) in inside:
            yield key, value
        elif id(value) not in seen:  # YAML aliases may repeat a container many times
            seen.add(id(value))
            named = value.items() if isinstance(value, Mapping) else ((key, one) for one in value)
            for name, one in named:
                yield from _parts(name if isinstance(name, str) else key, one, (*inside, id(value)), seen)
    else:
        yield key, value


def _names_a_file(key: str) -> bool:
    return key in NAMES_OF_FILES or not WORDS_OF_FILES.isdisjoint(key.lower().split("_"))


def _import(path: str, named: Keys) -> type:
    _require_nameable(path, named)
    module, _, name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing a module can raise any exception
        raise _import_refusal(path, named, _one_line(error)) from error
    if not inspect.isclass(made):
        raise ParameterError(f"params.yaml: {named.estimator}: {path!r} is not a class; name a classifier class")
    return made


def _constructor_arguments(made: type, named: Keys) -> tuple[list[str], bool]:
    """Names of the constructor's arguments, and whether it accepts others."""
    try:
        parameters = inspect.signature(made).parameters.values()
    except ValueError:  # a built-in type has no signature
        return [], True
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    if takes_any and issubclass(made, BaseEstimator):
        with _explain_refusals(made.__name__, named):
            names = sorted({*names, *made().get_params()})
    return names, takes_any


def fit_classifier(classifier: BaseEstimator, X: pd.DataFrame, y: Labels, named: Keys = OF_TRAIN) -> BaseEstimator:
    """Fit a copy of a classifier.

    Raises:
        ParameterError: the estimator rejects an argument or the rows.
    """
    with _explain_refusals(type(classifier).__name__, named):
        return clone(classifier).fit(X, y)


@contextmanager
def _explain_refusals(name: str, named: Keys) -> Iterator[None]:
    """Convert any exception to ParameterError, since libraries raise their own types (LightGBMError, CatBoostError)."""
    try:
        yield
    except Exception as error:
        raise ParameterError(f"params.yaml: {named.arguments}: rejected by {name}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
