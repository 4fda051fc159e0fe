"""Any classifier by import path, and nothing else."""

import datetime
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from churn.config.contract import TableContract
from churn.errors import ParameterError, excerpt
from churn.model import estimators
from churn.model.cross_validation import judge_out_of_fold
from churn.model.estimators import Keys, fit_classifier, make_classifier
from churn.types import Labels
from tests.helpers.pipelines import LITTLE_EFFORT, ConstantClassifier, pipeline

FOREST = "sklearn.ensemble.RandomForestClassifier"
UNUSABLE = "is not a classifier with predict_proba; use one that predicts probabilities, such as "

IN_TUNE = Keys("tune.space.it", "tune.space.it")


class LibraryError(Exception):
    """As LightGBMError and CatBoostError are: no ValueError."""


class LikeXGBoost(ConstantClassifier):
    """Few arguments in the signature, the rest in **kwargs and get_params."""

    def __init__(self, *, depth: int = 3, **kwargs: Any) -> None:
        self.depth = depth
        self.kwargs = kwargs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"depth": self.depth, "random_state": None, "n_jobs": None, **self.kwargs}


class LikeLightGBM(ConstantClassifier):
    """All arguments in the signature, aliases of them in **kwargs, an exception of its own at fit."""

    def __init__(
        self, num_leaves: int = 31, random_state: int | None = None, n_jobs: int | None = None, **kwargs: Any
    ) -> None:
        self.num_leaves = num_leaves
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.kwargs = kwargs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("num_leaves", "random_state", "n_jobs")} | self.kwargs

    def fit(self, X: pd.DataFrame, y: Labels) -> Self:
        if self.num_leaves < 2:
            raise LibraryError(f"Check failed: (num_leaves) > (1) at config.cpp,\nnum_leaves={self.num_leaves}")
        super().fit(X, y)
        return self


class LikeCatBoost(ConstantClassifier):
    """Two names for one argument, and an exception of its own when both are given."""

    def __init__(
        self, random_seed: int | None = None, random_state: int | None = None, thread_count: int | None = None
    ) -> None:
        if random_seed is not None and random_state is not None:
            raise LibraryError("only one of the parameters random_seed, random_state should be initialized")
        self.random_seed = random_seed
        self.random_state = random_state
        self.thread_count = thread_count


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a module where packages are installed, with metadata as pip leaves them."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(estimators, "site_folders", lambda: [folder.resolve(), *SITE_FOLDERS])
    monkeypatch.setattr(importlib.metadata, "distributions", distributions)

    def put(name: str, code: str, requires: str = "Requires-Dist: scikit-learn>=1", place: Path = folder) -> Path:
        estimators._is_made_for_scikit_learn.cache_clear()
        monkeypatch.delitem(sys.modules, name, raising=False)
        (place / f"{name}.py").write_text(code)
        about = place / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}\n")
        (about / "RECORD").write_text(f"{name}.py,,\n{about.name}/METADATA,,\n")
        importlib.invalidate_caches()
        return place / f"{name}.py"

    return put


@pytest.fixture(autouse=True)
def _libraries(install: Install) -> None:
    names = "LikeCatBoost, LikeLightGBM, LikeXGBoost"
    install("made_up_models", f"from {__name__} import {names}\n", 'Requires-Dist: scikit_learn ; extra == "sklearn"')


SITE_FOLDERS = estimators.site_folders()
READ = importlib.metadata.distributions


def distributions(**asked: Any) -> Iterable[Any]:
    """Metadata of packages; those of the environment are read once."""
    of_one_folder = asked in [{"path": [str(folder)]} for folder in SITE_FOLDERS]
    return of_environment(asked["path"][0]) if of_one_folder else READ(**asked)


@functools.cache
def of_environment(folder: str) -> list[Any]:
    return [SimpleNamespace(name=one.name, requires=one.requires, files=one.files) for one in READ(path=[folder])]


