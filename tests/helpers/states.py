"""A pipeline of three small stages, and how its files are written, edited and recorded."""

from pathlib import Path

from ruamel.yaml import YAML

from churn.history import state

PIPELINE = """\
stages:
  preprocess:
    cmd: python preprocess.py
    deps: ["${data.source}", preprocess.py]
    params: [data, preprocess.share]
    outs: [rows.csv]
    metrics: [metrics/data.json]
  train:
    cmd: python train.py
    deps: [rows.csv, train.py]
    params: [train]
    outs: [models/churn_model.pkl]
    metrics: [metrics/train.json]
  evaluate:
    cmd: python evaluate.py
    deps: [models/churn_model.pkl, evaluate.py]
    params: [evaluate.bins]
    metrics: [metrics/test.json]
    plots: [metrics/curve.csv: {x: a, y: b}]
"""
PARAMS = """\
data: {source: raw.csv, id: null}
preprocess: {share: 0.2}
train:
  params: {C: 1.0, weights: {0: 1, 1: 5}}
  estimator: Tree
evaluate: {bins: 10, note: not declared}
"""
GIVEN = {"dvc.yaml": PIPELINE, "params.yaml": PARAMS, "raw.csv": "a\n1\n"} | {
    f"{stage}.py": f"# {stage}\n" for stage in ("preprocess", "train", "evaluate")
}
MADE = {
    "preprocess": {"rows.csv": "1\n", "metrics/data.json": '{"rows_in": 1}'},
    "train": {"models/churn_model.pkl": "N.", "metrics/train.json": '{"train_f1": 0.5}'},
    "evaluate": {"metrics/test.json": '{"test_f1": 0.4}', "metrics/curve.csv": "a,b\n0,1\n"},
}


def write(root: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))


def commit(root: Path, *stages: str) -> None:
    """Record in dvc.lock what stages read and made, as DVC does when they have ended."""
    files = state.stages_from_files(root)
    lock = state.read_lock(root) or {"schema": "2.0", "stages": {}}
    for name in stages:
        inputs = files[name].inputs
        lock["stages"][name] = {
            "cmd": inputs.command,
            "deps": [{"path": path, "md5": md5} for path, md5 in inputs.dependencies.items()],
            "params": inputs.parameters,
            "outs": [{"path": path, "md5": md5} for path, md5 in files[name].results.items()],
        }
    YAML().dump(lock, root / state.LOCK_FILE)


def fingerprint(root: Path) -> str:
    return state.fingerprint(state.stages_from_files(root))
