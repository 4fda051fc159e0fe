"""Who was champion when, read from entries that several machines may have written at once."""

from dataclasses import replace

from churn.tracking.ledger import (
    BY_HAND,
    FORCED,
    PROMOTED,
    REFUSED,
    ROLLED_BACK,
    Entry,
    Judgement,
    Judges,
    attempt_of,
    before,
    reigns,
)

ROWS = tuple(f"{number:016x}" for number in range(64))
MORE_ROWS = tuple(f"e{number:015x}" for number in range(64))
OTHER_ROWS = tuple(f"f{number:015x}" for number in range(64))


def entry(name: str, follows: str = "", outcome: str = PROMOTED, made: int = 0, settled: int | None = 0) -> Entry:
    """An entry about a version, and a state, that have its name."""
    return Entry(name, made, settled, Judgement(outcome, f"version of {name}", follows, f"state of {name}"))


def names(entries: list[Entry]) -> list[str]:
    return [one.id for one in entries]


def test_without_entries_there_is_no_champion() -> None:
    assert reigns([]) == []
    assert before([]) is None


def test_each_champion_follows_the_one_it_was_judged_by_whatever_the_order_of_entries() -> None:
    ledger = [entry("c", "b"), entry("a"), entry("b", "a")]
    assert names(reigns(ledger)) == ["a", "b", "c"]


def test_a_refusal_makes_no_champion() -> None:
    assert names(reigns([entry("a"), entry("b", "a", REFUSED)])) == ["a"]


def test_of_two_that_follow_the_same_champion_the_first_counts() -> None:
    ledger = [entry("a"), entry("late", "a", made=2, settled=None), entry("early", "a", made=1, settled=None)]
    assert names(reigns(ledger)) == ["a", "early"]
    tie = [entry("a"), entry("y", "a", made=1), entry("x", "a", made=1)]
    assert names(reigns(tie)) == ["a", "x"]


def test_one_that_the_alias_stands_at_is_not_overtaken_by_a_clock_that_is_slow() -> None:
    ledger = [entry("a"), entry("slow clock", "a", made=1, settled=None), entry("settled", "a", made=2)]
    assert names(reigns(ledger)) == ["a", "settled"]


def test_of_two_settled_ones_the_one_that_was_settled_first_stays() -> None:
    ledger = [entry("a"), entry("slow clock", "a", made=1, settled=6), entry("told", "a", made=2, settled=5)]
    assert names(reigns(ledger)) == ["a", "told"]
    first = [entry("slow clock", made=1, settled=6), entry("told", made=2, settled=5)]
    assert names(reigns(first)) == ["told"]


def test_the_one_that_is_written_down_stays_whatever_the_clocks_say() -> None:
    claims = [entry("slow clock", "a", made=1, settled=1), entry("told", "a", made=2, settled=None)]
    assert names(reigns([replace(entry("a"), followed_by="told"), *claims])) == ["a", "told"]
    assert names(reigns([replace(entry("a"), followed_by="gone for good"), *claims])) == ["a", "slow clock"]


def test_who_followed_one_that_lost_is_no_champion_either() -> None:
    ledger = [entry("a"), entry("won", "a", made=1), entry("lost", "a", made=2), entry("after", "lost", made=3)]
    assert names(reigns(ledger)) == ["a", "won"]


def test_after_an_entry_that_was_removed_for_good_the_next_ones_still_count() -> None:
    ledger = [entry("a"), entry("b", "a", made=1), entry("c", "b", made=2), entry("d", "c", made=3)]
    assert names(reigns(ledger[1:])) == ["b", "c", "d"]
    assert names(reigns([*ledger[:2], ledger[3]])) == ["a", "b", "d"]
    assert names(reigns([ledger[1], ledger[3]])) == ["b", "d"]
    lost = entry("after one that lost", "removed", made=4, settled=None)
    assert names(reigns([*ledger, lost])) == ["a", "b", "c", "d"]


def test_a_rollback_to_one_whose_entry_was_removed_stands_for_it() -> None:
    back = entry("back", "removed", ROLLED_BACK)
    assert before([back]) is None
    assert before([back, entry("d", "back")]) == back


def test_a_rollback_goes_one_champion_further_back_each_time() -> None:
    chain = [entry("a"), entry("b", "a", FORCED), entry("c", "b", BY_HAND)]
    assert before(chain) == chain[1]
    chain.append(entry("back to b", "c", ROLLED_BACK))
    assert before(chain) == chain[0]
    chain.append(entry("back to a", "back to b", ROLLED_BACK))
    assert before(chain) is None
    chain.append(entry("d", "back to a"))
    assert before(chain) == chain[0]


def judged(name: str, rival: str, test_rows: tuple[str, ...], made: int, training_rows: tuple[str, ...] = ()) -> Entry:
    one = entry(name, outcome=REFUSED, made=made)
    return replace(one, judgement=replace(one.judgement, rival=rival, judges=Judges(training_rows, test_rows)))


def test_every_pair_that_the_same_test_rows_judged_counts_once() -> None:
    ledger = [
        judged("x", "champion", ROWS, 1),
        judged("x", "champion", ROWS, 2),
        judged("y", "champion", OTHER_ROWS, 3),
        judged("z", "champion", (), 4),
    ]
    assert attempt_of(ledger, "new", "champion", Judges(test=ROWS)) == 2
    assert attempt_of(ledger, "new", "champion", Judges(test=OTHER_ROWS)) == 2
    assert attempt_of(ledger, "state of x", "another champion", Judges(test=ROWS)) == 2


def test_the_same_pair_again_keeps_its_number() -> None:
    ledger = [judged("x", "champion", ROWS, 1), judged("y", "champion", ROWS, 2)]
    assert attempt_of(ledger, "state of x", "champion", Judges(test=ROWS)) == 1
    assert attempt_of(ledger, "state of y", "champion", Judges(test=ROWS)) == 2


def test_test_rows_that_grew_by_some_customers_are_still_the_same() -> None:
    grown = tuple(sorted([*ROWS[:50], *(f"{number:016x}f" for number in range(14))]))
    assert attempt_of([judged("x", "champion", ROWS, 1)], "new", "champion", Judges(test=grown)) == 2


def test_training_rows_that_were_judged_by_before_count_whatever_the_test_rows_are() -> None:
    before = judged("x", "champion", OTHER_ROWS, 1, training_rows=ROWS)
    assert attempt_of([before], "new", "champion", Judges(ROWS, MORE_ROWS)) == 2
    assert attempt_of([before], "new", "champion", Judges(MORE_ROWS, OTHER_ROWS)) == 2
    assert attempt_of([before], "new", "champion", Judges(MORE_ROWS, MORE_ROWS)) == 1


def test_another_split_of_the_same_customers_is_no_fresh_start() -> None:
    """Also one of two halves, where neither side is mostly the same."""
    customers = tuple(f"{number:016x}" for number in range(64))
    before = judged("x", "champion", customers[32:], 1, training_rows=customers[:32])
    again = Judges(training=customers[16:48], test=(*customers[:16], *customers[48:]))
    assert attempt_of([before], "new", "champion", again) == 2


def test_old_entries_that_do_not_tell_of_training_rows_count_by_test_rows() -> None:
    before = judged("x", "champion", ROWS, 1)
    assert attempt_of([before], "new", "champion", Judges(MORE_ROWS, ROWS)) == 2
    assert attempt_of([before], "new", "champion", Judges(ROWS, MORE_ROWS)) == 1
