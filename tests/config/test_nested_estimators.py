"""Which import paths a section of params.yaml names, however deep."""

from typing import Any

import pytest

from churn.config.nested_estimators import import_paths

SECTIONS: dict[str, tuple[Any, list[str]]] = {
    "one": ({"estimator": "a.One", "params": {"C": 1.0}}, ["a.One"]),
    "no arguments": ({"estimator": "a.One", "params": None}, ["a.One"]),
    "an import path": ({"estimator": "a.One", "params": {"final_estimator": "b.Two"}}, ["a.One", "b.Two"]),
    "a word": ({"estimator": "a.One", "params": {"final_estimator": "drop", "solver": "x.y"}}, ["a.One"]),
    "in lists": (
        {
            "estimator": "a.One",
            "params": {"estimators": [["x", {"estimator": "b.Two"}], ["y", {"estimator": "c.Three"}]]},
        },
        ["a.One", "b.Two", "c.Three"],
    ),
    "below another": (
        {"estimator": "a.One", "params": {"inner": {"estimator": "b.Two", "params": {"estimator": "c.Three"}}}},
        ["a.One", "b.Two", "c.Three"],
    ),
    "a mapping of its own": ({"estimator": "a.One", "params": {"options": {"estimator": "b", "depth": 3}}}, ["a.One"]),
    "other keys beside": ({"estimator": "a.One", "params": {}, "folds": 5}, ["a.One"]),
    "none": ({"folds": 5}, []),
    "no section": (None, []),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_all_import_paths_of_a_section_are_found(name: str) -> None:
    section, paths = SECTIONS[name]
    assert list(import_paths(section)) == paths
