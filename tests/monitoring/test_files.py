"""The files that a look leaves: journal, gauges and page."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from churn.errors import ChurnError
from churn.metrics.intervals import Interval
from churn.monitoring import gauges, journal, page
from churn.monitoring.drift import DriftCheck, DriftFinding
from churn.monitoring.look import Look, SliceShift

ALARM = DriftFinding("fee", "Kolmogorov-Smirnov", 0.2, 1e-40, 1e-38, 0.2, "fee: median 70 → 76", is_alarm=True)
QUIET = DriftFinding(
    "", "Kolmogorov-Smirnov", 0.01, 0.7, 1.0, 0.01, "probability of churn: median 0.2 → 0.2", is_alarm=False
)
LOOK = Look(
    made="2026-05-02T06:00:00+00:00",
    source="may.csv",
    fingerprint="f" * 16,
    commit="c" * 40,
    since="",
    until="",
    oldest="2026-05-01",
    newest="2026-05-01",
    customers=1_000,
    scored=990,
    refused=10,
    of_other_models=0,
    level=1 / 365,
    looks_per_year=365,
    false_alarms_per_year=1.0,
    currency="EUR",
    checks=(DriftCheck("scores", (QUIET,)), DriftCheck("columns", (ALARM,)), DriftCheck("joint", ())),
    estimated_profit=Interval(10_000.0, 9_000.0, 11_000.0),
    training_profit=Interval(9_500.0, 9_000.0, 10_000.0),
    slices=(SliceShift("plan", "pro", 0.2, 0.3, 1_000.0, 1_500.0, 4.0),),
    remarks=(),
)
NOW, A_YEAR_AGO = "2026-05-03T00:00:00+00:00", "2025-05-03T00:00:00+00:00"


def remarks(look: Look, *earlier: Look) -> list[str]:
    return journal.remarks_on(journal.as_entry(look), [journal.as_entry(one) for one in earlier], NOW, A_YEAR_AGO)


def test_the_same_look_again_replaces_the_earlier_one(tmp_path: Path) -> None:
    journal.write_look(tmp_path, journal.as_entry(LOOK), [])
    again = replace(LOOK, made="2026-05-02T09:00:00+00:00")
    journal.write_look(tmp_path, journal.as_entry(again), journal.read_journal(tmp_path))
    other = replace(LOOK, customers=5)
    journal.write_look(tmp_path, journal.as_entry(other), journal.read_journal(tmp_path))
    assert [one["made"] for one in journal.read_journal(tmp_path)] == [again.made, other.made]


def test_tiny_p_values_and_undefined_figures_survive_the_journal(tmp_path: Path) -> None:
    nothing = replace(LOOK, estimated_profit=Interval(float("nan"), float("nan"), float("nan")))
    journal.write_look(tmp_path, journal.as_entry(nothing), [])
    (found,) = journal.read_journal(tmp_path)
    assert found["checks"][1]["findings"][0]["p_value"] == 1e-40
    assert found["estimated_profit"] == {"value": None, "low": None, "high": None}
    assert page.render([found], None)


@pytest.mark.parametrize("line", ["not JSON", "[]", '{"made": "2026"}', "\udcff"])
def test_a_line_that_is_no_look_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    journal.write_look(tmp_path, journal.as_entry(LOOK), [])
    with (tmp_path / journal.JOURNAL).open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"{line}\n")
    with pytest.raises(ChurnError, match=r"looks\.jsonl: line 2 is not a look"):
        journal.read_journal(tmp_path)


def test_overlapping_windows_are_told() -> None:
    april = replace(LOOK, oldest="2026-04-01", newest="2026-04-30T23:00:00+00:00")
    assert remarks(LOOK, april) == []
    (told,) = remarks(LOOK, replace(LOOK, oldest="2026-04-20", customers=7))
    assert told.startswith("1 earlier look(s) cover some of the same time")


def test_more_looks_than_stated_are_told() -> None:
    weekly = replace(LOOK, looks_per_year=1, oldest="", newest="")
    assert remarks(weekly, replace(weekly, made="2024-01-01T00:00:00+00:00", customers=7)) == []
    (told,) = remarks(weekly, replace(weekly, customers=7))
    assert told.startswith("2 looks within a year, and monitor.looks_per_year is 1")


def test_a_clock_that_went_back_and_customers_from_the_future_are_told() -> None:
    later = replace(LOOK, made="2027-01-01T00:00:00+00:00", oldest="", newest="")
    assert remarks(LOOK, later) == [
        "the journal has a look from the future, 2027-01-01T00:00:00+00:00: check the clock"
    ]
    assert remarks(replace(LOOK, newest="2026-06-01")) == [
        "customers are from the future, 2026-06-01: check the dates and the clock"
    ]


def test_gauges_are_read_by_prometheus_and_have_no_undefined_value() -> None:
    odd = replace(ALARM, name='fee "net"\\\n')
    look = replace(LOOK, checks=(*LOOK.checks[:1], DriftCheck("columns", (odd,))), newest="")
    text = gauges.as_text(
        gauges.gauges_of_look(journal.as_entry(look), gauges.TrackingGauges(3, reachable=True, committed=None))
    )
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    values = {(one.name, *one.labels.values()): one.value for one in samples}
    assert values["churn_monitor_alarm", "columns"] == 1
    assert values["churn_monitor_column_shift", 'fee "net"\\\n'] == 0.2
    assert values["churn_monitor_estimated_profit_per_1000", "low"] == 9_000
    assert values["churn_monitor_last_look_timestamp_seconds",] == 1_777_701_600
    assert not [name for name in values if name[0].startswith("churn_monitor_model_committed")]


def test_the_page_needs_no_network_and_shows_labels_as_text() -> None:
    evil = "<script>alert(1)</script>"
    look = replace(
        LOOK,
        source=evil,
        slices=(replace(LOOK.slices[0], column=evil, value=evil),),
        checks=(DriftCheck("columns", (replace(ALARM, name=evil, effect=f"{evil}: median 1 → 2"),)),),
        remarks=(evil,),
    )
    html = page.render([journal.as_entry(LOOK), journal.as_entry(look)], None)
    assert "<script" not in html
    assert not re.search(r"(src|href)=\"(?!#|data:)", html)
    assert "Yes: they differ by more than chance explains." in html
    assert "fee: median" not in html  # the column stands beside it


def test_the_page_is_there_before_the_first_look() -> None:
    assert "No look was made yet" in page.render([], None)


def test_a_table_of_many_looks_stays_readable() -> None:
    looks = [
        journal.as_entry(replace(LOOK, customers=number, newest=str(day)))
        for number, day in enumerate(pd.date_range("2026-01-01", periods=400).date)
    ]
    html = page.render(looks, None)
    assert html.count('<tr><th scope="row">2026-05-02') == page.LOOKS_SHOWN
    assert f"{400 - page.LOOKS_SHOWN} earlier looks" in html
    assert len(html) < 200_000
