"""Whether a folder holds the results that a pipeline has made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib

from churn import files
from churn.history import state
from churn.history.provenance import FOLDER

SIZE_OF_MODEL = "model_size_mb"
TEXTS = {".html", ".md"}


@dataclass(frozen=True)
class Sameness:
    """Results by path: in other bytes but with the same content, and with another content."""

    other_bytes: tuple[str, ...]
    different: tuple[str, ...]


def compare(made: state.Stages, pipeline: Path, folder: Path) -> Sameness:
    """Hold a folder to the bytes that dvc.lock vouches for, and what differs to the content in the pipeline's folder.

    A pickle's bytes also say which of its equal texts are one object, and that depends on what its process did before.
    The report and the card name such a file by its md5.
    """
    suspects = list(_other_bytes(made, folder))
    same = {path: _same_content(pipeline / path, folder / path) for path in suspects}
    named = [path for path, is_same in same.items() if is_same]
    different = tuple(path for path in suspects if not same[path] and not _same_text(pipeline, folder, path, named))
    return Sameness(tuple(path for path in suspects if path not in different), different)


def _other_bytes(made: state.Stages, folder: Path) -> Iterator[str]:
    for stage in made.values():
        for path, md5 in stage.results.items():
            if path.startswith(FOLDER):
                continue  # the bare script runs no stage, so none leaves its provenance
            if md5 is None or state.md5_of(folder / path) != md5:
                yield path


def _same_content(one: Path, other: Path) -> bool:
    if not (one.exists() and other.exists()):
        return False
    if one.suffix == ".pkl":
        return bool(joblib.hash(_unpickled(one)) == joblib.hash(_unpickled(other)))
    if one.suffix == ".json":
        return _without_size(one) == _without_size(other)
    return False


def _same_text(one: Path, other: Path, path: str, named: Sequence[str]) -> bool:
    """Whether a text is the same but for the md5 of files that have the same content in other bytes."""
    if Path(path).suffix not in TEXTS or not (other / path).exists():
        return False
    texts = []
    for folder in (one, other):
        text = (folder / path).read_text()
        for name in named:
            text = text.replace(str(state.md5_of(folder / name)), name)
        texts.append(text)
    return texts[0] == texts[1]


def _without_size(path: Path) -> dict[str, object]:
    return {name: value for name, value in files.read_json(path).items() if name != SIZE_OF_MODEL}


def _unpickled(path: Path) -> object:
    """Both files were written by this bench."""
    return files.read_pickle(path, {files.md5(path)})