def here(name: str) -> str:
    return f"made_up_models.{name}"


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("sklearn.linear_model.LogisticRegression", {"C": 0.5}),
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5}),
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5, "early_stopping": False}),
        ("sklearn.naive_bayes.GaussianNB", {}),
        ("sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 7}),
        (here("LikeXGBoost"), {"depth": 2, "gamma": 0.1}),
        (here("LikeLightGBM"), {"num_leaves": 4, "verbose": -1}),
        (here("LikeCatBoost"), {}),
    ],
)
def test_a_classifier_by_import_path_gives_probabilities(
    path: str, arguments: dict[str, Any], rows: pd.DataFrame, y: Labels, folds: Labels, contract: TableContract
) -> None:
    classifier = make_classifier(path, arguments, seed=7, threads=1)
    assert arguments.items() <= classifier.get_params().items()
    judged = judge_out_of_fold(pipeline(contract, classifier), rows, y, folds, LITTLE_EFFORT, seed=0)
    assert ((judged.probability >= 0) & (judged.probability <= 1)).all()


@pytest.mark.parametrize("requires", ["scikit-learn", "scikit_learn>=1.4; extra == 'all'", "Scikit.Learn (>=1)"])
def test_a_class_of_the_users_own_is_found_in_an_installed_package(install: Install, requires: str) -> None:
    code = "from sklearn.linear_model import LogisticRegression\n\nclass Ours(LogisticRegression):\n    pass\n"
    install("our_models", code, f"Requires-Dist: numpy\nRequires-Dist: {requires}")
    classifier = make_classifier("our_models.Ours", {"C": 0.5}, seed=7, threads=1)
    assert (type(classifier).__name__, classifier.C, classifier.random_state) == ("Ours", 0.5, 7)


def test_a_library_whose_metadata_do_not_name_scikit_learn_is_known(install: Install) -> None:
    code = """
class CatBoostClassifier:
    _estimator_type = "classifier"
    def __init__(self, depth=6, random_seed=None):
        self.depth, self.random_seed = depth, random_seed
    def predict_proba(self, X): ...
    def __sklearn_tags__(self):
        from sklearn.utils import Tags, TargetTags
        return Tags(estimator_type="classifier", target_tags=TargetTags(required=True))
"""
    install("catboost", code, "Requires-Dist: numpy")
    classifier = make_classifier("catboost.CatBoostClassifier", {"depth": 4}, seed=7, threads=1)
    assert (classifier.depth, classifier.random_seed) == (4, 7)


MARKED = """
from pathlib import Path
from sklearn.base import BaseEstimator, ClassifierMixin
Path({marker!r}).touch()
class Ours(ClassifierMixin, BaseEstimator):
    def predict_proba(self, X): ...
"""

NOT_IMPORTED = {
    "subprocess.Popen": "subprocess is part of Python",
    "os.system": "os is part of Python",
    "builtins.exec": "builtins is part of Python",
    "builtins.dict": "builtins is part of Python",
    "importlib.import_module": "importlib is part of Python",
    "multiprocessing.Process": "multiprocessing is part of Python",
    "antigravity.fly": "antigravity is part of Python",
    "psutil.Popen": "no installed package for scikit-learn has a module 'psutil'",
    "dvc.repo.Repo": "no installed package for scikit-learn has a module 'dvc'",
    "pandas.DataFrame": "no installed package for scikit-learn has a module 'pandas'",
    "mlflow.MlflowClient": "no installed package for scikit-learn has a module 'mlflow'",
    "mlflow.pyfunc.stdin_server.X": "no installed package for scikit-learn has a module 'mlflow'",
    "networkx.Graph": "no installed package for scikit-learn has a module 'networkx'",
    "joblib.Memory": "no installed package for scikit-learn has a module 'joblib'",
    "pytest.Config": "no installed package for scikit-learn has a module 'pytest'",
    "churn.stages.train.Judgement": "churn is this project",
    "tests.model.test_estimators.LikeXGBoost": "is not part of an installed package",
    "workspace_models.Ours": "workspace_models.py is not part of an installed package",
    "workspace_dist.Ours": "workspace_dist.py is not part of an installed package",
    "shadowed.Ours": "is not part of an installed package",
    "namespace.Ours": "namespace is not one installed package",
    "unrelated.Ours": "no installed package for scikit-learn has a module 'unrelated'",
    "unrecorded.Ours": "no installed package for scikit-learn has a module 'unrecorded'",
    "made_up_models.__main__.Ours": "__main__ is private",
    "made_up_models._private.Ours": "_private is private",
    "made_up_models.__class__": "__class__ is private",
    "_made_up_models.Ours": "_made_up_models is private",
    "__main__.Ours": "__main__ is private",
    "sklearn.ensemble._forest.RandomForestClassifier": "_forest is private",
    "sklearn": "not a dotted path of a module and a class",
    "": "not a dotted path of a module and a class",
    ".Ours": "not a dotted path of a module and a class",
    "..models.Ours": "not a dotted path of a module and a class",
    "made_up_models.Ours()": "not a dotted path of a module and a class",
    "made_up_models; import os": "not a dotted path of a module and a class",
    "made_up_models/../x.Ours": "not a dotted path of a module and a class",
    "made_up_models\n.Ours": "not a dotted path of a module and a class",
    "made_up_models:Ours": "not a dotted path of a module and a class",
}


