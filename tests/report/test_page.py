"""The page and the card: the same values as the files, inert text, small, and right for tables of any shape."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn import files
from churn.config.params import load_params
from churn.metrics.profit import profit_per_customer
from churn.metrics.scores import decision_scores, probability_scores
from churn.report import content, formats
from churn.report.origin import PLACE, Origin, with_origin
from churn.report.page import _sentences, by_lot, render_card, render_page
from churn.report.svg import Axis
from tests.helpers.made_up_results import ECONOMICS, make_results
from tests.helpers.projects import REPOSITORY

HOSTILE = "{{ 7 * 7 }}</script><script>alert(1)</script>\"'`|<img src=x onerror=alert(1)>"
LARGEST = 300_000
"""Bytes of a page, less than that."""


class Outline(HTMLParser):
    """What a browser would make of a page: elements, text, and the data for the script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.data: dict[str, Any] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = [tag]

    def handle_endtag(self, tag: str) -> None:
        self.open = []

    def handle_data(self, data: str) -> None:
        last = self.elements[-1] if self.elements else ("", {})
        if self.open == ["script"]:
            if last[1].get("id") == "data":
                self.data = json.loads(data)
        elif self.open != ["style"]:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def results() -> content.ReportContent:
    return make_results()


def committed(name: str) -> str:
    return (REPOSITORY / files.METRICS / name).read_text(encoding="utf-8")


def figures(*paths: Any) -> dict[str, Any]:
    return {name: value for path in paths for name, value in files.read_json(REPOSITORY / path).items()}


def test_the_committed_page_and_card_tell_the_committed_figures() -> None:
    told = figures(files.TEST_METRICS, files.BUSINESS_METRICS, files.TRAIN_METRICS)
    for document in (" ".join(Outline(committed("report.html")).text.split()), committed("model_card.md")):
        for form, name in (
            (",.0f", "profit_per_1000"),
            (".3f", "test_roc_auc"),
            (".3f", "test_pr_auc"),
            (".1%", "test_precision"),
            (".1%", "test_recall"),
            (".3f", "test_f1"),
            (".3f", "test_brier"),
        ):
            assert format(told[name], form) in document, name
            assert f"{told[f'{name}_low']:{form}} to {told[f'{name}_high']:{form}}" in document, name
        assert f"{told['cv_roc_auc']:.3f} ± {told['cv_roc_auc_sd']:.3f}" in document
        assert f"{told['profit_over_everybody_per_1000']:+,.0f} EUR" in document
        assert f"{100 * told['test_ece']:.1f} points" in document


def test_the_committed_page_and_card_tell_the_committed_slices() -> None:
    slices = files.read_table(REPOSITORY / files.SLICES)
    card, page = committed("model_card.md"), Outline(committed("report.html")).text
    for row in slices.dropna().to_dict("records"):  # a group that is too small has dashes
        assert f"{row['recall']:.0%} [{row['recall_low']:.0%}, {row['recall_high']:.0%}]" in card
        profit = f"{row['profit_per_1000']:,.0f}"
        bounds = [f"{row[f'profit_per_1000_{end}']:,.0f}" for end in ("low", "high")]
        assert f"{profit} [{bounds[0]}, {bounds[1]}]" in card
        assert f"{profit} {bounds[0]} to {bounds[1]}" in page


def test_the_committed_page_holds_the_committed_curves_to_the_last_place() -> None:
    drawn = Outline(committed("report.html")).data["charts"]
    for name, x, y in (
        ("roc", "false_positive_rate", "true_positive_rate"),
        ("precision_recall", "recall", "precision"),
        ("profit", "contacted_share", "profit_per_1000"),
        ("calibration", "predicted", "observed"),
    ):
        curve = files.read_table(REPOSITORY / files.CURVES / f"{name}.csv").sort_values([x], kind="stable")
        points = pd.DataFrame(drawn[name]["points"]).sort_values("x", kind="stable")
        assert np.allclose(sorted(points["x"]), sorted(curve[x]), atol=0)
        for column, end in (("y", ""), ("low", "_low"), ("high", "_high")):
            assert np.allclose(sorted(points[column]), sorted(curve[f"{y}{end}"]), atol=0), name


