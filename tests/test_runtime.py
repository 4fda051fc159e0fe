"""What a process changes of itself while it works, and gives back."""

import os
import threading
from collections.abc import Callable

import pytest
from threadpoolctl import threadpool_info

from churn.runtime import THREAD_SETTINGS, environment, limited_threads


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    assert "GIVEN" not in os.environ
    assert "ABSENT" not in os.environ


def test_threads_are_limited_in_loaded_libraries_and_for_those_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_SETTINGS:
        monkeypatch.setenv(name, "2")
    with limited_threads(1):
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert {os.environ[name] for name in THREAD_SETTINGS} == {"1"}
    assert {os.environ[name] for name in THREAD_SETTINGS} == {"2"}


def test_one_thread_of_python_computes_at_a_time() -> None:
    inside, most = 0, 0

    def compute() -> None:
        nonlocal inside, most
        with limited_threads(1), limited_threads(1):  # as a search does that is asked for within another one
            inside += 1
            most = max(most, inside)
            inside -= 1

    in_threads([compute] * 20)
    assert most == 1


def test_variables_are_set_for_a_while_and_then_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "by the user")
    with environment({"GIVEN": "by us", "ABSENT": "by us"}):
        assert (os.environ["GIVEN"], os.environ["ABSENT"]) == ("by us", "by us")
    assert os.environ["GIVEN"] == "by the user"
    assert "ABSENT" not in os.environ


def test_what_the_user_has_set_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "by the user")
    with environment({"GIVEN": "by us", "ABSENT": "by us"}, unless_given=True):
        assert (os.environ["GIVEN"], os.environ["ABSENT"]) == ("by the user", "by us")
        with environment({"ABSENT": "by us again"}, unless_given=True):  # the first was not the user
            assert os.environ["ABSENT"] == "by us again"
        assert os.environ["ABSENT"] == "by us"


@pytest.mark.parametrize("given", [None, "by the user"])
def test_threads_that_overlap_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    if given:
        monkeypatch.setenv("GIVEN", given)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with environment({"GIVEN": "first"}):
            first_is_in.set()
            assert second_is_in.wait(60)
            assert os.environ["GIVEN"] == "second"
        first_is_out.set()

    def second() -> None:
        assert first_is_in.wait(60)
        with environment({"GIVEN": "second"}):
            second_is_in.set()
            assert first_is_out.wait(60)
            assert os.environ["GIVEN"] == "second"

    in_threads([first, second])
    assert os.environ.get("GIVEN") == given


def in_threads(work: list[Callable[[], None]]) -> None:
    """Do all of it at once; a fault of one is a fault of the test, since pytest makes errors of such warnings."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
