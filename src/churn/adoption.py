"""params.yaml with another estimator or other arguments of it, everything else as it was written."""

import difflib
from typing import Any

from churn.errors import ParameterError
from churn.layout import editable, node, put, written
from churn.params import PARAMS_FILE, check_params, parse_yaml
from churn.space import Candidate


def adopted(text: str, candidate: Candidate) -> str:
    """The text of params.yaml with a candidate under `train`.

    Values of the same estimator are set in place, with their comments; another estimator brings its own arguments.

    Raises:
        ParameterError: the text would not be read as what was meant.
    """
    document = editable(text)
    train = document["train"]
    if train["estimator"] == candidate.estimator:
        for name, value in candidate.arguments.items():
            put(train["params"], name, value)
    else:
        put(train, "estimator", candidate.estimator)
        arguments = node(candidate.arguments)
        arguments.fa.set_block_style()
        train["params"] = arguments
    new = written(document, like=text)
    _require_same(parse_yaml(text, PARAMS_FILE), parse_yaml(new, PARAMS_FILE), candidate)
    return new


def _require_same(before: dict[str, Any], after: dict[str, Any], candidate: Candidate) -> None:
    meant = before["train"] | {"estimator": candidate.estimator, "params": dict(candidate.arguments)}
    if after != before | {"train": meant}:
        raise ParameterError(f"{PARAMS_FILE}: train: cannot be rewritten with its layout kept; set the values by hand")
    check_params(after)


def as_diff(old: str, new: str) -> str:
    """What differs between two texts of params.yaml."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), PARAMS_FILE, f"{PARAMS_FILE} (new)"
    )
    return "".join(lines)
