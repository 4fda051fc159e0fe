"""`churn summary`: headline metrics of a run, from the files that it wrote."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from churn import files
from churn.config.economics import FORMER_CURRENCY, in_present_terms, present_names
from churn.config.shapes import RowsTested, TestMoney, TestScores, parse_json, require_shape
from churn.errors import ChurnError
from churn.history.predictions.of_states import recorded_section
from churn.history.snapshot import remark_on_figures
from churn.history.state import LOCK_FILE, edited_parameters, read_lock, stages_from_lock
from churn.history.verify import FROM_GIT, require_own_results

SHOWN: Mapping[Path, type[BaseModel]] = {
    files.DATA_METRICS: RowsTested,
    files.TEST_METRICS: TestScores,
    files.BUSINESS_METRICS: TestMoney,
}
"""Files with the headlines, and what each must have."""
REWRITE = "`dvc repro --force` rewrites it"


@dataclass(frozen=True)
class Summary:
    """Headline metrics of a run.

    The JSON has the attributes as keys, except `data`, `test` and `money`; instead it has:
        rows_test: number of customers that the model has not seen.
        roc_auc, pr_auc, profit_per_1000: value, low and high (95% interval) of each.
        contacted_share, profit_contact_nobody_per_1000, profit_contact_everybody_per_1000: of the same customers.

    Attributes:
        data, test, money: contents of the metrics files.
        currency: of all amounts.
        edited: keys of params.yaml that have changed since the run.
        model_is_here: whether the model's file is in this folder.
        remark: why the figures are not the whole answer, and what to do; empty if they are.
        report: path of the report.
    """

    data: Mapping[str, Any]
    test: Mapping[str, Any]
    money: Mapping[str, Any]
    currency: str
    edited: tuple[str, ...]
    model_is_here: bool
    remark: str
    report: str = str(files.REPORT)

    def as_json(self) -> str:
        """JSON with the keys listed above."""
        scores = {
            "rows_test": self.data["rows_test"],
            "roc_auc": _bounds(self.test, "test_roc_auc"),
            "pr_auc": _bounds(self.test, "test_pr_auc"),
            "profit_per_1000": _bounds(self.money, "profit_per_1000"),
            "contacted_share": self.money["contacted_share"],
            "profit_contact_nobody_per_1000": 0.0,
            "profit_contact_everybody_per_1000": self.money["profit_contact_everybody_per_1000"],
        }
        about = {name: value for name, value in asdict(self).items() if name not in ("data", "test", "money")}
        return files.json_text(scores | about)


def summarize(root: Path) -> Summary:
    """Read the headline metrics of the test rows.

    Raises:
        ChurnError: there are no results yet, they belong to other inputs than dvc.lock records, or git has stopped at a
            conflict.
    """
    try:
        contents = {path: files.read_bytes(root / path) for path in SHOWN}
    except FileNotFoundError as error:
        why = FROM_GIT if read_lock(root) else "no results yet; run `dvc repro`"
        raise ChurnError(f"{error.filename}: {why}") from None
    data, test, money = (_headlines(path, contents[path], shape) for path, shape in SHOWN.items())
    remark = remark_on_figures(root)
    require_own_results(root, map(str, SHOWN))
    edited = tuple(edited_parameters(root))
    return Summary(data, test, money, _currency(root), edited, (root / files.MODEL).exists(), remark)


def _headlines(path: Path, content: bytes, shape: type[BaseModel]) -> Mapping[str, Any]:
    values: Mapping[str, Any] = present_names(parse_json(content, path, remedy=REWRITE))
    require_shape(values, shape, path, REWRITE)
    return values


def summary_text(found: Summary) -> str:
    """Headline metrics of the test rows, and where to find the rest."""
    data, test, money, currency = found.data, found.test, found.money, found.currency
    everybody = _number(money, "profit_contact_everybody_per_1000")
    return "\n".join(
        [
            *([f"Note: {found.remark}"] if found.remark else []),
            "",
            f"Test rows: {data['rows_test']:,} customers that the model has not seen (95% intervals in brackets)",
            f"  ROC-AUC  {_interval(test, 'test_roc_auc', '.3f')}",
            f"  PR-AUC   {_interval(test, 'test_pr_auc', '.3f')}",
            f"  profit   {_interval(money, 'profit_per_1000', ',.0f')} {currency} per 1,000 customers, "
            f"{_number(money, 'contacted_share'):.0%} of them contacted",
            f"           0 {currency} contacting no one, {everybody:,.0f} {currency} contacting everyone",
            "",
            "Figures and pictures: metrics/   model: models/churn_model.pkl   experiments: `make ui`",
            "Next: edit params.yaml, `source .venv/bin/activate`, `dvc repro`, `dvc metrics diff`",
            f"Report: {files.REPORT}; `make report` opens it, with commit and fingerprint",
        ]
    )


def _currency(root: Path) -> str:
    """Currency of the recorded results, even if params.yaml has changed since."""
    recorded = recorded_section(stages_from_lock(read_lock(root)), LOCK_FILE, "business")
    return str(in_present_terms(recorded).get("currency", FORMER_CURRENCY))


def _number(figures: Mapping[str, Any], name: str) -> float:
    return math.nan if figures[name] is None else float(figures[name])


def _bounds(figures: Mapping[str, Any], name: str) -> dict[str, float]:
    return {"value": figures[name], "low": figures[f"{name}_low"], "high": figures[f"{name}_high"]}


def _interval(figures: Mapping[str, Any], name: str, form: str) -> str:
    value, low, high = (_number(figures, key) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value:{form}}  [{low:{form}} to {high:{form}}]"