def test_the_page_has_test_customers_in_tenths_that_reach_every_churner() -> None:
    page = committed("report.html")
    (table,) = re.findall(r"<caption>By predicted probability</caption>.*?</table>", page, re.DOTALL)
    rows = [re.findall(r'<td class="number">([^<]+)</td>', row) for row in table.split("<tr>")[2:]]
    assert len(rows) == 10
    data = Outline(page).data
    assert sum(int(row[0]) for row in rows) == data["all_churners"] + data["all_stayers"]
    assert sum(int(row[2]) for row in rows) == pytest.approx(data["all_churners"], abs=5)
    assert rows[-1][5] == "100.0%"
    assert float(rows[0][4]) > 1 > float(rows[-1][4])


def test_the_page_draws_precision_in_steps() -> None:
    (chart,) = re.findall(r'<figure[^>]*data-chart="precision_recall".*?</figure>', committed("report.html"), re.DOTALL)
    (line,) = re.findall(r'class="line" d="M([^"]+)"', chart)
    corners = [tuple(map(float, point.split())) for point in line.split("L")]
    assert len(corners) > 100
    assert all(here[0] == there[0] or here[1] == there[1] for here, there in pairwise(corners))


def test_the_committed_page_names_its_inputs_as_dvc_lock_does() -> None:
    lock = (REPOSITORY / "dvc.lock").read_text()
    page, card = committed("report.html"), committed("model_card.md")
    for path in (files.MODEL, files.TEST_ROWS, files.Y_TEST):
        md5 = re.search(rf"path: {path}\n\s+hash: md5\n\s+md5: (\w+)", lock)
        assert md5 is not None
        assert md5[1] in page
        assert md5[1] in card


def test_the_explorer_has_the_counts_that_the_predictions_give() -> None:
    data = Outline(committed("report.html")).data
    told = figures(files.TRAIN_METRICS, files.BUSINESS_METRICS)
    place = data["thresholds"].index(told["threshold"])
    economics = load_params(REPOSITORY).business
    customers = data["all_churners"] + data["all_stayers"]
    earned = data["churners"][place] * economics.gain_from_churner + data["stayers"][place] * economics.gain_from_stayer
    assert round(1000 * earned / customers, 6) == told["profit_per_1000"]
    assert (data["churners"][place] + data["stayers"][place]) / customers == pytest.approx(
        told["contacted_share"], abs=1e-6
    )
    assert data["thresholds"] == sorted(data["thresholds"], reverse=True)
    assert (data["churners"][-1], data["stayers"][-1]) == (data["all_churners"], data["all_stayers"])
    assert (data["churners"][0], data["stayers"][0]) == (0, 0)


def test_nothing_is_fetched_and_nothing_leads_elsewhere(results: content.ReportContent) -> None:
    page = render_page(results)
    outline = Outline(page)
    for tag, attributes in outline.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:,")), (tag, target)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    policy = next(one["content"] for one in outline.named("meta") if one.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("where", ["column", "label", "outcome", "finding"])
def test_names_and_labels_from_a_users_table_stay_text(where: str, results: content.ReportContent) -> None:
    finding = {"name": HOSTILE, "severity": "warn", "evidence": HOSTILE, "accepted": False}
    hostile = {
        "column": lambda: make_results(columns=[HOSTILE, "months"]),
        "label": lambda: make_results(label=HOSTILE),
        "outcome": lambda: replace(results, outcome=HOSTILE),
        "finding": lambda: replace(results, audit={"accepted": 0, "warnings": 1, "findings": [finding]}),
    }[where]()
    plain, attacked = Outline(render_page(results)), Outline(render_page(hostile))
    assert len(attacked.named("script")) == len(plain.named("script")) == 2
    assert attacked.named("img") == []
    assert "{{ 7 * 7 }}</script>" in attacked.text, "shown as it is"
    card = render_card(hostile)
    assert "<script" not in card
    assert "<img" not in card


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "columns"), [(10, 3), (12, 300), (2000, 3), (100_000, 300)], ids=lambda value: f"{value:,}"
)
def test_tables_of_any_size_give_a_small_page(rows: int, columns: int) -> None:
    names = [f"a column with quite a long name, number {number}" for number in range(columns)]
    results = make_results(rows, names)
    page = render_page(results)
    assert len(page.encode()) < LARGEST
    assert len(render_card(results).encode()) < LARGEST / 5
    assert Outline(page).data["all_churners"] == results.decision.churners


