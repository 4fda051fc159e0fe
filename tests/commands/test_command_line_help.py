"""What `churn --help` says: plain text that fits 80 columns, and examples that can be typed."""

import re
import shlex
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest
from typer.main import get_command

from churn.cli.app import app
from churn.cli.help import EXIT_CODES, PANELS, GroupedCommands
from churn.commands.compare import Comparison
from churn.commands.predict import ScoredTable
from churn.commands.promote.outcomes import PromotionOutcome, RollbackOutcome
from churn.history.lineage import Lineage
from churn.tracking.reports import StatusReport, SyncReport
from tests.helpers.command_line import churn
from tests.helpers.projects import REPOSITORY, shell


def _group() -> GroupedCommands:
    found = get_command(app)
    assert isinstance(found, GroupedCommands)
    return found


GROUP = _group()
COMMANDS = list(GROUP.commands)
FULL_WIDTH = 80
ANSWERS = {
    "compare": Comparison,
    "lineage": Lineage,
    "predict": ScoredTable,
    "promote": PromotionOutcome,
    "rollback": RollbackOutcome,
    "status": StatusReport,
    "sync": SyncReport,
}
"""What the JSON of a command has the keys of."""


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(FULL_WIDTH))


def help_of(*command: str) -> str:
    answer = churn(*command, "--help")
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def section(text: str, title: str) -> list[str]:
    """Lines under a heading, up to the next one."""
    found = re.search(rf"^{title}:\n((?:  .*\n)+)", text, flags=re.MULTILINE)
    assert found, title
    return [line.strip() for line in found[1].splitlines()]


def examples() -> list[str]:
    return [line for command in ([], *([name] for name in COMMANDS)) for line in section(help_of(*command), "Examples")]


def test_every_command_stands_in_one_panel_with_a_whole_sentence() -> None:
    text = help_of()
    listed = [line for panel in PANELS for line in section(text, panel)]
    assert sorted(line.split()[0] for line in listed) == sorted(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_plain_text_of_80_columns_with_examples_and_exit_codes(command: list[str]) -> None:
    text = help_of(*command)
    assert max(map(len, text.splitlines())) <= FULL_WIDTH
    assert text.isascii()
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert not re.search(r"<\w+(\[\w+\])?>|BOOLEAN|TEXT\.\.\.", text)
    assert section(text, "Examples")[0].startswith(" ".join(["churn", *command]))
    assert section(text, "Exit codes") == [EXIT_CODES]


def test_help_in_a_pipe_is_that_of_a_terminal() -> None:
    run = shell(REPOSITORY)
    piped = run("churn promote --help | cat").stdout
    assert piped == help_of("promote") == run("churn promote --help", NO_COLOR="1", TERM="xterm-256color").stdout


@pytest.mark.parametrize("example", examples())
def test_every_example_can_be_typed(example: str) -> None:
    typed = [shlex.split(part) for part in re.split(r" \| | && ", example) if part.startswith("churn ")]
    assert typed
    for _, *words in typed:
        command: Any = GROUP
        while isinstance(command, GroupedCommands):
            command = command.get_command(command.make_context("churn", words[:1]), words.pop(0))
        assert command
        assert not command.make_context("churn", words).args


def test_examples_read_keys_that_the_json_has() -> None:
    read = {(one.split()[1], key) for one in examples() for key in re.findall(r"\| jq '?\.(\w+)", one)}
    assert {name for name, _ in read} >= ANSWERS.keys()
    for name, key in read:
        if name in ANSWERS:
            assert key in {field.name for field in fields(ANSWERS[name])}, name


def test_usage_names_what_has_to_be_given() -> None:
    assert help_of("predict").startswith("Usage: churn predict [OPTIONS] TABLE\n")
    assert help_of("compare").startswith("Usage: churn compare [OPTIONS] [OLD] [NEW]\n")


def test_options_that_several_commands_have_mean_the_same() -> None:
    meanings: dict[str, set[tuple[str, ...]]] = {}
    for name in COMMANDS:
        for option in GROUP.commands[name].params:
            if option.name in ("as_json", "compute", "trust", "reason"):
                meanings.setdefault(option.name, set()).add((*option.opts, str(getattr(option, "help", ""))))
    assert {name: len(told) for name, told in meanings.items()} == dict.fromkeys(meanings, 1)


def test_a_command_that_does_not_exist_is_a_usage_error() -> None:
    answer = churn("promot")
    assert answer.code == 2
    assert answer.out == ""
    assert "promote" in answer.err
    assert "╭" not in answer.err


def test_panels_come_in_their_order() -> None:
    places = [help_of().index(f"\n{panel}:\n") for panel in PANELS]
    assert all(earlier < later for earlier, later in pairwise(places))
