"""params.yaml: what is read from it, and how each slip in it is told."""

import contextlib
import copy
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml  # type: ignore[import-untyped]
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from churn.config.params import PARAMS_FILE, Params, load_params, parse_yaml, read_yaml
from churn.config.yaml_edit import load_editable
from churn.errors import ParameterError
from tests.helpers.projects import PARAMS, every_night, shell
from tests.helpers.sample import SAMPLE_PARAMS

LINE, TREE = "tune.space.sklearn.linear_model.LogisticRegression", "tune.space.sklearn.tree.DecisionTreeClassifier"


def edited(folder: Path, old: str, new: str) -> Path:
    """The folder, with params.yaml changed in one place."""
    assert PARAMS.count(old) == 1
    (folder / PARAMS_FILE).write_text(PARAMS.replace(old, new))
    return folder


def told(folder: Path) -> list[str]:
    """The lines in which params.yaml is refused."""
    with pytest.raises(ParameterError) as refusal:
        load_params(folder)
    return str(refusal.value).splitlines()


def test_the_parameters_of_the_sample_are_accepted() -> None:
    assert load_params(SAMPLE_PARAMS).data.target.column == "churn"


def test_parameters_cannot_be_changed_once_read(params: Params) -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.compute.seed = 8


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("seed: 7", "sede: 7", "compute.sede: unknown key; did you mean seed?"),
        ("business:", "busines:", "busines: unknown key; did you mean business?"),
        ("seed: 7", "seed: 7, colour: red", "compute.colour: unknown key; remove it"),
        ("min: 0, max: 100", "mim: 0, max: 100", "data.columns.months.mim: unknown key; did you mean min?"),
        (
            "customer_value: 200.0",
            "customer_value_eur: 200.0",
            "business.customer_value_eur: renamed to customer_value; set the currency separately, `currency: EUR`",
        ),
        (
            "currency: EUR",
            'currency: "<b>"',
            "business.currency: '<b>' is not accepted: must be 1 to 5 letters or currency signs, such as EUR or US$",
        ),
        ("seed: 7", 'seed: "7"', "compute.seed: '7' is not accepted: must be a valid integer"),
        ("seed: 7", "seed: 7.0", "compute.seed: 7.0 is not accepted: must be a valid integer"),
        ("threads: 1", "threads: true", "compute.threads: True is not accepted: must be a valid integer"),
        (
            "threads: 1",
            f"threads: {10**20}",
            f"compute.threads: {10**20} is not accepted: must be less than or equal to 1024",
        ),
        (
            "customer_value: 200.0",
            "customer_value: 1.0e308",
            "business.customer_value: 1e+308 is not accepted: must be less than or equal to 1000000000000",
        ),
        ("threads: 1", "threads: 0", "compute.threads: 0 is not accepted: must be greater than or equal to 1"),
        (
            "compute: {seed: 7, threads: 1}",
            "compute:",
            "compute: None is not accepted: must be a section of keys",
        ),
        (
            "months: {type: numeric, min: 0, max: 100, missing: fail, on_error: fail}",
            "months: numeric",
            "data.columns.months: 'numeric' is not accepted: must be a section of keys",
        ),
        (
            "type: boolean",
            "type: flag",
            "data.columns.senior: type 'flag' is not accepted: must be one of 'numeric', 'categorical', 'boolean'",
        ),
        (
            "type: boolean, ",
            "",
            "data.columns.senior: has no type: must be one of 'numeric', 'categorical', 'boolean'",
        ),
        (
            "values: [basic, plus, pro]",
            "values: [basic, 2]",
            "data.columns.plan.values.1: 2 is not accepted: must be a text; put it in quotes",
        ),
        (
            "values: [basic, plus, pro]",
            "values: basic",
            "data.columns.plan.values: 'basic' is not accepted: must be a list, such as [a, b]",
        ),
        ("min: 0, max: 100", "min: 101, max: 100", "data.columns.months: min 101 is above max 100"),
        ("max: 100", "max: .inf", "data.columns.months.max: inf is not accepted: must be a finite number"),
        ("max: 100", 'max: "100"', "data.columns.months.max: '100' is not accepted: must be a valid number"),
        (
            "column: gone",
            "column: plan",
            "data: target.column 'plan' is also listed under columns: a column has one role",
        ),
        (
            'positive: "yes"',
            "positive: true",
            "data.target.positive: True is not accepted: must be a text; put it in quotes",
        ),
        (
            "split_salt: small",
            "split_salt: 12",
            "preprocess.split_salt: 12 is not accepted: must be a text; put it in quotes",
        ),
        ("test_share: 0.3", "test_share: 1", "preprocess.test_share: 1 is not accepted: must be less than 1"),
        (
            "offer_cost: 10.0",
            "offer_cost: -1",
            "business.offer_cost: -1 is not accepted: must be greater than or equal to 0",
        ),
        ("params: {C: 1.0}", "params:", "train.params: None is not accepted: must be a section of keys"),
        (
            "threshold: profit",
            "threshold: 1.5",
            "train.threshold: 1.5 is not accepted: must be the word profit or a probability from 0 to 1",
        ),
        (
            "threshold: profit",
            "threshold: true",
            "train.threshold: True is not accepted: must be the word profit or a probability from 0 to 1",
        ),
        (
            "objective: profit",
            "objective: roc_auc",
            "tune.objective: 'roc_auc' is not accepted: must be 'profit' or 'pr_auc'",
        ),
        ("trials: 6", "trials: 0", "tune.trials: 0 is not accepted: must be greater than or equal to 1"),
        (
            "high: 10.0",
            "high: 0.001",
            f"{LINE}.C: low 0.001 is not below high 0.001; for one fixed value, list it: [value]",
        ),
        ("low: 0.001", "low: 0", f"{LINE}.C: log: true requires low above 0, not 0"),
        ("low: 0.001", "low: small", f"{LINE}.C.low: 'small' is not accepted: must be a finite number"),
        ("low: 0.001", "low: true", f"{LINE}.C.low: True is not accepted: must be a finite number"),
        ("log: true", "log: 1", f"{LINE}.C.log: 1 is not accepted: must be a valid boolean"),
        (
            "[gini, entropy]",
            "gini",
            f"{TREE}.criterion: 'gini' is not accepted: must be a range {{low, high, log}} or a list of choices",
        ),
        ("[gini, entropy]", "[]", f"{TREE}.criterion: [] is not accepted: must not be empty"),
        (
            "unused: {}",
            'unused: {seen: "date (dd.mm.yyyy): not wanted"}',
            "data.unused.seen: 'date (dd.mm.yyyy): not wanted' is not accepted: must be a section such as "
            "{kind: other, format: null, reason: the text}; kind: one of date, id, row_number, constant, no_value, "
            "copy, target_copy, free_text, too_many_labels, reserved_name, other; "
            'format: the date format, such as "%d.%m.%Y", or null for ISO 8601 and numbers',
        ),
        (
            "unused: {}",
            "unused: {seen: {kind: other, format: null}}",
            "data.unused.seen.reason: missing; all keys are required (`git diff params.yaml` shows what was removed)",
        ),
        (
            "unused: {}",
            "unused: {seen: {kind: date, format: 2020, reason: not wanted}}",
            "data.unused.seen.format: 2020 is not accepted: must be a text; put it in quotes",
        ),
        (
            "unused: {}",
            "unused: {seen: {kind: dates, format: null, reason: not wanted}}",
            "data.unused.seen.kind: 'dates' is not accepted: must be 'date', 'id', 'row_number', 'constant', "
            "'no_value', 'copy', 'target_copy', 'free_text', 'too_many_labels', 'reserved_name' or 'other'",
        ),
        (
            "split_salt: small",
            f"split_salt: [{'x' * 100}]",
            f"preprocess.split_salt: ['{'x' * 55}... is not accepted: must be a text; put it in quotes",
        ),
    ],
)
def test_a_slip_is_one_line_with_key_value_and_what_to_do(folder: Path, old: str, new: str, line: str) -> None:
    assert told(edited(folder, old, new)) == [f"params.yaml: {line}"]