@pytest.fixture
def markers(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which modules that should not be imported leave a file; the current folder is a workspace of them."""
    workspace, marks = tmp_path / "workspace", tmp_path / "marks"
    for folder in (workspace / "namespace", marks):
        folder.mkdir(parents=True)

    def code(name: str) -> str:
        return MARKED.format(marker=str(marks / name))

    (workspace / "workspace_models.py").write_text(code("workspace_models"))
    (workspace / "namespace/Ours.py").write_text(code("namespace"))
    install("workspace_dist", code("workspace_dist"), place=workspace)
    install("shadowed", code("installed"))
    (workspace / "shadowed.py").write_text(code("shadowed"))
    install("unrelated", code("unrelated"), "Requires-Dist: numpy\nRequires-Dist: scikit-learn-extra")
    made_up = install("another", code("another"))
    made_up.with_name("unrecorded.py").write_text(code("unrecorded"))
    monkeypatch.chdir(workspace)
    monkeypatch.syspath_prepend(str(workspace))
    return marks


@pytest.mark.parametrize("path", NOT_IMPORTED, ids=repr)
def test_what_no_package_for_scikit_learn_brings_is_not_even_imported(
    path: str, markers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    loaded = set(sys.modules)
    with pytest.raises(ParameterError) as refused:
        make_classifier(path, {"args": ["touch", str(markers / "ran")]}, seed=7, threads=1, named=IN_TUNE)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"params.yaml: tune.space.it: cannot import {excerpt(path)} (")
    assert NOT_IMPORTED[path] in line
    assert line.endswith("give the import path of an installed class, such as sklearn.ensemble.RandomForestClassifier")
    assert imported == []
    assert set(sys.modules) == loaded
    assert list(markers.iterdir()) == []


def test_a_package_of_the_workspace_does_not_stand_in_for_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("sklearn/__init__.py", "sklearn/ensemble.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(MARKED.format(marker=str(tmp_path / "ran")))
    found = importlib.machinery.PathFinder.find_spec("sklearn", [str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)
    with pytest.raises(ParameterError, match="is not part of an installed package"):
        make_classifier("sklearn.ensemble.Ours", {}, seed=7, threads=1)
    assert not (tmp_path / "ran").exists()


NOT_CONSTRUCTED = """
from pathlib import Path
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

class Marked:
    def __new__(cls, *args, **kwargs):
        Path({marker!r}).touch()
        return super().__new__(cls)
    def __init__(self, *args, **kwargs): ...

class Program(Marked): ...
class Scorer(Marked):
    def predict_proba(self, X): ...
class Regressor(Marked, RegressorMixin, BaseEstimator):
    def predict_proba(self, X): ...
class WithoutProbabilities(Marked, ClassifierMixin, BaseEstimator): ...
class Cluster(Marked):
    _estimator_type = "clusterer"
    def predict_proba(self, X): ...
class Meta(type):
    def __call__(cls, *args, **kwargs):
        Path({marker!r}).touch()
class MadeByMeta(metaclass=Meta): ...
"""


@pytest.mark.parametrize(
    "name", ["Program", "Scorer", "Regressor", "WithoutProbabilities", "Cluster", "Meta", "MadeByMeta", "Path"]
)
def test_what_is_no_classifier_by_its_class_is_not_constructed(install: Install, tmp_path: Path, name: str) -> None:
    marker = tmp_path / "constructed"
    install("programs", NOT_CONSTRUCTED.format(marker=str(marker)))
    with pytest.raises(ParameterError, match=f"^params.yaml: train.estimator: programs.{name} {UNUSABLE}"):
        make_classifier(f"programs.{name}", {"args": ["touch", str(marker)]}, seed=7, threads=1)
    assert not marker.exists()


@pytest.mark.parametrize("path", ["sklearn.linear_model.LinearRegression", "sklearn.pipeline.Pipeline"])
def test_classes_of_packages_that_require_scikit_learn_are_no_classifiers_for_that(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = path.rpartition(".")
    made = getattr(importlib.import_module(module), name)
    monkeypatch.setattr(made, "__init__", lambda *_, **__: pytest.fail("constructed"))
    with pytest.raises(ParameterError, match=f"^params.yaml: train.estimator: {path} {UNUSABLE}"):
        make_classifier(path, {}, seed=7, threads=1)


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (datetime.date(2024, 1, 2), "a date"),
        (b"bytes", "a bytes"),
        ({"a", "b"}, "a set"),
        ([1, {"deep": [object()]}], "a object"),
        ([LogisticRegression], "a type"),
        (LogisticRegression(), "a LogisticRegression"),
        ([len], "a builtin_function_or_method"),
        (CIRCLE, "itself"),
    ],
)
def test_arguments_are_plain_data_only(value: object, what: str) -> None:
    with pytest.raises(ParameterError, match=rf"^params.yaml: train.params.C: .* contains {what}; only null, true, "):
        make_classifier("sklearn.linear_model.LogisticRegression", {"C": value}, seed=7, threads=1)


@pytest.mark.parametrize(
    "name",
    [
        "train_dir",
        "snapshot_file",
        "input_borders",
        "output_borders",
        "forcedsplits_filename",
        "input_model",
        "output_model",
        "machines",
        "machine_list_file",
        "forced_splits",
        "fs",
        "workers",
        "model_path",
        "memory",
        "config_file",
        "periodic_checkpoint_folder",
        "log_file_name",
        "File",
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_an_argument_that_names_a_file_is_refused(name: str, *, nested: bool, tmp_path: Path) -> None:
    argument = {"options": [{name: [str(tmp_path / "x")]}]} if nested else {name: str(tmp_path / "x")}
    told = rf"^params.yaml: train.params.{'options' if nested else name}: .* names a file to read or write"
    with pytest.raises(ParameterError, match=told):
        make_classifier(here("LikeLightGBM"), argument, seed=7, threads=1)
    assert not (tmp_path / "x").exists()


def test_no_classifier_of_scikit_learn_is_hindered_by_the_names_of_its_arguments() -> None:
    """Those of them that hold texts: SVC's cache_size is a number."""
    for _, made in all_estimators(type_filter="classifier"):
        for name, one in inspect.signature(made).parameters.items():
            assert not estimators._names_a_file(name) or isinstance(one.default, int | float), (made, name)
    assert make_classifier("sklearn.svm.SVC", {"cache_size": 100, "probability": True}, seed=7, threads=1)


@pytest.mark.parametrize(
    ("path", "given", "filled"),
    [
        (FOREST, {}, {"random_state": 7, "n_jobs": 2}),
        (FOREST, {"random_state": 1, "n_jobs": 3}, {"random_state": 1, "n_jobs": 3}),
        (FOREST, {"random_state": None}, {"random_state": None, "n_jobs": 2}),
        ("sklearn.naive_bayes.GaussianNB", {}, {}),
        (here("LikeXGBoost"), {}, {"random_state": 7, "n_jobs": 2}),
        (here("LikeXGBoost"), {"seed": 1, "nthread": 3}, {"random_state": None, "seed": 1, "nthread": 3}),
        (here("LikeLightGBM"), {}, {"random_state": 7, "n_jobs": 2}),
        (here("LikeLightGBM"), {"seed": 1}, {"random_state": None, "seed": 1, "n_jobs": 2}),
        (here("LikeCatBoost"), {}, {"random_state": 7, "random_seed": None, "thread_count": 2}),
        (here("LikeCatBoost"), {"random_seed": 1}, {"random_state": None, "random_seed": 1, "thread_count": 2}),
    ],
)
def test_seed_and_threads_are_filled_in_once_unless_given(
    path: str, given: dict[str, Any], filled: dict[str, Any]
) -> None:
    made = make_classifier(path, given, seed=7, threads=2).get_params()
    assert {name: made[name] for name in filled} == filled


def test_one_thread_is_what_scikit_learn_does_unasked_and_other_libraries_are_told() -> None:
    assert make_classifier(FOREST, {}, seed=7, threads=1).n_jobs is None
    assert make_classifier(here("LikeLightGBM"), {}, seed=7, threads=1).n_jobs == 1


@pytest.mark.parametrize(
    ("path", "arguments", "told"),
    [
        ("sklearn.linear_model.LogisticRegresion", {}, "train.estimator: cannot import 'sklearn.linear_model.Logistic"),
        ("no_such_library.Model", {}, r"cannot import 'no_such_library.Model' \(ModuleNotFoundError: .*; give the imp"),
        ("LogisticRegression", {}, "train.estimator: cannot import 'LogisticRegression' .*give the import path"),
        ("..models.Ours", {}, r"train.estimator: cannot import '..models.Ours' .*give the import path"),
        ("failing_models.Ours", {}, r"train.estimator: cannot import 'failing_models.Ours' \(ZeroDivisionError: "),
        ("broken_models.Ours", {}, r"train.estimator: cannot import 'broken_models.Ours' \(SyntaxError: .*line 1"),
        ("sklearn.datasets.load_iris", {}, "train.estimator: 'sklearn.datasets.load_iris' is not a class"),
        (
            "sklearn.linear_model.LinearRegression",
            {},
            f"train.estimator: .*LinearRegression {UNUSABLE}",
        ),
        (
            "sklearn.svm.LinearSVC",
            {},
            f"train.estimator: sklearn.svm.LinearSVC {UNUSABLE}",
        ),
        (
            "sklearn.linear_model.SGDClassifier",
            {"loss": "hinge"},
            "train.params: .*SGDClassifier has no predict_proba with these arguments; set those on which it depends",
        ),
        ("sklearn.mixture.GaussianMixture", {}, f"train.estimator: sklearn.mixture.GaussianMixture {UNUSABLE}"),
        ("builtins.dict", {}, r"train.estimator: cannot import 'builtins.dict' \(builtins is part of Python"),
        ("made_up_models.np.ndarray", {}, "train.estimator: cannot import 'made_up_models.np.ndarray' "),
        (FOREST, {"trees": 3}, f"train.params.trees: {FOREST} has no such argument; it accepts n_estimators, "),
        ("sklearn.ensemble.VotingClassifier", {}, "train.params: rejected by .*VotingClassifier: .* 'estimators'"),
        (
            here("LikeCatBoost"),
            {"random_seed": 1, "random_state": 2},
            r"train.params: rejected by .*LikeCatBoost: LibraryError: only one of the parameters random_seed, ",
        ),
    ],
)
def test_an_estimator_that_cannot_be_made_is_told_by_key_and_value(
    path: str, arguments: dict[str, Any], told: str, install: Install
) -> None:
    install("broken_models", "class Ours\n")
    install("failing_models", "1 / 0\n")
    with pytest.raises(ParameterError, match=f"^params.yaml: .*{told}") as refused:
        make_classifier(path, arguments, seed=7, threads=1)
    assert "\n" not in str(refused.value)


LINEAR = {"estimator": "sklearn.svm.LinearSVC", "params": {"C": 0.5}}

NESTED: dict[str, tuple[str, dict[str, Any]]] = {
    "calibrated, by path": ("sklearn.calibration.CalibratedClassifierCV", {"estimator": "sklearn.svm.LinearSVC"}),
    "calibrated": ("sklearn.calibration.CalibratedClassifierCV", {"estimator": LINEAR, "cv": 3}),
    "stacked": (
        "sklearn.ensemble.StackingClassifier",
        {
            "estimators": [["linear", LINEAR], ["trees", {"estimator": FOREST, "params": {"n_estimators": 5}}]],
            "final_estimator": "sklearn.linear_model.LogisticRegression",
        },
    ),
    "voting": ("sklearn.ensemble.VotingClassifier", {"voting": "soft", "estimators": [["a", {"estimator": FOREST}]]}),
    "a regressor": (
        "sklearn.ensemble.GradientBoostingClassifier",
        {"init": {"estimator": FOREST}, "n_estimators": 3},
    ),
    "deep": (
        "sklearn.ensemble.BaggingClassifier",
        {"estimator": {"estimator": "sklearn.calibration.CalibratedClassifierCV", "params": {"estimator": LINEAR}}},
    ),
}


@pytest.mark.parametrize("name", NESTED)
def test_an_estimator_of_estimators_is_made_and_fitted(name: str, y: Labels) -> None:
    path, arguments = NESTED[name]
    made = make_classifier(path, arguments, seed=7, threads=1)
    X = pd.DataFrame({"months": np.arange(len(y), dtype=float)})
    first, again = (fit_classifier(made, X, y).predict_proba(X) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert arguments == NESTED[name][1], "the arguments are those of params.yaml, still"


def test_nested_estimators_get_seed_and_threads() -> None:
    arguments = {"estimator": {"estimator": FOREST, "params": {"n_estimators": 3}}}
    made = make_classifier("sklearn.calibration.CalibratedClassifierCV", arguments, seed=7, threads=2)
    assert (made.estimator.random_state, made.estimator.n_jobs, made.estimator.n_estimators) == (7, 2, 3)


NESTED_WRONGLY: dict[str, tuple[str, dict[str, Any], str]] = {
    "no predictor": (
        "sklearn.calibration.CalibratedClassifierCV",
        {"estimator": "sklearn.decomposition.PCA"},
        "train.params.estimator.estimator: sklearn.decomposition.PCA is neither a classifier nor a regressor",
    ),
    "a program": (
        "sklearn.ensemble.StackingClassifier",
        {"estimators": [["a", {"estimator": "subprocess.Popen", "params": {"args": ["true"]}}]]},
        "train.params.estimators.0.1.estimator: cannot import 'subprocess.Popen' (subprocess is part of Python",
    ),
    "an argument that does not exist": (
        "sklearn.calibration.CalibratedClassifierCV",
        {"estimator": {"estimator": FOREST, "params": {"trees": 3}}},
        f"train.params.estimator.params.trees: {FOREST} has no such argument; it accepts n_estimators, ",
    ),
    "a text where an estimator belongs": (
        "sklearn.calibration.CalibratedClassifierCV",
        {"estimator": "LinearSVC"},
        "train.params: rejected by sklearn.calibration.CalibratedClassifierCV: ",
    ),
    "votes without probabilities": (
        "sklearn.ensemble.VotingClassifier",
        {"estimators": [["linear", LINEAR]]},
        "train.params: sklearn.ensemble.VotingClassifier has no predict_proba with these arguments; ",
    ),
    "a file": (
        "sklearn.calibration.CalibratedClassifierCV",
        {"estimator": {"estimator": FOREST, "params": {"train_dir": "x"}}},
        "names a file to read or write",
    ),
}


@pytest.mark.parametrize("name", NESTED_WRONGLY)
def test_a_nested_estimator_that_cannot_be_made_is_told_by_its_own_key(name: str) -> None:
    path, arguments, told = NESTED_WRONGLY[name]
    with pytest.raises(ParameterError) as refused:
        make_classifier(path, arguments, seed=7, threads=1)
    (line,) = str(refused.value).splitlines()
    assert line.startswith("params.yaml: train.")
    assert told in line


@pytest.mark.parametrize(
    ("path", "arguments", "told"),
    [
        ("sklearn.linear_model.LogisticRegression", {"C": -1.0}, "rejected by LogisticRegression: .*'C' .*Got -1.0"),
        (FOREST, {"max_depth": "deep"}, "rejected by RandomForestClassifier: .*'max_depth' .*Got 'deep'"),
        (here("LikeLightGBM"), {"num_leaves": 1}, "rejected by LikeLightGBM: LibraryError: .* num_leaves=1$"),
    ],
)
def test_a_value_that_is_refused_at_the_fit_is_told_by_key_and_value(
    path: str, arguments: dict[str, Any], told: str, y: Labels
) -> None:
    classifier = make_classifier(path, arguments, seed=7, threads=1)
    with pytest.raises(ParameterError, match=f"^params.yaml: train.params: {told}") as refused:
        fit_classifier(classifier, pd.DataFrame({"months": np.arange(len(y))}), y)
    assert "\n" not in str(refused.value)


def test_fitting_leaves_the_classifier_that_was_given_unfitted(y: Labels) -> None:
    given = DecisionTreeClassifier()
    assert fit_classifier(given, pd.DataFrame({"months": np.arange(len(y))}), y) is not given
    assert not hasattr(given, "tree_")
