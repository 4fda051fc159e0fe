"""The committed report in a real browser without a network: what people do with it, and what it tells them."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn import artifacts, business
from churn.business import Economics
from tests.conftest import REPOSITORY, shell

pytestmark = pytest.mark.stack

IMAGE = f"churn-browser-{os.getpid()}"
PICTURES = REPOSITORY / ".stack/report"
AXE = "/axe/axe_playwright_python/axe.min.js"
SETTINGS = 50


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


@pytest.fixture(scope="module")
def found() -> Any:
    run = shell(REPOSITORY)
    if run("docker info", check=False).returncode:
        pytest.exit("no Docker engine answers; `docker info` says more", returncode=1)
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)
    PICTURES.chmod(0o777)
    (PICTURES / "settings.json").write_text(json.dumps(make_settings()))
    run(f"docker build --quiet --tag {IMAGE} tests/browser")
    try:
        mounted = f"--volume {REPOSITORY / artifacts.REPORT}:/report.html:ro --volume {PICTURES}:/pictures"
        run(
            f"docker run --rm --network none {mounted} {IMAGE} "
            f"/examine.py /report.html {AXE} /pictures/settings.json /pictures"
        )
    finally:
        run(f"docker image rm {IMAGE}", check=False)
    return json.loads((PICTURES / "found.json").read_text())


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """What `evaluate` predicted for the page's customers."""
    return pd.read_csv(REPOSITORY / artifacts.TEST_PREDICTIONS)


def test_the_explorer_computes_what_business_computes(found: Any, predictions: pd.DataFrame) -> None:
    churned, probability = predictions["churned"].to_numpy(), predictions["probability"].to_numpy()
    for setting, told in zip(make_settings(), found["settings"], strict=True):
        share = setting["acceptance"]
        economics = Economics(
            customer_value_eur=setting["value"],
            offer_cost_eur=setting["offer"],
            contact_cost_eur=setting["contact"],
            acceptance_alpha=share,
            acceptance_beta=1 - share,
        )
        contacted = probability >= told["stored"]
        everybody = np.ones(len(churned), dtype=bool)
        profit = 1000 * business.profit_per_customer(churned, contacted, economics)
        assert told["profit"] == pytest.approx(profit, abs=1e-6)
        assert told["told"].replace("−", "-") in (f"{profit:,.0f}", f"{profit:,.0f}".replace("-0", "0"))
        over = profit - 1000 * business.profit_per_customer(churned, everybody, economics)
        assert told["over-everybody"] == pytest.approx(over, abs=1e-6)
        assert told["hits"] == ((churned == 1) & contacted).sum()
        assert told["missed"] == ((churned == 1) & ~contacted).sum()
        assert told["bothered"] == ((churned == 0) & contacted).sum()
        assert told["spared"] == ((churned == 0) & ~contacted).sum()
        best = 1000 * business.profit_per_customer(churned, probability >= told["hindsight"], economics)
        assert best >= profit - 1e-6


def test_it_begins_with_the_decision_and_comes_back_to_it(found: Any) -> None:
    money = artifacts.read_json(REPOSITORY / artifacts.BUSINESS_METRICS)
    training = artifacts.read_json(REPOSITORY / artifacts.TRAIN_METRICS)
    for told in (found["at_first"], found["reset"]):
        assert told["stored"] == training["threshold"]
        assert round(told["profit"], 6) == money["profit_per_1000_eur"]
        assert round(told["over-everybody"], 6) == money["profit_over_everybody_per_1000_eur"]
        assert round(told["share"], 6) == money["contacted_share"]


def test_sliders_move_the_fields_and_the_figures(found: Any) -> None:
    assert found["slid"]["fields"] == {"offer": "20", "threshold": "0.5"}
    assert abs(found["slid"]["stored"] - 0.5) < 0.02
    assert found["slid"]["profit"] != found["settings"][-1]["profit"]


def test_charts_answer_the_pointer(found: Any) -> None:
    assert set(found["read"]) == {"profit", "gain", "roc", "precision_recall", "calibration"}
    for name, told in found["read"].items():
        assert len(set(told)) == 3, name
        assert all("%" in text for text in told)


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


def test_it_prints_to_two_pages(found: Any) -> None:
    assert found["pages"] == 2
    assert Path(PICTURES / "print.pdf").stat().st_size > 10_000