def test_every_slip_is_told_at_once(folder: Path) -> None:
    content = PARAMS.replace("seed: 7, ", "").replace("test_share", "share").replace("folds: 3", "folds: 1")
    (folder / PARAMS_FILE).write_text(content)
    assert told(folder) == [
        "params.yaml: preprocess.share: unknown key; did you mean test_share?",
        "params.yaml: train.folds: 1 is not accepted: must be greater than or equal to 2",
        "params.yaml: compute.seed: missing; all keys are required (`git diff params.yaml` shows what was removed)",
    ]


def test_a_key_unlike_any_missing_one_is_not_taken_for_it(folder: Path) -> None:
    unknown, missing = told(edited(folder, "seed: 7", "colour: 7"))
    assert unknown == "params.yaml: compute.colour: unknown key; remove it"
    assert missing.startswith("params.yaml: compute.seed: missing; ")


def test_a_space_without_estimators_is_refused(folder: Path) -> None:
    content = copy.deepcopy(EXAMPLE)
    content["tune"]["space"] = {}
    (folder / PARAMS_FILE).write_text(json.dumps(content))
    assert told(folder) == ["params.yaml: tune.space: must not be empty"]


def keys(content: dict[str, Any], *section: str) -> Iterator[tuple[str, ...]]:
    """Path of every key whose name the code knows: not those of customer columns, estimators and their arguments."""
    for name, value in content.items():
        if section != ("data", "columns") and (section[:2] != ("tune", "space") or len(section) == 4):
            yield (*section, name)
        if isinstance(value, dict) and name != "params":
            yield from keys(value, *section, name)


