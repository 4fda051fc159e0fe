"""params.yaml is laid out so that `dvc exp run --set-param` changes the value that it sets, and no other byte."""

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # a reader of YAML 1.1
from hypothesis import example, given
from hypothesis import strategies as st

from churn.config.params import PARAMS_FILE, Params, check_params, parse_yaml
from churn.config.search_space import Candidate
from churn.config.yaml_edit import adopt_candidate, dump_like, load_editable, node
from tests.helpers.dvc_edits import changed_lines, set_param
from tests.helpers.projects import PARAMS
from tests.helpers.sample import SAMPLE_PARAMS
from tests.helpers.strategies import repeatable

REAL = (SAMPLE_PARAMS / PARAMS_FILE).read_text()

ESTIMATOR = "sklearn.ensemble.HistGradientBoostingClassifier"
LABELS = "values:\n      - Month-to-month\n      - One year\n      - Two year\n"
REGION = "    region:\n      type: categorical\n      values:\n      - a\n      - b\n"
PORTFOLIO = REAL[REAL.index("  portfolio:\n") : REAL.index("  space: ")]
LEAF = "# customers a leaf\n"
FEMALE = " female: {type: boolean"
EDITS = [
    ("compute.seed=5", "seed: 2013 ", "seed: 5 "),
    ("data.source=data/raw/a_table_with_a_longer_name.csv", "/sample_data.csv", "/a_table_with_a_longer_name.csv"),
    ("data.format.delimiter=';'", "delimiter: ','", "delimiter: ;"),
    ("data.id=customer", "  id: ", "  id: customer "),
    ("data.target.positive=gone", "positive: !!str Yes", "positive: gone"),
    ("data.missing_values.0=unknown", "- NA\n", "- unknown\n"),
    ("data.missing_values=[NA,'?']", "  - NA\n", "  - NA\n  - '?'\n"),
    ("data.missing_values=[]", "missing_values:\n  - NA\n", "missing_values: []\n"),
    ("data.columns.female.missing=drop", f"{FEMALE}, missing: fail", f"{FEMALE}, missing: drop"),
    ("data.columns.monthly_charges.max=null", "max: 1000\n", "max:\n"),
    ("data.columns.monthly_charges.max=2500.5", "max: 1000\n", "max: 2500.5\n"),
    ("data.columns.contract.values.1=One year or more", "- One year\n", "- One year or more\n"),
    ("data.columns.multiple_lines.values.2=none", "- No phone service\n", "- none\n"),
    ("data.columns.contract.values=null", LABELS, "values:\n"),
    ("~data.columns.paperless_billing", "    paperless_billing: {type: boolean, missing: fail, on_error: fail}\n", ""),
    ("+data.columns.region={type:categorical,values:[a,b]}", "  unused: {}", f"{REGION}  unused: {{}}"),
    ("data.audit.accept=[]", "accept:\n    - repeats:multiple_lines,phone_service\n", "accept: []\n"),
    ("data.audit.max_column_auc=1.0", "max_column_auc: 0.9 ", "max_column_auc: 1.0 "),
    ("preprocess.split_salt='2014'", "split_salt: '2013'", "split_salt: '2014'"),
    ("preprocess.split={by:time,column:since}", "{by: key, column: null,", "{by: time, column: since,"),
    ("business.offer_cost=12.5", "offer_cost: 10.0", "offer_cost: 12.5"),
    ("train.estimator=lightgbm.LGBMClassifier", f"estimator: {ESTIMATOR} ", "estimator: lightgbm.LGBMClassifier "),
    ("train.params.max_iter=100", "max_iter: 150 ", "max_iter: 100 "),
    (
        "train.params.l2_regularization=1e-05",
        f"{LEAF}    l2_regularization: 1.0\n",
        f"{LEAF}    l2_regularization: 1e-05\n",
    ),
    ("train.params.early_stopping=true", "early_stopping: false ", "early_stopping: true "),
    ("+train.params.max_depth=null", "  folds: 5", "    max_depth:\n  folds: 5"),
    ("train.threshold=0.4", "threshold: profit ", "threshold: 0.4 "),
    ("train.importance={repeats:7}", "repeats: 5 ", "repeats: 7 "),
    ("tune.trials=80", "trials: 50", "trials: 80"),
    ("tune.portfolio.7.params.C=0.2", "C: 0.1\n", "C: 0.2\n"),
    ("tune.portfolio=[]", PORTFOLIO, "  portfolio: []\n"),
    ("tune.objective=profit", "objective: pr_auc ", "objective: profit "),
    ("evaluate.slices.1=partner", "- internet_service\n", "- partner\n"),
    ("evaluate.slices=[]", "slices:\n  - contract\n  - internet_service\n  - senior_citizen\n", "slices: []\n"),
    ("monitor.looks_per_year=52", "looks_per_year: 365 ", "looks_per_year: 52 "),
    ("monitor.date_column=day", "\n  date_column:  ", "\n  date_column: day  "),
    ("promote.max_calibration_error=0.1", "max_calibration_error: 0.05", "max_calibration_error: 0.1"),
]


@pytest.mark.parametrize(("override", "old", "new"), EDITS, ids=[edit[0] for edit in EDITS])
def test_an_edit_changes_the_value_and_nothing_else(override: str, old: str, new: str) -> None:
    assert REAL.count(old) == 1
    meant, edited = REAL.replace(old, new), set_param(REAL, override)
    assert [line.split() for line in edited.splitlines()] == [line.split() for line in meant.splitlines()]
    assert len(changed_lines(REAL, edited)) == len(changed_lines(REAL, meant)), "spaces before its own comment apart"
    assert parse_yaml(edited, PARAMS_FILE) == parse_yaml(meant, PARAMS_FILE)


