"""params.yaml as DVC edits it, without an experiment."""

import difflib
import tempfile
from pathlib import Path

from dvc.utils.hydra import apply_overrides  # type: ignore[import-untyped]  # what --set-param edits files with


def set_param(text: str, *overrides: str) -> str:
    """The text of params.yaml after `dvc exp run --set-param` and `dvc exp apply`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(text.encode())
        apply_overrides(path, list(overrides))
        return path.read_bytes().decode()


def changed_lines(old: str, new: str) -> list[str]:
    """Lines that went, with a minus, and lines that came, with a plus."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return [line for line in list(lines)[2:] if line[0] in "+-"]