EXAMPLE: dict[str, Any] = YAML(typ="safe").load(PARAMS)

NAMED = [path for path in keys(EXAMPLE) if path[-1] != "type"]  # a column without type is told in words of its own


@pytest.mark.parametrize("path", NAMED, ids=".".join)
def test_no_key_has_a_default(folder: Path, path: tuple[str, ...]) -> None:
    content = copy.deepcopy(EXAMPLE)
    *section, name = path
    del value_at(content, section)[name]
    (folder / PARAMS_FILE).write_text(json.dumps(content))
    advice = "all keys are required (`git diff params.yaml` shows what was removed)"
    assert told(folder) == [f"params.yaml: {'.'.join(path)}: missing; {advice}"]


@pytest.mark.parametrize("section", sorted({path[:-1] for path in keys(EXAMPLE)}), ids=lambda path: ".".join(path))
def test_no_section_takes_an_unknown_key(folder: Path, section: tuple[str, ...]) -> None:
    content = copy.deepcopy(EXAMPLE)
    value_at(content, section)["colour"] = "red"
    (folder / PARAMS_FILE).write_text(json.dumps(content))
    assert told(folder) == [f"params.yaml: {'.'.join([*section, 'colour'])}: unknown key; remove it"]


def value_at(content: dict[str, Any], section: Sequence[str]) -> dict[str, Any]:
    for name in section:
        content = content[name]
    return content


def test_numbers_and_words_are_read_as_in_yaml_1_2(folder: Path) -> None:
    edited(folder, "test_share: 0.3", "test_share: 3e-1")
    columns = "{plan: {type: categorical, values: [No, Yes, off], missing: fail, on_error: fail}}"
    content = read_yaml(folder / PARAMS_FILE)
    assert content["preprocess"]["test_share"] == 0.3
    (folder / "words.yaml").write_text(f"columns: {columns}\nyes: 010\n")
    assert read_yaml(folder / "words.yaml") == {
        "columns": {
            "plan": {"type": "categorical", "values": ["No", "Yes", "off"], "missing": "fail", "on_error": "fail"}
        },
        "yes": 10,
    }


@pytest.mark.parametrize("threshold", ["0", "1", "0.25", "25e-2"])
def test_a_threshold_may_be_any_probability(folder: Path, threshold: str) -> None:
    params = load_params(edited(folder, "threshold: profit", f"threshold: {threshold}"))
    assert params.train.threshold == float(threshold)