def test_an_edit_of_every_section_is_tried() -> None:
    assert {override.lstrip("+~").partition(".")[0] for override, _, _ in EDITS} == set(Params.model_fields)


def test_an_edit_taken_back_leaves_no_trace() -> None:
    there = ["data.id=customer", "data.missing_values=[]", "evaluate.slices=[]", "data.columns.tenure.max=null"]
    back = ["data.id=null", "data.missing_values=[NA]", "data.columns.tenure.max=120"]
    slices = "evaluate.slices=[contract,internet_service,senior_citizen]"
    assert set_param(set_param(REAL, *there), *back, slices) == REAL


def test_readers_of_yaml_1_1_read_the_same_before_and_after_an_edit() -> None:
    assert yaml.safe_load(REAL) == parse_yaml(REAL, PARAMS_FILE)
    edited = set_param(REAL, "train.params.max_iter=100")
    assert yaml.safe_load(edited) == parse_yaml(edited, PARAMS_FILE)
    assert yaml.safe_load(edited)["data"]["target"]["positive"] == "Yes"


@pytest.mark.parametrize(
    "text",
    [PARAMS, REAL.replace("!!str Yes", '"Yes"').replace("!!str No", "'No'"), REAL.replace("!!str ", "")],
    ids=["another layout", "quotes", "neither"],
)
def test_this_pipeline_reads_the_same_text_whether_or_not_an_edit_took_its_quotes(text: str) -> None:
    before, after = parse_yaml(text, PARAMS_FILE), parse_yaml(set_param(text, "tune.trials=7"), PARAMS_FILE)
    before["tune"]["trials"] = 7
    assert after == before
    assert check_params(after).data.target.positive.lower() == "yes"


SMALL = "arguments:\n  first: 1.0   # kept\nlast: 5   # kept as well\n"


def with_argument(value: object) -> str:
    """A small file with a value more, as `churn init` and `churn tune --apply` write it."""
    document = load_editable(SMALL)
    document["arguments"]["other"] = node(value)
    return dump_like(document, like=SMALL)


def argument(text: str) -> Any:
    return parse_yaml(text, PARAMS_FILE)["arguments"]["other"]


WORDS = ["Yes", "no", "y", "ON", "1:30", "9:20:30.1", "null", "~", "1e3", "0o17", "2013-01-01", "2,5", "-", "=", "<<"]
PHRASES = st.lists(st.text("ab:,#'\"- 1", max_size=9)).map(" ".join)
LETTERS = st.characters(exclude_characters="\x85")  # an end of line that DVC writes as it is, and does not read back
TEXTS = st.text(LETTERS, max_size=12) | st.sampled_from(WORDS) | PHRASES
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(1e-9, 1e9).map(lambda number: float(f"{number:.3g}"))
NAMES = st.text("abcü:,#'\"- 1", min_size=1, max_size=12) | st.sampled_from(WORDS)
VALUES = st.recursive(
    TEXTS | SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


@repeatable
@given(VALUES)
@example([[None, {"a": [None, "Yes"], "b": {}}], []])
@example({"a": " ".join(["many words"] * 30), "b": {"c": 'x" :-b', "d": " ".join(["a: b"] * 30)}})
def test_any_value_is_written_as_dvc_leaves_it(value: object) -> None:
    written = with_argument(value)
    assert argument(written) == value
    assert set_param(written, "last=7") == written.replace("last: 5 ", "last: 7 ")


@repeatable
@given(st.lists(TEXTS, min_size=1))
@example(WORDS)
def test_any_text_is_the_same_to_readers_of_yaml_1_1(texts: list[str]) -> None:
    read = yaml.safe_load(with_argument({"list": texts, "section": {"text": texts[0]}}))["arguments"]["other"]
    assert read == {"list": texts, "section": {"text": texts[0]}}


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(ESTIMATOR, {"learning_rate": 1e-05, "max_iter": 71}),
        Candidate("sklearn.linear_model.LogisticRegression", {"C": 0.232, "class_weight": None, "solver": "saga"}),
        Candidate("sklearn.neural_network.MLPClassifier", {"hidden_layer_sizes": [100, 50], "alpha": 2.5e-07}),
        Candidate("sklearn.svm.SVC", {"class_weight": {"No": 1, "Yes": 4.5}, "kernel": "rbf"}),
    ],
    ids=lambda candidate: candidate.estimator.rpartition(".")[2],
)
def test_an_adopted_candidate_is_laid_out_as_dvc_leaves_it(candidate: Candidate) -> None:
    present = parse_yaml(REAL, PARAMS_FILE)["train"]
    kept = present["params"] if candidate.estimator == present["estimator"] else {}
    written = adopt_candidate(REAL, Candidate(candidate.estimator, kept | dict(candidate.arguments)))
    assert set_param(written, "compute.seed=5") == written.replace("seed: 2013 ", "seed: 5    ")


def test_a_name_too_long_for_a_line_of_dvcs_is_still_written_so_that_it_is_read() -> None:
    value = {" ".join(["how content are you with it"] * 4): None}
    assert argument(with_argument(value)) == value
