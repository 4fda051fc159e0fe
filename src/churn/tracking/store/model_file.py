"""A model for MLflow out of the file that the pipeline wrote: the same bytes, read as bytes and never loaded.

What MLflow holds is then what dvc.lock names, md5 for md5, and showing a state runs none of its code.
"""

import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import pyfunc
from mlflow.models import Model, infer_signature
from mlflow.models.utils import _save_example
from mlflow.utils.environment import _mlflow_conda_env, _PythonEnv

from churn import files
from churn.config.params import read_yaml
from churn.errors import ChurnError
from churn.history.packages import EstimatorAbsentError, distribution_of
from churn.model.pickles import modules_named

MODEL_FILE = "model.pkl"
LOADER = "mlflow.sklearn"
FLAVOR = {"pickled_model": MODEL_FILE, "serialization_format": "pickle", "code": None}
"""How MLflow is to load it: by `pickle`, with no code beside."""
ALWAYS_NEEDED = ("scikit-learn", "numpy", "scipy", "pandas", "joblib")
MODEL_FILES = frozenset({MODEL_FILE, "MLmodel"})
"""What a model cannot be loaded without."""


def save_model(
    path: str, mlflow_model: Model, *, model_file: Path, example_file: Path | None, columns: Mapping[str, str], **_: Any
) -> None:
    """Write the folder of an MLflow model; MLflow calls it as it does `mlflow.sklearn.save_model`.

    Args:
        path: of the folder.
        mlflow_model: what MLflow knows of the model so far.
        model_file: the pickle that the pipeline wrote.
        example_file: a few customers.
        columns: type of each of their columns, in the model's order.
        **_: what MLflow means for itself.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model_file, folder / MODEL_FILE)
    if example_file is not None:
        example = files.read_rows(example_file, columns).reset_index(drop=True)
        _save_example(mlflow_model, example, path)
        # The decision gives 0 or 1 a customer, whatever the classifier.
        mlflow_model.signature = infer_signature(example, np.zeros(len(example), dtype=np.int64))
    mlflow_model.add_flavor("sklearn", sklearn_version=version("scikit-learn"), **FLAVOR)
    environment = {"conda_env": "conda.yaml", "python_env": "python_env.yaml"}
    pyfunc.add_to_model(mlflow_model, loader_module=LOADER, model_path=MODEL_FILE, predict_fn="predict", **environment)
    mlflow_model.save(str(folder / "MLmodel"))
    needed = pinned_requirements(model_file.read_bytes())
    (folder / "requirements.txt").write_text("\n".join(needed), encoding="utf-8")
    _mlflow_conda_env(str(folder / "conda.yaml"), additional_pip_deps=needed)
    _PythonEnv.current().to_yaml(str(folder / "python_env.yaml"))


def foreign_loader(folder: Path) -> str | None:
    """Why a model's folder would make MLflow run something else than `pickle` on the model file; None where not."""
    ours, general = (_flavor(folder, name) for name in ("sklearn", "python_function"))
    if ours is None or general is None:
        return "its MLmodel file cannot be read"
    alike = all(ours.get(name) == value for name, value in FLAVOR.items())
    if not alike or general.get("loader_module") != LOADER or general.get("code") or general.get("model_code_path"):
        return "its MLmodel file asks for other code than this pipeline's models do"
    return None


def logged_by_cloudpickle(folder: Path) -> bool:
    """Whether a model was written anew by MLflow when it was logged, as models of this pipeline once were."""
    flavor = _flavor(folder, "sklearn") or {}
    return flavor.get("serialization_format") == "cloudpickle" and (folder / MODEL_FILE).is_file()


def _flavor(folder: Path, name: str) -> Mapping[str, Any] | None:
    """What an MLmodel file says of one way to load the model; None where it says nothing that can be read."""
    try:
        flavor = read_yaml(folder / "MLmodel")["flavors"][name]
    except (ChurnError, OSError, KeyError, TypeError):
        return None
    return flavor if isinstance(flavor, Mapping) else None


def pinned_requirements(content: bytes) -> list[str]:
    """The packages that a pickled model is made of, as installed here."""
    modules = {module.partition(".")[0] for module in modules_named(content)}
    return [f"{name}=={version(name)}" for name in sorted({*ALWAYS_NEEDED, *_distributions(modules)})]


def _distributions(modules: set[str]) -> Iterator[str]:
    for module in modules.difference({"builtins", "sklearn"}):
        try:
            yield distribution_of(module)
        except EstimatorAbsentError:  # of the standard library, or not installed where the model is only shown
            continue