def test_dvc_reads_the_same_values(folder: Path) -> None:
    text = "{small: 1e-3, word: No, answer: yes, octal: 0o17, plain: 010, gap: ~, day: 2013-01-02, list: [on, 1_000]}"
    (folder / "values.yaml").write_text(text)
    for path in (SAMPLE_PARAMS / PARAMS_FILE, folder / "values.yaml"):
        assert read_yaml(path) == load_yaml(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is not a mapping of keys to values; restore it with `git checkout params.yaml`"),
        (b"- compute\n", "is not a mapping of keys to values; restore it with `git checkout params.yaml`"),
        (b"compute:\n  seed: 7\n threads: 1\n", "not readable as YAML: line 3: "),
        (b"compute:\n  seed: 7\n  seed: 8\n", "not readable as YAML: line 3: while constructing a mapping, found dupl"),
        (b"compute: !!python/name:os.system\n", "not readable as YAML: line 1: could not determine a constructor"),
        (b"compute: 2013-99-99\n", "not readable as YAML: month must be in 1..12"),
        (b"compute:\n<<<<<<< HEAD\n  seed: 7\n=======\n  seed: 8\n>>>>>>> bob\n", "line 2: a conflict that git has"),
        (b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> bob\n", "line 1: a conflict that git has stopped at; keep one"),
        (b"a:\n- 1\n<<<<<<< HEAD\n- 2\n=======\n- 3\n>>>>>>> bob\n", "line 3: a conflict that git has stopped at"),
        (b"compute: caf\xe9\n", "not readable as YAML: 'utf-8' codec can't decode byte 0xe9 in position 12"),
    ],
)
def test_a_file_that_is_no_mapping_in_yaml_is_told_in_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / PARAMS_FILE).write_bytes(content)
    (only,) = told(tmp_path)
    assert only.startswith(f"params.yaml: {line}")


TAGS = {
    "apply": "!!python/object/apply:os.system ['touch {marker}']",
    "new": "!!python/object/new:subprocess.Popen [[touch, {marker}]]",
    "object": "!!python/object:subprocess.Popen {{args: [touch, {marker}]}}",
    "name": "!!python/name:os.system",
    "module": "!!python/module:antigravity",
    "local": "!apply:os.system ['touch {marker}']",
    "verbatim": "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {marker}']",
}
"""Values by which some readers of YAML run a program."""


@pytest.mark.parametrize("file", ["params.yaml", "dvc.yaml", "dvc.lock"])
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_of_python_is_refused_and_nothing_runs(tmp_path: Path, file: str, tag: str) -> None:
    marker = tmp_path / "ran"
    value = TAGS[tag].format(marker=marker)
    for place, text in enumerate((f"{value}\n", f"train: {value}\n", f"? {value}\n: 1\n", f"a: [{{b: {value}}}]\n")):
        path = tmp_path / str(place) / file
        path.parent.mkdir()
        path.write_text(text)
        for read in (read_yaml, load_yaml):
            with pytest.raises((ParameterError, YAMLError, YAMLFileCorruptedError)):
                read(path)
        with contextlib.suppress(YAMLError, AttributeError, TypeError):  # this one only edits: a tag stays a tag
            load_editable(text)
        with pytest.raises(ParameterError) as refusal:
            read_yaml(path)
        assert len(str(refusal.value).splitlines()) == 1
        assert str(refusal.value).startswith(f"{file}: not readable as YAML: line ")
    assert not marker.exists()
    assert "antigravity" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("file", ["params.yaml", *every_night("dvc.yaml", "dvc.lock")])
def test_no_command_runs_what_a_tag_asks_for(finished: Path, file: str) -> None:
    run, marker = shell(finished), finished / "ran"
    with (finished / file).open("a") as content:
        content.write(f"\nextra: {TAGS['apply'].format(marker=marker)}\n")
    for command in ("dvc status", "dvc params diff", "churn summary", "churn changes", "python -m churn.stages train"):
        run(command, check=False, PYTHONPATH="src")
    assert run("dvc repro", check=False, PYTHONPATH="src").returncode != 0
    assert not marker.exists()


def test_a_missing_file_is_told_with_the_folder_it_was_sought_in(tmp_path: Path) -> None:
    assert told(tmp_path) == [f"params.yaml: not found in {tmp_path}; run this in the project's folder"]


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize("text", ["a: " + "[" * 3000, "a: " + "[" * 200_000, LAUGHS, "a: &a [*a]\n", "a: &a {b: *a}\n"])
def test_a_file_built_to_exhaust_its_reader_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ParameterError, match=r"^dvc\.lock: not readable as YAML: ") as error:
        parse_yaml(text, "dvc.lock")
    assert len(str(error.value).splitlines()) == 1


def test_aliases_as_people_use_them_are_read() -> None:
    assert parse_yaml("a: &a {b: [1, 2]}\nc: *a\nd: [*a, *a]\n", "x.yaml")["d"] == [{"b": [1, 2]}] * 2