@pytest.mark.parametrize("churn", [0.0, 1.0])
def test_customers_who_all_did_the_same_can_be_reported(churn: float) -> None:
    results = make_results(40, churn=churn)
    page, card = render_page(results), render_card(results)
    for document in (Outline(page).text, card):
        assert not re.search(r"\bnan\b|\bNone\b|\binf\b", document)
    assert "No ranking" in page


def test_what_is_not_there_leaves_no_empty_table() -> None:
    bare = make_results(slices=False, changed={"dependence": (), "importance": make_results().importance.head(0)})
    page, card = render_page(bare), render_card(bare)
    assert "<tbody>\n</tbody>" not in page
    assert "## Slices" not in card
    assert "matters most" not in page + card
    assert not re.search(r"\|\n\n*(?=#|$)", re.sub(r"(\| .*\n)+", "", card))


def test_a_figure_without_an_interval_is_not_told() -> None:
    slices = make_results().slices.assign(precision_low=math.nan, precision_high=math.nan, precision=0.987)
    told = render_card(make_results(changed={"slices": slices}))
    assert "99%" not in told.split("## Slices")[1].split("## Limits")[0]


@pytest.mark.parametrize(
    ("low", "high", "doubtful"), [(2400.0, 3600.0, False), (-100.0, 900.0, True), (-900.0, -100.0, False)]
)
def test_a_gain_whose_interval_holds_zero_is_said_to_be_no_sure_one(low: float, high: float, doubtful: bool) -> None:
    results = make_results()
    name = "profit_over_everybody_per_1000"
    money = {**results.money, name: (low + high) / 2, f"{name}_low": low, f"{name}_high": high}
    *_, worth = _sentences(replace(results, money=money))
    assert worth.endswith("the difference is not significant.") == doubtful


def test_a_model_for_which_no_contact_pays_is_told_to_contact_nobody() -> None:
    results = make_results(threshold=1.000001)
    assert list(_sentences(results)) == [
        "Contact no one: at these costs, no contact was profitable on the training customers."
    ]
    assert "Contact no one" in render_page(results)


def test_where_nobody_is_contacted_no_precision_is_told() -> None:
    results = make_results(threshold=1.000001)
    page, card = render_page(results), render_card(results)
    assert "| Precision (share of the contacted who churned) | – | – to – |" in card
    assert "with a probability of" not in card
    assert "No one is contacted" in page


def test_where_everybody_is_contacted_that_is_said_and_not_set_against_itself() -> None:
    everybody, worth = _sentences(make_results(threshold=0.0))
    assert everybody == "Contact everyone: all customers have a probability of churn of 0 or more."
    assert "compared with contacting no one" in worth


@pytest.mark.parametrize(
    ("contacted", "told"), [(4, "0.04%"), (40, "0.4%"), (5000, "50%"), (9996, "99.96%"), (9960, "99.6%")]
)
def test_the_share_contacted_is_never_rounded_to_nobody_or_everybody(contacted: int, told: str) -> None:
    decision = content.DecisionCounts(0.0004, 300, 9700, 0, contacted)
    first, *_ = _sentences(replace(make_results(), decision=decision))
    assert first == f"Contact the {told} of customers whose probability of churn is 0.0004 or more."


