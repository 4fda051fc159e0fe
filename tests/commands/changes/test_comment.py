"""The Markdown of a pull-request comment: what a reader sees of a difference, and that a stranger's text stays text."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.commands.changes.comment import (
    HEADLINE,
    MARKER,
    MOST_CHARACTERS,
    Changes,
    Difference,
    Picture,
    Side,
    Value,
    comment,
)

OLD = Side("main (1111111)", None)
NEW = Side("2222222", None)
NONE = Changes(OLD, NEW, [], [], [], lock_differs=True)
TRAIN, TEST, MONEY = "metrics/train.json", "metrics/test.json", "metrics/business_metrics.json"


def parameter(name: str, old: Value, new: Value) -> Difference:
    return Difference("params.yaml", name, old, new)


def with_metrics(*metrics: Difference) -> Changes:
    return replace(NONE, metrics=metrics)


def row(text: str, start: str) -> list[str]:
    """The cells of the only row that starts so."""
    rows = [line for line in text.splitlines() if line.startswith(f"| {start} ")]
    assert len(rows) == 1, text
    return [cell.strip() for cell in rows[0].strip("|").split("|")]


def difference(old: Value, new: Value) -> list[str]:
    """Old, new and difference of a metric, as shown."""
    return row(comment(with_metrics(Difference(TEST, "f", old, new))), "`f`")[1:4]


def test_nothing_changed_is_said_in_one_line() -> None:
    same = with_metrics(Difference(TEST, "test_f1", 0.6, 0.6))
    expected = "No parameter, metric or picture differs between `main (1111111)` (old) and `2222222` (new)."
    assert comment(same) == f"{MARKER}\n{expected}\n"


def test_how_much_differs_is_said_first() -> None:
    changes = replace(
        with_metrics(Difference(TEST, "test_f1", 0.6, 0.7)),
        parameters=[parameter("a", 1, 2), parameter("b", 1, 2)],
    )
    assert "2 parameters, 1 metric and no picture differ." in comment(changes)


def test_the_verdict_on_the_same_customers_stands_above_all_figures() -> None:
    changes = replace(
        with_metrics(Difference(TEST, "test_f1", 0.6, 0.7)), verdict="better: +310 EUR per 1,000 customers"
    )
    text = comment(changes)
    assert text.index("**`better: +310 EUR per 1,000 customers`**") < text.index("| | old | new |")


def test_what_is_chosen_by_stands_before_what_confirms() -> None:
    metrics = [Difference(file, name, 0.8, 0.81) for group in HEADLINE.values() for file, name in group]
    text = comment(with_metrics(*metrics))
    order = ["select on these", "profit per", "ROC-AUC", "PR-AUC", "confirmation only"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "<details>" not in text, "all of them are headlines"


def test_unchanged_headlines_are_shown_beside_a_change() -> None:
    text = comment(with_metrics(Difference(TRAIN, "cv_roc_auc", 0.85, 0.85), Difference(TRAIN, "threshold", 0.1, 0.2)))
    assert row(text, "ROC-AUC")[1:4] == ["0.8500", "0.8500", "="]


def test_a_metric_carries_the_interval_of_the_new_state() -> None:
    text = comment(
        with_metrics(
            Difference(TEST, "test_roc_auc", 0.83, 0.84),
            Difference(TEST, "test_roc_auc_low", 0.81, 0.82),
            Difference(TEST, "test_roc_auc_high", 0.85, 0.86),
            Difference(TRAIN, "cv_roc_auc", 0.85, 0.84),
            Difference(TRAIN, "cv_roc_auc_sd", 0.009, 0.008),
        )
    )
    assert "| ROC-AUC | 0.8300 | 0.8400 | ▲ +0.0100 | 0.8200 to 0.8600 |" in text
    assert "| ROC-AUC | 0.8500 | 0.8400 | ▼ −0.0100 | ± 0.0080 |" in text
    assert "2 metrics" in text
    assert "_low" not in text


@pytest.mark.parametrize(("old", "said"), [(0.83, "Inside"), (0.70, "Outside")])
def test_only_the_interval_says_how_far_the_old_figure_is(old: float, said: str) -> None:
    text = comment(
        with_metrics(
            Difference(TEST, "test_pr_auc", old, 0.84),
            Difference(TEST, "test_pr_auc_low", 0.81, 0.82),
            Difference(TEST, "test_pr_auc_high", 0.85, 0.86),
        )
    )
    assert f"{said} the new interval on test rows: the old PR-AUC." in text
    assert "significant" not in text


def test_amounts_in_two_currencies_are_said_to_have_no_difference() -> None:
    text = comment(replace(NONE, parameters=[parameter("business.currency", "EUR", "CHF")]))
    assert "**Old amounts are in `EUR`, new ones in `CHF`:** their difference has no meaning." in text


def test_the_interval_out_of_fold_says_nothing_of_test_rows() -> None:
    profit = "train_profit_per_1000"
    ends = [Difference(TRAIN, f"{profit}_{end}", None, value) for end, value in (("low", 9000.0), ("high", 9900.0))]
    text = comment(with_metrics(Difference(TRAIN, profit, 9500.0, 9400.0), *ends))
    assert row(text, "profit per 1,000 customers")[1:] == ["9,500", "9,400", "▼ −100", "9,000 to 9,900"]
    assert "side the new interval" not in text


def test_a_figure_that_is_gone_is_neither_inside_nor_outside() -> None:
    text = comment(
        with_metrics(
            Difference(TEST, "test_pr_auc", 0.83, None),
            Difference(TEST, "test_pr_auc_low", 0.81, 0.82),
            Difference(TEST, "test_pr_auc_high", 0.85, 0.86),
        )
    )
    assert "side the new interval" not in text


def test_a_metric_whose_interval_alone_differs_is_told() -> None:
    text = comment(with_metrics(Difference(TEST, "f", 0.5, 0.5), Difference(TEST, "f_low", 0.4, 0.3)))
    assert row(text, "`f`")[1:4] == ["0.5000", "0.5000", "interval only"]


def test_a_name_like_an_interval_without_its_metric_is_a_metric() -> None:
    assert row(comment(with_metrics(Difference(TEST, "ebb_low", 1, 2))), "`ebb_low`")[1:4] == ["1", "2", "▲ +1"]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (0.1, 0.1 + 0.2, ["0.1000", "0.3000", "▲ +0.2000"]),
        (0.85169, 0.84964, ["0.8517", "0.8496", "▼ −0.0021"]),
        (9834.491359, 9819.8, ["9,834", "9,820", "▼ −14"]),
        (11.170233, 11.168, ["11.17", "11.17", "▼ less than 0.01"]),
        (-0.5, 0.5, ["−0.5000", "0.5000", "▲ +1.0000"]),
        (0.0, 0.000004, ["0.000000", "0.000004", "▲ +0.000004"]),
        (405.0, 1405, ["405", "1,405", "▲ +1,000"]),
        (None, 0.5, ["none", "0.5000", "new"]),
        (0.5, None, ["0.5000", "none", "gone"]),
        ("NaN", 0.5, ["`NaN`", "0.5000", "differs"]),
        (False, True, ["`false`", "`true`", "differs"]),
        (1, 10**400, ["1", f"`1{'0' * 118}…`", "differs"]),
        (1.0, 1e300, ["1", "`1e+300`", "differs"]),
    ],
)
def test_figures_are_rounded_so_that_they_can_be_compared(old: Value, new: Value, shown: list[str]) -> None:
    assert difference(old, new) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.05, "`0.05`"), (1e-07, "`1e-07`"), (None, "not set"), (True, "`true`"), ("", '`""`'), (" a", '`" a"`')],
)
def test_a_parameter_is_shown_as_it_was_written(value: Value, shown: str) -> None:
    assert row(comment(replace(NONE, parameters=[parameter("p", "old", value)])), "`p`") == ["`p`", "`old`", shown]


def test_a_parameter_of_another_file_says_which() -> None:
    text = comment(replace(NONE, parameters=[Difference("other.yaml", "p", 1, 2)]))
    assert "| `p` (`other.yaml`) | `1` | `2` |" in text


def test_a_state_without_metrics_is_named() -> None:
    assert "**The old state has no metrics.**" in comment(with_metrics(Difference(TEST, "test_roc_auc", None, 0.8)))
    assert "**The new state has no metrics.**" in comment(with_metrics(Difference(TEST, "test_roc_auc", 0.8, None)))


def test_parameters_without_results_of_their_own_are_told() -> None:
    stale = replace(NONE, parameters=[parameter("p", 1, 2)], lock_differs=False)
    assert "computed with the old parameters" in comment(stale)
    assert "computed with the old parameters" not in comment(replace(stale, lock_differs=True))


def test_other_customers_are_told() -> None:
    assert "not of the same customers" in comment(with_metrics(Difference("metrics/data.json", "rows_in", 10, 11)))


def test_metrics_that_dvc_could_not_read_are_told() -> None:
    assert "**DVC could not read all metrics:**" in comment(replace(NONE, unreadable=["metrics"]))


def test_pictures_stand_side_by_side_where_they_have_an_address() -> None:
    pictures = [
        Picture("metrics/a b.png", in_old=True, in_new=True),
        Picture("metrics/n.png", in_old=False, in_new=True),
    ]
    text = comment(
        replace(NONE, old=Side("o", "https://x/o/r/raw/1"), new=Side("n", "https://x/f/r/raw/2"), pictures=pictures)
    )
    assert 'src="https://x/o/r/raw/1/metrics/a%20b.png"> | <img' in text
    assert 'src="https://x/f/r/raw/2/metrics/a%20b.png"> |' in text
    assert "| none | <img" in text


def test_pictures_without_an_address_are_named() -> None:
    pictures = [Picture("metrics/a.png", in_old=True, in_new=True), Picture("metrics/b.png", in_old=True, in_new=False)]
    text = comment(replace(NONE, pictures=pictures))
    assert "- `metrics/a.png`\n- `metrics/b.png` (gone)\n" in text
    assert "<img" not in text


HOSTILE = [
    "a|b",
    "a\\|b",
    "line\nnext",
    "`code` and ``more``",
    "@torvalds",
    "&#64;torvalds",
    "<img src=x onerror=alert(1)>",
    "</details><!--",
    "[a](https://example.com) https://example.com www.example.com",
    "\u202egnp.exe",
    "\ud800",
    "\\",
    "`|@x <b>www.a.b</b>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_stays_text(text: str) -> None:
    _assert_inert(text)


@given(st.text(st.characters(), min_size=1))
def test_any_text_stays_text(text: str) -> None:
    _assert_inert(text)


def _assert_inert(text: str) -> None:
    """One row of three cells, each of them nothing but code: a span in which nothing ends it, or text of references."""
    written = comment(replace(NONE, parameters=[parameter(text, "old", text)])).split("| --- | --- | --- |\n")[1]
    line, rest = written.split("\n", 1)
    assert rest == ""
    cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
    assert len(cells) == 3
    for cell in cells:
        assert re.fullmatch(r"`[^`|\\\n]+`|<code>(?:[^\W_]| |&#\d+;)+</code>", cell), cell
        assert all(char.isprintable() for char in cell)


def test_a_pictures_name_cannot_leave_its_attribute() -> None:
    hostile = Picture('metrics/"><script>|@x`.png', in_old=True, in_new=True)
    address = "https://github.com/o/r/raw/1"
    text = comment(replace(NONE, old=Side("o", address), new=Side("n", address), pictures=[hostile]))
    assert "metrics/%22%3E%3Cscript%3E%7C%40x%60.png" in text
    assert "<script" not in text


def test_a_comment_is_never_longer_than_github_takes_and_says_what_is_missing() -> None:
    headline = Difference(TEST, "test_roc_auc", 0.8, 0.9)
    many = replace(
        with_metrics(headline, *(Difference(TEST, f"m{i}", 0.1, 0.2) for i in range(3000))),
        parameters=[parameter(f"p{i}", "|" * 500, 1) for i in range(50)],
        pictures=[Picture("metrics/a.png", in_old=True, in_new=True)],
    )
    text = comment(many)
    assert len(text) <= MOST_CHARACTERS
    assert "| ROC-AUC | 0.8000 |" in text
    assert re.search(r"Left out to limit the length: [\d,]+ of 3,000 metrics( and 1 of 1 pictures)?\.", text)
    assert text.count("<details>") == text.count("</details>")


def test_many_parameters_are_folded() -> None:
    changes = replace(NONE, parameters=[parameter(f"p{i}", 1, 2) for i in range(11)])
    assert "<summary>Parameters that differ: 11</summary>" in comment(changes)
    assert "<summary>" not in comment(replace(changes, parameters=changes.parameters[:10]))
