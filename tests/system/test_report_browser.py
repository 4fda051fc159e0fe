"""The committed report in a real browser without a network: what people do with it, and what it tells them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn import files
from churn.config.economics import Economics
from churn.metrics.profit import profit_per_customer
from churn.report import content
from churn.report.origin import Origin, with_origin
from churn.report.page import render_page
from tests.helpers.made_up_results import make_results
from tests.helpers.projects import NO_SERVER, REPOSITORY, shell
from tests.helpers.sample import clone_with_sample

pytestmark = pytest.mark.stack

IMAGE = "churn-browser"
"""Stays, since the tests of the stack use it as well."""
PICTURES = REPOSITORY / ".stack/report"
AXE = "/axe/axe_playwright_python/axe.min.js"
SETTINGS = 50
LEAST_HEIGHT = 6.5
"""Points from the top to the bottom of letters on paper, which is a size of some 5.5."""
COLUMNS = [f"column{number}" for number in range(30)]
FINDINGS = [f"finding{number}" for number in range(15)]
GAPS = [f"gap{number}" for number in range(15)]
GROUPS = [(f"slice{column}", f"group {column}/{value}") for column in range(10) for value in range(14)]
COMMIT = "c" * 40


def make_settings() -> list[dict[str, float]]:
    random = np.random.default_rng(11)
    return [
        {
            "threshold": round(float(random.uniform(0, 1)), 3),
            "value": round(float(random.uniform(1, 900)), 2),
            "offer": round(float(random.uniform(0, 60)), 2),
            "contact": round(float(random.uniform(0, 12)), 2),
            "acceptance": round(float(random.uniform(0.01, 0.99)), 3),
        }
        for _ in range(SETTINGS)
    ]


def bigger_page() -> str:
    """More of everything than the page of the sample has, and more of most than a page shows."""
    results = make_results(columns=COLUMNS)
    findings = [
        {"name": name, "severity": "warn", "evidence": f"evidence of {name}", "accepted": False} for name in FINDINGS
    ]
    one = results.slices.iloc[0].to_dict()
    slices = pd.DataFrame([one | {"column": column, "value": value} for column, value in GROUPS])
    changed = {
        "audit": {"accepted": 0, "warnings": len(findings), "findings": findings},
        "data": {**results.data, "missing": dict.fromkeys(GAPS, 3)},
        "slices": slices,
    }
    page = render_page(make_results(columns=COLUMNS, changed=changed))
    return with_origin(page, Origin("0123456789abcdef", COMMIT, (f"git checkout {COMMIT}", "dvc checkout")))


@pytest.fixture(scope="module")
def found(committed: Path) -> Any:
    run = shell(REPOSITORY)
    if run("docker info", check=False).returncode:
        pytest.exit("no Docker engine answers; `docker info` says more", returncode=1)
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    PICTURES.chmod(0o777)
    (PICTURES / "settings.json").write_text(json.dumps(make_settings()))
    (PICTURES / "bigger.html").write_text(bigger_page(), encoding="utf-8")
    run(f"docker build --quiet --tag {IMAGE} tests/system/browser")
    mounted = f"--volume {committed / files.REPORT}:/report.html:ro --volume {PICTURES}:/pictures"
    run(
        f"docker run --rm --network none {mounted} {IMAGE} "
        f"/examine.py /report.html {AXE} /pictures/settings.json /pictures/bigger.html /pictures"
    )
    return json.loads((PICTURES / "found.json").read_text())


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's state, run in a clone: what the page was made of, also where git does not hold it."""
    clone = tmp_path_factory.mktemp("committed") / "clone"
    clone_with_sample(clone)
    shell(clone)("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
    return clone


@pytest.fixture(scope="module")
def predictions(committed: Path) -> pd.DataFrame:
    """What `evaluate` predicts for the page's customers."""
    return files.read_table(committed / files.TEST_PREDICTIONS)


@pytest.fixture(scope="module")
def thresholds(committed: Path) -> list[float]:
    """Those that the page can count."""
    page = (committed / files.REPORT).read_text(encoding="utf-8")
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    return list(json.loads(data[1])["thresholds"])


def as_told(euros: float) -> tuple[str, str]:
    """An amount as the page writes it; what rounds to zero may keep its sign."""
    return f"{euros:,.0f}", f"{euros:,.0f}".replace("-0", "0")


def test_the_explorer_computes_what_business_computes(
    found: Any, predictions: pd.DataFrame, thresholds: list[float]
) -> None:
    churned, probability = predictions["churned"].to_numpy(), predictions["probability"].to_numpy()
    for setting, told in zip(make_settings(), found["settings"], strict=True):
        share = setting["acceptance"]
        economics = Economics(
            currency="EUR",
            customer_value=setting["value"],
            offer_cost=setting["offer"],
            contact_cost=setting["contact"],
            acceptance_alpha=share,
            acceptance_beta=1 - share,
        )
        assert told["counted"] == min(one for one in thresholds if one >= setting["threshold"])
        contacted = probability >= told["counted"]
        everybody = np.ones(len(churned), dtype=bool)
        profit = 1000 * profit_per_customer(churned, contacted, economics)
        assert told["profit"] == pytest.approx(profit, abs=1e-6)
        assert told["told"].replace("−", "-") in as_told(profit)
        from_everybody = 1000 * profit_per_customer(churned, everybody, economics)
        over = profit - from_everybody
        assert told["over-everybody"] == pytest.approx(over, abs=1e-6)
        assert told["hits"] == ((churned == 1) & contacted).sum()
        assert told["missed"] == ((churned == 1) & ~contacted).sum()
        assert told["bothered"] == ((churned == 0) & contacted).sum()
        assert told["spared"] == ((churned == 0) & ~contacted).sum()
        best = 1000 * profit_per_customer(churned, probability >= told["hindsight"], economics)
        assert best >= profit - 1e-6
        zero, highest, end = (text.replace("−", "-") for text in told["labels"])
        assert zero == "0"
        assert highest in (as_told(best) if best > 0 else [""])
        assert end in as_told(from_everybody)


def test_what_more_a_customer_is_worth_is_seen_beside_the_costs_of_the_pipeline(found: Any) -> None:
    """The lower on the screen, the less."""
    assert found["reset"]["ends"]["line"] == found["reset"]["ends"]["reference"]
    assert found["dearer"]["ends"]["line"] < found["dearer"]["ends"]["reference"] - 50


def test_what_cannot_be_computed_with_is_refused_and_the_last_figures_stay(found: Any) -> None:
    assert set(found["refused"]) == {"threshold", "value", "offer", "contact", "acceptance"}
    for name, told in found["refused"].items():
        assert told["invalid"] == "true", name
        assert "Allowed: 0 " in told["note"]
        assert told["spoken"].endswith(told["note"])
        assert told["after"] == told["before"]
        assert told["mended"]["invalid"] == "false"
        assert told["mended"]["note"] == ""
        assert "EUR per 1,000" in told["mended"]["spoken"]


def test_it_begins_with_the_decision_and_comes_back_to_it(found: Any, committed: Path) -> None:
    money = files.read_json(committed / files.BUSINESS_METRICS)
    training = files.read_json(committed / files.TRAIN_METRICS)
    for told in (found["at_first"], found["reset"]):
        assert told["counted"] == training["threshold"]
        assert round(told["profit"], 6) == money["profit_per_1000"]
        assert round(told["over-everybody"], 6) == money["profit_over_everybody_per_1000"]
        assert round(told["share"], 6) == money["contacted_share"]


def test_sliders_move_the_fields_and_the_figures(found: Any) -> None:
    assert found["slid"]["fields"] == {"offer": "20", "threshold": "0.5"}
    assert 0 <= found["slid"]["counted"] - 0.5 < 0.02
    assert found["slid"]["profit"] != found["settings"][-1]["profit"]


def test_charts_answer_the_pointer(found: Any) -> None:
    assert set(found["read"]) == {"profit", "gain", "roc", "precision_recall", "calibration"}
    for name, told in found["read"].items():
        assert len(set(told)) == 3, name
        assert all("%" in text for text in told)


def test_charts_begin_with_the_decision_itself(found: Any) -> None:
    figures = {
        name: value
        for path in (files.TEST_METRICS, files.BUSINESS_METRICS)
        for name, value in files.read_json(REPOSITORY / path).items()
    }
    share, recall = (f"{figures[name]:.1%}" for name in ("contacted_share", "test_recall"))
    for name, parts in {
        "profit": [share, f"{figures['profit_per_1000']:,.0f}"],
        "gain": [share, recall],
        "roc": [recall],
        "precision_recall": [recall, f"{figures['test_precision']:.1%}"],
    }.items():
        told, _ = found["begun"][name]
        assert told.startswith("The decision: ")
        assert all(part in told for part in parts)
        assert "interval" not in told


def test_where_nothing_can_vary_no_interval_is_told(found: Any) -> None:
    _, told = found["begun"]["profit"]
    assert "0.0%" in told, "nobody contacted, so no profit"
    assert "interval" not in told
    assert all("95% interval" in found["read"][name][1] for name in ("profit", "roc", "precision_recall"))


def test_the_keyboard_alone_will_do(found: Any) -> None:
    used = found["by_keyboard"]
    stops = " ".join(used["stops"])
    assert 'class="skip"' in used["stops"][0]
    for part in ('id="threshold"', 'id="acceptance"', "<button", "Read ROC", "Read Calibration"):
        assert part in stops
    assert float(used["value"]) > 200
    assert used["reading"]
    assert used["profit"] != found["at_first"]["profit"]


def test_nothing_is_asked_of_any_network_and_the_console_stays_empty(found: Any) -> None:
    assert [url for url in found["requests"] if not url.startswith(("file:///report.html", "data:"))] == []
    assert found["console"] == []


@pytest.mark.parametrize("view", ["desktop-light", "desktop-dark", "phone-light", "phone-dark"])
def test_nobody_is_kept_out_and_nothing_runs_off_the_screen(found: Any, view: str) -> None:
    assert [one for one in found["barriers"][view] if one["impact"] in ("serious", "critical")] == []
    assert found["widths"][view] == (1280 if view.startswith("desktop") else 390)
    assert (PICTURES / f"{view}.png").stat().st_size > 100_000


def test_it_prints_to_two_pages_with_all_that_the_screen_shows(found: Any, committed: Path) -> None:
    paper = found["print"]
    assert paper["pages"] == 2
    assert paper["least"] > LEAST_HEIGHT
    lock = (committed / "dvc.lock").read_text()
    for path in (files.MODEL, files.TEST_ROWS, files.Y_TEST, files.DATA_METRICS, files.AUDIT):
        md5 = re.search(rf"path: {path}\n\s+hash: md5\n\s+md5: (\w+)", lock)
        assert md5 is not None
        assert f"{path} {md5[1]}" in paper["text"]
    for row in files.read_table(committed / files.SLICES).to_dict("records"):
        assert f"{row['value']} {row['customers']:,} {row['churn_rate']:.0%}" in paper["text"]
    for finding in files.read_json(committed / files.AUDIT)["findings"]:
        assert finding["name"] in paper["text"]
    importance = files.read_table(committed / files.IMPORTANCE)
    shown = [row["feature"] for row in importance.to_dict("records") if on_paper(row, paper["text"])]
    assert f"{len(importance) - len(shown)} more columns in models/feature_importance.csv." in paper["text"]


def on_paper(row: Any, text: str) -> bool:
    """Whether a row of importance is printed."""
    return f"{row['feature']} {row['roc_auc_drop']:.3f} {row['roc_auc_drop_sd']:.3f}".replace("-", "−") in text


def test_a_bigger_page_takes_more_paper_and_says_what_is_left_out(found: Any) -> None:
    paper, page = found["bigger"], (PICTURES / "bigger.html").read_text(encoding="utf-8")
    text = f"{paper['text']} "
    assert paper["pages"] > 2
    assert paper["least"] > LEAST_HEIGHT
    groups = [value for _, value in GROUPS if f">{value}<" in page]
    assert len(groups) == content.SLICES_SHOWN * content.VALUES_SHOWN
    for one in (*groups, *FINDINGS[: content.ENTRIES_SHOWN], *GAPS[:5], COMMIT, "git checkout", "dvc checkout"):
        assert f" {one} " in text, one
    by_column = len({column for column, _ in GROUPS})
    values = len(GROUPS) // by_column
    assert text.count(f"{values - content.VALUES_SHOWN} more in metrics/slices.csv") == content.SLICES_SHOWN
    assert text.count("Value Customers Churned Precision Recall") >= content.SLICES_SHOWN
    assert f"{by_column - content.SLICES_SHOWN} more columns in metrics/slices.csv" in text
    for names, file in ((FINDINGS, "metrics/audit.json"), (GAPS, "metrics/data.json")):
        shown = sum(f" {name} " in text for name in names)
        assert f" {len(names) - shown} more in {file}." in text
    shown = sum(re.search(rf" {name} −?0\.\d\d\d 0\.010", text) is not None for name in COLUMNS)
    assert f" {len(COLUMNS) - shown} more columns in models/feature_importance.csv." in text
