"""Write an MLflow model from the pipeline's pickle: the same bytes, never loaded.

So MLflow has the file with the md5 in dvc.lock, and publishing a state runs none of its code.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow import pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.models.utils import _save_example
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.environment import _mlflow_conda_env, _PythonEnv

from churn import files
from churn.config.params import PARAMS_FILE, read_yaml
from churn.errors import ChurnError
from churn.history.packages import EstimatorAbsentError, distribution_of
from churn.model.pickles import modules_named
from churn.tracking.record import BACKGROUND_FILE, MODEL_FILE, MODEL_MD5, Experiment

EXAMPLE_ROWS = 5
LOADER = "mlflow.sklearn"
FLAVOR = {"pickled_model": MODEL_FILE, "serialization_format": "pickle", "code": None}
"""Makes MLflow load the file with `pickle`, without additional code."""
DECISIONS = ModelSignature(outputs=Schema([ColSpec(DataType.long)]))
"""0 or 1 for each customer. It names no inputs: MLflow refuses whole numbers in a column of its type double, and a CSV
file in which all values of a column are whole gives those. The input example and the metadata name the columns."""
ALWAYS_NEEDED = ("scikit-learn", "numpy", "scipy", "pandas", "joblib")
MODEL_FILES = frozenset({MODEL_FILE, "MLmodel"})
"""Files without which a model cannot be loaded."""


ContentOf = Callable[[str], Path]
"""Returns the path of the content with an md5."""


def log_model(run_id: str, experiment: Experiment, content_of: ContentOf) -> str:
    """Log the model and return its id, without an active run, which MLflow would finish afterwards."""
    logged = Model.log(
        artifact_path=None,
        name="model",
        flavor=sys.modules[__name__],
        flavor_name="sklearn",
        run_id=run_id,
        tags={MODEL_MD5: experiment.model_md5},
        validate_serving_input=False,  # it would load the model
        **parts_of_model(experiment, content_of),
    )
    return str(logged.model_id)


def parts_of_model(experiment: Experiment, content_of: ContentOf) -> dict[str, Any]:
    """Arguments of `save_model` for the model of an experiment."""
    background = content_of(experiment.example_md5) if experiment.example_md5 and experiment.columns else None
    params = experiment.files.get(PARAMS_FILE)
    return {
        "model_file": content_of(str(experiment.model_md5)),
        "background_file": background,
        "params_file": content_of(params) if params else None,
        "columns": experiment.columns,
    }


def save_model(
    path: str,
    mlflow_model: Model,
    *,
    model_file: Path,
    background_file: Path | None,
    params_file: Path | None,
    columns: Mapping[str, str],
    **_: Any,
) -> None:
    """Write the folder of an MLflow model; MLflow calls this like `mlflow.sklearn.save_model`.

    Args:
        path: of the folder.
        mlflow_model: MLflow's metadata of the model.
        model_file: the pickle that the pipeline wrote.
        background_file: training rows; the first ones are MLflow's example.
        params_file: params.yaml, with which the service reads and decides; the run may be deleted for good.
        columns: type of each of their columns, in the model's order.
        **_: other arguments from MLflow, which are ignored.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model_file, folder / MODEL_FILE)
    if params_file is not None:
        shutil.copyfile(params_file, folder / PARAMS_FILE)
    if background_file is not None:
        shutil.copyfile(background_file, folder / BACKGROUND_FILE)
        example = files.read_rows(background_file, columns).head(EXAMPLE_ROWS).reset_index(drop=True)
        _save_example(mlflow_model, example, path)
        mlflow_model.metadata = {"columns": dict(columns)}
        mlflow_model.signature = DECISIONS
    mlflow_model.add_flavor("sklearn", sklearn_version=version("scikit-learn"), **FLAVOR)
    environment = {"conda_env": "conda.yaml", "python_env": "python_env.yaml"}
    pyfunc.add_to_model(mlflow_model, loader_module=LOADER, model_path=MODEL_FILE, predict_fn="predict", **environment)
    mlflow_model.save(str(folder / "MLmodel"))
    needed = pinned_requirements(model_file.read_bytes())
    (folder / "requirements.txt").write_text("\n".join(needed), encoding="utf-8")
    _mlflow_conda_env(str(folder / "conda.yaml"), additional_pip_deps=needed)
    _PythonEnv.current().to_yaml(str(folder / "python_env.yaml"))


def foreign_loader(folder: Path) -> str | None:
    """Why loading a model folder would run anything else than `pickle` on the model file; None if it would not."""
    ours, general = (_flavor(folder, name) for name in ("sklearn", "python_function"))
    if ours is None or general is None:
        return "its MLmodel file cannot be read"
    alike = all(ours.get(name) == value for name, value in FLAVOR.items())
    if not alike or general.get("loader_module") != LOADER or general.get("code") or general.get("model_code_path"):
        return "its MLmodel file requests other code than this pipeline's models"
    return None


def logged_by_cloudpickle(folder: Path) -> bool:
    """Whether MLflow itself pickled the model when it was logged, as in earlier versions of this pipeline."""
    flavor = _flavor(folder, "sklearn") or {}
    return flavor.get("serialization_format") == "cloudpickle" and (folder / MODEL_FILE).is_file()


def _flavor(folder: Path, name: str) -> Mapping[str, Any] | None:
    """One flavor of an MLmodel file; None if it cannot be read."""
    try:
        flavor = read_yaml(folder / "MLmodel")["flavors"][name]
    except (ChurnError, OSError, KeyError, TypeError):
        return None
    return flavor if isinstance(flavor, Mapping) else None


def pinned_requirements(content: bytes) -> list[str]:
    """Packages that a pickled model needs, pinned to the installed versions."""
    modules = {module.partition(".")[0] for module in modules_named(content)}
    return [f"{name}=={version(name)}" for name in sorted({*ALWAYS_NEEDED, *_distributions(modules)})]


def _distributions(modules: set[str]) -> Iterator[str]:
    for module in modules.difference({"builtins", "sklearn"}):
        try:
            yield distribution_of(module)
        except EstimatorAbsentError:  # in the standard library, or not installed on a machine that only publishes
            continue