@pytest.mark.parametrize(("threshold", "more"), [(0.6, "more"), (0.0, "fewer")])
def test_what_a_decision_by_expected_profit_alone_would_change_is_told(threshold: float, more: str) -> None:
    results = make_results(threshold=threshold)
    for document in (Outline(render_page(results)).text, render_card(results)):
        assert f" {more} test customers would be contacted (from a probability of 0.164 on)" in document
        assert "it would have changed the profit by +" in document, "the made-up probabilities are calibrated"


def test_a_threshold_at_the_break_even_probability_changes_nothing() -> None:
    results = make_results()
    same = make_results(threshold=results.economics.break_even)
    assert "By expected profit alone" not in render_card(same)


def test_what_the_amounts_assume_stands_with_them(results: content.ReportContent) -> None:
    for document in (Outline(render_page(results)).text, render_card(results)):
        assert "Amounts are based on assumptions, not on measurements" in document
        for amount in ("contact costs 1 EUR", "30% of the contacted churners", "worth 200 EUR", "costs 10 EUR"):
            assert amount in document


def test_every_amount_is_in_the_currency_of_the_parameters(results: content.ReportContent) -> None:
    in_dollars = replace(results, economics=results.economics.model_copy(update={"currency": "US$"}))
    for document in (render_page(in_dollars), render_card(in_dollars)):
        assert "US$ per 1,000 customers" in document
        assert "EUR" not in document


@pytest.mark.parametrize(
    ("form", "high", "texts"),
    [
        ("number", 150_000.0, ["0", "50,000", "100,000", "150,000"]),
        ("share", 0.11, ["0.0%", "2.5%", "5.0%", "7.5%", "10.0%"]),
        ("share", 1.0, ["0%", "20%", "40%", "60%", "80%", "100%"]),
        ("money", 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_ticks_have_the_decimals_that_tell_them_apart(form: str, high: float, texts: list[str]) -> None:
    assert [text for _, text in formats.ticks_of(Axis("", 0.0, high, form))] == texts


@pytest.mark.parametrize("drops", [[0.3, -0.2], [-0.02, -0.5], [0.0, 0.0]], ids=str)
def test_every_bar_of_importance_lies_within_its_picture(drops: list[float]) -> None:
    table = pd.DataFrame({"feature": ["a", "b"], "roc_auc_drop": drops, "roc_auc_drop_sd": 0.1})
    page = render_page(make_results(changed={"importance": table}))
    bars = re.findall(r'<svg class="drop" viewBox="0 0 200 14".*?</svg>', page)
    assert len(bars) == 2
    places = [float(place) for bar in bars for place in re.findall(r"[MHV]([-\d.]+)", bar)]
    assert 0 <= min(places) <= max(places) <= 200


def test_a_column_that_does_not_stand_out_is_not_said_to_matter() -> None:
    table = pd.DataFrame({"feature": ["a", "b"], "roc_auc_drop": [0.0005, 0.0], "roc_auc_drop_sd": 0.001})
    results = make_results(changed={"importance": table})
    for document in (render_page(results), render_card(results)):
        assert "No column stands out" in document
        assert "matters most" not in document


def test_what_the_card_leaves_out_it_says() -> None:
    findings = [{"name": f"finding {number}", "evidence": "e" * 90, "accepted": False} for number in range(15)]
    names = [f"column {number}" for number in range(20)]
    slices = pd.concat([make_results().slices.assign(column=name) for name in names])
    card = render_card(
        make_results(
            changed={"audit": {"accepted": 0, "warnings": 15, "findings": findings}, "slices": slices},
        )
    )
    assert "has 15 findings; 3 of them are only in metrics/audit.json" in card
    assert "12 more columns are in metrics/slices.csv" in card
    assert "e" * 90 in card, "evidence is told whole"


def test_by_lot_is_what_contacting_as_many_at_random_would_give() -> None:
    results = make_results(2000)
    decision, random = results.decision, np.random.default_rng(4)
    churned = np.repeat([1, 0], [decision.churners, decision.stayers])
    rate = np.full(len(churned), churned.mean())
    drawn = []
    for _ in range(300):
        contacted = np.zeros(len(churned), dtype=bool)
        contacted[random.choice(len(churned), decision.contacted, replace=False)] = True
        profit = 1000 * profit_per_customer(churned, contacted, ECONOMICS)
        drawn.append(decision_scores(churned, contacted) | {"profit_per_1000": profit})
    means = {name: float(np.mean([one[name] for one in drawn])) for name in drawn[0]}
    expected = means | probability_scores(churned, rate)
    lot = by_lot(results)
    assert lot.keys() == expected.keys()
    for name, value in expected.items():
        assert lot[name] == pytest.approx(value, rel=0.03), name


def test_the_same_results_give_the_same_bytes() -> None:
    assert render_page(make_results()) == render_page(make_results())
    assert render_card(make_results()) == render_card(make_results())


def test_every_control_has_a_name_and_every_table_a_caption(results: content.ReportContent) -> None:
    outline = Outline(render_page(results))
    labelled = {one.get("for") for one in outline.named("label")}
    for control in outline.named("input"):
        assert control.get("aria-label") or control.get("id") in labelled
    assert len(outline.named("caption")) == len(outline.named("table"))
    assert len(outline.named("h1")) == len(outline.named("main")) == 1
    identifiers = [one["id"] for _, one in outline.elements if "id" in one]
    assert len(identifiers) == len(set(identifiers))
    for link in outline.named("a"):
        assert (link["href"] or "").removeprefix("#") in identifiers


def test_one_line_speaks_and_no_figure_does_of_itself(results: content.ReportContent) -> None:
    outline = Outline(render_page(results))
    assert all(one.get("aria-live") == "off" for one in outline.named("output"))
    spoken = [one for _, one in outline.elements if one.get("role") == "status" or one.get("aria-live") == "polite"]
    assert len(spoken) == 1


def test_rows_left_out_on_paper_are_counted_on_paper(results: content.ReportContent) -> None:
    for count in (2, 6, 7, 20, 30):
        outline = Outline(render_page(make_results(columns=[f"column{number}" for number in range(count)])))
        unprinted = sum(tag == "tr" and one.get("class") == "unprinted" for tag, one in outline.elements)
        told = re.findall(r"([\d]+) more columns in models/feature_importance\.csv", outline.text)
        left_out = max(count - content.COLUMNS_SHOWN, 0)
        assert told == [str(number) for number in (left_out, unprinted + left_out) if number]


def test_a_long_number_has_room_below_its_axis() -> None:
    results = make_results()
    few, many = (
        render_page(
            replace(results, dependence=tuple(replace(one, values=values) for one in results.dependence[1:2]))
        ).count("<text")
        for values in (tuple(np.linspace(0, 90, 20)), tuple(np.linspace(0, 900_000, 20)))
    )
    assert many < few


def test_a_copy_says_where_it_belongs_once_and_changes_nothing_else(results: content.ReportContent) -> None:
    page = render_page(results)
    assert page.count(PLACE) == 1
    before, after = page.split(PLACE)
    origin = Origin("0123456789abcdef", "c" * 40, (f"git checkout {'c' * 40}", "dvc checkout"))
    copy = with_origin(page, origin, "Since it was made, <b>x</b> changed.")
    assert copy.startswith(before)
    assert copy.endswith(after)
    for part in ("0123456789abcdef", "c" * 40, "dvc checkout", "an earlier state", "&lt;b&gt;x&lt;/b&gt;"):
        assert part in copy.removeprefix(before).removesuffix(after)
    assert with_origin(page, origin) == with_origin(page, origin)


def test_a_state_that_no_commit_holds_says_so(results: content.ReportContent) -> None:
    copy = with_origin(render_page(results), Origin("0123456789abcdef", None, ()))
    assert "No commit contained this state" in copy
    assert "<pre" not in copy


def test_the_costs_of_the_explorer_begin_with_those_of_the_parameters(results: content.ReportContent) -> None:
    assert Outline(render_page(results)).data["costs"] == {
        "value": ECONOMICS.customer_value,
        "offer": ECONOMICS.offer_cost,
        "contact": ECONOMICS.contact_cost,
        "acceptance": ECONOMICS.acceptance_rate,
    }
